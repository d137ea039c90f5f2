"""When to try again, and when to stop trying: for one delivery, and for the campaign as a whole. No I/O, no clock."""

from __future__ import annotations

import random
from collections import deque

from mailer.model import Outcome, Scope, Verdict

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DELAYS = (6 * MINUTE, 30 * MINUTE, 1 * HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
"""After the first attempt, the second, and so on; the last one repeats. Six minutes outlast usual greylisting."""

LONGEST = 4 * DAY
"""RFC 5321, 4.5.4.1: the give-up time is at least four to five days."""

FEWEST = 4
"""Tries before anybody is given up after LONGEST: whoever comes back a week later, or had a wrong clock, loses nobody."""

LAST = MINUTE
"""Seconds: with less time left than this, there is no last try at the end of it."""

JITTER = 0.1
"""As a fraction of the delay, so that a thousand greylisted messages do not come back at the same moment."""


def next_attempt(
    attempts: int,
    now: float,
    first_attempt_at: float,
    *,
    jitter: random.Random | float = 0.0,
    longest: float = LONGEST,
) -> float | None:
    """When to try a deferred delivery again (Unix time, after `now`), or None if its time is used up, `longest` seconds.

    Where somebody chose a shorter time, the last try comes at its end, however long the pause would be. `attempts` are those made, at least one. `jitter` is a source of chance, or the place between -1 (10 % earlier) and 1.
    """
    delay = DELAYS[min(max(attempts, 1), len(DELAYS)) - 1]
    chance = jitter.uniform(-1, 1) if isinstance(jitter, random.Random) else max(-1.0, min(1.0, jitter))
    due = now + delay * (1 + JITTER * chance)
    end = first_attempt_at + longest
    if longest >= LONGEST:
        return due if due <= end or attempts < FEWEST else None
    return due if due <= end else end if end - now >= LAST else None


class BounceBrake:
    """Says when too many addresses are dead: both `failures` and `percent` reached within a rolling `seconds`.

    Counted by the second, so that memory stays small at any speed.
    """

    def __init__(self, *, failures: int = 5, percent: float = 10.0, seconds: float = HOUR) -> None:
        self.failures = failures
        self.percent = percent
        self.seconds = seconds
        # of each second in which somebody was tried: which it was, how many were, and how many of them failed
        self._buckets: deque[list[int]] = deque()
        self._tried = 0
        self._failed = 0

    def record(self, at: float, *, failed: bool) -> bool:
        """Count one delivery that came to an end at `at` (seconds, not going back). True: pause now."""
        if not self._buckets or self._buckets[-1][0] < int(at):
            self._begin(int(at))
        newest = self._buckets[-1]
        newest[1] += 1
        self._tried += 1
        if failed:
            newest[2] += 1
            self._failed += 1
        return self.tripped

    def _begin(self, second: int) -> None:
        self._buckets.append([second, 0, 0])
        while self._buckets[0][0] <= second - self.seconds:
            _, tried, dead = self._buckets.popleft()
            self._tried -= tried
            self._failed -= dead

    @property
    def tripped(self) -> bool:
        return self._failed >= max(1, self.failures) and self._failed * 100 >= self.percent * self._tried

    @property
    def counts(self) -> tuple[int, int]:
        """Failures and deliveries within the window, for the sentence that explains a pause."""
        return self._failed, self._tried

    def reset(self) -> None:
        """A person has looked and wants to go on."""
        self._buckets.clear()
        self._tried = self._failed = 0


class PolicyStreak:
    """Says when refusals for policy or reputation come in a row; only an accepted message ends the row."""

    def __init__(self, limit: int = 3) -> None:
        self.limit = limit
        self.length = 0

    def record(self, outcome: Outcome) -> bool:
        """Count one outcome. True: stop now."""
        if outcome.verdict is Verdict.SENT:
            self.length = 0
        elif outcome.scope is Scope.POLICY:
            self.length += 1
        return self.length >= self.limit
