"""Whatever the page says, it says in its reader's language: asked in one that nobody speaks, no English is left."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from organiser import Office, Stranger, office, people
from pseudo import spoken
from web_server import served

from mailer import contacts
from mailer.cli.web import means_of
from mailer.errors import ListError
from mailer.settings import load
from mailer.web.journey import create_app
from mailer.web.journey.words import gettext, speak

ENGLISH = re.compile(
    r"\b(the|is|are|not|has|have|that|with|and|of|to|for|cannot|rows?|columns?|it|this|was|but|there|from|by|sent|write)\b",
    re.IGNORECASE,
)
"""Words that stand in nearly every sentence. What people, servers and programs of these tests are called has none of them."""

LETTER = """---
subject: "Gruezi {{ name }}"
language: en
---

Gruezi {{ name }}, {{ branch }}!
"""

DRAFT = "list=contacts/people.csv&letter=appeal&skip=1"


class Reader(Stranger):
    """Reads the page in the language that nobody speaks."""

    def read(self, place: str) -> str:
        answer, text = self.ask("GET", place, Accept_Language="he")
        assert answer.status in {200, 422}, (place, answer.status, text[:300])
        return text

    def post_form(self, place: str, **fields: str) -> str:
        form = urlencode(fields).encode()
        kind = "application/x-www-form-urlencoded"
        answer, text = self.ask("POST", place, form, Content_Type=kind, Accept_Language="he")
        return self.read(answer.getheader("Location") or "") if answer.status == 303 else text


def visible(page: str) -> str:
    """What somebody sees or hears of a page."""
    shown = re.sub(r"<(script|style|textarea|option|pre|code)\b.*?</\1>", " ", page, flags=re.DOTALL)
    spoken_of = re.findall(r'(?:title|aria-label|placeholder|alt|data-[a-z-]+)="([^"]*)"', shown)
    return unescape("\n".join([re.sub(r"<[^>]*>", "\n", shown), *(text for text in spoken_of if " " in text)]))


def english(text: str) -> list[str]:
    """Lines with English in them."""
    return [line.strip() for line in text.splitlines() if ENGLISH.search(line)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with spoken(tmp_path / "languages"), office(tmp_path / "bureau") as made:
        (made.folder / "templates" / "appeal.md").write_text(LETTER, encoding="utf-8")
        made.write_list(people(4))
        monkeypatch.chdir(made.folder)
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
        yield made


@pytest.fixture
def reader(folder: Office) -> Iterator[Reader]:
    journey = create_app(means_of(load()))
    with served(journey.app) as port:
        made = Reader(port)
        made.token = made.enter(f"http://127.0.0.1:{port}{journey.ticket()}")  # type: ignore[attr-defined]
        yield made
        journey.end()


LISTS = {
    "broken.csv": 'email,name,branch\nkaputt,Ana,Ost\n"a@b.example c@d.example",Bea,Ost\n,Cleo,Ost\np1@gmial.com,Dia\n'
    "p1@union.example,Eva,Ost\np1@union.example,Eva,Nord\nx@@y,Fee\x07,Ost\n",
    "nobody.csv": "name,branch\nAna,Ost\n",
    "empty.csv": "",
    "fake.csv": "%PDF-1.7 nothing",
    "several.csv": "mail,email\na@union.example,b@union.example\n",
    "torn.csv": 'email,name\na@union.example,"Ana\n',
    "fake.xlsx": "PK\x03\x04 kaputt",
    "fake.json": "[{",
}


@pytest.mark.parametrize("name", sorted(LISTS))
@pytest.mark.thorough
def test_what_is_wrong_with_a_list_is_told_in_the_reader_s_language(reader: Reader, folder: Office, name: str) -> None:
    (folder.folder / "contacts" / name).write_text(LISTS[name], encoding="latin-1")
    assert english(visible(reader.read(f"/list?list=contacts/{name}"))) == []


LETTERS = {
    "unknown": "---\nsubject: Gruezi {{ nam }}\n---\n\nGruezi {{ brnch }}\n",
    "blank": "---\nsubject: Gruezi\nrequired: [branch]\n---\n\nGruezi {{ name }}\n",
    "open": "---\nsubject: Gruezi\n---\n\nGruezi {{ name \n",
    "endless": "---\nsubject: Gruezi\n---\n\n{% if name %}Gruezi\n",
    "keys": "---\nsubjct: Gruezi\nlanguage: 17x\nattachments: [/etc/x.pdf, gone.pdf]\nlookups: {a: b}\nreply_to: kaputt\n---\n\nGruezi\n",
    "tab": "---\nsubject: Gruezi\nimages:\n\t- x\n---\n\nGruezi\n",
    "quotes": "---\nsubject: “Gruezi”\npreheader: a: b\n---\n\nGruezi {name}\n",
    "links": "---\nsubject: RE: GRUEZI GENOSSEN\n---\n\n[Gruezi](http://192.168.1.1/a) ![](gone.png) <b>Gruezi</b>\n",
    "filter": "---\nsubject: Gruezi\n---\n\n{{ name | gruezi }} {{ range(10) }}\n",
}


@pytest.mark.parametrize("name", sorted(LETTERS))
@pytest.mark.thorough
def test_what_is_wrong_with_a_letter_is_told_in_the_reader_s_language(
    reader: Reader, folder: Office, name: str
) -> None:
    (folder.folder / "templates" / f"{name}.md").write_text(LETTERS[name], encoding="utf-8")
    draft = f"list=contacts/people.csv&letter={name}"
    found = english(visible(reader.read(f"/letter?{draft}")))
    assert english("\n".join(told(state_of(reader, draft)))) == []
    assert found == []


def told(data: object) -> Iterator[str]:
    """Every text in what a script gets."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for one in data.values():
            yield from told(one)
    elif isinstance(data, list):
        for one in data:
            yield from told(one)


