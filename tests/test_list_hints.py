"""A workbook with several sheets: whatever command is printed to be pasted reads the list as the one before it did."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from journey import Journey, Ran, as_csv, beginning, people

from mailer.ledger import Ledger
from mailer.web.journey.continuing import go_on
from mailer.web.journey.outlook import draft_of

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
        words = go_on(draft_of(ledger, ledger.find(NAME), journey.folder))
    assert journey.call(*words).code == 0
    assert set(journey.accepted()) == {f"p{n}@example.org" for n in range(1, 8)}


def test_hidden_rows_are_told_by_check_and_preview(journey: Journey) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook()))
    book["Die Mitglieder"].row_dimensions[6].hidden = True
    book.save(journey.folder / BOOK)
    for words in (("check", *GIVEN), ("preview", "appeal", *GIVEN)):
        ran = journey.call(*words)
        assert ran.code == 0
        assert "1 row is hidden in the spreadsheet, by a filter or by hand; it is mailed as well." in ran.err
        assert "copy the visible rows to a new sheet" in ran.err


def test_the_numbers_of_check_add_up_without_blank_rows(journey: Journey) -> None:
    journey.write("list.csv", 'name,email\nAnn,ann@example.org\n,\nBo,"bo@work,example"\nCy,cy@work\n')
    ran = journey.call("check", "list.csv")
    assert re.search(r"rows\W+ready\W+duplicates\W+with problems\W+3\W+1\W+0\W+2\W", ran.out), ran.out
    assert "1 blank row is not counted." in ran.out
    assert "has a comma after the @ sign; probably it should be a dot" in ran.err
    assert ran.err.count("has no dot after the @ sign") == 1


# -- --update with a list that is probably another one


OTHER = (BOOK, "--sheet", "Ausgetreten")


def test_update_with_another_sheet_is_refused_with_the_numbers(journey: Journey) -> None:
    assert journey.call("send", "appeal", *GIVEN, "--limit", "1", "--yes").code == 3
    changed = journey.call("send", "appeal", *OTHER, "--yes")
    assert changed.code == 2
    assert "add --update" not in changed.err
    assert changed.err.lower().count('it was the sheet "die mitglieder", is now "ausgetreten"') == 1
    for options in (("--update", "--yes"), ("--update", "--yes", "--campaign", NAME), ("--update",)):
        ran = journey.call("send", "appeal", *OTHER, *options)
        assert ran.code == 2
        assert "Not one of the 7 people of the campaign is in this list." in ran.err
        assert 'It was the sheet "Die Mitglieder", is now "Ausgetreten".' in ran.err
        assert "--campaign NAME" in ran.err
    assert sum(journey.accepted().values()) == 1
    assert journey.call("send", "appeal", *GIVEN, "--yes").code == 0
    assert set(journey.accepted()) == {f"p{n}@example.org" for n in range(1, 8)}


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
def test_who_types_how_many_get_no_letter_goes_on_without_them(journey: Journey) -> None:
    rows = people(9)
    journey.write("list.csv", as_csv(rows))
    journey.write("templates/appeal.md", LETTER.replace("betrieb", "city"))
    assert journey.call("send", *journey.campaign, "--limit", "2", "--yes").code == 3
    journey.write("list.csv", as_csv(rows[:5]))
    refused = journey.call("send", *journey.campaign, "--update", "--yes")
    assert (refused.code, journey.status()["queued"]) == (2, 7)
    assert "Of the 7 people who wait for their letter 4 are not in this list, and would get none." in refused.err
    assert journey.sit("send", *journey.campaign, "--update", typed="3\n").ended().code == 2
    assert journey.status()["queued"] == 7
    assert journey.sit("send", *journey.campaign, "--update", typed="4\n3\n").ended().code == 0
    assert set(journey.accepted()) == {row["email"] for row in rows[:5]}


def test_how_many_get_no_letter_may_be_said_beforehand(journey: Journey) -> None:
    rows = people(9)
    journey.write("list.csv", as_csv(rows))
    journey.write("templates/appeal.md", LETTER.replace("betrieb", "city"))
    assert journey.call("send", *journey.campaign, "--limit", "2", "--yes").code == 3
    journey.write("list.csv", as_csv(rows[:5]))
    refused = journey.call("send", *journey.campaign, "--update", "--yes", "--gone", "3")
    assert (refused.code, "the same with --gone 4" in refused.err) == (2, True)
    assert journey.call("send", *journey.campaign, "--update", "--yes", "--gone", "4").code == 0
    assert set(journey.accepted()) == {row["email"] for row in rows[:5]}


def test_update_asks_nothing_where_a_few_left(journey: Journey) -> None:
    rows = people(9)
    journey.write("list.csv", as_csv(rows))
    journey.write("templates/appeal.md", LETTER.replace("betrieb", "city"))
    assert journey.call("send", *journey.campaign, "--limit", "6", "--yes").code == 3
    journey.write("list.csv", as_csv([*rows[:7], *people(12)[9:]]))  # two of three who wait have left, three are new
    assert journey.call("send", *journey.campaign, "--update", "--yes").code == 0
    assert len(journey.accepted()) == 10
