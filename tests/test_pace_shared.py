"""Senders that share quotas through a lender: never above them as the server sees it, used to 98 %, whoever dies; in simulated time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_time import EPOCH, Loop

from mailer.destination import destinations
from mailer.errors import LedgerError
from mailer.ledger.postgres.fitting import compared, counted
from mailer.ledger.postgres.history import Sent
from mailer.model import Leased, Look, Place, Quota
from mailer.pace import DRIFT, EACH, SharedPace

WALL = EPOCH + 77.0
"""The lender's clock is not that of the senders."""


@dataclass(eq=False)
class Bank:
    """The places as a database would keep them, with its own clock, and what was sent."""

    loop: Loop
    places: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)

    def now(self) -> float:
        return self.loop.time() + WALL

    def of(self, key):
        """Number -> [free at, holder], for the quota of a key."""
        return self.places.setdefault((key.account, key.domain, key.seconds), {})

    def history(self, key):
        now = self.now()
        its = [end + WALL for domain, _, end in self.sent if key.account or key.domain in destinations(domain)]
        ended = sorted((end for end in its if now - key.span < end < math.inf), reverse=True)
        return Sent(now, ended[: key.places], its.count(math.inf))

    def fit(self, key, sent) -> bool:
        """As mailer/ledger/postgres/fitting.py has it, on rows of its own."""
        places = self.of(key)
        idle = sorted(((n, at) for n, (at, by) in places.items() if by is None), key=lambda row: (row[1], row[0]))
        over = max(0, len(places) - key.places)
        gone, idle = idle[:over], idle[over:]
        new = range(max(places, default=-1) + 1, max(places, default=-1) + 1 + max(0, key.places - len(places)))
        held = sum(by is not None for _, by in places.values())
        for number, _ in gone:
            del places[number]
        until = counted(key, sent, held, self.now())
        change = compared(key, until, idle[::-1], new, self.now())
        for number, at in (change.later | change.new).items():
            places[number] = [at, None]
        return len(gone) == over

    def bury(self, holder) -> None:
        for (_, _, seconds), places in self.places.items():
            for place in places.values():
                if place[1] is holder:
                    place[:] = [self.now() + seconds * (1 + DRIFT), None]


@dataclass(eq=False)
class Teller:
    """One sender's way to the bank, some milliseconds long."""

    bank: Bank
    delay: float = 0.0
    chance: random.Random = field(default_factory=random.Random)
    broken: bool = False
    known: set = field(default_factory=set)

    async def exchange(self, asks, returns, clock):
        await asyncio.sleep(self.chance.random() * self.delay)
        if self.broken:
            raise LedgerError("The database is gone.")
        for key in {key for keys, _ in asks for key in keys} - self.known:
            sent = self.bank.history(key)
            await asyncio.sleep(self.chance.random() * self.delay)
            if self.bank.fit(key, sent):
                self.known.add(key)
        for place, free_at in returns:
            kept = self.bank.of(place.key)[place.number]
            assert kept[1] is self, "a place of somebody else's was given back"
            kept[:] = [kept[0] if free_at is None else free_at, None]
        given, later = [], []
        for keys, want in asks:
            free = [sorted((at, n) for n, (at, by) in self.bank.of(key).items() if by is None) for key in keys]
            number = min(want, *map(len, free))
            for key, rows in zip(keys, free, strict=True):
                for _, n in rows[:number]:
                    self.bank.of(key)[n][1] = self
            given.append(
                [
                    tuple(Place(key, rows[at][1], rows[at][0]) for key, rows in zip(keys, free, strict=True))
                    for at in range(number)
                ]
            )
            later.append(max(rows[number][0] if len(rows) > number else math.inf for rows in free))
        before = clock()
        await asyncio.sleep(self.chance.random() * self.delay)
        now = self.bank.now()
        await asyncio.sleep(self.chance.random() * self.delay)
        return Leased(given, later, Look(before, now, clock()))

    async def close(self):
        assert self.broken or not any(by is self for places in self.bank.places.values() for _, by in places.values())


