"""A campaign, its deliveries, and where they stand."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from mailer.model.contacts import Contact, unpacked


class Status(StrEnum):
    """Where a delivery stands. The arrows between them are drawn in ARCHITECTURE.md."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    SUPPRESSED = "suppressed"
    SKIPPED = "skipped"


FINAL = frozenset({Status.SENT, Status.FAILED, Status.SUPPRESSED, Status.SKIPPED})
"""Statuses that the program never leaves on its own."""

OPEN = frozenset({Status.QUEUED, Status.DEFERRED})
"""Statuses from which a message may be sent."""


class Delivery(NamedTuple):
    """The duty to get one campaign's message to one address, as the ledger keeps it.

    Its contact is read when somebody asks: whoever sends a message that another process has made need not know more than the domain.
    """

    id: int
    row: int
    address: str
    key: str
    name: str = ""
    language: str | None = None
    fields: str = "{}"
    """A JSON object."""
    message_id: str = ""
    state: str = Status.QUEUED
    attempts: int = 0
    revision: int = 1
    next_attempt_at: float | None = None
    first_attempt_at: float | None = None
    digest: int = 0

    @property
    def contact(self) -> Contact:
        return Contact(
            address=self.address,
            key=self.key,
            row=self.row,
            name=self.name,
            language=self.language,
            fields=unpacked(self.fields),
        )

    @property
    def domain(self) -> str:
        """Destination domain, the unit of per-domain quotas."""
        return self.key.rpartition("@")[2]

    @property
    def status(self) -> Status:
        return Status(self.state)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRecord:
    """One line of a report: what became of one contact. Times are UTC; `server` is whom it was last handed to.

    `came_back` says what came back later, say `bounce 5.1.1`; the status stays what it was.
    """

    row: int | None
    address: str
    name: str
    domain: str
    language: str | None
    status: Status
    reason: str
    attempts: int
    updated_at: datetime | None
    next_attempt_at: datetime | None
    message_id: str
    server_words: str = ""
    server: str = ""
    came_back: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How many deliveries of a campaign stand where. The parts add up to the total."""

    queued: int = 0
    sending: int = 0
    sent: int = 0
    deferred: int = 0
    failed: int = 0
    uncertain: int = 0
    suppressed: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, status) for status in Status)

    @property
    def work_left(self) -> int:
        """Deliveries that this or a later run will still try."""
        return self.queued + self.sending + self.deferred


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a campaign was frozen with: a digest of everything that shapes its messages.

    `letter` and `attachments` map paths to SHA-256 hex digests; `contacts` is the list's fingerprint, whatever the
    order of its rows; `list_file` the digest of the file's bytes (a shortcut: the same bytes need not be read again);
    `settings` the identity; `messages` a digest over every rendered message; `senders` everybody they are from;
    `program` the version of mailer; `sheet` where in a workbook the list stands; `options` how the command line says to
    read it, for the commands that continue, where a switch has an empty value.
    """

    template: str
    list_name: str
    letter: Mapping[str, str]
    attachments: Mapping[str, str]
    contacts: str
    list_file: str
    settings: Mapping[str, str]
    messages: str
    count: int = 0
    duplicates: int = 0
    blank: int = 0
    senders: Sequence[str] = ()
    program: str = ""
    sheet: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, str]:
        """The digest of each part that a seal vouches for, in the seal's order."""
        return {
            "letter": _digest(self.letter),
            "list": self.contacts,
            "attachments": _digest(self.attachments),
            "settings": _digest(self.settings),
            "messages": self.messages,
        }

    @property
    def wording(self) -> list[str]:
        """What the letter's files hold, whatever they are called."""
        return sorted(self.letter.values())

    @property
    def seal(self) -> str:
        """Five groups of eight hexadecimal digits, one a part: a stale seal tells which part changed."""
        return "-".join(part[:8] for part in self.parts.values())


def _digest(entries: Mapping[str, str]) -> str:
    lines = (f"{len(name)}:{name}={len(value)}:{value}\n" for name, value in sorted(entries.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignRecord:
    """A campaign as the ledger keeps it. Times are UTC."""

    id: int
    name: str
    revision: int
    manifest: Manifest
    started_at: datetime
    finished_at: datetime | None = None
    owner: str | None = None
    held_after: int | None = None
    hours: str = ""
    """When its messages may leave, as `mailer.hours` writes it; blank at any time."""
    zone: str | None = None
    """The time zone of people whose own is not known; None if nobody's was looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Deliveries that may be tried now, by their ids, and the time (Unix) until which that is so."""

    due: list[int]
    until: float = math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfHours:
    """How many would be mailed now, were it within their hours, and when the first of them may be (Unix time)."""

    people: int
    since: float
