"""The laboratory's judge: whom it lets be in doubt, how it counts a quota, and that it sees what a mutant would do."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the laboratory kills by POSIX signals", allow_module_level=True)

from faults.crew import MAKER
from faults.oracle import Oracle
from faults.programs import Program
from faults.script import Script, withholds
from faults.trial import Trial
from faults.verdict import Quota, most_within

from mailer.campaign import apart

ROOT = Path(__file__).parent.parent

QUEUED = "250 2.0.0 Ok: queued as 1"


def withheld(text: str) -> bool:
    script = Script([text])
    rule = script.rules[0]
    return withholds(rule, "" if rule.phase == "content" else QUEUED, script.drips.get(id(rule), 0.0))


@pytest.mark.parametrize(
    "rule",
    [
        "dot drop",
        "accepted reset",
        "accepted silence",
        'accepted raw="250-2.0" drop',
        r'dot raw="\x00 what?\r\n250 ok\r\n"',
        'dot reply="399 Strange"',
        'dot reply="777 Strange"',
        'content after=20 reply="421 4.3.2 Leaving" drop',
        "accepted drip=1.2",
        "accepted delay=11",
    ],
)
def test_a_lost_answer_may_leave_a_doubt(rule: str) -> None:
    assert withheld(rule)


@pytest.mark.parametrize(
    "rule",
    [
        'dot reply="451 4.3.0 Try again later"',
        'dot reply="550 5.0.0 Refused"',
        'dot reply="421 4.3.2 Shutting down"',
        'dot reply="421 4.3.2 Shutting down" drop',
        'accepted reply="299 Strange"',
        "accepted drip=0.004",
        "accepted delay=0.5",
        "content after=20 delay=0.5",
    ],
)
def test_an_answer_leaves_no_doubt(rule: str) -> None:
    assert not withheld(rule)


def hand_over(oracle: Oracle, *people: str) -> None:
    """One message each, over a connection of its own."""
    with oracle.server() as server:
        for person in people:
            # the server may hang up at any moment, also within the farewell
            with (
                contextlib.suppress(smtplib.SMTPException),
                smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client,
            ):
                client.sendmail("office@example.org", person, f"Message-ID: <{person}>\r\n\r\nHello.\r\n")


def test_the_server_notes_whom_it_left_in_doubt(tmp_path: Path) -> None:
    rules = ('dot nth=1 reply="550 5.0.0 No"', "dot nth=2 drop", "accepted nth=1 drop", "mail nth=5 drop")
    oracle = Oracle(tmp_path, rules)
    hand_over(oracle, *(f"p{number}@example.org" for number in range(1, 6)))
    found = [(misdeed.phase, misdeed.doubts) for misdeed in oracle.faults()]
    assert found == [("dot", ""), ("dot", "p2@example.org"), ("accepted", "p3@example.org"), ("mail", "")]
    assert not oracle.failures()


ENVELOPE = "MAIL FROM:<office@example.org>\r\nRCPT TO:<p{}@example.org>\r\nDATA\r\n"
CONTENT = "Message-ID: <{}@example.org>\r\n\r\nHello.\r\n.\r\n"


def overlapping(oracle: Oracle) -> list[str]:
    """The codes of what a server says to a message, and to an envelope that comes with the end of it."""
    with (
        oracle.server() as server,
        socket.create_connection((server.host, server.port), timeout=10) as client,
        client.makefile("rb") as said,
    ):
        client.sendall(f"HELO x\r\n{ENVELOPE.format(1)}".encode())
        codes = [said.readline()[:3].decode() for _ in range(5)]
        client.sendall(f"{CONTENT.format(1)}{ENVELOPE.format(2)}".encode())
        with contextlib.suppress(OSError):  # a server that resets may be faster than we are
            client.shutdown(socket.SHUT_WR)
            codes += [line[:3].decode() for line in said]
    return codes


BEFORE = ["220", "250", "250", "250", "354"]


def test_an_early_rule_is_for_what_came_with_the_end_of_a_message(tmp_path: Path) -> None:
    oracle = Oracle(tmp_path, ('early mail reply="451 4.3.0 Later"', 'early rcpt reply="450 4.2.0 Never"'))
    assert overlapping(oracle) == [*BEFORE, "250", "451", "503", "503"]
    assert [misdeed.phase for misdeed in oracle.faults()] == ["mail"]


def test_a_deaf_server_throws_away_what_came_with_the_end_of_a_message(tmp_path: Path) -> None:
    oracle = Oracle(tmp_path, ("deaf every=1",))
    assert overlapping(oracle) == [*BEFORE, "250"]
    assert [misdeed.phase for misdeed in oracle.faults()] == ["deaf"]


def test_a_reset_at_an_early_envelope_may_take_along_the_answer_to_the_message_before(tmp_path: Path) -> None:
    oracle = Oracle(tmp_path, ("early data reset",))
    overlapping(oracle)
    assert [(misdeed.phase, misdeed.doubts) for misdeed in oracle.faults()] == [("data", "p1@example.org")]


def test_the_server_counts_what_it_refuses_as_begun_but_once(tmp_path: Path) -> None:
    people = [f"p{number}@example.org" for number in range(1, 5)]
    oracle = Oracle(tmp_path, ('rcpt nth=1 reply="550 5.1.1 No"', "rcpt nth=2 drop", 'dot nth=1 reply="451 Later"'))
    hand_over(oracle, *people)
    assert [one.recipient for one in oracle.begun()] == people
    assert [message.recipients for message in oracle.accepted()] == [("p4@example.org",)]


def rows(*doubtful: str) -> list[dict[str, str]]:
    return [{"address": address, "status": "uncertain", "message_id": ""} for address in doubtful]


def judged(folder: Path, doubtful: Sequence[str], *rules: str) -> Trial:
    """A trial of a server with these rules, to which two people's messages were handed over."""
    trial = Trial(folder, random.Random(1), people=2, rules=rules)
    hand_over(trial.oracle, *trial.people)
    trial._judge_doubt(trial._unexplained(rows(*doubtful)))
    return trial


