"""The form over a letter's front matter: shown and posted back it changes nothing, and what is filled in is what merge reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.merge.complaints import Origin, problem
from mailer.merge.front import split
from mailer.merge.fronttext import with_front
from mailer.model import Problem
from mailer.web.journey.frontform import FieldError, Form, shown, wanted
from mailer.web.journey.looks import at_fields

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=8)
NAME = st.from_regex(r"[a-z][a-z_]{0,5}", fullmatch=True)
PATH = st.from_regex(r"[a-z]{1,5}/(\{\{ [a-z]{1,4} \}\})?[a-z]{0,3}\.pdf", fullmatch=True)
ENTRY = (
    PATH | st.fixed_dictionaries({"file": PATH}, optional={"name": NAME}) | st.fixed_dictionaries({"document": NAME})
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "subject": WORD | st.integers(0, 9),
        "preheader": WORD | st.none() | st.lists(WORD),
        "sender": WORD,
        "language": st.sampled_from(["en", "de"]),
        "required": st.lists(NAME, unique=True) | NAME | st.integers(0, 1),
        "lookups": st.dictionaries(
            NAME,
            st.fixed_dictionaries(
                {"table": NAME, "on": NAME}, optional={"key": NAME, "max_age_days": st.integers(1, 9)}
            ),
            max_size=2,
        ),
        "case": NAME
        | st.dictionaries(
            WORD.map(str.strip).filter(bool), WORD | st.booleans() | st.integers(0, 9) | st.lists(WORD), max_size=3
        ),
        "attachments": st.lists(ENTRY, max_size=3) | ENTRY | st.lists(st.integers(0, 1), min_size=1),
        "fallbacks": st.dictionaries(st.sampled_from(["ku", "ckb"]), st.sampled_from(["en", "de"])),
        "strip_metadata": st.booleans(),
        "images": st.dictionaries(NAME, PATH),
        "ours": WORD,
    },
)


def posted(form: Form) -> dict[str, str]:
    """What a browser sends for the form as it was shown."""
    given = {f"front-{key}": text.value for key, text in form.texts.items() if text.open}
    given |= {"required-shown": "1", "required-new": "", "strip-shown": "1", "case-file": form.case_file}
    given |= {"attach-file": "", "attach-each": "", "attach-document": "", "attach-document-as": "docx"}
    given |= {f"required-{at}": name for at, name in enumerate(form.required)}
    given |= {"strip": "1"} if form.strip else {}
    for at, one in enumerate(form.attachments):
        given[f"attachments-{at}-name"] = one.name
        if one.kind == "each":
            given[f"attachments-{at}-path"] = one.path
    for at, row in enumerate(form.lookups):
        given |= {f"lookups-{at}-{part}": getattr(row, part) for part in ("name", "table", "on", "key")}
    for kind, pairs in (("case", form.case), ("fallbacks", form.fallbacks)):
        for at, pair in enumerate(pairs):
            given[f"{kind}-{at}-name"] = pair.name
            if pair.open:
                given[f"{kind}-{at}-value"] = pair.value
        given |= {f"{kind}-{len(pairs)}-name": "", f"{kind}-{len(pairs)}-value": ""}
    return given


@given(VALUES, st.none() | VALUES)
def test_a_form_that_is_posted_as_it_was_shown_changes_nothing(
    own: dict[str, Any], main: dict[str, Any] | None
) -> None:
    assert wanted(posted(shown(own, main)), own, main) == {}


def test_a_post_that_leaves_out_a_part_leaves_it_as_it_is() -> None:
    own = {"subject": "x", "required": ["a"], "attachments": ["a.pdf"], "case": {"a": "b"}, "strip_metadata": True}
    own["lookups"] = {"e": {"table": "t", "on": "c"}}
    assert wanted({}, own) == {}


OWN: dict[str, Any] = {
    "subject": "Old",
    "preheader": "Now",
    "required": ["a", "b"],
    "attachments": ["a.pdf", {"document": "motion", "name": "Motion.docx"}],
    "case": {"name": "Ana", "demands": ["x", "y"], "open": True},
    "lookups": {"embassy": {"table": "contacts/e.csv", "on": "country", "max_age_days": 30}},
    "strip_metadata": True,
}


@pytest.mark.parametrize(
    ("given", "result"),
    [
        ({"front-subject": "New\r\n line"}, {"subject": "New line"}),
        ({"front-subject": ""}, {"subject": ""}),
        ({"front-preheader": " "}, {"preheader": None}),
        ({"required-0": "", "required-2": "c"}, {"required": ["b", "c"]}),
        ({"required-new": "c, d,"}, {"required": ["a", "b", "c", "d"]}),
        ({"attachments-0-off": "1"}, {"attachments": [OWN["attachments"][1]]}),
        ({"attachments-0-off": "1", "attachments-1-off": "1"}, {"attachments": None}),
        ({"attachments-0-name": "B.pdf"}, {"attachments": [{"file": "a.pdf", "name": "B.pdf"}, OWN["attachments"][1]]}),
        ({"attachments-1-name": ""}, {"attachments": ["a.pdf", {"document": "motion"}]}),
        ({"attach-file": "b.pdf"}, {"attachments": [*OWN["attachments"], "b.pdf"]}),
        ({"attach-each": "m/{{ x }}.pdf"}, {"attachments": [*OWN["attachments"], "m/{{ x }}.pdf"]}),
        ({"attach-document": "text", "attach-document-as": "pdf"}, {"attachments": [*OWN["attachments"], {"document": "text", "name": "text.pdf"}]}),
        ({"attach-document": "m/f.docx", "attach-document-as": "pdf"}, {"attachments": [*OWN["attachments"], {"document": "m/f.docx", "name": "f.docx"}]}),
        ({"case-0-value": "Bo"}, {"case": {"name": "Bo", "demands": ["x", "y"], "open": True}}),
        ({"case-0-name": "who"}, {"case": {"who": "Ana", "demands": ["x", "y"], "open": True}}),
        ({"case-1-off": "1"}, {"case": {"name": "Ana", "open": True}}),
        ({"case-3-name": "city", "case-3-value": "Kyiv"}, {"case": {**OWN["case"], "city": "Kyiv"}}),
        ({"lookups-0-on": "land"}, {"lookups": {"embassy": {"table": "contacts/e.csv", "on": "land", "max_age_days": 30}}}),
        ({"lookups-0-off": "1"}, {"lookups": None}),
        ({"strip": ""}, {"strip_metadata": None}),
    ],
)  # fmt: skip
def test_what_was_filled_in_is_what_merge_reads(given: dict[str, str], result: dict[str, Any]) -> None:
    changes = wanted(posted(shown(OWN)) | given, OWN)
    assert changes == result
    after = split(with_front(with_front("Dear\n", OWN), changes), "letter.md").values
    assert after == {key: value for key, value in {**OWN, **result}.items() if value is not None}


def test_a_language_s_own_file_says_only_what_differs() -> None:
    own: dict[str, Any] = {"subject": "Neu"}
    form = shown(own, OWN)
    assert (form.texts["preheader"].value, form.texts["preheader"].inherited) == ("", "Now")
    assert "language" not in form.texts
    assert [one.path for one in form.attachments] == ["a.pdf", "motion"]
    before = posted(form)
    assert wanted(before | {"attachments-0-off": "1"}, own, OWN) == {"attachments": [OWN["attachments"][1]]}
    both = {"attachments-0-off": "1", "attachments-1-off": "1", "strip": ""}
    assert wanted(before | both, own, OWN) == {"attachments": [], "strip_metadata": False}


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("subject", {"front-subject": "a\x00b"}), ("case", {"case-0-name": ""}), ("case", {"case-0-name": "two words"}), ("case", {"case-0-name": "open"}),
        ("case", {"case-0-value": "\x1b"}), ("case", {"case-file": "case.yaml"}), ("lookups", {"lookups-0-on": ""}), ("lookups", {"lookups-0-table": "\x00"}),
        ("lookups", {"lookups-1-name": "embassy", "lookups-1-table": "t", "lookups-1-on": "c"}), ("attachments", {"attach-file": "a\x00"}),
        ("attachments", {"attachments-0-name": "a\x00"}), ("fallbacks", {"fallbacks-0-name": "../x", "fallbacks-0-value": "de"}),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_at_its_field_before_anything_is_written(
    key: str, given: dict[str, str]
) -> None:
    with pytest.raises(FieldError) as refused:
        wanted(posted(shown(OWN)) | given, OWN)
    assert refused.value.key == key


def test_a_problem_is_told_at_its_field_or_with_the_line_that_the_page_shows() -> None:
    text = "---\nsubject: x\nsender: nobody\nrequired:\n  - a\n---\n\nDear\n{{ nam }}\n"

    def at(line: int, what: str, **more: str) -> Problem:
        return problem("x", what, at=Origin(file="a.md", line=line), **more)

    found = [
        at(3, "sender is wrong."),
        at(5, "no a."),
        at(9, "no nam.", hint="Did you?"),
        Problem(code="y", message="a row", row=3),
    ]
    blank = replace(at(9, "nam is blank"), code="field-not-required", column="nam", hint="Write required: [nam]")
    general, fields = at_fields([*found, blank], "a.md", text, formed=True)
    assert fields == {"sender": ["Sender is wrong."], "required": ["No a."]}
    assert general[:2] == ["Line 2: no nam. Did you?", "row 3: a row"]
    assert "Tick it under" in general[2]
    general, fields = at_fields(found, "a.md", text, formed=False)
    assert (fields, general[0]) == ({}, "a.md: line 3: sender is wrong.")
