"""Where a slot comes before its time, the intent is written meanwhile: nothing leaves early, and all that may happen then is recorded truly."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from campaigns import address, once_each, received, relay_to, run_of, start, statuses
from smtp_server import ScriptedServer

from mailer.campaign.line import HELD_SECONDS
from mailer.campaign.trial import _Trial
from mailer.errors import Paused
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Outcome, Phase, Pipelining, Quota, Scope, Status, Verdict
from mailer.pace import Pace, Slot
from mailer.pace.duration import Duration

EARLY = 0.05
PEOPLE = [address(number) for number in range(1, 6)]


class EarlyPace(Pace):
    """As a shared one may: whoever waits comes to a slot before it starts."""

    def __init__(self) -> None:
        super().__init__([Quota(count=1000, seconds=1)])
        self.starts: list[float] = []

    async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:
        slot = await super().reserve(domain, lead)
        if slot:
            slot.starts_at = self.clock() + EARLY
            self.starts.append(slot.starts_at)
        return slot


@pytest.fixture
def ledger(campaign_folder: Path) -> Iterator[Ledger]:
    with Ledger(campaign_folder / "mailer.db") as opened:
        yield opened


@pytest.fixture
def campaign(campaign_folder: Path, ledger: Ledger) -> CampaignRecord:
    return start(campaign_folder, ledger, PEOPLE)


async def send_early(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer, mode: Pipelining = Pipelining.AUTO
) -> EarlyPace:
    run = run_of(ledger, campaign, relay_to(server, pipelining=mode))
    run.pace = pace = EarlyPace()
    assert await asyncio.wait_for(run.run(), 20) is None
    return pace


async def test_nothing_leaves_before_its_time_and_the_intent_is_written_meanwhile(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer
) -> None:
    held = server.on("mail", nth=1, hold=True)
    run = run_of(ledger, campaign, relay_to(server))
    run.pace = pace = EarlyPace()
    sending = asyncio.create_task(run.run())
    assert await asyncio.to_thread(held.fired.wait, 10)
    assert time.perf_counter() >= pace.starts[0]
    async with asyncio.timeout(10):
        while True:
            with Ledger(ledger.place) as other:
                if list(statuses(other, campaign).values()).count(Status.SENDING) == 1:
                    break
            await asyncio.sleep(0.01)
    held.release()
    await asyncio.wait_for(sending, 20)
    assert received(server) == once_each(PEOPLE)


@pytest.mark.parametrize("mode", [Pipelining.AUTO, Pipelining.OFF])
@pytest.mark.parametrize(
    "case",
    [
        ("rcpt", "550 5.1.1 User unknown", Status.FAILED),
        ("rcpt", "450 4.2.0 Mailbox busy", Status.DEFERRED),
        ("data", "452 4.2.2 Mailbox full", Status.DEFERRED),
        ("dot", "554 5.7.1 Not this one", Status.FAILED),
    ],
)
async def test_what_is_refused_after_an_early_intent_is_recorded_as_that(
    ledger: Ledger,
    campaign: CampaignRecord,
    server: ScriptedServer,
    mode: Pipelining,
    case: tuple[str, str, Status],
) -> None:
    phase, reply, status = case
    server.on(phase, nth=2, reply=reply)
    await send_early(ledger, campaign, server, mode)
    stands = statuses(ledger, campaign)
    [refused] = [who for who, where in stands.items() if where is not Status.SENT]
    assert stands[refused] is status
    assert received(server) == once_each([who for who in PEOPLE if who != refused])


@pytest.mark.parametrize("mode", [Pipelining.AUTO, Pipelining.OFF])
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
async def test_a_connection_that_ends_after_an_early_intent_leaves_nobody_in_doubt(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer, mode: Pipelining, phase: str
) -> None:
    server.on(phase, nth=2, drop=True)
    await send_early(ledger, campaign, server, mode)
    assert set(statuses(ledger, campaign).values()) == {Status.SENT}
    assert received(server) == once_each(PEOPLE)


async def test_who_is_somebody_elses_by_then_is_sent_nothing(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer
) -> None:
    class Overtaken(EarlyPace):
        async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:
            if not self.starts:
                with sqlite3.connect(str(ledger.place)) as other:
                    other.execute(
                        "UPDATE deliveries SET status = 'suppressed' WHERE id = (SELECT min(id) FROM deliveries)"
                    )
                other.close()
            return await super().reserve(domain, lead)

    run = run_of(ledger, campaign, relay_to(server))
    run.pace = Overtaken()
    await asyncio.wait_for(run.run(), 20)
    stands = statuses(ledger, campaign)
    assert sorted(stands.values()) == sorted([Status.SUPPRESSED, *[Status.SENT] * 4])
    assert received(server) == once_each([who for who in PEOPLE if stands[who] is Status.SENT])


async def test_an_outcome_is_not_held_while_others_are_before_us_in_the_queue_for_a_place(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer
) -> None:
    waiting, go = asyncio.Event(), asyncio.Event()

    class Crowded(Pace):
        """It says that a place is free, and then somebody else gets it."""

        def try_reserve(self, domain: str) -> Slot | None:
            return None if server.accepted and not go.is_set() else super().try_reserve(domain)

        async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:
            if server.accepted:
                waiting.set()
                await go.wait()
            return await super().reserve(domain, lead)

    run = run_of(ledger, campaign, relay_to(server, pipelining=Pipelining.OFF))
    run.pace = Crowded([Quota(count=1000, seconds=1)])
    sending = asyncio.create_task(run.run())
    await asyncio.wait_for(waiting.wait(), 10)
    await asyncio.sleep(HELD_SECONDS * 5)
    with Ledger(ledger.place) as other:
        assert list(statuses(other, campaign).values()).count(Status.SENT) == len(server.accepted)
    go.set()
    await asyncio.wait_for(sending, 20)
    assert received(server) == once_each(PEOPLE)


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_run_that_a_message_stops_leaves_nobody_in_doubt_of_whom_nothing_had_left(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer, processes: int
) -> None:
    ledger._db.execute("UPDATE deliveries SET digest = digest + 1 WHERE address = ?", (PEOPLE[2],))
    run = run_of(ledger, campaign, relay_to(server), processes=processes, connections=2)
    run.pace = EarlyPace()
    with pytest.raises(Paused, match="another message than the one that was checked"):
        await asyncio.wait_for(run.run(), 20)
    assert PEOPLE[2] not in received(server)
    stands = statuses(ledger, campaign)
    assert stands[PEOPLE[2]] is Status.QUEUED
    assert set(stands.values()) <= {Status.SENT, Status.QUEUED}


async def test_a_test_message_waits_for_its_place_however_often_it_has_to_ask() -> None:
    asked: list[str] = []

    class Later(Pace):
        async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:
            asked.append(domain)
            return await super().reserve(domain, lead) if len(asked) > 1 else None

    sent: list[int] = []

    async def transmit(*_: object) -> Outcome:
        sent.append(len(asked))
        return Outcome(verdict=Verdict.SENT, scope=Scope.RECIPIENT, phase=Phase.FINAL_DOT, text="")

    async def write(**_: object) -> None: ...

    given: Any = {
        "connection": SimpleNamespace(transmit=transmit), "account": "", "writer": SimpleNamespace(write=write),
        "pace": Later([Quota(count=1, seconds=60)]),
    }  # fmt: skip
    message: Any = SimpleNamespace(envelope=SimpleNamespace(rcpt_to="p1@example.org"))
    await _Trial(**given).send(message)
    assert sent == [2]


def test_how_long_something_takes_is_learned() -> None:
    duration = Duration()
    assert duration.likely == 0.0
    for seconds in [0.010, 0.012, 0.008] * 20:
        duration.add(seconds)
    assert 0.010 < duration.likely < 0.016
    for _ in range(60):
        duration.add(0.1)
    assert duration.likely == pytest.approx(0.1, rel=0.1)
