"""What a gallery is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailer.model import Contact, Letter, Message, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """One message of the campaign with what it was made from, and what is doubtful about it.

    With a `relay` it is an example: the same message as it would leave over that account, which has an identity of its own.
    """

    contact: Contact
    letter: Letter
    message: Message
    warnings: tuple[Problem, ...] = ()
    relay: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The campaign as a whole. Counts by language and domain are taken from the messages themselves.

    `signed_by`: the domain whose signature each message will carry. `relays`: in words, those that have an identity of their own. The four numbers are rows that get no message; `made_at` is shown in UTC.
    """

    campaign: str
    seal: str
    template: str
    list_name: str
    sender: str
    signed_by: str = ""
    relays: Sequence[str] = ()
    warnings: Sequence[Problem] = ()
    duplicates: int = 0
    blank: int = 0
    suppressed: int = 0
    skipped: int = 0
    made_at: datetime | None = None
