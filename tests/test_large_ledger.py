"""A ledger of a million deliveries, nearly all of them sent: no command may look at each of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailer.ledger import Ledger, Row, Start
from mailer.ledger.leaving import LEAVE_ADDRESS, UNLIST_ONE
from mailer.model import CampaignRecord, Contact, Manifest, PackedContact, Status

LETTER = b"Dear friend"
ALLOWED = (
    "INTEGER PRIMARY KEY (rowid",
    "(campaign_id=? AND status=?",
    "(campaign_id=? AND key=?",
    # counts by status: the smallest index, from one end to the other
    "COVERING INDEX deliveries_by_status (campaign_id=?)",
)
"""How a statement may come to deliveries."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "mailer.db") as opened:
        yield opened


@pytest.fixture
def campaign(ledger: Ledger) -> CampaignRecord:
    return ledger.start(started(["ana@example.org", "ben@example.org"]))


def started(addresses: list[str]) -> Start:
    manifest = Manifest(
        template="appeal",
        list_name="people.csv",
        letter={"templates/appeal.md": hashlib.sha256(LETTER).hexdigest()},
        attachments={},
        contacts="c",
        list_file="f",
        settings={"SENDER": "Ana <ana@example.org>"},
        messages="m",
    )
    people = (
        PackedContact(address, address, number, "Pat", None, '{"name":"Pat"}')
        for number, address in enumerate(addresses, start=2)
    )
    rows = (Row(person, f"<{person.key}>") for person in people)
    return Start(campaign="appeal", manifest=manifest, rows=rows, content=lambda _: LETTER)


def ways(ledger: Ledger, what: Callable[[], object]) -> list[str]:
    """How SQLite goes about each statement that a call makes, as far as it goes to deliveries or attempts."""
    statements: list[str] = []
    ledger._db._connection.set_trace_callback(statements.append)
    found = what()
    if isinstance(found, Iterator):
        list(found)
    ledger._db._connection.set_trace_callback(None)
    assert statements
    plans = []
    for statement in statements:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "\nUPDATE", "WITH")):
            plans += [row[3] for row in ledger._db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    return [plan for plan in plans if "deliveries" in plan or " d " in plan or "attempts" in plan]


def slow(plans: list[str]) -> list[str]:
    """Those that look at everything. Of attempts, a search by any index finds a few: those of a delivery, or since a time."""
    return [
        plan for plan in plans if ("SCAN" in plan if "attempts" in plan else not any(way in plan for way in ALLOWED))
    ]


CALLS: dict[str, Callable[[Ledger, CampaignRecord], object]] = {
    "who is due": lambda ledger, campaign: ledger.due(campaign, time.time()),
    "how many are due": lambda ledger, campaign: ledger.count_due(campaign, time.time()),
    "whose turn is still to come": lambda ledger, campaign: ledger.open_keys(campaign),
    "whose turn is now": lambda ledger, campaign: ledger.open_keys(campaign, due=time.time()),
    "when the next is due": lambda ledger, campaign: ledger.next_due(campaign),
    "the tally": lambda ledger, campaign: ledger.tally(campaign),
    "what a dead sender left": lambda ledger, campaign: ledger.mark_interrupted(campaign),
    "who is suppressed": lambda ledger, campaign: ledger.records(campaign, Status.SUPPRESSED),
    "who is uncertain": lambda ledger, campaign: ledger.records(campaign, Status.UNCERTAIN),
    "deciding": lambda ledger, campaign: ledger.resolve(campaign, Status.QUEUED, ["ana@example.org"]),
    "deciding about all": lambda ledger, campaign: ledger.resolve(campaign, Status.QUEUED, None),
    "what a log could prove": lambda ledger, campaign: ledger.doubtful(campaign),
    "another try": lambda ledger, campaign: ledger.requeue_failed(campaign),
    "suppressing": lambda ledger, _: ledger.suppress(
        [("ana@example.org", "asked"), ("@example.net", "asked")], source="x"
    ),
    "allowing": lambda ledger, _: ledger.unsuppress(["ana@example.org"]),
    "who was left out": lambda ledger, _: ledger.left_out(["ana@example.org", "@example.net"]),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_query_of_a_campaign_that_goes_on_walks_through_all_deliveries(
    ledger: Ledger, campaign: CampaignRecord, call: str
) -> None:
    assert slow(ways(ledger, lambda: CALLS[call](ledger, campaign))) == []


def test_that_something_was_tried_is_known_without_looking_at_everybody(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    ledger._db.execute("UPDATE deliveries SET status = 'sent' WHERE id = 1")
    assert slow(ways(ledger, lambda: ledger.tried(campaign))) == []


@pytest.mark.parametrize("statement", [LEAVE_ADDRESS, UNLIST_ONE])
def test_the_outcome_of_one_message_looks_at_one_delivery(ledger: Ledger, statement: str) -> None:
    plans = [row[3] for row in ledger._db.execute(f"EXPLAIN QUERY PLAN {statement}", (0.0, 1))]
    found = [plan for plan in plans if "deliveries" in plan]
    assert found
    assert all("rowid=?" in plan or "(campaign_id=? AND key=?)" in plan for plan in found)


def test_a_walk_through_all_deliveries_is_noticed(ledger: Ledger, campaign: CampaignRecord) -> None:
    assert slow(ways(ledger, lambda: ledger.contacts(campaign)))
    assert slow(ways(ledger, lambda: ledger._all("SELECT count(*) FROM deliveries WHERE reason = 'x'")))


def test_a_list_is_written_with_the_usual_checks_back_in_place_afterwards(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    usual = [ledger._one(f"PRAGMA {name}")[0] for name in ("cache_size", "foreign_keys", "ignore_check_constraints")]
    assert usual == [-2000, 1, 0]
    with pytest.raises(RuntimeError):
        ledger.start(Start(campaign="x", manifest=campaign.manifest, rows=failing(), content=lambda _: LETTER))
    assert [ledger._one(f"PRAGMA {name}")[0] for name in ("cache_size", "foreign_keys")] == usual[:2]
    assert ledger._one("PRAGMA integrity_check")[0] == "ok"
    assert ledger._all("PRAGMA foreign_key_check") == []


def failing() -> Iterator[Row]:
    yield Row(PackedContact("a@example.org", "a@example.org", 2, "", None, "{}"), "<1>")
    raise RuntimeError("killed")


def test_packed_contacts_and_others_are_the_same_in_the_ledger(ledger: Ledger, campaign: CampaignRecord) -> None:
    whole = Contact(address="ana@example.org", key="ana@example.org", row=2, name="Pat", fields={"name": "Pat"})
    [packed, _] = ledger.contacts(campaign)
    again = ledger.start(
        Start(campaign="again", manifest=campaign.manifest, rows=[Row(whole, "<1>")], content=lambda _: LETTER)
    )
    [other] = ledger.contacts(again)
    assert packed == other
