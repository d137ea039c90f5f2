"""What only a ledger on PostgreSQL has: a server that is away, goes away or refuses, and locks that are its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from campaigns import address, received, relay_to, run_of, send, start
from ledger_places import setting
from postgres_server import SECRET, PostgresServer
from program import Program
from smtp_server import ScriptedServer
from test_ledger import contact, intent, record
from test_ledger import start as frozen

from mailer.errors import BrokenLedgerError, CampaignError, LedgerError, MailerError, SettingsError
from mailer.ledger import AccountLock, Ledger, SenderLock, Writer, settle
from mailer.ledger.postgres import formats, opening
from mailer.ledger.postgres.dialect import translated
from mailer.model import Server, Status, Tally

QUOTED = "pass%2Fword%40of%3Athe%25ledger"
PIECES = (SECRET, QUOTED, "word", "%ledger")

NEXT = formats.SCHEMA_VERSION + 1
"""The format of a newer mailer."""


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        yield opened


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """One that may be stopped and set up otherwise."""
    server = PostgresServer()
    yield server
    server.close()


def database_of(place: Server) -> str:
    return place.address.rpartition("/")[2]


def cut(postgres: PostgresServer, place: Server) -> int:
    """Have the server end all connections to a database, as an administrator may; how many it were."""
    others = f"datname = '{database_of(place)}' AND pid <> pg_backend_pid()"
    return len(postgres.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))


def refusal(address: str) -> MailerError:
    """What is said of an address, in which no piece of the password may be."""
    with pytest.raises(MailerError) as caught:
        Ledger(Server(address=address))
    error = caught.value
    assert error.__cause__ is None, "what the library said may hold the password"
    for piece in PIECES:
        assert piece not in f"{error.message} {error.hint} {error!r}".replace("password", "")
    assert error.hint
    return error


# -- words


def test_a_server_that_is_away_is_said_with_a_way_out() -> None:
    error = refusal(f"postgresql://ana:{QUOTED}@127.0.0.1:1/mailer")
    assert "cannot be reached" in error.message
    assert error.exit_code == 3


def test_a_name_that_no_server_has_is_said_without_the_password_in_it() -> None:
    # as it is when somebody has not quoted the @
    assert "cannot be reached" in refusal("postgresql://ana:pass@word@nowhere.invalid/mailer").message


def test_a_wrong_password_a_missing_database_and_a_missing_right_are_told_apart(postgres: PostgresServer) -> None:
    with postgres.database() as name:
        postgres.query(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'", name)
        try:
            assert "does not let this user in" in refusal(postgres.address(name, password="wrong-word")).message
            assert "does not let this user in" in refusal(postgres.address(name, user="nobody-known")).message
            assert "no database of this name" in refusal(postgres.address("mailer_none")).message
            error = refusal(postgres.address(name, user="guest"))
            assert "the rights that are needed" in error.message
            assert error.exit_code == 2
            postgres.query(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
            assert "the rights that are needed" in refusal(postgres.address(name, user="guest")).message
        finally:
            postgres.query("REASSIGN OWNED BY guest TO postgres; DROP OWNED BY guest; DROP ROLE guest", name)


def test_an_address_that_is_none_is_said_without_it() -> None:
    for wrong in (
        f"postgresql://u:{QUOTED}@h:abc/x",
        f"postgresql://h/x?word={QUOTED}",
        f"postgresql://u:{QUOTED}@[h/x",
    ):
        error = refusal(wrong)
        assert isinstance(error, SettingsError | LedgerError)


def test_a_ledger_of_a_newer_format_is_refused(place: Server, ledger: Ledger) -> None:
    ledger._run("UPDATE ledger_format SET version = 99")
    error = refusal(place.address)
    assert isinstance(error, BrokenLedgerError)
    assert "newer mailer (format 99" in error.message


def test_tables_of_another_program_are_left_alone(postgres: PostgresServer) -> None:
    with postgres.database() as name:
        postgres.query("CREATE TABLE theirs (a text)", name)
        assert "tables of another program" in refusal(postgres.address(name)).message
        assert postgres.query("SELECT count(*) FROM pg_class WHERE relname = 'deliveries'", name) == [(0,)]


def test_a_server_that_may_forget_is_refused(own_server: PostgresServer) -> None:
    for switched in ("fsync", "full_page_writes"):
        own_server.query(f"ALTER SYSTEM SET {switched} = off")
        own_server.query("SELECT pg_reload_conf()")
        until = time.monotonic() + 10
        while own_server.query(f"SHOW {switched}") != [("off",)] and time.monotonic() < until:
            pass
        error = refusal(own_server.address("postgres"))
        assert f"{switched} = off" in error.message
        assert "Nothing" not in error.message
        own_server.query(f"ALTER SYSTEM RESET {switched}")
        own_server.query("SELECT pg_reload_conf()")


def test_a_database_that_knows_only_some_letters_is_refused(postgres: PostgresServer) -> None:
    postgres.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        assert "every letter" in refusal(postgres.address("latin")).message
    finally:
        postgres.query("DROP DATABASE latin")


def test_a_read_only_server_can_be_looked_at_and_says_why_nothing_is_written(
    postgres: PostgresServer, place: Server, ledger: Ledger
) -> None:
    ledger.start(frozen([contact(1)]))
    postgres.query(f"ALTER DATABASE {database_of(place)} SET default_transaction_read_only = on")
    with Ledger(place, create=False) as looking:
        assert looking.tally(looking.find("appeal--people")) == Tally(queued=1)
        with pytest.raises(LedgerError, match="read-only") as caught:
            looking.suppress([("p1@example.org", "")], source="by hand")
        assert caught.value.hint


def test_a_server_that_takes_no_more_connections_says_so(
    postgres: PostgresServer, place: Server, ledger: Ledger
) -> None:
    with contextlib.ExitStack() as crowd:

        def everybody_comes() -> None:
            for _ in range(80):
                crowd.enter_context(Ledger(place))

        with pytest.raises(LedgerError, match="takes no more connections"):
            everybody_comes()


def test_a_pooler_between_is_noticed(monkeypatch: pytest.MonkeyPatch, place: Server) -> None:
    # it gives each client a process number of its own
    monkeypatch.setattr(opening, "SESSION", opening.SESSION.replace("pg_backend_pid()", "pg_backend_pid() + 1"))
    assert "a pooler" in refusal(place.address).message


def test_what_travels_beyond_this_computer_travels_encrypted(monkeypatch: pytest.MonkeyPatch, place: Server) -> None:
    monkeypatch.setattr(opening, "is_loopback", lambda _: False)
    assert "is not encrypted" in refusal(place.address).message
    Ledger(Server(address=f"{place.address}?sslmode=disable")).close()


def test_without_the_library_it_is_said_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['psycopg'] = None; from mailer.__main__ import main; sys.exit(main(['status']))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60,
        env=Program(folder=tmp_path).settings | {"MAILER_LEDGER": "postgresql://h/x", "PYTHONPATH": sys.path[0]},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert 'pip install "psycopg[binary]"' in done.stderr


@pytest.mark.thorough
def test_no_command_shows_the_address(tmp_path: Path, place: Server, ledger: Ledger, postgres: PostgresServer) -> None:
    ledger.start(frozen([contact(1)]))
    program = Program(folder=tmp_path, settings={"MAILER_LEDGER": place.address})
    said = [
        program.run(*words)
        for words in (["status"], ["status", "none"], ["suppress", "list"], ["encrypt"], ["decrypt"])
    ]
    assert [done.returncode for done in said] == [0, 2, 0, 2, 2]
    assert "only one in a file" in said[3].stderr
    program.settings["MAILER_LEDGER"] = place.address.replace(database_of(place), "mailer_gone")
    said.append(program.run("status", "--json"))
    for done in said:
        assert not any(piece in done.stdout + done.stderr for piece in (SECRET, QUOTED, "127.0.0.1", "mailer_gone"))


def test_the_password_may_stand_where_the_library_looks_for_it(
    place: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = place.address.replace(f":{QUOTED}@", "@")
    refusal(without)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    Ledger(Server(address=without)).close()
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "service"))
    host, _, port = without.rpartition("@")[2].partition("/")[0].partition(":")
    (tmp_path / "service").write_text(f"[ours]\nhost={host}\nport={port}\nuser=postgres\ndbname={database_of(place)}\n")
    Ledger(Server(address="postgresql://?service=ours")).close()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("53100", "the server's disk is full"),
        ("53200", "out of memory"),
        ("58030", "cannot read or write its files"),
        ("XX001", "is damaged"),
        ("57P02", "was lost"),
        ("57P03", "starting or stopping"),
        ("22012", "cannot be used (DivisionByZero, 22012)"),
    ],
)
def test_what_a_server_may_say_is_told_without_its_own_words(ledger: Ledger, state: str, words: str) -> None:
    said = f"DO $$ BEGIN RAISE EXCEPTION 'of pat@example.org' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(LedgerError) as caught:
        ledger._run(said)
    assert words in caught.value.message
    assert caught.value.hint
    assert "pat@" not in f"{caught.value.message} {caught.value.hint} {caught.value.__cause__}"


# -- the schema


def test_several_who_open_a_new_ledger_at_once_make_one(place: Server) -> None:
    secrets: list[bytes] = []

    def come() -> None:
        with Ledger(place) as ledger:
            secrets.append(ledger.secret)

    comers = [threading.Thread(target=come) for _ in range(6)]
    for comer in comers:
        comer.start()
    for comer in comers:
        comer.join(30)
    assert len(secrets) == 6
    assert len(set(secrets)) == 1


def test_a_ledger_of_an_earlier_format_is_brought_up_to_date(place: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(place) as ledger:
        ledger.start(frozen([contact(1)]))

    def with_notes(connection: Any) -> None:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL) STRICT")
        connection.executemany("INSERT INTO notes (at, text) VALUES (?, ?)", [(1.5, "a"), (2.5, "b")])

    monkeypatch.setattr(formats, "SCHEMA_VERSION", NEXT)
    monkeypatch.setitem(formats.MIGRATIONS, NEXT - 1, with_notes)
    with Ledger(place) as ledger:
        assert ledger._all("SELECT id, at, text FROM notes ORDER BY id") == [(1, 1.5, "a"), (2, 2.5, "b")]
        assert ledger._one("SELECT version FROM ledger_format") == (NEXT,)
        assert ledger.tally(ledger.find("appeal--people")) == Tally(queued=1)
    Ledger(place).close()


def test_a_list_that_had_another_name_once_it_was_encrypted_is_the_same_again(place: Server) -> None:
    with Ledger(place) as ledger:
        ledger.start(frozen([contact(1), contact(2)]))
        ledger.suppress([(contact(1).key, "")], source="by hand", scope="people")
        for number in (1, 2):
            ledger.suppress([(contact(number).key, "")], source="by hand", scope="people.csv.age")
        ledger._db.execute("UPDATE deliveries SET status = 'queued'")
        ledger._db.execute("UPDATE campaigns SET list = 'people.csv.age'")
        ledger._db.execute("UPDATE ledger_format SET version = 9")
    with Ledger(place) as ledger:
        assert ledger._all("SELECT list FROM campaigns") == [("people",)]
        assert sorted(one.scope for one in ledger.suppression_rows()) == [
            "people",
            "people",
            "people.csv.age",
            "people.csv.age",
        ]
        assert set(ledger.suppressions("people").entries) == {contact(1).key, contact(2).key}
        assert ledger.tally(ledger.find("appeal--people")) == Tally(suppressed=2)


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(place: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(place).close()

    def failing(connection: Any) -> None:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT")
        connection.execute("SELECT nonsense")

    with monkeypatch.context() as patch:
        patch.setattr(formats, "SCHEMA_VERSION", NEXT)
        patch.setitem(formats.MIGRATIONS, NEXT - 1, failing)
        with pytest.raises(LedgerError):
            Ledger(place)
    with Ledger(place) as ledger:
        assert ledger._one("SELECT to_regclass('notes')") == (None,)


def test_whatever_the_server_s_habits_are_a_commit_is_on_its_disk(place: Server, postgres: PostgresServer) -> None:
    for habit, kept in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        postgres.query(f"ALTER DATABASE {database_of(place)} SET synchronous_commit = '{habit}'")
        with Ledger(place) as ledger:
            assert ledger._one("SHOW synchronous_commit") == (kept,)


def test_marks_are_translated_and_nothing_else() -> None:
    assert translated("a = ? AND b = ?").text == "a = $1 AND b = $2"
    assert translated("a = ?2 AND b = ?1 OR c = ?2").text == "a = $2 AND b = $1 OR c = $2"
    said = translated("a = :x AND b = :y AND c = :x AND d = '?:x''+y' AND +e AND 1 + f")
    assert said.text == "a = $1 AND b = $2 AND c = $1 AND d = '?:x''+y' AND e AND 1 + f"
    assert said.bound({"y": 2, "x": 1}) == [1, 2]


# -- locks, and who loses them


def test_a_lock_is_another_one_in_another_ledger_of_the_same_database(place: Server) -> None:
    with psycopg.connect(place.address, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
    elsewhere = Server(address=f"{place.address}?options=-csearch_path%3Dother")
    with Ledger(place) as ledger, Ledger(elsewhere) as other:
        for one in (ledger, other):
            one.start(frozen([contact(1)]))
        with SenderLock(ledger, "appeal--people"), SenderLock(other, "appeal--people"):
            assert SenderLock(ledger, "appeal--people").is_held()
        assert not SenderLock(other, "appeal--people").is_held()


def test_a_ledger_that_holds_a_lock_does_not_give_it_twice(ledger: Ledger) -> None:
    campaign = ledger.start(frozen([contact(1)]))
    with SenderLock(ledger, campaign.name):
        with pytest.raises(CampaignError, match="being sent just now"), SenderLock(ledger, campaign.name):
            pass
        assert SenderLock(ledger, campaign.name).is_held()
        with (
            AccountLock(ledger, "ana@smtp.example.org"),
            Ledger(ledger.place) as other,
            pytest.raises(CampaignError, match="This mail account is sending"),
            AccountLock(other, "ana@smtp.example.org"),
        ):
            pass


async def test_who_loses_the_lock_cannot_write_any_more(
    ledger: Ledger, place: Server, postgres: PostgresServer
) -> None:
    campaign = ledger.start(frozen([contact(1), contact(2)]))
    with Ledger(place) as mine, Ledger(place) as yours, SenderLock(mine, campaign.name):
        async with Writer(mine) as writer:
            assert await writer.write(intent=intent(1))
            holder = mine._db._session.connection.info.backend_pid  # type: ignore[attr-defined]
            postgres.query(f"SELECT pg_terminate_backend({holder}, 5000)")
            with SenderLock(yours, campaign.name):
                settle(ledger, campaign)
                assert ledger.tally(campaign) == Tally(sending=1, queued=1), "somebody holds it"
            with pytest.raises(LedgerError, match="was lost"):
                await writer.write(intent=intent(2))
            with pytest.raises(LedgerError):
                writer.write(records=[record(1)])
    settle(ledger, campaign)
    assert ledger.tally(campaign) == Tally(uncertain=1, queued=1)


async def test_while_the_server_is_slow_the_loop_goes_on(ledger: Ledger, place: Server) -> None:
    ledger.start(frozen([contact(n) for n in range(1, 4)]))
    with psycopg.connect(place.address) as other:
        other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        async with Writer(ledger) as writer:
            first = writer.write(intent=intent(1))
            for _ in range(50):
                await asyncio.sleep(0.001)
            second, third = writer.write(intent=intent(2)), writer.write(intent=intent(2, "you"))
            assert not first.done()
            other.rollback()
            assert [await first, await second, await third] == [True, True, False]


async def test_whoever_will_not_wait_for_the_server_is_gone_at_once(ledger: Ledger, place: Server) -> None:
    campaign = ledger.start(frozen([contact(1)]))
    with psycopg.connect(place.address) as other:
        other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")

        async def sending() -> None:
            async with Writer(ledger) as writer:
                await writer.write(intent=intent(1))

        task = asyncio.ensure_future(sending())
        await asyncio.sleep(0.2)
        task.cancel()
        for _ in range(2):  # the first one wakes the waiter, the second one whoever sees it off
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        other.rollback()
    assert ledger.tally(campaign).total == 1


async def test_nobody_waits_for_a_server_that_has_gone_silent(ledger: Ledger, place: Server) -> None:
    """As behind a cable that was pulled: what is said is lost, and nothing comes back."""
    campaign = ledger.start(frozen([contact(1)]))
    host, _, port = place.address.rpartition("@")[2].partition("/")[0].partition(":")
    with Wall(host, int(port)) as wall, Ledger(Server(address=place.address.replace(port, str(wall.port)))) as beyond:
        with SenderLock(beyond, campaign.name):
            writer = await Writer(beyond).__aenter__()
            writing = writer.write(intent=intent(1))
            wall.silent = True
            second = writer.write(intent=intent(1, "you"))
            for _ in range(100):
                await asyncio.sleep(0.001)
            leaving = asyncio.ensure_future(writer.__aexit__())
            await asyncio.sleep(0)
            leaving.cancel()
            began = time.monotonic()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
        assert time.monotonic() - began < 10
        for one in (writing, second):
            one.cancel()
    assert ledger.tally(campaign).total == 1


class Wall:
    """Hands on what both sides say, until it is silent."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.silent = False
        self._open: list[socket.socket] = [self._listening]

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(self._there)
                self._open += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._hand_on, args=(source, target), daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65536):
                if not self.silent:
                    target.sendall(said)
            target.shutdown(socket.SHUT_WR)


