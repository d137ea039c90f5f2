"""How fast a relay lets us go that defers in storms: halved at each storm, then a little more for every good stretch.

Pure: no clock of its own, no sleeping. Quotas are known limits (`pace`); this is for those that nobody told us.
"""

from __future__ import annotations

from collections import deque

# A storm: so many of the last so many attempts were put off. Greylisting of single recipients stays below.
WATCHED = 10
STORM = 5

# After so many accepted messages in a row the pace rises by a part of what it was before the last storm.
GOOD_STRETCH = 20
RISE = 0.1

SLOWEST = 1 / 60
"""Messages a second: even a relay in trouble is asked once a minute, so that its recovery is noticed."""

OBSERVED_SECONDS = 30.0


class Throttle:
    """Additive increase, multiplicative decrease over the rate of transactions, once a storm has shown that one is due."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WATCHED)
        self._starts: deque[float] = deque()
        self._peak = 0.0
        self._before = 0.0
        self._rate: float | None = None
        self._stretch = 0
        self._next = 0.0

    @property
    def rate(self) -> float | None:
        """Messages a second, or None while nothing holds us back."""
        return self._rate

    def wait(self, now: float) -> float:
        """Seconds until the next transaction may start; counts it as started then."""
        start = max(now, self._next) if self._rate else now
        if self._rate:
            self._next = start + 1 / self._rate
        self._starts.append(start)
        while self._starts[0] < start - OBSERVED_SECONDS:
            self._starts.popleft()
        return start - now

    def observe(self, *, put_off: bool) -> bool:
        """Note how an attempt ended. Returns True when this begins or deepens a storm."""
        self._recent.append(put_off)
        if put_off:
            self._stretch = 0
            if sum(self._recent) >= STORM:
                self._recent.clear()
                self._slow_down()
                return True
        else:
            self._stretch += 1
            if self._rate and self._stretch % GOOD_STRETCH == 0:
                self._speed_up()
        return False

    def _slow_down(self) -> None:
        seen = len(self._starts) / max(self._starts[-1] - self._starts[0], 1.0) if self._starts else 1.0
        self._before = min(seen, self._rate or seen)
        self._peak = max(self._peak, self._before)
        self._rate = max(SLOWEST, self._before / 2)

    def _speed_up(self) -> None:
        assert self._rate is not None
        self._rate += self._before * RISE
        if self._rate >= self._peak:
            self._rate, self._peak = None, 0.0
