"""A worker that is watched: its figures, whether it is well, and its log for programs; and that none of them names anybody."""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from campaigns import address, relay_to, start
from postgres_server import PostgresServer
from prometheus_client.parser import text_string_to_metric_families
from smtp_server import ScriptedServer
from test_workers_program import NAME, SEND, Site, finished, site
from workers import QUICK, leave, until, working

from mailer.cluster.endpoint import AT_ONCE, Endpoint
from mailer.cluster.exposition import CONTENT_TYPE, Exposition
from mailer.cluster.journal import Journal
from mailer.cluster.vitals import NAMED, OTHERS, Health, State, Vitals, code_of
from mailer.errors import BrokenLedgerError, LedgerError, Paused, RelayStopped, SettingsError
from mailer.ledger import Ledger
from mailer.model import Outcome, Phase, Reply, Scope, Server, Status, Verdict
from mailer.privacy import ADDRESS

__all__ = ["site"]

PEOPLE = [address(number) for number in range(1, 21)]
ACCEPTED = Outcome(
    verdict=Verdict.SENT, scope=Scope.RECIPIENT, phase=Phase.FINAL_DOT, text="", reply=Reply(code=250, text="ok")
)

PATIENCE = 20.0

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        yield opened


def watching(vitals: Vitals, host: str = "127.0.0.1", port: int = 0) -> Endpoint:
    return Endpoint([vitals], host, port, metrics=Exposition(vitals).text, content_type=CONTENT_TYPE)


