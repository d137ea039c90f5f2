"""What the page is given by the command that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailer.age import Unlock
from mailer.errors import MailerError
from mailer.ledger import Ledger
from mailer.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """How to get at settings, ledger and keys of the campaign folder, as the commands do; and how to run a command.

    `settings` reads them anew, since they may be edited at any time, and raises SettingsError. `encrypted` tells whether the ledger
    is, so that nothing readable may be written beside it. `bug` keeps the details of an error that nobody foresaw, and says where;
    `warn` tells whoever sits at the terminal.
    `practice_of` is the address of the page of which this is the practice, and `practice_mailbox` where its mail goes; the real page
    has neither.
    """

    folder: Path
    settings: Callable[[], Settings]
    ledger: Callable[[Settings], Ledger]
    unlock: Callable[[Settings], Unlock]
    encrypted: Callable[[Settings], bool]
    command: Sequence[str]
    environment: Mapping[str, str]
    bug: Callable[[Exception], MailerError]
    warn: Callable[[str], None]
    practice_of: str = ""
    practice_mailbox: Path | None = None
