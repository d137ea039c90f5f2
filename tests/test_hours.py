"""Office hours by the clock on the wall, against a clock that is looked at minute by minute."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailer.hours import DAYS, Hours, zone_name

MINUTE = 60

ODD_ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # its clocks once changed at a minute past midnight
    "America/Santiago",  # begins summer at midnight, so that there is no midnight
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Africa/Casablanca",  # other hours in Ramadan
    "Asia/Kathmandu",
    "Pacific/Apia",  # left out a whole day
    "Pacific/Kiritimati",
)


def shown(zone: str, at: float) -> tuple[int, int]:
    """Weekday and minute of the day that a clock on the wall shows."""
    wall = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))
    return wall.weekday(), wall.hour * 60 + wall.minute


@st.composite
def weeks(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Windows as day, first minute and the one after the last."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, 1439))
        found.append((draw(st.integers(0, 6)), start, draw(st.integers(start + 1, 1440))))
    return found


def written(windows: list[tuple[int, int, int]]) -> str:
    return ", ".join(
        f"{DAYS[day]} {start // 60}:{start % 60:02}-{end // 60}:{end % 60:02}" for day, start, end in windows
    )


def days(year: int, month: int, first: int, last: int) -> st.SearchStrategy[int]:
    """Whole minutes of some days, as Unix time."""
    begin = int(datetime(year, month, first, tzinfo=UTC).timestamp()) // MINUTE
    return st.integers(begin, begin + (last - first) * 1440).map(lambda minute: minute * MINUTE)


# near changes of the clocks, where the rule is hard; 2011 for the day that Samoa left out
TIMES = st.one_of(
    days(2026, 1, 1, 366),
    days(2011, 12, 28, 32),
    days(2026, 3, 6, 31),
    days(2026, 10, 20, 34),
    days(2006, 10, 28, 30),
)


@given(zone=st.sampled_from(ODD_ZONES), week=weeks(), at=TIMES)
@settings(deadline=None)
@example("Europe/Berlin", [(6, 120, 180)], 1774746000)  # 29 March 2026: this hour is left out, and comes a week later
@example("Europe/Berlin", [(6, 120, 150)], 1792886400)  # 25 October 2026: this half hour comes twice
@example("Pacific/Apia", [(4, 540, 1020)], 1325152800)  # a Friday that there was not
def test_when_hours_change_is_what_somebody_sees_who_looks_at_the_clock_each_minute(
    zone: str, week: list[tuple[int, int, int]], at: int
) -> None:
    def may(minute: int) -> bool:
        day, wall = shown(zone, minute)
        return any(day == of and start <= wall < end for of, start, end in week)

    hours = Hours.parse(written(week))
    assert hours.is_open(zone, at) is may(at)
    changed = next(
        (minute for minute in range(at, at + 15 * 1440 * MINUTE, MINUTE) if may(minute) is not may(at)), None
    )
    if changed is not None:
        assert hours.next_change(zone, at) == changed
        assert hours.next_open(zone, at) == (at if may(at) else changed)


@given(week=weeks())
def test_hours_are_written_as_they_are_read(week: list[tuple[int, int, int]]) -> None:
    hours = Hours.parse(written(week))
    assert Hours.parse(str(hours)) == hours


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mon-Fri 9:00-17:00", "Mon-Fri 9:00-17:00"),
        (" mon - fri 9-17 ", "Mon-Fri 9:00-17:00"),
        ("Mon–Fri 9:00–17:00", "Mon-Fri 9:00-17:00"),
        ("Mon-Fri 9:00-12:00, 14:00-17:00, Sat 10-14", "Mon-Fri 9:00-12:00, 14:00-17:00, Sat 10:00-14:00"),
        ("8:30-20:00", "Mon-Sun 8:30-20:00"),
        ("Saturday-Monday 10-12", "Mon 10:00-12:00, Sat-Sun 10:00-12:00"),
        ("Mon 9-12, Mon 11-15", "Mon 9:00-15:00"),
        ("Fri 22:00-24:00, Sat 0:00-6:00", "Fri 22:00-24:00, Sat 0:00-6:00"),
    ],
)
def test_hours_are_understood_as_people_write_them(text: str, said: str) -> None:
    assert str(Hours.parse(text)) == said


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not days and hours"),
        ("in the morning", "not days and hours"),
        ("Mon-Fri", "not days and hours"),
        ("Mo-Fr 9:00-17:00", "the days are Mon, Tue"),
        ("Mon-Fri 17:00-9:00", "end on the day on which they begin"),
        ("Mon-Fri 9:00-9:00", "end on the day on which they begin"),
        ("Mon-Fri 9:00-24:30", "from 0:00 to 24:00"),
        ("Mon-Fri 9:75-17:00", "from 0:00 to 24:00"),
    ],
)
def test_what_is_not_hours_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Hours.parse(text)


def test_hours_without_an_end_never_change() -> None:
    always = Hours.parse("0:00-24:00")
    assert always.next_change("Europe/Berlin", 0) == math.inf
    assert always.round(["Europe/Berlin"], 0) == (["Europe/Berlin"], math.inf)


def test_a_round_is_over_when_the_first_zone_opens_or_closes() -> None:
    monday_ten = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
    hours = Hours.parse("Mon-Fri 9:00-17:00")
    here, until = hours.round(["Europe/Berlin", "America/New_York", "UTC"], monday_ten.timestamp())
    assert here == ["Europe/Berlin", "UTC"]
    assert datetime.fromtimestamp(until, UTC) == monday_ten + timedelta(hours=4), "New York begins"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Europe/Paris", "Europe/Paris"),
        ("europe/paris ", "Europe/Paris"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
        ("Paris", None),
        ("../../etc/passwd", None),
        ("Factory", None),
        ("", None),
    ],
)
def test_zones_are_those_of_the_tz_database(text: str, name: str | None) -> None:
    assert zone_name(text) == name
