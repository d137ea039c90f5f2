"""A letter's front matter as a form: what is set is what merge reads, and everything else stays byte for byte."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import LetterError
from mailer.merge.front import KEYS, split
from mailer.merge.fronttext import body_of, with_body, with_front
from mailer.merge.yamledit import CannotEditError, TooMuchError, same

BODY = "\nDear {{ name }},\n\n---\n\nsubject: not this one # nor this\n"
NAMES = st.sampled_from([*KEYS, "our_own", "x-note", "Zeichen"])
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
TEXT = st.one_of(
    WORD,
    st.sampled_from(
        ["{{ name }}, please", "# no comment", "yes", "null", "12", "-", "a: b", "'", '"', "\\", "[x", " edge ", "---", "%", "\t", "a\nb"]
    ),
)  # fmt: skip
NAME = st.from_regex(r"[a-z_]{1,6}", fullmatch=True)
VALUE = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(0, 9),
    st.lists(st.one_of(TEXT, st.dictionaries(NAME, TEXT, min_size=1, max_size=2)), max_size=3),
    st.dictionaries(NAME, st.one_of(TEXT, st.dictionaries(NAME, TEXT, min_size=1, max_size=2)), max_size=3),
)
ADDRESS = "contact@example.org"


def quoted(value: Any) -> str:
    """On one line, as JSON, which YAML can read but for its halves of characters."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


@st.composite
def written(draw: st.DrawFn, value: Any, indent: int, comments: list[str]) -> str:  # noqa: PLR0911  # one for each hand
    """A value as one of many hands would write it, from behind the colon to the line's end."""

    def remark() -> str:
        if not draw(st.booleans()):
            return ""
        comments.append(f"# remark {len(comments)}")
        return f"  {comments[-1]}"

    margin = " " * indent
    if isinstance(value, bool):
        return f" {quoted(value)}{remark()}\n"
    if isinstance(value, int):
        return f" {value}{remark()}\n"
    if isinstance(value, str):
        plain = re.fullmatch(r"[a-z][a-z ]*[a-z]", value)
        simple = re.fullmatch(r"[a-z{} ,\n]*[a-z}]", value) and value[0] != " " and "\n " not in value
        style = draw(st.sampled_from(["double", "single", *(["plain"] * bool(plain)), *(["block"] * bool(simple))]))
        if style == "plain" and not re.fullmatch("yes|no|on|off|null|true|false", value):
            return f" {value}{remark()}\n"
        if style == "block":
            head = f" |-{remark()}\n"
            return head + "".join(f"{margin}  {line}\n" if line else "\n" for line in value.split("\n"))
        if (
            style == "single"
            and "\n" not in value
            and "\t" not in value
            and "\ufeff" not in value
            and value.isprintable()
        ):
            return " '" + value.replace("'", "''") + f"'{remark()}\n"
        return f" {quoted(value)}{remark()}\n"
    if not value or draw(st.booleans()):
        return f" {quoted(value)}{remark()}\n"
    lines = [f"{remark()}\n"]
    for item in value.items() if isinstance(value, dict) else value:
        if draw(st.booleans()):
            comments.append(f"# between {len(comments)}")
            lines.append(f"{margin}  {comments[-1]}\n")
        if isinstance(item, tuple):
            lines.append(f"{margin}  {item[0]}:{draw(written(item[1], indent + 2, comments))}")
        elif isinstance(item, dict) and draw(st.booleans()):
            pairs = [f"{name}:{draw(written(one, indent + 4, comments))}" for name, one in item.items()]
            lines.append(f"{margin}  - " + f"{margin}    ".join(pairs))
        else:
            lines.append(f"{margin}  - {quoted(item)}{remark()}\n")
    return "".join(lines)


