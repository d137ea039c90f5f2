"""What the steps of the page say and offer: typing mistakes in addresses, who gets no message and why, what is prepared, a letter to begin with."""

from __future__ import annotations

import html
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from organiser import Office, Stranger, office, people

from mailer import contacts
from mailer.errors import UsageError
from mailer.ledger import Ledger
from mailer.merge.front import split
from mailer.model import Reason, Status
from mailer.web.journey.accounting import Account
from mailer.web.journey.letterfiles import LetterFiles, starter
from mailer.web.journey.sending import number_typed
from mailer.web.journey.uploads import LONGEST, short
from mailer.web.journey.words import languages, speak


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        yield made


def entered(at_work: Office) -> tuple[Stranger, str]:
    at_work.open()
    inside = Stranger(at_work.port)
    return inside, inside.enter(at_work.page)


def ready(inside: Stranger, **draft: str) -> dict[str, object]:
    """What the preview says once everything is checked."""
    import json

    until = time.monotonic() + 40
    while (found := json.loads(inside.ask("GET", f"/preview/state?{urlencode(draft)}")[1]))["phase"] != "ready":
        assert found["phase"] != "failed", found
        assert time.monotonic() < until
    return found


# -- sheets


def write_workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    members, left = book.active, book.create_sheet("Ausgetreten")
    assert members is not None
    members.title = "Mitglieder Süd"
    for row in (["Ortsverein"], [], ["Name", "E-Mail (privat)", "E-Mail (Betrieb)"]):
        members.append(row)
    members.append(["Ann", "ann@example.org", "ann@work.example"])
    for row in (["Name", "E-Mail"], ["Weg", "weg@example.org"]):
        left.append(row)
    book.create_sheet("Notizen")["A1"] = "Bitte nicht ändern"
    left.row_dimensions[2].hidden = True
    book.save(path)


def options(page: str, of: str) -> list[str]:
    """What can be chosen in a field of the page."""
    found = re.search(rf'<select id="{of}".*?</select>', page, re.DOTALL)
    return list(re.findall(r"<option[^>]*>([^<]*)<", found[0])) if found else []


def test_the_sheet_is_chosen_on_the_page_and_then_its_column(at_work: Office) -> None:
    inside, _ = entered(at_work)
    write_workbook(at_work.folder / "contacts" / "members.xlsx")

    def page(**chosen: str) -> str:
        return inside.ask("GET", f"/list?{urlencode({'list': 'contacts/members.xlsx', **chosen})}")[1]

    first = page()
    assert "several sheets that could be the list" in first
    assert "Choose the sheet below." in first
    assert "--sheet" not in first
    assert options(first, "sheet") == ["please choose", "Mitglieder Süd", "Ausgetreten", "Notizen"]
    assert options(first, "column") == []
    left = page(sheet="Ausgetreten", column_of="")
    assert "weg@example.org" in left
    assert "1 row is hidden in the spreadsheet" in left
    assert '<option dir="auto" value="Ausgetreten" selected>' in left
    assert options(left, "column") == ["Name", "E-Mail"]
    # the form that is sent with another sheet still holds the column of the one before
    members = page(sheet="Mitglieder Süd", column="E-Mail", column_of="Ausgetreten")
    assert "several columns with e-mail addresses" in members
    assert "--email-column" not in members
    assert options(members, "column") == ["please choose", "Name", "E-Mail (privat)", "E-Mail (Betrieb)"]
    chosen = page(sheet="Mitglieder Süd", column="E-Mail (privat)", column_of="Mitglieder Süd")
    assert "ann@example.org" in chosen
    assert '<option dir="auto" value="E-Mail (privat)" selected>' in chosen


def test_a_blank_row_is_told_beside_the_counts_and_a_numbers_file_how_to_export_it(at_work: Office) -> None:
    inside, csrf = entered(at_work)
    (at_work.folder / "contacts" / "gap.csv").write_text("name,email\nAnn,ann@example.org\n,\n", encoding="utf-8")
    page = inside.ask("GET", "/list?list=contacts%2Fgap.csv")[1]
    assert "<dt>blank</dt>" not in page
    assert "1 blank row is not counted." in page
    headers = {"X-CSRF": csrf, "X-Filename": "people.numbers", "Content-Type": "application/octet-stream"}
    answer = inside.ask("POST", "/list/upload", b"PK", **headers)[1]
    assert "people.numbers is an Apple Numbers file." in answer
    assert "Export To" in answer


