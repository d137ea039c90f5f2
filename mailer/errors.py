"""The exceptions of the project: our caller's mistakes and the world's, each with the way out.

    MailerError                    every one ends a command calmly: message, hint, exit code
     +- Refused (2)                nothing was sent
     |   +- UsageError             the command line
     |   +- SettingsError          a variable, the value's problem, an example
     |   |   +- LockedError        something is encrypted, and its key is missing or wrong
     |   +- ListError              the contact list as a whole, or its rows (problems)
     |   +- LetterError            the template, or merging it with a row (problems)
     |   +- SealError              something that shapes the messages changed after the preview
     |   +- CampaignError          the campaign's state forbids it (finished, changed, moved)
     |       +- InUseError         somebody else sends just now: the same command works later
     +- Paused (3)                 work left, the same command continues
     +- LedgerError (3)            the durable record cannot be written, so nothing more is sent
     |   +- BrokenLedgerError (2)  it cannot be opened at all: the same command would not continue
     +- RelayStopped (4)           login, quota, policy: the relay wants no more

A server's refusal of one message is not an exception but a value: `model.Outcome`.
Exception text never holds an address or a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailer.model import Problem


class MailerError(Exception):
    """Base of all. `hint` is what to do next, best a command that can be pasted."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # not copied where it is more than a list: there may be a million
        self.problems: Sequence[Problem] = tuple(problems) if isinstance(problems, list) else problems


class Refused(MailerError):
    """Refused before anything was sent."""

    exit_code = 2


class UsageError(Refused):
    """The command line asks for something that cannot be."""


class SettingsError(Refused):
    """A setting is missing or wrong."""


class LockedError(SettingsError):
    """Something is encrypted, and its key is missing or wrong."""


class ListError(Refused):
    """The contact list cannot be read, or has rows that cannot be mailed.

    `sheets` and `columns` are what there is to choose from, where one of them is to be named.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        problems: Sequence[Problem] = (),
        sheets: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> None:
        super().__init__(message, hint=hint, problems=problems)
        self.sheets = tuple(sheets)
        self.columns = tuple(columns)


class LetterError(Refused):
    """The letter cannot be read, or cannot be merged with some row."""


class SealError(Refused):
    """What would be sent is not what was previewed."""


class CampaignError(Refused):
    """The campaign's state forbids the command."""


class InUseError(CampaignError):
    """Somebody else sends the campaign, or over the account, just now; once they are done, the same command works."""


class Paused(MailerError):
    """Stopped on request or until later; the same command continues."""

    exit_code = 3


class LedgerError(MailerError):
    """The ledger cannot be read or written. Nothing is sent that cannot be recorded."""

    exit_code = 3


class BrokenLedgerError(LedgerError):
    """The ledger cannot be opened, and running the same command again will not mend that. Nothing was sent."""

    exit_code = 2


class RelayStopped(MailerError):
    """The relay refused login, quota or policy: going on would do harm."""

    exit_code = 4


def quoted(path: Path | str) -> str:
    """A file's path or a name in a hint, so that it can be pasted into sh, PowerShell and cmd alike, and is not taken for an option."""
    text = str(path)
    return as_word(f"./{text}" if text.startswith("-") else text)


def as_word(text: str) -> str:
    """A word of a command in a hint, an option as well, so that it can be pasted into sh, PowerShell and cmd alike."""
    if re.fullmatch(r"[\w./\\:~=+-]+", text, re.ASCII) and not ("\\" in text and "/" in text):
        return text
    # Inside double quotes sh and PowerShell would still replace these.
    if re.search(r'[$`"!]', text):
        return "'" + text.replace("'", "'\\''") + "'"
    return f'"{text}"'


def typed(options: Mapping[str, str]) -> str:
    """Options with their values, to stand after a command in a hint; one without a value is a switch."""
    return "".join(f" {option} {quoted(value)}" if value else f" {option}" for option, value in options.items())
