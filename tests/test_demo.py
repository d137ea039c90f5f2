"""`mailer demo` as the first thing that anybody tries: it works, it shows the promise kept, and it stays at home."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program import Program

from mailer import contacts
from mailer.mailbox import read_captured

# What other programs and other campaigns on this computer have set; the demo must not care.
FOREIGN = {
    "MAILER_SMTP_HOST": "smtp.example.org",
    "MAILER_SMTP_USERNAME": "ana@example.org",
    "MAILER_SMTP_PASSWORD": "sample",
    "MAILER_SENDER": "not an address",
    "MAILER_LEDGER": "sqlite:////nowhere/at/all.db",
    "MAILER_RATE": "1/day",
}
# Tells every address that the program connects to or looks up. uvloop would do so unseen.
WATCH = """
import os, sys
sys.modules["uvloop"] = None
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        target = arguments[0] if event.startswith("socket.get") else arguments[1]
        with open(os.environ["WATCHED"], "a", encoding="utf-8") as file:
            print(target if isinstance(target, str) else target[0], file=file)
sys.addaudithook(watch)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """Two runs in one folder: the first for people, the second for programs."""

    folder: Path
    first: subprocess.CompletedProcess[str]
    second: subprocess.CompletedProcess[str]
    watched: list[str]
    mail: Counter[str]

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.second.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    place = tmp_path_factory.mktemp("demo")
    (place / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    (place / "mailer.toml").write_text('smtp_host = "smtp.example.org"\n', encoding="utf-8")
    watched = place / "watched.txt"
    program = Program(folder=place, settings=FOREIGN)
    first = program.run("demo", "my demo")
    (place / "my demo" / "left over.txt").write_text("of an earlier run", encoding="utf-8")
    program.settings |= {"PYTHONPATH": str(place), "WATCHED": str(watched)}
    second = program.run("demo", "my demo", "--json")
    mailbox = read_captured(place / "my demo" / "mailbox")
    return Demo(
        folder=place / "my demo",
        first=first,
        second=second,
        watched=watched.read_text("utf-8").split(),
        mail=Counter(address for message in mailbox for address in message.recipients),
    )


def everybody(folder: Path) -> set[str]:
    lists = (contacts.read(folder / "contacts" / name) for name in ("branches.csv", "supporters.csv"))
    return {contact.address for people in lists for contact in people}


def test_it_ends_well_twice_in_the_same_folder(demo: Demo) -> None:
    assert (demo.first.returncode, demo.second.returncode) == (0, 0), demo.first.stderr + demo.second.stderr
    assert not (demo.folder / "left over.txt").exists()


def test_everybody_on_the_lists_has_exactly_one_message(demo: Demo) -> None:
    assert set(demo.mail) == everybody(demo.folder)
    assert set(demo.mail.values()) == {1}


def test_the_output_shows_every_step_and_the_interruption(demo: Demo) -> None:
    said = demo.first.stdout
    steps = re.findall(r"(?m)^\$ mailer (\w+)", said)
    assert steps == ["check", "preview", "send", "send", "report", "check", "preview", "send", "report"]
    assert "PREVIEW, nothing sent" in said
    before, left = map(int, re.search(r"Ctrl-C was pressed: (\d+) sent, (\d+) not tried yet", said).groups())
    assert before > 0
    assert left > 0
    assert before + left == 14
    assert "30 people were mailed, each exactly once" in said
    assert "mailer new my-campaign" in said


def test_the_galleries_and_the_reports_are_where_it_says(demo: Demo) -> None:
    for path in re.findall(r"(?m)^  (?:preview|report) +(.+)$", demo.first.stdout):
        page = demo.folder.parent / path
        assert page.stat().st_size > 1000, path
    assert len(re.findall(r"(?m)^  (?:preview|report) +", demo.first.stdout)) == 4
    assert len(list(demo.folder.glob("preview-*/eml/*.eml"))) == 30


def test_json_is_one_object_whose_counts_add_up(demo: Demo) -> None:
    assert demo.second.stdout.count("\n") == 1
    result = demo.result
    assert (result["people"], result["most"], result["kept"]) == (30, 1, True)
    assert [campaign["sent"] for campaign in result["campaigns"]] == [14, 16]
    assert [campaign["total"] for campaign in result["campaigns"]] == [14, 16]
    for page in result["previews"]:
        assert (demo.folder.parent / page).is_file()


def test_nothing_but_this_computer_is_connected_to_whatever_is_set(demo: Demo) -> None:
    assert demo.watched
    assert set(demo.watched) <= {"127.0.0.1", "::1", "localhost"}
    for message in read_captured(demo.folder / "mailbox"):
        assert message.envelope.mail_from == "campaign@solidarity.example"


@pytest.mark.parametrize("what", ["a folder with something in it", "a file"])
def test_what_the_demo_did_not_make_is_never_touched(tmp_path: Path, what: str) -> None:
    place = tmp_path / "mine"
    precious = place if what == "a file" else place / "letter.md"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("precious", encoding="utf-8")
    done = Program(folder=tmp_path).run("demo", "mine")
    assert done.returncode == 2
    assert "Nothing was changed" in done.stderr
    assert precious.read_text("utf-8") == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
