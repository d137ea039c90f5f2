"""A sentence is English to everything, and can be said in another language by whoever shows it."""

from __future__ import annotations

import json
import pickle
from array import array
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.cli import console
from mailer.errors import ListError
from mailer.model import NUMBER, Findings, Problem, Said, as_said, begins_with_value, counted, joined, own, said
from mailer.model.said import parted, revived, told

GERMAN = {
    "There is no sheet {name}.": "Ein Blatt {name} gibt es nicht.",
    "{sentence:A.} {hint}": "{sentence:A.} {hint}",
    "it is empty": "es ist leer",
    "mend it": "beheben Sie es",
    "on {day:%Y-%m-%d}": "am {day:%d.%m.%Y}",
    "{total:,} of {size:.1f} MB": "{total:,} von {size:.1f} MB",
}
FORMS = {("{number} row", "{number} rows"): ("{number} Zeile", "{number} Zeilen")}


def german(text: str) -> str:
    def form(one: str, many: str, number: int) -> str:
        return FORMS[one, many][number != 1]

    def written(number: float, how: str) -> str:
        return format(number, how).translate({ord(","): ".", ord("."): ","})

    return told(text, lambda one: GERMAN.get(one, one), form, written)


def test_a_sentence_is_english_to_everything() -> None:
    sentence = said("There is no sheet {name}.", name="A")
    assert sentence == "There is no sheet A."
    assert {sentence: 1}["There is no sheet A."] == 1
    assert json.dumps([sentence]) == '["There is no sheet A."]'
    assert type(str(sentence)) is str
    assert f"{sentence}" == "There is no sheet A."


def test_what_it_was_made_of_is_put_into_the_other_text() -> None:
    assert german(said("There is no sheet {name}.", name="it is empty")) == "Ein Blatt it is empty gibt es nicht."
    assert german(said("on {day:%Y-%m-%d}", day=date(2026, 11, 30))) == "am 30.11.2026"
    assert german(said("{total:,} of {size:.1f} MB", total=1234, size=0.5)) == "1.234 von 0,5 MB"


def test_a_part_that_is_a_sentence_is_said_in_the_other_language_too_with_its_capital_and_full_stop() -> None:
    whole = said("{sentence:A.} {hint}", sentence=as_said("it is empty"), hint=said("mend it"))
    assert whole == "It is empty. mend it"
    assert german(whole) == "Es ist leer. beheben Sie es"
    assert german(joined("; ", ["it is empty", said("mend it")])) == "es ist leer; beheben Sie es"
    assert not joined(", ", [])


@pytest.mark.parametrize(("number", "english", "other"), [(1, "1 row", "1 Zeile"), (0, "0 rows", "0 Zeilen")])
def test_a_number_takes_the_form_that_goes_with_it(number: int, english: str, other: str) -> None:
    sentence = counted("{number} row", "{number} rows", number)
    assert sentence == english
    assert german(sentence) == other


def test_a_text_into_which_nothing_is_put_may_hold_any_braces() -> None:
    assert said("Write {{ footer }} or {% if %}") == "Write {{ footer }} or {% if %}"
    assert german(said("Write {{ footer }}")) == "Write {{ footer }}"


def test_an_exception_gives_its_sentence_and_not_itself() -> None:
    sentence = said("{why}.", why=ValueError(said("There is no sheet {name}.", name="A")))
    assert german(sentence) == "Ein Blatt A gibt es nicht.."
    assert not any(isinstance(one, BaseException) for one in sentence.values.values())


PARTS = st.recursive(
    st.text(max_size=20)
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates(),
    lambda inner: (
        st.builds(lambda one, two: said("{a} and {b!s}", a=one, b=two), inner, inner)
        | st.builds(
            lambda number, one: counted("{number} {a}", "{number} x {a}", number, a=one), st.integers(0, 3), inner
        )
    ),
    max_leaves=6,
)


@given(PARTS, PARTS)
def test_it_comes_through_another_process_whole(one: object, two: object) -> None:
    sentence = said("{one}, {two}", one=one, two=two)
    again = pickle.loads(pickle.dumps(sentence))
    assert (again, again.text, again.many, again.values) == (sentence, sentence.text, sentence.many, sentence.values)
    data = json.loads(json.dumps({"checks": [{"message": sentence}], "error": None, "made_of": parted([sentence])}))
    came = revived(data, data["made_of"])["checks"][0]["message"]
    assert came == sentence
    assert isinstance(came, Said)
    assert (came.text, came.many, came.values) == (sentence.text, sentence.many, sentence.values)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_another_program_says_may_be_anything(parts: object) -> None:
    assert revived({"error": "it"}, {"it": parts}) in ({"error": "it"}, {"error": revived("it", {"it": parts})})


def test_a_problem_of_many_rows_says_each_row_s_number_in_every_language() -> None:
    found = Findings()
    problem = Problem(code="x", message=said("There is no sheet {name}.", name=NUMBER), row=1)
    found.spread(problem, array("q", [2, 3]), array("q", [7, 8]))
    assert [german(one.message) for one in found] == ["Ein Blatt 7 gibt es nicht.", "Ein Blatt 8 gibt es nicht."]
    assert [german(text) for _row, text in found.sentences()] == [german(one.message) for one in found]


def test_a_name_at_the_beginning_of_a_sentence_keeps_its_first_letter() -> None:
    named, plain = said("{path} does not exist.", path="nix"), said("it is empty")
    assert (f"{named:A}", f"{plain:A}") == ("nix does not exist.", "It is empty")
    place = joined(", ", [own("templates/s.md"), said("row {row}", row=4)])
    sentence = said("{place}: {sentence}", place=place, sentence=plain)
    assert f"{sentence:A}" == "templates/s.md, row 4: it is empty"
    assert german(said("{sentence:A.} {hint}", sentence=named, hint=plain)) == "nix does not exist. es ist leer"
    assert german(said("{sentence:A.} {hint}", sentence=plain, hint=named)) == "Es ist leer. nix does not exist."
    assert begins_with_value(named)
    assert not begins_with_value(counted("{number} row", "{number} rows", 3))
    assert not begins_with_value("it is empty")


def test_an_error_that_begins_with_the_name_of_a_file_shows_it_as_it_is(capsys: pytest.CaptureFixture) -> None:
    console.show_error(ListError(said("{path} does not exist.", path="nix")))
    console.show_error(ListError("nothing is there."))
    assert capsys.readouterr().err == "nix does not exist.\nNothing is there.\n"
