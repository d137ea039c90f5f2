"""What a sender has for the ledger: what it says before the final dot, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mailer.model import Outcome, Status


class Intent(NamedTuple):
    """Said before the final dot of a delivery's message: from here on it may have arrived."""

    delivery: int
    token: str
    account: str
    domain: str
    at: float


class Record(NamedTuple):
    """What an attempt came to. `intended` tells whether an Intent went before (else it was refused before the dot)."""

    delivery: int | None
    token: str
    account: str
    domain: str
    started_at: float
    finished_at: float
    outcome: Outcome
    status: Status
    intended: bool
    reason: str = ""
    next_attempt_at: float | None = None
    suppress: bool = False


Item = tuple[Sequence[Record], Intent | None]
"""Outcomes of one sender, and its next intent after them."""
