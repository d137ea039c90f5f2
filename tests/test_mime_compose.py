"""The headers, the structure and the refusals of a composed message (DESIGN, section 9)."""

import re
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from fast_mail_parser import parse_email, parse_email_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.errors import LetterError
from mailer.mime import ComposeError, compose, message_id
from mailer.mime.attachments import EncodedParts
from mailer.model import Attachment, Contact, Identity, Letter, Mailbox

NOW = datetime(2026, 11, 23, 9, 5, 7, tzinfo=UTC)
PAT = Contact(address="pat@branch.example", key="pat@branch.example", row=7, name="Pat")
MESSAGE_ID = message_id(b"secret", "appeal", PAT.key, "union.example")
LONG_URL = "https://union.example/unsubscribe/" + "a1B2-_~" * 40 + "?c=%C3%A9&d=1,2"
FULL = Identity(
    sender=Mailbox(address="office@union.example", name="Union of Dockers"),
    reply_to=Mailbox(address="answers@union.example"),
    bounce_address="bounces@union.example",
    list_id="Appeals <appeals.union.example>",
    unsubscribe_url=LONG_URL,
    unsubscribe_mailto="leave@union.example?subject=unsubscribe",
)
MOTION = Attachment(filename="motion.pdf", content_type="application/pdf", content=b"%PDF-1.7 motion")
LOGO = Attachment(filename="logo.png", content_type="image/png", content=b"\x89PNG logo", content_id="logo")


def letter(**changes) -> Letter:
    values = {
        "subject": "An appeal",
        "text": "Dear Pat\n",
        "html": "<p>Dear Pat</p>\n",
        "language": "en",
        "identity": Identity(sender=FULL.sender),
        "to": Mailbox(address=PAT.address, name="Pat"),
    }
    return Letter(**(values | changes))


def content(contact=PAT, message_id=MESSAGE_ID, date=NOW, **changes) -> bytes:
    return compose(letter(**changes), contact=contact, message_id=message_id, date=date).content


def refusal(contact=PAT, **changes) -> ComposeError:
    with pytest.raises(ComposeError) as caught:
        content(contact=contact, **changes)
    return caught.value


def shape(part) -> object:
    children = [shape(child) for child in part.children]
    return (part.content_type.partition(";")[0], *children) if children else part.content_type.partition(";")[0]


def test_the_head_of_a_message_is_exactly_these_lines():
    head, _, _ = content(identity=FULL).partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "From: Union of Dockers <office@union.example>",
        "To: Pat <pat@branch.example>",
        "Reply-To: answers@union.example",
        "Subject: An appeal",
        "Date: Mon, 23 Nov 2026 09:05:07 +0000",
        f"Message-ID: {MESSAGE_ID}",
        "List-ID: Appeals <appeals.union.example>",
        f"List-Unsubscribe: <{LONG_URL}>, <mailto:leave@union.example?subject=unsubscribe>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="=_a_{MESSAGE_ID[1:].partition("@")[0]}"',
    ]


def test_the_envelope_is_the_bounce_address_and_the_contact_and_in_no_header():
    message = compose(letter(identity=FULL), contact=PAT, message_id=MESSAGE_ID, date=NOW)
    assert (message.envelope.mail_from, message.envelope.rcpt_to) == ("bounces@union.example", PAT.address)
    assert b"bounces@" not in message.content


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones()))
def test_the_date_is_written_in_utc_whatever_the_time_zone(date):
    try:
        utc = date.astimezone(UTC)
    except OverflowError:
        return
    head = content(date=date).partition(b"\r\n\r\n")[0]
    (line,) = re.findall(rb"\r\nDate: ([^\r]*)", head)
    assert line.endswith(b" +0000")
    assert line.decode() == utc.strftime("%a, %d %b ") + f"{utc.year:04d}" + utc.strftime(" %H:%M:%S +0000")


