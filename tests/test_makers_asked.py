"""What makers are asked for, and which of the messages that they bring are taken: fresh ones, each for its own delivery, in time."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from campaigns import IDENTITY, LETTER, address, source, start, write_letter, write_list
from dkim_judge import signer

from mailer.campaign import apart, freshness, makers, stock
from mailer.campaign.ahead import Ahead
from mailer.campaign.backlog import Backlog
from mailer.campaign.makers import FEW, LONG, LONG_BLOCKS, MOST, SAMPLE, SLOW, UNSIGNED, Makers, Recipe
from mailer.campaign.send import freeze, prepare
from mailer.campaign.stock import BLOCK, BLOCKS, Made
from mailer.cli.send import loop_factory
from mailer.ledger import Ledger
from mailer.ledger.cipher import new_key
from mailer.mime.dkim import Signer
from mailer.model import MAIN_RELAY, CampaignRecord, Delivery, Envelope, Mailbox, Message

MANY = [address(number) for number in range(1, 801)]


@pytest.fixture
def ledger(campaign_folder: Path) -> Iterator[Ledger]:
    with Ledger(campaign_folder / "mailer.db") as opened:
        yield opened


@pytest.fixture
def campaign(campaign_folder: Path, ledger: Ledger) -> CampaignRecord:
    return start(campaign_folder, ledger, MANY)


@dataclass
class Clock:
    """Both clocks of the makers, which a test turns."""

    now: float = 1000.0
    slept: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + self.slept


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It stands still, however long a busy machine takes."""
    clock = Clock()
    for module in (makers, stock, freshness):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Heard(Makers):
    """Makers whose answers are noted as they come: numbers and octets, and what and who was there after each."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.answers: list[dict[int, int]] = []
        self.there: list[set[int]] = []
        self.left: list[int] = []

    def brought(self, asked: Any, found: Sequence[Made]) -> None:
        self.answers.append({made.delivery: len(made.content) for made in found})
        super().brought(asked, found)
        self.there.append(set(self._stock._ready))
        self.left.append(len(self._crew))


@asynccontextmanager
async def crew_of(
    ledger: Ledger,
    campaign: CampaignRecord,
    number: int | None = 1,
    *,
    signed_by: Signer | None = None,
    relay: str = MAIN_RELAY,
) -> AsyncIterator[tuple[Heard, Backlog]]:
    """Makers for everybody who is due, and their backlog."""
    backlog = Backlog(ledger.due(campaign, time.time()), ledger.deliveries, lambda _: -math.inf)
    async with Heard(Recipe(ledger, campaign, relay, signed_by), backlog, number) as crew:
        yield crew, backlog


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def answered(crew: Makers) -> None:
    """Until nothing is owed."""
    await until(lambda: crew._crew and not any(maker.owes for maker in crew._crew))


def taken(backlog: Backlog) -> Delivery:
    delivery = backlog.take(0.0)
    assert delivery
    return delivery


async def test_the_message_of_each_delivery_comes_and_is_taken_once(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        assert crew.take(taken(backlog)) is None
        await answered(crew)
        for number in range(2, 200):
            delivery = taken(backlog)
            assert delivery.id in crew
            message = crew.take(delivery)
            assert message
            assert message.message_id == delivery.message_id
            assert message.envelope.rcpt_to == address(number)
            assert delivery.id not in crew
            assert crew.take(delivery) is None
            await answered(crew)
    asked = [number for answer in crew.answers for number in answer]
    assert len(asked) == len(set(asked)), "none is made twice"


@pytest.mark.parametrize(
    ("a_second", "most"),
    [(100, BLOCKS * BLOCK), (2 * 150, 150), (1000, (BLOCKS + 1) * BLOCK)],
    ids=["slow", "as fast as half a second's", "fast"],
)
async def test_no_more_is_asked_for_than_leaves_in_half_a_second_and_makers_need(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, a_second: float, most: int
) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        there = []
        for _ in range(500):
            clock.now += 1 / a_second
            crew.take(taken(backlog))
            await answered(crew)
            there.append(len(crew._stock._asked) + len(crew._stock._ready))
        assert most - BLOCK < max(there[300:]) <= most


async def test_the_ready_do_not_fill_the_memory(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "OCTETS", 10_000)
    async with crew_of(ledger, campaign) as (crew, backlog):
        for _ in range(300):
            crew.take(taken(backlog))
            await answered(crew)
            ready = sum(len(one.message.content) for one in crew._stock._ready.values())
            assert crew._stock._octets == ready <= 10_000 + sum(list(crew.answers[-1].values()))
        assert len(crew.answers) > 3


async def test_messages_that_nobody_took_in_time_make_room_for_others(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    """As those to a domain that must wait: they are in the list's order, and passed over."""
    async with crew_of(ledger, campaign) as (crew, backlog):
        for _ in range(3):
            crew.take(taken(backlog))
            await answered(crew)
        for _ in range(300):
            backlog.take(0.0)
        clock.now += 1.1
        for _ in range(3):
            crew.take(taken(backlog))
            await answered(crew)
        assert crew.take(taken(backlog))
        assert len(crew._stock._ready) <= BLOCKS * BLOCK


