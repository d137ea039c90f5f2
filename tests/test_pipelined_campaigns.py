"""Whole campaigns with one round trip a message: whatever the server does, the ledger tells the truth and all get one message."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaigns import Watcher, make_due, run_of, send, start, statuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smtp_raw import Fault, RawServer
from test_pipelining import BROKEN, EVERY_FAULT, FAULTS, MODES, TO_NOBODY, check_server, patience_for, person, relay

from mailer.cli.send import loop_factory
from mailer.errors import LedgerError, Paused
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Pipelining, Quota, Status, Tally

PEOPLE = [person(number) for number in range(1, 8)]
NAMES = itertools.count()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has just started; its ledger is copied for each run."""
    folder = tmp_path_factory.mktemp("frozen")
    with Ledger(folder / "mailer.db") as ledger:
        start(folder, ledger, PEOPLE)
    return folder / "mailer.db"


@pytest.fixture
def ledger(frozen: Path) -> Iterator[Ledger]:
    with copy_of(frozen) as opened:
        yield opened


def copy_of(frozen: Path) -> Ledger:
    folder = frozen.parent / f"copy {next(NAMES)}"
    folder.mkdir()
    return Ledger(Path(shutil.copy(frozen, folder)))


def check_ledger(ledger: Ledger, campaign: CampaignRecord, server: RawServer) -> None:
    """What the ledger says of everybody is true, and it counts every envelope that the server has seen."""
    doubtful = {recipient for _, recipient in server.in_doubt}
    for who, status in statuses(ledger, campaign).items():
        count = server.accepted[who]
        assert count <= 1, f"{who} accepted {count} times"
        if status is Status.SENT:
            assert count == 1, f"{who} was called sent"
        elif status is Status.UNCERTAIN:
            assert who in doubtful, f"{who} is in doubt for no reason"
        else:
            assert count == 0, f"{who} was accepted and called {status}"
            assert status is not Status.SENDING
    attempts = ledger._db.execute("SELECT count(*) FROM attempts WHERE finished_at IS NOT NULL").fetchone()[0]
    assert attempts >= server.mails, "the quota forgot somebody whose envelope had left"
    check_server(server)


async def carry_on(ledger: Ledger, server: RawServer, mode: Pipelining, patience: float, **options: object) -> None:
    """Run after run, as a person would, until everybody has their message."""
    campaign = ledger.find("appeal")
    for _ in range(12):
        result = await send(ledger, campaign, server, relay=relay(server, mode, patience), **options)
        check_ledger(ledger, campaign, server)
        if result.tally == Tally(sent=len(PEOPLE)):
            break
        doubtful = [who for who, status in statuses(ledger, campaign).items() if status is Status.UNCERTAIN]
        for arrived, status in ((True, Status.SENT), (False, Status.QUEUED)):
            ledger.resolve(campaign, status, [who for who in doubtful if bool(server.accepted[who]) is arrived])
        ledger.requeue_failed(campaign)
        make_due(ledger)
    assert set(statuses(ledger, campaign).values()) == {Status.SENT}
    assert server.accepted == dict.fromkeys(PEOPLE, 1)


# With one connection the second message is the first whose envelope leaves early; with four it is the fifth.
WHERE = [
    (Pipelining.AUTO, 1, 2),
    (Pipelining.AUTO, 1, 3),
    (Pipelining.MESSAGE, 1, 3),
    (Pipelining.OFF, 1, 3),
    (Pipelining.AUTO, 4, 6),
    (Pipelining.MESSAGE, 4, 6),
    (Pipelining.OFF, 4, 6),
]


@pytest.mark.parametrize(("mode", "connections", "position"), WHERE)
@pytest.mark.parametrize("phase", FAULTS)
async def test_whatever_happens_to_whom_everybody_gets_one_message_in_the_end(
    frozen: Path, phase: str, mode: Pipelining, connections: int, position: int
) -> None:
    async def one(what: str, to_nobody: str) -> None:
        fault = FAULTS[phase][what]
        with copy_of(frozen) as ledger:
            async with RawServer(faults={(position, phase): fault}, to_nobody=to_nobody) as server:
                await carry_on(ledger, server, mode, patience_for(fault), connections=connections)

    answers = itertools.cycle(TO_NOBODY)
    # without overlap four connections add little to one: a part of the faults is enough
    faults = list(FAULTS[phase])[:: 1 if connections == 1 or mode is Pipelining.AUTO else 3]
    await asyncio.gather(*(one(what, next(answers)) for what in faults))


