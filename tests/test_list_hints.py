"""A workbook with several sheets: whatever command is printed to be pasted reads the list as the one before it did."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from journey import Journey, Ran, beginning

from mailer.ledger import Ledger
from mailer.web.journey.continuing import go_on

LETTER = """---
subject: An alle, {{ name }}
language: de
required: [name, betrieb]
---
Liebe Leute in {{ betrieb }},

kommt alle. Wer keine Post mehr will, schreibt an leave@example.org.
"""
MEMBERS = [(f"Pat {n}", "Werk Süd", f"p{n}@example.org", f"p{n}@work.example") for n in range(1, 8)]
BOOK = "contacts/Mitglieder Süd.xlsx"
READ = ("--sheet", "Die Mitglieder", "--email-column", "E-Mail (privat)", "--skip-problems")
GIVEN = (BOOK, *READ)


def workbook(*, others: int = 1) -> bytes:
    book = openpyxl.Workbook()
    members, left = book.active, book.create_sheet("Ausgetreten")
    assert members is not None
    members.title = "Die Mitglieder"
    for row in (
        ("Ortsverein Süd",),
        ("Stand: November",),
        (),
        ("Name", "Betrieb", "E-Mail (privat)", "E-Mail (Betrieb)"),
    ):
        members.append(row)
    for person in (*MEMBERS, ("Bo", "Werk", "bo@", "")):
        members.append(person)
    left.append(("Name", "Betrieb", "E-Mail"))
    for n in range(others):
        left.append(("Weg", "Werk", f"weg{n}@example.org"))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", letter=LETTER) as journey:
        journey.write(BOOK, workbook())
        yield journey


def pasted(ran: Ran, label: str) -> list[str]:
    """The words of the command that stands after a label, wherever it was said."""
    found = re.search(rf"{re.escape(label)}\s+mailer (.+)$", ran.said, re.MULTILINE)
    assert found, ran.said
    return shlex.split(found[1])


NAME = "appeal--Mitglieder Süd"


def test_check_asks_for_the_sheet_and_its_next_command_keeps_what_was_given(journey: Journey) -> None:
    refused = journey.call("check", BOOK)
    assert refused.code == 2
    assert 'several sheets that could be the list: "Die Mitglieder", "Ausgetreten"' in refused.err
    assert '--sheet "Die Mitglieder"' in refused.err
    ran = journey.call("check", *GIVEN)
    assert ran.code == 0
    words = pasted(ran, "To see the letters:")
    assert words[:2] == ["preview", "TEMPLATE"]
    assert journey.call("preview", "appeal", *words[2:]).code == 0


def test_preview_sends_to_doctor_with_the_same_list(journey: Journey) -> None:
    words = pasted(journey.call("preview", "appeal", *GIVEN), "What to do about it:")
    assert words[0] == "doctor"
    looked = journey.call(*words)
    assert "several sheets" not in looked.said
    assert "betrieb" not in looked.said


def test_status_pause_resolve_and_retry_continue_with_the_same_sheet(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("accepted", nth=2, drop=True)
    journey.server.on("rcpt", nth=1, reply="554 5.7.1 not now")
    assert (
        journey.call("send", "appeal", *GIVEN, "--limit", "3", "--yes").code == 3
    )  # one refused, one sent, one in doubt
    goes_on = [
        pasted(journey.call("status", NAME), "To continue:"),
        pasted(journey.call("pause", NAME), "To continue:"),
        pasted(journey.call("resolve", NAME, "--as", "queued"), "To send them:"),
        pasted(journey.call("retry", NAME), "To send them:"),
    ]
    assert all(words == goes_on[0] for words in goes_on)
    assert {*READ} <= {*goes_on[0]}
    assert journey.call(*goes_on[0], "--yes").code == 0
    assert set(journey.accepted()) == {f"p{n}@example.org" for n in range(1, 8)}


def test_the_page_goes_on_with_the_same_sheet(journey: Journey) -> None:
    assert journey.call("send", "appeal", *GIVEN, "--limit", "3", "--yes").code == 3
    with Ledger(journey.folder / "mailer.db") as ledger:
        words = go_on(ledger.find(NAME))
    assert journey.call(*words).code == 0
    assert set(journey.accepted()) == {f"p{n}@example.org" for n in range(1, 8)}
