"""What a worker knows of itself, for whoever watches it: whether it is well, and what it has done.

Everything here is plain numbers that the event loop writes and any thread may read, so that a loop that stands still, or a
database that does not answer, can still be told of.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mailer.errors import BrokenLedgerError, LedgerError, MailerError
from mailer.model import Outcome, Overview, Phase, Scope, Status
from mailer.privacy import without_addresses

NAMED = 100
"""Campaigns that are told of by name in counts that never shrink; what comes then is counted together."""

OTHERS = "(others)"


class State(StrEnum):
    """What a worker is at."""

    STARTING = "starting"
    WORKING = "working"
    RESTING = "resting"
    """Its account, or the way to its mail server, rests for a while."""
    LOST = "lost"
    """The ledger is out of reach; it tries again and again."""
    ENDING = "ending"


class Kind(NamedTuple):
    """A kind of outcome. `reply` is the first digit of the server's answer, or nothing where there was none."""

    campaign: str
    status: Status
    scope: Scope
    phase: Phase
    reply: str


class Health(NamedTuple):
    """Whether all is well, and a code and a sentence for what is not."""

    well: bool
    code: str = ""
    sentence: str = ""


WELL = Health(well=True)


@dataclass(kw_only=True, slots=True)
class Now:
    """How things stand at this moment in a shift."""

    in_flight: int = 0
    """Messages with an intent in the ledger and no outcome yet: those that a power cut would leave in doubt."""
    connections: int = 0
    batches: int = 0
    waiting: int = 0
    """Messages that wait for a place of a quota."""
    commits: int = 0
    written: int = 0
    commit_since: float | None = None
    """By time.monotonic(): since when a commit is waited for."""


@dataclass(kw_only=True)
class Vitals:
    """A worker's counts since it began, and its pulse."""

    relay: str = ""
    """The name of the mail account that it serves, where a program serves several."""
    patience: float = 10.0
    """Seconds without a pulse after which something stands still."""
    state: State = State.STARTING
    reason: str = ""
    """Why it rests or has lost the ledger, as a code."""
    loop_at: float = field(default_factory=time.monotonic)
    ledger_at: float = field(default_factory=time.monotonic)
    outcomes: Counter[Kind] = field(default_factory=Counter)
    batches: int = 0
    connected: int = 0
    unconnected: Counter[Phase] = field(default_factory=Counter)
    ledger_errors: Counter[str] = field(default_factory=Counter)
    waited: float = 0.0
    """Seconds that messages waited for places of quotas, all together."""
    commits: int = 0
    written: int = 0
    look: Callable[[], Now] = Now
    """How things stand in the shift that is under way."""
    overview: Overview | None = None
    """What the ledger said of all campaigns when it was last asked."""
    asked_at: float = -math.inf
    """By time.monotonic(): when somebody last wanted to know that."""
    _named: set[str] = field(default_factory=set)

    # -- what happens

    def enter(self, state: State, reason: str = "") -> None:
        """Another state; the pulse of the ledger begins anew with a shift."""
        if state is State.WORKING:
            self.ledger_at = time.monotonic()
        self.state, self.reason = state, reason

    def recorded(self, campaign: str, status: Status, outcome: Outcome) -> None:
        reply = str(outcome.reply.code)[0] if outcome.reply else ""
        self.outcomes[Kind(self._name(campaign), status, outcome.scope, outcome.phase, reply)] += 1

    def lost(self, error: MailerError) -> None:
        self.ledger_errors[code_of(error)] += 1
        self.enter(State.LOST, code_of(error))

    def shift_over(self) -> None:
        """What was counted in a shift stays counted."""
        now = self.look()
        self.look = Now
        self.commits += now.commits
        self.written += now.written

    def _name(self, campaign: str) -> str:
        name = without_addresses(campaign)
        if name not in self._named:
            if len(self._named) >= NAMED:
                return OTHERS
            self._named.add(name)
        return name

    # -- how it is

    def health(self) -> Health:
        """Whether the worker's own heart beats, and the ledger answers it. A worker that rests is well."""
        now = time.monotonic()
        if (still := now - self.loop_at) > self.patience:
            return Health(well=False, code="stalled", sentence=f"The worker has stood still for {still:.0f} seconds.")
        if self.state is State.LOST:
            return Health(
                well=False, code=self.reason or "ledger", sentence="The ledger is out of reach; it is tried again."
            )
        if self.state is State.STARTING:
            return Health(well=False, code="starting", sentence="The worker has not begun yet.")
        if self.state is State.WORKING:
            silent = max(now - self.ledger_at, now - (self.look().commit_since or now))
            if silent > self.patience:
                return Health(
                    well=False,
                    code="ledger-silent",
                    sentence=f"The ledger has not answered for {silent:.0f} seconds.",
                )
        return WELL

    def readiness(self) -> Health:
        """Whether it takes work just now: a worker may be well, and rest, or be about to end."""
        health = self.health()
        if not health.well or self.state is State.WORKING:
            return health
        if self.state is State.RESTING:
            return Health(
                well=False, code=self.reason, sentence="The account, or the way to its mail server, rests for a while."
            )
        return Health(well=False, code="ending", sentence="The worker ends.")


def health_of(workers: Sequence[Vitals]) -> tuple[Vitals, Health]:
    """Of several workers in one program: all of them are to be well. Of whom that is said, and what."""
    found = [(vitals, vitals.health()) for vitals in workers]
    return next((one for one in found if not one[1].well), found[0])


def readiness_of(workers: Sequence[Vitals]) -> tuple[Vitals, Health]:
    """Of several workers in one program: it takes work as long as one of them does."""
    found = [(vitals, vitals.readiness()) for vitals in workers]
    return next((one for one in found if one[1].well), found[0])


def code_of(error: MailerError) -> str:
    """A word for an error that tells no name and no address: for programs, where its sentence is for people."""
    if isinstance(error, BrokenLedgerError):
        return "ledger-broken"
    if isinstance(error, LedgerError):
        return "ledger"
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).strip("-")