def state_of(reader: Reader, draft: str) -> object:
    """What the check of every message found."""
    reader.read(f"/preview?{draft}")
    deadline = time.monotonic() + 30
    while (state := json.loads(reader.read(f"/preview/state?{draft}")))["phase"] not in {"ready", "failed"}:
        assert time.monotonic() < deadline, state
        if state["error"]:
            break
    return state


@pytest.mark.thorough
def test_the_pages_of_a_campaign_and_its_report_are_in_the_reader_s_language(reader: Reader, folder: Office) -> None:
    folder.server.on("rcpt", address=people(4)[1], reply="550 5.1.1 User unknown")
    folder.server.on("rcpt", address=people(4)[2], reply="450 4.2.1 Mailbox busy")
    folder.program.run("send", "appeal", "contacts/people.csv", "--yes")
    folder.program.run("suppress", "add", "weg@union.example")
    campaign = "/campaign/appeal--people"
    places = [
        "/",
        "/suppressed",
        campaign,
        f"{campaign}/report",
        f"{campaign}/report/page",
        f"{campaign}/report/page?counts=1",
    ]
    places += [f"{campaign}/uncertain", *(f"/{step}?{DRAFT}" for step in ("list", "letter", "preview"))]
    assert {place: found for place in places if (found := english(visible(reader.read(place))))} == {}
    state_of(reader, DRAFT)
    assert english(visible(reader.read(f"/approve?{DRAFT}"))) == []
    assert english(visible(reader.read(f"/test?{DRAFT}"))) == []
    log = reader.post_form(f"{campaign}/log", csrf=reader.token)  # type: ignore[attr-defined]
    assert english("\n".join(told(json.loads(log)))) == []
    saved = reader.read(f"{campaign}/report/page?counts=1&save=1")
    assert '<html lang="he" dir="rtl">' in saved


def test_what_changed_since_the_last_preview_is_told_in_the_reader_s_language(reader: Reader, folder: Office) -> None:
    state_of(reader, DRAFT)
    folder.write_list(people(6))
    letter = folder.folder / "templates" / "appeal.md"
    letter.write_text(f"{LETTER}\n", encoding="utf-8")
    found = state_of(reader, DRAFT)
    assert isinstance(found, dict)
    assert len(found["changes"]) == 2
    assert english("\n".join(told(found))) == []


SETTINGS = {
    "unset": "",
    "wrong": 'smtp_host = "127.0.0.1"\nsmtp_port = 99999999\nsmtp_securty = "tls"\nrate = "viel"\nsender = "kaputt"\nlist_id = "a b"\n'
    'unsubscribe_url = "ftp://x"\nproxy = "http://x"\n',
    "broken": "smtp_host = smtp.union.example\n",
    "example": 'smtp_host = "smtp.example.org"\nsender = "Ana <ana@example.org>"\n',
    "password": 'smtp_host = "mail.union.example"\nsender = "Ana <ana@union.example>"\nsmtp_username = "ana"\nimap_host = "mail.union.example"\n',
    "plain": 'smtp_host = "mail.union.example"\nsender = "Ana <ana@union.example>"\nsmtp_security = "none"\n',
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_what_is_wrong_with_the_settings_is_told_in_the_reader_s_language(
    reader: Reader, folder: Office, name: str
) -> None:
    (folder.folder / "mailer.toml").write_text(SETTINGS[name], encoding="utf-8")
    places = ["/account", "/account/settings", "/account/inbox", "/account/setup", "/inbox", "/"]
    assert {place: found for place in places if (found := english(visible(reader.read(place))))} == {}


@pytest.mark.thorough
def test_what_a_command_of_the_page_found_is_told_in_the_reader_s_language(reader: Reader) -> None:
    token = reader.token  # type: ignore[attr-defined]
    form = dict(pair.split("=") for pair in DRAFT.split("&"))
    place = f"/account?{DRAFT}"
    answer, _ = reader.ask(
        "POST", place, urlencode({"csrf": token, **form}).encode(), Content_Type="application/x-www-form-urlencoded"
    )
    looked = answer.getheader("Location") or ""
    assert "looked=" in looked
    key = re.search(r"looked=([^&#]+)", looked)[1]  # type: ignore[index]
    deadline = time.monotonic() + 60
    while json.loads(reader.read(f"/errand/{key}/state"))["state"] != "done":
        assert time.monotonic() < deadline
    page = visible(reader.read(looked.partition("#")[0]))
    assert "union" in page or "127.0.0.1" in page
    assert english(page) == []


def test_the_built_in_mailbox_is_in_the_reader_s_language(folder: Office) -> None:
    from mailer.web.journey.words import speak, voice
    from mailer.web.mailbox_page import create_app as create_mailbox

    (folder.folder / "kept").mkdir()

    def hebrew() -> object:
        speak("he")
        return voice()

    with served(create_mailbox(folder.folder / "kept", "/", hebrew)) as port:  # type: ignore[arg-type]
        assert english(visible(Reader(port).read("/"))) == []
        assert '<html lang="he" dir="rtl">' in Reader(port).read("/")


def test_german_has_one_kind_of_quotation_marks_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("Mitglieder,Betrieb,E-Mail\nAna,Nord,ana@example.org\n", encoding="utf-8")
    with pytest.raises(ListError) as refused:
        contacts.read(path, email_column="mitglied")
    speak("de")
    said = f"{gettext(refused.value.message)} {gettext(refused.value.hint or '')}"
    speak("en")
    assert "„Mitglieder“, „Betrieb“, „E-Mail“" in said
    assert '"' not in said
