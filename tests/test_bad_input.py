"""Bad input never costs a message: whatever is wrong with list, letter or settings is told before the first one leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from journey import LETTER, Journey, beginning, people

LISTED = re.compile(r"\b(p\d+|mia|pat|rosa|zoe|spy)@")
"""The people of these lists. Screens are photographed and logs are kept, so problems say row and column instead."""

HEADER = "name,email,city\n"
GOOD = "Mia,mia@example.org,Utrecht\n"


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(3)) as journey:
        yield journey


def refused(journey: Journey, *options: str, settings: Mapping[str, str | None] | None = None) -> tuple[set[str], str]:
    """Send, and be refused before the server is asked anything. Returns the problems' codes and what a person reads."""
    assert journey.server
    ran = journey.call("send", *journey.campaign, "--yes", "--json", *options, settings=settings or {})
    assert ran.code == 2, ran
    assert journey.nothing_sent()
    assert journey.server.connections == 0
    assert not LISTED.search(ran.said), "an address on the screen"
    assert re.search(r"Hint: \S", ran.err) or ran.data["problems"], "no way out is named"
    return ran.codes(), ran.err


BAD_ROWS = [
    ("missing-address", "Pat,,Leiden\n", 3),
    ("missing-address", "Pat,   ,Leiden\n", 3),
    ("missing-address", "Pat,<>,Leiden\n", 3),
    ("malformed-address", "Pat,pat.example.org,Leiden\n", 3),
    ("malformed-address", "Pat,pat@@example.org,Leiden\n", 3),
    ("malformed-address", "Pat,pat@example,Leiden\n", 3),
    ("malformed-address", "Pat,pat @example.org,Leiden\n", 3),
    ("two-addresses", '"Pat","a@example.org, b@example.org",Leiden\n', 3),
    ("two-addresses", "Pat,a@example.org;b@example.org,Leiden\n", 3),
    ("control-character", '"Pat\nBcc: spy@example.net",pat@example.org,Leiden\n', 3),
    ("control-character", 'Pat,"pat@example.org\nBcc: spy@example.net",Leiden\n', 3),
    ("control-character", "Pat,pat@example.org,Lei\x08den\n", 3),
    ("blank-required", ",pat@example.org,Leiden\n", 3),
    ("ragged-row", "Pat,pat@example.org\n", 3),
    ("ragged-row", "O'Brien, Pat,pat@example.org,Leiden\n", 3),
    ("open-quote", '"Pat,pat@example.org,Leiden\nRosa,rosa@example.org,Leiden\n","x@example.org",y\n', 3),
]


@pytest.mark.parametrize(("code", "row", "number"), BAD_ROWS, ids=lambda value: repr(value)[:40])
def test_a_bad_row_is_told_with_file_and_row(journey: Journey, code: str, row: str, number: int) -> None:
    journey.write("list.csv", HEADER + GOOD + row + GOOD.replace("mia", "zoe"))
    codes, said = refused(journey)
    assert code in codes
    assert codes <= {code, "control-character"}  # a quotation mark left open swallows line ends, too
    assert f"list.csv:{number}: " in said


def test_every_bad_row_is_told_at_once(journey: Journey) -> None:
    journey.write("list.csv", HEADER + "".join(row for _, row, _ in BAD_ROWS if '"' not in row))
    codes, said = refused(journey)
    assert codes == {code for code, row, _ in BAD_ROWS if '"' not in row}
    rows = re.findall(r"^  list\.csv:(\d+): ", said, re.MULTILINE)
    assert rows == [str(row) for row in range(2, len(rows) + 2)]
    assert len(rows) == sum('"' not in row for _, row, _ in BAD_ROWS)


def test_a_row_without_its_look_up_is_told_with_file_and_row(journey: Journey) -> None:
    lookups = "lookups: {embassy: {table: embassies.csv, on: city}}\n"
    journey.write("templates/appeal.md", LETTER.replace("---\n", f"---\n{lookups}", 1) + "\n{{ embassy.email }}\n")
    journey.write("embassies.csv", "city,email\nUtrecht,embassy@example.net\n")
    journey.write("list.csv", HEADER + GOOD + "Pat,pat@example.org,Leiden\n")
    codes, said = refused(journey)
    assert codes == {"no-lookup-match"}
    assert "list.csv:3: " in said
    assert "embassies.csv" in said


