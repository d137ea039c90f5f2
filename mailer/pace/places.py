"""The places of a quota: how many are taken, and until when."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from mailer.model import Quota

DRIFT = 0.001
"""The part by which our clock may be faster than the server's."""

GRAIN = 0.002
"""Seconds by which a stored time of day may be off: a millisecond if it was rounded to one, and what a float of it leaves out."""


class Window:
    """The places of one quota: those of transactions under way, and when the latest finished ones were answered."""

    __slots__ = ("count", "finished", "quota", "span", "under_way")

    def __init__(self, quota: Quota, finished: Iterable[float] = ()) -> None:
        self.quota = quota
        self.count = quota.count
        self.span = quota.seconds * (1 + DRIFT)
        self.under_way = 0
        self.finished = deque(finished, maxlen=quota.count)

    def free_at(self) -> float:
        """When a place is free: minus infinity for always, infinity if that depends on a transaction under way."""
        free = self.count - self.under_way
        if free <= 0:
            return math.inf
        oldest = len(self.finished) - free
        return self.finished[oldest] + self.span if oldest >= 0 else -math.inf

    def finish(self, at: float) -> None:
        """A transaction under way was answered."""
        self.under_way -= 1
        finished = self.finished
        # Out of order can only make us slower: the later time counts.
        finished.append(finished[-1] if finished and finished[-1] > at else at)

    def add(self, times: Iterable[float]) -> None:
        """Messages were answered before, in any order."""
        self.finished = deque(sorted((*self.finished, *times)), maxlen=self.count)

    def counts(self, now: float) -> bool:
        """Whether any place is taken."""
        return bool(self.under_way or (self.finished and self.finished[-1] + self.span > now))


class Group:
    """The domains that share a quota (or have none of their own).

    The rest belongs to those who wait: whether somebody does, when they may go on as far as the group's own quotas are
    concerned, and the number of the entry that says so.
    """

    __slots__ = ("awaited", "due", "own", "stamp", "windows")

    def __init__(self, shared: tuple[Window, ...], own: tuple[Window, ...] = ()) -> None:
        self.own = own
        self.windows = (*shared, *own)
        self.awaited = False
        self.due = -math.inf
        self.stamp = 0

    def counts(self, now: float) -> bool:
        """Whether any of its own places is taken, or is waited for."""
        return self.awaited or any(window.counts(now) for window in self.own)


def free_at(windows: tuple[Window, ...]) -> float:
    """When each of them has a place."""
    latest = -math.inf
    for window in windows:
        at = window.free_at()
        if at > latest:  # noqa: PLR1730 - max() would double the cost of the hottest line
            latest = at
    return latest


def then(at: float, today: float, now: float) -> float:
    """A Unix time by our own clock, which shows `now` at the Unix time `today`. What is to come counts as now."""
    return now - max(0.0, today - at - GRAIN)


def reach(quotas: Iterable[Quota]) -> tuple[int, int]:
    """How many seconds back, and to how many of the newest messages, quotas look."""
    seconds, count = 0, 0
    for quota in quotas:
        seconds = max(seconds, math.ceil(quota.seconds * (1 + DRIFT) + GRAIN))
        count = max(count, quota.count)
    return seconds, count
