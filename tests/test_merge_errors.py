"""Every mistake in a letter is told with file, line and the way out, and never as a traceback."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_letters import CAMPAIGN, Shelf, contact, letter, refused, row_problem

from mailer.errors import LetterError
from mailer.merge import Template, load
from mailer.merge.front import KEYS, parse_mailbox
from mailer.model import Lookup, Severity

FRONT = [
    ("subject: a\nsubjct: b", 3, "not known", "subject"),
    ("preheader: a", 1, "no subject", "---"),
    ("subject:", 2, "no subject", "---"),
    ("subject: [a]", 2, "one text", "quotes"),
    ("subject: {{ name }}", 2, "needs quotes", 'in quotes: subject: "{{ name }}"'),
    ("subject: Hello: {{ name }}", 2, "needs quotes", 'in quotes: subject: "Hello: {{ name }}"'),
    ("subject: {{ name }}: news", 2, "needs quotes", 'in quotes: subject: "{{ name }}: news"'),
    ("subject: {{ name }} news", 2, "needs quotes", 'in quotes: subject: "{{ name }} news"'),
    ("subject: {% if a %}b{% endif %}", 2, "needs quotes", 'subject: "{% if a %}b{% endif %}"'),
    ("subject: a\nattachments:\n  - {{ x }}.pdf", 4, "needs quotes", '- "{{ x }}.pdf"'),
    ("subject: 'it's'", 2, "needs quotes", '"it\'s"'),
    ('subject: "a" b', 2, "needs quotes", """'"a" b'"""),
    ("subject: @home", 2, "needs quotes", '"@home"'),
    ("subject: a\n  preheader: b", 3, "further right than the line above", "at the left edge"),
    ("subject: a\n required: [x]", 3, "further right than the line above", "at the left edge"),
    ("subject: a\nlookups:\n  a: {b: c}\n   d: e", 5, "further right", "exactly below"),
    ("  subject: a\npreheader: b", 3, "further left than the line above", "at the left edge"),
    ("subject: a\n\tpreheader: b", 3, "there is a tab", "two spaces"),
    ("subject: a\nrequired:\n\t- x", 4, "there is a tab", "two spaces"),
    ('subject: a\ncase: "cases\\x.yaml"', 3, "meaning of its own", "with / instead"),
    ('subject: a\ncase: "C:\\Users\\a.yaml"', 3, "meaning of its own", "with / instead"),
    ('subject: "a\npreheader: b', 2, "not closed", ""),
    ("subject: a\nrequired: [x", 3, "bracket", ""),
    ("subject: a\npreheader b\nlanguage: en", 3, "no colon", "subject:"),
    ("subject: a\nsubject: b", 3, "appears twice", ""),
    ("subject: &x a\npreheader: *x", 2, "references", ""),
    ("subject: a\nsender: nobody", 3, "one address", "sender:"),
    ("subject: a\nsender: A <a@b.example>, B <c@d.example>", 3, "one address", "sender:"),
    ('subject: a\nreply_to: "a@b.example\\rBcc: c@d.example"', 3, "line break", "reply_to:"),
    ("subject: a\nlist_id: has spaces here", 3, "dots", "list_id:"),
    ("subject: a\nlanguage: english!", 3, "language code", "en"),
    ("subject: a\nfallbacks: de", 3, "map one language", "fallbacks:"),
    ("subject: a\nrequired: {a: b}", 3, "list of field names", "required:"),
    ("subject: a\nlookups: {e: {tabel: x, on: y}}", 3, "not known in a look-up", "table"),
    ("subject: a\nlookups: {e: {table: x}}", 3, "needs table", "lookups:"),
    ("subject: a\nlookups: {e: {table: ../x.csv, on: y}}", 3, "inside", "lookups:"),
    ("subject: a\nlookups: {e: {table: x.csv, on: y, max_age_days: soon}}", 3, "number of days", "lookups:"),
    ("subject: a\ncase: [x]", 3, "YAML file", "case:"),
    ("subject: a\ncase: missing.yaml", 3, "is not there", "templates"),
    ("subject: a\nattachments: [{name: x}]", 3, "either file", "attachments:"),
    ("subject: a\nattachments: [{file: x, nme: y}]", 3, "not known in an attachment", "name"),
    ("subject: a\nattachments: [/etc/passwd]", 3, "inside", "attachments:"),
    ("subject: a\nattachments: ['C:\\x.pdf']", 3, "with /", "attachments:"),
    ("subject: a\nattachments: [{document: nothing}]", 3, "no letter called", "it"),
    ("subject: a\nattachments: [{document: it, name: x.xls}]", 3, "cannot become", ".docx"),
    ("subject: a\nimages: logo.png", 3, "picture a name", "images:"),
    ("subject: '{{ a'", 2, "{{ are not closed with }}", "{{ first_name }}"),
    ("subject: a\npreheader: '{% if a %}'", 3, "", ""),
]


@pytest.mark.parametrize(("front", "line", "part", "hint"), FRONT)
def test_front_matter_mistakes_are_told_with_line_and_example(front, line, part, hint):
    item = refused("text", front=front)
    assert item.file == "templates/it.md"
    assert item.message.startswith(f"line {line}: ")
    assert part in item.message
    assert hint in (item.hint or "")


def test_every_known_key_has_an_example_that_is_accepted():
    files = {"templates/case.yaml": "name: x", "templates/leaflet.pdf": b"%PDF", "templates/pictures/logo.png": b"x"}
    template = letter("text", front="\n".join(KEYS.values()), files=files)
    assert template.front.lookups == {"embassy": Lookup(table="contacts/embassies.csv", on="country")}
    assert template.front.required == ("branch", "city")


def test_several_front_matter_mistakes_are_told_at_once():
    with pytest.raises(LetterError) as caught:
        letter(front="subjct: a\nsender: b")
    assert len(caught.value.problems) == 2  # a subject that is only misspelt is not missing as well
    assert caught.value.message == "The letter has 2 mistakes."


def test_front_matter_without_an_end_is_told():
    with pytest.raises(LetterError, match="no end"):
        load("it", Shelf({"templates/it.md": "---\nsubject: a\n\ntext"}))


@pytest.mark.parametrize(
    ("body", "line", "braces"),
    [
        ("Dear {{ first_name ,\n\nin {{ city }}", 4, "{{"),
        ("Dear {{ first_name ,\n\n{% if city %}x{% endif %}", 4, "{{"),
        ("{# {{ a note #}\n\n{% if city \n\n{{ city }}{% endif %}", 6, "{%"),
        ("{{ city }}\n\n{# a note\n\n{{ city }}", 6, "{#"),
        ("{{ city }", 4, "{{"),
    ],
)
def test_braces_that_are_not_closed_are_told_where_they_begin(body, line, braces):
    item = refused(body)
    assert item.message.startswith(f"line {line}: the braces {braces} are not closed with ")
    assert item.hint.startswith(f"Write for example {braces} ")


BODIES = [
    ("one\n\n{{ name", 7),
    ("one\n{% if name %}\ntwo", 0),
    ("one\n\n{% fi %}", 7),
    ("{{ name | shout }}", 5),
    ("{{ name | }}", 5),
    ("a\n{% if a is weird %}b{% endif %}", 6),
    ("{% extends 'x' %}", 5),
    ("x\n{% import 'x' as y %}", 6),
    ("{% block a %}{% endblock %}", 5),
    ("{% include name %}", 5),
    ("{% include '../secret' %}", 5),
    ("{% include 'nothing' %}", 5),
    ("- a {% if b %}\n- c {% endif %}", 5),
    ("{% if a %}\n- x\n  {% endif %}\n", 7),
    ("[x](page.html)", 5),
    ("a\n\n![x](https://a.example/x.png)", 7),
    ("![x](gone.png)", 5),
    ("[a](https://x.example/{% if b %}c{% endif %})", 5),
    ("qzjtag1z", 5),
    ("{{ " + "(" * 3000 + " }}", 5),
]


@pytest.mark.parametrize(("body", "line"), BODIES)
def test_mistakes_in_the_text_are_told_with_their_line(body, line):
    item = refused(body, front="subject: a\nlanguage: en")
    assert item.file == "templates/it.md"
    number = int(item.message.removeprefix("line ").partition(":")[0])
    assert number == line or (line == 0 and number >= 5)
    assert "Traceback" not in item.message


def test_a_mistake_in_an_included_letter_names_that_letter():
    item = refused('{% include "other" %}', files={"templates/other.md": "---\nsubject: a\n---\n\n{{ x | nope }}"})
    assert (item.file, item.message[:7]) == ("templates/other.md", "line 5:")


def test_an_unknown_field_in_an_included_letter_names_that_letter():
    files = {"templates/other.md": "---\nsubject: a\n---\n\nHello\n\n{{ nmae }}\n"}
    item = row_problem('Hi\n\n{% include "other" %}', files=files, name="x")
    assert (item.file, item.row, item.message, item.hint) == (
        "templates/other.md",
        7,
        "line 7: the field nmae is not known.",
        "Did you mean name?",
    )


def test_unknown_fields_are_found_before_any_row():
    template = letter(
        "Hi\n\n{{ frist_name }}\n\n{{ case.nmae }}\n", front="subject: a\ncase: {name: x}\nrequired: [citty]"
    )
    found = {item.code + item.message: item for item in template.check(["first_name", "city"])}
    assert [item.hint for item in found.values()] == [
        "Did you mean first_name?",
        "Did you mean city?",
        "Did you mean name?",
    ]
    assert [item.message.partition(":")[0] for item in found.values()] == ["line 8", "line 4", "line 10"]
    assert template.fields == {"frist_name"}


@pytest.mark.parametrize("body", ["", "\n \n", "{# a note\nto myself #}\n"])
def test_a_letter_without_a_text_is_a_problem(body):
    (item,) = letter(body).check(["name"])
    assert (item.code, item.severity) == ("empty-letter", Severity.PROBLEM)
    assert "no text" in item.message
    handmade = {"templates/it.html": "<p>Hello</p>{{ footer }}"}
    assert "empty-letter" not in {found.code for found in letter(body, files=handmade).check(["name"])}


@pytest.mark.parametrize(
    "written",
    [
        "{ first_name }",
        "{first_name}",
        "[[first_name]]",
        "[First name]",
        "<first_name>",
        "%first_name%",
        "«First-Name»",
    ],
)
def test_a_field_in_the_braces_of_other_programs_is_pointed_out(written):
    template = letter(f"Hello {{{{ city or 'x' }}}},\n\n{{% if city %}}y{{% endif %}} {written}!\n")
    found = [item for item in template.check(["first_name", "city"]) if item.code == "field-like"]
    assert [(item.message.partition(":")[0], item.severity) for item in found] == [("line 6", Severity.WARNING)]
    assert found[0].hint == "Fields have two braces: {{ first_name }}"
    assert "field-like" not in {item.code for item in template.check(["city", "name"])}


def test_a_field_in_other_braces_in_the_subject_is_pointed_out():
    found = letter("x", front="subject: Hello {first_name}").check(["first_name"])
    assert [item.code for item in found] == ["field-like"]


@pytest.mark.parametrize(
    "body",
    ["[city](https://example.org)", "{{ {'city': city or 'x'}['city'] }}", "{{ city or '{city}' }}", "[x][city]"],
)
def test_what_is_no_field_is_not_pointed_out(body):
    body += "\n\n[city]: https://example.org\n"
    assert "field-like" not in {item.code for item in letter(body).check(["city"])}


def test_curly_quotes_around_a_text_are_pointed_out():
    template = letter("x", front="subject: “Hello”\npreheader: “a” and b")
    (item,) = template.check([])
    assert (item.code, item.severity, item.message.partition(":")[0]) == ("curly-quotes", Severity.WARNING, "line 2")


def test_optional_fields_and_names_the_letter_sets_are_no_unknown_fields():
    body = "{{ a | default('x') }} {% if b is defined %}{{ b }}{% endif %}\n{% set c = 1 %}\n{{ c }}\n{% for d in [1] %}{{ d }}{% endfor %}\n"
    assert letter(body).check([]) == []


def test_a_field_that_may_be_blank_is_a_warning():
    template = letter(
        "{{ a }} {{ b }} {{ c or 'x' }} {% if d %}{{ d }}{% endif %}\n", front="subject: a\nrequired: [b]"
    )
    items = [item for item in template.check(["a", "b", "d", "c"]) if item.severity is Severity.WARNING]
    assert [item.message for item in items] == ["line 5: the field a may be blank in some rows."]


PLACED = [
    "[x](nowhere.example)",
    "one\n[x](nowhere.example)",
    "* a\n* b\n  [x](nowhere.example)",
    "> a\n\n| a | b |\n|---|---|\n| c | d |\n| e | [x](nowhere.example) |",
    "{# a\nnote #}\n{{\nname\n}} and\n{% if name\n%}\n# [x](nowhere.example)\n{% endif %}",
    "{% set t %}\nx\n{% endset %}\n{{ t }}\n\n```\na\n```\n\n[x](nowhere.example)",
    "{% include 'other' %}\n\na {% include 'other' %}\n[x](nowhere.example)",
    "first\n\n![x](missing.png)",
    "first  \nand ![x](missing.png)",
]


@pytest.mark.parametrize("body", PLACED)
def test_a_bad_link_and_a_missing_picture_are_told_with_their_own_line(body):
    files = {"templates/other.md": "---\nsubject: x\n---\n\none\n\ntwo\n"}
    text = f"---\nsubject: Hello\n---\n{body}\n"
    (line,) = [n for n, one in enumerate(text.split("\n"), 1) if "nowhere" in one or "missing" in one]
    item = refused(body + "\n", files=files)
    assert (item.file, item.line) == ("templates/it.md", line)


def test_a_bad_link_in_an_included_text_is_told_with_that_file():
    files = {"templates/other.md": "---\nsubject: x\n---\n\none\n\n[x](nowhere.example)\n"}
    item = refused("a\n\n{% include 'other' %}\n", files=files)
    assert (item.file, item.line) == ("templates/other.md", 7)


def test_html_and_a_picture_without_description_are_told_with_their_own_line():
    found = letter("a\n\n```\n<b>\n```\n{{ name }} <b>x</b>\n\n![](p.png)\n", files={"p.png": b"x"}).check(["name"])
    lines = {item.code: item.line for item in found}
    assert (lines["letter-html"], lines["image-alt"]) == (9, 11)


BLANK_FIELDS = [
    ("{{ n }}: hello", "{{ n or 'you' }}", [2]),
    ("{{ n }}: hello", "{% if n %}{{ n }}{% endif %}", [2]),
    ("x", "{% if n %}{{ n }}{% endif %}\n\nDear {{ n }}", [6]),
    ("x", "{{ n or 'you' }}\n\nDear {{ n | title }}", [6]),
    ("x", "{{ n | default('you') }}", [4]),
    ("x", "{{ n | default('you', true) }} {{ n | d('you', boolean=true) }}", []),
    ("x", "{% if n is defined %}{{ n }}{% endif %}", [4]),
    ("x", "{{ 'Dear ' ~ n if n else 'you' }} {{ n and 'Dear ' ~ n }}", []),
    ("x", "{% if not n %}you{% elif n == 'a' %}{{ n }}{% else %}{{ n }}{% endif %}", []),
    ("x", "{% if n %}\n{% set t %}\nDear {{ n }}\n{% endset %}\n{% endif %}\n", []),
    ("x", "{% set t %}\nDear {{ n }}\n{% endset %}\n{{ t }}\n", [5]),
]


@pytest.mark.parametrize(("subject", "body", "lines"), BLANK_FIELDS)
def test_a_blank_field_is_excused_only_where_something_stands_in_for_it(subject, body, lines):
    found = letter(body, front=f'subject: "{subject}"').check(["n"])
    assert [item.line for item in found] == lines
    assert {item.code for item in found} <= {"field-not-required"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{{ missing }}", "unknown-field"),
        ("{{ embassy.emial }}", "unknown-field"),
        ("{{ embassy }}", "not-text"),
        ("{{ none }}", "not-text"),
        ("{{ name + 1 }}", "letter-fill"),
        ("{{ 1 / 0 }}", "letter-fill"),
        ("{{ name.nothing }}", "unknown-field"),
        ("{% for a, b in [1] %}{% endfor %}", "letter-fill"),
    ],
)
def test_mistakes_that_only_a_row_shows_are_told_with_row_and_line(body, code):
    item = row_problem(f"one\n\n{body}\n", name="x", embassy={"email": "y"})
    assert (item.code, item.row, item.file) == (code, 7, "templates/it.md")
    assert item.message.startswith("line 6: ")


def test_what_is_known_instead_of_an_unknown_field_names_no_function():
    hint = row_problem("{{ zzzz }}", name="x").hint
    assert "name" in hint
    assert not {"range", "dict", "namespace", "mailto"} & set(re.findall(r"\w+", hint))


def test_no_problem_shows_an_address():
    assert refused(front="subject: a\nsender: Ana: <ana@example.org>").hint == 'Put the text in quotes: sender: "..."'
    item = row_problem(
        "{{ x | date }} {{ embassy['a@b.example'] + 1 }}\n", x="a@b.example", embassy={"a@b.example": "c@d.example"}
    )
    assert "@" not in item.message


def test_a_blank_subject_is_a_problem_of_its_row():
    item = row_problem("text", front="subject: '{{ name }}'", name=" ")
    assert (item.code, item.row) == ("blank-subject", 7)


def test_a_letter_that_does_not_exist_is_told_with_those_that_do():
    shelf = Shelf({"templates/appeal.md": "", "templates/appeal.de.md": "", "templates/motion.md": ""})
    with pytest.raises(LetterError) as caught:
        load("appael", shelf)
    assert caught.value.hint == "Did you mean appeal? Letters there are: appeal, motion."


@pytest.mark.parametrize("name", ["contacts/people.xlsx", "people.CSV"])
def test_a_list_in_the_place_of_the_letter_is_told(name):
    with pytest.raises(LetterError) as caught:
        load(name, Shelf({"templates/appeal.md": ""}))
    assert caught.value.hint == "The letter comes first, then the list. Letters there are: appeal."


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"caf\xe9", b"a\x00b", "---\nsubject: ä\n---\n".encode("latin-1")]
)
def test_a_file_that_is_no_text_is_told(content):
    with pytest.raises(LetterError) as caught:
        load("it", Shelf({"templates/it.md": content}))
    assert caught.value.problems


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_unicode_encodings_and_line_ends_are_read(encoding):
    content = "---\r\nsubject: ä\r\n---\r\nHello\r\n{{ name }}\r\n".encode(encoding)
    message = load("it", Shelf({"templates/it.md": content})).merge(contact(name="ü"), CAMPAIGN)
    assert (message.subject, message.text[:7]) == ("ä", "Hello\nü")


@given(text=st.text(st.sampled_from("{}%# -|\n:'\"[]()<>*_`!&ab.1=~+\\") | st.characters(codec="utf-8"), max_size=80))
@settings(max_examples=120, deadline=None)
def test_whatever_a_letter_holds_ends_in_a_letter_or_a_letter_error(text):
    try:
        template = load("it", Shelf({"templates/it.md": f"---\nsubject: a\n---\n{text}"}))
        assert isinstance(template, Template)
        template.check(["a", "b"])
        template.merge(contact(a="1", b="2"), CAMPAIGN)
    except LetterError as error:
        assert error.problems  # noqa: PT017


@given(text=st.text(st.sampled_from("subject: a\n[]{}&*!|>-'\"#%@`,?~0") | st.characters(codec="utf-8"), max_size=60))
@settings(max_examples=120, deadline=None)
def test_whatever_front_matter_holds_ends_in_a_letter_or_a_letter_error(text):
    try:
        load("it", Shelf({"templates/it.md": f"---\nsubject: a\n{text}\n---\nHello"}))
    except LetterError as error:
        assert error.problems  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.example", "", "a@b.example"),
        ("Rail Branch <a@b.example>", "Rail Branch", "a@b.example"),
        ('"O\'Brien, Pat" <a@b.example>', "O'Brien, Pat", "a@b.example"),
        ('"a \\"b\\"" <a@b.example>', 'a "b"', "a@b.example"),
        ("Jürgen <a@bücher.example>", "Jürgen", "a@bücher.example"),
    ],
)
def test_mailboxes_are_read_strictly(text, name, address):
    mailbox = parse_mailbox(text)
    assert (mailbox.name, mailbox.address) == (name, address)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b", "a@b.example, c@d.example", "A <a@b.example> x", "<a@b.example>, <c@d>", "a b@c.example"],
)
def test_what_is_not_one_mailbox_is_refused(text):
    with pytest.raises(ValueError, match="one address"):
        parse_mailbox(text)