def test_a_doubt_about_somebody_whose_answer_was_lost_is_allowed(tmp_path: Path) -> None:
    assert not judged(tmp_path, ["p2@example.org"], "accepted nth=2 drop").verdict.broken


def test_a_doubt_about_somebody_else_is_noticed(tmp_path: Path) -> None:
    assert judged(tmp_path, ["p1@example.org"], "accepted nth=2 drop").verdict.broken


def test_a_plain_refusal_that_is_called_uncertain_is_noticed(tmp_path: Path) -> None:
    assert judged(tmp_path, ["p2@example.org"], 'dot nth=2 reply="550 5.0.0 No"').verdict.broken


def test_a_strike_that_breaks_no_connection_excuses_no_doubt(tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(1))
    trial.verdict.strikes += 3  # as a clock that jumps
    trial._judge_doubt(1)
    assert trial.verdict.broken


@pytest.mark.parametrize(("times", "broken"), [((1.5, 2.5), False), ((1.5, 1.6), True), ((2.5, 2.6), True)])
def test_more_doubt_than_one_for_each_connection_is_noticed_after_a_crash_of_the_server(
    tmp_path: Path, times: tuple[float, float], broken: bool
) -> None:
    trial = Trial(tmp_path, random.Random(1), connections=1)
    trial._crashes = [1.0, 2.0]
    with contextlib.closing(sqlite3.connect(trial.ledger)) as ledger, ledger:
        ledger.execute("CREATE TABLE attempts (finished_at REAL, verdict TEXT, text TEXT)")
        ledger.executemany("INSERT INTO attempts VALUES (?, 'uncertain', '')", [(at,) for at in times])
        ledger.execute("INSERT INTO attempts VALUES (1.7, 'sent', '')")
    trial._judge_crashes()
    assert bool(trial.verdict.broken) is broken
    assert trial.verdict.worst == 1 + broken