@dataclass(eq=False)
class Sender:
    """Sends to domains in turn over some connections, as a line does, until it is stopped or killed."""

    bank: Bank
    account: tuple
    domains: dict
    jobs: list
    connections: int
    seed: int
    latency: float
    delay: float
    unused: float = 0.0
    lead: float = 0.0
    seen: list = field(default_factory=list)

    async def run(self) -> None:
        loop, self.chance = self.bank.loop, random.Random(self.seed)
        self.teller = Teller(self.bank, self.delay, self.chance)
        self.pace = SharedPace(
            self.teller, "ana", self.account, self.domains, clock=lambda: loop.time() - 5.0, wall=loop.wall
        )
        async with self.pace:
            await asyncio.gather(*(self._line() for _ in range(self.connections)))

    async def _line(self) -> None:
        while self.jobs:
            domain = min(self.jobs, key=self.pace.own_start)
            self.jobs.remove(domain)
            lease = self.pace.try_reserve(domain) or await self.pace.reserve(domain, self.lead)
            if lease is None:
                self.jobs.append(domain)
                if self.pace._stopping.is_set():
                    return
            elif self.chance.random() < self.unused:
                self.jobs.append(domain)
                lease.cancel()
                await asyncio.sleep(0.001)
            else:
                early = max(0.0, lease.starts_at - self.pace.clock())
                assert early <= self.lead
                await asyncio.sleep(early)
                seen = [domain, self.bank.loop.time(), math.inf]
                self.seen.append(seen)
                self.bank.sent.append(seen)
                await asyncio.sleep(self.chance.random() * self.latency)
                seen[2] = self.bank.loop.time()
                lease.done()


def most_at_once(seen, seconds) -> int:
    """The most that any window of so many seconds can hold, be each counted between its start and its end, at worst."""
    # all that start before a window's end and end after its beginning; the worst window begins as one of them ends
    return max((sum(1 for _, start, end in seen if start < at + seconds and end >= at) for _, _, at in seen), default=0)


async def until(moment, loop) -> None:
    await asyncio.sleep(max(0.0, moment - loop.time()))


@settings(max_examples=60)
@given(data=st.data())
def test_over_all_senders_no_window_holds_more_than_any_quota(data):
    def some(*values):
        return data.draw(st.sampled_from(values))

    seed = data.draw(st.integers(0, 1_000_000))
    rate, second = some((3, 1), (10, 1), (20, 60), (5, 2)), some(None, (40, 60), (7, 3))
    domains = some({}, {"a.example": ((2, 1),)}, {EACH: ((1, 2), (3, 10))})
    senders, connections = some(1, 2, 4), some(1, 4)
    latency, delay, unused = some(0.0, 0.001, 0.3, 2.0), some(0.0, 0.01, 0.4), some(0.0, 0.2)
    lead = some(0.0, 0.02, 0.4)
    dies = some(False, True)
    loop = Loop()
    bank = Bank(loop)
    account = [Quota(count=rate[0], seconds=rate[1])]
    if second:
        account.append(Quota(count=second[0], seconds=second[1]))
    quotas = {name: tuple(Quota(count=c, seconds=s) for c, s in rates) for name, rates in domains.items()}
    names = ["a.example", "mx.a.example", "b.example"]
    crew = [
        Sender(
            bank,
            account,
            quotas,
            [names[i % 3] for i in range(14)],
            connections,
            seed + at,
            latency,
            delay,
            unused,
            lead,
        )
        for at in range(senders)
    ]

    async def all_of_them():
        tasks = [asyncio.ensure_future(one.run()) for one in crew]
        if dies:
            await asyncio.sleep(0.7)
            crew[0].teller.broken = True
            tasks[0].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tasks[0]
            for seen in crew[0].seen:
                seen[2] = min(seen[2], loop.time())
            bank.bury(crew[0].teller)
        await asyncio.gather(*tasks[1 if dies else 0 :])

    # a sender that dies says nothing more
    loop.run_until_complete(all_of_them())
    loop.close()
    everything = [seen for one in crew for seen in one.seen]
    if not dies:
        assert len(everything) == 14 * senders
    for quota in account:
        assert most_at_once(everything, quota.seconds) <= quota.count
    for name, rates in quotas.items():
        for domain in ["a.example"] if name == "a.example" else names:
            its = [one for one in everything if one[0].endswith(domain) or (name == EACH and one[0] == domain)]
            if name == EACH:
                its = [one for one in everything if one[0] == domain]
            for quota in rates:
                assert most_at_once(its, quota.seconds) <= quota.count


