"""Sending with several processes: the same promises, whichever of them dies."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from campaigns import Watcher, address, once_each, received, relay_to, run_of, send, start, statuses
from ledger_places import over_both, place_of
from program import Program
from smtp_server import ScriptedServer

from mailer.campaign import apart
from mailer.campaign import courier as courier_module
from mailer.campaign import couriers as couriers_module
from mailer.campaign.courier import Errand, told
from mailer.campaign.couriers import Couriers, outcome_from
from mailer.campaign.wire import Wire
from mailer.cli.send import loop_factory
from mailer.errors import Paused
from mailer.ledger import Ledger
from mailer.model import Action, Outcome, Phase, Quota, Reply, Scope, Status, Verdict

PEOPLE = [address(number) for number in range(1, 61)]
COURIER = "mailer.campaign.courier"
TWO = {"processes": 2, "connections": 4}


@pytest.fixture(params=["file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with place_of(request, tmp_path) as place, Ledger(place) as opened:
        yield opened


def processes() -> dict[int, int]:
    """Every courier on this machine with its parent, as the system knows them."""
    if Path("/proc/self/stat").exists():
        return {int(folder.name): parent for folder in Path("/proc").glob("[0-9]*") if (parent := parent_of(folder))}
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return {int(pid): int(above) for pid, above, what in lines if COURIER in what}


def parent_of(folder: Path) -> int | None:
    try:
        if COURIER.encode() in (folder / "cmdline").read_bytes():
            return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        pass  # it has ended meanwhile
    return None


def couriers_of(parent: int) -> list[int]:
    return [pid for pid, above in processes().items() if above == parent]


def kill_one_courier() -> None:
    os.kill(couriers_of(os.getpid())[0], signal.SIGKILL)


@over_both
async def test_everybody_gets_their_message_once_and_no_process_is_left(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, **TWO)
    assert received(server) == once_each(PEOPLE)
    assert not server.violations
    assert (result.tally.sent, result.exit_code) == (60, 0)
    assert b"Subject: News for Pat 1\r\n" in next(m.content for m in server.accepted if m.rcpt_to == (PEOPLE[0],))
    assert couriers_of(os.getpid()) == []


@pytest.mark.thorough
async def test_refusals_delays_and_lost_answers_are_recorded_as_with_one_process(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        server.on("rcpt", reply="550 5.1.1 no such user", address=PEOPLE[3])
        server.on("rcpt", reply="450 4.2.0 greylisted", address=PEOPLE[20])
        server.on("dot", reply="452 4.3.1 later", address=PEOPLE[30], first=1)
        server.on("dot", drop=True, address=PEOPLE[40])
        result = await send(ledger, campaign, server, **TWO)
    found = statuses(ledger, campaign)
    assert found[PEOPLE[3]] is Status.FAILED
    assert found[PEOPLE[20]] is Status.DEFERRED
    assert found[PEOPLE[40]] is Status.UNCERTAIN
    assert result.tally.sent == 57
    assert "450" in next(item.server_words for item in ledger.records(campaign, Status.DEFERRED))
    assert max(received(server).values()) == 1


@over_both
@pytest.mark.parametrize("after", [1, pytest.param(25, marks=pytest.mark.thorough)])
async def test_a_courier_that_is_killed_costs_one_doubt_a_connection_and_nobody_their_message(
    campaign_folder: Path, ledger: Ledger, after: int
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()
    killed: list[bool] = []

    def kill_once() -> None:
        if len(watcher.records) >= after and not killed:
            killed.append(True)
            kill_one_courier()

    watcher.on_record = kill_once
    with ScriptedServer() as server:
        server.on("dot", delay=0.005)
        result = await send(ledger, campaign, server, watcher, **TWO)
        got = received(server)
    assert killed
    assert result.tally.uncertain <= 4
    assert result.tally.sent + result.tally.uncertain == 60
    found = statuses(ledger, campaign)
    assert all(got[one] == 1 for one in PEOPLE if found[one] is Status.SENT)
    assert max(got.values()) == 1


def killed_in_the_middle(couriers: Couriers) -> None:
    for courier in couriers._crew:
        assert courier
        courier._process.kill()


@pytest.mark.parametrize("how", ["the courier is killed before the answer", "the server babbles with the answer"])
@pytest.mark.thorough
async def test_an_envelope_that_left_with_the_message_before_is_known_to_have_left(
    campaign_folder: Path, ledger: Ledger, how: str
) -> None:
    """The server may have counted it: its place in the quota must not be given away."""
    campaign = start(campaign_folder, ledger, PEOPLE[:2])

    async def intent() -> bool:
        return True

    with ScriptedServer() as server:
        killed = "killed" in how
        rule = server.on("dot", hold=True) if killed else server.on("accepted", raw=b"250 Ok\r\nwhat?\r\n")
        async with Couriers(1, ledger, campaign, relay_to(server)) as couriers:
            first, second = map(couriers.ticket, couriers.load(ledger.due(campaign, time.time())))
            connection = await couriers.connect()
            assert not isinstance(connection, Outcome)
            sending = asyncio.ensure_future(connection.transmit(first, intent, lambda: second))
            await asyncio.to_thread(rule.fired.wait, 10)
            if killed:
                killed_in_the_middle(couriers)
            outcome = await sending
            assert outcome
            assert outcome.verdict is (Verdict.UNCERTAIN if killed else Verdict.SENT)
            assert connection.begun is second
            assert connection.ended
            rule.release()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /bin/sh on Windows")
@pytest.mark.thorough
def test_couriers_that_die_at_once_are_told_as_a_reason(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:1])
    short_lived = campaign_folder / "short-lived"
    short_lived.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    short_lived.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(short_lived))

    async def connected() -> Outcome | Wire:
        with ScriptedServer() as server:
            async with Couriers(8, ledger, campaign, relay_to(server)) as couriers:
                return await couriers.connect()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        outcome = runner.run(connected())
    assert isinstance(outcome, Outcome)
    assert "no sending process" in outcome.text


@pytest.mark.thorough
async def test_nothing_is_in_doubt_when_the_courier_had_gone_before_it_was_told_to_end_the_message(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:1])
    with ScriptedServer() as server:
        async with Couriers(1, ledger, campaign, relay_to(server)) as couriers:
            [ticket] = map(couriers.ticket, couriers.load(ledger.due(campaign, time.time())))
            connection = await couriers.connect()
            assert not isinstance(connection, Outcome)

            async def intent() -> bool:
                killed_in_the_middle(couriers)
                while not connection._courier.gone:
                    await asyncio.sleep(0)
                return True

            outcome = await connection.transmit(ticket, intent, lambda: None)
        assert outcome
        assert (outcome.verdict, outcome.phase) == (Verdict.REQUEUED, Phase.CONTENT)
    assert not server.accepted


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent these signals on Windows")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_what_is_meant_for_the_run_ends_no_courier(campaign_folder: Path, ledger: Ledger, name: str) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()

    def to_all() -> None:
        if len(watcher.records) == 5:
            for pid in couriers_of(os.getpid()):
                assert os.getsid(pid) != os.getsid(0), "or a window that is closed would reach them while they start"
                os.kill(pid, getattr(signal, name))

    watcher.on_record = to_all
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher, **TWO)
    assert (result.tally.sent, watcher.reconnects) == (60, [])


@pytest.mark.thorough
async def test_a_file_of_the_campaign_folder_is_not_taken_for_a_part_of_the_program(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:4])
    for name in ("json.py", "mailer.py", "jinja2.py"):
        (campaign_folder / name).write_text("raise SystemExit('mine, not yours')\n", encoding="utf-8")
    monkeypatch.chdir(campaign_folder)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, **TWO)
    assert result.tally.sent == 4


def begun(said: str) -> subprocess.CompletedProcess[str]:
    """A courier whose run said so much on its standard input, and is gone."""
    command = apart.command("mailer.campaign.courier", "begin")
    return subprocess.run(command, input=said, capture_output=True, encoding="utf-8", timeout=60, check=False)


@pytest.mark.parametrize("said", ["", "1\n", "{port} 0 abcd\n"])
def test_a_courier_whose_run_has_gone_leaves_without_a_word(said: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        ended = begun(said.format(port=nobody.getsockname()[1]))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def hang_up_on_the_first(run: socket.socket) -> None:
    run.accept()[0].close()


def test_a_courier_whose_run_ends_before_it_says_what_to_do_leaves_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as run:
        run.settimeout(30)
        going = threading.Thread(target=hang_up_on_the_first, args=(run,))
        going.start()
        ended = begun(f"{run.getsockname()[1]} 0 abcd\n")
        going.join()
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_courier_does_without_what_reads_lists_and_settings() -> None:
    code = "import mailer.campaign.courier, sys; print({'pandas', 'pydantic', 'typer'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert said.stdout == "set()\n"


@over_both
@pytest.mark.thorough
async def test_a_courier_that_cannot_read_the_campaign_says_why(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = replace(start(campaign_folder, ledger, PEOPLE[:1]), name="other")
    with ScriptedServer() as server:
        async with Couriers(1, ledger, campaign, relay_to(server)) as couriers:
            with pytest.raises(Paused, match="'other'"):
                await couriers.connect()


async def test_a_word_of_a_run_that_is_gone_ends_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A courier that was stopped may read it when a person has long decided to send that message again."""
    said: list[tuple[object, ...]] = []
    errand = Errand(
        1, relay_to(ScriptedServer()), lambda _: pytest.fail("not asked for"), lambda *event: said.append(event)
    )
    errand.hear(("go", None, False))
    assert await errand._intent()
    monkeypatch.setattr(courier_module, "RUN", os.getppid() + 1)
    errand.hear(("go", None, False))
    assert not await errand._intent()


