"""A relay that puts off what comes too fast: what one sender learns of it holds for all that share a ledger on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from campaigns import address, received, start, write_list
from postgres_server import PostgresServer
from smtp_script import Rule
from smtp_server import ScriptedServer
from test_workers_program import SEND, Site, posix, site
from workers import Told, leave, until, working

from mailer.errors import LedgerError
from mailer.ledger import Ledger
from mailer.ledger.postgres import formats
from mailer.model import Learned, Lender, Lesson, Server
from mailer.pace import SharedThrottle
from mailer.throttle import STORM

__all__ = ["site"]
"""A fixture of another file."""

ACCOUNT = "office@smtp.example"


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        yield opened


@asynccontextmanager
async def lenders(ledger: Ledger, number: int = 2) -> AsyncIterator[list[Lender]]:
    found = [ledger.lender() for _ in range(number)]
    assert all(found)
    try:
        yield found  # type: ignore[misc]
    finally:
        for lender in found:
            await lender.close()  # type: ignore[union-attr]


def sent_lately(ledger: Ledger, number: int, seconds: float, account: str = ACCOUNT) -> None:
    """So many transactions in the last so many seconds, one after the other."""
    now = time.time()
    ledger._db.executemany(
        "INSERT INTO attempts (account, domain, started_at, finished_at) VALUES (?, '', ?, ?)",
        [(account, at, at) for at in (now - seconds * place / number for place in range(1, number + 1))],
    )


# -- what the ledger keeps


async def test_a_storm_that_several_senders_see_halves_the_pace_once(ledger: Ledger) -> None:
    sent_lately(ledger, 400, 10)
    async with lenders(ledger, 3) as (one, another, third):
        assert await one.learn(ACCOUNT, Lesson(0)) == Learned(0, None, [])
        storm = Lesson(0, storm=True)
        first = await one.learn(ACCOUNT, storm)
        assert first.rate == pytest.approx(20, rel=0.05), "half of forty a second, whoever sent them"
        assert await another.learn(ACCOUNT, storm) == first
        assert await third.learn(ACCOUNT, storm) == first
        deeper = await another.learn(ACCOUNT, Lesson(1, storm=True))
        assert (deeper.storms, deeper.rate) == (2, pytest.approx(first.rate / 2))
        assert await third.learn("other@smtp.example", Lesson(0)) == Learned(0, None, [])


async def test_turns_are_given_to_all_senders_together_at_the_pace(ledger: Ledger) -> None:
    sent_lately(ledger, 400, 10)
    async with lenders(ledger) as (one, another):
        rate = (await one.learn(ACCOUNT, Lesson(0, storm=True))).rate
        assert (await another.learn(ACCOUNT, Lesson(1))).rate == rate
        given = []
        for who in (one, another, one, another):
            before = time.monotonic()
            learned = await who.learn(ACCOUNT, Lesson(1, turns=5))
            given += [before + turn for turn in learned.turns]
            assert len(learned.turns) == 5
        gaps = [later - sooner for sooner, later in itertools.pairwise(given)]
        assert sum(gaps) == pytest.approx(19 / rate, rel=0.1)
        assert min(gaps) > 0.3 / rate


async def test_good_stretches_of_all_senders_raise_the_pace_until_it_is_free_again(ledger: Ledger) -> None:
    sent_lately(ledger, 400, 10)
    async with lenders(ledger) as (one, another):
        rate = (await one.learn(ACCOUNT, Lesson(0, storm=True))).rate
        assert rate
        stale = await another.learn(ACCOUNT, Lesson(0, stretches=5))
        assert stale.rate == rate, "that was before the storm"
        raised = await another.learn(ACCOUNT, Lesson(1, stretches=1))
        assert raised.rate == pytest.approx(rate * 1.2)
        assert (await one.learn(ACCOUNT, Lesson(1, stretches=13))).rate == pytest.approx(rate * 3.8)
        # one more than four times would take: on a busy machine the storm found a little less than 40 a second
        assert await one.learn(ACCOUNT, Lesson(1, stretches=2)) == Learned(1, None, [])


async def test_what_was_learned_is_forgotten_when_nobody_has_sent_for_an_hour(ledger: Ledger) -> None:
    sent_lately(ledger, 400, 10)
    async with lenders(ledger) as (one, another):
        assert (await one.learn(ACCOUNT, Lesson(0, storm=True))).rate
        ledger._db.native("UPDATE throttles SET used_at = used_at - 3601")
        assert await another.learn(ACCOUNT, Lesson(0)) == Learned(1, None, [])
        assert await another.learn(ACCOUNT, Lesson(1, turns=3)) == Learned(1, None, [])


def test_a_ledger_of_the_format_before_gets_the_table(place: Server) -> None:
    with Ledger(place) as ledger:
        ledger._db.native("DROP TABLE throttles")
        for column in (
            "campaigns DROP hours",
            "campaigns DROP zone",
            "deliveries DROP zone",
            "detached DROP braked_from",
        ):
            ledger._db.native(f"ALTER TABLE {column}")
        ledger._db.native("UPDATE ledger_format SET version = 6")
    columns = (
        "SELECT column_name, data_type, collation_name, column_default, is_nullable FROM information_schema.columns"
        " WHERE table_name = 'throttles' OR column_name = 'braked_from' ORDER BY 1"
    )
    with Ledger(place) as ledger:
        migrated = ledger._db.native(columns).fetchall()
        ledger._db.native("DROP TABLE throttles")
        made = (Path(formats.__file__).with_name("schema.sql")).read_text(encoding="utf-8")
        ledger._db.native(made[made.index("CREATE TABLE throttles") :])
        assert migrated == ledger._db.native(columns).fetchall()
        assert len(migrated) == 8


# -- a sender


class Weather:
    """What a sender observes, for tests: each message begun now."""

    def __init__(self, throttle: SharedThrottle) -> None:
        self.throttle = throttle
        self.told: list[float] = []

    def put_off(self, number: int = STORM) -> None:
        for _ in range(number):
            self.throttle.observe(put_off=True, begun_at=time.time(), tell=self.told.append)


async def test_one_sender_s_storm_slows_all_and_is_told_where_it_was_seen(ledger: Ledger) -> None:
    sent_lately(ledger, 400, 10)
    async with (
        lenders(ledger) as (one, another),
        SharedThrottle(one, ACCOUNT) as first,
        SharedThrottle(another, ACCOUNT) as second,
    ):
        assert [await first.turn(), await second.turn()] == [0.0, 0.0]
        here, there = Weather(first), Weather(second)
        here.put_off()
        await until(lambda: first.rate and second.rate)
        assert first.rate == second.rate == pytest.approx(20, rel=0.05)
        assert (here.told, there.told) == ([first.rate], [])
        waits = [await who.turn() for who in (first, second) * 4]
        assert max(waits) > 5 / 20, "eight turns of both together"


async def test_messages_that_were_on_their_way_when_it_broke_make_no_second_storm(ledger: Ledger) -> None:
    sent_lately(ledger, 400, 10)
    async with lenders(ledger, 1) as [lender], SharedThrottle(lender, ACCOUNT) as throttle:
        await throttle.turn()
        begun = time.time()
        Weather(throttle).put_off()
        await until(lambda: throttle.rate)
        rate = throttle.rate
        for _ in range(50):
            throttle.observe(put_off=True, begun_at=begun, tell=lambda _: None)
        await throttle.turn()
        assert throttle.rate == rate


async def test_a_sender_that_begins_keeps_to_what_others_have_learned_from_its_first_message(ledger: Ledger) -> None:
    sent_lately(ledger, 40, 10)
    async with lenders(ledger) as (one, another):
        rate = (await one.learn(ACCOUNT, Lesson(0, storm=True, turns=4))).rate
        assert rate == pytest.approx(2, rel=0.1)
        async with SharedThrottle(another, ACCOUNT) as throttle:
            assert await throttle.turn() > 1.5, "behind the four turns that are given already"


async def test_while_nothing_is_held_back_a_message_asks_the_ledger_nothing(ledger: Ledger) -> None:
    class Counting:
        questions = 0

        async def learn(self, account: str, lesson: Lesson) -> Learned:
            Counting.questions += 1
            return await lender.learn(account, lesson)

        async def close(self) -> None:
            """Nothing."""

    async with lenders(ledger, 1) as [lender], SharedThrottle(Counting(), ACCOUNT) as throttle:
        for _ in range(5000):
            assert await throttle.turn() == 0.0
            throttle.observe(put_off=False, begun_at=time.time(), tell=lambda _: None)
        assert Counting.questions <= 2


async def test_who_waits_for_a_turn_hears_when_the_ledger_is_lost(ledger: Ledger, postgres: PostgresServer) -> None:
    sent_lately(ledger, 40, 10)
    async with lenders(ledger, 1) as [lender], SharedThrottle(lender, ACCOUNT) as throttle:
        await throttle.turn()
        Weather(throttle).put_off()
        await until(lambda: throttle.rate)
        postgres.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            f" AND datname = '{ledger.place.address.rpartition('/')[2]}'"  # type: ignore[union-attr]
        )

        async def go_on() -> None:
            while True:
                await throttle.turn()

        with pytest.raises(LedgerError, match="PostgreSQL"):
            await asyncio.wait_for(go_on(), 10)


# -- workers


@dataclass(kw_only=True)
class Bearing(Rule):
    """Puts off what is more than so many in any second, over all connections, as long as it is `strict`."""

    per_second: int
    strict: bool = True
    let_through: deque[float] = field(default_factory=deque)
    asked: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def counts(self, phase: str, connection: int, address: str | None) -> bool:
        if phase != self.phase:
            return False
        now = time.monotonic()
        self.asked.append(now)
        while self.let_through and self.let_through[0] <= now - 1:
            self.let_through.popleft()
        if not self.strict or len(self.let_through) < self.per_second:
            self.let_through.append(now)
            return False
        self.refused.append(now)
        return True

    def between(self, moments: list[float], first: float, last: float) -> int:
        return bisect_left(moments, last) - bisect_left(moments, first)


@pytest.mark.thorough
@pytest.mark.parametrize(("reply", "drop"), [("421 4.7.0 Too fast, come back", True), ("450 4.3.2 Too busy", False)])
async def test_workers_slow_down_together_and_say_so(
    campaign_folder: Path, ledger: Ledger, place: Server, reply: str, drop: bool
) -> None:
    people = [address(number) for number in range(1, 61)]
    with ScriptedServer() as server:
        campaign = start(campaign_folder, ledger, people)
        bearing = Bearing(phase="rcpt", per_second=3, reply=reply, drop=drop)
        server.rules.append(bearing)
        leave(ledger, campaign, batch_size=10)
        one, another = Told(), Told()
        async with working(place, server, one), working(place, server, another):
            await until(lambda: ledger._db.native("SELECT 1 FROM throttles WHERE storms > 0").fetchone())
            bearing.strict = False
            # who was put off is due in six minutes
            await until(lambda: (tally := ledger.tally(campaign)).sent + tally.deferred == len(people), 60)
            [storms] = ledger._db.native("SELECT storms FROM throttles").fetchone()
        told = one.words("reconnecting") + another.words("reconnecting")
        assert sum("at most" in words for words in told) >= 1
        assert storms <= 5
        assert max(received(server).values()) == 1


@posix
@pytest.mark.thorough
@pytest.mark.parametrize("pipelining", ["auto", "off"])
def test_three_workers_settle_together_near_what_the_relay_bears_and_recover_when_it_bears_more(
    site: Site, pipelining: str
) -> None:
    bears, quota, people = 40, 150, 12_000
    bearing = Bearing(phase="rcpt", per_second=bears, reply="450 4.3.2 Too busy")
    site.server.rules.append(bearing)
    site.program.settings |= {
        "MAILER_RATE": f"{quota}/second", "MAILER_CONNECTIONS": "3", "MAILER_BATCH_SIZE": "20", "MAILER_PIPELINING": pipelining,
    }  # fmt: skip
    write_list(site.program.folder, [address(number) for number in range(1, people + 1)])
    assert site.program.run(*SEND).returncode == 0
    for _ in range(3):
        site.worker()
    wait_until(lambda: bool(bearing.asked))
    settled = bearing.asked[0] + 5, bearing.asked[0] + 20
    wait_until(lambda: time.monotonic() > settled[1])
    offered = bearing.between(bearing.asked, *settled) / 15
    through = offered - bearing.between(bearing.refused, *settled) / 15
    assert 0.5 * bears <= through <= 1.05 * bears, f"{through} of {offered} a second got through"
    assert offered <= 1.3 * bears, f"{offered} a second were tried"
    bearing.strict = False
    free = time.monotonic()
    site.worker()
    wait_until(lambda: time.monotonic() > free + 2)
    assert bearing.between(bearing.asked, free, free + 2) / 2 <= 2 * bears, (
        "nobody goes at full speed at once, nor who comes new"
    )
    # half a minute on an idle machine; how long is for a benchmark to say
    wait_until(lambda: bearing.between(bearing.asked, time.monotonic() - 1, time.monotonic()) > 0.8 * quota, 180)
    recovered = time.monotonic() - free
    wait_until(lambda: time.monotonic() > free + recovered + 3)
    moments = sorted(message.at for message in site.server.accepted)
    closest = min(later - sooner for sooner, later in zip(moments, moments[quota:], strict=False))
    assert closest >= 1, f"{quota + 1} messages in {closest} s"
    print(f"bears {bears}/s: offered {offered:.1f}/s, through {through:.1f}/s; free again after {recovered:.1f} s")


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