@settings(max_examples=150)
@given(data=st.data())
def test_a_quota_that_is_taken_away_and_set_again_raised_or_lowered_counts_all_that_was_sent(data):
    """One lot of senders after the other, each with quotas of its own or none: whoever has one never goes above it."""
    with contextlib.closing(Loop()) as loop:
        one_lot_after_the_other(data, loop)


def one_lot_after_the_other(data, loop):
    def some(*values):
        return data.draw(st.sampled_from(values))

    bank = Bank(loop)
    lots = []
    # drawn beforehand: a draw may end the example, and would leave senders behind
    for number in range(data.draw(st.integers(2, 5))):
        rates = data.draw(st.lists(st.sampled_from([(2, 10), (5, 10), (3, 100), (6, 100), (4, 1)]), max_size=2))
        of_domain = some({}, {}, {"a.example": ((2, 100),)}, {EACH: ((3, 100),)})
        account = [Quota(count=count, seconds=seconds) for count, seconds in rates]
        domains = {name: tuple(Quota(count=c, seconds=s) for c, s in own) for name, own in of_domain.items()}
        latency, delay = some(0.0, 0.3, 2.0), some(0.0, 0.01, 0.4)
        crew = [
            Sender(
                bank,
                account,
                domains,
                ["a.example", "mx.a.example", "b.example"] * 2,
                some(1, 3),
                number,
                latency,
                delay,
                some(0.0, 0.2),
            )
            for _ in range(some(1, 2))
        ]
        lots.append((account, domains, crew, some(0.5, 3.0, 60.0, 300.0), some(0.0, 1.0, 9.0, 60.0)))

    async def all_lots():
        for _, _, crew, seconds, rest in lots:
            tasks = [asyncio.ensure_future(one.run()) for one in crew]
            await asyncio.wait(tasks, timeout=seconds)
            for one in crew:
                one.jobs.clear()
                one.pace.stop()
            await asyncio.gather(*tasks)
            await asyncio.sleep(rest)

    loop.run_until_complete(all_lots())
    for account, domains, crew, *_ in lots:
        for domain, start, _ in (seen for one in crew for seen in one.seen):
            for quota in account:
                assert counted_at(start, quota, bank.sent) <= quota.count
            for name, quotas in domains.items():
                if name == EACH or domain.endswith(name):
                    key = domain if name == EACH else name
                    its = [one for one in bank.sent if (one[0] == key if name == EACH else one[0].endswith(key))]
                    for quota in quotas:
                        assert counted_at(start, quota, its) <= quota.count


def counted_at(start, quota, seen) -> int:
    """How many a window can hold, at worst, that ends just after one of them starts."""
    return sum(1 for _, began, ended in seen if began <= start and ended > start - quota.seconds)


@pytest.mark.parametrize(
    ("count", "seconds", "crew", "delay"),
    # the last: a busy database, or one that is far away, answers now soon and now late
    [
        (200, 1, 4, 0.002),
        (20, 60, 3, 0.002),
        pytest.param(500, 3600, 2, 0.002, marks=pytest.mark.thorough),
        (100, 1, 1, 0.002),
        (200, 1, 4, 0.03),
    ],
)
def test_while_there_is_work_the_quota_is_used_and_shared_fairly(count, seconds, crew, delay):
    loop = Loop()
    bank = Bank(loop)
    quota = [Quota(count=count, seconds=seconds)]
    windows = {1: 12, 60: 6, 3600: 2}[seconds]
    senders = [Sender(bank, quota, {}, ["a.example"] * (count * windows), 4, at, 0.002, delay) for at in range(crew)]

    async def for_a_while():
        tasks = [asyncio.ensure_future(one.run()) for one in senders]
        await asyncio.sleep(seconds * windows)
        for one in senders:
            one.jobs.clear()
            one.pace.stop()
        await asyncio.gather(*tasks)

    loop.run_until_complete(for_a_while())
    loop.close()
    ends = sorted(end for one in senders for _, _, end in one.seen)
    used = [seconds / (ends[at + count] - ends[at]) for at in range(len(ends) - count)]
    assert sum(used) / len(used) > 0.98
    each = Counter({at: len(one.seen) for at, one in enumerate(senders)})
    if count > 100:
        assert max(each.values()) <= 1.1 * min(each.values())


