"""What happened to a campaign, in the order of time: as a person would tell it who sat beside it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailer.model.campaigns import Status
from mailer.model.events import BounceClass, EventKind
from mailer.model.relays import Outcome


class Happening(StrEnum):
    """What is noted of a campaign besides attempts and what comes back."""

    BEGUN = "begun"
    """A run began; `number` is 1 if somebody had been tried before."""
    REVISED = "revised"
    """The letter or the list was changed (`--update`); `number` is the new revision."""
    WAITING = "waiting"
    """Nothing is sent before `until`; `text` is the quota that says so, or empty."""
    RECONNECTING = "reconnecting"
    """A connection came to nothing; `text` says why, and it is tried again `until` then."""
    SILENT = "silent"
    """The server has not answered for `number` seconds."""
    HELD = "held"
    """Held once after the first `number`, to be looked at."""
    PAUSED = "paused"
    STOPPED = "stopped"
    """The run ended with work left; `text` says why. STOPPED is the relay's doing, or a brake's."""
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    """A sender ended in the middle of `number` messages; `text` is what ended, the program or the computer."""
    DECIDED = "decided"
    """Somebody decided `number` that were in doubt; `text` is the status that they got."""
    PUT_BACK = "put back"
    """The ledger was put back from a back-up: `number` may have been mailed since that was made."""
    QUEUED_AGAIN = "queued again"
    PURGED = "purged"
    """Everybody in it was forgotten; the counts stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of the diary. Times are Unix time; `text` holds no address."""

    at: float
    kind: Happening
    until: float | None = None
    number: int = 0
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whom a line is about, as the list has them."""

    row: int
    name: str
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """An attempt that did not end with the message sent. `status` is what the delivery stands at by now."""

    at: float
    person: Person
    outcome: Outcome
    status: Status
    next_attempt_at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """An event, with whom it is about and in which campaign; neither if no campaign of the ledger has mailed them."""

    at: float
    kind: EventKind
    bounce: BounceClass | None
    text: str
    person: Person | None
    campaign: str = ""
