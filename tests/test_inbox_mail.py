"""What comes back is taken for what it is, and for no more: bounces, complaints, wishes to leave, answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import returned_mails as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_campaigns import Person, made_up
from returned_mails import mail

from mailer.address import address_key
from mailer.campaign.intake import take_in
from mailer.inbox import Kind, events_of, is_ours, understand
from mailer.inbox.classify import classify
from mailer.inbox.delivery_status import Failure
from mailer.inbox.mail import read
from mailer.inbox.mailbox import Arrived
from mailer.ledger import Ledger
from mailer.model import BounceClass, Event, EventKind, Sent, Status

NOW = 1_800_000_000.0
DAY = 86_400.0
TO = "bounces@solidarity.example"
PAT = Sent(delivery=1, campaign=7, key="pat@gone.example", message_id="<pat1@solidarity.example>", at=NOW - DAY)
EVE = Sent(delivery=2, campaign=7, key="eve@full.example", message_id="<eve1@solidarity.example>", at=NOW - DAY)
JURG = Sent(delivery=3, campaign=7, key="jürg@post.example", message_id="<jurg1@solidarity.example>", at=NOW - DAY)
OLD = Sent(delivery=4, campaign=6, key="old@gone.example", message_id="<old1@solidarity.example>", at=NOW - 60 * DAY)
EVERYBODY = (PAT, EVE, JURG, OLD)


@dataclass
class People:
    """Who was mailed; a token is the name of a delivery between equals signs."""

    sent: Sequence[Sent] = EVERYBODY

    def _by_mark(self, word: str, marks: Sequence[str]) -> Sent | None:
        return next((one for mark in marks for one in self.sent if f"{word}={one.delivery}=" in mark), None)

    def by_bounce_token(self, marks: Sequence[str]) -> Sent | None:
        return self._by_mark("bounce", marks)

    def by_leave_token(self, marks: Sequence[str]) -> Sent | None:
        return self._by_mark("leave", marks)

    def by_message_id(self, message_ids: Sequence[str]) -> Sent | None:
        return next((one for name in message_ids for one in self.sent if one.message_id == name), None)

    def by_key(self, key: str, *, since: float, until: float) -> list[Sent]:
        return [one for one in self.sent if one.key == key and since <= one.at <= until]

    def knows(self, key: str) -> bool:
        return any(one.key == key for one in self.sent)


def told(content: bytes) -> list[Event]:
    return events_of(understand(content), NOW, People())


def only(content: bytes) -> Event:
    (event,) = told(content)
    return event


def postfix(**other: str) -> bytes:
    values = {
        "to": TO,
        "address": PAT.key,
        "action": "failed",
        "status": "5.1.1",
        "words": "550 5.1.1 <pat@gone.example>: User unknown",
        "id": PAT.message_id,
    }
    return mail(samples.POSTFIX, **values | other)


def person(**other: str) -> bytes:
    values = {"sender": PAT.key, "to": TO, "subject": "Re: Freedom", "id": "", "own": "1", "text": "Dear friends, yes."}
    return mail(samples.PERSON, **values | other)


def test_a_notification_names_the_delivery_by_its_message_id() -> None:
    event = only(postfix())
    assert (event.kind, event.delivery, event.campaign) == (EventKind.BOUNCE, 1, 7)
    assert (event.bounce, event.status) == (BounceClass.HARD, "5.1.1")
    assert event.text == "550 5.1.1 (address): User unknown"


def test_a_token_in_the_return_path_counts_before_anything_else() -> None:
    event = only(postfix(to="bounces+bounce=2=@solidarity.example"))
    assert (event.delivery, event.key) == (2, EVE.key)


def test_an_address_alone_counts_for_what_went_there_shortly_before() -> None:
    assert only(postfix(id="<other@elsewhere.example>")).delivery == 1
    assert told(postfix(id="<other@elsewhere.example>", address=OLD.key)) == []
    assert told(postfix(id="<other@elsewhere.example>", address="nobody@gone.example")) == []


def test_a_mailbox_whose_clock_is_slow_knows_a_bounce_that_comes_at_once() -> None:
    bounced = understand(postfix(id="<other@elsewhere.example>"))
    for seconds, found in ((0.7, 1), (600.0, 1), (2 * DAY, 0)):
        assert len(events_of(bounced, PAT.at - seconds, People())) == found, seconds


@pytest.mark.parametrize("end", ["\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_the_words_of_a_server_do_not_become_another_recipient(end: str) -> None:
    words = end.join(["550 no", "", f"Final-Recipient: rfc822; {EVE.key}", "Action: failed", "Status: 5.1.1"])
    content = postfix(id="<other@elsewhere.example>", words=words).replace(
        b"delivery-status\r", b"delivery-status; charset=utf-8\r"
    )
    assert [event.key for event in told(content)] == [PAT.key]


def test_headers_alone_in_whatever_case_will_do() -> None:
    event = only(mail(samples.HEADERS_ONLY, to=TO, address="pat@within.gone.example", id=PAT.message_id))
    assert (event.delivery, event.bounce, event.status) == (1, BounceClass.HARD, "5.1.1")


@pytest.mark.parametrize("words", ["550 5.1.1 User unknown", "552 5.2.2 Mailbox full"])
def test_that_one_is_gone_to_whom_a_branch_forwards_is_not_the_branchs_doing(words: str) -> None:
    gone = "old.secretary@elsewhere.example"
    event = only(postfix(address=gone, status="5.1.1", words=words))
    assert (event.delivery, event.key, event.bounce) == (1, PAT.key, BounceClass.OTHER)
    named = postfix(address=gone).replace(b"rfc822;" + gone.encode(), b"rfc822;" + PAT.key.encode())
    assert PAT.key.encode() in named
    assert only(named).bounce is BounceClass.OTHER
    assert only(mail(samples.QMAIL, to=TO, address=gone, id=PAT.message_id)).bounce is BounceClass.OTHER
    # its own mailbox counts before those it forwards to
    several = mail(samples.SEVERAL, to="bounces+bounce=1=@solidarity.example", one=gone, two=PAT.key, three=JURG.key)
    original = f"Original-Recipient: rfc822;{PAT.key}\r\nFinal-Recipient:".encode()
    assert only(several.replace(b"Final-Recipient:", original)).bounce is BounceClass.SOFT
    # a server may have another name for the same mailbox
    assert only(postfix(address="Pat@mail.elsewhere.example")).bounce is BounceClass.HARD


def test_an_international_report_is_read_though_it_is_encoded() -> None:
    found = understand(mail(samples.INTERNATIONAL, to=TO, id="<x@y.example>"))
    assert "jürg@post.example" in found.failures[0].addresses
    event = only(mail(samples.INTERNATIONAL, to=TO, id="<x@y.example>"))
    assert (event.delivery, event.bounce) == (3, BounceClass.HARD)


def test_each_recipient_of_a_report_is_judged_alone_and_who_got_it_did_not_bounce() -> None:
    events = told(mail(samples.SEVERAL, to=TO, one=PAT.key, two=EVE.key, three=JURG.key))
    assert [(event.delivery, event.bounce) for event in events] == [(1, BounceClass.HARD), (2, BounceClass.SOFT)]
    assert len({event.source for event in events}) == 2


@pytest.mark.parametrize("sample", [samples.QMAIL, samples.EXIM, samples.EXCHANGE])
def test_servers_that_only_use_words_are_understood(sample: str) -> None:
    event = only(mail(sample, to=TO, address=PAT.key, id=PAT.message_id))
    assert (event.delivery, event.bounce) == (1, BounceClass.HARD)
    assert "@" not in event.text


def test_the_letter_that_a_bounce_gives_back_names_no_recipient() -> None:
    found = understand(mail(samples.QMAIL, to=TO, address=PAT.key, id=PAT.message_id))
    assert [one.addresses for one in found.failures] == [(PAT.key,)]


def test_words_like_a_bounce_from_a_person_are_no_bounce() -> None:
    for sample in (samples.QMAIL, samples.EXIM, samples.EXCHANGE):
        _, _, body = mail(sample, to=TO, address=PAT.key, id=PAT.message_id).partition(b"\r\n\r\n")
        assert told(b"From: pat@gone.example\r\nSubject: what is this?\r\n\r\n" + body) == []


@pytest.mark.parametrize(
    "content",
    [postfix(action="delayed", status="4.4.1"), mail(samples.EXIM_DELAY, to="x+bounce=1=@a.example", address=PAT.key)],
)
def test_a_delay_is_no_bounce(content: bytes) -> None:
    assert understand(content).kind is Kind.DELAY
    assert told(content) == []
    assert is_ours(understand(content), People())


def test_what_only_looks_like_a_bounce_is_left_to_a_person() -> None:
    content = mail(samples.PUZZLING, to="bounces+bounce=1=@solidarity.example", address=PAT.key, id=PAT.message_id)
    assert understand(content).kind is Kind.PUZZLE
    assert told(content) == []
    assert not is_ours(understand(content), People())


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        ("550 5.1.1 User unknown", "5.1.1", BounceClass.HARD),
        ("550-5.1.1 no such user 550 5.1.1 really", "5.1.1", BounceClass.HARD),
        ("550 5.2.1 mailbox disabled", "5.2.1", BounceClass.HARD),
        ("", "5.1.1", BounceClass.HARD),
        ("552 5.2.2 Mailbox full", "5.2.2", BounceClass.SOFT),
        ("452 4.2.2 Over quota", "4.2.2", BounceClass.SOFT),
        ("450 4.7.1 Greylisted", "4.7.1", BounceClass.SOFT),
        ("", "4.4.7", BounceClass.SOFT),
        ("550 5.7.1 blocked, see the list", "5.7.1", BounceClass.OTHER),
        ("554 5.7.1 Message rejected as spam", "5.0.0", BounceClass.OTHER),
        ("550 5.7.26 unauthenticated", "5.7.26", BounceClass.OTHER),
        ("550 5.7.515 access denied", "5.7.515", BounceClass.OTHER),
        ("552 5.3.4 message too big", "5.3.4", BounceClass.OTHER),
        ("550 5.4.5 daily sending quota exceeded", "5.4.5", BounceClass.OTHER),
        ("550 relaying denied", "5.0.0", BounceClass.OTHER),
    ],
)
def test_a_bounce_is_judged_as_the_same_answer_would_be_live(words: str, status: str, expected: BounceClass) -> None:
    assert classify(Failure(addresses=(), action="failed", status=status, diagnostic=words)) is expected


def arf(**other: str) -> bytes:
    values = {"to": TO, "type": "abuse", "mail_from": "", "address": "", "token": "", "id": "<x@y.example>"}
    return mail(samples.ARF, **values | other)


@pytest.mark.parametrize(
    "content",
    [
        arf(id=PAT.message_id),
        arf(address=PAT.key),
        arf(token="leave=1="),
        arf(mail_from="bounces+bounce=1=@solidarity.example"),
        mail(samples.MICROSOFT, to=TO, address=PAT.key),
    ],
)
def test_a_complaint_is_linked_by_whatever_the_provider_left_in(content: bytes) -> None:
    event = only(content)
    assert (event.kind, event.delivery) == (EventKind.COMPLAINT, 1)


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "dmarc"])
def test_a_report_of_another_kind_is_no_complaint(kind: str) -> None:
    assert told(arf(type=kind, id=PAT.message_id)) == []


def test_a_token_unsubscribes_wherever_a_mail_program_puts_it() -> None:
    for content in (person(subject="unsubscribe leave=1="), person(to="leave+leave=1=@solidarity.example")):
        event = only(content)
        assert (event.kind, event.delivery) == (EventKind.UNSUBSCRIBE, 1)


@pytest.mark.parametrize(
    "words",
    ["unsubscribe", "Unsubscribe!", "Bitte abmelden.", "Désinscrire", "отписаться", "수신거부"],
)
def test_a_plain_wish_to_leave_counts_from_whoever_is_known(words: str) -> None:
    assert only(person(subject=words)).key == PAT.key
    assert only(person(text=f"{words}\n\n> Dear friend,\n> unsubscribe here")).kind is EventKind.UNSUBSCRIBE
    assert told(person(subject=words, sender="stranger@elsewhere.example")) == []


def test_a_wish_in_the_subject_may_be_an_answer() -> None:
    assert only(person(subject="Re: UNSUBSCRIBE")).kind is EventKind.UNSUBSCRIBE


def test_who_answers_from_another_address_leaves_with_the_one_that_was_mailed() -> None:
    event = only(person(subject="unsubscribe", sender="pat@private.example", id=PAT.message_id))
    assert (event.kind, event.key) == (EventKind.UNSUBSCRIBE, PAT.key)


def test_a_sentence_about_unsubscribing_is_an_answer_to_a_person() -> None:
    event = only(person(id=PAT.message_id, text="Please do not unsubscribe me, I only moved."))
    assert (event.kind, event.delivery, event.text) == (EventKind.REPLY, 1, "")


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Freedom", "Out of office", "AW: Abwesenheitsnotiz: Freedom", "Réponse automatique : Freedom",
        "Respuesta automática: Freedom", "Risposta automatica", "Automatisch antwoord: Freedom", "Автоматический ответ: да",
        "自動応答: Freedom",
    ],
)  # fmt: skip
def test_an_automatic_answer_is_no_reply(subject: str) -> None:
    assert told(person(subject=subject, id=PAT.message_id)) == []


@pytest.mark.parametrize("header", ["Auto-Submitted: auto-replied", "Precedence: bulk", "X-Autoreply: yes"])
def test_an_automatic_answer_is_known_by_its_headers(header: str) -> None:
    content = header.encode() + b"\r\n" + person(subject="unsubscribe", id=PAT.message_id)
    assert understand(content).kind is Kind.AUTOMATIC
    assert told(content) == []


def test_a_mail_is_the_same_when_it_was_moved_and_another_when_it_is_another() -> None:
    again = b"Received: by elsewhere\r\n" + postfix()
    assert understand(again).identity == understand(postfix()).identity
    assert understand(person(own="2")).identity != understand(person(own="1")).identity


HEADERS = st.sampled_from(
    [
        "Return-Path: <>", "From: MAILER-DAEMON@x.example", "From: pat@gone.example", "Subject: unsubscribe", "Subject: \udcff",
        "Content-Type: multipart/report; boundary=b", "Content-Type: multipart/mixed; boundary==?", "Content-Type: message/rfc822",
        "Content-Type: text/plain; charset=punycode", "Content-Type: text/html; charset*=x'y'%ff", "To: <<<@@>>,;:(((",
        "Content-Transfer-Encoding: base64", "X-Failed-Recipients: pat@gone.example,,", "Message-ID: <pat1@solidarity.example>",
        "Subject: =?utf-9?Q?=FF?=", "In-Reply-To: <a@b>", "Auto-Submitted: (", "Content-Type: message/delivery-status",
        "Message-ID: =?utf-7?q?<+2AA-=40x>?=", "From: =?utf-7?q?+2AA-=40gone.example?=", "Content-Type: text/plain; charset=utf-7",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [
        "--b", "--b--", "Content-Type: message/delivery-status", "Content-Type: message/feedback-report", "", "", "Action: failed",
        "Final-Recipient: rfc822;", "Final-Recipient: utf-8; a\\x{110000}@b", "Original-Recipient: rfc822;a+ZZ@b", "Status: 5.1.1",
        "Hi. This is the", "<a@b>:", "Feedback-Type: abuse", "Diagnostic-Code: smtp; 550 5.1.1 \u202e", "  a@b", "Message-ID: <>",
        "This message was created automatically by mail delivery software", "unsubscribe", "did not reach the following recipient(s):",
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(HEADERS, max_size=8),
    st.lists(st.one_of(BODIES, st.text(st.characters(codec="utf-8"), max_size=30)), max_size=25),
)
def test_no_mail_whatever_somebody_made_of_it_is_too_much_or_names_somebody_who_is_not_in_it(
    headers: list[str], body: list[str]
) -> None:
    content = "\r\n".join([*headers, "", *body]).encode("utf-8", "surrogateescape")
    for event in told(content):
        who = next(one for one in EVERYBODY if one.key == event.key)
        assert who.key in content.decode("utf-8", "replace").lower() or who.message_id.encode() in content


@given(st.binary(max_size=2000))
def test_bytes_of_any_kind_are_no_event(content: bytes) -> None:
    assert told(content) == []


@given(st.integers(0, 3), st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_a_damaged_report_never_blames_somebody_else(which: int, place: int, damage: bytes) -> None:
    good = [postfix(), arf(id=PAT.message_id), mail(samples.QMAIL, to=TO, address=PAT.key, id=PAT.message_id)][
        which % 3
    ]
    content = good[: place % len(good)] + damage + good[place % len(good) + len(damage) :]
    assert {event.key for event in told(content)} <= {PAT.key}


HALF = "+2AA-"
"""Half a character, in UTF-7."""


@pytest.mark.parametrize(
    "content",
    [
        f"From: pat@gone.example\nMessage-ID: =?utf-7?q?<{HALF}=40x>?=\nSubject: unsubscribe\n\n".encode(),
        f"From: =?utf-7?q?pat{HALF}=40gone.example?=\nMessage-ID: <1@x>\nSubject: unsubscribe\n\n".encode(),
        b"From: pat@gone.example\nMessage-ID: =?unicode_escape?q?<=5Cud800@x>?=\nSubject: unsubscribe\n\n",
        f"From: pat@gone.example\nContent-Type: text/plain; charset=utf-7\n\n{HALF}\n".encode(),
        postfix(words=f"550 5.1.1 {HALF}").replace(b"delivery-status\n", b"delivery-status; charset=utf-7\n"),
    ],
)
def test_half_a_character_keeps_no_mail_from_being_read(content: bytes) -> None:
    found = understand(content)
    repr(found).encode()
    for text in (found.sender, found.explanation, *found.marks, *found.message_ids):
        text.encode()
    assert all(event.text.encode() is not None for event in events_of(found, NOW, People()))


class Box:
    """A mailbox with these mails by their numbers; what was put away is in `away`."""

    validity = 1

    def __init__(self, mails: Mapping[int, bytes]) -> None:
        self._mails = mails
        self.away: list[int] = []

    def newer_than(self, uid: int, since: float) -> list[int]:
        return [number for number in self._mails if number > uid]

    def fetch(self, uids: Sequence[int]) -> list[Arrived]:
        return [Arrived(uid=number, at=NOW, content=self._mails[number]) for number in uids]

    def put_away(self, uids: Sequence[int]) -> int:
        self.away.extend(uids)
        return len(uids)


def test_a_mail_that_cannot_be_read_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    mails = {
        1: b"From: a@example.org\nMessage-ID: =?utf-7?q?<+2AA-=40x>?=\nSubject: x\n\nhi\n",
        2: person(own="2"),
    }

    with Ledger(tmp_path / "mailer.db") as ledger:
        assert [look.read for look in take_in(ledger, Box(mails), "box")] == [2]
        assert ledger.read_up_to("box", 1) == 2


def test_what_is_about_a_campaign_that_moved_is_left_for_the_ledger_in_which_it_goes_on(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mailer.db") as ledger:
        names = {}
        for name in ("gone", "here"):
            made_up(ledger, [Person(address=f"pat@{name}.example", status=Status.SENT)], name=name)
            names[name] = f"<{name}@solidarity.example>"
            ledger._run("UPDATE deliveries SET message_id = ? WHERE key = ?", names[name], f"pat@{name}.example")
        ledger.mark_moved("gone")
        mails = {
            number: postfix(address=f"pat@{name}.example", id=names[name]).replace(b"dsn.1", b"dsn.%d" % number)
            for number, name in enumerate(names, start=1)
        }

        box = Box(mails)
        [look] = take_in(ledger, box, "box")
        assert (look.events[EventKind.BOUNCE], look.suppressed, box.away) == (2, 2, [2])


def test_what_trips_up_the_reader_itself_is_a_puzzle(monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(_: bytes) -> None:
        raise OverflowError

    monkeypatch.setattr(sys.modules["mailer.inbox.understand"], "read", trip)
    assert (understand(b"x").kind, told(b"x")) == (Kind.PUZZLE, [])


@pytest.mark.parametrize(
    "content",
    [
        person(subject="-" * 240_000),
        person(subject="Re: " + " -" * 120_000),
        b'From: pat@gone.example\nContent-Type: text/plain; a="' + b";" * 240_000 + b"\n\nhi\n",
        postfix().replace(b"\n\n", b"\n\n" + b">\n" * 50_000, 1),
        postfix(words="550 " + ">\n >" * 30_000),
        b"A: b\n" * 60_000 + b"\nhi\n",
        b"From: pat@gone.example\nContent-Type: text/plain; charset=punycode\n\na-" + b"b9" * 120_000,
        b"From: " + b"a@b," * 60_000 + b"\n\nhi\n",
    ],
    ids=["dashes", "blanks", "type", "quoted", "words", "headers", "charset", "senders"],
)
def test_no_mail_takes_more_than_a_moment_whatever_somebody_made_of_it(content: bytes) -> None:
    begun = time.process_time()
    understand(content)
    assert time.process_time() - begun < 1.5


def test_a_thousand_parts_within_each_other_do_no_harm() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1500))
    assert understand(b"From: pat@gone.example\r\nSubject: x\r\n" + nested).kind is Kind.OTHER


def test_addresses_are_compared_as_the_list_has_them() -> None:
    assert address_key("Pat@GONE.example") == PAT.key
    assert only(postfix(id="", address="Pat@GONE.example")).delivery == 1


def test_a_header_is_read_in_whatever_encoding_it_came() -> None:
    assert read(b"Subject: =?iso-8859-1?Q?R=E9ponse?=\r\n\r\n").header("subject") == "Réponse"
    assert read("Subject: Réponse\r\n\r\n".encode()).header("subject") == "Réponse"