def test_the_page_says_where_the_address_behind_one_of_exchange_stands(at_work: Office) -> None:
    inside, _ = entered(at_work)
    rows = "name,email\nAnn,/o=Union/ou=Leeds/cn=Recipients/cn=ann\nBo,bo@example.org\n"
    (at_work.folder / "contacts" / "outlook.csv").write_text(rows, encoding="utf-8")
    page = inside.ask("GET", "/list?list=contacts%2Foutlook.csv")[1]
    assert "is an internal one of Exchange" in page
    assert page.count("PrimarySmtpAddress |") == 1
    _, german = inside.ask("GET", "/list?list=contacts%2Foutlook.csv", Accept_Language="de")
    assert "Das Adressbuch von Outlook zeigt die richtige" in german


# -- the account


def test_a_server_that_asks_for_no_login_is_set_up_on_the_page_without_one(at_work: Office) -> None:
    inside, csrf = entered(at_work)
    assert "no user name is set, so mailer does not sign in" in inside.ask("GET", "/account")[1]
    (at_work.folder / "mailer.toml").write_text("# nothing yet\n", "utf-8")
    form = {"csrf": csrf, "address": "ana@union.example", "provider": "other", "host": "127.0.0.1"}
    form |= {"port": str(at_work.server.port)}
    _, page = inside.post("/account/setup", csrf=csrf, address="ana@union.example", provider="other")
    assert "The server asks for no login" in page
    # without the tick a password is asked for, as ever
    assert "This is still missing." in inside.post("/account/setup/try", **form)[1]
    answer, _ = inside.post("/account/setup/try", **form, without="1")
    place = answer.getheader("Location") or ""
    until = time.monotonic() + 30
    while "127.0.0.1 answers, and no login is used there." not in (page := inside.ask("GET", place)[1]):
        assert 'role="alert" id="trouble"' not in page, page
        assert time.monotonic() < until
    written = (at_work.folder / ".env").read_text("utf-8")
    assert "MAILER_SMTP_HOST=127.0.0.1" in written
    assert "USERNAME" not in written


# -- typing mistakes


MISTYPED = ["ann@gmail.com", "bo@gmial.com", "cy@hotmail.con", "bo@gmial.com", "x@", "dee@union.example"]


@pytest.mark.thorough
def test_a_likely_typing_mistake_is_corrected_at_its_place(at_work: Office) -> None:
    name = at_work.write_list(MISTYPED)
    before = (at_work.folder / name).read_bytes()
    inside, token = entered(at_work)
    _, text = inside.ask("GET", f"/list?list={name}")
    offered = re.findall(r'<input type="checkbox" form="mend" name="(meant-\d+)" value="([^"]+)" checked>', text)
    assert offered == [("meant-3", "bo@gmail.com"), ("meant-4", "cy@hotmail.com")]
    assert "looks mistyped" not in text  # said once
    # one of the two is right as it stands
    kept = mended(inside, token, name, text, then="meant", **dict(offered[:1]))
    assert [one.address for one in contacts.read(at_work.folder / kept)] == [
        "ann@gmail.com",
        "bo@gmail.com",
        "cy@hotmail.con",
        "dee@union.example",
    ]
    assert (at_work.folder / name).read_bytes() == before


def mended(inside: Stranger, token: str, name: str, page: str, **fields: str) -> str:
    """The list that is kept after a correction, as a page offered it."""
    found = re.search(r'name="age" value="([^"]+)"', page)
    assert found
    answer, said = inside.post("/list/mend", csrf=token, list=name, age=found[1], **fields)
    assert answer.status == 303, said
    return dict(parse_qsl(urlsplit(answer.getheader("Location") or "").query))["list"]


@pytest.mark.thorough
def test_what_was_typed_into_a_row_is_kept_whichever_button_is_pressed(at_work: Office) -> None:
    name = at_work.write_list(MISTYPED)
    inside, token = entered(at_work)
    _, text = inside.ask("GET", f"/list?list={name}")
    typed = {"row-6": "x@union.example", "meant-3": "bo@gmail.com"}
    addresses = [one.address for one in contacts.read(at_work.folder / mended(inside, token, name, text, **typed))]
    assert {"x@union.example", "bo@gmial.com"} < set(addresses)
    both = mended(inside, token, name, text, then="meant", **typed)
    assert {"x@union.example", "bo@gmail.com"} < {one.address for one in contacts.read(at_work.folder / both)}