def test_a_date_without_a_time_zone_is_our_own_mistake():
    with pytest.raises(ValueError, match="time zone"):
        content(date=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "html", "attachments", "expected"),
    [
        ("t", "", (), "text/plain"),
        ("", "h", (), "text/html"),
        ("", "", (), "text/plain"),
        ("t", "h", (), ("multipart/alternative", "text/plain", "text/html")),
        ("t", "", (MOTION,), ("multipart/mixed", "text/plain", "application/pdf")),
        ("", "h", (LOGO,), ("multipart/related", "text/html", "image/png")),
        (
            "t",
            "h",
            (LOGO, MOTION),
            (
                "multipart/mixed",
                ("multipart/alternative", "text/plain", ("multipart/related", "text/html", "image/png")),
                "application/pdf",
            ),
        ),
        ("t", "", (LOGO,), ("multipart/mixed", "text/plain", "image/png")),
    ],
)
def test_a_level_with_one_child_is_left_out(text, html, attachments, expected):
    assert shape(parse_email_tree(content(text=text, html=html, attachments=attachments))) == expected


def test_an_image_is_inline_and_found_by_its_content_id():
    (image,) = parse_email(content(attachments=(LOGO,)), strict=True).attachments
    assert (image.content_id, image.disposition, image.content) == ("logo", "inline", LOGO.content)


@pytest.mark.parametrize(
    "content_type",
    [
        "message/rfc822",
        "multipart/mixed",
        "nonsense",
        "",
        "text/",
        "a/b; x=é",
        "text/plain; boundary",
        "a/" + "b" * 1000,
    ],
)
def test_a_type_that_base64_or_the_grammar_forbids_becomes_unknown_data(content_type):
    mail = Attachment(
        filename="mail.eml", content_type=content_type, content=b"From: a@b.example\r\n\r\n.\r\n" + b"x" * 2000
    )
    (found,) = parse_email(content(attachments=(mail,)), strict=True).attachments
    assert (found.mimetype, found.content) == ("application/octet-stream", mail.content)


@pytest.mark.parametrize(
    ("data", "given_type", "written"),
    [
        ("Löhne".encode(), "text/csv", "text/csv; charset=utf-8"),
        ("Löhne".encode("cp1252"), "text/csv", "text/csv"),
        (b"x", "text/calendar; method=REQUEST", "text/calendar; method=REQUEST; charset=utf-8"),
        (b"x", "text/plain; charset=iso-8859-1", "text/plain; charset=iso-8859-1"),
        (b"x", 'text/plain; name="evil.exe"', "text/plain"),
    ],
)
def test_a_text_attachment_says_its_charset_where_that_is_sure(data, given_type, written):
    file = Attachment(filename="a.csv", content_type=given_type, content=data)
    assert f'\r\nContent-Type: {written}; name="a.csv"\r\n'.encode() in content(attachments=(file,))


def test_lines_that_transit_would_change_are_escaped():
    sent = content(text="From here\n.\n..\nnot From here\n", html="")
    body = sent.partition(b"\r\n\r\n")[2]
    assert body == b"=46rom here\r\n=2E\r\n=2E.\r\nnot From here\r\n"


@settings(deadline=None)
@given(st.text("=_-am\r\n" + MESSAGE_ID, max_size=80))
def test_no_part_contains_a_boundary_line(text):
    token = MESSAGE_ID[1:].partition("@")[0]
    forged = f"\n--=_a_{token}\n--=_m_{token}--\n{text}"
    file = Attachment(filename=f"=_m_{token}", content_type="text/plain", content=forged.encode())
    sent = content(text=forged, html=forged, attachments=(file, LOGO))
    for level in "amr":
        lines = re.findall(rf"^--=_{level}_{token}(?:--)?\r$".encode(), sent, re.MULTILINE)
        assert len(lines) == {"a": 3, "m": 3, "r": 3}[level]
    mail = parse_email(sent, strict=True)
    assert [a.content for a in mail.attachments] == [LOGO.content, file.content]


@settings(deadline=None)
@given(st.text(), st.text())
def test_the_same_arguments_give_the_same_bytes(subject, text):
    def once():
        try:
            return content(subject=subject, text=text, identity=FULL, attachments=(MOTION, LOGO))
        except ComposeError as error:
            return error.problems

    assert once() == once()


