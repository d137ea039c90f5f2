"""Deferred deliveries come back in time, and a campaign that does harm is stopped."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.model import Outcome, Phase, Scope, Verdict
from mailer.retry import DAY, HOUR, MINUTE, BounceBrake, PolicyStreak, next_attempt

T = 1_700_000_000.0


def schedule(jitter):
    """All attempts of a delivery that is deferred each time, and takes no time."""
    times = [T]
    while (due := next_attempt(len(times), times[-1], T, jitter=jitter)) is not None:
        times.append(due)
    return times


def test_attempts_come_after_6_and_30_minutes_then_1_2_4_8_hours_then_every_8_until_4_days():
    times = schedule(0.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[:6] == [6 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR]
    assert set(gaps[6:]) == {8 * HOUR}
    assert T + 4 * DAY - 8 * HOUR < times[-1] <= T + 4 * DAY


@given(seed=st.integers())
def test_chance_moves_each_attempt_by_at_most_a_tenth_and_never_past_the_end(seed):
    times = schedule(random.Random(seed))
    plain = [6 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR] + [8 * HOUR] * 20
    for earlier, later, delay in zip(times, times[1:], plain, strict=False):
        assert 0.9 * delay - 1e-3 <= later - earlier <= 1.1 * delay + 1e-3
    assert times[-1] <= T + 4 * DAY


def test_two_deliveries_do_not_come_back_at_the_same_moment():
    chance = random.Random(7)
    assert len({next_attempt(1, T, T, jitter=chance) for _ in range(100)}) == 100


@pytest.mark.parametrize(("jitter", "delay"), [(-1.0, 324), (0.5, 378), (1.0, 396), (9.0, 396)])
def test_a_number_as_jitter_is_a_place_within_the_tenth(jitter, delay):
    assert next_attempt(1, T, T, jitter=jitter) == pytest.approx(T + delay)


def test_a_laptop_that_slept_too_long_ends_the_retries_but_not_before_the_fourth():
    assert next_attempt(4, T + 5 * DAY, T) is None
    assert next_attempt(3, T + 5 * DAY, T) == T + 5 * DAY + HOUR


def test_nobody_is_given_up_for_a_clock_that_was_a_year_slow():
    assert next_attempt(2, T + 400 * DAY, T) is not None


def test_a_shorter_time_ends_with_a_last_try():
    assert next_attempt(3, T, T - HOUR, longest=90 * MINUTE) == T + 30 * MINUTE
    assert next_attempt(4, T + 30 * MINUTE, T - HOUR, longest=90 * MINUTE) is None


def test_the_brake_needs_both_a_number_and_a_share_of_failures():
    brake = BounceBrake()
    assert not any(brake.record(T + n, failed=True) for n in range(4))
    assert brake.record(T + 5, failed=True)
    assert brake.counts == (5, 5)
    brake = BounceBrake()
    assert not any(brake.record(T, failed=False) for _ in range(46))
    assert not any(brake.record(T, failed=True) for _ in range(5))
    assert brake.record(T, failed=True)  # 6 of 52


def test_exactly_five_failures_and_ten_percent_pull_the_brake():
    brake = BounceBrake()
    for _ in range(45):
        brake.record(T, failed=False)
    assert [brake.record(T, failed=True) for _ in range(5)] == [False, False, False, False, True]


def test_failures_older_than_an_hour_are_forgotten():
    brake = BounceBrake()
    for _ in range(4):
        brake.record(T, failed=True)
    assert not brake.record(T + HOUR, failed=True)
    assert brake.counts == (1, 1)


def test_the_brake_is_loosened_by_a_person():
    brake = BounceBrake(failures=1, percent=0)
    assert brake.record(T, failed=True)
    brake.reset()
    assert not brake.tripped
    assert not brake.record(T, failed=False)


@given(
    steps=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=60),
    failures=st.integers(1, 5),
    percent=st.integers(0, 100),
)
def test_the_brake_agrees_with_counting_by_hand(steps, failures, percent):
    brake = BounceBrake(failures=failures, percent=percent, seconds=100)
    at, seen = T, []
    for gap, failed in steps:
        at += gap
        seen.append((at, failed))
        recent = [bad for when, bad in seen if when > at - 100]
        expected = sum(recent) >= failures and sum(recent) / len(recent) * 100 >= percent - 1e-9
        assert brake.record(at, failed=failed) == expected
        assert brake.counts == (sum(recent), len(recent))


def test_a_clock_set_back_does_not_confuse_the_brake():
    brake = BounceBrake(failures=2)
    brake.record(T, failed=True)
    assert brake.record(T - 9000, failed=True)


def outcome(verdict, scope):
    return Outcome(verdict=verdict, scope=scope, phase=Phase.FINAL_DOT, text="")


def test_three_refusals_for_policy_in_a_row_stop_and_an_accepted_message_starts_afresh():
    refused = outcome(Verdict.FAILED, Scope.POLICY)
    later = outcome(Verdict.DEFERRED, Scope.POLICY)
    dead = outcome(Verdict.FAILED, Scope.RECIPIENT)
    sent = outcome(Verdict.SENT, Scope.RECIPIENT)
    streak = PolicyStreak()
    assert [streak.record(each) for each in (refused, later, sent, refused, dead, later, refused)] == [False] * 6 + [
        True
    ]
