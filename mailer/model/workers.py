"""What is known of campaigns that are left to workers, and of who works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mailer.model.campaigns import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Some deliveries of a campaign that one worker sends over one connection."""

    id: int
    campaign: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """A worker that is there, for one account. `owner` says where, in words; `batches` at how many it is just now."""

    token: str
    owner: str
    relay: str
    account: str
    lines: int
    queues: tuple[str, ...]
    since: datetime
    campaigns: tuple[str, ...] = ()
    batches: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """Why a campaign that is left to workers stands still, until a person lets it go on."""

    at: datetime
    reason: str
    hint: str | None
    exit_code: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Detached:
    """A campaign that is left to workers: in which queue, and not before when."""

    queue: str
    batch_size: int
    batches: int = 0
    not_before: datetime | None = None
    halt: Halt | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """An account that its mail server has sent away for a while, for all workers that use it.

    With an `owner` only for the worker there, which cannot reach the server: it may be its own line.
    """

    account: str
    until: float
    """Unix time, by the clock of the ledger's server."""
    left: float
    """Seconds until then, for whoever has another clock."""
    times: int
    reason: str
    relay: str = ""
    owner: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayFigures:
    """What a campaign handed to one account: how many were accepted, and lately tried, since when (Unix time)."""

    account: str
    sent: int
    recent: int = 0
    first: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The campaigns that are left to workers, as they stood at `at`: how many of each status are not settled yet."""

    at: datetime
    campaigns: dict[str, dict[Status, int]]
    halted: int = 0
    workers: int = 0
