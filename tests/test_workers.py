"""Workers send what was left to them: nobody twice, nobody missed, whatever befalls them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from campaigns import address, once_each, received, start
from postgres_server import PostgresServer
from smtp_server import ScriptedServer
from workers import Told, leave, until, working

from mailer.ledger import Ledger
from mailer.model import Server

PEOPLE = [address(number) for number in range(1, 31)]


@pytest.fixture
def place(postgres: PostgresServer) -> Iterator[Server]:
    with postgres.database() as name:
        yield Server(address=postgres.address(name))


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running
        assert running.violations == []


async def test_a_campaign_left_to_two_workers_is_sent_and_finished_once(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    assert leave(ledger, campaign) == 6
    one, another = Told(), Told()
    async with working(place, server, one), working(place, server, another):
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)
    assert ledger.tally(campaign).sent == len(PEOPLE)
    assert sorted(one.words("finished") + another.words("finished")) == ["appeal"]
    assert sum((one.records + another.records).values()) == len(PEOPLE)
    shared = ledger.shared
    assert (shared.presences(), shared.standing(campaign), shared.bury()) == ([], None, [])
    assert ledger._db.native(
        "SELECT (SELECT count(*) FROM procrastinate_jobs), (SELECT count(*) FROM batches)"
    ).fetchone() == (0, 0)
