"""What is known of the lender's clock is always true of it, however long a look takes, and a slow look spoils nothing."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailer.model import Look
from mailer.pace.places import DRIFT
from mailer.pace.reading import UNREAD, Reading

# of what the kernel allows itself, half of DRIFT each way
RATE = st.floats(1 - DRIFT / 2, 1 + DRIFT / 2)
LOOKS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 0.5), st.floats(0.0, 0.5)), min_size=1, max_size=12
)  # pause before a look, its way there, its way back
EXACT = 1e-6


@given(looks=LOOKS, rate=RATE, ahead=st.floats(-1e6, 1e9), later=st.floats(-0.5, 5.0))
def test_what_is_said_of_the_lenders_clock_is_true(
    looks: list[tuple[float, float, float]], rate: float, ahead: float, later: float
) -> None:
    def lender(at: float) -> float:
        return ahead + at * rate

    reading, now = UNREAD, 100.0
    for pause, there, back in looks:
        after = now + pause
        now = after + there + back
        reading = Reading.of(Look(after, lender(after + there), now)).narrowed(reading)
        assert reading.least - EXACT <= lender(now) <= reading.most + EXACT
    at = now + later
    assert lender(at) <= reading.latest(at) + EXACT
    then = lender(at)
    starts = reading.surely(then)
    assert lender(starts) >= min(then, lender(now)) - EXACT
    assert starts >= now


def test_the_quickest_look_of_late_counts() -> None:
    quick = Reading.of(Look(10.0, 1000.0, 10.002))
    slow = Reading.of(Look(10.9, 1001.0, 11.1))
    both = slow.narrowed(quick)
    assert both.most - both.least < 0.005
    assert slow.most - slow.least > 0.19


def test_it_fades_as_clocks_may_drift() -> None:
    readings = [Reading.of(Look(10.0, 1000.0, 10.002))]
    for second in range(1, 120):
        readings.append(Reading.of(Look(10.0 + second, 1000.05 + second, 10.1 + second)).narrowed(readings[-1]))
    widths = [one.most - one.least for one in readings]
    assert all(one < other for one, other in pairwise(widths[:40]))
    assert widths[-1] <= 0.1 * (1 + DRIFT)


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    before = Reading.of(Look(10.0, 1000.0, 10.002))
    for now in (900.0, 1100.0):
        after = Reading.of(Look(11.0, now, 11.1))
        assert after.narrowed(before) == after


def test_before_the_first_look_nothing_is_known() -> None:
    assert UNREAD.latest(5.0) == math.inf
    first = Reading.of(Look(10.0, 1000.0, 10.1))
    assert first.narrowed(UNREAD) == first
