"""What happened over time: how many had come by when, in steps that suit the time it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
STEPS = (0.125, 1.0, 5.0, 15.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY)
MOST_STEPS = 240
"""Points that a picture shows, about four pixels each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How many had come by when: time (Unix time) and the number so far, both rising."""

    what: str
    points: tuple[tuple[float, int], ...]

    @property
    def total(self) -> int:
        return self.points[-1][1] if self.points else 0

    def at_least(self, smallest: int) -> Course:
        """In steps of at least so many people, so that none stands for a few; nothing if there are fewer in all."""
        if self.total < smallest:
            return Course(what=self.what, points=())
        points: list[tuple[float, int]] = []
        for when, so_far in self.points:
            if so_far - (points[-1][1] if points else 0) >= smallest:
                points.append((when, so_far))
        points[-1] = (max(points[-1][0], self.points[-1][0]), self.total)
        return Course(what=self.what, points=tuple(points))


def step_for(span: tuple[float, float]) -> float:
    """Seconds, so that the span between two times has not too many steps."""
    seconds = span[1] - span[0]
    return next((step for step in STEPS if seconds / step <= MOST_STEPS), STEPS[-1])


def course(what: str, arrived: Iterable[tuple[float, int]], *, until: float) -> Course:
    """From how many came in each step to how many had come by its end, the last step's being `until` (Unix time)."""
    so_far, points = 0, []
    for when, number in arrived:
        so_far += number
        points.append((min(when, until), so_far))
    return Course(what=what, points=tuple(points))
