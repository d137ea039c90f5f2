"""Quotas are kept to the last message and used to 98 %, as the server sees it, through kills and restarts, in simulated time."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulated_time import START, Loop

from mailer.model import Quota
from mailer.pace import DRIFT, EACH, Pace

LATENCIES = {
    "none": lambda _: 0.0,
    "loopback": lambda _: 0.001,
    "far": lambda _: 0.05,
    "any": lambda chance: chance.random() * 2,
    "stuck": lambda chance: 10.0 if chance.random() < 0.1 else 0.02,
}
DOMAINS = ["a.example", "mx.a.example", "b.example", "c.test", "d.test"]


@dataclass(kw_only=True)
class Seen:
    """What is known of one transaction: when it may have reached the server, and when its reply was read (later at most)."""

    domain: str
    start: float
    end: float = math.inf


@dataclass(kw_only=True)
class Trial:
    """One account: what the server saw of it, and what its ledger keeps, through runs that are killed."""

    account: list[Quota]
    domains: dict[str, list[Quota]]
    connections: int
    latency: str
    seed: int = 0
    elsewhere: float = 0.0
    """Seconds at most that a slot, and then the news of its end, take to another process."""
    unused: float = 0.0
    """The part of all slots that come to nothing."""
    seen: list[Seen] = field(default_factory=list)
    ledger: list[tuple[float, str]] = field(default_factory=list)
    runs: list[tuple[int, float]] = field(default_factory=list)
    """Of each run, how many transactions there were before it, and when it began."""

    def __post_init__(self):
        self.chance = random.Random(self.seed)
        self.loop = Loop()

    def send(self, jobs, *, seconds=math.inf, pause=0.0):
        """Send until all jobs are done or the run is killed; what it had begun is counted by the time of the next start."""
        self.runs.append((len(self.seen), self.loop.time()))
        pace = self.pace()
        left = deque(jobs)
        self.loop.run_until_complete(self._send_all(pace, left, seconds))
        self.loop.run_until_complete(asyncio.sleep(pause))
        for one in self.seen:
            if one.end == math.inf:
                one.end = self.loop.time()
                # without an intent nobody knows to whom it was begun
                self._note(one.end, one.domain if self.chance.random() < 0.5 else "")
        return left

    def pace(self):
        pace = Pace(self.account, self.domains, clock=self.loop.time, wall=self.loop.wall)
        if self.chance.random() < 0.5:
            pace.preload(self.ledger)
        else:
            pace.preload(
                elsewhere=self._newest_of_domains(*pace.domain_reach), of_account=self._newest(*pace.account_reach)
            )
        return pace

    def _newest(self, seconds, count):
        return [at for at, _ in sorted(self.ledger)[-count:] if at > self.loop.wall() - seconds] if count else []

    def _newest_of_domains(self, seconds, count):
        for domain in {domain for _, domain in self.ledger}:
            times = sorted(at for at, of in self.ledger if of == domain and at > self.loop.wall() - seconds)
            yield from ((at, domain) for at in times[-count:])

    def _note(self, at, domain):
        self.ledger.append((math.floor((at - self.loop.time() + self.loop.wall()) * 1000) / 1000, domain))

    async def _send_all(self, pace, jobs, seconds):
        connections = [asyncio.ensure_future(self._connection(pace, jobs)) for _ in range(self.connections)]
        _, alive = await asyncio.wait(connections, timeout=None if seconds == math.inf else seconds)
        for connection in alive:
            connection.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connection

    async def _connection(self, pace, jobs):
        while jobs:
            domain = jobs.popleft()
            slot = pace.try_reserve(domain) or await pace.reserve(domain)
            if self.chance.random() < self.unused:
                slot.cancel()
                continue
            if self.elsewhere:
                await asyncio.sleep(self.chance.random() * self.elsewhere)
            seen = Seen(domain=domain, start=self.loop.time())
            self.seen.append(seen)
            await asyncio.sleep(LATENCIES[self.latency](self.chance))
            seen.end = self.loop.time()
            self._note(seen.end, domain)
            if self.elsewhere:
                await asyncio.sleep(self.chance.random() * self.elsewhere)
            slot.done(seen.end)

    def counted(self):
        """Each quota, and the transactions that it counts."""
        for quota in self.account:
            yield quota, self.seen
        for domain in DOMAINS:
            keyed = domain in self.keyed
            for quota in (
                self.keyed[domain] if keyed else () if self._below_a_key(domain) else self.domains.get(EACH, ())
            ):
                yield (
                    quota,
                    [one for one in self.seen if one.domain == domain or (keyed and one.domain.endswith(domain))],
                )

    @property
    def keyed(self):
        return {key.lower(): quotas for key, quotas in self.domains.items() if key != EACH}

    def _below_a_key(self, domain):
        return any(domain.endswith(f".{key}") for key in self.keyed)


def assert_kept_at_any_moment(quota, seen):
    """Wherever the server counts each: of those that may fall into a window with the one that starts last, `count` at most.

    The `count`-th latest end before a start is a window before it, on the slowest clock (within a nanosecond).
    """
    latest = []
    for one in sorted(seen, key=lambda one: one.start):
        if len(latest) == quota.count:
            assert one.start >= latest[0] + quota.seconds * (1 + DRIFT) - 1e-9
        heapq.heappush(latest, one.end)
        if len(latest) > quota.count:
            heapq.heappop(latest)


def assert_kept_in_every_window(quota, times):
    """Of whatever length: one that is n times the quota's, in part or whole, holds n times its count at most."""
    times = sorted(times)
    for first, one in enumerate(times):
        for last in range(first, len(times)):
            # the smallest half-open window of both is longer than the time between them
            assert last - first < quota.count * (math.floor((times[last] - one) / quota.seconds) + 1)


