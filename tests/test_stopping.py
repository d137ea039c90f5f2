"""Ctrl-C around the event loop: whenever it comes, it ends as tidily as in the middle."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from mailer.__main__ import main
from mailer.cli.stopping import stopping


class Stopped:
    """A run that only notes that it was stopped."""

    def __init__(self) -> None:
        self.reasons: list[object] = []

    def stop(self, reason: object) -> None:
        self.reasons.append(reason)


@pytest.fixture(autouse=True)
def handlers_as_before():
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def attached(stops: stopping, run: Stopped, *, press: bool = False) -> None:
    stops.attach(run)  # type: ignore[arg-type]
    if press:
        signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_ctrl_c_while_the_loop_is_being_closed_is_no_error() -> None:
    run = Stopped()
    with stopping() as stops, asyncio.Runner() as runner:
        runner.run(attached(stops, run))
        signal.raise_signal(signal.SIGINT)
    assert len(run.reasons) <= 1


def test_ctrl_c_after_the_loop_was_closed_is_no_error() -> None:
    run = Stopped()
    with stopping() as stops:
        with asyncio.Runner() as runner:
            runner.run(attached(stops, run))
        signal.raise_signal(signal.SIGINT)
    assert run.reasons == []


def test_ctrl_c_before_there_is_a_run_stops_it_as_it_begins() -> None:
    run = Stopped()
    with stopping() as stops, asyncio.Runner() as runner:
        signal.raise_signal(signal.SIGINT)
        runner.run(attached(stops, run))
    assert len(run.reasons) == 1


def test_ctrl_c_in_the_middle_stops_the_run() -> None:
    run = Stopped()
    with stopping() as stops, asyncio.Runner() as runner:
        runner.run(attached(stops, run, press=True))
    assert len(run.reasons) == 1


def test_ctrl_c_after_a_run_is_over_interrupts_nothing_that_is_left_to_say() -> None:
    with stopping() as stops, asyncio.Runner() as runner:
        runner.run(attached(stops, Stopped(), press=True))
    signal.raise_signal(signal.SIGINT)


ENDING = """
import signal, sys
from mailer import __main__ as program
from mailer.cli.stopping import stopping

def run(arguments):
    with stopping():
        pass
    return 0

class Late:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

program.run = run
late = Late()
sys.argv = ["mailer"]
sys.exit(program.main())
"""


def test_a_signal_while_the_program_is_torn_down_does_not_take_its_exit_code() -> None:
    assert subprocess.run([sys.executable, "-c", ENDING], check=False).returncode == 0


BREAKING = """
import signal
signal.SIGBREAK = signal.SIGUSR1  # as Windows has it: its default ends the program
import asyncio, sys
from mailer import __main__ as program
from mailer.campaign.maker import _leave_signals_to_the_run
from mailer.cli.stopping import stopping

class Run:
    def stop(self, reason):
        print(reason)

async def attached(stops):
    stops.attach(Run())
    signal.raise_signal(signal.SIGBREAK)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

def run(arguments):
    with stopping() as stops, asyncio.Runner() as runner:
        runner.run(attached(stops))
    return 0

program.run = run
assert program.main([]) == 0
assert signal.getsignal(signal.SIGBREAK) is signal.SIG_DFL, "a program that calls this one has it back"
_leave_signals_to_the_run()
signal.raise_signal(signal.SIGBREAK)
print("still there")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the signal itself is not to be sent to the tests here")
def test_ctrl_break_is_a_ctrl_c_for_whom_it_cannot_reach() -> None:
    ended = subprocess.run([sys.executable, "-c", BREAKING], check=False, capture_output=True, encoding="ascii")
    assert (ended.stdout.splitlines(), ended.returncode) == (["Paused at your request.", "still there"], 0)


INSISTING = """
import signal
from mailer.cli.stopping import stopping

with stopping():
    pass
signal.raise_signal(signal.SIGTERM)
print("still there", flush=True)
signal.raise_signal(signal.SIGTERM)
"""


def test_who_insists_ends_a_program_that_cannot_say_its_last_words() -> None:
    ended = subprocess.run([sys.executable, "-c", INSISTING], check=False, capture_output=True, encoding="ascii")
    assert (ended.stdout.strip(), ended.returncode) == ("still there", 3)


def test_a_program_that_calls_this_one_gets_its_signals_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> int:
        with stopping():
            return 0

    monkeypatch.setattr("mailer.__main__.run", run)
    assert main(["send"]) == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
