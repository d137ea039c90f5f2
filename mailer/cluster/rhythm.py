"""How often workers look after each other, and for how long they wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """Times in seconds."""

    round: float = 1.0
    """From one look for dead workers and for campaigns that were halted to the next."""
    reconcile: float = 5.0
    """From one look for batches without a job to the next."""
    strays: float = 60.0
    """From one look for deliveries without a batch to the next: it costs more."""
    overview: float = 10.0
    """From one count of all campaigns to the next, where a worker's figures are read."""
    polling: float = 1.0
    """The queue tells at once of a new job, but not of one whose time has come."""
    heartbeat: float = 5.0
    stalled: float = 20.0
    """Without a heartbeat for so long, a worker's jobs go to others: it stands still, or has lost the server."""
    pause: float = 5.0
    """Until a batch is tried again that somebody else kept from being sent, or that came to nothing."""
    patience: float = 5.0
    """For the queue's connection to the server."""
    idle: float = 2.0
    """Without work for so long, a worker lets go of a campaign, so that somebody may change it."""
    unreachable: tuple[float, ...] = (15.0, 60.0, 300.0)
    """How long a worker rests that cannot reach its mail server, each time in a row."""
    ledger: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 30.0)
    """How long it waits for a ledger that it cannot reach."""
    account: tuple[float, ...] = (900.0, 1800.0, 3600.0)
    """How long an account rests that its mail server sent away, each time in a row."""
