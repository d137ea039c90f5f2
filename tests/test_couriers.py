"""Sending with several processes: the same promises, whichever of them dies."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaigns import Watcher, address, once_each, received, relay_to, run_of, send, start, statuses
from program import Program
from smtp_server import ScriptedServer

from mailer.campaign.courier import told
from mailer.campaign.couriers import Couriers, outcome_from
from mailer.errors import Paused
from mailer.ledger import Ledger
from mailer.model import Action, Outcome, Phase, Quota, Reply, Scope, Status, Verdict

PEOPLE = [address(number) for number in range(1, 61)]
COURIER = "mailer.campaign.courier"
TWO = {"processes": 2, "connections": 4}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "mailer.db") as opened:
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


async def test_everybody_gets_their_message_once_and_no_process_is_left(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, **TWO)
    assert received(server) == once_each(PEOPLE)
    assert not server.violations
    assert (result.tally.sent, result.exit_code) == (60, 0)
    assert b"Subject: News for Pat 1\r\n" in next(m.content for m in server.accepted if m.rcpt_to == (PEOPLE[0],))
    assert couriers_of(os.getpid()) == []


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


@pytest.mark.parametrize("after", [1, 25])
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