def ask(
    port: int, path: str, *, host: str | None = None, method: str = "GET"
) -> tuple[int, str, http.client.HTTPMessage]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def figures(text: str) -> dict[Sample, float]:
    """As Prometheus' own parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    """The sum over all series that have these labels."""
    return sum(number for (one, has), number in found.items() if one == name and labels.items() <= set(has))


# -- figures


async def test_the_figures_of_a_campaign_are_those_of_the_ledger_and_prometheus_reads_them(
    campaign_folder: Path, ledger: Ledger, place: Server, server: ScriptedServer
) -> None:
    server.on("rcpt", address=PEOPLE[2], reply="550 5.1.1 User unknown")
    server.on("rcpt", address=PEOPLE[4], reply="451 4.7.1 Come back later")
    held = server.on("dot", nth=10, hold=True)
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    vitals = Vitals()
    with watching(vitals) as endpoint:
        async with working(place, server, lines=1, vitals=vitals):
            await until(held.fired.is_set)
            seen = figures(await asyncio.to_thread(lambda: ask(endpoint.port, "/metrics")[1]))
            assert value(seen, "mailer_worker_in_flight") == 1
            assert value(seen, "mailer_worker_connections_open") == 1
            assert value(seen, "mailer_worker_batches_under_way") == 1
            assert value(seen, "mailer_worker_state", state="working") == 1
            await until(lambda: vitals.overview)
            seen = figures(await asyncio.to_thread(lambda: ask(endpoint.port, "/metrics")[1]))
            assert value(seen, "mailer_ledger_messages", campaign="appeal", status="sending") == 1
            assert value(seen, "mailer_ledger_messages", campaign="appeal", status="queued") > 0
            assert value(seen, "mailer_ledger_workers") == 1
            held.release()
            await until(lambda: ledger.tally(campaign).sent == len(PEOPLE) - 2)
        status, text, headers = ask(endpoint.port, "/metrics")
    assert (status, headers["Content-Type"]) == (200, CONTENT_TYPE)
    seen = figures(text)
    outcomes = "mailer_worker_outcomes_total"
    assert value(seen, outcomes, campaign="appeal", status="sent", reply="2") == len(PEOPLE) - 2
    assert value(seen, outcomes, status="failed", scope="recipient", phase="rcpt", reply="5") == 1
    assert value(seen, outcomes, status="deferred", reply="4") == 1
    assert value(seen, "mailer_worker_records_total") == len(PEOPLE)
    assert value(seen, "mailer_worker_in_flight") == value(seen, "mailer_worker_connections_open") == 0
    assert value(seen, "mailer_worker_batches_total") >= 4
    assert value(seen, "mailer_worker_connections_total") >= 4
    assert 0 < value(seen, "mailer_worker_commits_total") <= 2 * len(PEOPLE) + 2
    assert "@" not in text


async def test_waits_for_a_quota_and_connections_that_fail_are_counted(
    campaign_folder: Path, ledger: Ledger, place: Server
) -> None:
    from mailer.campaign.limits import Limits
    from mailer.model import Quota

    leave(ledger, start(campaign_folder, ledger, PEOPLE))
    vitals = Vitals()
    with ScriptedServer() as server:
        greeting = server.on("greeting", nth=1, reply="421 4.3.2 Busy")
        limits = Limits(account=[Quota(count=10, seconds=1)])
        async with working(place, server, vitals=vitals, limits=limits):
            await until(lambda: vitals.look().waiting > 0)
            await until(lambda: ledger.find("appeal").finished_at)
        assert greeting.fired.is_set()
    seen = figures(Exposition(vitals).text().decode())
    assert value(seen, "mailer_worker_connection_failures_total", phase="connect") == 1
    assert value(seen, "mailer_worker_quota_wait_seconds_total") > 0.2
    assert value(seen, "mailer_worker_quota_waiting") == 0


def test_campaigns_are_named_without_addresses_and_only_so_many() -> None:
    vitals = Vitals()
    for number in range(NAMED + 20):
        vitals.recorded(f"appeal{number}", Status.SENT, ACCEPTED)
    vitals.recorded("appeal0", Status.SENT, ACCEPTED)
    vitals.recorded("letter for pat@example.org", Status.SENT, ACCEPTED)
    text = Exposition(vitals).text().decode()
    assert "@" not in text
    names = {dict(has)["campaign"] for (name, has) in figures(text) if name == "mailer_worker_outcomes_total"}
    assert OTHERS in names
    assert len(names) == NAMED + 1
    assert value(figures(text), "mailer_worker_outcomes_total") == NAMED + 22
    other = Vitals()
    other.recorded("letter for pat@example.org", Status.SENT, ACCEPTED)
    seen = figures(Exposition(other).text().decode())
    assert value(seen, "mailer_worker_outcomes_total", campaign="letter for (address)") == 1


def test_of_several_workers_in_one_program_all_are_to_be_well_and_one_to_take_work() -> None:
    one, another = Vitals(relay="main"), Vitals(relay="second")
    for vitals, number in ((one, 1), (another, 2)):
        vitals.enter(State.WORKING)
        for _ in range(number):
            vitals.recorded("appeal", Status.SENT, ACCEPTED)
    seen = figures(Exposition(one, another).text().decode())
    assert value(seen, "mailer_worker_outcomes_total", relay="main") == 1
    assert value(seen, "mailer_worker_outcomes_total") == 3
    both = Exposition(one, another)
    with Endpoint([one, another], "127.0.0.1", 0, metrics=both.text, content_type=CONTENT_TYPE) as endpoint:
        assert [ask(endpoint.port, path)[0] for path in ("/health", "/ready")] == [200, 200]
        another.enter(State.RESTING, "auth")
        assert [ask(endpoint.port, path)[0] for path in ("/health", "/ready")] == [200, 200]
        one.enter(State.RESTING, "account")
        assert [ask(endpoint.port, path)[0] for path in ("/health", "/ready")] == [200, 503]
        another.lost(LedgerError("x"))
        status, text, _ = ask(endpoint.port, "/health")
        assert (status, json.loads(text)["relay"], json.loads(text)["code"]) == (503, "second", "ledger")


def test_what_is_not_asked_for_is_not_imported() -> None:
    code = "import mailer.cluster.worker, mailer.cluster.endpoint, sys; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


# -- whether it is well


def stopped(postgres: PostgresServer) -> list[int]:
    """The server's processes, all of them."""
    main = postgres._process.pid
    children = Path(f"/proc/{main}/task/{main}/children").read_text(encoding="ascii").split()
    return [main, *map(int, children)]


