"""A message that need not be made has the fingerprint that tells it from every other, and nothing is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest
from hard_letters import IDENTITY, folder, people, source
from hypothesis import example, given, settings
from hypothesis import strategies as st
from merge_letters import letter

from mailer.campaign.prints import MOST, Prints
from mailer.campaign.rendering import Press, Rendered
from mailer.campaign.sealing import SEALED_DATE, fingerprint
from mailer.errors import LetterError
from mailer.merge import Template
from mailer.mime import compose, message_id
from mailer.mime.addresses import named_line
from mailer.mime.compose import TEXT_HEAD
from mailer.model import Contact, Identity, Mailbox, Message


def contact(name: str = "Pat", city: str = "Leeds", *, row: int = 2, address: str = "pat@branch.example") -> Contact:
    fields = {"name": name, "city": city, "embassy": {"email": "embassy@state.example"}}
    return Contact(address=address, key=address, row=row, name=name, fields=fields)


def press(template: Template, identity: Identity = IDENTITY) -> Press:
    return Press(
        template=template,
        identity=identity,
        secret=b"secret",
        campaign="appeal",
        list_path="list.csv",
        watched=("city",),
    )


@contextmanager
def in_full() -> Iterator[None]:
    """Every message is made."""
    with mock.patch.object(Prints, "of", return_value=None):
        yield


def message_to(template: Template, one: Contact, identity: Identity = IDENTITY) -> Message:
    letter = template.merge(one, identity)
    identifier = message_id(b"secret", "appeal", one.key, identity.sender.domain)
    return compose(letter, contact=one, message_id=identifier, date=SEALED_DATE)


def told(made: Rendered) -> tuple[object, ...]:
    return (
        made.tokens,
        list(made.problems),
        list(made.warnings),
        made.unrendered,
        made.senders,
        made.blank,
        made.shows_way_out,
        [bool(number) for number in made.fingerprints],
    )


@settings(deadline=None, max_examples=80)
@given(source, source, people)
@example("{{ name }}", "{{ city }}", [contact("\ud800"), contact("a\x00"), contact("a\nBcc: x"), contact("", "")])
@example(
    "{{ name }}", "{{ city }}", [contact(address=address) for address in ("a b@c", "é@b.example", "a@é.example", "")]
)
def test_what_is_found_is_what_is_found_when_every_message_is_made(text, html, contacts):
    try:
        template = folder(text, html)
    except LetterError:
        return
    found = press(template).render(contacts)
    with in_full():
        full = press(template).render(contacts)
    assert told(found) == told(full)


words = st.sampled_from(["", "a", "b", "ab", "é", "<", "&lt;", " ", "=3C", "\n"])
places = st.lists(st.sampled_from(["{{ name }}", "{{ city }}", "a", "b", "-", "é", "<", "=3C"]), min_size=1, max_size=4)


@settings(deadline=None, max_examples=120)
@given(places, places, places, st.lists(st.tuples(words, words), min_size=2, max_size=6))
@example(["{{ name }}", "-", "{{ city }}"], ["a"], ["b"], [("a", "b"), ("b", "a"), ("ab", ""), ("", "ab")])
def test_messages_of_one_fingerprint_are_the_same(subject, text, html, cells):
    try:
        template = folder("".join(text), "".join(html), "".join(subject).replace("\\", ""))
    except LetterError:
        return
    prints, seen = Prints(template, (IDENTITY,)), {}
    for name, city in cells:
        # the name in To is the same for all, so that they differ in the letter alone
        one = replace(contact(name, city), name="Pat")
        if known := prints.of(one):
            assert seen.setdefault(known.number, message_to(template, one)) == message_to(template, one)


def test_nearly_all_messages_of_an_ordinary_letter_need_not_be_made():
    template = folder("Dear {{ name }} of {{ city }}\n{{ footer }}", "<p>{{ name }}</p>{{ footer }}")
    people = [contact(f"Pat {row}", "Umeå", row=row, address=f"p{row}@branch.example") for row in range(2, 52)]
    with mock.patch("mailer.mime.compose", wraps=compose) as made:
        assert not press(template).render(people).problems
    # the first, the specimens, and the one with the longest words
    assert made.call_count < 10


@pytest.mark.parametrize(
    "other",
    [
        contact("Pit"),
        contact(city="Hull"),
        contact(address="pit@branch.example"),
        replace(contact(), name="Patricia"),
    ],
)
def test_another_word_is_another_fingerprint(other):
    prints = Prints(folder("{{ name }}", "{{ city }}"), (IDENTITY,))
    assert prints.of(contact()).number != prints.of(other).number


@pytest.mark.parametrize(
    "other",
    [
        folder("{{ name }} {{ city }}", "<p>{{ city }}</p>", "For {{ name }}"),
        folder("{{ name }} {{ city }}", "<p>{{ name }}</p>", "For  {{ name }}"),
        folder("{{ name }}{{ city }}", "<p>{{ name }}</p>", "For {{ name }}"),
        folder("{{ name }} {{ city }}", "<i>{{ name }}</i>", "For {{ name }}"),
    ],
)
def test_another_letter_is_another_fingerprint(other):
    known = Prints(folder("{{ name }} {{ city }}", "<p>{{ name }}</p>", "For {{ name }}"), (IDENTITY,)).of(contact())
    assert known.number != Prints(other, (IDENTITY,)).of(contact()).number


def test_letters_of_many_values_are_told_apart_by_where_each_stands():
    """There are fewer specimens than values: none may stand in the place of another."""
    names = [f"field{number}" for number in range(9)]
    one = replace(contact(), fields={"name": "Pat", **{name: name for name in names}})
    there = "".join(f"{{{{ {name} }}}}" for name in names)
    swapped = there.replace("field0", "x").replace("field6", "field0").replace("x", "field6")
    found = [Prints(folder(there, html), (IDENTITY,)).of(one) for html in (there, swapped)]
    assert found[0].number != found[1].number


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, sender=Mailbox(address="office@union.example", name="Office")),
        replace(IDENTITY, reply_to=None),
        replace(IDENTITY, bounce_address="returns+{token}@union.example"),
        replace(IDENTITY, list_id="Calls <calls.union.example>"),
    ],
)
def test_another_identity_is_another_fingerprint(other):
    template = folder("{{ name }}", "{{ city }}")
    assert Prints(template, (IDENTITY,)).of(contact()).number != Prints(template, (other,)).of(contact()).number
    both = Prints(template, (IDENTITY, other)).of(contact())
    assert both.number not in {Prints(template, (one,)).of(contact()).number for one in (IDENTITY, other)}


def test_the_fingerprint_is_the_same_in_every_ledger():
    """So that two people who preview one folder get one seal: neither tokens nor secrets count."""
    template = folder("{{ name }}{{ footer }}", "{{ city }}{{ footer }}")
    rows = [contact(), contact(city="two\nlines", row=3, address="q@b.example")]
    assert [Prints(template, (IDENTITY,)).of(row) is None for row in rows] == [False, True]
    made = [replace(press(template), secret=secret).render(rows) for secret in (b"1", b"2")]
    assert made[0].fingerprints == made[1].fingerprints
    assert made[0].tokens != made[1].tokens


@pytest.mark.parametrize(
    "changed",
    [
        mock.patch.dict(TEXT_HEAD, {"html": TEXT_HEAD["html"].replace(b"utf-8", b"UTF-8")}),
        mock.patch("mailer.merge.straight.written_in_html", lambda value: value),
        mock.patch("mailer.mime.compose.named_line", lambda header, name, spec: named_line(header, name or "?", spec)),
        mock.patch("mailer.mime.compose._body", return_value=[b"Content-Type: text/plain\r\n\r\nnothing\r\n"]),
    ],
    ids=["heads of parts", "values in HTML", "contacts without a name", "empty texts"],
)
def test_a_version_that_writes_messages_otherwise_has_other_fingerprints(changed):
    template = folder("{{ name }}", "<p>{{ city }}</p>")
    known = Prints(template, (IDENTITY,)).of(contact())
    with changed:
        assert Prints(template, (IDENTITY,)).of(contact()).number != known.number


@pytest.mark.parametrize("long", ["w" * (MOST + 1), "word " * MOST])
def test_a_message_of_many_words_is_made_and_measured(long):
    template = folder("{{ name }}", "{{ city }}")
    assert Prints(template, (IDENTITY,)).of(contact(city=long)) is None
    made = press(template).render([contact(), contact(city=long, row=3, address="q@branch.example")])
    assert made.largest > len(long)


def test_the_longest_message_is_known_though_it_was_not_made():
    template = folder("Dear {{ name }}", "<p>{{ city }}</p>")
    rows = [contact(row=row, city="w" * row, address=f"p{row:04}@branch.example") for row in range(2, 300)]
    with in_full():
        full = press(template).render(rows)
    assert press(template).render(rows).largest == full.largest
    # the same from several slices
    parts = Rendered()
    for first in range(0, len(rows), 50):
        parts.add(press(template).render(rows[first : first + 50]))
    assert parts.largest == full.largest


@pytest.mark.parametrize(
    "longest", [{"name": "é" * 150}, {"name": "=" * 150}, {"city": "&" * 1900}, {"name": "n" * 300}]
)
def test_the_longest_is_that_whose_words_take_most_in_all_their_places(longest):
    template = folder("{{ name }} " * 40, "<p>{{ city }}</p>" * 20)
    others = [contact(), contact(name="x" * 60, city="w" * 400), contact(city="w" * 500)]
    rows = [
        replace(one, row=row, address=f"p{row}@branch.example", key=f"p{row}@branch.example")
        for row, one in enumerate([*others, contact(**longest), *others], start=2)
    ]
    with in_full():
        full = press(template).render(rows)
    assert press(template).render(rows).largest == full.largest
    assert press(template).render(rows[3:4]).largest == full.largest


def test_the_longest_may_be_in_the_language_with_the_longest_letter():
    front = "---\nsubject: For {{ name }}\n---\n"
    template = letter(
        front="subject: For {{ name }}",
        body="A long letter. " * 2000 + "{{ name }}\n",
        files={"templates/it.de.md": front + "Kurz. {{ name }}\n"},
    )
    rows = [
        replace(contact("n" * length, row=row, address=f"p{row}@branch.example"), language=language)
        for row, (language, length) in enumerate([("en", 5), ("de", 5), ("en", 800), ("de", 900), ("en", 7)], start=2)
    ]
    with in_full():
        full = press(template).render(rows)
    assert press(template).render(rows).largest == full.largest


def test_the_longest_is_the_same_from_any_number_of_slices():
    template = folder("Dear {{ name }}", "<p>{{ city }}</p>")
    rows = [contact(row=row, city="w" * (row * 7 % 50), address=f"p{row:04}@branch.example") for row in range(2, 90)]
    found = set()
    for size in (1, 3, 30, 100):
        parts = Rendered()
        for first in range(0, len(rows), size):
            parts.add(press(template).render(rows[first : first + size]))
        found.add(parts.largest)
    assert len(found) == 1


NO_MARKS_THERE = replace(IDENTITY, unsubscribe_url=None, unsubscribe_mailto=None)


@pytest.mark.parametrize(
    ("subject", "text"), [("{{ unsubscribe_ or '' }}{{ city }}", "{{ name }}"), ("Hello", "{{ unsubscribe_ or city }}")]
)
def test_a_letter_that_asks_for_a_token_that_there_is_not_is_told_apart(subject, text):
    template = folder(text, "{{ name }}", subject)
    rows = [
        contact(city=city, row=row, address=f"p{row}@branch.example")
        for row, city in enumerate(["Leeds", "", "Hull", ""], start=2)
    ]
    found = press(template, NO_MARKS_THERE).render(rows)
    with in_full():
        full = press(template, NO_MARKS_THERE).render(rows)
    assert told(found) == told(full)
    prints = Prints(template, (NO_MARKS_THERE,))
    assert prints.of(rows[0]).number != prints.of(rows[2]).number


def test_a_message_that_fails_although_it_seemed_right_is_left_out_and_told():
    """As would be a flaw of ours: the longest is made after all, and what is wrong with it belongs to its row."""
    template = folder("Dear {{ name }}", "<p>{{ city }}</p>")
    rows = [
        contact(),
        contact(city="w" * 90, row=3, address="q@branch.example"),
        contact(row=4, address="r@branch.example"),
    ]

    def picky(letter, **given):
        if given["contact"].row == 3:
            raise LetterError("Row 3: no.")
        return compose(letter, **given)

    with mock.patch("mailer.mime.compose", picky):
        made = press(template).render(rows)
    assert [(problem.row, problem.message) for problem in made.problems] == [(3, "Row 3: no.")]
    assert list(made.unrendered) == ["q@branch.example"]
    assert [bool(number) for number in made.fingerprints] == [True, False, True]
    assert made.tokens.split() == [made.tokens[:32], made.tokens[64:]]


@pytest.mark.parametrize(
    "text",
    [
        "{{ name }}" * 300,
        pytest.param("{{ name }} " * 42_000, marks=pytest.mark.thorough),
        pytest.param("a line of text\n" * 330_000 + "{{ name }}", marks=pytest.mark.thorough),
    ],
    ids=["many places", "places without number", "a long letter"],
)
def test_a_message_that_may_become_too_large_is_always_made(text):
    """Of the last, the specimens alone are long; of the others, only with many words."""
    template = folder(text, "{{ city }}")
    assert Prints(template, (IDENTITY,)).of(contact()) is None
    assert not press(template).render([contact()]).problems


@pytest.mark.thorough
def test_a_letter_that_is_too_long_is_told_with_its_row():
    template = folder("a line of text\n" * 400_000 + "{{ name }}", "{{ city }}")
    assert [problem.code for problem in press(template).render([contact()]).problems] == ["letter-too-much"]


@pytest.mark.parametrize("name", ["Pat \U0001fae8", "Pat \U0002ebf0", "Pat\u00a0Lee", "Pat\u00ad"])
def test_a_fingerprint_does_not_depend_on_what_this_python_knows_of_unicode(name):
    """The first two are printable for some versions of Python only."""
    assert Prints(folder("{{ name }}", "{{ city }}"), (IDENTITY,)).of(contact(name)) is not None


def test_fingerprints_of_made_messages_are_over_all_their_bytes():
    template = folder("{% for part in name %}{{ part }}{% endfor %}", "<p>{{ city }}</p>")
    made = press(template).render([contact()])
    assert list(made.fingerprints) == [fingerprint(message_to(template, contact()))]
