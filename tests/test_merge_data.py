"""Whatever stands in a cell is shown as it stands there, and nothing else happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_letters import CAMPAIGN, Page, body_text, contact, letter, merged, row_problem

from mailer.errors import LetterError

NASTY = [
    "{{ 7*7 }}",
    "{% for x in range(9) %}",
    "{# gone #}",
    "**x** _y_ `z` [a](https://evil.example)",
    "<script>alert(1)</script>",
    "&lt;b&gt; &amp;",
    "<!--qzjtag0z-->qzjtag1z",
    "</title></style></main>",
    '" onclick="x',
    "'",
    "# not a heading",
    "1. no list",
    "| a | b |",
    "بلاول \u202eevil\u202c 🚩👩🏽‍🏭",
    "a\\nb \\ \\\\",
    "{",
    "{{",
    "${x} %s %(x)s {0.__class__}",
]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=60) | st.sampled_from(
    NASTY
)
LETTER = letter(
    "Dear {{ name }}!\n\n- {{ name }}\n\n> {{ name }}\n\n| a |\n|---|\n| {{ name }} |\n",
    front="subject: For {{ name }}",
)
LINKS = letter("[a](https://a.example/?b={{ x }}&c=1) [m](mailto:a@b.example?subject={{ x }})\n")
MAIL = letter("[x]({{ mailto('a@b.example', s, t) }})\n")
TITLED = letter('[x](https://a.example/ "to {{ name }}") `{{ name }}`\n')


@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
def test_any_text_is_rendered_literally(text):
    message = LETTER.merge(contact(name=text), CAMPAIGN)
    assert message.subject == f"For {text}"
    assert f"Dear {text}!" in message.text
    page = Page(message.html)
    assert page.text.count(text) >= 4
    assert set(page.elements) <= set(Page(LETTER.merge(contact(name="plain"), CAMPAIGN).html).elements)
    assert page.targets == []


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_in_attributes_and_code_stays_text(text):
    page = Page(TITLED.merge(contact(name=text), CAMPAIGN).html)
    assert text in page.text
    assert page.targets == ["https://a.example/"]
    assert "script" not in page.elements


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_in_every_other_field_is_harmless(text):
    front = "subject: '{{ x }}'\npreheader: '{{ x }}'\nto_name: '{{ x }}'\nreason: '{{ x }}'"
    message = merged("[{{ x }}](https://a.example/{{ x }}?q={{ x }})\n", front=front, x=text)
    page = Page(message.html)
    assert "script" not in page.elements
    assert message.to.name == message.subject == text
    assert len(page.targets) == 1
    assert page.targets[0].startswith("https://a.example/")
    assert text in page.text
    assert text in message.text


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "ftp://a.example",
        "page.html",
        "",
        "https://",
        "https://a.example/\u202egpj.exe",
    ],
)
def test_a_link_target_from_data_must_be_a_whole_web_or_mail_link(target):
    item = row_problem("text\n\n[x]({{ link }})\n", link=target)
    assert (item.code, item.row, item.file) == ("bad-link", 7, "templates/it.md")
    assert item.message.startswith("line 6:")


@pytest.mark.parametrize(
    "target", ["https://a.example/ä?b=c&d=e#f", "http://a.example", "mailto:a@b.example?subject=x"]
)
def test_web_and_mail_links_from_data_survive(target):
    assert len(Page(merged("[x]({{ link }})\n", link=target).html).targets) == 1


@given(text=TEXTS)
@settings(max_examples=80, deadline=None)
def test_data_inside_a_link_cannot_add_parameters_or_recipients(text):
    web, mail = Page(LINKS.merge(contact(x=text), CAMPAIGN).html).targets
    assert web.count("&") == 1
    assert web.count("#") == 0
    assert mail.count("&") == 0
    assert mail.startswith("mailto:a@b.example?subject=")


@given(subject=TEXTS, body=TEXTS)
@settings(max_examples=80, deadline=None)
def test_a_mail_link_carries_subject_and_text_exactly(subject, body):
    from urllib.parse import parse_qs, urlsplit

    message = MAIL.merge(contact(s=subject, t=body), CAMPAIGN)
    target = Page(message.html).targets[0]
    query = parse_qs(urlsplit(target).query, keep_blank_values=True, strict_parsing=bool(urlsplit(target).query))
    if len(target) < 1900 and body.strip():
        assert query["body"] == [body.strip().replace("\n", "\r\n")]
    assert query.get("subject", [""]) == [" ".join(subject.split())]
    assert "\n" not in target


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b.example?bcc=c@d.example", "a b@c.example", "a@b.example\nBcc: x"]
)
def test_a_mail_link_needs_an_address(address):
    assert row_problem("[x]({{ mailto(to, 's') }})\n", to=address).code == "bad-link"


@pytest.mark.parametrize("name", ["mailto", "case", "sender", "contact", "row", "fields", "range", "block_", "footer_"])
def test_a_column_never_replaces_what_letters_rely_on(name):
    body = "{{ mailto('a@b.example') }} {{ case.x }} {{ sender.name }} {{ contact.row }} {{ fields['" + name + "'] }}\n"
    row = replace(contact(), fields={name: "EVIL"})
    message = letter(body, front="subject: a\ncase: {x: y}").merge(row, CAMPAIGN)
    assert body_text(message) == "mailto:a@b.example y Solidarity Campaign 2 EVIL"


def test_a_column_may_have_the_name_of_a_python_method():
    message = merged("{{ embassy.items }} {{ embassy.values }}\n", embassy={"items": "1", "values": "2"})
    assert body_text(message) == "1 2"


def test_original_headers_are_reached_through_fields():
    message = letter("{{ fields['E-mail Address'] }}\n").merge(contact(**{"E-mail Address": "x"}), CAMPAIGN)
    assert body_text(message) == "x"


def test_all_problems_of_a_row_come_together():
    template = letter("{{ a | date }}\n", front="subject: '{{ b | date }}'\nrequired: [c]")
    with pytest.raises(LetterError) as caught:
        template.merge(contact(row=9, a="x", b="y", c=""), CAMPAIGN)
    assert [item.code for item in caught.value.problems] == ["blank-field", "bad-date", "bad-date"]
    assert {item.row for item in caught.value.problems} == {9}
    assert caught.value.problems[0].column == "c"
