"""Quotas hold in every window, as the server sees it; proved on an event loop whose time is simulated."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_time import EPOCH, START, Loop

from mailer.model import Quota
from mailer.pace import DRIFT, GRAIN, Pace


@pytest.fixture
def loop():
    with_simulated_time = Loop()
    yield with_simulated_time
    with_simulated_time.close()


def paced(loop, account, domains=None):
    return Pace(Quota.parse_all(account), domains and {k: Quota.parse_all(v) for k, v in domains.items()},
                clock=loop.time, wall=loop.wall)  # fmt: skip


def after(seconds, *, window):
    """When a message may follow one of which `seconds` of the window are still to pass, on the slowest of clocks."""
    return START + seconds + window * DRIFT


def assert_kept(quota, times):
    """No half-open window of `seconds` holds more than `count`: each time is `seconds` after the `count`-th before."""
    times = sorted(times)
    for earlier, later in zip(times, times[quota.count :], strict=False):
        assert later >= earlier + quota.seconds


async def send_all(pace, jobs, *, connections, latency, seed):
    """Several connections send; the server counts a message at a random moment before its reply. -> {domain: times}."""
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    counted = defaultdict(list)
    replies = []
    queue = list(reversed(jobs))

    async def connection():
        while queue:
            domain = queue.pop()
            slot = await pace.reserve(domain)
            if chance.random() < 0.1:
                slot.cancel()
                continue
            before, after = chance.random() * latency, chance.random() * latency
            await asyncio.sleep(before)
            counted[domain].append(loop.time())
            await asyncio.sleep(after)
            slot.done()
            replies.append((loop.wall(), domain))

    await asyncio.gather(*(connection() for _ in range(connections)))
    return counted, replies


quotas = st.lists(st.builds(Quota, count=st.integers(1, 7), seconds=st.sampled_from([1, 2, 5, 10, 60])), max_size=3)


@settings(max_examples=120, deadline=None)
@given(
    account=quotas,
    domain=quotas,
    jobs=st.lists(st.sampled_from(["a.example", "b.example", "mx.a.example"]), max_size=40),
    connections=st.integers(1, 6),
    latency=st.sampled_from([0.0, 0.01, 0.4, 3.0, 70.0]),
    seed=st.integers(0, 999),
    restart=st.integers(0, 40),
)
def test_no_window_of_the_account_or_a_domain_ever_holds_more_than_its_quota_even_across_a_restart(
    *, account, domain, jobs, connections, latency, seed, restart
):
    loop = Loop()
    try:
        times, history = defaultdict(list), []
        for part in (jobs[:restart], jobs[restart:]):
            pace = Pace(account, {"A.Example": domain}, clock=loop.time, wall=loop.wall)
            pace.preload(history)
            counted, replies = loop.run_until_complete(
                send_all(pace, part, connections=connections, latency=latency, seed=seed)
            )
            history += replies
            for name, at in counted.items():
                times[name] += at
    finally:
        loop.close()
    for quota in account:
        assert_kept(quota, [at for name in times for at in times[name]])
    for quota in domain:
        assert_kept(quota, times["a.example"] + times["mx.a.example"])


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 20),
    seconds=st.sampled_from([1, 60, 3600]),
    connections=st.integers(1, 8),
    rounds=st.integers(2, 6),
)
def test_at_least_98_percent_of_the_quota_is_used_while_there_is_work(count, seconds, connections, rounds):
    loop = Loop()
    pace = Pace([Quota(count=count, seconds=seconds)], clock=loop.time, wall=loop.wall)
    sent = []

    async def connection():
        while len(sent) < count * rounds + 1:
            slot = await pace.reserve("a.example")
            sent.append(loop.time())
            await asyncio.sleep(seconds * 0.01 / connections)
            slot.done()

    async def run():
        await asyncio.gather(*(connection() for _ in range(connections)))

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    assert sent[count * rounds] - START <= rounds * seconds / 0.98


def test_a_burst_goes_out_at_once_and_the_next_waits_exactly_for_the_first_to_age(loop):
    pace = paced(loop, "3/minute")

    async def run():
        for _ in range(3):
            (await pace.reserve("a.example")).done()
        first = loop.time()
        assert first - START < 0.001
        assert pace.next_start("a.example") == pytest.approx(after(60, window=60))
        await pace.reserve("a.example")
        assert after(60, window=60) <= loop.time() < after(60.001, window=60)

    loop.run_until_complete(run())


def test_a_transaction_under_way_keeps_its_place_however_long_it_takes(loop):
    pace = paced(loop, "1/second")

    async def run():
        slot = await pace.reserve("a.example")
        assert pace.next_start("a.example") is None
        waiter = asyncio.ensure_future(pace.reserve("a.example"))
        await asyncio.sleep(100)
        assert not waiter.done()
        slot.done()
        ended = loop.time()
        await waiter
        assert ended + 1 + DRIFT <= loop.time() < ended + 1.001 + DRIFT

    loop.run_until_complete(run())


def test_a_cancelled_slot_lets_the_next_one_start_at_once(loop):
    pace = paced(loop, "1/day")

    async def run():
        slot = await pace.reserve("a.example")
        waiter = asyncio.ensure_future(pace.reserve("a.example"))
        await asyncio.sleep(1)
        slot.cancel()
        slot.done()
        await waiter
        assert loop.time() < START + 1.001

    loop.run_until_complete(run())


def test_who_waits_for_one_domain_does_not_hold_up_another(loop):
    pace = paced(loop, "100/minute", {"slow.example": "1/hour"})
    order = []

    async def one(name, domain):
        slot = await pace.reserve(domain)
        order.append((name, round(loop.time() - START)))
        slot.done()

    async def run():
        names = [
            ("s1", "slow.example"),
            ("s2", "SLOW.example"),
            ("s3", "mx.slow.example."),
            ("f1", "x.test"),
            ("f2", "y.test"),
        ]
        await asyncio.gather(*(one(name, domain) for name, domain in names))

    loop.run_until_complete(run())
    assert order == [("s1", 0), ("f1", 0), ("f2", 0), ("s2", 3604), ("s3", 7207)]


def test_a_domain_that_only_looks_alike_has_no_share_in_a_quota(loop):
    pace = paced(loop, "", {"slow.example": "1/hour", "big.slow.example": "2/hour"})

    async def run():
        for domain in ("slow.example", "big.slow.example"):
            await pace.reserve(domain)
        for _ in range(5):
            await pace.reserve("notslow.example")

    loop.run_until_complete(run())
    assert pace.next_start("notslow.example") == loop.time()
    assert pace.next_start("a.slow.example") is None
    assert pace.next_start("a.big.slow.example") == loop.time()


def test_those_who_wait_are_served_in_the_order_they_came(loop):
    pace = paced(loop, "1/second", {"a.example": "1/second"})
    order = []

    async def one(number):
        slot = await pace.reserve("a.example" if number % 2 else "b.example")
        order.append(number)
        slot.done()

    async def run():
        await asyncio.gather(*(one(number) for number in range(10)))

    loop.run_until_complete(run())
    assert order == list(range(10))


def test_waiting_wakes_once_and_does_not_poll(loop):
    pace = paced(loop, "1/day")

    async def run():
        (await pace.reserve("a.example")).done()
        before = loop.selector.selects
        await pace.reserve("a.example")
        return loop.selector.selects - before

    assert loop.run_until_complete(run()) < 6


def test_the_quota_that_holds_us_back_is_named_with_the_time_it_lasts(loop):
    pace = paced(loop, "2/minute, 3/hour", {"a.example": "1/hour"})

    async def run():
        assert pace.waiting_for("a.example") is None
        (await pace.reserve("a.example")).done()
        assert pace.waiting_for("b.example") is None
        quota, until = pace.waiting_for("a.example")
        assert str(quota) == "1/hour"
        assert until == pytest.approx(EPOCH + START + 3600)
        slot = await pace.reserve("b.example")
        assert str(pace.waiting_for("b.example")[0]) == "2/minute"
        slot.done()
        assert pace.waiting_for("b.example")[1] == pytest.approx(EPOCH + START + 60)

    loop.run_until_complete(run())


def test_a_quota_full_of_transactions_under_way_is_named_too(loop):
    pace = paced(loop, "1/minute")

    async def run():
        await pace.reserve("a.example")

    loop.run_until_complete(run())
    assert pace.waiting_for("a.example")[0] == Quota(count=1, seconds=60)


def test_history_keeps_the_limit_across_a_restart_and_a_time_in_the_future_counts_as_now(loop):
    now = loop.wall()
    pace = paced(loop, "2/hour")
    pace.preload([(now + 86_400, "a.example"), (now - 600, "b.example"), (now - 90_000, "b.example")])
    assert pace.next_start("a.example") == pytest.approx(after(3000, window=3600))
    pace = paced(loop, "2/hour")
    pace.preload([(now + 86_400, "a.example"), (now + 1, "b.example")])
    assert pace.next_start("a.example") == pytest.approx(after(3600, window=3600))
    assert 3600 * (1 + DRIFT) + GRAIN <= pace.longest_window < 3605


def test_history_can_be_given_in_parts_and_in_any_order(loop):
    now = loop.wall()
    pace = paced(loop, "2/hour")
    pace.preload([(now - 10, "a.example")])
    pace.preload([(now - 600, "a.example"), (now - 1200, "a.example")])
    assert pace.next_start("a.example") == pytest.approx(after(3000, window=3600))


def test_setting_the_wall_clock_changes_nothing_inside_the_process(loop):
    wall = EPOCH
    pace = Pace([Quota(count=1, seconds=60)], clock=loop.time, wall=lambda: wall)

    async def run():
        nonlocal wall
        (await pace.reserve("a.example")).done()
        wall = 0.0
        assert pace.next_start("a.example") == pytest.approx(after(60, window=60))
        wall = EPOCH * 2
        assert pace.next_start("a.example") == pytest.approx(after(60, window=60))

    loop.run_until_complete(run())


def test_a_stop_sends_everybody_who_waits_away(loop):
    pace = paced(loop, "1/day")

    async def run():
        slot = await pace.reserve("a.example")
        waiters = [asyncio.ensure_future(pace.reserve("a.example")) for _ in range(3)]
        await asyncio.sleep(0)
        pace.stop()
        assert await asyncio.gather(*waiters) == [None, None, None]
        assert await pace.reserve("b.example") is None
        slot.done()

    loop.run_until_complete(run())
    assert loop.time() < START + 1


def test_a_waiter_cancelled_before_or_just_as_its_turn_comes_leaves_its_place_to_the_next(loop):
    pace = paced(loop, "1/day")

    async def run():
        slot = await pace.reserve("a.example")
        early, late, last = (asyncio.ensure_future(pace.reserve("a.example")) for _ in range(3))
        await asyncio.sleep(0)
        early.cancel()
        slot.cancel()
        late.cancel()
        assert await last is not None
        assert early.cancelled()
        assert late.cancelled()

    loop.run_until_complete(run())
    assert loop.time() < START + 1


def test_a_reply_time_in_the_future_or_out_of_order_cannot_loosen_the_quota(loop):
    pace = paced(loop, "2/minute")

    async def run():
        first, second = await pace.reserve("a.example"), await pace.reserve("a.example")
        await asyncio.sleep(10)
        first.done(at=START + 1e9)
        second.done(at=START)

    loop.run_until_complete(run())
    assert pace.next_start("a.example") == pytest.approx(after(70, window=60))


def test_without_quotas_nothing_waits(loop):
    pace = Pace([])

    async def run():
        return [await pace.reserve("a.example") for _ in range(1000)]

    assert all(loop.run_until_complete(run()))
    assert pace.longest_window == 0
    assert pace.waiting_for("a.example") is None


def test_a_quota_for_each_domain_counts_every_domain_for_itself(loop):
    pace = paced(loop, "", {"*": "2/minute", "big.example": "5/minute"})
    jobs = ["a.example", "b.example", "sub.a.example", "big.example"] * 6
    counted, _ = loop.run_until_complete(send_all(pace, jobs, connections=len(jobs), latency=0.01, seed=1))
    assert 60 < pace.longest_window < 62
    for domain, times in counted.items():
        assert_kept(Quota.parse("5/minute" if domain == "big.example" else "2/minute"), times)
    # each for itself: none of them had to wait for another one's window
    first = {domain: sum(at < START + 59 for at in times) for domain, times in counted.items()}
    assert first == {"a.example": 2, "b.example": 2, "sub.a.example": 2, "big.example": 5}


def test_a_message_to_nobody_knows_whom_counts_for_every_domain(loop):
    now = loop.wall()
    pace = paced(loop, "9/hour", {"a.example": "1/hour", "*": "1/hour"})
    pace.preload([(now - 600, "")])
    for domain in ("a.example", "b.example"):
        assert pace.next_start(domain) == pytest.approx(after(3000, window=3600))


def test_what_went_over_another_account_counts_for_its_domain_only(loop):
    now = loop.wall()
    pace = paced(loop, "2/hour", {"a.example": "1/hour"})
    pace.preload([], [(now - 600, "a.example"), (now - 600, "b.example")])
    assert pace.next_start("a.example") == pytest.approx(after(3000, window=3600))
    assert pace.next_start("b.example") == START


def test_a_quota_for_each_domain_is_kept_across_a_restart(loop):
    now = loop.wall()
    pace = paced(loop, "9/hour", {"*": "1/hour"})
    pace.preload([(now - 600, "a.example")])
    assert pace.next_start("a.example") == pytest.approx(after(3000, window=3600))
    assert pace.next_start("b.example") == START


def test_without_waiting_a_slot_is_had_only_if_a_transaction_may_start_now(loop):
    pace = paced(loop, "2/minute")

    async def run():
        first = pace.try_reserve("a.example")
        assert not pace.unlimited
        assert pace.try_reserve("b.example")
        assert pace.try_reserve("c.example") is None
        first.cancel()
        assert pace.try_reserve("c.example")
        pace.stop()
        assert pace.try_reserve("c.example") is None

    loop.run_until_complete(run())


def test_without_quotas_a_slot_is_always_had_until_the_stop(loop):
    pace = paced(loop, "")
    assert pace.unlimited
    assert all(pace.try_reserve("a.example") for _ in range(1000))
    assert pace.own_start("a.example") < pace.next_start("a.example") == loop.time()
    pace.stop()
    assert pace.try_reserve("a.example") is None
