"""Workers as programs: started, killed, stopped and woken, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import starting
from campaigns import address, once_each, received, write_letter, write_list
from postgres_server import PostgresServer
from program import Program
from smtp_server import ScriptedServer

from mailer.ledger import Ledger
from mailer.model import Happening, Server

PEOPLE = [address(number) for number in range(1, 41)]
SEND = ("send", "appeal", "people.csv", "--detach", "--yes")
NAME = "appeal--people"

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


class Site:
    """A campaign folder, a ledger on PostgreSQL, a mail server, and workers that are processes."""

    def __init__(self, folder: Path, server: ScriptedServer, ledger: str) -> None:
        write_letter(folder)
        write_list(folder, PEOPLE)
        self.server = server
        self.place = Server(address=ledger)
        self.program = Program(
            folder=folder,
            settings={
                "MAILER_LEDGER": ledger,
                "MAILER_SMTP_HOST": server.host,
                "MAILER_SMTP_PORT": str(server.port),
                "MAILER_SMTP_SECURITY": "none",
                "MAILER_SENDER": "Union Office <office@example.org>",
                "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
                "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
                "MAILER_BATCH_SIZE": "8",
                "MAILER_CONNECTIONS": "2",
            },
        )
        self.workers: list[subprocess.Popen[str]] = []

    def worker(self, *options: str, crash_at: str | None = None) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONUTF8": "1"} | self.program.settings
        if crash_at:
            environment["MAILER_CRASH_AT"] = crash_at
        command = [sys.executable, str(Path(__file__).with_name("worker_program.py")), *options]
        process = starting.start(
            command, cwd=self.program.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        self.workers.append(process)
        return process

    def ended(self, process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, f"exit {process.returncode}: {out}{err}"
        assert "Traceback" not in err, err
        return out, err

    def until(self, condition: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> dict[str, Any]:
        """Until `mailer status` says so."""
        deadline = time.monotonic() + seconds
        while not condition(standing := self.standing()):
            assert time.monotonic() < deadline, standing
            time.sleep(0.05)
        return standing

    def standing(self) -> dict[str, Any]:
        from mailer.cli.standing import standing

        with Ledger(self.place) as ledger:
            return standing(ledger, ledger.find(NAME))

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def site(campaign_folder: Path, postgres: PostgresServer) -> Iterator[Site]:
    with ScriptedServer() as server, postgres.database() as name:
        made = Site(campaign_folder, server, postgres.address(name))
        try:
            yield made
        finally:
            made.close()
        assert server.violations == []


def finished(standing: dict[str, Any]) -> bool:
    return standing["finished_at"] is not None


@posix
@pytest.mark.thorough
def test_a_campaign_is_left_to_workers_seen_paused_continued_and_finished(site: Site) -> None:
    held = site.server.on("dot", nth=3, hold=True)
    said = site.program.run(*SEND)
    assert said.returncode == 0, said.stderr
    assert "40 messages in 5 batches are left to workers" in said.stdout
    assert "No worker is there just now." in said.stdout
    assert "mailer worker" in said.stdout
    assert f"mailer pause {NAME}" in said.stdout
    assert site.standing()["state"] == "waiting"

    worker = site.worker()
    assert held.fired.wait(30)
    seen = site.until(lambda standing: bool(standing["workers"]))
    assert seen["state"] == "sending"
    assert seen["workers"][0]["campaigns"] == [NAME]
    words = site.program.run("status", NAME).stdout
    assert f"2 at a time, at {NAME}" in words
    assert "process" in words

    here = site.program.run("send", "appeal", "people.csv", "--yes")
    assert (here.returncode, "is being sent just now" in here.stderr) == (2, True)
    again = site.program.run(*SEND)
    assert (again.returncode, "left to workers" in again.stdout) == (0, True)

    paused = site.program.run("pause", NAME)
    assert (paused.returncode, "paused for all workers" in paused.stdout) == (0, True)
    assert "mailer send appeal people.csv --detach" in paused.stdout
    # the worker hears of it within a second, in which it would have sent all that is left
    slow = site.server.on("dot", delay=1.0)
    held.release()
    stands = site.until(lambda standing: standing["state"] == "paused")
    site.server.rules.remove(slow)
    assert stands["reason"] == "Paused at your request."
    assert "No worker works for it since" in site.program.run("status", NAME).stdout

    assert site.program.json(*SEND)["left_to_workers"]
    watched = site.program.run("status", NAME, "--watch").stdout
    assert f"Campaign {NAME}: finished" in watched, "it ends by itself"
    site.until(finished)
    worker.send_signal(signal.SIGTERM)
    _, err = site.ended(worker)
    assert f"Campaign {NAME}: finished." in err
    assert "@" not in err, "no addresses"
    assert received(site.server) == once_each(PEOPLE)
    assert site.program.run(*SEND).returncode == 0
    assert len(site.server.accepted) == len(PEOPLE)
    with Ledger(site.place) as ledger:
        diary = [one.kind for one in ledger.diary(ledger.find(NAME))][::-1]
    assert diary == [Happening.BEGUN, Happening.PAUSED, Happening.BEGUN, Happening.FINISHED]


@posix
@pytest.mark.parametrize(
    "crash_at",
    [
        "after-dot:5",
        *(
            pytest.param(point, marks=pytest.mark.thorough)
            for point in ("after-leave", "after-claim:2", "after-intent:5", "after-reply:5", "after-batch:2")
        ),
    ],
)
def test_wherever_a_worker_is_killed_another_goes_on_within_seconds(site: Site, crash_at: str) -> None:
    if crash_at == "after-leave":
        site.program.settings["MAILER_CRASH_AT"] = crash_at
        assert site.program.run(*SEND).returncode == -signal.SIGKILL
        del site.program.settings["MAILER_CRASH_AT"]
    else:
        site.program.run(*SEND)
        site.ended(site.worker(crash_at=crash_at), code=-signal.SIGKILL)
    worker = site.worker("--json")
    standing = site.until(finished)
    worker.send_signal(signal.SIGINT)
    out, _ = site.ended(worker)
    assert json.loads(out)["sent"] > 0
    assert standing["uncertain"] <= 2
    assert standing["sent"] + standing["uncertain"] == len(PEOPLE)
    assert set(received(site.server).values()) == {1}
    assert len(site.server.accepted) <= standing["sent"] + standing["uncertain"]


@posix
@pytest.mark.thorough
def test_a_worker_that_dies_while_it_buries_another_leaves_that_to_a_third(site: Site) -> None:
    site.program.run(*SEND)
    site.ended(site.worker(crash_at="after-dot:3"), code=-signal.SIGKILL)
    site.ended(site.worker(crash_at="after-bury"), code=-signal.SIGKILL)
    site.worker()
    standing = site.until(finished)
    assert standing["sent"] + standing["uncertain"] == len(PEOPLE)
    assert standing["uncertain"] <= 2
    assert set(received(site.server).values()) == {1}


@pytest.mark.thorough
@posix
def test_a_worker_that_stands_still_loses_its_work_to_others_and_gives_way_when_it_wakes(site: Site) -> None:
    site.server.on("dot", nth=6, delay=0.5)
    held = site.server.on("mail", nth=6, hold=True)
    site.program.run(*SEND)
    still = site.worker()
    assert held.fired.wait(30)
    still.send_signal(signal.SIGSTOP)
    held.release()
    other = site.worker()
    # all but what the one that stands still has on the wire; it may have been stopped in the middle of a transaction, for which others wait
    site.until(lambda standing: standing["queued"] == 0, seconds=150)
    assert site.standing()["state"] == "sending"
    still.send_signal(signal.SIGCONT)
    standing = site.until(finished)
    for process in (still, other):
        process.send_signal(signal.SIGTERM)
        site.ended(process)
    assert standing["uncertain"] == 0
    assert received(site.server) == once_each(PEOPLE)


def test_without_postgresql_there_are_no_workers_and_it_is_said_before_anything_is_read(site: Site) -> None:
    site.program.settings["MAILER_LEDGER"] = "sqlite:///mailer.db"
    for command in (SEND, ("worker",)):
        refused = site.program.run(*command)
        assert refused.returncode == 2
        assert "a file on this computer" in refused.stderr
    assert site.server.connections == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--limit", "5"), "--limit is for a run from here"),
        (("--at", "noon"), "is not a time"),
    ],
)
def test_what_workers_cannot_do_is_refused(site: Site, options: tuple[str, ...], words: str) -> None:
    refused = site.program.run(*SEND, *options)
    assert (refused.returncode, words in refused.stderr) == (2, True)
    refused = site.program.run("send", "appeal", "people.csv", "--yes", "--queue", "other")
    assert (refused.returncode, "--queue is for campaigns that are left to workers" in refused.stderr) == (2, True)


@pytest.mark.thorough
@posix
def test_a_queue_and_a_time_are_kept_to(site: Site) -> None:
    said = site.program.run(*SEND, "--queue", "night", "--at", "2999-01-01 09:00")
    assert "Not before 2999-01-01 09:00." in said.stdout
    assert "mailer worker --queue night" in said.stdout
    day, night = site.worker(), site.worker("--queue", "night")
    site.until(lambda standing: len(standing["workers"]) == 2)
    assert site.server.accepted == []
    assert site.program.run(*SEND, "--queue", "night").returncode == 0
    site.until(finished)
    for process in (day, night):
        process.send_signal(signal.SIGTERM)
    _, err = site.ended(day)
    assert "working for it" not in err
    site.ended(night)
    assert received(site.server) == once_each(PEOPLE)
