"""The nouns of the project, as frozen values that pass from step to step.

Standard library only; no I/O. A step takes some of these and returns others, so that the whole pipeline can be read
from the signatures: rows -> Contact -> Letter -> Message -> Delivery -> Outcome.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

FieldValue = str | Mapping[str, str]
"""A merge field: the text of a cell, or the matching row of a look-up table."""


class Severity(StrEnum):
    """Whether a problem keeps a message from being sent, or is only pointed out."""

    PROBLEM = "problem"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong with a list, a letter or a setting, told so that its owner can mend it.

    `row` counts as a spreadsheet shows it: the header is row 1. `message` is one plain sentence and holds no address;
    `hint` is what to do next, where that is not obvious.
    """

    code: str
    message: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    hint: str | None = None
    severity: Severity = Severity.PROBLEM


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """One address with its display name (RFC 5322, 3.4). Both unencoded; `name` may be empty."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the last `@`."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """One row of a list.

    `address` is what goes into RCPT TO (local part as written, domain in lower case as A-labels); `key` is the
    normalised form by which an address is the same address: lower case, NFC.
    """

    address: str
    key: str
    row: int
    name: str = ""
    language: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """Destination domain, the unit of per-domain quotas."""
        return self.key.rpartition("@")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """A table joined to the list: `on` names the list's column, `key` the table's (the same name if None).

    Rows whose `checked_on` is older than `max_age_days` are warned about.
    """

    table: str
    on: str
    key: str | None = None
    max_age_days: int = 365


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedRow:
    """A row that cannot be mailed, with its reason; recorded when its owner chose to go on without it."""

    row: int
    address: str | None
    reason: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a campaign speaks for: the settings that shape every message and belong to the seal."""

    sender: Mailbox
    reply_to: Mailbox | None = None
    bounce_address: str | None = None
    list_id: str | None = None
    postal_address: str | None = None
    unsubscribe_url: str | None = None
    unsubscribe_mailto: str | None = None

    @property
    def mail_from(self) -> str:
        """The envelope sender: where bounces go."""
        return self.bounce_address or self.sender.address


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that travels with a message. With a `content_id` it is an image shown inside the HTML (RFC 2392)."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A template merged with one contact: everything a reader will see, not yet encoded.

    `identity` is the campaign's, with what the letter's front matter overrides.
    """

    subject: str
    text: str
    html: str
    language: str
    identity: Identity
    to: Mailbox
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """MAIL FROM and RCPT TO (RFC 5321, 2.3.1), distinct from the From and To headers."""

    mail_from: str
    rcpt_to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """The RFC 5322 bytes for one contact: CRLF line ends, 7-bit, not dot-stuffed."""

    envelope: Envelope
    message_id: str
    content: bytes
    needs_smtputf8: bool = False


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


class Phase(StrEnum):
    """Where in the SMTP dialogue something happened. Up to CONTENT nothing can have been delivered."""

    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    FINAL_DOT = "final dot"


class Scope(StrEnum):
    """What a refusal is about, hence how far its consequence reaches (DESIGN, section 10)."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    ACCOUNT = "account"
    POLICY = "policy"
    AUTH = "auth"
    CONNECTION = "connection"


class Verdict(StrEnum):
    """What an attempt means for its delivery."""

    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    REQUEUED = "requeued"
    """Not this recipient's doing: the delivery keeps its place and its retries."""


class Action(StrEnum):
    """What the campaign does after an attempt, besides recording it."""

    CONTINUE = "continue"
    RECONNECT = "reconnect"
    PAUSE = "pause"
    STOP = "stop"


ENHANCED_CODE = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An SMTP reply (RFC 5321, 4.2); `text` has the lines of a multi-line reply joined by newlines."""

    code: int
    text: str

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code (RFC 3463), e.g. `5.1.1`, if the server gave one."""
        match = ENHANCED_CODE.match(self.text)
        return match[1] if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """An attempt's verdict, its scope and the server's own words.

    `reply` is None where the connection ended without one; `text` then says what happened in plain words.
    """

    verdict: Verdict
    scope: Scope
    phase: Phase
    text: str
    action: Action = Action.CONTINUE
    reply: Reply | None = None
    suppress: bool = False


PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Quota:
    """At most `count` messages in any window of `seconds`."""

    seconds: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Read `20/minute`, `500 / hour`, `1/10 seconds`. Raises ValueError with a sentence for the user."""
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d*)\s*(second|minute|hour|day|sec|min|s|m|h|d)s?\s*", text.lower())
        if not match or int(match[1]) < 1 or match[2] == "0":
            raise ValueError(f"{text.strip()!r} is not a rate; write for example 20/minute or 500/hour")
        period = next(name for name in PERIODS if name.startswith(match[3]))
        return cls(count=int(match[1]), seconds=int(match[2] or 1) * PERIODS[period])

    @classmethod
    def parse_all(cls, text: str) -> tuple[Quota, ...]:
        """Read a comma-separated list of rates."""
        return tuple(cls.parse(part) for part in text.split(",") if part.strip())

    def __str__(self) -> str:
        for name, seconds in reversed(PERIODS.items()):
            if self.seconds % seconds == 0:
                n = self.seconds // seconds
                return f"{self.count}/{name}" if n == 1 else f"{self.count}/{n} {name}s"
        raise AssertionError("unreachable: every whole number of seconds divides by one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """The duty to get one campaign's message to one address."""

    id: int
    contact: Contact
    status: Status
    attempts: int = 0
    revision: int = 1
    message_id: str
    next_attempt_at: float | None = None
    first_attempt_at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRecord:
    """One line of a report: what became of one contact. Times are UTC."""

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
    `settings` the identity; `messages` a digest over every rendered message.
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


class Files(Protocol):
    """Where a letter's files come from: the campaign folder, or what the ledger froze of it.

    A path is relative to the campaign folder with forward slashes, or absolute if it lies outside.
    """

    def read(self, path: str) -> bytes:
        """The file's content. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool: ...

    def names(self, folder: str) -> list[str]:
        """Names (not paths) of the files directly in a folder, sorted; empty if there is no such folder."""
        ...
