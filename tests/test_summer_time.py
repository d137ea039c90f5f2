"""Times by the clock on the wall, where it is put forward and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from test_postfix_log import AFTER, AT, BEFORE, HALF, LINES, doubt

from mailer.cli.detaching import moment_of
from mailer.errors import UsageError
from mailer.postfix_log import Proof, verdicts

pytestmark = pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone is the whole computer's here")

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY = 6


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def seconds(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("asked", "at", "begins"),
    [
        ("2027-03-27 20:00", "9:00", "2027-03-28 09:00"),
        ("2026-10-24 20:00", "9:00", "2026-10-25 09:00"),
        ("2027-03-28 01:00", "9:00", "2027-03-28 09:00"),
        ("2026-10-25 01:00", "9:00", "2026-10-25 09:00"),
        ("2027-01-05 08:59", "09:00", "2027-01-05 09:00"),
        ("2027-01-05 09:00", "09:00", "2027-01-06 09:00"),
        ("2027-12-31 20:00", "9:00", "2028-01-01 09:00"),
        # what is left out
        ("2027-03-28 01:30", "2:30", "2027-03-28 03:30"),
        ("2027-03-28 03:10", "2:30", "2027-03-28 03:30"),
        ("2027-03-28 03:40", "2:30", "2027-03-29 02:30"),
        ("2027-03-27 20:00", "2027-03-28 09:00", "2027-03-28 09:00"),
    ],
)
def test_the_next_time_of_the_clock_is_met_over_a_change_of_summer_time(asked: str, at: str, begins: str) -> None:
    assert moment_of(at, seconds(asked)) == seconds(begins)


def test_of_a_time_that_comes_twice_it_is_the_next_one() -> None:
    first, second = seconds("2026-10-25 02:30"), seconds("2026-10-25 02:30", fold=1)
    assert second == first + 3600
    assert moment_of("2:30", first - 60) == first
    assert moment_of("2:30", first) == second
    assert moment_of("2:30", second) == seconds("2026-10-26 02:30")


@pytest.mark.parametrize("text", ["25:00", "9:60", "noon", "0001-01-01 00:00", "2027-02-30 09:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        moment_of(text)


def last_change() -> float:
    """The last time that summer time began: on a Sunday at 01:00 UTC."""
    now = datetime.now(UTC)
    lasts = [datetime(year, 3, day, 1, tzinfo=UTC) for year in (now.year - 1, now.year) for day in range(25, 32)]
    return max(at for at in lasts if at.weekday() == SUNDAY and at < now - timedelta(days=1)).timestamp()


def test_a_log_goes_over_a_change_of_summer_time() -> None:
    later = last_change() + 3 - AT

    def shifted(line: str) -> str:
        at = datetime.strptime(f"2026 {line[:15]} +0000", "%Y %b %d %H:%M:%S %z").timestamp() + later
        return f"{datetime.fromtimestamp(at, BERLIN):%b %d %H:%M:%S}{line[15:]}"

    lines = [shifted(line) for line in LINES]
    assert {line[7:9] for line in lines} == {"01", "03"}
    moved = [replace(witness, began=witness.began + later, ended=witness.ended + later) for witness in (BEFORE, AFTER)]
    assert verdicts([lines], [doubt(began=AT + later, witnesses=moved)]) == {HALF: Proof.NOT_ACCEPTED}