LISTS = [
    ("list.csv", None, "list.csv"),
    ("list.csv", b"", "empty"),
    ("list.csv", b"name,city\nPat,Leiden\n", "--email-column"),
    ("list.csv", b"name,email,city\n", "Not one|nobody|no "),
    ("list.csv", bytes(range(256)) * 4, "list.csv"),
    ("list.xlsx", b"PK\x03\x04 not a workbook", "list.xlsx"),
    ("list.pdf", b"%PDF-1.4", "csv"),
    ("list.json", b'{"name": ', "list.json"),
    ("list.parquet", b"PAR1", "list.parquet"),
]


@pytest.mark.parametrize(("name", "content", "words"), LISTS, ids=lambda value: repr(value)[:30])
def test_a_list_that_cannot_be_read_is_told(journey: Journey, name: str, content: bytes | None, words: str) -> None:
    journey.list = name
    (journey.folder / "list.csv").unlink()
    if content is not None:
        journey.write(name, content)
    _, said = refused(journey)
    assert re.search(words, said), said


@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """A letter with a mistake: what to change in the good one, what is then said, and in which row if in one."""

    code: str
    words: str
    old: str = "---\n"
    new: str = ""
    row: int | None = None
    files: Mapping[str, str | bytes] = field(default_factory=dict)


LETTERS = [
    Spoiled(code="unknown-field", old="{{ city }}", new="{{ citi }}", words="Did you mean city"),
    Spoiled(code="letter-syntax", old="{{ city }}", new="{{ city }", words="templates/appeal.md: line 6: "),
    Spoiled(code="letter-syntax", old="{{ city }}", new="{% if city %}", words="templates/appeal.md: line "),
    Spoiled(code="file-missing", new="---\nattachments: [leaflet.pdf]\n", words="leaflet.pdf is not there"),
    Spoiled(
        code="file-missing",
        new="---\nattachments: ['motions/{{ city }}-{{ row }}.pdf']\n",
        words="motions/Utrecht-3.pdf is not there",
        row=3,
        files={"motions/Utrecht-2.pdf": b"%PDF-1.4", "motions/Utrecht-4.pdf": b"%PDF-1.4"},
    ),
    Spoiled(code="front-matter", old="subject:", new="subjct:", words="Did you mean subject"),
    Spoiled(code="front-matter", old="subject: Freedom for our comrades, {{ name }}\n", words="no subject"),
    Spoiled(code="yaml-syntax", old="subject: ", new="subject: a: b: ", words="templates/appeal.md: line 2: "),
    Spoiled(code="yaml-syntax", new="---\n- a\n", words="templates/appeal.md: line "),
    Spoiled(code="letter-encoding", old="an injury", new="\udcff", words="templates/appeal.md: line "),
    Spoiled(
        code="message-too-large",
        new="---\nattachments: ['files/{{ name }}.bin']\n",
        words="the message has 1",
        row=3,
        files={"files/Pat 2.bin": b"x", "files/Pat 3.bin": bytes(8_000_000), "files/Pat 4.bin": b"x"},
    ),
    Spoiled(code="file-unsafe", new="---\nattachments: ['files/{{ city }}/../../x']\n", words="attachment", row=2),
    Spoiled(code="front-matter", new="---\nattachments: ['{{ city }}.pdf']\n", words="a folder of their own"),
    Spoiled(code="file-unsafe", new="---\nattachments: ['files/.{{ city }}']\n", words="hidden file", row=2),
    Spoiled(code="unknown-field", old="{{ city }}", new="{{ city.mayor }}", words="templates/appeal.md", row=None),
    Spoiled(code="letter-too-much", old="{{ city }}", new="{{ 'x' * 10**9 }}", words="templates/appeal.md"),
    Spoiled(code="letter-fill", old="{{ city }}", new="{{ 1 // 0 }}", words="templates/appeal.md"),
]


@pytest.mark.parametrize("spoiled", LETTERS, ids=lambda spoiled: f"{spoiled.code} {spoiled.new!r}"[:50])
def test_a_mistake_in_the_letter_is_told_with_its_file(journey: Journey, spoiled: Spoiled) -> None:
    letter = LETTER.replace(spoiled.old, spoiled.new, 1)
    journey.write("templates/appeal.md", letter.encode("utf-8", "surrogateescape"))
    for path, content in spoiled.files.items():
        journey.write(path, content)
    codes, said = refused(journey)
    assert codes == {spoiled.code}, said
    assert spoiled.words in said
    assert spoiled.row is None or f"list.csv:{spoiled.row}: " in said