def test_several_long_answers_are_read_at_the_same_time(ledger: Ledger) -> None:
    campaign = ledger.start(frozen([contact(n) for n in range(1, 3001)]))
    pairs = zip(ledger.contacts(campaign), ledger.records(campaign), strict=True)
    assert all(one.key == other.address for (one, _), other in pairs)
    begun = ledger.contacts(campaign)
    next(begun)
    ledger.close()
    del begun


async def test_a_group_that_waits_too_long_for_another_program_is_told(
    ledger: Ledger, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = ledger.start(frozen([contact(1)]))
    monkeypatch.setattr(opening, "SESSION", opening.SESSION.replace(f"'{opening.PATIENCE_MS}'", "'50'"))
    with ledger._transaction():
        async with Writer(ledger) as writer:
            with pytest.raises(LedgerError, match="in use by another program"):
                await writer.write(intent=intent(1))
    assert ledger.tally(campaign) == Tally(queued=1)


# -- a campaign whose database goes away


@pytest.mark.parametrize("connections", [pytest.param(1, marks=pytest.mark.thorough), 4])
@pytest.mark.parametrize("how", ["connections", "immediate stop"])
async def test_a_database_that_goes_away_stops_the_run_and_the_next_one_goes_on(
    campaign_folder: Path, own_server: PostgresServer, how: str, connections: int
) -> None:
    place = Server(address=own_server.address("postgres"))
    people = [address(number) for number in range(1, 41)]
    with ScriptedServer() as server:
        with Ledger(place) as ledger, SenderLock(ledger, "appeal"):
            campaign = start(campaign_folder, ledger, people)
            striking = server.on("content", nth=12, hold=True)
            run = run_of(ledger, campaign, relay_to(server), connections=connections)
            running = asyncio.ensure_future(run.run())
            assert await asyncio.to_thread(striking.fired.wait, 20)
            if how == "connections":
                cut(own_server, place)
            else:
                await asyncio.to_thread(own_server.stop, signal.SIGQUIT)
            striking.release()
            with pytest.raises(LedgerError, match=r"was lost|cannot be reached|starting or stopping"):
                await asyncio.wait_for(running, 30)
            handed_over = len(server.accepted)
        if how != "connections":
            own_server.start()
        with Ledger(place) as ledger, SenderLock(ledger, "appeal"):
            campaign = settle(ledger, ledger.find("appeal"))
            ledger.mark_interrupted(campaign)
            tally = ledger.tally(campaign)
            assert tally.sent <= handed_over <= tally.sent + tally.uncertain
            assert tally.uncertain <= connections
            for key, status in [(contact.key, status) for contact, status in ledger.contacts(campaign)]:
                assert status is not Status.QUEUED or not received(server)[key]
            result = await send(ledger, campaign, server, connections=connections)
            assert result.tally.sent + result.tally.uncertain == len(people)
    assert max(received(server).values()) == 1
    assert not server.violations


def sender(folder: Path, place: Server, server: ScriptedServer) -> Program:
    settings = {
        "MAILER_LEDGER": setting(place), "MAILER_SMTP_HOST": server.host, "MAILER_SMTP_PORT": str(server.port),
        "MAILER_SMTP_SECURITY": "none", "MAILER_SENDER": "Union Office <office@example.org>",
        "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds", "MAILER_RATE": "100000/second",
        "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org?subject=unsubscribe%20{token}",
    }  # fmt: skip
    return Program(folder=folder, settings=settings)


@pytest.mark.thorough
def test_two_who_start_the_same_campaign_are_one_sender_and_one_refusal(campaign_folder: Path, place: Server) -> None:
    with Ledger(place) as ledger, ScriptedServer() as server:
        start(campaign_folder, ledger, [address(number) for number in range(1, 31)])
        holding = server.on("content", nth=3, hold=True)
        program = sender(campaign_folder, place, server)
        command = ("send", "appeal", "people.csv", "--campaign", "appeal", "--yes")
        with program.begin(*command) as first:
            assert holding.fired.wait(60)
            refused = program.run(*command)
            assert refused.returncode == 2
            assert f"process {first.pid} on " in refused.stderr
            assert program.json("status", "appeal")["state"] == "sending"
            # killed, its lock is free as soon as the server has noticed
            first.kill()
            first.wait(30)
        holding.release()
        until = time.monotonic() + 10
        while SenderLock(ledger, "appeal").is_held() and time.monotonic() < until:
            pass
        assert program.json(*command, "--connections", "3", "--processes", "2", code=1)["uncertain"] == 1
        assert received(server).total() <= 30
        assert max(received(server).values()) == 1


async def test_whoever_only_sends_or_only_looks_needs_no_more_rights_than_the_readme_says(
    postgres: PostgresServer, place: Server
) -> None:
    name = database_of(place)
    Ledger(place).close()
    rights = (
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; CREATE ROLE sender LOGIN PASSWORD '{SECRET}';"
        f" CREATE ROLE reader LOGIN PASSWORD '{SECRET}'; GRANT CONNECT ON DATABASE {name} TO sender, reader;"
        f" GRANT TEMPORARY ON DATABASE {name} TO sender; GRANT USAGE ON SCHEMA public TO sender, reader;"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO sender;"
        " GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"
    )
    postgres.query(rights, name)
    try:
        with Ledger(Server(address=postgres.address(name, user="sender"))) as ledger:
            campaign = ledger.start(frozen([contact(1), contact(2)]))
            with SenderLock(ledger, campaign.name):
                async with Writer(ledger) as writer:
                    assert await writer.write(intent=intent(1))
                    assert await writer.write(records=[record(1)], intent=intent(2))
            settle(ledger, campaign)
            ledger.suppress([("p2@example.org", "")], source="by hand")
            ledger.erase(["p2@example.org"])
            assert ledger.unsubscribe(
                next(filter(None, (one.message_id for one in ledger.records(campaign))))[1:].partition("@")[0]
            )
        with Ledger(Server(address=postgres.address(name, user="reader")), create=False) as ledger:
            assert ledger.tally(ledger.find(campaign.name)) == Tally(sent=1, uncertain=1)
            with pytest.raises(LedgerError, match="the rights that are needed"):
                ledger.unsuppress(["p2@example.org"])
    finally:
        postgres.query("DROP OWNED BY sender, reader; DROP ROLE sender; DROP ROLE reader", name)


def test_the_server_notices_within_a_minute_that_a_computer_with_locks_has_lost_its_power(ledger: Ledger) -> None:
    for connection in (ledger._db.connection, ledger._db._session.connection):
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        idle, interval, count = (int(connection.execute(f"SHOW {name}").fetchone()[0]) for name in names)
        assert 0 < idle + interval * count <= 60


def test_a_run_that_could_not_be_paused_any_more_stops(
    campaign_folder: Path, postgres: PostgresServer, place: Server
) -> None:
    """The connection that asks whether to pause is another one than that which writes."""
    with Ledger(place) as ledger:
        start(campaign_folder, ledger, [address(number) for number in range(1, 200)])
    with ScriptedServer() as server:
        holding = server.on("content", nth=3, hold=True)
        # one batch: before another, the ledger would be asked for complaints
        way = ("--batch-size", "200", "--rate", "20/second")
        command = ("send", "appeal", "people.csv", "--campaign", "appeal", "--yes", *way)
        with sender(campaign_folder, place, server).begin(*command) as running:
            assert holding.fired.wait(60)
            asking = f"datname = '{database_of(place)}' AND query LIKE '%meta%' AND query NOT LIKE '%pg_stat%'"
            while not postgres.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {asking}"):
                assert running.poll() is None
            holding.release()
            assert running.wait(60) == 3
    assert len(server.accepted) < 150
