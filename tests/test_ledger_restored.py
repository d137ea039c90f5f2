"""A ledger that was put back from a back-up mails nobody who may have been mailed since, and says so."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from campaigns import address, make_due, once_each, received, send, start, statuses
from ledger_places import place_of, setting
from postgres_server import PostgresServer
from program import Program
from smtp_server import ScriptedServer
from test_workers_program import NAME, SEND, Site, finished, site
from workers import QUICK, Told, leave, until, working

from mailer.cluster.vitals import State, Vitals
from mailer.errors import BrokenLedgerError, CampaignError
from mailer.ledger import Ledger, put_back
from mailer.ledger.restoring import SINCE_A_COPY
from mailer.model import Happening, LedgerPlace, Quota, Server, Status
from mailer.postfix_log import Proof, verdicts

__all__ = ["site"]

PEOPLE = [address(number) for number in range(1, 41)]


def by_status(ledger: Ledger) -> dict[str, Status]:
    return statuses(ledger, ledger.find("appeal"))


async def refused(place: Server, server: ScriptedServer) -> None:
    """A worker that begins, and ends by itself."""
    vitals = Vitals()
    with pytest.raises(BrokenLedgerError, match="put back from a back-up"):
        async with working(place, server, vitals=vitals):
            await until(lambda: vitals.state is State.ENDING)


async def test_a_back_up_made_while_workers_send_mails_nobody_twice_when_it_is_put_back(
    campaign_folder: Path, postgres: PostgresServer, server: ScriptedServer
) -> None:
    """The whole story: dumped with messages on the wire, sent to the end, lost, put back, decided."""
    with postgres.database() as name:
        place = Server(address=postgres.address(name))
        with Ledger(place) as ledger:
            campaign = start(campaign_folder, ledger, PEOPLE)
            leave(ledger, campaign)
        held = [server.on("accepted", nth=nth, hold=True) for nth in (12, 13)]
        async with working(place, server), working(place, server):
            await until(lambda: all(one.fired.is_set() for one in held))
            before = set(received(server))
            dump = await asyncio.to_thread(postgres.dump, name)
            for one in held:
                one.release()
            with Ledger(place) as ledger:
                await until(lambda: ledger.find("appeal").finished_at)
    assert received(server) == once_each(PEOPLE)

    with postgres.restored(dump) as again, Ledger(Server(address=postgres.address(again))) as ledger:
        # what the wire had when it was dumped is not to be sent in the back-up
        assert {key for key, status in by_status(ledger).items() if status is Status.QUEUED} & before == set()
        with pytest.raises(BrokenLedgerError, match="put back from a back-up"):
            await send(ledger, ledger.find("appeal"), server)
        await refused(Server(address=postgres.address(again)), server)
        assert len(server.accepted) == len(PEOPLE)

        known = {key for key, status in by_status(ledger).items() if status is Status.SENT}
        doubted = put_back(ledger, nothing_sent_since=False)
        assert doubted == {"appeal": len(PEOPLE) - len(known)}
        assert ledger.tally(campaign).work_left == 0
        vitals, begun = Vitals(), time.monotonic()
        async with working(Server(address=postgres.address(again)), server, vitals=vitals):
            # it has looked twice for what nobody has
            await until(lambda: vitals.state is State.WORKING and vitals.ledger_at > begun + 3 * QUICK.strays)
        assert len(server.accepted) == len(PEOPLE), "nobody is mailed unasked"
        assert next(ledger.diary(campaign)).kind is Happening.PUT_BACK

        # found out that half of them have it: the others are mailed, once
        doubtful = sorted(set(PEOPLE) - known)
        ledger.resolve(campaign, Status.SENT, doubtful[::2])
        ledger.resolve(campaign, Status.QUEUED, None)
        server.accepted.clear()
        await send(ledger, ledger.find("appeal"), server)
        assert received(server) == once_each(doubtful[1::2])


async def test_where_nothing_was_sent_since_everything_goes_on(
    campaign_folder: Path, postgres: PostgresServer, server: ScriptedServer
) -> None:
    with postgres.database() as name:
        with Ledger(Server(address=postgres.address(name))) as ledger:
            start(campaign_folder, ledger, PEOPLE)
        dump = postgres.dump(name)
    with postgres.restored(dump) as again, Ledger(Server(address=postgres.address(again))) as ledger:
        with pytest.raises(BrokenLedgerError):
            ledger.refuse_copy()
        assert put_back(ledger, nothing_sent_since=True) == {}
        await send(ledger, ledger.find("appeal"), server)
    assert received(server) == once_each(PEOPLE)


@pytest.mark.parametrize("kind", ["file", "server"])
async def test_everybody_who_was_to_be_mailed_is_in_doubt_and_nobody_else(
    kind: str, request: pytest.FixtureRequest, campaign_folder: Path, server: ScriptedServer
) -> None:
    server.on("rcpt", address=PEOPLE[0], reply="550 5.1.1 User unknown")
    server.on("rcpt", address=PEOPLE[1], reply="451 4.7.1 Come back later")
    with place_of(request, campaign_folder, kind) as place, Ledger(place) as ledger:
        campaign = start(campaign_folder, ledger, PEOPLE)
        await send(ledger, campaign, server, limit=10)
        assert put_back(ledger, nothing_sent_since=False) == {"appeal": len(PEOPLE) - 9}
        found = by_status(ledger)
        assert found[PEOPLE[0]] is Status.FAILED
        assert found[PEOPLE[1]] is Status.UNCERTAIN
        assert put_back(ledger, nothing_sent_since=False) == {}, "repeating it changes nothing"
        make_due(ledger)
        accepted = len(server.accepted)
        await send(ledger, ledger.find("appeal"), server)
        assert len(server.accepted) == accepted


def test_a_ledger_knows_its_home_through_vacuums_and_restarts_but_no_copy_and_no_successor(tmp_path: Path) -> None:
    postgres = PostgresServer()
    try:
        postgres.query("CREATE DATABASE home TEMPLATE template0")
        place = Server(address=postgres.address("home"))
        with Ledger(place) as ledger:
            ledger.refuse_copy()
        for statement in ("VACUUM FREEZE meta", "VACUUM FULL meta", "VACUUM FULL FREEZE meta", "CHECKPOINT"):
            postgres.query(statement, "home")
            with Ledger(place) as ledger:
                ledger.refuse_copy()
        postgres.stop()
        postgres.start()
        with Ledger(place) as ledger:
            ledger.refuse_copy()
        postgres.query("CREATE DATABASE copy TEMPLATE home")
        with Ledger(Server(address=postgres.address("copy"))) as ledger, pytest.raises(BrokenLedgerError):
            ledger.refuse_copy()
        postgres.promote()
        with Ledger(place) as ledger:
            with pytest.raises(BrokenLedgerError, match="stand-by"):
                ledger.refuse_copy()
            ledger.settle_in()
            ledger.refuse_copy()
    finally:
        postgres.close()


@pytest.mark.thorough
async def test_a_worker_that_lives_notices_that_the_servers_files_were_put_back_under_it(
    campaign_folder: Path, server: ScriptedServer
) -> None:
    """A snapshot of the disk: neither transactions nor timelines tell, only somebody who remembers."""
    postgres = PostgresServer()
    try:
        postgres.query("CREATE DATABASE mailer TEMPLATE template0")
        place = Server(address=postgres.address("mailer"))
        with Ledger(place) as ledger:
            leave(ledger, start(campaign_folder, ledger, PEOPLE))
        postgres.stop()
        snapshot = postgres.folder / "snapshot"
        shutil.copytree(postgres.data, snapshot)
        postgres.start()
        told, vitals = Told(), Vitals()

        async def worked() -> None:
            async with working(place, server, told, vitals=vitals):
                await until(lambda: told.records.total() >= 10)
                await asyncio.to_thread(postgres.stop)
                await until(lambda: told.words("lost"))
                await asyncio.to_thread(postgres.exchange, snapshot)
                await asyncio.to_thread(postgres.start)
                await until(lambda: vitals.state is State.ENDING)

        with pytest.raises(BrokenLedgerError, match="put back"):
            await worked()
        assert set(received(server).values()) == {1}
        await refused(place, server)
        assert set(received(server).values()) == {1}, "nor does one that was started anew send anything"
    finally:
        postgres.close()


def test_a_ledger_from_before_there_were_marks_gets_one(place: Server, postgres: PostgresServer) -> None:
    with Ledger(place) as ledger:
        ledger._db.native("DELETE FROM meta WHERE key = 'home'")
        ledger.refuse_copy()
        assert ledger._db.native("SELECT count(*) FROM meta WHERE key = 'home'").fetchone() == (1,)
        ledger.refuse_copy()


async def test_limits_count_as_used_up_after_a_back_up(
    campaign_folder: Path, place: Server, server: ScriptedServer
) -> None:
    with Ledger(place) as ledger:
        campaign = start(campaign_folder, ledger, PEOPLE)
        await send(ledger, campaign, server, limit=2, account=[Quota(count=100, seconds=3600)])
        put_back(ledger, nothing_sent_since=False)
        free = "SELECT count(*) FROM places WHERE free_at < extract(epoch FROM clock_timestamp()) + 3600"
        assert ledger._db.native(free).fetchone() == (0,)
        assert ledger._db.native("SELECT count(*) FROM places").fetchone() == (100,)


def test_a_log_proves_that_a_message_was_taken_since_but_never_that_it_was_not(
    campaign_folder: Path, ledger_place: LedgerPlace
) -> None:
    with Ledger(ledger_place) as ledger:
        campaign = start(campaign_folder, ledger, PEOPLE[:3])
        put_back(ledger, nothing_sent_since=False)
        doubts = ledger.doubtful(campaign)
        assert [doubt.key for doubt in doubts] == PEOPLE[:3]
        taken, broken, absent = (doubt.message_id for doubt in doubts)
        at = datetime.fromtimestamp(doubts[0].began, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        log = f"""\
{at} relay postfix/smtpd[1]: connect from unknown[192.0.2.7]
{at} relay postfix/smtpd[1]: 646D7988271: client=unknown[192.0.2.7]
{at} relay postfix/cleanup[2]: 646D7988271: message-id={taken}
{at} relay postfix/qmgr[3]: 646D7988271: from=<a@example.org>, size=283, nrcpt=1 (queue active)
{at} relay postfix/smtpd[1]: 728419882C4: client=unknown[192.0.2.7]
{at} relay postfix/cleanup[2]: 728419882C4: message-id={broken}
{at} relay postfix/smtpd[1]: lost connection after DATA (54 bytes) from unknown[192.0.2.7]
{at} relay postfix/smtpd[1]: disconnect from unknown[192.0.2.7] ehlo=1 mail=2 rcpt=2 data=1/2 commands=5/6
""".splitlines()
        proofs = verdicts([log], doubts, now=datetime.now(UTC))
        assert proofs[taken] is Proof.ACCEPTED
        # the ledger does not know how often it was tried: another try may have gone over another server
        assert proofs[broken] not in {Proof.ACCEPTED, Proof.NOT_ACCEPTED}
        assert proofs[absent] is Proof.ABSENT


# -- the command


def test_the_command_asks_before_it_doubts_and_says_what_to_do_next(site: Site) -> None:
    site.program.run(*SEND)
    refused = site.program.run("ledger", "restored")
    assert (refused.returncode, "Nothing was changed" in refused.stderr) == (2, True)
    assert site.standing()["uncertain"] == 0
    done = site.program.run("ledger", "restored", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"Campaign {NAME}: 40 messages in doubt" in done.stdout
    assert "mailer resolve NAME --postfix-log FILE" in done.stdout
    assert site.standing()["uncertain"] == 40
    reasons = {one["reason"] for one in site.program.json("resolve", NAME, code=1)["deliveries"]}
    assert reasons == {SINCE_A_COPY}
    again = site.program.run("ledger", "restored", "--yes", "--json")
    assert json.loads(again.stdout) == {"in_doubt": {}}


@pytest.mark.thorough
def test_a_worker_that_is_there_keeps_the_command_from_it(site: Site) -> None:
    site.program.run(*SEND)
    held = site.server.on("dot", nth=3, hold=True)
    site.worker()
    assert held.fired.wait(30)
    refused = site.program.run("ledger", "restored", "--yes")
    assert (refused.returncode, "just now" in refused.stderr) == (2, True)
    held.release()
    site.until(finished)


@pytest.mark.thorough
def test_a_copy_in_another_folder_is_refused_by_the_programs(site: Site, postgres: PostgresServer) -> None:
    site.program.run(*SEND)
    dump = postgres.dump(site.place.address.rpartition("/")[2])
    with postgres.restored(dump) as name:
        site.program.settings["MAILER_LEDGER"] = postgres.address(name)
        sent = site.program.run("send", "appeal", "people.csv", "--yes")
        assert (sent.returncode, "mailer ledger restored" in sent.stderr) == (2, True)
        site.ended(worker := site.worker(), code=2)
        assert worker.returncode == 2
        looked = site.program.run("status", NAME)
        assert (looked.returncode, "mailer ledger restored" in looked.stderr) == (0, True), "to look at it is no harm"
        assert site.program.run("ledger", "restored", "--nothing-sent-since", "--yes").returncode == 0
        assert site.program.run("send", "appeal", "people.csv", "--yes").returncode == 0
    assert received(site.server) == once_each(PEOPLE)
    assert site.server.violations == []


def test_a_file_that_was_copied_back_is_said_by_hand(campaign_folder: Path, server: ScriptedServer) -> None:
    with Ledger(campaign_folder / "mailer.db") as ledger:
        start(campaign_folder, ledger, PEOPLE)
    shutil.copy("mailer.db", "copy.db")
    program = Program(folder=campaign_folder, settings={"MAILER_LEDGER": setting(campaign_folder / "copy.db")})
    assert program.json("ledger", "restored", "--yes") == {"in_doubt": {"appeal": len(PEOPLE)}}


def test_whoever_sends_is_not_doubted_behind_their_back(campaign_folder: Path, place: Server) -> None:
    from mailer.ledger import SenderLock

    with Ledger(place) as here, Ledger(place) as there:
        start(campaign_folder, here, PEOPLE)
        with SenderLock(here, "appeal"), pytest.raises(CampaignError, match="just now"):
            put_back(there, nothing_sent_since=False)
        assert here.tally(here.find("appeal")).queued == len(PEOPLE)


async def test_a_worker_that_only_waits_could_begin_at_any_moment(
    campaign_folder: Path, place: Server, server: ScriptedServer
) -> None:
    with Ledger(place) as ledger:
        start(campaign_folder, ledger, PEOPLE)
        vitals = Vitals()
        async with working(place, server, vitals=vitals):
            await until(lambda: vitals.state is State.WORKING)
            with pytest.raises(CampaignError, match="Workers are there"):
                put_back(ledger, nothing_sent_since=False)
        assert put_back(ledger, nothing_sent_since=False) == {"appeal": len(PEOPLE)}
