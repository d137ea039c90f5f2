"""A moment comes by the clock on the wall or by the steady one, whichever is first; and whoever waits for it can be called off."""

from __future__ import annotations

import asyncio
import time

import pytest

from mailer import deadline
from mailer.deadline import Deadline


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "SLICE", 0.02)


@pytest.mark.parametrize(
    ("moment", "least"),
    [
        (lambda: Deadline.after(0.1), 0.1),
        (lambda: Deadline.after(-1), 0),
        (lambda: Deadline.at(time.time() + 0.1), 0.1),
        (lambda: Deadline.at(time.time() + 9999, 0.1), 0.1),
        (lambda: Deadline.at(time.time() - 1, 9999), 0),
    ],
)
async def test_it_comes_when_one_of_its_clocks_says_so(moment: object, least: float) -> None:
    began = time.monotonic()
    waited_for = moment()  # type: ignore[operator]
    await asyncio.wait_for(waited_for.wait(asyncio.Event()), 5)
    assert waited_for.left <= 0
    assert least - 0.01 <= time.monotonic() - began


@pytest.mark.parametrize("days", [-1, 0])
async def test_a_clock_that_is_set_back_makes_it_no_longer(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    moment, real = Deadline.after(0.1), time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    await asyncio.wait_for(moment.wait(asyncio.Event()), 5)


async def test_a_night_asleep_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, real = Deadline.after(36_000), time.time
    waiting = asyncio.ensure_future(moment.wait(asyncio.Event()))
    await asyncio.sleep(0)
    monkeypatch.setattr(time, "time", lambda: real() + 36_001)
    await asyncio.wait_for(waiting, 5)


async def test_whoever_waits_is_called_off_at_once() -> None:
    over = asyncio.Event()
    waiting = asyncio.ensure_future(Deadline.after(9999).wait(over))
    await asyncio.sleep(0)
    over.set()
    await asyncio.wait_for(waiting, 5)
