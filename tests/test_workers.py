"""Workers send what was left to them: nobody twice, nobody missed, whatever befalls them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from campaigns import address, make_due, once_each, received, relay_to, send, start
from dkim_judge import signer
from postgres_server import PostgresServer
from procrastinate import PsycopgConnector
from smtp_server import ScriptedServer
from workers import QUICK, Told, leave, until, working

from mailer import mime
from mailer.campaign.limits import Limits
from mailer.campaign.standing import state_of
from mailer.cluster.engine import Engine, Jobs
from mailer.cluster.pacing import Share
from mailer.cluster.runs import Runs
from mailer.cluster.vitals import State, Vitals
from mailer.errors import BrokenLedgerError, CampaignError, LedgerError, Paused
from mailer.ledger import Ledger, SenderLock
from mailer.ledger.postgres import opening
from mailer.model import Happening, Quota, Server, Status
from mailer.pace import Pace

PEOPLE = [address(number) for number in range(1, 31)]


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        yield opened


async def test_a_campaign_is_finished_with_its_last_message_while_workers_still_hold_it(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    last = server.on("dot", nth=len(PEOPLE), hold=True)
    slow = dataclasses.replace(QUICK, idle=60.0, reconcile=60.0)

    def state() -> str:
        return state_of(ledger, ledger.find("appeal"), ledger.tally(campaign))

    async with working(place, server, rhythm=slow):
        await until(last.fired.is_set)
        assert state() == "sending"
        last.release()
        await until(lambda: ledger.tally(campaign).sent == len(PEOPLE))
        assert state() == "finished"
        assert SenderLock(ledger, "appeal").is_held()
        # whoever is queued once more is so at once
        ledger._run("UPDATE deliveries SET status = 'queued' WHERE id = (SELECT min(id) FROM deliveries)")
        assert state() == "sending"


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


async def test_a_campaign_that_is_left_once_more_for_later_is_left_alone_in_the_middle_of_a_batch(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign, batch_size=15)
    told = Told()
    server.on("dot", delay=0.1)
    async with working(place, server, told, lines=1):
        await until(lambda: told.records.total() >= 2)
        later = time.time() + 3600
        leave(ledger, campaign, batch_size=15, not_before=later)
        await until(lambda: told.words("batch ended"))
        assert len(server.accepted) < 15
        jobs = "SELECT extract(epoch FROM scheduled_at)::float8 FROM procrastinate_jobs WHERE status = 'todo'"
        await until(lambda: ledger._db.native(jobs).fetchall() == [(pytest.approx(later, abs=1),)] * 2)
        standing = ledger.shared.standing(campaign)
        assert standing
        assert standing.halt is None, "nobody has to begin it again"
        server.rules.clear()
        leave(ledger, campaign, batch_size=15)
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)


async def test_a_worker_that_is_told_to_end_gives_the_rest_of_its_batches_back_at_once(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign, batch_size=15)
    told = Told()
    async with working(place, server, told) as worker:
        told.on_record = lambda: worker.stop() if told.records.total() == 7 else None
        await until(lambda: told.records.total() >= 7)
    tally = ledger.tally(campaign)
    assert (tally.sending, tally.uncertain) == (0, 0)
    assert 7 <= tally.sent == len(server.accepted) < len(PEOPLE)
    assert ledger.shared.presences() == []
    waiting = "SELECT status::text, scheduled_at <= now() FROM procrastinate_jobs"
    assert ledger._db.native(waiting).fetchall() == [("todo", True)] * 2
    async with working(place, server):
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)


async def test_a_worker_that_is_told_to_end_begins_no_campaign_that_it_was_just_about_to_begin(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks at the campaign for a moment; what waits for that is not among what a stop finds."""
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign, batch_size=15)
    entering, enter = asyncio.Event(), Runs.enter

    async def noticed(self: Runs, name: str) -> object:
        entering.set()
        return await enter(self, name)

    monkeypatch.setattr(Runs, "enter", noticed)
    stopped, stop = asyncio.Event(), Runs.stop

    def told(self: Runs, *given: Any) -> None:
        stop(self, *given)
        stopped.set()

    monkeypatch.setattr(Runs, "stop", told)
    with contextlib.ExitStack() as looking:
        looking.enter_context(SenderLock(ledger, campaign.name))
        async with working(place, server) as worker:
            await asyncio.wait_for(entering.wait(), 10)
            worker.stop()
            await asyncio.wait_for(stopped.wait(), 10)
            looking.close()
    assert server.accepted == []
    assert ledger.tally(campaign).queued == len(PEOPLE)


