"""The letter as its reader gets it: each thing that filters, programs and eyes mind, and letters in which they find nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.model import Attachment, Identity, Letter, Mailbox
from mailer.preflight import Check, letter
from mailer.preflight.colours import BLACK, WHITE, contrast, parse, written
from mailer.preflight.page import look_at

IDENTITY = Identity(
    sender=Mailbox("office@union.example", "Union Office"),
    postal_address="Union Office, 1 Example Street, Exampletown",
    unsubscribe_url="https://union.example/leave",
)
FOOTER = "Union Office, 1 Example Street, Exampletown"


def written_letter(body: str = "", *, subject: str = "An appeal", **other: object) -> Letter:
    html = (
        f'<html lang="en"><head><title>x</title></head><body><p>Dear friends</p>{body}'
        f'<p>{FOOTER} <a href="https://union.example/leave">leave</a></p></body></html>'
    )
    text = f"Dear friends\n\n{FOOTER}\nhttps://union.example/leave\n"
    given = {"subject": subject, "text": text, "html": html, "language": "en", "identity": IDENTITY}
    return Letter(**{**given, "to": Mailbox("pat@union.example"), **other})


def lint(made: Letter) -> list[Check]:
    found = list(letter.lint(made))
    assert all(check.fix for check in found if check.level != "ok")
    return found


def doubts(made: Letter) -> list[str]:
    return [f"{check.level} {check.code}" for check in lint(made) if check.level != "ok"]


def test_an_ordinary_letter_raises_no_doubt() -> None:
    assert doubts(written_letter()) == []
    assert {check.code for check in lint(written_letter())} == {"unsubscribe", "postal-address", "letter-long"}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("", ["fail subject"]),
        (" \t", ["fail subject"]),
        ("SUPPORT THE STRIKE NOW", ["warn subject-capitals"]),
        ("NUT and UCU", []),
        ("TUC 2026", []),
        ("طلبہ کے ساتھ یکجہتی کا پیغام", []),
        ("Re: our meeting", ["warn subject-reply"]),
        ("AW: unser Treffen", ["warn subject-reply"]),
        ("Regarding: our meeting", []),
        ("x" * 78, []),
        ("x" * 79, ["warn subject-long"]),
    ],
)
def test_a_subject_is_judged(subject: str, expected: list[str]) -> None:
    assert doubts(written_letter(subject=subject)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<a href="https://union.example/x">read on</a>', []),
        ('<a href="http://union.example/x">read on</a>', ["warn link-http"]),
        ('<a href="https://union.example/x">https://union.example/x</a>', []),
        ('<a href="https://union.example/x">www.union.example</a>', []),
        ('<a href="https://news.union.example/x">union.example</a>', []),
        ('<a href="https://tracker.example/x">https://union.example</a>', ["warn link-text"]),
        ('<a href="https://tracker.example/x">union.example/<b>appeal</b></a>', ["warn link-text"]),
        ('<a href="https://localhost:8000/x">read on</a>', ["fail link-private"]),
        ('<a href="https://192.168.1.4/x">read on</a>', ["fail link-private"]),
        ('<a href="https://[::1]/x">read on</a>', ["fail link-private"]),
        ('<a href="http://nas.local/x">read on</a>', ["fail link-private", "warn link-http"]),
        ('<a href="https://[broken/x">read on</a>', []),
        ('<a href="mailto:pat@union.example">pat@union.example</a>', []),
    ],
)
def test_links_are_judged(body: str, expected: list[str]) -> None:
    assert doubts(written_letter(body)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"unsubscribe_url": None}, ["warn unsubscribe"]),
        ({"unsubscribe_url": "https://union.example/other"}, ["warn unsubscribe"]),
        ({"unsubscribe_url": None, "unsubscribe_mailto": "office@union.example?subject=x"}, ["warn unsubscribe"]),
        ({"postal_address": None}, ["warn postal-address"]),
        ({"postal_address": "Elsewhere 2"}, ["warn postal-address"]),
        ({"postal_address": "Union\u00a0Office,\n1 Example Street"}, []),
    ],
)
def test_the_way_off_the_list_and_the_sender_must_be_seen(change: dict[str, str | None], expected: list[str]) -> None:
    identity = replace(IDENTITY, **change)
    assert doubts(written_letter(identity=identity)) == expected


def test_which_form_of_the_letter_lacks_the_way_out_is_said() -> None:
    made = written_letter(text="Dear friends")
    assert {check.code: "its plain text." in check.message for check in lint(made) if check.level == "warn"} == {
        "unsubscribe": True,
        "postal-address": True,
    }


def test_what_is_hidden_from_readers_is_not_seen() -> None:
    html = f'<html lang="en"><body>Dear<div style="display:none">{FOOTER}</div></body></html>'
    assert doubts(written_letter(html=html)) == ["warn unsubscribe", "warn postal-address"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<p style="color: #777">grey</p>', ["warn contrast"]),
        ('<p style="color:#767676">grey</p>', []),
        ('<p style="color: #777; font-size: 24px">large grey</p>', []),
        ('<td bgcolor="#c00000"><font color="#FFF">white on red</font></td>', []),
        ('<td style="background: #ffd url(x)"><b style="color: yellow !important">yellow</b></td>', ["warn contrast"]),
        ('<p style="color: white">unseen</p>', ["warn contrast"]),
        ('<p style="color: white; display: none">a preview line</p>', []),
        ('<p style="color: var(--text); background: linear-gradient(red, blue)">who knows</p>', []),
        ('<p style="color: rgb(200, 200, 200)"> </p>', []),
        ('<br><img src="cid:x"><p>no words</p>', ["warn image-alt"]),
        ('<img src="cid:x" alt="">', []),
    ],
)
def test_colours_and_pictures_are_judged(body: str, expected: list[str]) -> None:
    assert doubts(written_letter(body)) == expected


def test_html_without_a_language_or_too_long_is_pointed_out() -> None:
    made = written_letter("<p>" + "word " * 21_000 + "</p>")
    assert doubts(made._replace(html=made.html.replace(' lang="en"', ""))) == ["warn lang", "warn letter-long"]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("motion.pdf", 10, []),
        ("motion.PDF", 5_000_001, ["warn attachment-size"]),
        ("setup.EXE", 10, ["fail attachment-kind"]),
        ("motion.docm", 10, ["warn attachment-kind"]),
        ("motion", 10, []),
    ],
)
def test_attachments_are_judged(name: str, size: int, expected: list[str]) -> None:
    file = Attachment(filename=name, content_type="application/octet-stream", content=bytes(size))
    assert doubts(written_letter(attachments=(file,))) == expected


def test_a_picture_inside_the_letter_is_no_attachment() -> None:
    file = Attachment(filename="x.zip", content_type="image/png", content=bytes(6_000_000), content_id="x")
    assert doubts(written_letter(attachments=(file,))) == []


@pytest.mark.parametrize(
    ("fields", "domain", "count", "expected"),
    [
        ({"name"}, "ministry.example", 10, 1),
        (set(), "ministry.example", 9, 0),
        ({"name", "branch"}, "ministry.example", 100, 0),
        ({"name"}, "gmail.com", 100, 0),
    ],
)
def test_the_same_words_to_many_of_one_institution_are_pointed_out(
    fields: set[str], domain: str, count: int, expected: int
) -> None:
    keys = [f"p{number}@{domain}" for number in range(count)] + ["pat@union.example"]
    found = list(letter.same_for_all(frozenset(fields), keys))
    assert len(found) == expected
    assert all("10 people at ministry.example" in check.message for check in found)


@given(st.text(max_size=300), st.text(alphabet="<>a =\"'/styleco:#;!-[]&", max_size=300))
def test_no_page_breaks_the_reader(words: str, markup: str) -> None:
    look_at(words + markup)
    list(letter.lint(written_letter(markup, subject=words)))


@given(st.tuples(*[st.integers(0, 255)] * 3), st.tuples(*[st.integers(0, 255)] * 3))
def test_contrast_is_the_same_both_ways_and_between_one_and_twenty_one(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= contrast(BLACK, WHITE) == pytest.approx(21)
    assert parse(written(one)) == one
    assert parse(f"RGB({one[0]}, {one[1]},{one[2]}) !important") == one