def test_an_address_in_another_script_needs_smtputf8_and_only_then_is_raw():
    plain = compose(letter(to=Mailbox(address=PAT.address, name="Zoë")), contact=PAT, message_id=MESSAGE_ID, date=NOW)
    assert plain.content.isascii()
    assert not plain.needs_smtputf8
    zoe = Contact(address="zoë@branch.example", key="zoë@branch.example", row=3)
    message = compose(letter(to=Mailbox(address=zoe.address)), contact=zoe, message_id=MESSAGE_ID, date=NOW)
    assert message.needs_smtputf8
    assert "\r\nTo: zoë@branch.example\r\n".encode() in message.content
    assert parse_email(message.content).to[0].address == zoe.address


def test_domains_in_other_scripts_are_written_as_a_labels():
    identity = Identity(sender=Mailbox(address="büro@straße.example"), bounce_address="b@straße.example")
    message = compose(letter(identity=identity), contact=PAT, message_id=MESSAGE_ID, date=NOW)
    assert "From: büro@xn--strae-oqa.example\r\n".encode() in message.content
    assert message.envelope.mail_from == "b@xn--strae-oqa.example"


@pytest.mark.parametrize(
    "address",
    [
        "", "pat", "@branch.example", "pat@", "a@x.example, b@y.example", "a@x.example b@y.example", "<a@x.example>", "a b@x.example",
        "a@@x.example", "a@x..example", "a@-x.example", "a,b@x.example", "a;@x.example", "a(c)@x.example", "a@x.example>",
        "a\u00a0b@x.example", "a@x y.example", "a" * 250 + "@x.example", "a..b@x.example", "a@[127.0.0.1]", 'a"b@x.example',
    ],
)  # fmt: skip
def test_what_is_not_one_address_is_refused_with_its_row_and_without_the_address(address):
    error = refusal(to=Mailbox(address=address), contact=Contact(address=address, key="k", row=9))
    assert isinstance(error, LetterError)
    assert [(problem.code, problem.row) for problem in error.problems] == [("bad-address", 9)]
    assert not address or address not in f"{error} {error.problems[0].message}"


def test_every_flaw_of_a_letter_is_told_at_once():
    error = refusal(
        subject="a\nBcc: x@y.example",
        text="half \ud800",
        to=Mailbox(address=PAT.address, name="Pat\r\nBcc: x@y.example"),
        attachments=(Attachment(filename="a/b.pdf", content_type="application/pdf", content=b""),),
    )
    assert [problem.code for problem in error.problems] == [
        "control-character", "control-character", "control-character", "bad-attachment-name",
    ]  # fmt: skip
    assert "To header" in error.problems[0].message
    assert "Subject" in error.problems[1].message
    assert "line break" in str(error)
    assert str(error).startswith("Row 7: ")
    assert "@" not in str(error)


@pytest.mark.parametrize(
    "character", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\udc80"]
)
def test_no_control_character_enters_a_header(character):
    for change in (
        {"subject": f"a{character}b"},
        {"to": Mailbox(address=PAT.address, name=f"a{character}b")},
        {"to": Mailbox(address=f"a{character}b@branch.example")},
        {"attachments": (Attachment(filename=f"a{character}b", content_type="text/plain", content=b""),)},
    ):
        assert refusal(**change).problems[0].code == "control-character"


@pytest.mark.parametrize(
    ("url", "mailto"),
    [
        ("https://union.example/é", None), ("https://union.example/ x", None), ("https://union.example/<x>", None),
        ("https://union.example/%zz", None), ("javascript:alert(1)", None), ("union.example/u", None),
        ("https://union.example/\r\nBcc: x", None), ("https://union.example/" + "x" * 1000, None),
        (None, "leave"), (None, "mailto:?subject=x"), (None, "leave@union.example?subject=leave me"), (None, '"a b"@union.example'),
    ],
)  # fmt: skip
def test_an_unsubscribe_link_that_would_need_encoding_is_refused(url, mailto):
    error = refusal(identity=Identity(sender=FULL.sender, unsubscribe_url=url, unsubscribe_mailto=mailto))
    assert error.problems[0].code in {"bad-unsubscribe-link", "control-character"}