def views(seen, chance):
    """The same transactions, as servers count them: at MAIL, at the reply, always half-way, at any moment."""
    yield [one.start for one in seen]
    yield [one.end for one in seen]
    yield [(one.start + one.end) / 2 for one in seen]
    for _ in range(3):
        yield [chance.choice([one.start, one.end, chance.uniform(one.start, one.end)]) for one in seen]


quotas = st.lists(st.builds(Quota, count=st.integers(1, 7), seconds=st.sampled_from([1, 2, 5, 10, 60])), max_size=3)
runs = st.lists(
    st.tuples(
        st.lists(st.sampled_from(DOMAINS), max_size=25),
        st.sampled_from([0.01, 0.5, 3.0, 20.0, 100.0, math.inf]),
        st.sampled_from([0.0, 0.001, 0.7, 30.0]),
    ),
    min_size=1,
    max_size=4,
)


# a time of day is a float of a fourth of a microsecond: three starts, each just a window after the one before
@example(
    account=[],
    domain=[],
    each=[Quota(count=1, seconds=1)],
    runs=[(["a.example"], 0.01, 0.0), ([], 0.01, 0.7), (["a.example"], 0.5, 0.0), (["a.example"], 3.0, 0.0)],
    connections=1,
    latency="none",
    elsewhere=0.0,
    unused=0.0,
    seed=0,
)
@settings(max_examples=400, deadline=None)
@given(
    account=quotas,
    domain=quotas,
    each=quotas,
    runs=runs,
    connections=st.integers(1, 8),
    latency=st.sampled_from(sorted(LATENCIES)),
    elsewhere=st.sampled_from([0.0, 0.0, 0.005, 0.3]),
    unused=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 999),
)
def test_no_window_of_any_length_holds_more_than_any_quota_whenever_the_server_counts(
    *, account, domain, each, runs, connections, latency, elsewhere, unused, seed
):
    trial = Trial(
        account=account,
        domains={key: value for key, value in (("A.Example", domain), (EACH, each)) if value},
        connections=connections,
        latency=latency,
        seed=seed,
        elsewhere=elsewhere,
        unused=unused,
    )
    with contextlib.closing(trial.loop):
        for jobs, seconds, pause in runs:
            trial.send(jobs, seconds=seconds, pause=pause)
    chance = random.Random(seed)
    for quota, seen in trial.counted():
        assert_kept_at_any_moment(quota, seen)
        for times in views(seen, chance):
            assert_kept_in_every_window(quota, times)


