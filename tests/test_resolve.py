"""`mailer resolve` decides of whom it was told, by whom it was told, and counts what it decided."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Journey, beginning, people
from program import COMMAND
from rights import AS_OTHERS, READERS_RIGHTS

DROPPED = (4, 7)
"""The messages after which the server, having accepted them, says nothing more."""

ADDRESSES = ["p5@example.org", "p8@example.org"]


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(10)) as begun:
        for nth in DROPPED:
            begun.server.on("accepted", nth=nth, drop=True)
        assert begun.call("send", *begun.campaign, "--yes").code == 1
        yield begun


def log_of(journey: Journey, *, accepted: int = 2) -> str:
    """What a Postfix would have written: it has all headers, and took up so many of the messages."""
    left = journey.call("resolve", journey.name, "--json").data["deliveries"]
    assert [delivery["address"] for delivery in left] == ADDRESSES
    lines = ["connect from unknown[127.0.0.1]"]
    for number, delivery in enumerate(left):
        lines.append(f"4A6D798827{number}: message-id={delivery['message_id']}")
    lines += [f"4A6D798827{number}: from=<a@example.org>, size=9, nrcpt=1 (queue active)" for number in range(accepted)]
    return "".join(f"Nov 23 12:49:49 relay postfix/qmgr[1]: {line}\n" for line in lines)


def standing(journey: Journey) -> tuple[int, int, int]:
    status = journey.status()
    return status["sent"], status["queued"], status["uncertain"]


def test_the_log_decides_of_the_named_addresses_only(journey: Journey) -> None:
    journey.write("mail.log", log_of(journey))
    ran = journey.call("resolve", journey.name, "P8@example.org", "--postfix-log", "mail.log", "--json")
    assert (ran.code, ran.data["resolved"], ran.data["uncertain"]) == (1, 1, 1)
    assert [delivery["address"] for delivery in ran.data["deliveries"]] == ADDRESSES[:1]
    ran = journey.call("resolve", journey.name, "--postfix-log", "mail.log", "--json")
    assert (ran.code, ran.data["resolved"], ran.data["uncertain"]) == (0, 1, 0)
    assert journey.settled() == {"sent": 10}


def test_an_address_that_is_not_uncertain_stops_the_log_too(journey: Journey) -> None:
    journey.write("mail.log", log_of(journey))
    ran = journey.call("resolve", journey.name, "p2@example.org", "--postfix-log", "mail.log")
    assert ran.code == 2
    assert "Nothing was changed." in ran.err
    assert standing(journey) == (8, 0, 2)


@pytest.mark.parametrize("decision", ["sent", "queued"])
def test_a_decision_and_a_log_together_are_refused(journey: Journey, decision: str) -> None:
    journey.write("mail.log", log_of(journey))
    ran = journey.call("resolve", journey.name, "--as", decision, "--postfix-log", "mail.log")
    assert ran.code == 2
    assert "Either you decide, or the log does." in ran.err
    assert "leave out --as" in ran.err
    assert standing(journey) == (8, 0, 2)


def test_people_are_told_what_was_proved_and_what_was_not(journey: Journey) -> None:
    journey.write("mail.log", log_of(journey, accepted=1))
    ran = journey.call("resolve", journey.name, "--postfix-log", "mail.log")
    assert ran.code == 1
    assert "1 taken by the mail server, as its log proves: noted as sent." in ran.out
    assert "1 in this log, but not what became of them.\nWait a minute and try again." in ran.out
    assert "1 uncertain in appeal--list:\n  p8@example.org\n" in ran.out
    assert standing(journey) == (9, 0, 1)


def test_a_log_that_says_nothing_changes_nothing(journey: Journey) -> None:
    journey.write("mail.log", "Nov 23 12:49:49 laptop postfix/qmgr[1]: nothing\n" * 3)
    ran = journey.call("resolve", journey.name, "--postfix-log", "mail.log", "--json")
    assert (ran.code, ran.data["resolved"], ran.data["queued"], ran.data["uncertain"]) == (1, 0, 0, 2)
    assert "2 not in this log. That proves nothing" in ran.err


def test_logs_that_were_put_away_compressed_are_read_too(journey: Journey) -> None:
    first, *others = log_of(journey).splitlines(keepends=True)
    (journey.folder / "mail.log.2.gz").write_bytes(gzip.compress("".join([first, *others[:2]]).encode()))
    journey.write("mail.log.1", "".join(others[2:]))
    logs = ["--postfix-log", "mail.log.2.gz", "--postfix-log", "mail.log.1"]
    ran = journey.call("resolve", journey.name, *logs)
    assert ran.code == 0
    assert ran.out.endswith(
        "2 taken by the mail server, as its log proves: noted as sent.\nNothing is uncertain any more.\n"
    )


@pytest.mark.parametrize("content", [None, b"no gzip", gzip.compress(b"x" * 9999)[:-9]], ids=["none", "other", "cut"])
def test_a_log_that_cannot_be_read_is_named_and_changes_nothing(journey: Journey, content: bytes | None) -> None:
    if content is not None:
        journey.write("mail.log.gz", content)
    ran = journey.call("resolve", journey.name, "--postfix-log", "mail.log.gz")
    assert ran.code == 2
    assert ("There is no file mail.log.gz" if content is None else "The log mail.log.gz cannot be read") in ran.err
    assert standing(journey) == (8, 0, 2)


def test_what_is_no_log_is_said_in_plain_words(journey: Journey) -> None:
    journey.write("mail.log", log_of(journey))
    (journey.folder / "old logs").mkdir()
    (journey.folder / "empty").mkdir()
    journey.write("old logs/mail.log.1", "")

    def refused(log: str) -> str:
        ran = journey.call("resolve", journey.name, "--postfix-log", "mail.log", "--postfix-log", log)
        assert ran.code == 2
        assert standing(journey) == (8, 0, 2), "nothing was decided by the log beside it"
        return ran.err

    assert "--postfix-log names no file." in refused("")
    told = refused("old logs")
    assert "--postfix-log names a folder, not a log: old logs." in told
    assert f'--postfix-log "{Path("old logs/mail.log.1")}"' in told
    assert f"--postfix-log {Path('empty/mail.log')}" in refused("empty")


@pytest.mark.skipif(not READERS_RIGHTS, reason="files have no such rights here")
def test_a_log_that_is_closed_to_us_says_whom_to_ask(journey: Journey) -> None:
    journey.write("mail.log", log_of(journey))
    (journey.folder / "mail.log").chmod(0)
    ran = subprocess.run(
        [*AS_OTHERS, *COMMAND, "resolve", journey.name, "--postfix-log", "mail.log"],
        cwd=journey.folder, env=journey.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "mail.log cannot be read: it is closed to you." in ran.stderr
    assert "save a copy of your own" in ran.stderr