@st.composite
def letters(draw: st.DrawFn) -> tuple[str, dict[str, Any], dict[str, str], list[str]]:
    """A letter, its values, the lines of each key, and all its comments."""
    values = draw(st.dictionaries(NAMES, VALUE, max_size=5))
    comments: list[str] = []
    chunks = {}
    lines = []
    for key, value in values.items():
        if draw(st.booleans()):
            comments.append(f"# above {len(comments)}")
            lines.append(f"{comments[-1]}\n\n")
        chunks[key] = f"{key}:{draw(written(value, 0, comments))}"
        lines.append(chunks[key])
    return f"---\n{''.join(lines)}---\n{BODY}", values, chunks, comments


@given(letters(), st.dictionaries(NAMES, st.none() | VALUE, max_size=3))
def test_what_is_set_is_what_merge_reads_and_everything_else_keeps_its_every_character(
    letter: tuple[str, dict[str, Any], dict[str, str], list[str]], wanted: dict[str, Any]
) -> None:
    text, values, chunks, comments = letter
    assert same(dict(split(text, "letter.md").values), values)
    try:
        after = with_front(text, wanted)
    except CannotEditError:
        # only where a remark stands within what would have to go
        assert any(key in chunks and "#" in chunks[key] for key in wanted)
        return
    expected = {key: value for key, value in {**values, **wanted}.items() if value is not None}
    assert same(dict(split(after, "letter.md").values), expected)
    assert body_of(after) == body_of(text) == BODY
    for key, chunk in chunks.items():
        if key not in wanted or same(values[key], wanted[key]):
            assert chunk in after
    for comment in comments:
        assert re.search(rf"{re.escape(comment)}$", after, re.MULTILINE)
    assert with_front(after, wanted) == after
    if all(key in values and same(values[key], value) for key, value in wanted.items()):
        assert after == text


@given(
    st.text(st.sampled_from("ab:-#|>&*?!%@{}[],\"' \n\t"), max_size=60),
    st.dictionaries(NAMES, st.none() | VALUE, max_size=2),
)
def test_whatever_a_hand_wrote_is_edited_rightly_or_left_alone(front: str, wanted: dict[str, Any]) -> None:
    text = f"---\n{front}\n---\n{BODY}"
    try:
        before = dict(split(text, "letter.md").values)
        after = with_front(text, wanted)
    except (CannotEditError, LetterError):
        return
    expected = {key: value for key, value in {**before, **wanted}.items() if key not in wanted or value is not None}
    assert same(dict(split(after, "letter.md").values), expected)
    assert body_of(after) == body_of(text)


@given(st.text(max_size=80).map(lambda text: text.replace("\r", "")), WORD)
def test_a_body_is_put_below_and_read_as_it_is(body: str, subject: str) -> None:
    text = f"---\nsubject: {quoted(subject)} # kept\n---\nBefore\n"
    assert body_of(with_body(text, body)) == body
    assert with_body(text, body).startswith(text.removesuffix("Before\n"))


def test_a_letter_without_front_matter_gets_some_and_may_lose_it_again() -> None:
    text = with_front("Dear friend,\n", {"subject": "Hello"})
    assert text == "---\nsubject: Hello\n---\nDear friend,\n"
    assert with_front(text, {"subject": None}) == "---\n---\nDear friend,\n"
    assert split("---\n---\nDear\n", "letter.md").body == "Dear\n"