@pytest.mark.thorough
def test_a_correction_of_a_correction_gets_the_next_number(at_work: Office) -> None:
    name = at_work.write_list(["a@@union.example", *people(3)])
    inside, token = entered(at_work)
    kept = [name]
    for address in ("c@@d", "b@", "a@union.example"):
        _, text = inside.ask("GET", f"/list?list={kept[-1]}")
        kept.append(mended(inside, token, kept[-1], text, **{"row-2": address}))
    assert kept[1:] == [
        "contacts/people-corrected.csv",
        "contacts/people-corrected-2.csv",
        "contacts/people-corrected-3.csv",
    ]


def test_nobody_gets_the_address_of_somebody_else_when_the_list_was_sorted_meanwhile(at_work: Office) -> None:
    name = at_work.write_list(["x@", *people(3)])
    inside, token = entered(at_work)
    _, text = inside.ask("GET", f"/list?list={name}")
    found = re.search(r'name="age" value="([^"]+)"', text)
    at_work.write_list([*people(3), "x@"])
    os.utime(at_work.folder / name, ns=(1, 1))
    answer, said = inside.post(
        "/list/mend", csrf=token, list=name, age=found[1] if found else "", **{"row-2": "x@union.example"}
    )
    assert answer.status == 422
    assert "The list has changed since this page was shown" in said
    assert [path.name for path in (at_work.folder / "contacts").iterdir()] == ["people.csv"]


@pytest.mark.skipif(os.name == "nt", reason="a folder that somebody is in cannot be deleted there")
def test_a_folder_that_was_deleted_under_the_page_is_no_bug_of_ours(at_work: Office) -> None:
    inside, _ = entered(at_work)
    shutil.rmtree(at_work.folder)
    _, text = inside.ask("GET", "/suppressed")
    assert "The folder in which mailer was started does not exist any more" in text


@pytest.mark.thorough
def test_whoever_is_to_get_it_again_but_must_not_be_mailed_is_told(at_work: Office) -> None:
    at_work.server.on("accepted", drop=True)
    at_work.program.json("send", "appeal", at_work.write_list(people(2)), "--yes", code=1)
    at_work.program.json("suppress", "add", people(1)[0])
    inside, token = entered(at_work)
    here = "/campaign/appeal--people/uncertain"
    names = [html.unescape(name) for name in re.findall(r'<select name="([^"]+)"', inside.ask("GET", here)[1])]
    answer, _ = inside.post(here, csrf=token, **dict.fromkeys(names, "queued"))
    _, text = inside.ask("GET", answer.getheader("Location") or "")
    assert "1 is queued again. Nothing was sent yet." in text
    assert "1 is not queued, since it is suppressed" in text


@pytest.mark.thorough
def test_an_answer_about_one_in_doubt_is_not_taken_for_somebody_else_of_the_same_row(at_work: Office) -> None:
    first, second = people(2)
    at_work.server.on("accepted", drop=True)
    draft = ("appeal", at_work.write_list([first]))
    at_work.program.json("send", *draft, "--yes", code=1)
    # the one of row 2 is in doubt, and in the list as it is now somebody else stands there, who comes to be in doubt as well
    at_work.write_list([second, first])
    at_work.program.json("send", *draft, "--yes", "--update", code=1)
    inside, token = entered(at_work)
    here = "/campaign/appeal--people/uncertain"
    _, text = inside.ask("GET", here)
    answers = {}
    for row in text.split("<tr>")[2:]:
        name = re.search(r'<select name="([^"]+)"', row)
        assert name
        answers[html.unescape(name[1])] = "sent" if first in row else "queued"
    answer, said = inside.post(here, csrf=token, **answers)
    assert answer.status == 303, said
    with Ledger(at_work.folder / "mailer.db") as ledger:
        found = {one.address: one.status for one in ledger.records(ledger.find("appeal--people"))}
    assert found == {first: Status.SENT, second: Status.QUEUED}


