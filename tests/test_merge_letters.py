"""What Markdown with tags becomes, in HTML and in plain text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_letters import CAMPAIGN, Page, Shelf, body_html, body_text, contact, letter, merged, refused

from mailer.errors import LetterError
from mailer.merge import load
from mailer.model import Identity, Mailbox, Severity


def test_a_loop_around_list_items_makes_one_list():
    message = merged("{% for x in case.all %}\n- {{ x }}\n{% endfor %}\n", front="subject: a\ncase: {all: [one, two]}")
    assert body_html(message) == "<ul><li>one</li>\n<li>two</li>\n</ul>"
    assert body_text(message) == "- one\n- two"


def test_items_before_and_after_a_loop_belong_to_the_same_list():
    body = "- first\n{% for x in case.all %}\n{% if x %}\n- {{ x }}\n{% endif %}\n{% endfor %}\n- last\n"
    message = merged(body, front="subject: a\ncase: {all: [one, two]}")
    assert body_html(message).count("<ul>") == 1
    assert body_html(message).count("<li>") == 4
    assert body_text(message).split("\n") == ["- first", "- one", "- two", "- last"]


def test_an_ordered_list_counts_what_the_loop_made():
    body = "{% for x in case.all %}\n1. {{ x }}\n{% endfor %}\n1. last\n"
    message = merged(body, front="subject: a\ncase: {all: [one, two]}")
    assert body_text(message) == "1. one\n2. two\n3. last"
    assert body_html(message).count("<ol>") == 1


def test_a_loop_around_table_rows_makes_rows():
    body = "| a | b |\n|---|--:|\n{% for x in case.all %}\n| {{ x }} | {{ loop.index }} |\n{% endfor %}\n"
    message = merged(body, front="subject: a\ncase: {all: [one, two]}")
    assert body_html(message).count("<tr>") == 3
    assert body_html(message).count("<table>") == 1
    assert body_text(message) == "a | b\none | 1\ntwo | 2"


def test_a_condition_around_a_table_leaves_no_piece_of_it():
    body = "Hi\n\n{% if name %}\n| a |\n|---|\n| b |\n{% endif %}\n"
    assert "<table" not in merged(body, name="").html
    assert "<td" in merged(body, name="x").html


def test_a_statement_alone_on_a_line_leaves_no_empty_paragraph():
    message = merged("{% if name %}\nHello **{{ name }}**\n{% else %}\nHello\n{% endif %}\n", name="Rosa")
    assert body_html(message) == "<p>Hello <strong>Rosa</strong></p>"


def test_a_statement_inside_a_line_stays_inside_it():
    message = merged("Dear {% if name %}{{ name }}{% else %}friend{% endif %},\n", name="")
    assert body_html(message) == "<p>Dear friend,</p>"
    assert body_text(message) == "Dear friend,"


def test_a_loop_inside_a_list_item_keeps_its_indentation_in_text():
    body = "- demands\n  {% for x in case.all %}\n  - {{ x }}\n  {% endfor %}\n- end\n"
    message = merged(body, front="subject: a\ncase: {all: [one, two]}")
    assert [line for line in body_text(message).split("\n") if line] == ["- demands", "  - one", "  - two", "- end"]
    assert body_html(message).count("<ul>") == 2


def test_braces_in_strings_and_raw_blocks_are_no_tags():
    message = merged("{{ '}}' }} {% raw %}{{ not_a_field }}{% endraw %} {# a comment with }} #}end\n")
    assert body_text(message) == "}} {{ not_a_field }} end"
    assert body_html(message) == "<p>}} {{ not_a_field }} end</p>"


def test_emphasis_around_tags_works_as_around_words():
    assert body_html(merged("**{{ a }}**, *{{ b }}*\n", a="1", b="2")) == "<p><strong>1</strong>, <em>2</em></p>"


def test_text_keeps_headings_quotes_rules_and_breaks_readable():
    body = "# Title\n\n## Part\n\n> said\n> so\n\n---\n\none  \ntwo &amp; \\*three\\*\n"
    assert body_text(merged(body)) == f"Title\n=====\n\nPart\n----\n\n> said\n> so\n\n{'-' * 40}\n\none\ntwo & *three*"


def test_a_link_shows_its_target_in_text_once():
    message = merged("[page](https://a.example/) and <https://b.example/>\n")
    assert body_text(message) == "page <https://a.example/> and https://b.example/"
    assert Page(message.html).targets == ["https://a.example/", "https://b.example/"]


def test_a_link_in_angle_brackets_may_be_a_field():
    message = merged("<{{ case.link }}>\n", front="subject: a\ncase: {link: https://a.example/x}")
    assert body_text(message) == "https://a.example/x"
    assert Page(message.html).targets == ["https://a.example/x"]


def test_html_in_markdown_is_text_and_warned_about():
    template = letter("A <b>bold</b> word\n")
    message = template.merge(contact(), CAMPAIGN)
    assert "A <b>bold</b> word" in message.text
    assert "<b>" not in message.html
    assert [item.code for item in template.warnings] == ["letter-html"]


def test_a_captured_text_is_plain_text_everywhere():
    body = '{% set it %}\nDear *you* & {{ name }},\n\nbye\n{% endset %}\n\n[write]({{ mailto("a@b.example", "S", it) }})\n\n```\n{{ it }}\n```\n'
    message = merged(body, name="<Rosa>")
    assert "Dear you & <Rosa>,\n\nbye" in message.text
    assert "Dear you & <Rosa>,\n\nbye" in Page(message.html).text
    assert Page(message.html).targets == [
        "mailto:a@b.example?subject=S&body=Dear%20you%20%26%20%3CRosa%3E%2C%0D%0A%0D%0Abye"
    ]


def test_mail_links_and_captured_texts_work_inside_loops():
    body = "{% for x in case.all %}\n{% set t %}\nFree {{ x }}!\n{% endset %}\n- [w]({{ mailto(x ~ '@b.example', 's', t) }})\n{% endfor %}\n"
    message = merged(body, front="subject: a\ncase: {all: [one, two]}")
    assert Page(message.html).targets == [f"mailto:{x}@b.example?subject=s&body=Free%20{x}%21" for x in ("one", "two")]
    assert body_text(message) == "- w <one@b.example>\n- w <two@b.example>"


def test_a_mail_link_that_is_too_long_loses_its_text_and_says_so():
    template = letter('[write]({{ mailto("a@b.example", "S", text) }})\n')
    message, warnings = template.merge_with_warnings(contact(text="long " * 500), CAMPAIGN)
    assert Page(message.html).targets == ["mailto:a@b.example?subject=S"]
    assert [(item.code, item.row) for item in warnings] == [("mailto-too-long", 2)]


def test_an_included_letter_is_markdown_of_this_letter():
    other = "---\nsubject: motion\n---\n- {{ name }}\n- b\n"
    message = merged('{% include "motion" %}\n', files={"templates/motion.md": other}, name="Rosa")
    assert body_html(message) == "<ul><li>Rosa</li>\n<li>b</li>\n</ul>"


def test_an_included_letter_comes_in_the_same_language_where_it_has_it():
    files = {
        "templates/it.de.md": 'Hallo\n\n{% include "motion" %}\n',
        "templates/motion.md": "motion\n",
        "templates/motion.de.md": "Antrag\n",
    }
    template = letter('Hello\n\n{% include "motion" %}\n', files=files)
    assert body_text(template.merge(contact(language="de-AT"), CAMPAIGN)) == "Hallo\n\nAntrag"
    assert body_text(template.merge(contact(language="xx"), CAMPAIGN)) == "Hello\n\nmotion"


def test_letters_that_include_each_other_are_refused():
    files = {"templates/a.md": '{% include "it" %}', "templates/b.md": ""}
    assert "circle" in refused('{% include "a" %}\n', files=files).message


@pytest.mark.parametrize("code", ["ur", "ar", "fa", "he"])
def test_a_letter_from_right_to_left_says_so_and_isolates_fields(code):
    message = merged("سلام {{ name }}\n", front=f"subject: a\nlanguage: {code}", name="Rosa")
    assert f'<html lang="{code}" dir="rtl">' in message.html
    assert "<bdi>Rosa</bdi>" in message.html


def test_the_footer_says_only_what_is_set():
    plain = merged("Hello\n")
    assert "just answer" in plain.text
    assert "unsubscribe" not in plain.text.lower()
    full = Identity(
        sender=Mailbox(address="campaign@example.org", name="A & B"),
        postal_address="1 Mill Road\nLeeds",
        unsubscribe_url="https://leave.example/x?a=1&b=2",
        unsubscribe_mailto="leave@example.org",
    )
    message = letter("Hello\n").merge(contact(), full)
    for part in ("Sent by A & B.", "1 Mill Road\nLeeds", "https://leave.example/x?a=1&b=2", "leave@example.org"):
        assert part in message.text
    assert Page(message.html).targets == ["https://leave.example/x?a=1&b=2", "mailto:leave@example.org"]
    assert "1 Mill Road<br>Leeds" in message.html
    assert "just answer" not in message.text


def test_front_matter_overrides_the_identity():
    front = 'subject: a\nsender: "Rail, Branch" <rail@example.net>\nreply_to: answers@example.net\nlist_id: rail.example.net'
    front = front.replace('sender: "Rail, Branch" <rail@example.net>', "sender: '\"Rail, Branch\" <rail@example.net>'")
    identity = merged("x\n", front=front).identity
    assert identity.sender == Mailbox(address="rail@example.net", name="Rail, Branch")
    assert identity.reply_to == Mailbox(address="answers@example.net")
    assert identity.list_id == "rail.example.net"


def test_a_language_inherits_the_front_matter_and_overrides_by_key():
    files = {"templates/it.de.md": "---\nsubject: Hallo {{ name }}\n---\nText\n"}
    template = letter("Text\n", front="subject: Hello\nlist_id: a.example\nto_name: '{{ name }} x'", files=files)
    message = template.merge(contact(language="DE", name="Rosa"), CAMPAIGN)
    assert (message.subject, message.identity.list_id, message.to.name) == ("Hallo Rosa", "a.example", "Rosa x")
    assert template.languages == ("en", "de")


def test_the_layout_fetches_nothing_and_is_small():
    message = merged("Hello\n")
    assert len(message.html.encode()) < 8_000
    assert "http" not in message.html
    assert "prefers-color-scheme: dark" in message.html
    assert '<p style="margin: 0 0 14px;">' in message.html


def test_a_campaign_may_have_its_own_layout():
    layout = "<html><head><style>p{color:red}</style></head><body>{% if name %}{{ content }}{% endif %}{{ footer }}</body></html>"
    message = merged("Hello\n", files={"templates/layout.html": layout}, name="x")
    assert '<p style="color: red;">Hello</p>' in message.html


def test_hand_made_html_and_text_are_used_as_they_are():
    files = {
        "templates/it.html": '<html><body><p>Hi {{ name }}</p><a href="{{ link }}">x</a>{{ footer }}</body></html>',
        "templates/it.txt": "Hi {{ name }}!\n{{ footer }}",
    }
    message = merged("unused\n", files=files, name="<R>", link="https://a.example/")
    assert "<p>Hi &lt;R&gt;</p>" in message.html
    assert message.text.startswith("Hi <R>!\n-- \nSent by")
    assert Page(message.html).targets[0] == "https://a.example/"


def test_a_date_is_written_out_in_the_letters_language():
    files = {"templates/it.de.md": "{{ day | date }}\n"}
    template = letter("{{ day | date }}\n", files=files)
    assert body_text(template.merge(contact(day="2026-05-01"), CAMPAIGN)) == "1 May 2026"
    assert body_text(template.merge(contact(day="2026-05-01", language="de"), CAMPAIGN)) == "1. Mai 2026"


def test_merging_twice_gives_the_same():
    template = letter("# {{ name }}\n\n1. {{ name }}\n")
    assert template.merge(contact(name="a"), CAMPAIGN) == template.merge(contact(name="a"), CAMPAIGN)


def test_a_hand_made_page_of_one_language_is_not_sent_with_the_text_of_another():
    files = {"templates/it.html": "<p>English</p>", "templates/it.de.md": "Deutsch\n"}
    template = letter("English\n", files=files)
    german = template.merge(contact(language="de"), CAMPAIGN)
    assert "Deutsch" in german.html
    assert "English" not in german.html
    assert "<p>English</p>" in template.merge(contact(), CAMPAIGN).html


def test_a_layout_without_a_place_for_the_letter_is_refused():
    assert "{{ content }}" in (refused("x", files={"templates/layout.html": "<p>hi</p>"}).hint or "")
    template = letter("x", files={"templates/layout.html": "<p>{{ content }}</p>"})
    assert [item.code for item in template.warnings] == ["letter-layout"]


def test_a_folded_subject_is_one_line():
    assert merged("x", front="subject: >\n  Hello\n  {{ name }}", name="Rosa").subject == "Hello Rosa"


def test_a_line_after_a_closed_table_is_a_paragraph():
    body = "{% if a %}\n| a |\n|---|\n{% for i in [1, 2] %}\n| {{ i }} |\n{% endfor %}\n{% endif %}\nafter {{ a }}\n"
    message = merged(body, a="x")
    assert body_html(message).endswith("</table>\n<p>after x</p>")
    assert body_text(merged(body, a="")).strip() == "after"


def test_trimming_signs_do_not_join_lines():
    body = "{%- for i in [1, 2] -%}\n- {{- i -}}\n{%- endfor -%}\n"
    assert body_html(merged(body)) == "<ul><li>1</li>\n<li>2</li>\n</ul>"


LINES = [
    "{% for i in [1, 2] %}",
    "{% endfor %}",
    "{% if a %}",
    "{% endif %}",
    "{% else %}",
    "{% set v %}",
    "{% endset %}",
    "- x",
    "  - y",
]
LINES += [
    "1. z",
    "| a | b |",
    "|---|---|",
    "> q",
    "text {{ a }}",
    "",
    "# h",
    "```",
    "    {{ a }}",
    "***",
    "[l](https://a.example/{{ a }})",
]


@given(lines=st.lists(st.sampled_from(LINES), max_size=9))
@settings(max_examples=150, deadline=None)
def test_whatever_tags_enclose_the_html_stays_well_formed(lines):
    try:
        message = merged("\n".join(lines), a="1")
    except LetterError:
        return
    assert "qzjtag" not in message.html + message.text
    opened: list[str] = []
    for closing, name in re.findall(r"<(/?)(\w+)", body_html(message)):
        if closing:
            assert opened.pop() == name
        elif name not in {"br", "hr", "img"}:
            opened.append(name)
    assert opened == []


def test_a_letter_in_a_language_without_a_foot_of_its_own_says_so():
    files = {
        "templates/it/letter.md": "---\nsubject: x\n---\nx\n",
        "templates/it/letter.ar.md": "---\nsubject: y\n---\ny\n",
    }
    (item,) = load("it", Shelf(files)).check([])
    assert (item.code, item.file, item.severity) == ("foot-language", "templates/it/letter.ar.md", Severity.WARNING)
    assert "the letter is in ar, and its foot in English" in item.message
    assert letter("x", front="subject: x\nlanguage: de-at").check([]) == []