def test_a_letter_that_is_not_there_is_told(journey: Journey) -> None:
    (journey.folder / "templates/appeal.md").unlink()
    journey.write("templates/apeal.md", LETTER)
    codes, said = refused(journey)
    assert codes == {"letter-missing"}
    assert "apeal" in said


SETTINGS = [
    ({"MAILER_RATE": "fast"}, "MAILER_RATE"),
    ({"MAILER_RATE": "0/minute"}, "MAILER_RATE"),
    ({"MAILER_DOMAIN_RATE": "example.org=lots"}, "MAILER_DOMAIN_RATE"),
    ({"MAILER_SENDER": "nobody"}, "MAILER_SENDER"),
    ({"MAILER_SENDER": "A <a@example.net>, B <b@example.net>"}, "MAILER_SENDER"),
    ({"MAILER_SENDER": "A <a@example.net>\nBcc: spy@example.net"}, "MAILER_SENDER"),
    ({"MAILER_SENDER": None}, "MAILER_SENDER"),
    ({"MAILER_SMTP_HOST": None}, "MAILER_SMTP_HOST"),
    ({"MAILER_SMTP_HOST": "smtp.example.net", "MAILER_SMTP_SECURITY": "none"}, "MAILER_SMTP_SECURITY"),
    ({"MAILER_SMTP_PORT": "70000"}, "MAILER_SMTP_PORT"),
    ({"MAILER_SMTP_USERNAME": "ana"}, "MAILER_SMTP_PASSWORD"),
    ({"MAILER_SMTP_PASSWORD_FILE": "nowhere.txt"}, "MAILER_SMTP_PASSWORD_FILE"),
    ({"MAILER_BATCH_SIZE": "-1"}, "MAILER_BATCH_SIZE"),
    ({"MAILER_UNSUBSCRIBE_URL": "javascript:alert(1)"}, "MAILER_UNSUBSCRIBE_URL"),
    ({"MAILER_LEDGER": "mysql://db"}, "MAILER_LEDGER"),
]


@pytest.mark.parametrize(("settings", "variable"), SETTINGS, ids=lambda value: str(value)[:60])
def test_a_wrong_setting_is_told_with_its_name(
    journey: Journey, settings: dict[str, str | None], variable: str
) -> None:
    _, said = refused(journey, settings=settings)
    assert variable in said
    assert "example" in said.lower() or "for instance" in said.lower() or "Set " in said, said


@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "fast"),
        ("--batch-size", "0"),
        ("--connections", "x"),
        ("--limit", "0"),
        ("--batch-pause", "soon"),
        ("--email-column", "nothing"),
        ("--sheet", "nothing"),
        ("--no-such-option",),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_told(journey: Journey, options: tuple[str, ...]) -> None:
    _, said = refused(journey, *options)
    assert options[0].lstrip("-") in said or options[-1] in said


CHANGES = [
    ("templates/appeal.md", LETTER + "\nOne more line.\n", "The letter changed: templates/appeal.md edited."),
    ("list.csv", HEADER + GOOD, "The list changed: 1 new, 3 gone."),
    ("leaflet.pdf", b"%PDF-1.4 another", "The attachments changed: leaflet.pdf edited."),
    (".env", "MAILER_REPLY_TO=office@example.net\n", "The settings changed: REPLY_TO was '', is now"),
]


@pytest.mark.parametrize(("path", "content", "words"), CHANGES, ids=[change[0] for change in CHANGES])
def test_a_stale_seal_is_refused_with_the_difference(
    journey: Journey, path: str, content: str | bytes, words: str
) -> None:
    journey.write("templates/appeal.md", LETTER.replace("---\n", "---\nattachments: [leaflet.pdf]\n", 1))
    if path == "templates/appeal.md":
        content = (journey.folder / path).read_bytes() + b"\nOne more line.\n"
    journey.write("leaflet.pdf", b"%PDF-1.4 leaflet")
    seal = journey.call("preview", *journey.campaign, "--json").data["seal"]
    journey.write(path, content)
    _, said = refused(journey, "--seal", seal)
    assert "What would be sent is not what was previewed. Nothing was sent." in said
    assert words in said
    assert "mailer preview" in said or "new preview" in said


@pytest.mark.parametrize("seal", ["", "x", "0-0-0-0-0", "00000000-00000000-00000000-00000000-00000000"])
def test_a_seal_that_no_preview_printed_is_refused(journey: Journey, seal: str) -> None:
    _, said = refused(journey, "--seal", seal)
    assert "Nothing was sent" in said