@pytest.mark.skipif(sys.platform != "linux", reason="all processes of a server are stopped by their numbers")
@pytest.mark.thorough
async def test_a_database_that_stands_still_makes_the_worker_unwell_until_it_goes_on(
    campaign_folder: Path, server: ScriptedServer
) -> None:
    postgres = PostgresServer()
    try:
        with postgres.database() as name:
            place = Server(address=postgres.address(name))
            with Ledger(place) as ledger:
                campaign = start(campaign_folder, ledger, PEOPLE)
                leave(ledger, campaign)
            vitals = Vitals()
            with watching(vitals) as endpoint:
                assert ask(endpoint.port, "/health")[0] == 503, "it has not begun"
                held = server.on("dot", nth=3, hold=True)
                async with working(place, server, vitals=vitals):
                    await until(held.fired.is_set)
                    status, text, _ = await asyncio.to_thread(lambda: ask(endpoint.port, "/health"))
                    assert (status, json.loads(text)["state"]) == (200, "working")
                    for process in stopped(postgres):
                        os.kill(process, signal.SIGSTOP)
                    try:
                        await until(lambda: not vitals.health().well)
                        status, text, _ = await asyncio.to_thread(lambda: ask(endpoint.port, "/health"))
                        assert (status, json.loads(text)["code"]) in {(503, "ledger-silent"), (503, "ledger")}
                        assert (await asyncio.to_thread(lambda: ask(endpoint.port, "/metrics")))[0] == 200
                    finally:
                        for process in stopped(postgres):
                            os.kill(process, signal.SIGCONT)
                    held.release()
                    await until(lambda: vitals.health().well)
                    with Ledger(place) as ledger:
                        await until(lambda: ledger.find("appeal").finished_at)
    finally:
        postgres.close()


@pytest.mark.thorough
async def test_a_database_that_goes_away_is_told_and_counted(campaign_folder: Path, server: ScriptedServer) -> None:
    postgres = PostgresServer()
    try:
        with postgres.database() as name:
            place = Server(address=postgres.address(name))
            with Ledger(place) as ledger:
                leave(ledger, start(campaign_folder, ledger, PEOPLE))
            vitals = Vitals()
            async with working(place, server, vitals=vitals):
                await until(lambda: vitals.state is State.WORKING)
                await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
                await until(lambda: vitals.health().code == "ledger")
                assert not vitals.readiness().well
                await asyncio.to_thread(postgres.start)
                await until(lambda: vitals.readiness().well)
            assert value(figures(Exposition(vitals).text().decode()), "mailer_worker_ledger_errors_total") >= 1
    finally:
        postgres.close()


async def test_a_worker_whose_account_rests_is_well_but_not_ready(
    campaign_folder: Path, ledger: Ledger, place: Server
) -> None:
    leave(ledger, start(campaign_folder, ledger, PEOPLE))
    vitals = Vitals()
    with ScriptedServer(users={"office": "secret"}) as server:
        relay = relay_to(server, username="office", password="wrong")
        rhythm = dataclasses.replace(QUICK, account=(30.0,))
        async with working(place, server, relay=relay, vitals=vitals, rhythm=rhythm) as worker:
            await until(lambda: vitals.state is State.RESTING)
            assert vitals.health().well
            assert vitals.readiness() == Health(
                well=False, code="auth", sentence="The account, or the way to its mail server, rests for a while."
            )
            worker.stop()
            assert vitals.readiness().code == "ending"


@pytest.mark.thorough
async def test_a_loop_that_stands_still_is_told_of_by_another_thread(
    campaign_folder: Path, place: Server, server: ScriptedServer
) -> None:
    with Ledger(place):
        pass
    vitals = Vitals()
    with watching(vitals) as endpoint:
        async with working(place, server, vitals=vitals):
            await until(lambda: vitals.state is State.WORKING)
            with ThreadPoolExecutor(1) as other:
                asking = other.submit(_stalled, endpoint.port)
                # as a program that is stuck does, until somebody has noticed
                assert asking.result(PATIENCE)
            await until(lambda: vitals.health().well)


