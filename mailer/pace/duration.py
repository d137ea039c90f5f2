"""How long something takes that is done again and again."""

from __future__ import annotations

NEWEST = 1 / 8
NEWEST_DEVIATION = 1 / 4
DEVIATIONS = 2


class Duration:
    """Learned as TCP learns how long an answer takes (RFC 6298, 2): the mean, and what is usual beyond it. In seconds."""

    def __init__(self) -> None:
        self._mean: float | None = None
        self._deviation = 0.0

    def add(self, seconds: float) -> None:
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
        else:
            off = seconds - self._mean
            self._deviation += (abs(off) - self._deviation) * NEWEST_DEVIATION
            self._mean += off * NEWEST

    @property
    def likely(self) -> float:
        """What it seldom takes longer than; 0 before anything is known."""
        return 0.0 if self._mean is None else self._mean + DEVIATIONS * self._deviation
