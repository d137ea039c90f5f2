"""The page's texts: all of them in one catalogue, and every translation whole."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import catalogue
import pytest
from hypothesis import given
from hypothesis import strategies as st
from organiser import Stranger, office, people

from mailer.web import journey
from mailer.web.journey import words

LANGUAGES = [path.stem for path in sorted(catalogue.LANGUAGES.glob("*.po"))]
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")


def texts(whole: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (whole,) if isinstance(whole, str) else tuple(whole)


def test_every_text_of_the_pages_is_in_the_catalogue() -> None:
    kept = (catalogue.LANGUAGES / "messages.pot").read_bytes()
    assert kept == catalogue.written(catalogue.extracted()), "run: python tests/catalogue.py"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_translation_is_whole_and_keeps_what_is_put_in(language: str) -> None:
    known = catalogue.read(catalogue.LANGUAGES / f"{language}.po", language)
    assert {texts(one.id)[0] for one in known if one.id} == {
        texts(one.id)[0] for one in catalogue.extracted() if one.id
    }
    for one in known:
        if one.id:
            assert not one.fuzzy
            assert len(texts(one.string)) == (known.num_plurals if len(texts(one.id)) > 1 else 1)
            for said in texts(one.string):
                assert said.strip(), one.id
                assert set(PLACEHOLDER.findall(said)) == set(PLACEHOLDER.findall(texts(one.id)[-1])), one.id


def test_there_is_a_whole_translation() -> None:
    assert "de" in LANGUAGES
    assert words.languages() == ("en", *LANGUAGES)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de", "de"), ("de-AT,en;q=0.5", "de"), ("en-GB,de;q=0.9", "en"), ("fr,de;q=0.3,en;q=0.2", "de"), ("fr", "en"), ("", "en"),
        ("de;q=0,en", "en"), ("*", "en"), ("de;q=1.000", "de"),
    ],
)  # fmt: skip
def test_a_language_is_chosen_as_the_browser_ranks_them(accepted: str, language: str) -> None:
    assert words.speak(accepted) == language


@given(st.text())
def test_any_header_chooses_a_language_that_there_is(accepted: str) -> None:
    assert words.speak(accepted) in words.languages()


def test_plurals_are_those_of_the_language() -> None:
    one, many = "%(number)s row cannot be mailed", "%(number)s rows cannot be mailed"
    words.speak("de")
    assert words.ngettext(one, many, 1).startswith("%(number)s Zeile kann")
    assert words.ngettext(one, many, 2).startswith("%(number)s Zeilen können")
    words.speak("en")
    assert (words.ngettext(one, many, 1), words.ngettext(one, many, 0)) == (one, many)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with office(tmp_path_factory.mktemp("büro") / "Büro") as made:
        made.write_list([*people(2), "kaputt"])
        page = made.open()
        stranger = Stranger(made.port)
        stranger.enter(page)
        yield stranger


@pytest.mark.parametrize(
    "place",
    [
        "/",
        "/inbox",
        "/list?list=contacts/people.csv",
        "/letter?letter=appeal",
        "/suppressed",
        "/account",
        "/account/settings",
        "/account/setup",
        "/account/inbox",
        "/practice",
    ],
)
def test_no_english_is_left_on_a_german_page(inside: Stranger, place: str) -> None:
    answer, german = inside.ask("GET", place, Accept_Language="de")
    _, english = inside.ask("GET", place, Accept_Language="en")
    assert answer.status == 200
    assert '<html lang="de" dir="ltr">' in german
    assert '<html lang="en" dir="ltr">' in english

    def said(page: str) -> set[str]:
        main = re.sub(r"<(script|style|option|pre|textarea|code)\b.*?</\1>", "", page, flags=re.DOTALL)
        return {part.strip() for part in re.findall(r">([^<>]+)<", main) if re.search(r"[A-Za-z]{3}", part)}

    # what both say is not the page's own: names of files and columns, what the list and the settings hold, what the commands say
    own = {text for one in catalogue.extracted() if one.id for text in texts(one.id)}
    same = {"Test", "Text", "Name", "Status", "Port"}
    assert said(german) & own <= same


def test_the_folder_of_the_catalogues_is_shipped() -> None:
    assert (Path(words.__file__).parent / "languages" / "de.po").is_file()


def test_nothing_that_the_page_itself_refuses_is_said_past_the_catalogue() -> None:
    bare = [
        f"{path.name}:{call.lineno}"
        for path in Path(journey.__file__).parent.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "UsageError"
        for said in (*call.args[:1], *(one.value for one in call.keywords))
        if isinstance(said, ast.Constant | ast.JoinedStr)
    ]
    assert bare == []


def test_a_message_and_a_closed_door_speak_the_reader_s_language(inside: Stranger) -> None:
    answer, door = Stranger(inside.port).ask("GET", "/", Accept_Language="de")
    assert answer.status == 403
    assert '<html lang="de" dir="ltr">' in door
    assert "Diese Seite ist geschlossen" in door
    draft = "list=contacts/people.csv&letter=appeal&skip=1"
    inside.ask("GET", f"/preview?{draft}", Accept_Language="de")
    deadline = time.monotonic() + 20
    while (found := inside.ask("GET", f"/preview/message/1?{draft}", Accept_Language="de"))[0].status == 404:
        assert time.monotonic() < deadline
    assert '<html lang="de" dir="ltr">' in found[1]
    assert "Wie es unterwegs aussieht" in found[1]
    assert "As it travels" not in found[1]
