"""A command that sends nobody, or no more, says how many have the letter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

import pytest
from journey import Journey, as_csv, beginning, people

from mailer.ledger import owner_in_words
from mailer.ledger.lock import owner
from mailer.times import local_time

# A disk of its own for one program, which no other sees.
MOUNTED = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(2)) as journey:
        yield journey


def test_a_finished_campaign_sent_again_says_that_nothing_was_sent_now(journey: Journey) -> None:
    first = journey.run("send", *journey.campaign, "--yes")
    assert "Nothing was sent now" not in first.said
    again = journey.run("send", *journey.campaign, "--campaign", "appeal--list", "--yes")
    assert again.code == 0
    assert "Nothing was sent now: all 2 have it already." in again.out
    assert journey.settled() == {"sent": 2}


def test_why_nobody_was_mailed_is_said_without_counting_nobody(journey: Journey) -> None:
    for number, said in enumerate(
        ("1 has it already, and nobody else is to be mailed.", "nobody on the list is to be mailed.")
    ):
        assert journey.call("suppress", "add", f"p{number + 2}@example.org").code == 0
        send = ("send", *journey.campaign, "--campaign", f"number {number}", "--yes")
        journey.call(*send)
        assert f"Nothing was sent now: {said}" in journey.call(*send).out


def test_the_preview_of_a_campaign_that_has_begun_gives_the_command_that_continues_it(journey: Journey) -> None:
    assert "has begun" not in journey.run("preview", *journey.campaign).said
    assert journey.run("send", *journey.campaign, "--yes", "--limit", "1").code == 3
    plain = journey.run("preview", *journey.campaign)
    assert "The campaign has begun: 1 has the letter already; they get no second one." in plain.out
    assert "--update" not in plain.step("To send:")
    journey.write("list.csv", as_csv(people(3)))
    changed = journey.run("preview", *journey.campaign)
    assert "1 has the letter already; the rest gets it as it is now, with --update." in changed.out
    assert journey.run(*changed.step("To send:"), "--yes").code == 0
    assert journey.accepted() == {f"p{row}@example.org": 1 for row in (2, 3, 4)}


@pytest.mark.parametrize("command", ["resolve", "pause", "report", "retry"])
def test_who_names_no_campaign_is_shown_those_of_the_folder(journey: Journey, command: str) -> None:
    assert f"mailer {command}" in journey.call(command).err
    assert "solidarity-appeal--branches" in journey.call(command).err
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    assert journey.call("send", *journey.campaign, "--campaign", "Zweite Runde", "--yes").code == 0
    told = journey.call(command)
    assert told.code == 2
    assert f'mailer {command} "Zweite Runde"\n      mailer {command} appeal--list\n' in told.err
    assert "solidarity-appeal--branches" not in told.err


def test_who_sends_is_told_with_the_time_of_the_clock_on_the_wall() -> None:
    began = datetime(2026, 11, 30, 22, 51, 7, tzinfo=UTC)
    noted = f"process 42 on {{}}, started {began:%Y-%m-%d %H:%M:%S} UTC"
    since = local_time(began)
    assert owner_in_words(noted.format("vm, old")) == f"process 42 on vm, old, since {since}"
    assert owner_in_words(noted.format(gethostname())) == f"process 42 on this computer, since {since}"
    assert owner_in_words("process 1") == "process 1"
    assert owner_in_words(owner()) == f"process {os.getpid()} on this computer, since {since_of(owner())}"


def since_of(noted: str) -> str:
    return local_time(datetime.strptime(noted.rpartition("started ")[2], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC))


def can_mount() -> bool:
    tried = [*MOUNTED, "mount -t tmpfs tmpfs /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(tried, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no disk can be mounted here")
def test_a_full_disk_stops_sending_and_who_has_the_letter_is_told(tmp_path: Path) -> None:
    with beginning(tmp_path / "my campaign", rows=people(400)) as journey:
        (journey.folder / "disk").mkdir()
        send = f'"{sys.executable}" -m mailer send appeal list.csv --yes --connections 1'
        done = subprocess.run(
            [*MOUNTED, f"mount -t tmpfs -o size=1400k tmpfs disk && exec {send}"],
            cwd=journey.folder,
            env={**journey.environment(), "MAILER_LEDGER": "sqlite:///disk/mailer.db"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        accepted = len(journey.server.accepted)
    assert done.returncode == 3, done.stderr
    assert "cannot be written: " in done.stderr
    assert 0 < accepted < 400
    told = next(line for line in done.stdout.splitlines() if "the mail server accepted them" in line)
    assert accepted - 2 <= int(told.split()[0]) <= accepted
