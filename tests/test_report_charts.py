"""Where words stand beside the lines of a picture: apart from each other, and inside it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailer.report.charts import apart
from mailer.report.drawing import LINE

TOP, BOTTOM = 12.0, 200.0

ends = st.lists(st.floats(TOP, BOTTOM).map(lambda place: round(place, 2)), min_size=1, max_size=8)


@given(ends)
def test_names_of_lines_do_not_touch_keep_their_order_and_stay_below_the_top(places: list[float]) -> None:
    moved = apart(places, highest=TOP)
    upwards = [place for _, place in sorted(zip(places, moved, strict=True), key=lambda both: (-both[0], -both[1]))]
    assert all(lower - higher >= LINE - 0.01 for lower, higher in pairwise(upwards))
    assert min(moved) >= TOP


def test_three_lines_that_end_at_the_top_have_their_names_below_each_other() -> None:
    assert apart([TOP] * 3, highest=TOP) == [TOP + 2 * LINE, TOP + LINE, TOP]


def test_names_that_have_room_stay_beside_their_lines() -> None:
    assert apart([190.0, 20.0, 100.0], highest=TOP) == [190.0, 20.0, 100.0]
