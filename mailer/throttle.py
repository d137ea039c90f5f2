"""How fast a relay lets us go that defers in storms: halved at each storm, then a little more for every good stretch.

Pure: no clock of its own, no sleeping. Quotas are known limits (`pace`); this is for those that nobody told us.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum, auto

# A storm: so many of the last so many attempts were put off. Greylisting of single recipients stays below.
WATCHED = 10
STORM = 5

# After so many accepted messages in a row the pace rises by a part of what it was before the last storm.
GOOD_STRETCH = 20
RISE = 0.1

SLOWEST = 1 / 60
"""Messages a second: even a relay in trouble is asked once a minute, so that its recovery is noticed."""

FREE = 2.0
"""Times what was sent when the first storm broke: with so much and no other storm nothing is held back any more. Freed at the same pace as it
broke at, everybody would run into the next one at full speed.
"""

OBSERVED_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """Messages a second that a relay bears, as far as its storms have taught us; None: nothing holds us back.

    `before` is what we sent when the last storm broke, `peak` the most at which one did.
    """

    rate: float | None = None
    before: float = 0.0
    peak: float = 0.0

    def after_storm(self, seen: float) -> Allowance:
        """Multiplicative decrease; `seen` are the messages a second that were sent until then."""
        before = min(seen, self.rate or seen)
        return Allowance(rate=max(SLOWEST, before / 2), before=before, peak=max(self.peak, before))

    def after_stretches(self, number: int = 1) -> Allowance:
        """Additive increase, until there is far more than when the first storm broke."""
        if self.rate is None:
            return self
        rate = self.rate + self.before * RISE * number
        return Allowance() if rate >= self.peak * FREE else replace(self, rate=rate)


class Sign(Enum):
    """What can be told from how the last attempts ended."""

    NOTHING = auto()
    STORM = auto()
    STRETCH = auto()


class Barometer:
    """Tells storms and good stretches from how attempts end."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WATCHED)
        self._stretch = 0

    def observe(self, *, put_off: bool) -> Sign:
        """Note how an attempt ended, and what that shows."""
        self._recent.append(put_off)
        self._stretch = 0 if put_off else self._stretch + 1
        if put_off and sum(self._recent) >= STORM:
            self.reset()
            return Sign.STORM
        return Sign.NOTHING if put_off or self._stretch % GOOD_STRETCH else Sign.STRETCH

    def reset(self) -> None:
        """What ended before has been heeded."""
        self._recent.clear()


class Throttle:
    """Keeps to what a relay bears, for one sender that has it alone."""

    def __init__(self) -> None:
        self._barometer = Barometer()
        self._starts: deque[float] = deque()
        self._allowed = Allowance()
        self._next = 0.0

    @property
    def rate(self) -> float | None:
        """Messages a second, or None while nothing holds us back."""
        return self._allowed.rate

    def wait(self, now: float) -> float:
        """Seconds until the next transaction may start; counts it as started then."""
        rate = self._allowed.rate
        start = max(now, self._next) if rate else now
        if rate:
            self._next = start + 1 / rate
        self._starts.append(start)
        while self._starts[0] < start - OBSERVED_SECONDS:
            self._starts.popleft()
        return start - now

    def observe(self, *, put_off: bool) -> bool:
        """Note how an attempt ended. Returns True when this begins or deepens a storm."""
        sign = self._barometer.observe(put_off=put_off)
        if sign is Sign.STORM:
            self._allowed = self._allowed.after_storm(self._seen())
        elif sign is Sign.STRETCH:
            self._allowed = self._allowed.after_stretches()
        return sign is Sign.STORM

    def _seen(self) -> float:
        return len(self._starts) / max(self._starts[-1] - self._starts[0], 1.0) if self._starts else 1.0
