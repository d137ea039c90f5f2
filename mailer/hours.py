"""Office hours: when a message may leave, by the clock on the wall of whoever gets it.

What counts is what such a clock shows, so that a change to summer time needs no rule of its own: an hour that it leaves out
is not there, and one that it shows twice counts twice. Pure, but for the time zones, which the tz database knows.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mailer.errors import CampaignError
from mailer.model import said

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY, WEEK = 86_400, 604_800

EPOCH_IN_WEEK = 3 * DAY
"""1970 began on a Thursday."""

LONGEST = 3 * WEEK
"""Whoever has waited for so long waits for what never comes: hours without an end."""

WINDOW = re.compile(
    r"(?:([a-z]+)(?:\s*[-–]\s*([a-z]+))?\s+)?(\d{1,2})(?::(\d\d))?\s*[-–]\s*(\d{1,2})(?::(\d\d))?", re.IGNORECASE
)

OFF = "off"
"""What stands for no hours."""

UNKNOWN = "UTC"
"""Where somebody lives of whom nobody knows better."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the week in which messages may leave: from a second of the week, Monday's first is 0, up to another."""

    windows: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Hours:
        """`Mon-Fri 9:00-12:00, 14:00-17:00, Sat 10-14`. Hours without days are of those named before. `off` is none.

        Raises ValueError.
        """
        days: Sequence[int] = range(7)
        windows = []
        if text.strip().lower() in {OFF, "none", "no"}:
            return cls(())
        for part in text.split(","):
            found = WINDOW.fullmatch(part.strip())
            if found is None:
                raise ValueError("it is not days and hours of a week")
            first, last, *numbers = found.groups()
            if first:
                days = _days(first, last or first)
            start, end = _time(*numbers[:2]), _time(*numbers[2:])
            if start >= end:
                raise ValueError(
                    "hours end on the day on which they begin; write a night as two: 22:00-24:00, 0:00-6:00"
                )
            windows += [(day * DAY + start, day * DAY + end) for day in days]
        return cls(tuple(_merged(windows)))

    def __bool__(self) -> bool:
        """Whether there are any; without windows they were switched off, and a message may leave at any time."""
        return bool(self.windows)

    def __str__(self) -> str:
        said = []
        for times, days in groupby(((self._of_day(day), day) for day in range(7)), key=lambda one: one[0]):
            if times:
                named = [day for _, day in days]
                said.append(f"{DAYS[named[0]]}{f'-{DAYS[named[-1]]}' if len(named) > 1 else ''} {', '.join(times)}")
        return ", ".join(said)

    def _of_day(self, day: int) -> list[str]:
        first, last = day * DAY, (day + 1) * DAY
        within = [(max(start, first) - first, min(end, last) - first) for start, end in self.windows]
        return [f"{_clock(start)}-{_clock(end)}" for start, end in within if start < end]

    def is_open(self, zone: str, at: float) -> bool:
        """Whether a message may leave at that time (Unix time) to somebody in that zone."""
        return self._shows(at + offset_at(zone, at))

    def next_open(self, zone: str, at: float) -> float:
        """The first time from `at` on when it may."""
        return at if self.is_open(zone, at) else self.next_change(zone, at)

    def next_change(self, zone: str, at: float) -> float:
        """When the hours begin or end there, after `at`; infinity if they never do."""
        before, now = self.is_open(zone, at), math.floor(at)
        end = now + LONGEST
        while now < end:
            offset, steady_until = _steady(zone, now)
            # with one offset the clock on the wall goes like any other: up to the next edge nothing changes
            now = min(steady_until, self._next_edge(now + offset) - offset)
            if self.is_open(zone, now) is not before:
                return float(now)
        return math.inf

    def round(self, zones: Iterable[str], at: float) -> tuple[list[str], float]:
        """In which of these zones messages may leave now, and until when that is so."""
        here = list(zones)
        until = min((self.next_change(zone, at) for zone in here), default=math.inf)
        return [zone for zone in here if self.is_open(zone, at)], until

    def _shows(self, wall: float) -> bool:
        second = (wall + EPOCH_IN_WEEK) % WEEK
        return any(start <= second < end for start, end in self.windows)

    def _next_edge(self, wall: int) -> int:
        second = (wall + EPOCH_IN_WEEK) % WEEK
        edges = sorted({edge for window in self.windows for edge in window})
        place = bisect_right(edges, second)
        edge = edges[place] if place < len(edges) else edges[0] + WEEK
        return wall + edge - second


def _days(first: str, last: str) -> list[int]:
    start, end = _day(first), _day(last)
    return [(start + more) % 7 for more in range((end - start) % 7 + 1)]


def _day(word: str) -> int:
    for number, day in enumerate(DAYS):
        if len(word) >= 3 and f"{day}{_REST[number]}".lower().startswith(word.lower()):
            return number
    raise ValueError(said("the days are {days}", days=", ".join(DAYS)))


_REST = ("day", "sday", "nesday", "rsday", "day", "urday", "day")


def _time(hour: str, minute: str | None) -> int:
    seconds = int(hour) * 3600 + int(minute or 0) * 60
    if int(minute or 0) > 59 or seconds > DAY:
        raise ValueError("a day goes from 0:00 to 24:00")
    return seconds


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02}"


def _merged(windows: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    before: tuple[int, int] | None = None
    for start, end in sorted(windows):
        if before and start <= before[1]:
            before = (before[0], max(before[1], end))
        else:
            if before:
                yield before
            before = (start, end)
    if before:
        yield before


# -- time zones


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return {name.lower(): name for name in listed if name != "Factory"}


def zone_name(text: str) -> str | None:
    """A time zone as the tz database calls it: `europe/paris` is Europe/Paris. None if it knows none of that name."""
    return _names().get("_".join(text.split()).lower())


@lru_cache(maxsize=1000)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # another computer wrote it into the ledger
        raise CampaignError(
            said("This computer does not know the time zone {name}.", name=name),
            hint=said("{command}", command="python -m pip install --upgrade tzdata"),
        ) from None


def offset_at(zone: str, at: float) -> int:
    """Seconds that a clock there is ahead of UTC."""
    ahead = datetime.fromtimestamp(at, UTC).astimezone(_zone(zone)).utcoffset()
    assert ahead is not None
    return round(ahead.total_seconds())


def _steady(zone: str, now: int) -> tuple[int, int]:
    """How far a clock there is ahead, and until when at least that stays so, at most a day."""
    offset, low, high = offset_at(zone, now), now, now + DAY
    if offset_at(zone, high) == offset:
        return offset, high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset_at(zone, middle) == offset else (low, middle)
    return offset, high