# -- servers that do not bear what comes early


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_server_that_closes_after_every_message_is_soon_given_no_envelope_early(
    ledger: Ledger, how: str
) -> None:
    always = {"dot": Fault(taken=True, reply="250 2.0.0 Ok", end=how)}
    async with RawServer(always=always) as server:
        watcher = Watcher()
        result = await send(ledger, ledger.find("appeal"), server, watcher, relay=relay(server))
        check_ledger(ledger, result.campaign, server)
    assert result.tally == Tally(sent=len(PEOPLE))
    assert server.mails <= len(PEOPLE) + 1, "an envelope too many, and each takes a place of the quota"
    assert not watcher.reconnects


@pytest.mark.parametrize("left", [0, 7, 20, 44])
async def test_a_server_that_throws_away_what_follows_a_message_gets_two_round_trips(ledger: Ledger, left: int) -> None:
    async with RawServer(always={"dot": Fault(discard=left)}) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server, patience=0.3))
        check_ledger(ledger, result.campaign, server)
    assert (result.tally, result.reason) == (Tally(sent=len(PEOPLE)), None)
    assert server.connections == 2, "it was tried once"


async def test_a_server_that_takes_its_time_over_each_recipient_is_waited_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.smtp.connection.ENVELOPE_PATIENCE", 0.1)
    async with RawServer(always={"rcpt": Fault(delay=0.25)}) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server))
    assert result.tally == Tally(sent=len(PEOPLE))
    assert server.connections == 1


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_server_that_takes_its_time_over_each_sender_gets_two_round_trips(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, connections: int
) -> None:
    monkeypatch.setattr("mailer.smtp.connection.ENVELOPE_PATIENCE", 0.1)
    async with RawServer(always={"mail": Fault(delay=0.25)}) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server), connections=connections)
        check_ledger(ledger, result.campaign, server)
    assert result.tally == Tally(sent=len(PEOPLE))
    assert server.connections <= 2 * connections


# -- when somebody is not to be begun early


async def test_a_relay_that_defers_in_storms_is_slowed_down_as_without_overlap(frozen: Path) -> None:
    rates = {}
    for mode in MODES:
        with copy_of(frozen) as ledger:
            faults = {(number, "rcpt"): Fault(reply="451 4.3.2 Try again later") for number in range(2, 7)}
            async with RawServer(faults=faults) as server:
                run = run_of(ledger, ledger.find("appeal"), relay(server, mode), account=[Quota(seconds=3600, count=7)])
                starts = run._throttle._starts
                await run.run()
                rates[mode] = len(starts)
    assert set(rates.values()) == {len(PEOPLE)}, "each transaction is counted once"


async def test_an_account_that_is_told_to_rest_does_so_at_once(ledger: Ledger) -> None:
    async with RawServer(faults={(2, "dot"): Fault(reply="550 5.4.5 Daily user sending limit exceeded")}) as server:
        run = run_of(
            ledger, ledger.find("appeal"), relay(server), Watcher(on_wait=lambda: run.stop(Paused("enough"))), wait=True
        )
        await asyncio.wait_for(run.run(), 20)
        check_ledger(ledger, ledger.find("appeal"), server)
    assert server.accepted == {person(1): 1}
    assert ledger.tally(ledger.find("appeal")) == Tally(sent=1, queued=len(PEOPLE) - 1)


async def test_a_ledger_that_cannot_tell_who_is_next_leaves_nobody_in_doubt(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer() as server:
        run = run_of(ledger, ledger.find("appeal"), relay(server))
        load = ledger.deliveries

        def broken(ids: list[int]) -> list[object]:
            if server.mails:
                raise LedgerError("The ledger cannot be read.")
            return load(ids)

        monkeypatch.setattr("mailer.campaign.backlog.CHUNK", 1)
        monkeypatch.setattr(ledger, "deliveries", broken)
        with pytest.raises(LedgerError):
            await asyncio.wait_for(run.run(), 20)
        monkeypatch.undo()
        check_ledger(ledger, ledger.find("appeal"), server)
    assert ledger.tally(ledger.find("appeal")) == Tally(sent=1, queued=len(PEOPLE) - 1)