async def test_two_workers_that_find_the_same_stalled_job_both_go_on(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(ledger, start(campaign_folder, ledger, PEOPLE))
    [(number,), *_] = ledger._db.native("SELECT id FROM procrastinate_jobs ORDER BY id").fetchall()

    async def none(_batch: int, _engine: int) -> None: ...

    async with Engine(ledger.shared.address, none, lines=1, queues=["mailer"], rhythm=QUICK) as engine:
        # as the slower of them sees it: given back already, and gone
        for job in (number, 10**9):

            async def stalled(job: int = job, **_: object) -> list[object]:
                return [SimpleNamespace(id=job)]

            monkeypatch.setattr(engine._app.job_manager, "get_stalled_jobs", stalled)
            await engine.free([])


async def test_a_worker_that_stands_still_while_it_tells_the_queue_something_keeps_no_job_from_others(
    campaign_folder: Path, ledger: Ledger
) -> None:
    leave(ledger, start(campaign_folder, ledger, PEOPLE))

    async def none(_batch: int, _engine: int) -> None: ...

    touch = "UPDATE procrastinate_jobs SET attempts = attempts"
    async with Engine(ledger.shared.address, none, lines=1, queues=["mailer"], rhythm=QUICK) as engine:
        connector = engine._app.connector
        assert isinstance(connector, PsycopgConnector)
        # stopped between the statement and what would end its transaction
        async with connector.pool.connection() as still:
            await still.execute(touch)
            ledger._db.native("SET lock_timeout = '5s'")
            await asyncio.to_thread(ledger._db.native, touch)


async def test_too_many_refused_addresses_stop_a_campaign_for_all_workers_until_a_person_lets_it_go_on(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    refusing = server.on("rcpt", reply="550 5.1.1 User unknown")
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    told = Told()
    async with working(place, server, told, lines=1), working(place, server, lines=1):
        await until(lambda: (standing := ledger.shared.standing(campaign)) and standing.halt)
        halt = ledger.shared.standing(campaign).halt
        assert "refused" in halt.reason
        assert halt.exit_code == 4
        await until(lambda: not ledger._db.native("SELECT 1 FROM batches WHERE token IS NOT NULL").fetchone())
        await until(lambda: not ledger._db.native("SELECT 1 FROM procrastinate_jobs").fetchone())
        failed = ledger.tally(campaign).failed
        assert failed < len(PEOPLE)
        server.rules.remove(refusing)
        leave(ledger, campaign)
        await until(lambda: ledger.find("appeal").finished_at)
    assert len(server.accepted) == len(PEOPLE) - failed == len(received(server))
    told = [(entry.kind, entry.number) for entry in ledger.diary(campaign)]
    assert told == [(Happening.FINISHED, 0), (Happening.BEGUN, 1), (Happening.STOPPED, 0), (Happening.BEGUN, 0)]


async def test_refused_addresses_count_over_all_workers_also_where_none_met_enough_of_them(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    dead = PEOPLE[0::5]
    for one in dead:
        server.on("rcpt", address=one, reply="550 5.1.1 User unknown")
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    tolls = [Told() for _ in range(6)]
    async with contextlib.AsyncExitStack() as stack:
        for told in tolls:
            # each ends after its first batch: no worker meets more than one
            worker = await stack.enter_async_context(working(place, server, told, lines=1))
            told.on_record = lambda told=told, worker=worker: worker.stop() if told.records.total() == 5 else None
            await until(lambda told=told: told.records.total() >= 5 or ledger.shared.standing(campaign).halt)
        halt = ledger.shared.standing(campaign).halt
    assert "Too many addresses" in halt.reason
    assert ledger.tally(campaign).failed == 5


async def test_one_worker_s_refusals_stop_nobody_where_they_are_few_among_all_that_were_sent(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    now = "extract(epoch FROM now())::float8"
    add = (
        "INSERT INTO attempts (delivery_id, token, account, domain, started_at, finished_at, verdict, scope, phase)"
        f" SELECT id, 't', 'a' || id % 3, 'example.org', {now}, {now}, $1, 'recipient', 'rcpt' FROM deliveries ORDER BY id"
    )
    ledger._db.native(f"{add} LIMIT 20", ("sent",))
    ledger._db.native(f"{add} LIMIT 5", ("failed",))
    shared = ledger.shared
    assert shared.too_many_refused(campaign, 5, 20)
    assert not shared.too_many_refused(campaign, 5, 20.1)
    assert not shared.too_many_refused(campaign, 6, 0)
    assert shared.too_many_refused(campaign, 5, 0)
    ledger._db.native("UPDATE attempts SET finished_at = finished_at - 3601 WHERE verdict = 'sent'")
    assert shared.too_many_refused(campaign, 5, 100), "what is an hour old tells nothing"
    shared.halt(campaign, Paused("Looked at."))
    leave(ledger, campaign)
    assert not shared.too_many_refused(campaign, 5, 1), "a person has looked"


async def test_a_pause_reaches_every_worker_and_the_campaign_may_then_be_sent_from_one_place(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    held = server.on("dot", nth=4, hold=True)
    async with working(place, server), working(place, server):
        await until(held.fired.is_set)
        ledger.shared.halt(campaign, Paused("Paused at your request."))
        with pytest.raises(CampaignError, match="just now"), SenderLock(ledger, "appeal"):
            pass
        held.release()
        await until(lambda: not SenderLock(ledger, "appeal").is_held())
        with SenderLock(ledger, "appeal"):
            assert ledger.tally(campaign).sending == 0
            assert ledger.shared.take_back(campaign)
            await send(ledger, campaign, server)
    assert received(server) == once_each(PEOPLE)


async def test_an_account_that_is_refused_rests_for_all_its_workers_and_is_not_hammered(
    campaign_folder: Path, ledger: Ledger, place: Server
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    with ScriptedServer(users={"office": "secret"}) as server:
        relay, one, another = relay_to(server, username="office", password="wrong"), Told(), Told()
        async with working(place, server, one, relay=relay), working(place, server, another, relay=relay):
            await until(lambda: len(one.words("resting") + another.words("resting")) >= 2)
            attempts = server.connections
            assert attempts <= 4, "one try a line at most, and then nobody before the rest is over"
            assert "refused the user name or password" in one.words("resting")[0]
            assert ledger.shared.standing(campaign).halt is None
            server.users = {"office": "wrong"}
            await until(lambda: ledger.find("appeal").finished_at)
        assert received(server) == once_each(PEOPLE)


async def test_who_is_put_off_is_tried_again_by_a_job_at_that_time(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    server.on("rcpt", address=PEOPLE[3], first=1, reply="451 4.7.1 Greylisted, come back later")
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    async with working(place, server):
        await until(lambda: ledger.tally(campaign).sent == len(PEOPLE) - 1)
        [due] = ledger._db.native("SELECT next_attempt_at FROM deliveries WHERE status = 'deferred'").fetchone()
        job = "SELECT CAST(extract(epoch FROM scheduled_at) AS float8) FROM procrastinate_jobs"
        await until(lambda: (row := ledger._db.native(job).fetchone()) and row[0] == pytest.approx(due, abs=1))
        assert ledger.find("appeal").finished_at is None
        make_due(ledger)
        ledger._db.native("UPDATE procrastinate_jobs SET scheduled_at = now()")
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)


async def test_workers_whose_sessions_are_ended_at_the_server_begin_anew_by_themselves(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer, postgres: PostgresServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    told = Told()
    mine = ledger._db.connection.info.backend_pid
    ending = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN ({mine}, pg_backend_pid())"
    async with working(place, server, told):
        await until(lambda: told.records.total() >= 5)
        ledger._db.native(ending)
        await until(lambda: told.words("lost"))
        await until(lambda: ledger.find("appeal").finished_at)
    doubtful = ledger.tally(campaign).uncertain
    assert doubtful <= 2, "at most one a connection"
    assert max(received(server).values()) == 1
    assert ledger.tally(campaign).sent + doubtful == len(PEOPLE)
    assert ledger.shared.presences() == []


@pytest.mark.thorough
async def test_what_a_mail_server_answered_while_the_ledger_was_lost_is_recorded_later(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    held = server.on("accepted", nth=4, hold=True)
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    told = Told()
    mine = ledger._db.connection.info.backend_pid
    async with working(place, server, told, lines=1):
        await until(held.fired.is_set)
        ledger._db.native(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1",
            (mine,),
        )
        # another worker buries the first one before it has read the answer
        await until(ledger.shared.bury)
        assert ledger.tally(campaign).uncertain == 1
        held.release()
        await until(lambda: ledger.find("appeal").finished_at)
    assert ledger.tally(campaign).sent == len(PEOPLE)
    assert received(server) == once_each(PEOPLE)


@pytest.mark.thorough
async def test_workers_outlive_a_server_that_loses_its_power(campaign_folder: Path, server: ScriptedServer) -> None:
    postgres = PostgresServer()
    try:
        with contextlib.ExitStack() as stack:
            place = Server(address=postgres.address(stack.enter_context(postgres.database())))
            with Ledger(place) as ledger:
                campaign = start(campaign_folder, ledger, PEOPLE)
                leave(ledger, campaign)
            told = Told()
            async with working(place, server, told):
                await until(lambda: told.records.total() >= 5)
                await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
                await until(lambda: told.words("lost"))
                await asyncio.to_thread(postgres.start)
                with Ledger(place) as ledger:
                    await until(lambda: ledger.find("appeal").finished_at)
            with Ledger(place) as ledger:
                tally = ledger.tally(campaign)
            assert tally.uncertain <= 2
            assert tally.sent + tally.uncertain == len(PEOPLE)
            assert max(received(server).values()) == 1
    finally:
        postgres.close()


@pytest.mark.thorough
async def test_a_worker_waits_for_a_server_that_is_not_there_yet(campaign_folder: Path, server: ScriptedServer) -> None:
    postgres = PostgresServer()
    try:
        with postgres.database() as name:
            place = Server(address=postgres.address(name))
            with Ledger(place) as ledger:
                leave(ledger, start(campaign_folder, ledger, PEOPLE))
            postgres.stop()
            told = Told()
            async with working(place, server, told):
                await until(lambda: told.words("lost"))
                await asyncio.to_thread(postgres.start)
                with Ledger(place) as ledger:
                    await until(lambda: ledger.find("appeal").finished_at)
        assert received(server) == once_each(PEOPLE)
    finally:
        postgres.close()


@pytest.mark.thorough
async def test_a_worker_ends_tidily_once_a_newer_mailer_has_changed_the_tables(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    held = server.on("accepted", nth=4, hold=True)

    async def worked() -> None:
        async with working(place, server, lines=1) as worker:
            await until(held.fired.is_set)
            ledger._db.native("UPDATE ledger_format SET version = version + 1")
            await until(lambda: worker._workers[0]._shift._closing)
            held.release()
            await until(lambda: not ledger.tally(campaign).sending)

    with pytest.raises(BrokenLedgerError, match="newer mailer"):
        await worked()
    tally = ledger.tally(campaign)
    assert (tally.sent, tally.uncertain) == (4, 0), "what was on the wire is waited for and recorded"
    with pytest.raises(BrokenLedgerError, match="newer mailer"):
        Ledger(place)
    ledger._db.native("UPDATE ledger_format SET version = version - 1")
    async with working(place, server):
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)


async def test_an_error_of_our_own_stops_the_campaign_before_every_worker_meets_it(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(mime, "compose", broken)
        with pytest.raises(ZeroDivisionError):
            async with working(place, server):
                await until(lambda: ledger.shared.standing(campaign).halt)
    assert "error in mailer itself" in ledger.shared.standing(campaign).halt.reason
    assert ledger.tally(campaign).queued == len(PEOPLE)
    async with working(place, server):
        await until(lambda: not ledger._db.native("SELECT 1 FROM procrastinate_jobs").fetchone())
        assert server.accepted == []
        leave(ledger, campaign)
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)


@pytest.mark.thorough
async def test_a_worker_that_would_sign_otherwise_leaves_a_campaign_to_others(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    unfit = Told()
    async with working(place, server, unfit, signer=signer()):
        await until(lambda: unfit.words("unfit"))
        assert server.accepted == []
        async with working(place, server):
            await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)


async def test_workers_of_one_account_share_its_limit(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    limits = Limits(account=[Quota(count=10, seconds=1)])
    one, another = Told(), Told()
    async with working(place, server, one, limits=limits), working(place, server, another, limits=limits):
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)
    assert one.records.total() > 0 < another.records.total()
    times = sorted(message.at for message in server.accepted)
    assert min(after - before for before, after in zip(times, times[10:], strict=False)) > 1, "never eleven in a second"


async def test_a_campaign_that_stops_leaves_the_pace_to_the_others() -> None:
    pace = Pace([Quota(count=1, seconds=3600)])
    one, another = Share(pace), Share(pace)
    first = await one.reserve("example.org")
    waiting = [asyncio.ensure_future(share.reserve("example.org")) for share in (one, another)]
    await asyncio.sleep(0)
    one.stop()
    assert await waiting[0] is None
    assert await one.reserve("example.org") is None
    assert one.try_reserve("example.org") is None
    first.cancel()
    assert await waiting[1]


async def test_two_workers_on_one_batch_send_each_message_once(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    """As when a job is given away over a worker that only stood still."""
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign, batch_size=len(PEOPLE))
    ledger._db.native("UPDATE procrastinate_jobs SET queueing_lock = 'the one'")
    ledger._db.native(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)"
        " SELECT queue_name, task_name, 'another', args FROM procrastinate_jobs"
    )
    server.on("dot", delay=0.01)
    one, another = Told(), Told()
    async with working(place, server, one, lines=1), working(place, server, another, lines=1):
        await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)
    assert one.words("began") == another.words("began") == ["appeal"]
    assert (one.records + another.records)[Status.SENT] == len(PEOPLE)
    assert ledger.tally(campaign).uncertain == 0


async def test_who_stands_still_in_the_middle_of_a_transaction_holds_up_nobody(
    place: Server, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STILL_MS", 300)
    with Ledger(place) as still:
        still.shared.hold_up_nobody()
        Jobs(ledger.shared).prepare()
        with pytest.raises(LedgerError), still.shared.leaving():  # noqa: PT012 - it is lost in between
            going_on = asyncio.to_thread(ledger.shared.reconcile, Jobs(ledger.shared), strays=True)
            assert await asyncio.wait_for(going_on, 20) == []
            still.shared.rests()


@pytest.mark.thorough
@pytest.mark.parametrize("moment", range(60))
async def test_a_worker_ends_at_whatever_moment_of_its_first_look_it_is_stopped(
    place: Server, server: ScriptedServer, moment: int
) -> None:
    Ledger(place).close()
    vitals = Vitals()
    async with working(place, server, vitals=vitals):
        await until(lambda: vitals.state is State.WORKING)
        time.sleep(
            moment / 2000
        )  # the loop stands still, so that an answer of the database comes together with the end
