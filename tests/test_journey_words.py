"""The page's texts: all of them in one catalogue, and every translation whole."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import catalogue
import pytest
import sentences
from hypothesis import given
from hypothesis import strategies as st
from organiser import Stranger, office, people

from mailer.model import said
from mailer.report import charts
from mailer.web import journey
from mailer.web.journey import words

LANGUAGES = [path.stem for path in sorted(catalogue.LANGUAGES.glob("*.po"))]
PLACEHOLDER = re.compile(r"%\((\w+)\)s|(?<!\{)\{(\w+)(?:![rs])?(?::[^{}]*)?\}(?!\})")


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


def test_no_sentence_from_below_is_put_together_by_hand() -> None:
    assert [place for found in sentences.gathered().values() for place in found.bare] == [], "make it with `said`"


def test_a_sentence_put_together_by_hand_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "ROOT", tmp_path)
    (tmp_path / "one.py").write_text(
        "def fails(name, count):\n"
        "    hint = 'look at it' if count else said('look for {name}', name=name)\n"
        "    text = f'{name} is gone'\n"
        "    raise ListError(text, hint=hint, problems=[Problem(message=counted('{number} is', '{number} are', count))])\n",
        encoding="utf-8",
    )
    found = sentences.Reader(tmp_path / "one.py").read()
    assert found.texts == {"look at it", "look for {name}"}
    assert found.pairs == {("{number} is", "{number} are")}
    assert [place.partition(":")[2] for place in found.bare] == ["3"]


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("asked not to be mailed", "möchte nicht angeschrieben werden"),
        ("could not be reached in 3 campaigns", "war in 3 Kampagnen nicht zu erreichen"),
        (
            "Given up after 7 tries, since the time for it is used up.",
            "Nach 7 Versuchen aufgegeben, weil die Zeit dafür um ist.",
        ),
        (
            "Given up after one try, since the time for it is used up.",
            "Nach 1 Versuch aufgegeben, weil die Zeit dafür um ist.",
        ),
        (
            "1,234 of 20,000 people reported this campaign as spam; going on would have all your mail refused.",
            "1.234 von 20.000 Menschen haben diese Kampagne als Spam gemeldet; machen Sie weiter, wird bald alle Ihre Mail abgelehnt.",
        ),
        (
            "The e-mail address has no @ sign. The domain of the address looks mistyped: gmail.com was probably meant.",
            "Die E-Mail-Adresse hat kein @. Die Domain der Adresse sieht vertippt aus: gemeint ist wohl gmail.com.",
        ),
        ("The mailbox is full. We try again later.", None),
        ("(.*) {name} [a-z]+", "(.*) {name} [a-z]+"),
    ],
)
def test_what_the_ledger_kept_in_english_is_known_by_its_text(kept: str, shown: str | None) -> None:
    words.speak("de")
    said = words.gettext(kept)
    assert said == shown if shown else said != kept
    words.speak("en")
    assert words.gettext(kept) == kept


@given(st.text(alphabet="abc .,:;{}%()'\"The mailbox is full row 1", max_size=1200))
def test_any_text_can_be_looked_for(text: str) -> None:
    words.speak("de")
    assert isinstance(words.gettext(text), str)
    words.speak("en")
    assert words.gettext(text) == text


def test_numbers_in_a_sentence_are_written_as_the_language_writes_them() -> None:
    words.speak("de")
    sentence = said("Not finished: {left:,} of {total:,} are still to be sent.", left=1000, total=20000)
    assert words.gettext(sentence) == "Nicht fertig: 1.000 von 20.000 sind noch zu versenden."
    words.speak("en")
    assert words.gettext(sentence) == sentence


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


def test_a_note_is_shown_as_it_is_and_never_as_markup(inside: Stranger) -> None:
    _, page = inside.ask("GET", "/suppressed")
    csrf = page.partition('<meta name="csrf" content="')[2].partition('"')[0]
    inside.post("/suppressed/add", csrf=csrf, entry="pat@union.example", note="<b>50 % off</b> %(no)s")
    for language in ("de", "en"):
        answer, page = inside.ask("GET", "/suppressed", Accept_Language=language)
        assert answer.status == 200
        assert "&lt;b&gt;50 % off&lt;/b&gt; %(no)s" in page


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


def test_a_day_in_a_picture_is_written_as_the_language_writes_it() -> None:
    said = charts.in_words(1_000_000_000.0)
    words.speak("de")
    assert words.gettext(said).startswith("9. Sep")
    words.speak("en")
    assert words.gettext(said).startswith("9 Sep")


@pytest.mark.parametrize("made", ["x, x to x, x, x to ", "x (x) row x, ", "{x}: ", ", : . "])
def test_what_a_server_says_takes_no_time_to_look_at(made: str) -> None:
    words.speak("de")
    words._patterns("de")
    text = (made * 1000)[: words.LONGEST]
    took = []
    for _ in range(3):
        begun = time.process_time()
        assert words.recalled.__wrapped__("de", text) == text
        took.append(time.process_time() - begun)
    assert min(took) < 0.5  # 1.5 s before, and there is a text for each recipient
