"""Two hundred branches as an organiser's Excel exports them, from the file to the report with nothing but commands."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from program import Program
from smtp_server import Accepted, ScriptedServer

TITLE = "Ortsgruppen im Bezirk Nord–Süd, Stand: 17. November 2026"
HEADER = ("Ortsgruppe", "Ansprechpartner*in", "E-Mail-Adresse", "Straße", "Ort", "Sprache")
PEOPLE = ("Jürgen Größmann", "Åse Núñez", "Zoë Çelik-Öztürk", "Günther O’Neill, Kassierer", "Mäggie „Maggi“ Weiß")
TOWNS = ("Köln", "Düren", "Saarbrücken", "Neustadt (Weinstraße)", "Übach-Palenberg")

FIRST_ROW = 4  # the title, a blank row and the header stand above
BLANK_ROW = 60  # somebody left a gap
BAD_ROW = 123
COPIES = 6
BRANCHES = 200
READY = BRANCHES - COPIES - 1

LETTER = """---
subject: "Grüße an {{ ortsgruppe }} in {{ ort }}"
to_name: "{{ ansprechpartner_in }}"
language: de
required: [ortsgruppe]
---
Liebe Kolleg*innen der {{ ortsgruppe }},

die Hafenarbeiter*innen zählen auf euch in {{ ort }}, {{ strasse }}. Bitte gebt den Brief auch {{ ansprechpartner_in }}.
"""


def branches() -> list[tuple[str, ...]]:
    """Data rows in order. The last six repeat addresses from above in another spelling; one has no @."""
    rows = []
    for number in range(BRANCHES - COPIES):
        name = f"Ortsgruppe „Süd; {number}“" if number % 7 == 0 else f"Ortsgruppe Fußweg {number}"
        # Alt-Enter in a cell: one row for Excel, two lines in the CSV
        street = f"Höhenstraße {number}\nHinterhaus" if number == 20 else f"Höhenstraße {number}"
        rows.append((name, PEOPLE[number % 5], f"gruppe{number}@branch.example", street, TOWNS[number % 5], "Deutsch"))
    rows += [(row[0], row[1], f" {row[2].upper()}\u00a0", *row[3:]) for row in rows[10 : 10 + COPIES]]
    bad = BAD_ROW - FIRST_ROW - 1  # the gap stands above it
    rows[bad] = (*rows[bad][:2], "gruppe.branch.example", *rows[bad][3:])
    return rows


def sheet() -> list[tuple[str, ...]]:
    """The rows as Excel shows them, from row 1 on."""
    data = branches()
    gap = BLANK_ROW - FIRST_ROW
    return [(TITLE,), (), HEADER, *data[:gap], (), *data[gap:]]


def write_xlsx(path: Path) -> None:
    book = openpyxl.Workbook()
    cover = book.active
    assert cover is not None
    cover.title = "Deckblatt"
    cover["B2"] = "Adressliste der Ortsgruppen"
    cover["B4"] = "Rückfragen an: buero@bezirk.example"
    addresses = book.create_sheet("Adressen 2026")
    for number, row in enumerate(sheet(), start=1):
        for column, value in enumerate(row, start=1):
            addresses.cell(number, column, value)
    book.save(path)


def write_csv(path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    # Excel writes a separator for every cell of the widest row, also in rows that are blank.
    writer.writerows([*row, *[""] * (len(HEADER) - len(row))] for row in sheet())
    path.write_bytes(b"sep=;\r\n" + text.getvalue().encode("cp1252"))


@dataclass(kw_only=True, slots=True)
class Journey:
    """What each command said and what the server got."""

    campaign: str
    check: dict[str, Any]
    sent: dict[str, Any]
    status: dict[str, Any]
    report: list[dict[str, str]]
    mail: list[Accepted]
    corrections: str
    preview: dict[str, Any] = field(default_factory=dict)
    trial: list[Accepted] = field(default_factory=list)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, server: ScriptedServer) -> Program:
    """A folder from `mailer new`, its settings and letter filled in, and both lists put in."""
    place = tmp_path_factory.mktemp("journey")
    assert Program(folder=place).run("new", "Büro Süd").returncode == 0
    folder = place / "Büro Süd"
    settings = folder / "mailer.toml"
    text = settings.read_text("utf-8")
    for name, value in (
        ("sender", '"Bezirksbüro Süd <buero@bezirk.example>"'),
        ("smtp_host", '"127.0.0.1"'),
        ("smtp_security", '"none"'),
        ("smtp_port", str(server.port)),
        ("rate", '"500/second"'),
        ("postal_address", '"Bezirksbüro Süd, Straße der Arbeit 1, 50667 Köln"'),
        ("unsubscribe_mailto", '"buero@bezirk.example?subject=abmelden"'),
    ):
        text, found = re.subn(rf"(?m)^(?:# )?{name} = .*$", lambda _: f"{name} = {value}", text)  # noqa: B023
        assert found == 1, name
    settings.write_text(text, encoding="utf-8", newline="\n")
    (folder / "templates" / "gruss.md").write_text(LETTER, encoding="utf-8", newline="\n")
    write_xlsx(folder / "contacts" / "Ortsgruppen.xlsx")
    write_csv(folder / "contacts" / "Ortsgruppen Süd.csv")
    return Program(folder=folder)


def go(program: Program, server: ScriptedServer, contact_list: str, *, thoroughly: bool) -> Journey:
    """The commands of the README, in its order."""
    check = program.json("check", contact_list, "--problems", "zu korrigieren.csv", code=2)
    campaign = ("gruss", contact_list)
    preview, trial, sealed = {}, [], []
    if thoroughly:
        preview = program.json("preview", *campaign, "--skip-problems")
        sealed = ["--seal", preview["seal"]]
        assert (
            program.json("test", *campaign, "--to", "ich@bezirk.example", "--row", "4", "--skip-problems")["sent"] == 1
        )
        trial = list(server.accepted)
    before = len(server.accepted)
    # the same people are to get the same letter once more: that must be said
    named = [] if thoroughly else ["--campaign", "gruss--Ortsgruppen Süd"]
    sent = program.json("send", *campaign, *sealed, *named, "--yes", "--skip-problems")
    report = program.run("report", sent["campaign"], "--csv", "bericht.csv", "--html", "bericht.html")
    assert report.returncode == 0
    with (program.folder / "bericht.csv").open(encoding="utf-8-sig", newline="") as file:
        told = list(csv.DictReader(file))
    return Journey(
        campaign=sent["campaign"],
        check=check,
        preview=preview,
        trial=trial,
        sent=sent,
        status=program.json("status", sent["campaign"]),
        report=told,
        mail=server.accepted[before:],
        corrections=(program.folder / "zu korrigieren.csv").read_text("utf-8-sig"),
    )


@pytest.fixture(scope="module")
def excel(program: Program, server: ScriptedServer) -> Journey:
    return go(program, server, "contacts/Ortsgruppen.xlsx", thoroughly=True)


@pytest.fixture(scope="module")
def text(program: Program, server: ScriptedServer, excel: Journey) -> Journey:
    return go(program, server, "contacts/Ortsgruppen Süd.csv", thoroughly=False)


@pytest.fixture(params=["excel", "text"])
def journey(request: pytest.FixtureRequest) -> Journey:
    return request.getfixturevalue(request.param)


def test_check_finds_the_sheet_and_the_columns_and_counts_every_row(journey: Journey) -> None:
    check = journey.check
    assert (check["rows"], check["ready"], check["duplicates"], check["blank"]) == (BRANCHES, READY, COPIES, 1)
    assert check["email_column"] == "E-Mail-Adresse"
    assert check["columns"] == ["ortsgruppe", "ansprechpartner_in", "email_adresse", "strasse", "ort", "sprache"]
    assert check["rows"] == check["ready"] + check["duplicates"] + len(
        {problem["row"] for problem in check["problems"]}
    )


def test_the_cover_sheet_is_passed_over(excel: Journey, text: Journey) -> None:
    assert (excel.check["sheet"], text.check["sheet"]) == ("Adressen 2026", None)


def test_the_bad_address_is_named_by_the_row_that_excel_shows(journey: Journey) -> None:
    (problem,) = journey.check["problems"]
    assert (problem["row"], problem["column"], problem["code"]) == (BAD_ROW, "E-Mail-Adresse", "malformed-address")
    (correction,) = csv.DictReader(
        io.StringIO(journey.corrections), delimiter=csv.Sniffer().sniff(journey.corrections).delimiter
    )
    assert correction["E-Mail-Adresse"] == "gruppe.branch.example"
    assert str(BAD_ROW) in correction.values()


def test_everybody_gets_one_message_and_the_counts_of_every_command_agree(journey: Journey) -> None:
    recipients = [recipient for message in journey.mail for recipient in message.rcpt_to]
    wanted = {row[2] for row in branches() if "@" in row[2] and row[2] == row[2].strip()}
    assert len(recipients) == len(set(recipients)) == READY
    assert set(recipients) == wanted
    for counts in (journey.sent, journey.status):
        assert (counts["sent"], counts["skipped"], counts["total"]) == (READY, 1, READY + 1)
        assert counts["state"] == "finished"
    assert journey.status["duplicates"] == COPIES
    assert [row["status"] for row in journey.report].count("sent") == READY
    assert {row["address"] for row in journey.report if row["status"] == "sent"} == wanted


def test_umlauts_arrive_in_name_subject_and_body(journey: Journey) -> None:
    by_address = {message.rcpt_to[0]: message.content for message in journey.mail}
    for name, person, address, street, town, _ in branches():
        if address not in by_address:
            continue
        message = email.message_from_bytes(by_address[address], policy=email.policy.default)
        assert message["Subject"] == f"Grüße an {name} in {town}"
        (to,) = message["To"].addresses
        assert (to.display_name, to.addr_spec) == (person, address)
        (sender,) = message["From"].addresses
        assert sender.display_name == "Bezirksbüro Süd"
        body = " ".join(message.get_body(("plain",)).get_content().split())
        assert f"Liebe Kolleg*innen der {name}, die Hafenarbeiter*innen zählen auf euch" in body
        assert f"in {town}, {' '.join(street.split())}. Bitte gebt den Brief auch {person}." in body
        assert "Straße der Arbeit 1, 50667 Köln" in body


def test_excel_and_csv_give_the_same_letters(excel: Journey, text: Journey) -> None:
    def told(journey: Journey) -> dict[str, tuple[str, str]]:
        messages = [
            email.message_from_bytes(accepted.content, policy=email.policy.default) for accepted in journey.mail
        ]
        # but for the token by which each campaign knows who leaves
        return {
            m["To"]: (m["Subject"], re.sub(r"(abmelden%20)[a-z0-9]{52}", r"\1", m.get_body(("html",)).get_content()))
            for m in messages
        }

    assert told(excel) == told(text)


def test_the_preview_and_the_test_show_what_is_sent(excel: Journey, program: Program) -> None:
    assert excel.preview["messages"] == READY
    assert excel.preview["seal"] == excel.sent["seal"]
    assert [problem["row"] for problem in excel.preview["problems"]] == [BAD_ROW]
    assert len(list((program.folder / excel.preview["out"] / "eml").glob("*.eml"))) == READY
    (trial,) = excel.trial
    assert trial.rcpt_to == ("ich@bezirk.example",)
    message = email.message_from_bytes(trial.content, policy=email.policy.default)
    assert message["Subject"] == f"[TEST] Grüße an {branches()[0][0]} in Köln"


def test_the_same_command_again_sends_nothing(excel: Journey, program: Program, server: ScriptedServer) -> None:
    before = len(server.accepted)
    done = program.run("send", "gruss", "contacts/Ortsgruppen.xlsx", "--yes", "--skip-problems")
    assert done.returncode == 0
    assert "finished" in done.stdout
    assert "--campaign NEW-NAME" in done.stdout
    assert len(server.accepted) == before
