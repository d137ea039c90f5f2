"""The same campaigns in a file and on PostgreSQL: every question has the same answer, and everything that is written the same end."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_campaigns import BEGIN, LETTER, REASONS, Person, crowd, made_up
from postgres_server import PostgresServer

from mailer.campaign.report import make_report
from mailer.ledger import Intent, Ledger, Preview, Row, Start
from mailer.model import (
    CampaignRecord,
    Contact,
    Dossier,
    Event,
    EventKind,
    Manifest,
    PackedContact,
    Quota,
    Reason,
    Server,
    Status,
    Suppression,
)

Question = Callable[[Ledger, CampaignRecord], Any]

KEYS = ["p0@gmail.com", "p1@a.example", "p2@ü.example", "nobody@a.example"]
STRANGE = [
    "",
    " ",
    "x",
    "Ünïcode 'quoted\" ☃",
    "back\\slash",
    "tab\tand\nline",
    "nul\0here",
    "%_",
    "Ω",
    "ä",
    "Z",
    "a" * 3000,
]
END = BEGIN + 10_000_000

QUESTIONS: dict[str, Question] = {
    "account_of": lambda ledger, campaign: ledger.account_of(campaign),
    "approvals": lambda ledger, _: [name for name, _ in ledger.approvals("made up", "seal")],
    "arrivals": lambda ledger, campaign: [ledger.arrivals(campaign, kind, 777.7) for kind in EventKind],
    "arrivals_span": lambda ledger, campaign: ledger.arrivals_span(campaign),
    "asked_to_pause": lambda ledger, campaign: [ledger.asked_to_pause(campaign.name), ledger.asked_to_pause("other")],
    "attempted": lambda ledger, campaign: ledger.attempted(campaign),
    "blob": lambda ledger, campaign: ledger.blob(next(iter(campaign.manifest.letter.values()))),
    "by_domain": lambda ledger, campaign: list(ledger.by_domain(campaign)),
    "by_field": lambda ledger, campaign: [list(ledger.by_field(campaign, name)) for name in (*ledger.field_names(campaign), "no\"'\\such")],
    "by_key": lambda ledger, _: [ledger.by_key(key, since=0, until=END) for key in KEYS],
    "by_language": lambda ledger, campaign: list(ledger.by_language(campaign)),
    "by_relay": lambda ledger, campaign: [ledger.by_relay(campaign, since) for since in (0.0, BEGIN + 100.0, END)],
    "by_name": lambda ledger, _: [ledger.by_name([]), sorted(ledger.by_name(["2", "3", "4", "nobody"]).items())],
    "came_back": lambda ledger, campaign: [list(ledger.came_back(campaign)), list(ledger.came_back())],
    "campaign": lambda ledger, campaign: [name_only(ledger.campaign(campaign.name)), ledger.campaign("none")],
    "campaigns": lambda ledger, _: [name_only(campaign) for campaign in ledger.campaigns()],
    "complaints": lambda ledger, campaign: ledger.complaints(campaign),
    "contacts": lambda ledger, campaign: list(ledger.contacts(campaign)),
    "count_due": lambda ledger, campaign: [ledger.count_due(campaign, now) for now in (BEGIN, BEGIN + 5000, END)],
    "course": lambda ledger, campaign: [ledger.course(campaign, status, 1234.5) for status in Status if status is not Status.SENDING],
    "deliveries": lambda ledger, campaign: [ledger.deliveries([]), *(ledger.deliveries(ledger.due(campaign, END)[::step]) for step in (1, -1))],
    "diary": lambda ledger, campaign: [[(one.kind, one.until, one.number, one.text) for one in ledger.diary(campaign, most=most)] for most in (0, 2, 99)],
    "distinct": lambda ledger, campaign: [ledger.distinct(campaign, name) for name in (*ledger.field_names(campaign), "none")],
    "doubtful": lambda ledger, campaign: sorted(ledger.doubtful(campaign), key=lambda doubt: doubt.message_id),
    "due": lambda ledger, campaign: [ledger.due(campaign, now) for now in (BEGIN, BEGIN + 5000, END)],
    "field_names": lambda ledger, campaign: ledger.field_names(campaign),
    "find": lambda ledger, campaign: name_only(ledger.find(campaign.name)),
    "first_start": lambda ledger, _: ledger.first_start(),
    "has_accounts": lambda ledger, _: ledger.has_accounts(),
    "handed_over": lambda ledger, campaign: ledger.handed_over(campaign, BEGIN),
    "known_sources": lambda ledger, _: [sorted(ledger.known_sources(asked)) for asked in ([], ["a", "mail 1", "mail 2"])],
    "knows": lambda ledger, _: [ledger.knows(key) for key in KEYS],
    "last_entry": lambda ledger, campaign: (last := ledger.last_entry(campaign)) and (last.kind, last.number, last.text),
    "last_preview": lambda ledger, _: plain(ledger.last_preview("appeal", "people.csv")),
    "left_out": lambda ledger, _: ledger.left_out([*KEYS, "@a.example", "@gmail.com"]),
    "list_names": lambda ledger, _: ledger.list_names(),
    "manifest": lambda ledger, campaign: ledger.manifest(campaign, 1),
    "newest": lambda ledger, campaign: len(ledger.newest(campaign)),
    "newest_arrival": lambda ledger, _: ledger.newest_arrival(),
    "next_due": lambda ledger, campaign: [int(at) if (at := ledger.next_due(there)) else at for there in (campaign, *in_hours(campaign))],
    "next_turn": lambda ledger, campaign: [int(at) if (at := ledger.next_turn(there, ledger.tally(there), BEGIN)) else at for there in (campaign, *in_hours(campaign))],
    "open_keys": lambda ledger, campaign: [sorted(ledger.open_keys(campaign, due)) for due in (None, BEGIN, END)],
    "out_of_hours": lambda ledger, campaign: [ledger.out_of_hours(there, now) for there in in_hours(campaign) for now in (BEGIN, BEGIN + 40_000, END)],
    "draft": lambda ledger, campaign: [ledger.draft(name) for name in ("begins soon", "made up", campaign.name, "none")],
    "is_approved": lambda ledger, _: [ledger.is_approved(name) for name in ("begins soon", "made up", "none")],
    "owner": lambda ledger, campaign: [ledger.owner(campaign.name), ledger.owner("none")],
    "preview": lambda ledger, _: [plain(ledger.preview(manifest().seal)), ledger.preview("none")],
    "reached": lambda ledger, campaign: ledger.reached(campaign),
    "read_up_to": lambda ledger, _: [ledger.read_up_to("INBOX", 7), ledger.read_up_to("INBOX", 8), ledger.read_up_to("x", 7)],
    "records": lambda ledger, campaign: [[timeless(one) for one in ledger.records(campaign, status, most=most)] for status in (None, Status.SENT) for most in (-1, 0, 5)],
    "moved": lambda ledger, campaign: [number == campaign.id for number in ledger.moved()],
    "moved_names": lambda ledger, _: ledger.moved_names(),
    "refuse_moved": lambda ledger, campaign: [ledger.refuse_moved(), ledger.refuse_moved(campaign.name)],
    "refusals": lambda ledger, campaign: list(ledger.refusals(campaign)),
    "returned": lambda ledger, campaign: ledger.returned(campaign),
    "round": lambda ledger, campaign: [ledger.round(there, now) for there in (campaign, *in_hours(campaign)) for now in (BEGIN, BEGIN + 40_000, END)],
    "settled_keys": lambda ledger, campaign: ledger.settled_keys(campaign),
    "snapshot": lambda ledger, campaign: clean(make_report(ledger, campaign)),
    "soft_bounces": lambda ledger, _: [ledger.soft_bounces(key) for key in KEYS],
    "span": lambda ledger, campaign: [ledger.span(campaign, [Status.SENT, Status.DEFERRED]), ledger.span(campaign, [Status.FAILED])],
    "suppression_rows": lambda ledger, _: sorted((one.entry or "", one.reason, one.note, one.source, one.scope) for one in ledger.suppression_rows()),
    "suppression_secrets": lambda ledger, _: ledger.suppression_secrets()[1:],
    "suppressions": lambda ledger, _: [sorted(ledger.suppressions().entries.items()), sorted(ledger.suppressions("people").entries.items()), ledger.suppressions().erased.get(b"k" * 32)],
    "dossier": lambda ledger, _: [plain_dossier(ledger.dossier(f"p{number}@{domain}")) for number in (0, 1) for domain in ("gmail.com", "a.example", "xn--tda.example")],
    "undecided": lambda ledger, _: [ledger.undecided([f"p{number}@gmail.com"]) for number in range(4)],
    "alike": lambda ledger, _: [ledger.alike(name) for name in (" Made  UP", "made up", "made-up", "")],
    "listed": lambda ledger, campaign: list(ledger.listed(campaign)),
    "known_people": lambda ledger, campaign: ledger.known_people(campaign),
    "mentions": lambda ledger, _: [ledger.mentions([f"p{number}@gmail.com"]) for number in (0, 1)],
    "keeps_files": lambda ledger, _: [ledger.keeps_files([f"p{number}@gmail.com"]) for number in (0, 1)],
    "is_purged": lambda ledger, campaign: ledger.is_purged(campaign),
    "is_copy": lambda ledger, _: ledger.is_copy,
    "refuse_copy": lambda ledger, _: ledger.refuse_copy(),
    "refuse_without": lambda ledger, _: [ledger.refuse_without(Intent(delivery, token, "u@smtp.example", "a.example", 1.0)) for delivery, token in ledger._all("SELECT delivery_id, token FROM attempts WHERE token IS NOT NULL AND delivery_id IS NOT NULL LIMIT 3")],
    "tallies": lambda ledger, _: sorted((number, *dataclasses.astuple(tally)) for number, tally in ledger.tallies().items()),
    "tally": lambda ledger, campaign: ledger.tally(campaign),
    "transactions": lambda ledger, _: [sorted(ledger.transactions("u@smtp.example", BEGIN)), [at for at, _ in ledger.transactions("u@smtp.example", BEGIN, 3)], ledger.transactions("x", 0)],
    "transactions_to_domains": lambda ledger, _: [sorted(ledger.transactions_to_domains(BEGIN, 2)), len(ledger.transactions_to_domains(BEGIN))],
    "tried": lambda ledger, campaign: ledger.tried(campaign),
    "troubles": lambda ledger, campaign: sorted(ledger.troubles(campaign), key=lambda one: (one.at, one.person.row)),
    "used": lambda ledger, _: [ledger.used("u@smtp.example", Quota(count=count, seconds=100), BEGIN + 500) for count in (1, 5, 500)],
    "went_down": lambda ledger, campaign: ledger.went_down(campaign),
    "prepared": lambda ledger, _: [dataclasses.replace(one, at=None) for one in ledger.prepared()],
    "wishes": lambda ledger, _: ledger.wishes(),
}  # fmt: skip

WRITES = {
    "add_events", "approve", "ask_to_pause", "doubt_open", "erase", "finish", "forget_to_pause", "forget_wish", "hold", "keep_preview", "mark_moved",
    "mark_interrupted", "note_lines", "note_read", "purge", "requeue_failed", "resolve", "revise", "set_hours", "set_owner", "settle_in", "start", "suppress",
    "take_over", "unsubscribe", "unsuppress", "write_diary", "write_late",
    "forget_prepared", "keep_prepared", "take_turn", "wish",
}  # fmt: skip
ABOUT_ITSELF = {
    "close", "described", "from_description", "is_read_only", "is_shared", "leave_trace", "lender", "lock", "path", "pen", "place", "secret", "shared", "shares_quotas",
}  # fmt: skip


def manifest() -> Manifest:
    return Manifest(
        template="appeal", list_name="people.csv", letter={"a.md": "0" * 64}, attachments={}, contacts="c" * 64,
        list_file="f" * 64, settings={}, messages="m" * 64,
    )  # fmt: skip


def in_hours(campaign: CampaignRecord) -> list[CampaignRecord]:
    """The same campaign with other hours than those that the ledger has."""
    return [
        dataclasses.replace(campaign, hours=hours, zone=zone)
        for hours, zone in (("Mon-Sun 9:00-17:00", "Europe/Berlin"), ("Wed 0:00-12:00", "Pacific/Apia"))
    ]


def plain_dossier(dossier: Dossier) -> Any:
    """Without what each ledger has of its own: its secret, and when it was written."""
    suppressions = sorted((one.entry or "", one.reason, one.note, one.scope) for one in dossier.suppressions)
    deliveries = [dataclasses.replace(one, updated_at=None) for one in dossier.deliveries]
    return deliveries, suppressions, dossier.mentions, dossier.previews, dossier.is_known


def plain(preview: Preview | None) -> Any:
    return preview and (preview.manifest, preview.digests)


def timeless(record: Any) -> Any:
    """Those who were held back before the start have the time of this test."""
    return dataclasses.replace(record, updated_at=None)


def name_only(campaign: CampaignRecord | None) -> Any:
    return campaign and (
        campaign.id,
        campaign.name,
        campaign.revision,
        campaign.manifest,
        campaign.owner,
        campaign.held_after,
        campaign.hours,
        campaign.zone,
    )


def test_every_way_to_ask_and_to_write_is_tried_here() -> None:
    assert {name for name in dir(Ledger) if not name.startswith("_")} == {*QUESTIONS, *WRITES, *ABOUT_ITSELF}


text = st.sampled_from(STRANGE)
# where one holds a NUL, SQLite reads a field up to there
cells = text.filter(lambda cell: "\0" not in cell)


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    found = []
    for number in range(draw(st.integers(2, 12))):
        status = draw(st.sampled_from([status for status in Status if status is not Status.SENDING]))
        reason, words = (
            draw(st.sampled_from(REASONS)) if status in {Status.FAILED, Status.DEFERRED} else ("", draw(text))
        )
        domain = draw(st.sampled_from(["gmail.com", "a.example", "ü.example"]))
        found.append(
            Person(
                address=f"p{number}@{domain}", status=status, at=draw(st.floats(0, 900_000)), reason=reason, words=words,
                name=draw(text), language=draw(st.sampled_from([None, "en", "fr"])),
                fields={"country": draw(cells), "embassy": {"city": draw(cells)}, "odd \"name\\'": draw(cells)},
                events=tuple(draw(st.lists(st.tuples(st.sampled_from(EventKind), st.floats(0, 900_000)), max_size=3)))
                if status is Status.SENT else (),
            )
        )  # fmt: skip
    return found


def live(ledger: Ledger, everybody: list[Person]) -> CampaignRecord:
    """Something of everything that can be written."""
    key = everybody[0].address
    campaign = made_up(ledger, everybody)
    ledger.suppress([("p1@a.example", "by phone"), ("@ü.example", "")], source="by hand")
    ledger.suppress([(key, "one list")], source="by hand", scope="branches", reason=Reason.COMPLAINT)
    ledger.take_over(
        [
            Suppression(
                entry=None, reason=Reason.IMPORTED, note="", source="x", since=campaign.started_at, scope="", hash=b"h" * 32,
                secret=b"k" * 32,
            )
        ]
    )  # fmt: skip
    ledger.unsuppress([key], scope="other")
    ledger.keep_preview(manifest(), {"p1@a.example": "d"})
    ledger.approve("made up", "seal", "Ana \0")
    ledger.note_read("INBOX", 7, 2**40)
    ledger.ask_to_pause("other")
    ledger.wish("other", b"mark")
    assert (ledger.take_turn("other", b"else", b"x"), ledger.take_turn("other", b"mark", b"m")) == (False, True)
    for name in ("begins soon", "made up", "appeal--branches", "never approved"):
        ledger.keep_prepared(name, "list=ä.csv&letter=x")
    ledger.approve("begins soon", "seal", "Ana")
    ledger.approve("begins soon", "another seal", "Bo")
    ledger.forget_prepared("made up")
    ledger.wish("third")
    assert ledger.forget_wish("third")
    ledger.set_owner(campaign, "process 1")
    ledger.hold(campaign, 3)
    ledger.note_lines(campaign, "u@smtp.example", 2)
    ledger.unsubscribe("3")
    ledger.unsubscribe("nobody")
    event = Event(
        kind=EventKind.BOUNCE,
        delivery=1,
        campaign=campaign.id,
        key=key,
        at=BEGIN + 0.123456789,
        source="mail 1",
        status="4.2.2",
    )
    assert ledger.add_events([event, event]) == 1
    ledger.resolve(campaign, Status.QUEUED, [everybody[-1].address])
    ledger.erase([everybody[1].address])
    ledger.requeue_failed(campaign)
    rows = [
        Row(PackedContact(person.address, person.address, number, "new", None, "{}"), f"<new{number}@a.example>", digest=2**63 - 1 - number, zone=[None, "Asia/Kathmandu", "America/New_York"][everybody.index(person) % 3])
        for number, person in enumerate([*everybody[1:], everybody[-1]])
    ]  # fmt: skip
    rows.append(Row(Contact(address="?", key="", row=99), "", Status.SKIPPED, "no address", usable_address=False))
    revised = ledger.revise(
        ledger.find(campaign.name),
        Start(
            campaign=campaign.name,
            manifest=manifest(),
            rows=rows,
            content=lambda _: LETTER,
            hours="Mon 9:00-10:00",
            zone="UTC",
        ),
    )
    ledger.set_hours(revised, "Mon-Fri 9:00-17:00", "Asia/Kathmandu")
    ledger.mark_interrupted(revised)
    ledger.finish(revised)
    return ledger.find(revised.name)


def clean(value: Any) -> Any:
    """PostgreSQL's text holds no NUL."""
    if isinstance(value, set | frozenset):
        return clean(sorted(value))
    if isinstance(value, dict):
        return clean(sorted(value.items()))
    return repr(value).replace("\\x00", "\N{REPLACEMENT CHARACTER}").replace("\\u0000", "\N{REPLACEMENT CHARACTER}")


def compare(tmp: Path, server: PostgresServer, write: Callable[[Ledger], CampaignRecord]) -> None:
    with server.database() as name, Ledger(tmp) as here, Ledger(Server(address=server.address(name))) as there:
        one, other = write(here), write(there)
        for what, question in QUESTIONS.items():
            assert clean(question(here, one)) == clean(question(there, other)), what


@pytest.fixture
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are written at the same time."""
    monkeypatch.setattr("time.time", lambda: END)


@pytest.mark.usefixtures("_standing_clock")
def test_the_same_campaign_is_the_same_in_both(tmp_path: Path, postgres: PostgresServer) -> None:
    numbers = itertools.count()

    @settings(max_examples=15, deadline=None)
    @given(people())
    def check(everybody: list[Person]) -> None:
        compare(tmp_path / f"{next(numbers)}.db", postgres, lambda ledger: live(ledger, everybody))

    check()


@pytest.mark.usefixtures("_standing_clock")
@pytest.mark.thorough
def test_a_crowd_is_the_same_in_both(tmp_path: Path, postgres: PostgresServer) -> None:
    compare(tmp_path / "mailer.db", postgres, lambda ledger: made_up(ledger, crowd(3000)))
