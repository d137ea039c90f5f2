"""The options that every command with a list has, and what becomes of its bad rows (DESIGN section 6)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import LETTER, Journey, beginning, people

HEADER = "name,email,city\n"
ROWS = "Mia,mia@example.org,Utrecht\nPat,pat@,Leiden\n,zoe@example.org,Gouda\n"
WITH_PDF = LETTER.replace("required: [name, city]", "attachments: ['leaflets/{{ city }}.pdf']").replace(
    "{{ name }}\n", "you\n", 1
)
"""A letter that fails for a city without a file, which only shows when the row is merged."""


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(3)) as journey:
        yield journey


def written(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# -- mailer suppress import


def suppressed(journey: Journey) -> set[str]:
    return {entry["address"] for entry in journey.call("suppress", "list", "--json").data["suppressions"]}


def test_everybody_with_a_usable_address_is_suppressed_whatever_else_is_wrong_with_the_row(journey: Journey) -> None:
    journey.write(
        "gone.csv", 'name,email,city\nMia,mia@example.org,Utrecht\nPat,PAT@example.org\n"Z\x08oe",zoe@Example.org,x\n'
    )
    ran = journey.call("suppress", "import", "gone.csv", "--json")
    assert ran.code == 0
    assert ran.data == {"rows": 3, "added": 3, "known": 0, "repeated": 0, "unreadable": 0, "problems": []}
    assert suppressed(journey) == {"mia@example.org", "pat@example.org", "zoe@example.org"}
    assert "no usable address" not in journey.call("suppress", "import", "gone.csv").said


def test_a_row_without_a_usable_address_is_told_and_the_others_are_suppressed(journey: Journey) -> None:
    journey.write("gone.csv", HEADER + "Mia,mia@example.org,Utrecht\nPat,pat@,Leiden\n")
    ran = journey.call("suppress", "import", "gone.csv", "--problems", "to mend.csv")
    assert ran.code == 2
    assert "Suppressed in this folder's ledger: 1 address.\n" in ran.out
    assert "1 row holds no usable address, so nobody was suppressed for it" in ran.err
    assert "gone.csv:3:" in ran.err
    assert suppressed(journey) == {"mia@example.org"}
    assert [row["email"] for row in written(journey.folder / "to mend.csv")] == ["pat@"]
    again = journey.call("suppress", "import", "gone.csv", "--skip-problems", "--json")
    assert (again.code, again.data["added"], again.data["known"], again.data["unreadable"]) == (0, 0, 1, 1)


# -- mailer test


def test_a_test_of_a_list_with_bad_rows_is_refused_unless_they_are_skipped(journey: Journey) -> None:
    journey.write("list.csv", HEADER + ROWS)
    given = ("test", *journey.campaign, "--to", "me@example.net", "--problems", "bad.csv")
    ran = journey.call(*given)
    assert ran.code == 2
    assert journey.nothing_sent()
    assert "--skip-problems" in ran.err
    assert [row["row"] for row in written(journey.folder / "bad.csv")] == ["3", "4"]
    assert journey.call(*given, "--skip-problems").code == 0
    assert journey.accepted() == {"me@example.net": 1}


# -- --problems FILE


@pytest.mark.parametrize("command", ["preview", "test", "send"])
def test_rows_that_only_fail_while_merging_are_written_too(journey: Journey, command: str) -> None:
    journey.write("templates/appeal.md", WITH_PDF)
    journey.write("leaflets/Utrecht.pdf", b"%PDF-1.4\n%%EOF\n")
    journey.write("list.csv", HEADER + "Mia,mia@example.org,Utrecht\nPat,pat@,Leiden\nZoe,zoe@example.org,Gouda\n")
    options = {"preview": [], "test": ["--to", "me@example.net"], "send": ["--yes"]}[command]
    ran = journey.call(command, *journey.campaign, *options, "--problems", "bad.csv")
    assert ran.code == 2
    rows = written(journey.folder / "bad.csv")
    assert [(row["name"], row["email"], row["city"], row["row"]) for row in rows] == [
        ("Pat", "pat@", "Leiden", "3"),
        ("Zoe", "zoe@example.org", "Gouda", "4"),
    ]
    assert "Gouda.pdf" in rows[1]["problem"]


@pytest.mark.parametrize("command", ["check", "preview"])
def test_without_problems_the_file_holds_only_the_header(journey: Journey, command: str) -> None:
    given = ["list.csv"] if command == "check" else journey.campaign
    assert journey.call(command, *given, "--problems", "bad.csv").code == 0
    assert (journey.folder / "bad.csv").read_bytes() == b"\xef\xbb\xbfname,email,city,row,problem\r\n"


# -- mailer mailbox


def test_the_mailbox_tells_programs_where_it_is(journey: Journey) -> None:
    running = journey.start("mailbox", "--port", "0", "--web-port", "0", "--folder", "mail", "--json")
    running.wait_for("\n")
    running.interrupt()
    ran = running.ended()
    assert ran.code == 0
    data = json.loads(ran.out)
    assert set(data) == {"smtp_port", "page", "folder"}
    assert data["smtp_port"] > 0
    assert data["page"].startswith("http://127.0.0.1:")
    assert data["folder"] == "mail"