def test_one_click_is_promised_only_for_https():
    for url, mailto, line in (
        ("http://union.example/u", None, b"List-Unsubscribe: <http://union.example/u>\r\n"),
        (None, "mailto:leave@union.example", b"List-Unsubscribe: <mailto:leave@union.example>\r\n"),
    ):
        sent = content(identity=Identity(sender=FULL.sender, unsubscribe_url=url, unsubscribe_mailto=mailto))
        assert line in sent
        assert b"List-Unsubscribe-Post" not in sent
    assert b"List-Unsubscribe" not in content()


@pytest.mark.parametrize(
    ("list_id", "written"),
    [
        ("appeals.union.example", "<appeals.union.example>"),
        ("<appeals.union.example>", "<appeals.union.example>"),
        ('"Appeals, urgent" <appeals.union.example>', '"Appeals, urgent" <appeals.union.example>'),
        ("Appels à l'aide <a.union.example>", "=?utf-8?Q?Appels_=C3=A0_l=27aide?= <a.union.example>"),
    ],
)
def test_the_list_id_has_its_brackets(list_id, written):
    sent = content(identity=Identity(sender=FULL.sender, list_id=list_id))
    assert f"\r\nList-ID: {written}\r\n".encode() in sent


@pytest.mark.parametrize("list_id", ["appeals", "a b.c", "x <a.b", "é.example", "<a.b> c", "a.b\r\nBcc: x"])
def test_a_list_id_that_is_none_is_refused(list_id):
    assert refusal(identity=Identity(sender=FULL.sender, list_id=list_id)).problems[0].row == 7


def test_message_ids_are_stable_and_differ_by_secret_campaign_and_address():
    ids = {
        message_id(secret, campaign, key, "union.example")
        for secret in (b"s", b"t")
        for campaign, key in (("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""))
    }
    assert len(ids) == 8
    assert message_id(b"s", "ab", "c", "union.example") in ids
    assert all(re.fullmatch(r"<[a-z2-7]{32}@union\.example>", found) for found in ids)


@settings(deadline=None)
@given(st.binary(), st.text(st.characters()), st.text(st.characters()))
def test_a_message_id_tells_nothing_and_is_legal_for_any_campaign_name(secret, campaign, key):
    assert re.fullmatch(r"<[a-z2-7]{32}@xn--strae-oqa\.example>", message_id(secret, campaign, key, "Straße.example"))


def test_a_message_id_needs_a_domain():
    with pytest.raises(ComposeError):
        message_id(b"s", "c", "k", "not a domain")


def test_a_fixed_attachment_is_encoded_once():
    parts = EncodedParts(1_000_000)
    again = Attachment(filename="motion.pdf", content_type="application/pdf", content=bytes(bytearray(MOTION.content)))
    assert parts.part(MOTION) is parts.part(MOTION)
    assert parts.part(again) is parts.part(MOTION)


def test_encoded_attachments_do_not_pile_up():
    parts = EncodedParts(10_000)
    for number in range(50):
        parts.part(Attachment(filename=f"{number}.pdf", content_type="application/pdf", content=b"x" * 1000))
    assert parts.size <= 10_000
    assert 0 < len(parts.parts) < 10
    parts.part(Attachment(filename="big.pdf", content_type="application/pdf", content=b"x" * 20_000))
    assert parts.size == len(parts.parts) == 0


def test_the_machine_and_its_time_zone_leave_no_trace():
    import platform

    sent = content(identity=FULL, date=NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert sent == content(identity=FULL)
    for trace in (platform.node(), platform.python_version(), "X-Mailer", "User-Agent", time.tzname[0] + " ", "+0530"):
        assert trace.encode() not in sent.replace(b"UTC ", b"")