def test_a_text_begun_with_a_bar_keeps_its_end_wherever_it_stands() -> None:
    last = split("---\ncase:\n  demand: |\n    Free them.\n---\n", "letter.md").values["case"]
    first = split("---\ncase:\n  demand: |\n    Free them.\nsubject: x\n---\n", "letter.md").values["case"]
    assert last == first == {"demand": "Free them.\n"}


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("subject: Old  # short", {"subject": "New"}, "subject: New  # short"),
        ("subject: 'Old'", {"subject": "It's"}, "subject: 'It''s'"),
        ("subject: >\n  Old\n  words\nlist_id: a.b", {"subject": "New"}, "subject: New\nlist_id: a.b"),
        ("subject: > # folded\n  Old", {"subject": "New"}, "subject: New  # folded"),
        ("subject: x\nlist_id: a.b", {"preheader": "Now"}, "subject: x\npreheader: Now\nlist_id: a.b"),
        ("required: [a, b]", {"required": ["b"]}, "required: [b]"),
        ("required: [ a, b, ]", {"required": ["a", "b", "c"]}, "required: [ a, b, c, ]"),
        ("attachments: a.pdf", {"attachments": ["a.pdf", "b.pdf"]}, "attachments: [a.pdf, b.pdf]"),
        ("attachments:\n- a.pdf\n- b.pdf # two", {"attachments": ["b.pdf", "c.pdf"]}, "attachments:\n- b.pdf # two\n- c.pdf"),
        ("attachments:\n  - file: a.pdf\n    name: A.pdf", {"attachments": [{"file": "a.pdf"}]}, "attachments:\n  - file: a.pdf"),
        ("case: case.yaml", {"case": {"name": "Ana"}}, "case: {name: Ana}"),
        ("case:\n  a: x\n  # deep\n  b: {c: 1}", {"case": {"b": {"c": 1}, "d": "z"}}, "case:\n  # deep\n  b: {c: 1}\n  d: z"),
        ("{subject: x, other: [1]}", {"subject": "z", "language": "de"}, "{subject: z, language: de, other: [1]}"),
        ("preheader:   # none yet\nsubject: x", {"preheader": "p"}, "preheader: p   # none yet\nsubject: x"),
    ],
)  # fmt: skip
def test_only_what_changed_is_written_anew(before: str, wanted: dict[str, Any], after: str) -> None:
    text = f"---\n{before}\n---\n{BODY}"
    assert with_front(text, wanted) == f"---\n{after}\n---\n{BODY}"


@pytest.mark.parametrize(
    "text",
    [
        "---\nsubject: x\n",
        "--- \nno end",
        "---\nsubject: [\n---\n",
        "---\na: &x 1\nb: *x\n---\n",
        "---\n? a\n: b\n---\n",
    ],
)
def test_what_cannot_be_read_is_left_to_its_author(text: str) -> None:
    with pytest.raises((CannotEditError, LetterError)):
        with_front(text, {"subject": "y"})


def test_a_remark_within_brackets_is_not_lost_but_told() -> None:
    with pytest.raises(CannotEditError):
        with_front("---\nrequired: [a, # this one\n  b]\n---\n", {"required": ["b"]})


def settings(number: int, value: str = "x") -> str:
    return "".join(f"  key{at}: {value}\n" for at in range(number))


def test_more_settings_than_any_letter_has_are_refused_in_plain_words_and_not_read_to_their_end() -> None:
    text = f"---\nsubject: s\ncase:\n{settings(20_000)}---\n{BODY}"
    with pytest.raises(LetterError) as refused:
        split(text, "templates/appeal.md")
    [problem] = refused.value.problems
    assert problem.message == "line 2: there are more than 2,000 settings here, and no letter needs so many."
    assert problem.code == "yaml-size"
    with pytest.raises(LetterError):
        with_front(text, {"subject": "other"})
    assert len(split(f"---\nsubject: s\ncase:\n{settings(1_900)}---\n", "").values["case"]) == 1_900  # type: ignore[arg-type]


def test_what_would_take_minutes_to_change_one_by_one_is_refused_at_once() -> None:
    text = f"---\nsubject: s\ncase:\n{settings(1_500)}---\n{BODY}"
    with pytest.raises(TooMuchError):
        with_front(text, {"case": {f"key{at}": "z" for at in range(1_500)}})
    # one of them is changed all the same, and so are all of a usual letter
    assert with_front(text, {"subject": "other"}) == text.replace("subject: s", "subject: other")
    text = f"---\nsubject: s\ncase:\n{settings(60)}---\n{BODY}"
    assert with_front(text, {"case": {f"key{at}": "z" for at in range(60)}}) == text.replace(": x", ": z")