def _stalled(port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if json.loads(ask(port, "/health")[1])["code"] == "stalled":
            return True
        time.sleep(0.01)
    return False


def test_a_commit_that_nobody_answers_is_noticed_though_everything_else_goes_on() -> None:
    vitals = Vitals(patience=1.0)
    vitals.enter(State.WORKING)
    assert vitals.health().well
    now = vitals.look()
    now.commit_since = time.monotonic() - 2
    vitals.look = lambda: now
    assert vitals.health().code == "ledger-silent"


# -- the endpoint


def test_the_endpoint_answers_only_what_it_knows_and_tells_nothing_of_the_computer() -> None:
    with watching(Vitals()) as endpoint:
        status, _, headers = ask(endpoint.port, "/")
        assert status == 404
        assert ask(endpoint.port, "/metrics", method="POST")[0] == 501
        assert ask(endpoint.port, "/metrics", method="HEAD")[:2] == (200, "")
        told = {name.lower(): value for name, value in headers.items()}
        assert "python" not in str(told).lower()
        assert socket.gethostname() not in str(told)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1", 200), ("127.0.0.1:9325", 200), ("[::1]:9325", 200),
        ("evil.example", 403), ("evil.example:9325", 403), ("127.0.0.1.evil.example", 403), ("192.0.2.1", 403),
    ],
)  # fmt: skip
def test_pages_of_elsewhere_cannot_ask_through_a_name_of_theirs(host: str, status: int) -> None:
    with watching(Vitals()) as endpoint:
        assert ask(endpoint.port, "/metrics", host=host)[0] == status


def test_whoever_listens_for_others_is_asked_by_any_name() -> None:
    with watching(Vitals(), "0.0.0.0") as endpoint:
        assert ask(endpoint.port, "/metrics", host="worker1.example.org:9325")[0] == 200


@pytest.mark.thorough
def test_those_who_ask_slowly_or_never_keep_nobody_from_being_answered() -> None:
    with watching(Vitals()) as endpoint:
        silent = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(AT_ONCE - 1)]
        try:
            assert ask(endpoint.port, "/metrics")[0] == 200
        finally:
            for one in silent:
                one.close()


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with watching(Vitals()) as endpoint, pytest.raises(SettingsError, match="cannot be watched") as caught:
        watching(Vitals(), port=endpoint.port)
    assert "--metrics" in (caught.value.hint or "")


# -- the log


def test_codes_tell_what_kind_of_trouble_it_is() -> None:
    errors = [LedgerError("x"), BrokenLedgerError("x"), RelayStopped("x"), Paused("x"), SettingsError("x")]
    assert [code_of(error) for error in errors] == ["ledger", "ledger-broken", "relay-stopped", "paused", "settings"]


def test_what_is_waited_for_again_and_again_is_a_line_a_minute() -> None:
    from datetime import UTC, datetime, timedelta

    lines: list[str] = []
    now = [datetime(2026, 11, 30, tzinfo=UTC)]
    journal = Journal(lines.append, clock=lambda: now[0])
    for _ in range(180):
        journal.waiting("appeal", None, now[0].timestamp() + 1)
        now[0] += timedelta(seconds=1)
    assert [json.loads(line)["time"] for line in lines] == [f"2026-11-30T00:0{minute}:00.000Z" for minute in range(3)]


