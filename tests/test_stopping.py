"""Ctrl-C around the event loop: whenever it comes, it ends as tidily as in the middle."""

from __future__ import annotations

import asyncio
import signal

import pytest

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
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
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