@given(
    st.lists(
        st.sampled_from(["a@gmial.com", "b@gmail.com", "c@hotmail.con", "no address", "d@union.example"]), max_size=30
    )
)
def test_what_was_probably_meant_is_told_of_the_rows_that_are_contacts(addresses: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_text("\n".join(["email", "z@union.example", *addresses, ""]), encoding="utf-8")
        found = contacts.read(path)
        expected = {
            one.row: one.address.replace("gmial", "gmail").replace("hotmail.con", "hotmail.com")
            for one in found
            if one.address[0] in "ac"
        }
        assert {one.row: one.meant for one in found.mistyped(50)} == expected
        assert len(found.mistyped(1)) == min(1, len(expected))


# -- blank cells


NEEDY = "---\nsubject: For {{ our_branch }}\nlanguage: en\nrequired: [our_branch, name]\n---\nDear {{ name }}\n"


@pytest.mark.thorough
def test_what_the_letter_needs_and_a_row_lacks_is_filled_in_at_its_place(at_work: Office) -> None:
    (at_work.folder / "templates" / "needy.md").write_text(NEEDY, encoding="utf-8")
    path = at_work.folder / "contacts" / "people.csv"
    path.write_text("email,name,Our Branch\na@union.example,A,North\nb@union.example,,\nc@union.example,C,\n", "utf-8")
    inside, token = entered(at_work)
    draft = {"list": "contacts/people.csv", "letter": "needy"}
    found = ready(inside, **draft)
    assert sorted(found["blanks"]) == [
        ["cell-3-name", "Row 3, name"],
        ["cell-3-our_branch", "Row 3, Our Branch"],
        ["cell-4-our_branch", "Row 4, Our Branch"],
    ]
    typed = {
        "cell-3-our_branch": " South, West ",
        "cell-3-name": "B",
        "cell-4-our_branch": " ",
        "cell-4-nothing": "x",
        "cell-2-name": "",
    }
    answer, said = inside.post("/list/mend", csrf=token, back="preview", age=str(found["age"]), **draft, **typed)
    assert answer.status == 303, said
    at = urlsplit(answer.getheader("Location") or "")
    now = dict(parse_qsl(at.query))
    assert at.path == "/preview"
    assert [[one.fields["name"], one.fields["our_branch"]] for one in contacts.read(at_work.folder / now["list"])] == [
        ["A", "North"],
        ["B", "South, West"],
        ["C", ""],
    ]
    again = ready(inside, **now)
    assert again["messages"] == 2
    assert again["blanks"] == [["cell-4-our_branch", "Row 4, Our Branch"]]


# -- who gets no message


def test_the_preview_says_who_gets_no_message_and_the_numbers_add_up(at_work: Office) -> None:
    name = at_work.write_list([*people(6), people(6)[0], "broken@", people(6)[1]])
    with Ledger(at_work.folder / "mailer.db") as ledger:
        ledger.suppress([(people(6)[2], "")], source="by hand", reason=Reason.MANUAL)
        ledger.suppress([(people(6)[3], ""), (people(6)[4], "")], source="bounces", reason=Reason.BOUNCE)
    inside, _ = entered(at_work)
    found = ready(inside, list=name, letter="appeal", skip="1")
    assert found["messages"] == 3
    assert found["account"] == (
        "9 rows in the list: 3 get the letter, 2 are there twice, 1 has a problem, 2 have a dead address, 1 is never mailed."
    )
    # where nobody is left out there is nothing to say
    name = at_work.write_list(people(2), "few.csv")
    assert ready(inside, list=name, letter="appeal")["account"] == ""


@given(st.lists(st.integers(0, 2000), min_size=5, max_size=5))
def test_the_numbers_of_the_sentence_add_up_to_the_rows(numbers: list[int]) -> None:
    speak("en")
    messages, repeated, bad, dead, unwilling = numbers
    rows = sum(numbers)
    told = Account(rows=rows, messages=messages, repeated=repeated, bad=bad, dead=dead, unwilling=unwilling).told()
    if rows == messages:
        assert told == ""
        return
    first, *rest = (int(one.replace(",", "")) for one in re.findall(r"\d[\d,]*(?= )", told))
    assert first == rows == sum(rest)


# -- what is prepared


@pytest.mark.thorough
def test_what_is_approved_and_not_sent_stands_on_the_first_page_with_the_way_on(at_work: Office) -> None:
    name = at_work.write_list(people(3))
    inside, token = entered(at_work)
    draft = {"list": name, "letter": "appeal", "campaign": "Spring & more", "column": "email"}
    seal = str(ready(inside, **draft)["seal"])
    assert "Prepared" not in inside.ask("GET", "/")[1]
    inside.post("/approve", csrf=token, **draft, seal=seal, name="Ana", looked="1")
    # it is there after a restart as well
    at_work.end()
    inside, token = entered(at_work)
    _, text = inside.ask("GET", "/")
    shown = text.partition('id="prepared"')[2].partition("</section>")[0]
    assert "Spring &amp; more" in shown
    assert "<bdi>Ana</bdi>" in shown
    way = re.findall(r'href="([^"]+)"', shown)[0].replace("&amp;", "&")
    assert dict(parse_qsl(urlsplit(way).query)) == draft
    ready(inside, **draft)
    answer, text = inside.ask("GET", way)
    assert answer.status == 200
    assert "To send, type the number of messages: 3" in text
    assert inside.post("/send", csrf=token, **draft, number="3")[0].status == 303
    at_work.server.wait_for(3)
    until = time.monotonic() + 30
    while 'id="prepared"' in inside.ask("GET", "/")[1]:
        assert time.monotonic() < until
    with Ledger(at_work.folder / "mailer.db") as ledger:
        assert not ledger._all("SELECT 1 FROM meta WHERE key LIKE 'prepared:%'")  # nor does it come back one day


def test_what_is_not_to_be_sent_is_left_out(at_work: Office) -> None:
    with Ledger(at_work.folder / "mailer.db") as ledger:
        ledger.approve("one", "seal", "Ana")
        ledger.keep_prepared("one", "list=contacts/gone.csv&letter=../x")
    inside, token = entered(at_work)
    _, text = inside.ask("GET", "/")
    assert (
        'href="/send"' in text.partition('id="prepared"')[2].partition("</section>")[0]
    )  # no path leads out of the folder
    assert inside.post("/prepared/forget", csrf=token, campaign="one")[0].status == 303
    assert 'id="prepared"' not in inside.ask("GET", "/")[1]


# -- a letter to begin with


@pytest.mark.parametrize("language", languages())
def test_a_new_letter_is_in_the_language_of_the_page(at_work: Office, language: str) -> None:
    speak(language)
    try:
        text = starter("spring-appeal", "name")
    finally:
        speak("en")
    found = split(text, "templates/spring-appeal.md")
    assert found.values == {"subject": "Spring appeal", "language": language}
    assert '{{ name or "' in found.body
    assert ("what you ask them to do" in found.body) is (language == "en")


def test_a_letter_that_was_begun_on_a_german_page_is_checked_without_a_word(at_work: Office) -> None:
    name = at_work.write_list(people(2))
    inside, token = entered(at_work)
    body = urlencode({"csrf": token, "list": name, "new": "Aufruf"}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Language": "de-AT,de;q=0.9"}
    assert inside.ask("POST", "/letter/save", body, **kind)[0].status == 303
    assert "language: de\n" in (at_work.folder / "templates" / "aufruf.md").read_text("utf-8")
    assert ready(inside, list=name, letter="aufruf")["messages"] == 2


# -- numbers


@pytest.mark.thorough
def test_numbers_are_written_as_the_reader_s_language_writes_them(at_work: Office) -> None:
    name = at_work.write_list([*people(1100), people(1)[0]])
    at_work.settings["MAILER_RATE"] = "20000/day"
    inside, token = entered(at_work)
    draft = {"list": name, "letter": "appeal", "skip": "1"}
    seal = str(ready(inside, **draft)["seal"])
    inside.post("/approve", csrf=token, seal=seal, name="Ana", looked="1", **draft)
    for language, thousand, other in (("en", "1,100", "1.100"), ("de", "1.100", "1,100")):
        shown = {
            "list": f"/list?list={name}",
            "state": f"/preview/state?{urlencode(draft)}",
            "send": f"/send?{urlencode(draft)}",
        }
        read = {at: inside.ask("GET", path, Accept_Language=language)[1] for at, path in shown.items()}
        assert {at for at, text in read.items() if thousand in text} == set(read), language
        assert {at for at, text in read.items() if other in text} == set(), language
        assert {"en": "20,000 a day", "de": "20.000 am Tag"}[language] in read["send"]


@pytest.mark.parametrize("hold", ["0", "ten", "1e1", "-5", "12345678901"])
@pytest.mark.thorough
def test_a_hold_that_is_no_number_is_refused_and_not_forgotten(at_work: Office, hold: str) -> None:
    draft = {"list": at_work.write_list(people(3)), "letter": "appeal"}
    inside, token = entered(at_work)
    seal = str(ready(inside, **draft)["seal"])
    inside.post("/approve", csrf=token, seal=seal, name="Ana", looked="1", **draft)
    answer, said = inside.post("/send", csrf=token, number="3", hold=hold, **draft)
    assert answer.status == 422
    assert "not a number from 1 on. Nothing was sent" in said
    assert at_work.server.accepted == []


@pytest.mark.thorough
def test_the_sending_of_what_has_begun_leads_to_its_campaign(at_work: Office) -> None:
    draft = {"list": at_work.write_list(people(3)), "letter": "appeal"}
    at_work.program.run("send", draft["letter"], draft["list"], "--yes", "--limit", "1")
    inside, token = entered(at_work)
    seal = str(ready(inside, **draft)["seal"])
    inside.post("/approve", csrf=token, seal=seal, name="Ana", looked="1", **draft)
    text = inside.ask("GET", f"/send?{urlencode(draft)}")[1]
    assert "2 messages of the campaign appeal--people will be sent now." in re.sub("</?bdi>", "", text)
    assert "This campaign has begun: 2 get the letter now, 1 has it already." in text
    assert 'href="/campaign/appeal--people"' in text


@pytest.mark.parametrize("typed", ["48", "48 ", " 4 8", "4.8", "4,8", "4\u202f8", "4’8"])
def test_signs_between_thousands_do_not_matter(typed: str) -> None:
    assert number_typed(typed) == "48"


# -- what uploads are called


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("people.csv", "people.csv"),
        ("a" * 300 + ".xlsx", "a" * 175 + ".xlsx"),
        ("ä" * 300 + ".csv.age", "ä" * 86 + ".csv.age"),
        ("Stand 1. März 2026.csv", "Stand 1. März 2026.csv"),
        ("a" * 300, "a" * 180),
        ("", ""),
    ],
)
def test_a_long_name_keeps_the_end_that_says_what_it_is(given: str, kept: str) -> None:
    assert short(given) == kept