async def test_a_message_that_is_not_the_one_that_the_run_knows_is_not_taken(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    """Where a maker's way to the ledger leads to another one, in which the same number stands for somebody else."""
    async with crew_of(ledger, campaign) as (crew, backlog):
        for change in ({"message_id": "<other@example.org>"}, {"digest": 1}):
            mine = crew._stock.to_ask()
            first, *_ = mine
            of = mine[first].delivery
            found = Made.of(of, Message(Envelope("a@example.org", "b@example.org"), of.message_id, b"x"))
            crew._stock.bring(mine, [found._replace(**change)])
            assert first not in crew
            mine = crew._stock.to_ask()
            crew._stock.bring(mine, [found])
            assert first in crew
            backlog.take(0.0)


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["slept", "or its clock was set back"])
async def test_a_message_made_before_the_computer_slept_is_made_again(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, seconds: float
) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await answered(crew)
        assert crew.take(taken(backlog))
        clock.slept = seconds
        assert crew.take(taken(backlog)) is None


async def test_a_maker_that_answers_otherwise_than_expected_is_done_without(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(makers, "LENGTH", struct.Struct("!H"))
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await until(lambda: not crew._crew)
        assert crew.take(taken(backlog)) is None


async def test_a_maker_of_another_version_makes_nothing(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(makers, "__version__", "0.0.9")
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await until(lambda: not crew._crew)
        assert crew.answers == []


async def test_a_message_that_was_asked_for_too_long_ago_is_not_taken_and_asked_for_again(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        clock.now += freshness.SECONDS - 0.01
        await answered(crew)
        assert crew.take(taken(backlog))
        await answered(crew)
        clock.now += stock.CLEANING + 0.01
        assert crew.take(taken(backlog)) is None
        await answered(crew)
        delivery = taken(backlog)
        crew.take(delivery)
        await answered(crew)
        assert crew.take(taken(backlog))
        asked = [number for answer in crew.answers for number in answer]
        assert asked.count(delivery.id + 1) == 2


async def test_what_became_too_old_counts_no_more(ledger: Ledger, campaign: CampaignRecord, clock: Clock) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await answered(crew)
        assert crew._stock._octets > 0
        clock.now += freshness.SECONDS + 0.01
        crew.take(taken(backlog))
        assert (crew._stock._ready, crew._stock._octets) == ({}, 0)


async def test_no_maker_begins_for_whom_there_would_be_no_block(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    campaign = start(campaign_folder, ledger, MANY[: BLOCK + 1])
    async with crew_of(ledger, campaign, 8) as (crew, _):
        assert len(crew._begun) == 2


async def test_what_was_loaded_anew_is_made_anew(ledger: Ledger, campaign: CampaignRecord, clock: Clock) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await answered(crew)
        assert crew.take(taken(backlog))
        backlog.look_again()
        anew = taken(backlog)
        assert anew.id in crew
        assert crew.take(anew) is None


async def test_an_answer_to_what_was_asked_before_is_not_taken_for_that_to_what_was_asked_again(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "FARTHEST", 0)
    async with crew_of(ledger, campaign, 2) as (crew, backlog):
        await until(lambda: len(crew._crew) == 2)
        crew._stock._deep = 1000
        crew.take(taken(backlog))
        late, other = taken(backlog), taken(backlog)
        assert late.id in crew
        assert crew.take(late) is None
        assert late.id not in crew
        backlog.put_back(late)
        backlog.look_again()
        crew.take(other)
        assert late.id in crew, "it is asked for again"
        await answered(crew)
        of_it = [late.id in there for answer, there in zip(crew.answers, crew.there, strict=True) if late.id in answer]
        assert of_it == [False, True]
        anew = taken(backlog)
        assert anew.id == late.id
        assert crew.take(anew)


async def test_late_messages_are_asked_for_earlier_until_none_is_late(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        for _ in range(1 + BLOCKS * BLOCK):
            assert crew.take(taken(backlog)) is None
        await answered(crew)
        assert crew._stock._ready == {}, "all were late"
        number = taken(backlog)
        crew.take(number)
        late = BLOCKS * BLOCK
        assert min(crew._stock._asked) == number.id + 1 + late
        leads = []
        while len(backlog) > BLOCK:
            await answered(crew)
            crew.take(taken(backlog))
            leads.append(crew._stock._lead)
        assert leads == sorted(leads, reverse=True)
        assert leads[-1] < late // 3
        assert crew.take(taken(backlog)), "and they are here in their turn"


async def test_however_late_messages_are_they_are_not_asked_for_endlessly_early(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "FARTHEST", 30)
    async with crew_of(ledger, campaign) as (crew, backlog):
        for _ in range(1 + BLOCKS * BLOCK):
            crew.take(taken(backlog))
        await answered(crew)
        number = taken(backlog)
        crew.take(number)
        assert min(crew._stock._asked) == number.id + 1 + 30


async def test_what_a_maker_brings_or_will_bring_is_not_made_ahead_here(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    made: list[int] = []

    def render(delivery: Delivery) -> Message:
        made.append(delivery.id)
        return Message((), delivery.message_id, b"here")  # type: ignore[arg-type]

    async with crew_of(ledger, campaign) as (crew, backlog):
        ahead = Ahead(render, backlog, crew)
        for _ in range(20):
            ahead(taken(backlog))
        assert made == list(range(1, 21)), "each as it was late, and none before"
        await answered(crew)
        assert ahead(taken(backlog)).content != b"here"
        assert len(made) == 20


async def test_what_a_maker_owed_that_has_died_is_asked_of_another(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    async with crew_of(ledger, campaign, 2) as (crew, backlog):
        crew.take(taken(backlog))
        [owing] = [maker for maker in crew._crew if maker.owes]
        owing.kill()
        await until(lambda: len(crew._crew) == 1)
        delivery = taken(backlog)
        assert delivery.id not in crew
        assert crew.take(delivery) is None
        await answered(crew)
        assert owing not in crew._crew
        assert crew.take(taken(backlog))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, loop_factory()], ids=["asyncio", "as sending"])
def test_one_that_has_died_may_still_be_asked(
    ledger: Ledger, campaign: CampaignRecord, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    async def ask_the_dead() -> None:
        async with crew_of(ledger, campaign) as (crew, _):
            [maker] = crew._crew
            maker.kill()
            await until(lambda: not crew._crew)
            for _ in range(3):
                maker.ask({})
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask_the_dead())


async def test_messages_are_made_as_they_leave_over_the_relay_of_the_run(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    backup = replace(IDENTITY, sender=Mailbox(address="spare@backup.example", name="Spare"), own_sender=True)
    write_letter(campaign_folder)
    write_list(campaign_folder, MANY[:5])
    identity = replace(IDENTITY, faces=(("backup", backup),))
    campaign = freeze(prepare(source(campaign_folder), identity, ledger), ledger)
    async with crew_of(ledger, campaign, relay="backup") as (crew, backlog):
        crew.take(taken(backlog))
        await answered(crew)
        message = crew.take(taken(backlog))
    assert message
    assert message.envelope.mail_from == "spare@backup.example"
    assert message.content.startswith(b"From: Spare <spare@backup.example>\r\n")


async def test_an_encrypted_ledger_is_read_by_its_key(tmp_path: Path, campaign_folder: Path, clock: Clock) -> None:
    pytest.importorskip("sqlcipher3")
    with Ledger(tmp_path / "other.db", key=new_key("open sesame")) as ledger:
        campaign = start(campaign_folder, ledger, MANY[:5])
        async with crew_of(ledger, campaign) as (crew, backlog):
            crew.take(taken(backlog))
            await answered(crew)
            assert crew.take(taken(backlog))


# -- long messages


def attach(folder: Path, ledger: Ledger, octets: int) -> CampaignRecord:
    """A campaign whose messages have an attachment of so many octets."""
    (folder / "plan.bin").write_bytes(bytes(octets))
    write_letter(folder, LETTER.replace("language: en", "language: en\nattachments: [plan.bin]"))
    write_list(folder, MANY[:200])
    return freeze(prepare(source(folder), IDENTITY, ledger), ledger)


async def test_for_long_messages_the_makers_are_dismissed(campaign_folder: Path, ledger: Ledger, clock: Clock) -> None:
    campaign = attach(campaign_folder, ledger, LONG)
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew._stock._deep = 1000
        for _ in range(4):
            crew.take(taken(backlog))
        await until(lambda: len(crew.answers) == LONG_BLOCKS)
        assert crew.left == [1, 0], "one block may have a single large attachment"
        await asyncio.wait_for(asyncio.gather(*(maker._process.wait() for maker in crew._begun)), 20)
        assert crew._stock._asked == {}
        assert crew.take(taken(backlog)), "what they brought is not thrown away"


async def test_for_a_long_message_now_and_then_they_are_not(
    ledger: Ledger, campaign: CampaignRecord, clock: Clock
) -> None:
    async with crew_of(ledger, campaign) as (crew, backlog):
        for size in (LONG * BLOCK * 2, 1, LONG * BLOCK * 2, 1):
            of = taken(backlog)
            made = Made.of(of, Message(Envelope("a@example.org", "b@example.org"), of.message_id, bytes(size)))
            crew.brought({of.id: stock.Asked(of, freshness.now())}, [made])
        assert len(crew._crew) == 1


async def test_for_shorter_ones_they_are_not(campaign_folder: Path, ledger: Ledger, clock: Clock) -> None:
    campaign = attach(campaign_folder, ledger, LONG // 2)
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await answered(crew)
        assert len(crew._crew) == 1
        assert crew.take(taken(backlog))


async def test_a_maker_stops_where_messages_are_so_long_that_they_would_fill_the_memory(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = attach(campaign_folder, ledger, 3_000_000)
    async with crew_of(ledger, campaign) as (crew, backlog):
        crew.take(taken(backlog))
        await until(lambda: crew.answers)
        octets = crew.answers[0].values()
        most = LONG_BLOCKS * BLOCK * LONG
        assert most < sum(octets) <= most + max(octets)


# -- by themselves


@pytest.mark.parametrize(("cores", "expected"), [(4, 3), (100, MOST)])
async def test_messages_that_are_signed_are_worth_more_makers(
    ledger: Ledger, campaign: CampaignRecord, monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    monkeypatch.setattr(makers, "FEW", 10)
    monkeypatch.setattr(apart, "cores", lambda: cores)
    async with crew_of(ledger, campaign, None, signed_by=signer("example.org")) as (crew, backlog):
        for _ in range(3 * SAMPLE):
            assert crew.take(taken(backlog)) is None
        await until(lambda: len(crew._crew) == expected)
        assert crew._starting
        await crew._starting
    assert len(crew._begun) == expected


@pytest.mark.parametrize(
    ("a_second", "left", "starts"),
    [(SLOW + 1, UNSIGNED * FEW, True), (SLOW - 1, UNSIGNED * FEW, False), (SLOW + 1, UNSIGNED * FEW - 1, False)],
    ids=["fast and many", "slow", "few"],
)
async def test_makers_start_for_at_least_so_many_that_leave_so_fast(
    ledger: Ledger,
    campaign: CampaignRecord,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    a_second: float,
    left: int,
    starts: bool,
) -> None:
    monkeypatch.setattr(apart, "cores", lambda: 2)
    monkeypatch.setattr(Backlog, "__len__", lambda _: left)
    async with crew_of(ledger, campaign, None) as (crew, backlog):
        delivery = taken(backlog)
        for _ in range(2 * SAMPLE):
            clock.now += 1 / a_second
            assert not crew._starting
            crew.take(delivery)
        assert bool(crew._starting) is starts