def test_the_judge_notices_one_message_too_many():
    quota = Quota(count=2, seconds=10)
    seen = [Seen(domain="a.example", start=start, end=start + 1) for start in (0.0, 0.5, 11.005)]
    for times in views(seen, random.Random(1)):
        assert_kept_in_every_window(quota, times)
    with pytest.raises(AssertionError):
        assert_kept_at_any_moment(quota, seen)
    seen[-1].start = 9.9
    with pytest.raises(AssertionError):
        assert_kept_in_every_window(quota, [one.start for one in seen])


def fastest(quotas, number, runs):
    """When each message would leave if nothing took any time: as soon as all quotas and the pauses between runs allow."""
    begins = dict(runs)
    times, now = [], START
    for this in range(number):
        now = max(
            [now, begins.get(this, START)] + [times[this - q.count] + q.seconds for q in quotas if this >= q.count]
        )
        times.append(now)
    return times


def part_used(quotas, trial, seen):
    """Of what the quotas allow up to some moment, the part that was used; the worst moment counts.

    As the connections need time for a burst, so much is allowed.
    """
    each = LATENCIES[trial.latency](random.Random(1)) + 2 * trial.elsewhere
    burst = max(quota.count for quota in quotas) / trial.connections * each
    ends = sorted(one.end for one in seen)
    allowed = fastest(quotas, len(ends), trial.runs)
    assert ends[-1] - START > 40 * burst, "too short to tell"
    return min(
        (best - START) / max(end - START - burst, 1e-9) for best, end in zip(allowed, ends, strict=True) if best > START
    )


@pytest.mark.parametrize("elsewhere", [0.0, 0.005], ids=["", "processes"])
@pytest.mark.parametrize(
    ("rate", "messages", "latency"),
    [
        ("20/minute", 230, "loopback"),
        ("20/minute", 230, "far"),
        ("500/hour", 2_750, "loopback"),
        ("500/hour", 2_750, "far"),
        ("100/second", 2_550, "loopback"),
        ("20/minute, 500/hour, 2000/day", 5_010, "far"),
    ],
)
def test_at_least_98_percent_is_used_through_a_restart(rate, messages, latency, elsewhere):
    trial = Trial(
        account=list(Quota.parse_all(rate)), domains={}, connections=8, latency=latency, elsewhere=elsewhere, seed=1
    )
    with contextlib.closing(trial.loop):
        jobs = [DOMAINS[number % 5] for number in range(messages)]
        middle = messages // 2 + 1
        assert not trial.send(jobs[:middle], pause=0.3)
        assert not trial.send(jobs[middle:])
    for quota, seen in trial.counted():
        assert_kept_at_any_moment(quota, seen)
    assert 0.98 <= part_used(trial.account, trial, trial.seen) <= 1


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.02, 0.05, 0.1])
def test_with_slow_replies_as_much_is_used_as_can_be_without_a_risk(seconds):
    trial = Trial(account=[Quota(count=100, seconds=1)], domains={}, connections=100, latency="none")
    with contextlib.closing(trial.loop), pytest.MonkeyPatch.context() as patch:
        patch.setitem(LATENCIES, "none", lambda _: seconds)
        trial.send(["a.example"] * 10_000)
    assert_kept_at_any_moment(trial.account[0], trial.seen)
    assert trial.seen[9_900].start - START == pytest.approx(99 * (1 + DRIFT + seconds), rel=0.001)


