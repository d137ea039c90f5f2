"""Messages read back: the same as Python's own parser finds, and calm about anything else."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from preview_samples import LOGO, MOTION, composed, contact, letter

from mailer.preview.frame import document
from mailer.preview.parts import fields, leaves
from mailer.preview.reading import Enclosed, read

WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60)


@example(text="0", subject="0", name=" ", content=b"")
@settings(max_examples=80, deadline=None)
@given(text=WORDS, subject=WORDS, name=WORDS.map(lambda n: n.replace("/", "_")), content=st.binary(max_size=300))
def test_every_part_is_read_as_pythons_own_parser_reads_it(text, subject, name, content):
    mail = EmailMessage()
    mail["Subject"] = subject
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(f"<p>{text}</p>", subtype="html", cte="base64")
    mail.add_attachment(content, maintype="application", subtype="pdf", filename=name)
    sent = mail.as_bytes(policy=email.policy.SMTP)
    again = email.message_from_bytes(sent, policy=email.policy.default)
    reading = read(sent)
    assert reading.header("subject") == " ".join(str(again["Subject"]).split())
    assert reading.text == again.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert reading.html == again.get_body(("html",)).get_content().replace("\r\n", "\n")
    (file,) = reading.attachments
    (expected,) = again.iter_attachments()
    # a name of nothing but blanks could not be seen in the list of attachments
    name_shown = " ".join(expected.get_filename().split()) or "without a name"
    assert (file.content, file.filename) == (expected.get_content(), name_shown)


def test_images_shown_in_the_letter_are_no_attachments():
    reading = read(composed(letter(contact(1))).content)
    assert [(file.filename, file.content) for file in reading.attachments] == [(MOTION.filename, MOTION.content)]
    assert reading.images == {
        LOGO.content_id: Enclosed(filename="logo.png", content_type="image/png", content=LOGO.content)
    }


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.lists(
        st.sampled_from(
            [b"Content-Type: multipart/mixed; boundary=a", b"Content-Type: multipart/mixed; boundary*=x''%ff", b"--a",
             b"--a--", b"", b"Content-Type: text/html; charset=nope", b"Content-Transfer-Encoding: base64", b"=?x?q?=?=",
             b"Content-Disposition: attachment; filename*0*=bogus''%e4;", b"Subject: =?utf-8?b?//?=", b" folded", b"\xff"]
        ),
        max_size=14,
    ).map(b"\r\n".join)
)  # fmt: skip
def test_no_bytes_can_make_reading_fail(content):
    reading = read(content)
    document(reading.html or "", reading.images)


def test_a_thousand_nested_multiparts_are_read_to_a_depth_and_no_further():
    content = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000))
    assert len(list(leaves(content))) == 1


def test_folded_and_repeated_headers_are_kept_in_order():
    head = b"Received: a\r\n\tb\r\nX: 1\r\nReceived: c\r\nno header\r\n"
    assert fields(head) == [("Received", "a b"), ("X", "1"), ("Received", "c")]


def test_lines_that_only_begin_like_a_delimiter_do_not_end_a_part():
    content = (
        b"Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\nx --ab\r\n--abc\r\n--ab-\r\n--ab--\r\nepilogue"
    )
    assert [leaf.body for leaf in leaves(content)] == [b"x --ab\r\n--abc\r\n--ab-"]


@pytest.mark.parametrize(
    "hostile",
    [
        '<LINK rel="preconnect" href="https://evil.example">',
        "<link rel=dns-prefetch href=//evil.example",
        '<li<link x>nk rel="preconnect" href="https://evil.example">',
        '<base href="https://evil.example/" target=_top>',
        '<meta http-equiv="refresh" content="0;url=https://evil.example">',
        "<META content='>' HTTP-EQUIV=refresh>",
        '<IFRAME src="https://evil.example">',
        '<object data="https://evil.example">',
    ],
)
def test_what_no_policy_stops_is_not_in_the_shown_copy(hostile):
    shown = document(hostile, {}).partition('<base target="_blank">')[2].lower()
    for opening in ("<link", "<base", "<meta", "<iframe", "<object"):
        assert opening not in shown


def test_the_letters_own_words_and_harmless_meta_tags_are_left_alone():
    source = '<html lang="ur" dir="rtl"><meta name="color-scheme" content="light dark"><p>target = 5 &amp; more</p>'
    assert document(source, {}).endswith(source)


def test_an_image_is_shown_from_the_message_and_an_unknown_one_is_left():
    image = Enclosed(filename="a", content_type="image/png", content=b"png")
    shown = document('<img src="cid:a%40b"><td background=cid:c><img src=cid:d>', {"a@b": image, "c": image})
    assert shown.count("data:image/png;base64,cG5n") == 2
    assert "cid:d" in shown
    page = Enclosed(filename="a", content_type="text/html", content=b"x")
    assert "data:" not in document('<img src="cid:a">', {"a": page}).partition("_blank")[2]