@pytest.mark.thorough
def test_a_run_that_stood_still_hears_its_couriers_before_it_gives_them_up(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers_module, "WORD_SECONDS", 0.0)
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()
    stops: list[float] = []

    def stand_still() -> None:
        if len(stops) < 2:
            stops.append(3.0)
            time.sleep(3.0)  # in the loop: nothing of it goes on, as in a stopped process

    watcher.on_record = stand_still
    with ScriptedServer() as server, asyncio.Runner(loop_factory=loop_factory()) as runner:
        relay = replace(relay_to(server), timeout=1.0, final_timeout=1.0)
        result = runner.run(send(ledger, campaign, server, relay=relay, watcher=watcher, **TWO))
    assert len(stops) == 2
    assert (result.tally.sent, result.tally.uncertain, watcher.reconnects) == (60, 0, [])


async def test_no_second_holds_more_than_the_quota_over_all_processes(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        began = time.monotonic()
        result = await send(ledger, campaign, server, account=[Quota(seconds=1, count=20)], **TWO)
        took = time.monotonic() - began
    assert result.tally.sent == 60
    at = sorted(message.at for message in server.accepted)
    assert max(sum(one <= other < one + 1 for other in at) for one in at) <= 20
    assert took > 2


@pytest.mark.thorough
async def test_a_run_that_is_stopped_hands_over_nothing_new(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()
    with ScriptedServer() as server:
        run = run_of(ledger, campaign, relay_to(server), watcher, **TWO)
        watcher.on_record = lambda: run.stop(Paused("enough")) if len(watcher.records) == 10 else None
        await asyncio.wait_for(run.run(), 20)
        assert 10 <= len(server.accepted) <= 14
        assert ledger.tally(campaign).sent == len(server.accepted)
        await send(ledger, campaign, server, **TWO)
    assert received(server) == once_each(PEOPLE)


@pytest.mark.thorough
async def test_a_message_that_would_be_another_than_was_checked_stops_the_run(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    ledger._db.execute("UPDATE deliveries SET digest = digest + 1 WHERE address = ?", (PEOPLE[10],))
    with ScriptedServer() as server, pytest.raises(Paused, match="another message than the one that was checked"):
        await send(ledger, campaign, server, **TWO)
    assert PEOPLE[10] not in received(server)
    assert statuses(ledger, campaign)[PEOPLE[10]] is Status.QUEUED


def wait_until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and ps are not to be had on Windows")
def test_when_the_run_is_killed_its_couriers_go_and_nobody_is_mailed_twice(tmp_path: Path) -> None:
    (tmp_path / "letter.md").write_text("---\nsubject: Hello\n---\nDear {{ name }}\n", encoding="utf-8")
    people = [address(number) for number in range(400)]
    rows = "".join(f"{one},Pat\n" for one in people)
    (tmp_path / "list.csv").write_text(f"email,name\n{rows}", encoding="utf-8")
    with ScriptedServer() as server:
        server.on("dot", delay=0.002)
        settings = {
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(server.port),
            "MAILER_SENDER": "Office <office@example.org>",
            "MAILER_RATE": "unlimited",
            "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
        }
        command = ("send", "letter.md", "list.csv", "--yes", "--connections", "4", "--processes", "2")
        program = Program(folder=tmp_path, settings=settings)
        running = program.begin(*command)
        wait_until(lambda: len(server.accepted) > 40)
        children = couriers_of(running.pid)
        running.kill()
        running.wait()
        assert children
        wait_until(lambda: not set(children) & set(processes()))
        assert len(server.accepted) < 400
        told_of = program.json(*command, code=1)
        got = received(server)
    assert max(got.values()) == 1
    assert told_of["sent"] + told_of["uncertain"] == 400
    assert told_of["uncertain"] <= 4
    assert sum(got.values()) >= told_of["sent"]


@pytest.mark.thorough
async def test_who_does_not_know_the_token_is_turned_away(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:3])
    with ScriptedServer() as server:
        async with Couriers(1, ledger, campaign, relay_to(server)) as couriers:
            reader, writer = await asyncio.open_connection("127.0.0.1", couriers._port)
            writer.write(bytes(33))
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
            connection = await couriers.connect()
            assert not isinstance(connection, Outcome)
            await connection.quit()


@pytest.mark.parametrize("reply", [None, Reply(code=550, text="5.1.1 no\nreally")])
def test_an_outcome_is_the_same_after_its_way_between_processes(reply: Reply | None) -> None:
    outcome = Outcome(
        verdict=Verdict.FAILED, scope=Scope.RECIPIENT, phase=Phase.RCPT, text="ü", action=Action.PAUSE, reply=reply,
        suppress=True,
    )  # fmt: skip
    assert outcome_from(told(outcome)) == outcome


@pytest.mark.thorough
async def test_a_server_that_is_not_there_is_told_in_the_same_words(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:5])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with ScriptedServer() as server:
            relay = relay_to(server, port=taken.getsockname()[1])
            result = await send(ledger, campaign, server, relay=relay, **TWO)
    assert isinstance(result.reason, Paused)
    assert "nothing answers at that port" in result.reason.message
    assert Counter(statuses(ledger, campaign).values()) == {Status.QUEUED: 5}
