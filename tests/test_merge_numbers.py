"""Numbers in letters: what a cell says is understood, or its row is named; nothing becomes 0 by itself."""

from __future__ import annotations

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st
from merge_letters import letter, merged, row_problem

from mailer.merge.numbers import COMMA_LANGUAGES, Number, parsed
from mailer.model import Severity

READ = [
    ("23,50", 23.5),
    ("23.50", 23.5),
    ("1.200,00", 1200),
    ("1,200.00", 1200),
    ("1.200.300", 1200300),
    ("1 200,5", 1200.5),
    ("1'200.50", 1200.5),
    ("12,00,000.5", 1200000.5),
    ("-3", -3),
    ("\u22123,5", -3.5),
    ("0,125", 0.125),
    ("1.2000", 1.2),
    (" 7 € ", 7),
    ("$1,200.00", 1200),
    ("۱۲", 12),
]
NONE = ["", "-", "abc", "1,2,3", "1.20,300", "12a", "2026-12-01", "1e5", "nan", "inf", "1" * 16, "5,", "1 2", "€"]


def body(text: str, language: str = "de", **fields: str) -> str:
    return merged(text, front=f"subject: x\nlanguage: {language}", **fields).text.partition("\n")[0]


@pytest.mark.parametrize(("text", "value"), READ)
@pytest.mark.parametrize("language", ["de", "en"])
def test_a_number_is_understood_however_it_is_written(text: str, value: float, language: str) -> None:
    assert parsed(text, language) == value


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_number_is_none(text: str) -> None:
    assert parsed(text, "de") is None


@pytest.mark.parametrize(("text", "german", "english"), [("1.200", 1200, 1.2), ("1,200", 1.2, 1200)])
def test_where_both_can_be_meant_the_language_of_the_letter_decides(text: str, german: float, english: float) -> None:
    assert (parsed(text, "de"), parsed(text, "en"), parsed(text, "de-ch")) == (german, english, english)


@given(st.integers(-(10**9), 10**9), st.sampled_from(["de", "en", "fr", "it-ch", "ur", "es"]), st.integers(1, 4))
def test_what_is_written_is_read_as_the_same(hundredths: int, language: str, decimals: int) -> None:
    value = round(hundredths / 100, decimals)
    if decimals != 3:  # with three, other readers might be misled, too
        assert parsed(str(Number(value, language, decimals)), language) == value
        assert parsed(str(Number(value, language)), language) == value


@pytest.mark.parametrize("language", sorted(COMMA_LANGUAGES))
def test_the_decimal_comma_is_the_language_s_own(language: str) -> None:
    assert Locale.parse(language).number_symbols["latn"]["decimal"] == ","


def test_numbers_are_compared_and_written_as_the_language_does() -> None:
    text = "{% if b|number > 20 %}much{% endif %} {{ b|number }} {{ b|number(2) }} {{ (b|number * 100)|number(2) }}"
    assert body(text, "de", b="23,5") == "much 23,5 23,50 2.350,00"
    assert body(text, "en", b="23,5") == "much 23.5 23.50 2,350.00"
    assert body("{{ '%.2f'|format(b|number) }} {{ b|number|int }} {{ b|number|round|int }}", b="23,50") == "23.50 23 24"
    assert body("{{ y|number }}", y="2026") == "2026"


@pytest.mark.parametrize("filter_", ["number", "int", "float"])
def test_a_text_that_is_no_number_is_told_with_row_field_and_cell(filter_: str) -> None:
    item = row_problem(f"one\n\n{{{{ b|{filter_} }}}}\n", b="n/a")
    assert (item.code, item.row, item.column) == ("not-a-number", 7, "b")
    assert item.message == "line 6: the field b is 'n/a', which is no number."
    assert item.hint == f"Correct the cell, or write b|{filter_}(default=0) if that counts as 0."


def test_the_field_is_named_where_it_stands_in_a_table_or_a_column_of_another_name() -> None:
    assert row_problem("{{ union.dues|number }}", union={"dues": "?"}).column == "union.dues"
    assert row_problem("{{ fields['b']|trim|number }}", b="?").column == "fields['b']"


def test_a_blank_cell_is_no_zero_unless_the_letter_says_so() -> None:
    item = row_problem("{{ b|number }}", b="")
    assert "the field b is blank" in item.message
    assert item.hint == "If a blank cell counts as 0, write (b or 0)|number."
    assert body("{{ (b or 0)|number }} {{ b|int(3) }} {{ b|number(default=4) }}", b="") == "0 3 4"


@pytest.mark.parametrize("filter_", ["int", "float"])
@pytest.mark.parametrize("cell", ["23,50", "1.200", "1.200,00"])
def test_int_and_float_make_no_other_number_of_a_comma_or_point(filter_: str, cell: str) -> None:
    text = f"{{{{ b|{filter_} }}}}"
    with pytest.raises(Exception, match="cannot read the field b"):
        body(text, "de", b=cell)
    assert body(f"{{{{ b|{filter_}(7) }}}}", b=cell) == "7"
    assert body(text, "de", b="12") in {"12", "12.0"}


TAKEN = [
    ("{% if b > 20 %}x{% endif %}", "b|number > 20"),
    ("{% if 20 <= b %}x{% endif %}", "20 <= b|number"),
    ("{% if b > case.limit %}x{% endif %}", "b|number > 5"),
    ("{{ b + 1 }}", "b|number + 1"),
    ("{{ b * 12 }}", "b|number * 12"),
    ("{{ b - 1 }}", "b|number - 1"),
    ("{{ '%.2f'|format(b) }}", "b|number"),
    ("{{ b|round }}", "b|number"),
]


@pytest.mark.parametrize(("text", "example"), TAKEN)
def test_who_takes_a_field_for_a_number_is_told_what_to_write(text: str, example: str) -> None:
    files = {"templates/case.yaml": "limit: 5"}
    item = row_problem(text, front="subject: x\ncase: case.yaml", files=files, b="23.5")
    assert item.message.endswith(f": the field b is text; write {example}.")
    assert item.column == "b"


def test_no_words_of_python_are_shown_where_the_field_is_not_found() -> None:
    item = row_problem("{% for x in [b] %}{% if x > 3 %}x{% endif %}{% endfor %}", b="23.5")
    assert "a text is taken for a number here; write NAME|number" in item.message
    assert "instances" not in item.message


def test_a_field_that_never_equals_a_number_is_pointed_out() -> None:
    (item,) = letter("{% if b == 20 %}x{% endif %}").check(["b"])
    assert (item.severity, item.code, item.column) == (Severity.WARNING, "never-equal", "b")
    assert item.message == "line 4: the field b is text, which never equals a number; write b|number == 20."
    assert letter("{% if b == '20' or b|number == 20 or b|length == 2 %}x{% endif %}").check(["b"]) == []


def test_texts_are_still_repeated() -> None:
    assert body("{{ '=' * 3 }}{{ b * 2 }}", b="ab") == "===abab"