@given(st.text())
def test_no_name_is_longer_than_any_disk_allows(name: str) -> None:
    cut = short(name * 20)
    assert len(cut.encode()) <= LONGEST
    assert short(cut) == cut


@pytest.mark.thorough
def test_a_list_with_a_very_long_name_is_taken(at_work: Office) -> None:
    inside, token = entered(at_work)
    answer, said = inside.ask(
        "POST",
        "/list/upload",
        b"email\np1@union.example\n",
        X_CSRF=token,
        X_Filename=quote("名簿" * 90 + ".csv"),
        Content_Type="application/octet-stream",
    )
    assert answer.status == 200, said
    assert [path.suffix for path in (at_work.folder / "contacts").iterdir()] == [".csv"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Tarifrunde Herbst 2026: Aufruf an alle!", "tarifrunde-herbst-2026-aufruf-an-alle"),
        ("„Süd“ & Nord (neu)", "süd-nord-neu"),
        ("letter.de", "letter-de"),
        ("x" * 61, "x" * 61),
    ],
)
def test_a_letter_is_called_as_people_name_things(tmp_path: Path, typed: str, name: str) -> None:
    assert LetterFiles(tmp_path).begin(typed, []) == name
    assert (tmp_path / "templates" / f"{name}.md").is_file()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("x" * 62, "at most 61"),
        ("May/June", "letters, digits"),
        ("../up", "letters, digits"),
        ("...", "letters, digits"),
        ("Con.", "letters, digits"),
    ],
)
def test_a_name_that_is_none_or_a_path_is_refused_with_the_reason(tmp_path: Path, typed: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LetterFiles(tmp_path).begin(typed, [])
    assert not (tmp_path / "templates").exists()
