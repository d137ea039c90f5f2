"""A wrong command line, in plain words and with an example."""

from __future__ import annotations

import re
from typing import Any

from mailer.errors import MailerError, quoted

NAMED = 5
"""Campaigns of which the names are shown."""

EXAMPLE = re.compile(r"Example:\s+(mailer .+)")
PLAIN = (
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"it must be at least \1."),
    (re.compile(r"Input should be greater than (\S+)"), r"it must be more than \1."),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"it must be at most \1."),
    (re.compile(r"Input should be a valid (integer|number).*"), "it must be a number."),
    (re.compile(r"Invalid value for '([^']+)'"), r"\1 cannot be that"),
    (re.compile(r"^Missing (argument|option) '([^']+)'\.?"), r"\2 is missing."),
)
CLOSED = re.compile(r"^Invalid value for .+: Path '(.+)' is not readable\.?$", re.IGNORECASE | re.DOTALL)
TOO_MANY = re.compile(r"^Got unexpected extra arguments?(?:\(s\))? \((.*)\)$", re.DOTALL)


def explained(message: str, context: Any) -> tuple[str, str]:
    """What is wrong with a command line, and the way out. `context` is typer's, or None."""
    path = context.command_path if context else "mailer"
    if extra := TOO_MANY.match(message):
        return f"There are more words than {path} takes: {extra[1]}.", (
            'a name with spaces needs quotes, for example "contacts/my list.csv"; all about it: ' + f"{path} --help"
        )
    if closed := CLOSED.match(message):
        return f"{closed[1]} cannot be read: it is closed to you.", (
            "ask whoever made it, or whoever keeps this computer, to let you read it, or save a copy of your own"
        )
    plain = message
    for pattern, words in PLAIN:
        plain = pattern.sub(words, plain)
    example = EXAMPLE.search(getattr(context.command, "help", None) or "") if context else None
    if message.startswith("Missing argument 'CAMPAIGN'") and (names := campaigns_here()):
        lines = "\n      ".join(f"{path} {quoted(name)}" for name in names)
        return plain, f"name one of the campaigns of this folder, the newest first:\n      {lines}"
    if example and message.startswith("Missing"):
        return plain, f"for example: {example[1]}\n      all about it: {path} --help"
    return plain, f"See how it is used: {path} --help"


def campaigns_here() -> list[str]:
    """The names of the newest campaigns of this folder, as far as they can be read without a question."""
    from mailer import settings  # noqa: PLC0415 - imports pydantic
    from mailer.cli.unlocking import is_encrypted, open_ledger  # noqa: PLC0415

    try:
        here = settings.load()
        if is_encrypted(here):
            return []
        with open_ledger(here, create=False) as ledger:
            found = sorted(ledger.campaigns(), key=lambda campaign: campaign.started_at, reverse=True)
    except MailerError:  # what is wrong with the settings is told by a command that needs them
        return []
    return [campaign.name for campaign in found[:NAMED]]
