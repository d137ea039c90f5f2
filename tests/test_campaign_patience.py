"""What happens while a run waits: the Date stays true, outcomes become durable, silence is told, decisions are heeded."""

from __future__ import annotations

import asyncio
import email.utils
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from campaigns import Watcher, address, received, relay_to, run_of, send, start, statuses
from smtp_server import ScriptedServer

import mailer.campaign.run
from mailer.errors import RelayStopped
from mailer.ledger import Ledger
from mailer.model import Quota, Status

PEOPLE = [address(number) for number in range(1, 7)]


@pytest.fixture
def ledger(campaign_folder: Path) -> Iterator[Ledger]:
    with Ledger(campaign_folder / "mailer.db") as opened:
        yield opened


@pytest.mark.alone
async def test_a_message_that_waited_for_its_turn_has_the_date_at_which_it_left(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:3])
    began = time.time()
    with ScriptedServer() as server:
        await send(ledger, campaign, server, account=[Quota(count=2, seconds=4)])
        dates = [message.content.split(b"Date: ", 1)[1].split(b"\r\n", 1)[0].decode() for message in server.accepted]
    left = [email.utils.parsedate_to_datetime(date).timestamp() for date in dates]
    assert left[2] - left[0] >= 3
    assert left[0] >= began - 1


async def test_an_outcome_is_durable_though_the_server_takes_its_time_over_the_next_envelope(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:2])
    found: list[str] = []

    def look() -> None:
        with closing(sqlite3.connect(ledger.path)) as db:
            found.extend(row[0] for row in db.execute("SELECT status FROM deliveries ORDER BY id"))

    with ScriptedServer() as server:
        rule = server.on("mail", nth=2, delay=1.5)
        running = asyncio.ensure_future(send(ledger, campaign, server))
        await asyncio.to_thread(rule.fired.wait, 20)
        await asyncio.sleep(0.8)
        look()
        await running
    assert found == ["sent", "queued"]


async def test_many_that_are_suppressed_meanwhile_cost_one_connection(campaign_folder: Path, ledger: Ledger) -> None:
    people = [address(number) for number in range(1, 41)]
    campaign = start(campaign_folder, ledger, people)
    watcher = Watcher()

    def once() -> None:
        if len(watcher.records) == 1:
            with Ledger(ledger.path) as other:
                other.suppress([(key, "asked") for key in people[1:-1]], source="by hand")

    watcher.on_record = once
    with ScriptedServer() as server:
        await send(ledger, campaign, server, watcher)
        assert received(server) == {people[0]: 1, people[-1]: 1}
        assert server.connections <= 3
    account = relay_to(server).account
    # the transaction that was begun and given up counts towards the quota
    assert len(ledger.transactions(account, 0)) == 3


async def test_silence_is_told_once_with_how_long_it_may_last(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer.campaign.run, "SILENCE", 0.3)
    campaign = start(campaign_folder, ledger, PEOPLE[:2])
    watcher = Watcher()
    with ScriptedServer() as server:
        server.on("dot", nth=1, delay=1.5)
        await send(ledger, campaign, server, watcher)
    [(seconds, patience)] = watcher.silences
    assert 0.3 <= seconds < 1.5
    assert patience == relay_to(server).final_timeout


async def test_one_recipient_that_stops_the_run_does_not_keep_it_from_the_others(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        server.on("rcpt", address=PEOPLE[2], reply="552 5.3.4 Message size exceeds fixed limit")
        first = await send(ledger, campaign, server)
        assert isinstance(first.reason, RelayStopped)
        assert "row 4" in str(first.reason)
        second = await send(ledger, campaign, server)
        assert isinstance(second.reason, RelayStopped)
    left = [key for key, status in statuses(ledger, campaign).items() if status is Status.QUEUED]
    assert left == [PEOPLE[2]]


def test_a_quota_holds_though_the_program_dies_before_every_intent(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        relay = relay_to(server)
        for _ in range(3):
            # as it stands when the program is killed in the middle of its first transaction
            ledger.note_lines(campaign, relay.account, 1)
            ledger.mark_interrupted(campaign)
        run = run_of(ledger, campaign, relay, account=[Quota(count=3, seconds=3600)])
    start_at = run.pace.next_start("example.org")
    assert start_at is not None
    assert start_at > run.pace.clock() + 3000
