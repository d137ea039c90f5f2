"""Compiled messages are, byte for byte, those of the straightforward composition, for every contact in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import reference_composition as reference
from hard_letters import IDENTITY, cell, folder, people, piece, source
from hypothesis import example, given, settings
from hypothesis import strategies as st
from merge_letters import CAMPAIGN

from mailer.campaign.sealing import fingerprint
from mailer.errors import LetterError
from mailer.merge import Template
from mailer.mime import ComposeError, compose, delivery_token, message_id, words
from mailer.mime.bodies import quoted_printable
from mailer.mime.frame import KEPT as IDENTITIES
from mailer.mime.frame import Frame
from mailer.mime.pieces import Memory, memory
from mailer.model import Attachment, Contact, Identity, Letter, Mailbox, Marks, Message, Problem
from mailer.model.messages import Merged, Mould
from mailer.tokens import Purpose, Tokens

NOW = datetime(2026, 11, 23, 9, 5, 7, 999_999, tzinfo=UTC)

small = st.builds(
    Memory,
    moulds=st.sampled_from([1, 2, 256]),
    words=st.sampled_from([1, 2, 1024]),
    lines=st.sampled_from([1, 2, 1024]),
    kept=st.sampled_from([1, 200, 10_000_000]),
)


def encoded(kept: Memory, text: str) -> bytes:
    return b"".join(kept.encoded(text, "plain"))


@st.composite
def ordered(draw) -> tuple[list[str], list[int], list[list[str]]]:
    """The constants of a text, its order, and the values of several contacts."""
    constants = draw(st.lists(piece, min_size=1, max_size=4))
    count = draw(st.integers(0, 3))
    numbers = [~number for number in range(len(constants))] + list(range(count)) * 2
    order = draw(st.lists(st.sampled_from(numbers), max_size=8))
    return constants, order, draw(st.lists(st.lists(piece, min_size=count, max_size=count), min_size=1, max_size=6))


@settings(deadline=None, max_examples=250)
@given(ordered(), small)
@example((["a ", "\n"], [~0, 0, ~1], [["x"], [""], ["y "], ["x"]]), Memory())
@example((["a" * 74, "\nb"], [~0, 0, ~1], [["x"], ["xy"], ["xyz"], ["="]]), Memory())
@example((["", "om here\n"], [~0, 0, ~1], [["Fr"], ["A"], ["Fr"]]), Memory())
@example((["From ", ", hello\n"], [~0, 0, ~1], [["Pat"], ["P" * 90]]), Memory())
@example((["x", "." + "a" * 80 + "\n"], [~0, 0, ~1], [["b" * length] for length in range(70, 80)]), Memory())
@example((["x\n", "\n"], [~0, 0, ~1], [["."], ["From "], ["one\ntwo "], ["one\n"], ["\n"]]), Memory())
def test_a_text_of_constants_and_values_is_encoded_as_the_whole_text_would_be(made, kept):
    constants, order, contacts = made
    mould = Mould(constants, order)
    for values in contacts:
        text = Merged.of([constants[~n] if n < 0 else values[n] for n in order], mould, values)
        assert encoded(kept, text) == reference.quoted_printable(text)


@settings(deadline=None, max_examples=250)
@given(st.lists(piece, min_size=1, max_size=4), st.data(), small)
def test_pieces_in_any_order_are_encoded_as_the_whole_text_would_be(constants, data, kept):
    mould = Mould(constants)
    drawn = st.lists(st.sampled_from(constants) | piece, max_size=8)
    for pieces in data.draw(st.lists(drawn, min_size=1, max_size=6)):
        text = Merged.of(pieces, mould)
        assert encoded(kept, text) == reference.quoted_printable(text)


@pytest.mark.parametrize("after", ["", "\n", "\nend", ".", ". And on.\n", "é", "=", " ", " \n"])
@pytest.mark.parametrize("last", ["b", "é", "=", " ", "\t", "."])
def test_at_a_line_s_last_columns_every_length_comes_out_right(after, last):
    kept = Memory()
    for length in range(66, 80):
        before = "a" * length
        for ordered in (None, [~0, 0, ~1]):
            mould = Mould([before, after], ordered)
            # a blank after other characters, so that what was learnt of those is at hand
            for value in [
                *("b" * many for many in range(12)),
                *("b" * many + last for many in range(11)),
                "b\n" + last,
            ]:
                text = Merged.of([before, value, after], mould, [value])
                assert encoded(kept, text) == reference.quoted_printable(text)
                halves = Merged.of([before[:60], value, before[60:], value, after], Mould([after]))
                assert encoded(kept, halves) == reference.quoted_printable(halves)


@settings(deadline=None)
@given(piece)
def test_an_ordinary_string_is_encoded_as_before(text):
    assert encoded(memory, text) == quoted_printable(text) == reference.quoted_printable(text)


def test_most_texts_are_encoded_from_value_to_value():
    """Falling back to whole lines would be as right, and the comparisons above would show nothing."""
    kept = Memory()
    constants = ["Dear ", ",\n\nyour branch in ", " has heard of it. " * 9 + "\nIn solidarity\n"]
    mould = Mould(constants, [~0, 0, ~1, 1, ~2])
    for number in range(400):
        values = [f"Pat Müller {number}", f"Leeds {number % 9}"]
        text = Merged.of([constants[0], values[0], constants[1], values[1], constants[2]], mould, values)
        assert encoded(kept, text) == reference.quoted_printable(text)
    assert not kept.lines


# --- whole letters, through Jinja


def marks_of(contact: Contact) -> Marks:
    tokens, delivery = Tokens(b"secret"), delivery_token(b"secret", "appeal", contact.key)
    return Marks(tokens.sign(Purpose.UNSUBSCRIBE, delivery), tokens.sign(Purpose.BOUNCE, delivery))


def outcome(template: Template, contact: Contact, identity: Identity = IDENTITY) -> Letter | list[object]:
    try:
        return template.merge(contact, identity, marks_of(contact))
    except LetterError as error:
        return list(error.problems)


def assert_composed_alike(letter: Letter, contact: Contact) -> None:
    """Bytes, envelope and refusals are those of a letter that remembers nothing of how it was made."""
    identifier = message_id(b"secret", "appeal", contact.key, "union.example")
    plain = letter._replace(subject="".join(letter.subject), text="".join(letter.text), html="".join(letter.html))
    found, refused = attempt(letter, contact, identifier)
    assert refused == attempt(plain, contact, identifier)[1]
    assert {problem.row for problem in refused} <= {contact.row}
    if found is not None:
        expected = reference.composed(plain, contact, identifier, NOW)
        assert (*found.envelope, found.content) == expected
        ascii_only = expected[2].isascii() and f"{expected[0]}{expected[1]}".isascii()
        assert found.needs_smtputf8 is not ascii_only


def attempt(letter: Letter, contact: Contact, identifier: str) -> tuple[Message | None, Sequence[Problem]]:
    try:
        return compose(letter, contact=contact, message_id=identifier, date=NOW), ()
    except ComposeError as error:
        return None, error.problems


@settings(deadline=None, max_examples=60)
@given(source, source, people)
@example("From {{ name }}\n.{{ city }}\n{{ name }}{{ city }}", "<p>{{ name }}</p>", [])
def test_a_letter_merged_by_jinja_is_composed_as_the_reference_does(text, html, contacts):
    try:
        template = folder(text, html)
    except LetterError:
        return
    for contact in contacts:
        letter = outcome(template, contact)
        if isinstance(letter, Letter):
            assert_composed_alike(letter, contact)


@settings(deadline=None, max_examples=60)
@given(source, source, people)
def test_the_quick_way_to_merge_gives_what_the_long_one_gives(text, html, contacts):
    # a loop that never runs keeps a letter on the long way
    idle = "{% for _ in [] %}{% endfor %}"
    try:
        quick, long = folder(text, html), folder(text + idle, html + idle, "For {{ name }}" + idle)
    except LetterError:
        return
    for contact in contacts:
        for there in (contact, replace(contact, fields={"city": "Leeds"})):
            one, other = outcome(quick, there), outcome(long, there)
            if isinstance(one, Letter) and isinstance(other, Letter):
                assert one == other
            else:
                assert one == other or (not isinstance(one, Letter) and not isinstance(other, Letter))
                assert [(p.code, p.row, p.message) for p in one] == [(p.code, p.row, p.message) for p in other]


TOKENS = (
    "",
    "{{ unsubscribe_ }}",
    "{{ unsubscribe_ or city }}",
    "{{ unsubscribe_ | upper }}",
    "{{ unsubscribe_ }} {{ unsubscribe_ | upper }} {{ unsubscribe_ }}",
)


@settings(deadline=None, max_examples=60)
@given(source, source, people, st.tuples(st.sampled_from(TOKENS), st.sampled_from(TOKENS)), st.booleans())
@example("{{ city }}", "{{ footer }}{{ name }}", [], (TOKENS[1], ""), True)
def test_a_letter_of_words_that_are_known_is_the_one_that_is_merged(text, html, contacts, tokens, leaves):
    try:
        template = folder(f"{text}{tokens[0]}", f"{html}{tokens[1]}")
    except LetterError:
        return
    identity = IDENTITY if leaves else replace(IDENTITY, unsubscribe_url=None, unsubscribe_mailto=None)
    named = Contact(address="p@a.example", key="p", row=9, fields={"name": "<O'Neil>", "city": "unsubscribe_"})
    for contact in (*contacts, named):
        words = template.words(contact, identity)
        marks = marks_of(contact) if leaves else Marks()
        if words is not None:
            made = template.letter(words, contact, marks)
            assert made == template.merge(contact, identity, marks)
            assert_composed_alike(made, contact)


def test_a_plain_letter_takes_the_quick_way():
    template = folder("Dear {{ name }} of {{ embassy.email }}\n", "<p>{{ name }}</p>{{ footer }}")
    contact = Contact(
        address="p@branch.example", key="p", row=2, fields={"name": "<Pat>", "embassy": {"email": "e@state.example"}}
    )
    letter = template.merge(contact, IDENTITY)
    assert isinstance(letter.html, Merged)
    assert letter.html.mould.order is not None
    assert "&lt;Pat&gt;" in letter.html
    assert letter.text == "Dear <Pat> of e@state.example\n"
    assert template.merge(contact, IDENTITY).html.mould is letter.html.mould
    # the footer says the same to everybody but for the token, so that nothing else is left to fill in
    assert list(letter.html.values) == ["&lt;Pat&gt;", ""]


def test_values_that_jinja_takes_for_equal_are_not_the_same():
    template = folder("{{ city or 0 }} {{ city or false }} {{ city or 1 }} {{ city or 1.0 }}\n", "{{ city or false }}")
    one = Contact(address="p@branch.example", key="p", row=2, fields={"name": "Pat", "city": ""})
    letter = template.merge(one, IDENTITY)
    assert isinstance(letter.text, Merged)
    assert letter.text == "0 False 1 1.0\n"
    assert "False" in letter.html


def test_a_footer_is_that_of_the_identity_it_is_merged_for():
    template = folder("{{ footer }}", "{{ footer }}")
    contact = Contact(address="p@branch.example", key="p", row=2, fields={"name": "Pat"})
    for _ in range(2):
        ours, theirs = template.merge(contact, IDENTITY), template.merge(contact, CAMPAIGN)
        assert "Union Office" in ours.text
        assert "Union Office" not in theirs.text
        assert "Solidarity Campaign" in theirs.html
        assert "https://union.example/leave" in ours.html
        assert "https://union.example/leave" not in theirs.html


names = (
    st.sampled_from(["Pat", "Pat O'Brien", "Pat, 3", 'Pat "P" Müller', "", " ", "José", "你" * 40, "x" * 90, "=?x?="])
    | cell
)
addresses = st.sampled_from(
    ["pat@branch.example", "pat.o'brien+x@branch.example", '"pat o"@branch.example', "pät@branch.example", "pat@bränch.example",
     "pat@", "pat", "a b@c.example", "a..b@c.example", "x" * 250 + "@c.example", "p@-c.example", "p@c_d.example", "p@c.example\n"]
)  # fmt: skip
LOGO = Attachment(filename="logo.png", content_type="image/png", content=b"\x89PNG", content_id="logo")
MOTION = Attachment(filename="motion.pdf", content_type="application/pdf", content=b"%PDF")


@settings(deadline=None, max_examples=300)
@given(names, names, addresses, st.sampled_from([(), (LOGO,), (MOTION,), (LOGO, MOTION)]), st.tuples(piece, piece))
@example("Pat", "Pat", "pat@branch.example", (), ("", ""))
@example("Pat", "Pat", "pat@branch.example", (), ("text", ""))
@example("Pat", "Pat", "pat@branch.example", (), ("\0", "\ud800"))
def test_headers_and_structure_are_those_of_the_reference(name, subject, address, attachments, bodies):
    text, html = bodies
    identity = replace(IDENTITY, sender=Mailbox(address="office@union.example", name=name))
    contact = Contact(address=address, key=address, row=7, name=name)
    constants = ["For ", ": an appeal, the third"]
    letter = Letter(
        subject=Merged.of([constants[0], subject, constants[1]], Mould(constants)),
        text=Merged.of([text], Mould()),
        html=Merged.of([html], Mould()),
        language="en",
        identity=identity,
        to=Mailbox(address=address, name=name),
        attachments=attachments,
    )
    assert_composed_alike(letter, contact)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"])), max_size=4))
@example(["trailing ", " ", "_=?", "é" * 60, "a" * 300])
def test_words_of_a_header_are_encoded_octet_by_octet(pieces):
    for one in pieces:
        words.encode(one, used=0)
    assert "".join([words.forms[one][0] for one in pieces]) == reference.q_form("".join(pieces))


@settings(deadline=None)
@given(st.binary(max_size=100), st.text(st.characters()), st.text(st.characters()))
@example(b"x" * 64, "a", "b")
@example(b"x" * 65, "a", "b")
def test_a_message_id_is_the_hmac_that_it_always_was(secret, campaign, key):
    token = reference.message_token(secret, campaign, key)
    assert message_id(secret, campaign, key, "Union.Example") == f"<{token}@union.example>"


# --- fingerprints


# as campaigns were frozen before links had tokens
UNMARKED = replace(
    IDENTITY,
    bounce_address="bounces@union.example",
    unsubscribe_url="https://union.example/leave",
    unsubscribe_mailto="leave@union.example",
)


def message_of(secret: bytes = b"one", date: datetime = NOW, text: str = "Dear Pat,\n") -> Message:
    contact = Contact(address="pat@branch.example", key="pat@branch.example", row=2)
    letter = Letter("An appeal", text, "<p>Dear Pat</p>\n", "en", UNMARKED, Mailbox("pat@branch.example", "Pat"))
    identifier = message_id(secret, "appeal", contact.key, "union.example")
    return compose(letter, contact=contact, message_id=identifier, date=date)


def test_a_fingerprint_leaves_out_the_date_and_the_token_of_the_ledger():
    prints = {
        fingerprint(message_of(secret, NOW.replace(year=year))) for secret in (b"1", b"2") for year in (2026, 2031)
    }
    assert len(prints) == 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 80), st.sampled_from(["", "\n", " ", ".", "="]))
def test_a_fingerprint_leaves_out_the_tokens_of_links_wherever_a_line_breaks(column, after):
    template = folder("a" * column + "{{ footer }}" + after, "<p>" + "a" * column + "</p>{{ footer }}")
    contact = Contact(address="p@branch.example", key="p", row=2, fields={"name": "Pat"})
    found = set()
    for secret in (b"1", b"2"):
        tokens, delivery = Tokens(secret), delivery_token(secret, "appeal", "p")
        marks = Marks(tokens.sign(Purpose.UNSUBSCRIBE, delivery), tokens.sign(Purpose.BOUNCE, delivery))
        letter = template.merge(contact, IDENTITY, marks)
        identifier = message_id(secret, "appeal", "p", "union.example")
        message = compose(letter, contact=contact, message_id=identifier, date=NOW)
        assert marks.unsubscribe in letter.html
        assert marks.unsubscribe in letter.text
        assert message.envelope.mail_from == f"bounces+{marks.bounce}@union.example"
        lines = [line for line in message.content.split(b"\r\n") if line.startswith(b"List-Unsubscribe")]
        assert lines == [
            f"List-Unsubscribe: <https://union.example/leave?a=1&token={marks.unsubscribe}>,"
            f" <mailto:leave+{marks.unsubscribe}@union.example?subject=unsubscribe>".encode(),
            b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        ]
        found.add(fingerprint(message, marks))
    assert len(found) == 1


def test_a_fingerprint_is_what_earlier_versions_recorded():
    # the ledgers of campaigns under way hold these numbers: another one would keep their messages from being sent
    assert fingerprint(message_of()) == -4104528324079890653


def test_a_fingerprint_notices_every_byte_and_the_envelope():
    message = message_of()
    date = message.content.index(b"Date: ")
    known = fingerprint(message)
    for at in range(len(message.content)):
        if not date - 2 <= at < message.content.index(b"\r\n", date) + 2:
            changed = bytearray(message.content)
            changed[at] ^= 1
            assert fingerprint(message._replace(content=bytes(changed))) != known
    for envelope in (
        message.envelope._replace(mail_from="other@union.example"),
        message.envelope._replace(rcpt_to="other@branch.example"),
    ):
        assert fingerprint(message._replace(envelope=envelope)) != known


# --- memory


def test_what_is_remembered_does_not_grow_with_the_list():
    kept = Memory(moulds=4, words=50, lines=50, kept=20_000)
    constants = ["Dear ", ",\n\nyour branch in ", " has heard of it. " * 9 + "\n", "\nIn solidarity\n"]
    moulds = [Mould(constants, [~0, 0, ~1, 1, ~2, 2, ~3]) for _ in range(40)]
    for number in range(20_000):
        mould = moulds[number // 500]
        values = [f"Pat {number}", "L" * (number % 70), f"one line {number}\nand {number} more\n"]
        pieces = [constants[~n] if n < 0 else values[n] for n in mould.order]
        kept.encoded(Merged.of(pieces, mould, values), "plain")
        words.encode(f"é {number}", used=4)
    assert len(kept.moulds) <= 4
    assert len(kept.words) <= 50
    assert len(kept.old_words) <= 50
    assert 0 < len(kept.lines) <= 50
    assert len(words.forms) <= words.KEPT
    held = sum(
        len(data) for known in kept.moulds.values() for steps in known.steps.values() for data, _ in steps.values()
    )
    assert held <= kept.kept <= 20_000


def test_identities_met_do_not_pile_up():
    frame = Frame()
    for number in range(3 * IDENTITIES):
        sender = Mailbox(address=f"office{number}@union.example", name=f"Office {number}")
        identity = replace(IDENTITY, sender=sender, bounce_address=None)
        for _ in range(2):
            fixed = frame.of(identity)
            assert fixed.before_to == f"From: Office {number} <office{number}@union.example>\r\n"
            assert fixed.mail_from == [f"office{number}@union.example"]
    assert len(frame._known) <= IDENTITIES