@contextlib.contextmanager
def maker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real one, of this process, that waits to be told what it is to make."""
    with subprocess.Popen(apart.command(MAKER, "main"), cwd=folder, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def manned(trial: Trial) -> list[int]:
    deadline = time.monotonic() + 20
    while not (found := trial.crew.of(os.getpid())):
        assert time.monotonic() < deadline
    return found


def in_doubt(trial: Trial, count: int) -> None:
    with contextlib.closing(sqlite3.connect(trial.ledger)) as ledger, ledger:
        ledger.execute("CREATE TABLE deliveries (status TEXT)")
        ledger.executemany("INSERT INTO deliveries VALUES (?)", [("uncertain",)] * count)


def taken(trial: Trial, *times: float) -> None:
    lines = [f"{at}\t<{number}@x>\t\tp{number}@example.org\t1\n" for number, at in enumerate(times)]
    (trial.folder / "accepted.txt").write_text("".join(lines), encoding="utf-8", newline="\n")


def test_a_maker_that_is_killed_counts_and_excuses_no_doubt(tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(1), connections=4, processes=2)
    with maker(tmp_path) as process:
        trial.strike_makers(manned(trial), signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL
    assert trial.verdict.strikes == trial.verdict.kills == 1
    trial._judge_doubt(1)
    assert trial.verdict.broken


def run_that_ends(folder: Path, code: int) -> Program:
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    (folder / "said.txt").touch()
    return Program(process.pid, folder / "said.txt", process)


@pytest.mark.parametrize(("before", "after", "code"), [(0, 0, 0), (2, 2, 1)])
def test_a_run_that_a_makers_death_cost_nothing_is_praised(tmp_path: Path, before: int, after: int, code: int) -> None:
    trial = Trial(tmp_path, random.Random(1), processes=2)
    in_doubt(trial, after)
    trial._doubtful = before
    trial.unharmed(run_that_ends(tmp_path, code), time.monotonic())
    assert not trial.verdict.broken


@pytest.mark.parametrize(("before", "after", "code"), [(0, 1, 0), (0, 4, 0), (2, 3, 1)])
def test_a_doubt_that_comes_of_a_makers_death_is_noticed(tmp_path: Path, before: int, after: int, code: int) -> None:
    trial = Trial(tmp_path, random.Random(1), connections=4, processes=2)
    in_doubt(trial, after)
    trial._doubtful = before
    trial.unharmed(run_that_ends(tmp_path, code), time.monotonic())
    assert trial.verdict.broken == [f"{after - before} in doubt though only makers were struck"]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_run_that_a_makers_death_ends_is_noticed(tmp_path: Path, code: int) -> None:
    trial = Trial(tmp_path, random.Random(1), processes=2)
    trial.unharmed(run_that_ends(tmp_path, code), time.monotonic())
    assert f"ended with {code} though only makers were struck" in trial.verdict.broken[0]


@pytest.mark.parametrize(
    ("ago", "broken"),
    [
        ((19.0, 9.0, 7.0, 4.5, 2.0), False),
        ((9.0, 4.5, 2.0), True),
        ((5.0, 2.0), True),
        ((9.0, 7.0, 5.0), True),
    ],
)
def test_a_run_that_rests_after_a_makers_death_is_noticed(tmp_path: Path, ago: tuple[float, ...], broken: bool) -> None:
    """The makers were struck ten seconds ago; it rests in the midst, at once, or at its end."""
    trial = Trial(tmp_path, random.Random(1), processes=2)
    now = time.monotonic()
    taken(trial, *(now - seconds for seconds in ago))
    trial.unharmed(run_that_ends(tmp_path, 0), now - 10.0)
    assert any("nothing left for" in what for what in trial.verdict.broken) is broken


@pytest.mark.parametrize(("between", "broken"), [(0.02, False), (0.3, True)])
def test_a_run_that_crawls_after_a_makers_death_is_noticed(tmp_path: Path, between: float, broken: bool) -> None:
    trial = Trial(tmp_path, random.Random(1), processes=2)
    now = time.monotonic()
    taken(trial, *(now - between * number for number in range(100, 0, -1)))
    trial.unharmed(run_that_ends(tmp_path, 0), now - between * 100)
    assert any("seconds for 10" in what for what in trial.verdict.broken) is broken


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what another process has written")
def test_makers_that_bring_nothing_are_noticed(tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(1), processes=2)
    with maker(tmp_path) as process:
        run = Program(os.getpid(), tmp_path / "said.txt", process)  # it runs as long as its maker
        manned(trial)
        assert trial.makers_at_work(run, 0.0) == [process.pid]
    assert "had brought nothing" in trial.verdict.broken[0]


def test_a_maker_that_stays_behind_is_noticed_and_ended(tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(1))
    with maker(tmp_path) as process:
        assert manned(trial) == trial.crew.left() == [process.pid]
        assert trial.crew.of(1) == []
        trial.crew_has_left(0.0)
        assert process.wait(20) == -signal.SIGKILL
    assert "still there" in trial.verdict.broken[0]


CONNECTED = (
    "import socket, sys; it = socket.create_connection(('127.0.0.1', int(sys.argv[2]))); print(); sys.stdin.read()"
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what another process holds")
@pytest.mark.parametrize("connected", [True, False])
def test_a_maker_that_is_connected_to_the_server_is_noticed(tmp_path: Path, connected: bool) -> None:
    trial = Trial(tmp_path, random.Random(1))
    with trial.oracle.server() as server, trial.oracle.server() as other:
        trial.oracle.port = server.port
        command = [sys.executable, "-c", CONNECTED, MAKER, str(server.port if connected else other.port)]
        with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.read(1)
            trial.crew_has_left(0.0)
    assert any("held a connection" in what for what in trial.verdict.broken) is connected


def test_what_is_said_after_the_end_is_heard(tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(1))
    program = trial.call("status")
    assert not trial.ended(program).traceback
    with (tmp_path / "said-1.txt").open("a", encoding="utf-8") as file:
        file.write("Traceback (most recent call last):")
    trial._judge_last_words()
    assert trial.verdict.tracebacks == 1
    assert trial.verdict.broken


def test_a_window_of_any_place_counts() -> None:
    times = [0.0, 1.9, 2.0, 3.0, 3.8, 9.0]
    assert most_within(times, 2) == 4
    assert most_within([], 2) == 0
    assert most_within([5.0, 3.0], 2) == 1, "a window is open at one end"


def test_a_quota_covers_its_domain_or_the_whole_account() -> None:
    begun = [(0.1 * number, f"p{number}@example.{'net' if number % 2 else 'org'}") for number in range(6)]
    assert Quota(count=2, seconds=2, domain="example.net").breach(begun)
    assert not Quota(count=3, seconds=2, domain="example.net").breach(begun)
    assert Quota(count=5, seconds=2).breach(begun)
    assert not Quota(count=6, seconds=2).breach(begun)
