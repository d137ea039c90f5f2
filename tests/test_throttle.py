"""A relay that defers in storms is given less, and more again when it has calmed down."""

from __future__ import annotations

import time

import pytest

from mailer.pace import OwnThrottle
from mailer.pace.adaptive import RELIEF
from mailer.throttle import GOOD_STRETCH, SLOWEST, STORM, Throttle


class Relay:
    """Accepts `allowance` messages in any `seconds`, and puts off the rest."""

    def __init__(self, allowance: int, seconds: float) -> None:
        self.allowance, self.seconds = allowance, seconds
        self.accepted: list[float] = []

    def put_off(self, now: float) -> bool:
        if sum(at > now - self.seconds for at in self.accepted) >= self.allowance:
            return True
        self.accepted.append(now)
        return False


def send(throttle: Throttle, relay: Relay, count: int, *, latency: float = 0.005) -> int:
    """Send one after the other; returns how many were put off."""
    now, put_off = 0.0, 0
    for _ in range(count):
        now += throttle.wait(now) + latency
        late = relay.put_off(now)
        put_off += late
        throttle.observe(put_off=late)
    return put_off


def test_without_a_storm_nothing_is_held_back() -> None:
    throttle = Throttle()
    assert send(throttle, Relay(10**6, 1.0), 1000) == 0
    assert throttle.rate is None


def test_some_greylisting_is_no_storm() -> None:
    throttle = Throttle()
    for number in range(500):
        assert throttle.wait(number * 0.01) == 0
        throttle.observe(put_off=number % 4 == 0)
    assert throttle.rate is None


def test_a_hidden_allowance_is_found_with_few_messages_put_off() -> None:
    unthrottled = Relay(10, 5.0)
    assert sum(unthrottled.put_off(number * 0.005) for number in range(2000)) > 1900
    throttle = Throttle()
    assert send(throttle, Relay(10, 5.0), 2000) < 300


def test_a_storm_halves_the_pace_and_good_stretches_raise_it_bit_by_bit() -> None:
    throttle, now = Throttle(), 0.0
    for _ in range(100):
        now += throttle.wait(now) + 0.1
        throttle.observe(put_off=False)
    for _ in range(STORM):
        now += throttle.wait(now) + 0.1
        throttle.observe(put_off=True)
    assert throttle.rate == pytest.approx(5, rel=0.1)
    before = throttle.rate
    for _ in range(GOOD_STRETCH):
        throttle.observe(put_off=False)
    assert throttle.rate == pytest.approx(before + 1, rel=0.1)
    for _ in range(GOOD_STRETCH * 5):
        throttle.observe(put_off=False)
    assert throttle.rate == pytest.approx(before + 6, rel=0.1), (
        "as much as when it broke: from here on, too, bit by bit"
    )
    for _ in range(GOOD_STRETCH * 10):
        throttle.observe(put_off=False)
    assert throttle.rate is None


def test_the_pace_never_falls_to_nothing() -> None:
    throttle, now = Throttle(), 0.0
    for _ in range(2000):
        now += throttle.wait(now) + 0.1
        throttle.observe(put_off=True)
    assert throttle.rate == SLOWEST


def test_what_was_on_its_way_when_a_storm_broke_makes_no_second_one() -> None:
    throttle, told, begun = OwnThrottle(), [], time.time()
    for _ in range(100):
        throttle.count()
    for _ in range(STORM * 6):
        throttle.observe(put_off=True, begun_at=begun, tell=told.append)
    assert told == [throttle.rate]
    for _ in range(STORM):
        throttle.observe(put_off=True, begun_at=time.time() + 2 * RELIEF, tell=told.append)
    assert told[1:] == [throttle.rate] == [told[0] / 2]