def test_no_line_of_the_log_repeats_what_others_have_worded() -> None:
    """Every call of a reporter, with all that must not be repeated in every text that it is given."""
    secret = "pat@example.org Pat Berg k2v9token"
    lines: list[str] = []
    journal = Journal(lines.append)
    refused = Outcome(
        verdict=Verdict.FAILED,
        scope=Scope.RECIPIENT,
        phase=Phase.RCPT,
        text=secret,
        reply=Reply(code=550, text=f"5.1.1 {secret}"),
    )
    calls: list[Callable[[], None]] = [
        lambda: journal.recorded("appeal", Status.FAILED, refused),
        lambda: journal.halted("appeal", RelayStopped(secret, hint=secret)),
        lambda: journal.unfit("appeal", RelayStopped(secret, hint=secret)),
        lambda: journal.reconnecting(secret, 3.0),
        lambda: journal.resting(RelayStopped(secret, hint=secret), time.time(), Scope.POLICY),
        lambda: journal.lost(LedgerError(secret, hint=secret), 1.0),
        lambda: journal.say("started", secret),
        lambda: journal.began("appeal--pat@example.org"),
    ]
    for call in calls:
        call()
    assert len(lines) == len(calls)
    for line in lines:
        assert not ADDRESS.search(line), line
        assert "Berg" not in line
        assert "k2v9token" not in line
    told = json.loads(lines[0])
    assert (told["reason"], told["phase"], told["reply"], told["enhanced"]) == ("recipient", "rcpt", 550, "5.1.1")


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_whole_campaign_is_logged_and_measured_without_an_address_a_name_or_a_token(site: Site) -> None:
    words = "<p3@example.org> Pat 3 of p3@example.org is unknown"
    site.server.on("rcpt", address="p3@example.org", reply=f"550 5.1.1 {words}")
    site.server.on("dot", nth=5, reply=f"451 4.3.0 {words}")
    site.server.on("accepted", nth=9, drop=True)
    site.program.run(*SEND)
    worker = site.worker("--log", "json", "--metrics", "0")
    assert worker.stderr
    begun = [json.loads(worker.stderr.readline()) for _ in range(2)]
    assert [one["event"] for one in begun] == ["started", "watched"]
    port = begun[1]["port"]
    site.until(lambda standing: standing["queued"] == standing["sending"] == 0)
    metrics = ask(port, "/metrics")[1]
    assert ask(port, "/ready")[0] == 200
    worker.send_signal(signal.SIGTERM)
    _, err = site.ended(worker)
    told = lines_of(err)
    events = Counter(one["event"] for one in told)
    assert events["batch begun"] == events["batch ended"] >= 5
    assert told[-1]["event"] == "ended"
    assert "ending" in events
    kinds = {(one["status"], one["reason"], one.get("reply")) for one in told if one["event"] == "not sent"}
    assert ("failed", "recipient", 550) in kinds
    assert ("uncertain", "connection", None) in kinds
    assert {one.get("campaign") for one in told} == {NAME, None}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"]) for one in told)
    with Ledger(site.place) as ledger:
        rows = ledger._db.execute("SELECT message_id, token, name FROM deliveries").fetchall()
    tokens = {row[0].partition("@")[0].strip("<") for row in rows} | {row[1] for row in rows if row[1]}
    assert len(tokens) > 40
    for text in (err, metrics):
        assert not ADDRESS.search(text)
        assert "Pat" not in text
        assert [token for token in tokens if token in text] == []
    assert value(figures(metrics), "mailer_worker_outcomes_total", campaign=NAME) >= 40


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_that_others_can_watch_says_so_loudly(site: Site) -> None:
    site.program.run(*SEND)
    worker = site.worker("--metrics", "0.0.0.0:0")
    site.until(finished)
    worker.send_signal(signal.SIGTERM)
    _, err = site.ended(worker)
    assert "WARNING: whoever reaches http://0.0.0.0:" in err


def test_a_place_to_listen_that_is_none_is_refused_with_an_example(site: Site) -> None:
    for wrong in ("example.org:9325", "70000", "x"):
        refused = site.program.run("worker", "--metrics", wrong)
        assert refused.returncode == 2, wrong
        assert "9325" in refused.stderr
    refused = site.program.run("worker", "--log", "xml")
    assert (refused.returncode, "text, json" in refused.stderr) == (2, True)