@pytest.mark.parametrize("others", [20, 50], ids=["domains hold back", "the account holds back"])
def test_account_and_domains_are_kept_and_used_at_once(others):
    quotas = {"slow.test": Quota.parse_all("20/second, 600/minute"), EACH: Quota.parse_all("3/second")}
    trial = Trial(account=list(Quota.parse_all("100/second")), domains=quotas, connections=3, latency="loopback")
    pace = trial.pace()
    domains = ["slow.test", *(f"d{number}.test" for number in range(others))]

    async def run():
        async with asyncio.timeout(200):
            await asyncio.gather(*(trial._connection(pace, deque([domain] * 9_999)) for domain in domains * 3))

    with contextlib.closing(trial.loop), pytest.raises(TimeoutError):
        trial.loop.run_until_complete(run())
    trial.runs.append((0, START))
    seen = {domain: [one for one in trial.seen if one.domain == domain and one.end < math.inf] for domain in domains}
    for domain, ours in seen.items():
        for quota in quotas.get(domain, quotas[EACH]):
            assert_kept_at_any_moment(quota, ours)
        if others == 20:
            assert part_used(quotas.get(domain, quotas[EACH]), trial, ours) >= 0.98
    assert_kept_at_any_moment(trial.account[0], trial.seen)
    if others == 50:
        assert part_used(trial.account, trial, [one for one in trial.seen if one.end < math.inf]) >= 0.98


def test_domains_without_anything_to_count_are_forgotten_and_no_others():
    loop = Loop()
    pace = Pace([Quota(count=1, seconds=3600)], {EACH: [Quota(count=1, seconds=10)]}, clock=loop.time, wall=loop.wall)
    pace.preload(elsewhere=[(loop.wall(), "counted.test"), (loop.wall() - 3600, "old.test")])

    async def run():
        pace.try_reserve("first.test").done()
        # waits for the account, while its domain has nothing to count: it must not become two
        waiting = asyncio.ensure_future(pace.reserve("waiting.test"))
        under_way = asyncio.ensure_future(pace.reserve("under-way.test"))
        await asyncio.sleep(0)
        before = pace._domains.group("waiting.test", loop.time())
        for number in range(20_000):
            assert pace.own_start(f"d{number}.test") == -math.inf
        assert len(pace._domains._alone) + len(pace._domains._looked_up) <= 2 * 4096
        assert pace.own_start("counted.test") > loop.time()
        assert pace.own_start("first.test") > loop.time()
        assert pace._domains.group("waiting.test", loop.time()) is before
        (await waiting).cancel()
        slot = await under_way
        assert pace.own_start("under-way.test") == math.inf
        for number in range(20_000):
            pace.own_start(f"d{number}.test")
        assert pace.own_start("under-way.test") == math.inf
        slot.done()

    with contextlib.closing(loop):
        loop.run_until_complete(run())


def test_who_asks_without_waiting_goes_before_nobody_who_could_go_now():
    loop = Loop()
    pace = Pace(
        [Quota(count=1, seconds=10)], {"slow.test": [Quota(count=1, seconds=100)]}, clock=loop.time, wall=loop.wall
    )

    async def run():
        pace.try_reserve("slow.test").done()
        slow, fast = (asyncio.ensure_future(pace.reserve(domain)) for domain in ("slow.test", "fast.test"))
        await asyncio.sleep(0)
        # its time has come, but the loop has not come round to it
        loop.selector.now += 11
        assert pace.try_reserve("other.test") is None
        await asyncio.sleep(0)
        (await fast).done()
        loop.selector.now += 11
        # who waits for a domain's own quota only is overtaken
        pace.try_reserve("other.test").done()
        assert not slow.done()
        assert pace.try_reserve("slow.test") is None
        await slow
        assert START + 100 < loop.time() < START + 101

    with contextlib.closing(loop):
        loop.run_until_complete(run())
