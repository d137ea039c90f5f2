"""What kills leave uncertain is settled by our own Postfix's log, judged by what lies in its mailbox; by no other log.

MAILER_TEST_KILLS says how often to kill (50: at all points and random moments in turn), or where ("after-dot:2 random").
"""

from __future__ import annotations

import email
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import real_servers
from program import COMMAND, Program

WISHED = os.environ.get("MAILER_TEST_KILLS", "after-dot:1 after-intent:2 random")
SEED = int(os.environ.get("MAILER_TEST_SEED", "1"))
RANDOM = random.Random(SEED)
POINTS = ("after-dot", "after-intent", "random", "after-reply", "before-intent", "random")
EACH = 16
"""More people than any one run gets to before it is killed."""

NAME = "hello--people"


def kills() -> list[str]:
    if not WISHED.isdigit():
        return WISHED.split()
    points = [POINTS[number % len(POINTS)] for number in range(int(WISHED))]
    return [point if point == "random" else f"{point}:{RANDOM.randint(1, 5)}" for point in points]


KILLS = kills()
PEOPLE = EACH * (len(KILLS) + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A campaign that was killed so many times and then went on, and the Postfix that it was handed to."""

    program: Program
    relay: real_servers.Relay
    sent: int
    doubts: dict[str, str]
    """Addresses by Message-ID, as `mailer resolve` shows them."""

    @property
    def uncertain(self) -> int:
        return len(self.doubts)

    @property
    def log(self) -> Path:
        return self.relay.folder / "log" / "mail.log"

    def lines(self) -> list[str]:
        return self.relay.log().splitlines(keepends=True)

    def written(self, *parts: list[str]) -> list[str | Path]:
        """Options that give these parts of a log, each as a file of its own."""
        options: list[str | Path] = []
        for number, lines in enumerate(parts):
            path = self.program.folder / f"mail.log.{number}"
            path.write_text("".join(lines), encoding="utf-8")
            options += ["--postfix-log", path]
        return options

    def of(self, message_id: str) -> list[str]:
        """The lines of the receptions with this Message-ID."""
        queue_ids = re.findall(rf"\]: (\w+): message-id={re.escape(message_id)}", self.relay.log())
        return [line for line in self.lines() if any(f" {queue_id}: " in line for queue_id in queue_ids)]


def campaign(folder: Path, port: int, people: int = PEOPLE) -> Program:
    (folder / "templates").mkdir()
    (folder / "templates/hello.md").write_text("---\nsubject: Hello\n---\nDear {{ name }}\n", encoding="utf-8")
    rows = "".join(f"p{number}@example.org,Pat {number}\n" for number in range(people))
    (folder / "people.csv").write_text("email,name\n" + rows, encoding="utf-8")
    settings = {
        "MAILER_SMTP_HOST": "127.0.0.1",
        "MAILER_SMTP_PORT": str(port),
        "MAILER_SENDER": "ana@example.org",
        "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
    }
    return Program(folder=folder, settings=settings)


def kill_at_random(program: Program, relay: real_servers.Relay) -> None:
    """Kill it some milliseconds after Postfix has noted that it is there; it may have come to any point."""
    seen = relay.log().count("]: connect from ")
    environment = os.environ | program.settings
    with subprocess.Popen(
        [*COMMAND, "send", "hello", "people.csv", "--yes"],
        cwd=program.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while relay.log().count("]: connect from ") == seen and process.poll() is None:
            os.sched_yield()
        moment = time.monotonic() + RANDOM.uniform(0.0, 0.06)
        while time.monotonic() < moment:
            os.sched_yield()
        process.kill()
    assert process.returncode in {-signal.SIGKILL, 0, 1}


def arrived(relay: real_servers.Relay, at_least: int) -> list[str]:
    """Whom the messages in the mailbox are to, once there are so many and Postfix's queue is empty."""
    deadline = time.monotonic() + 20
    while True:
        waiting = [
            path for name in ("incoming", "active", "maildrop") for path in (relay.folder / "queue" / name).rglob("*")
        ]
        found = [path for part in ("new", "cur") for path in (relay.maildir / part).glob("*")]
        if (len(found) >= at_least and not any(path.is_file() for path in waiting)) or time.monotonic() > deadline:
            return [email.message_from_bytes(path.read_bytes())["To"].rpartition("<")[2].rstrip(">") for path in found]
        os.sched_yield()


@pytest.fixture(scope="module")
def relay() -> Iterator[real_servers.Relay]:
    real_servers.require("postfix")
    with real_servers.server_folder() as folder, real_servers.postfix(folder) as started:
        yield started


@pytest.fixture(scope="module")
def scene(relay: real_servers.Relay, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    program = campaign(tmp_path_factory.mktemp("campaign"), relay.port)
    for point in KILLS:
        if point == "random":
            kill_at_random(program, relay)
            continue
        program.settings["MAILER_CRASH_AT"] = point
        assert program.run("send", "hello", "people.csv", "--yes").returncode == -signal.SIGKILL
        del program.settings["MAILER_CRASH_AT"]
    done = program.run("send", "hello", "people.csv", "--yes", "--json")
    assert done.returncode in {0, 1}, done.stderr
    status = json.loads(done.stdout)
    assert status["sent"] + status["uncertain"] == PEOPLE
    arrived(relay, status["sent"])
    left = program.json("resolve", NAME, code=1 if status["uncertain"] else 0)["deliveries"]
    doubts = {delivery["message_id"]: delivery["address"] for delivery in left}
    return Scene(program=program, relay=relay, sent=status["sent"], doubts=doubts)


def refuse_to_decide(scene: Scene, *options: str | Path) -> str:
    ran = scene.program.run("resolve", NAME, *options, "--json")
    left = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert (left["uncertain"], left["queued"], left["resolved"]) == (scene.uncertain, 0, 0)
    return ran.stderr


def test_an_empty_log_proves_nothing(scene: Scene) -> None:
    assert f"{scene.uncertain} not in this log. That proves nothing" in refuse_to_decide(scene, *scene.written([]))


@pytest.mark.thorough
def test_the_log_of_another_postfix_proves_nothing(scene: Scene) -> None:
    with real_servers.server_folder() as folder, real_servers.postfix(folder) as other:
        elsewhere = Program(folder=scene.program.folder, settings={**scene.program.settings})
        elsewhere.settings |= {"MAILER_SMTP_PORT": str(other.port)}
        elsewhere.run("test", "hello", "people.csv", "--to", "ana@example.org")
        assert arrived(other, 1) == ["ana@example.org"]
        said = refuse_to_decide(scene, "--postfix-log", folder / "log" / "mail.log")
    assert f"{scene.uncertain} not in this log" in said


def test_a_log_that_ends_before_the_attempt_proves_nothing(scene: Scene) -> None:
    lines = scene.lines()
    first = min(lines.index(scene.of(message_id)[0]) for message_id in scene.doubts)
    refuse_to_decide(scene, *scene.written(lines[:first]))


def test_rotated_logs_with_one_missing_between_prove_nothing_of_it(scene: Scene) -> None:
    lines = scene.lines()
    places = [lines.index(line) for message_id in scene.doubts for line in scene.of(message_id)]
    refuse_to_decide(scene, *scene.written(lines[: min(places)], lines[max(places) + 1 :]))


def test_a_message_whose_end_is_in_the_missing_log_stays_uncertain(scene: Scene) -> None:
    lines = scene.lines()
    doubtful = [line for message_id in scene.doubts for line in scene.of(message_id)]
    seen = [line for line in doubtful if "message-id=" in line]
    before = lines[: min(lines.index(line) for line in doubtful)]
    said = refuse_to_decide(scene, *scene.written(before + seen, lines[-1:]))
    assert f"{scene.uncertain} in this log, but not what became of them." in said


def test_what_a_server_further_on_refused_is_not_sent_again(scene: Scene) -> None:
    # Its queue IDs are its own: nothing that our relay answered is in its log.
    broken = next(found for found in scene.doubts if not any("queue active" in line for line in scene.of(found)))
    lines = [re.sub(r"(\]: (?:warning: )?)([0-9A-F]{6,}): ", r"\1F\2: ", line) for line in scene.lines()]
    said = refuse_to_decide(scene, *scene.written(lines), scene.doubts[broken])
    assert "1 broken off in this log, but nothing shows that this server is the one" in said


def test_kills_at_any_moment_are_settled_without_a_wrong_verdict(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    before = arrived(scene.relay, scene.sent)
    assert len(before) == len(set(before)), "nobody twice"
    settled = scene.program.json("resolve", NAME, "--postfix-log", scene.log)
    assert settled["sent"] == len(before), "sent is what arrived, neither more nor less"
    assert (settled["uncertain"], settled["resolved"]) == (0, scene.uncertain)

    final = scene.program.json("send", "hello", "people.csv", "--yes")
    assert final["sent"] == PEOPLE
    assert sorted(arrived(scene.relay, PEOPLE)) == sorted(f"p{number}@example.org" for number in range(PEOPLE))
    with capsys.disabled():
        taken = settled["sent"] - scene.sent
        print(
            f"\n{len(KILLS)} kills (seed {SEED}), {PEOPLE} people: {scene.uncertain} uncertain, of which the log proved"
            f" {taken} accepted and {scene.uncertain - taken} not; {PEOPLE} arrived, nobody twice."
        )


def test_the_only_message_of_all_needs_a_test_as_its_witness(relay: real_servers.Relay, tmp_path: Path) -> None:
    program, log = campaign(tmp_path, relay.port, people=1), relay.folder / "log" / "mail.log"
    program.settings["MAILER_CRASH_AT"] = "after-intent:1"
    assert program.run("send", "hello", "people.csv", "--yes").returncode == -signal.SIGKILL
    del program.settings["MAILER_CRASH_AT"]
    alone = program.run("resolve", NAME, "--postfix-log", log)
    assert alone.returncode == 1
    assert "nothing shows that this server is the one we handed them to" in alone.stdout

    assert program.run("test", "hello", "people.csv", "--to", "ana@example.org").returncode == 0
    witnessed = program.json("resolve", NAME, "--postfix-log", log)
    assert (witnessed["resolved"], witnessed["queued"], witnessed["uncertain"]) == (1, 1, 0)