def test_who_is_stopped_while_waiting_gives_everything_back():
    loop = Loop()
    bank = Bank(loop)
    quota = [Quota(count=2, seconds=60)]
    first = Sender(bank, quota, {}, ["a.example"] * 5, 3, 1, 0.01, 0.01)

    async def stopped():
        task = asyncio.ensure_future(first.run())
        await asyncio.sleep(5)
        first.pace.stop()
        await task

    loop.run_until_complete(stopped())
    loop.close()
    assert len(first.seen) == 2
    assert [by for places in bank.places.values() for _, by in places.values()] == [None, None]


def test_a_domain_at_its_limit_holds_up_nobody_else():
    loop = Loop()
    bank = Bank(loop)
    domains = {"slow.example": (Quota(count=1, seconds=100),)}
    one = Sender(
        bank, [Quota(count=100, seconds=1)], domains, ["slow.example"] * 3 + ["b.example"] * 20, 1, 1, 0.01, 0.01
    )
    loop.run_until_complete(one.run())
    loop.close()
    order = [domain for domain, _, _ in one.seen]
    assert order.count("slow.example") == 3
    assert order.index("b.example") < 3
    assert order[-1] == "slow.example"


def test_when_the_lender_fails_whoever_waits_hears_it():
    loop = Loop()
    bank = Bank(loop)
    teller = Teller(bank)

    async def broken():
        pace = SharedPace(teller, "ana", [Quota(count=1, seconds=60)], clock=loop.time, wall=loop.wall)
        async with pace:
            assert await pace.reserve("a.example")
            waiting = asyncio.ensure_future(pace.reserve("a.example"))
            await asyncio.sleep(0.1)
            teller.broken = True
            with pytest.raises(LedgerError):
                await waiting
            with pytest.raises(LedgerError):
                await pace.reserve("a.example")

    loop.run_until_complete(broken())
    loop.close()


def test_whoever_waits_for_a_leased_place_hears_that_the_lender_s_session_died():
    """Its places may be somebody else's by then."""
    loop = Loop()
    teller = Teller(Bank(loop))

    async def broken():
        async with SharedPace(teller, "ana", [Quota(count=1, seconds=60)], clock=loop.time, wall=loop.wall) as pace:
            (await pace.reserve("a.example")).done()
            waiting = asyncio.ensure_future(pace.reserve("a.example"))
            await asyncio.sleep(5)
            teller.broken, began = True, loop.time()
            with pytest.raises(LedgerError):
                await waiting
            assert loop.time() - began < 3
            assert pace.try_reserve("a.example") is None

    loop.run_until_complete(broken())
    loop.close()


def test_without_quotas_nobody_is_asked():
    loop = Loop()

    async def free():
        async with SharedPace(Teller(Bank(loop), broken=True), "ana", []) as pace:
            for _ in range(3):
                lease = pace.try_reserve("a.example")
                assert lease
                lease.done()

    loop.run_until_complete(free())
    loop.close()


def test_a_lead_is_given_where_it_is_worth_it_and_counts_as_no_use():
    """What is done before a place is free is no time that the place serves: more of this quota is used."""
    used = {}
    for lead in (0.0, 0.03):
        loop = Loop()
        began, teller = loop.time(), Teller(Bank(loop))

        async def some(lead, loop=loop, teller=teller):
            quota = [Quota(count=1, seconds=1)]
            async with SharedPace(teller, "ana", quota, clock=loop.time, wall=loop.wall) as pace:
                for _ in range(20):
                    lease = await pace.reserve("a.example", lead)
                    begun = loop.time()
                    await asyncio.sleep(max(0.03, lease.starts_at - begun))  # an intent
                    lease.done()

        loop.run_until_complete(some(lead))
        used[lead] = 20 / (loop.time() - began)
        loop.close()
    assert used[0.03] > used[0.0] * 1.02

    loop = Loop()

    async def seldom():
        async with SharedPace(Teller(Bank(loop)), "ana", [Quota(count=1, seconds=60)], clock=loop.time) as pace:
            (await pace.reserve("a.example", 0.5)).done()
            later = await pace.reserve("a.example", 0.5)
            assert later.starts_at <= loop.time()
            later.done()

    loop.run_until_complete(seldom())
    loop.close()
