"""How a send ends when its owner wants it to: the terminal is whole again, and a closed window is a pause."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import PATIENCE, Journey, beginning, people

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals and terminals")

COUNT = 12


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(COUNT)) as journey:
        yield journey


def test_a_second_ctrl_c_gives_the_cursor_back(journey: Journey) -> None:
    rule = journey.server.on("accepted", nth=5, hold=True)
    running = journey.sit("send", *journey.campaign, "--yes")
    assert rule.fired.wait(PATIENCE)
    running.wait_for("\x1b[?25l")
    running.interrupt()
    running.wait_for("Pausing")
    running.interrupt()
    ran = running.ended()
    rule.release()
    assert ran.code == 3
    assert ran.out.rindex("\x1b[?25h") > ran.out.rindex("\x1b[?25l")


def test_a_closed_window_pauses_and_nobody_is_in_doubt(journey: Journey) -> None:
    rule = journey.server.on("accepted", nth=5, hold=True)
    running = journey.sit("send", *journey.campaign, "--yes")
    assert rule.fired.wait(PATIENCE)
    running.interrupt(signal.SIGHUP)
    rule.release()
    assert running.ended().code == 3
    assert journey.settled() == {"sent": 5, "queued": COUNT - 5}


def test_where_a_hangup_is_ignored_it_stays_so(journey: Journey) -> None:
    rule = journey.server.on("accepted", nth=5, hold=True)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        running = journey.start("send", *journey.campaign, "--yes")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert rule.fired.wait(PATIENCE)
    running.interrupt(signal.SIGHUP)
    rule.release()
    assert running.ended().code == 0
    assert journey.settled() == {"sent": COUNT}
