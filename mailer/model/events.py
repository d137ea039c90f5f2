"""What comes back after a message was sent: bounces, complaints, unsubscribes, replies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What somebody, or somebody's mail server, answered to a message."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    REPLY = "reply"


class BounceClass(StrEnum):
    """Whom a bounce speaks of, by the table for live answers (`mailer.outcome`).

    HARD: the address is dead. SOFT: it could not be reached this time, say a full mailbox. OTHER: not the recipient's doing,
    but ours: reputation, account, letter, or the way there.
    """

    HARD = "hard"
    SOFT = "soft"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A delivery that was tried, as far as what comes back needs to know it. Times are Unix time."""

    delivery: int
    campaign: int
    key: str
    message_id: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that came back. `at` is when it reached the mailbox (Unix time); `text` holds no address.

    `delivery` and `campaign` are None for an unsubscribe from somebody whom no campaign of the ledger has mailed. `source` is
    the same whenever the same mail is read again, and no two events have the same.
    """

    kind: EventKind
    delivery: int | None
    campaign: int | None
    key: str
    at: float
    source: str
    bounce: BounceClass | None = None
    status: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """Of how many of a campaign's deliveries something came back; one delivery may stand under several."""

    bounced: int = 0
    complained: int = 0
    unsubscribed: int = 0
    replied: int = 0
