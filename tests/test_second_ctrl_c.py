"""The second Ctrl-C: it ends at once, and even then says what became of the message on its way, wherever it can."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import PATIENCE, Journey, Running, beginning, people

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C reaches the tests themselves there")

SAID = (
    "Ended at once. What was on its way is uncertain: nobody knows whether it arrived."
    " The same command continues with the others; to look after it: mailer resolve appeal--list"
)
SEND = ("send", "appeal", "list.csv", "--yes")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(5)) as journey:
        yield journey


@contextlib.contextmanager
def third_message_on_its_way(journey: Journey) -> Iterator[None]:
    """Wait for it in the end: the server has the third message and keeps the program waiting for the answer."""
    assert journey.server is not None
    rule = journey.server.on("accepted", nth=3, hold=True)
    yield
    assert rule.fired.wait(PATIENCE)


def pressed_twice(running: Running) -> None:
    running.interrupt()
    running.wait_for("Pausing")
    running.interrupt()


def looked_after(journey: Journey) -> None:
    """What was said is so: one message is uncertain, and the same command goes on."""
    assert journey.server is not None
    for rule in journey.server.rules:
        rule.release()
    assert journey.settled() == {"sent": 2, "uncertain": 1, "queued": 2}
    assert journey.call("resolve", "appeal--list", "--as", "sent").code == 0
    assert journey.call(*SEND).code == 0
    assert journey.settled() == {"sent": 5}


def test_a_second_ctrl_c_says_in_one_line_what_became_of_it(journey: Journey) -> None:
    with third_message_on_its_way(journey):
        running = journey.start(*SEND)
    pressed_twice(running)
    ran = journey.calm(running.ended())
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[-1] == SAID
    assert journey.call("resolve", "appeal--list").out.startswith("1 uncertain in appeal--list:")
    looked_after(journey)


def test_a_second_ctrl_c_with_json_prints_exactly_one_object(journey: Journey) -> None:
    with third_message_on_its_way(journey):
        running = journey.start(*SEND, "--json")
    pressed_twice(running)
    for _ in range(3):
        with contextlib.suppress(ProcessLookupError):
            running.interrupt()
    ran = journey.calm(running.ended())
    assert ran.code == 3
    assert ran.data["error"].startswith("Ended at once.")
    assert ran.data["hint"].endswith("mailer resolve appeal--list")
    assert ran.err.splitlines()[-1] == SAID


def test_in_a_terminal_it_gets_its_own_line_and_the_cursor_is_back(journey: Journey) -> None:
    with third_message_on_its_way(journey):
        running = journey.sit(*SEND)
    pressed_twice(running)
    ran = journey.calm(running.ended())
    assert ran.code == 3
    last = ran.out.rsplit("\x1b[?25h", 1)[1]
    assert " ".join(last.split()) == SAID
    assert all(len(line) <= 120 for line in last.splitlines())
    assert "  mailer resolve appeal--list" in last.splitlines()


def started(journey: Journey, out: int) -> Running:
    """The command with --json, its results going to this descriptor."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mailer", *SEND, "--json"],
        cwd=journey.folder,
        env=journey.environment(),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
    )
    journey.begun.append(Running(process))
    return journey.begun[-1]


@pytest.mark.parametrize("broken", [False, True], ids=["nobody reads the pipe", "the reader is gone"])
@pytest.mark.thorough
def test_results_that_nobody_reads_keep_nobody_waiting(journey: Journey, broken: bool) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4096)
    os.set_blocking(writing, True)
    with third_message_on_its_way(journey):
        running = started(journey, writing)
    if broken:
        os.close(reading)
    pressed_twice(running)
    assert running.process.wait(5.0) == 3
    assert journey.calm(running.ended()).err.splitlines()[-1] == SAID
    os.close(writing)
    if not broken:
        os.close(reading)
    looked_after(journey)
