"""Access, erasure and retention: all that is kept about somebody is told, and what is erased is gone, and nobody is mailed twice for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journey import Journey, as_csv, beginning, people
from test_ledger import SENT, contact, manifest, start

from mailer.campaign import whereabouts as looking
from mailer.campaign.whereabouts import whereabouts
from mailer.errors import CampaignError
from mailer.ledger import Intent, Ledger, Record, Row, Start, Writer
from mailer.ledger.cipher import LedgerKey, new_key
from mailer.ledger.embedded import Embedded
from mailer.model import (
    CampaignRecord,
    Erased,
    Event,
    EventKind,
    LedgerPlace,
    Outcome,
    Phase,
    Scope,
    Status,
    Tally,
    Verdict,
)
from mailer.web.journey.log import lines

KEYS = [f"p{number}@example.org" for number in range(1, 5)]


@pytest.fixture
def ledger(ledger_place: LedgerPlace) -> Iterator[Ledger]:
    with Ledger(ledger_place) as opened:
        yield opened


def handed_over(ledger: Ledger, campaign: CampaignRecord, *numbers: int, at: float | None = None) -> None:
    """Of these deliveries the server said that it took them."""

    async def write() -> None:
        async with Writer(ledger) as writer:
            for number in numbers:
                began = at or time.time()
                await writer.write(intent=Intent(number, f"t{number}", "u@smtp.example", "example.org", began))
                record = Record(
                    delivery=number, token=f"t{number}", account="u@smtp.example", domain="example.org", started_at=began,
                    finished_at=began, outcome=SENT, status=Status.SENT, intended=True, reason="", next_attempt_at=None,
                    suppress=False,
                )  # fmt: skip
                await writer.write(records=[record])

    asyncio.run(write())


def statuses(ledger: Ledger, campaign: CampaignRecord) -> list[Status]:
    return [record.status for record in ledger.records(ledger.find(campaign.name))]


def written(path: Path) -> bytes:
    """Whatever stands in the ledger's files."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


# -- the ledger


def test_all_that_is_kept_about_somebody_is_told(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1), contact(2, secretary="P1@Example.org"), contact(3)]))
    ledger.start(start([contact(1)], name="another"))
    handed_over(ledger, campaign, 1)
    ledger.add_events(
        [
            Event(
                kind=EventKind.REPLY, delivery=1, campaign=campaign.id, key=KEYS[0], at=1.0, source="mail 1", text="Thanks"
            )
        ]
    )  # fmt: skip
    ledger.suppress([(KEYS[0], "asked by phone")], source="by hand", scope="other")
    ledger.keep_preview(manifest(), {KEYS[0]: "d", KEYS[1]: "e"})
    dossier = ledger.dossier(KEYS[0])
    first, second = dossier.deliveries
    assert (first.campaign, first.row, first.name, first.status) == ("appeal--people", 2, "Pat 1", "sent")
    assert (first.fields, second.campaign, second.status) == ({"name": "Pat"}, "another", "queued")
    assert [(one.account, one.verdict, one.text) for one in first.attempts] == [("smtp.example", "sent", "250 Ok")]
    assert [(one.kind, one.text) for one in first.events] == [("reply", "Thanks")]
    assert [(one.entry, one.note, one.scope) for one in dossier.suppressions] == [(KEYS[0], "asked by phone", "other")]
    assert [(one.row, one.fields) for one in dossier.mentions] == [(3, ["secretary"])]
    assert dossier.previews == 1
    assert not ledger.dossier("nobody@example.org").is_known


def test_a_row_with_two_addresses_in_a_cell_is_of_both(ledger: Ledger) -> None:
    bad = contact(9)
    rows = [Row(contact(1), "<1@x>"), Row(bad, "", Status.SKIPPED, "two addresses", usable_address=False)]
    ledger.start(Start(campaign="c", manifest=manifest(), rows=rows, content=lambda _: b"Dear {{ name }}"))
    assert [one.row for one in ledger.dossier(bad.address).deliveries] == [10]
    assert ledger.erase([bad.address]).deliveries == 1
    assert not ledger.dossier(bad.address).is_known


def test_who_is_erased_is_counted_and_suppressed_and_nothing_else(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(number) for number in (1, 2, 3)]))
    handed_over(ledger, campaign, 1)
    ledger.suppress([(KEYS[1], "Pat 2 called")], source="by hand")
    ledger.keep_preview(manifest(), dict.fromkeys(KEYS, "d"))
    erased = ledger.erase(KEYS[:3])
    assert (erased.deliveries, erased.attempts, erased.previews) == (3, 1, 1)
    assert statuses(ledger, campaign) == [Status.SENT, Status.SUPPRESSED, Status.SUPPRESSED]
    assert ledger.tally(campaign) == Tally(sent=1, suppressed=2)
    for key in KEYS[:3]:
        dossier = ledger.dossier(key)
        assert not dossier.is_known
        assert [one.entry for one in dossier.suppressions] == [None]
    for record in ledger.records(campaign):
        assert (record.row, record.address, record.name, record.message_id, record.server_words) == (
            None,
            "",
            "",
            "",
            "",
        )
    preview = ledger.preview(manifest().seal)
    assert preview is not None
    assert preview.digests == {KEYS[3]: "d"}
    assert ledger.erase(KEYS[:3]).deliveries == 0


def test_no_byte_of_who_is_erased_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        who = contact(7, city="Utrecht-Zuilen")
        campaign = ledger.start(start([who, contact(8)]))
        handed_over(ledger, campaign, 1, 2)
        ledger.suppress([(who.key, "Pat 7 called")], source="by hand")
        assert b"p7@example.org" in written(path)
        ledger.erase([who.key])
        left = written(path)
        assert [word for word in (b"p7@", b"Pat 7", b"Zuilen") if word in left] == []
        assert b"p8@example.org" in left


def test_who_is_erased_stays_out_of_every_queue(ledger: Ledger) -> None:
    everybody = [contact(number) for number in (1, 2, 3)]
    campaign = ledger.start(start(everybody))
    handed_over(ledger, campaign, 1)
    ledger.erase([KEYS[0], KEYS[1]])
    assert ledger.requeue_failed(campaign).moved == 0
    revised = ledger.revise(campaign, start([*everybody, contact(4)]))
    # the list has them still; they are known again as what they are, people who must not be mailed
    assert ledger.open_keys(revised) == [KEYS[2], KEYS[3]]
    assert ledger.tally(revised) == Tally(sent=1, queued=2, suppressed=3)
    assert ledger.reached(revised) == set()


def test_a_sender_that_has_the_message_in_its_hands_gives_way(ledger: Ledger) -> None:
    ledger.start(start([contact(1)]))
    ledger.erase([KEYS[0]])

    async def granted() -> bool:
        async with Writer(ledger) as writer:
            return await writer.write(intent=Intent(1, "t", "u@smtp.example", "example.org", time.time()))

    assert asyncio.run(granted()) is False


@pytest.mark.parametrize("status", [Status.SENDING, Status.UNCERTAIN])
def test_whose_message_is_in_doubt_is_named_before_anything_is_erased(ledger: Ledger, status: Status) -> None:
    campaign = ledger.start(start([contact(1), contact(2)]))

    async def begin() -> None:
        async with Writer(ledger) as writer:
            await writer.write(intent=Intent(1, "t", "u@smtp.example", "example.org", time.time()))

    asyncio.run(begin())
    if status is Status.UNCERTAIN:
        ledger.mark_interrupted(campaign)
    assert ledger.undecided(KEYS) == ["appeal--people"]
    assert ledger.undecided([KEYS[1]]) == []


def test_of_a_purged_campaign_the_counts_are_left(ledger: Ledger) -> None:
    long_ago = time.time() - 40 * 86_400
    campaign = ledger.start(start([contact(1), contact(2)]))
    other = ledger.start(start([contact(3)], name="other"))
    handed_over(ledger, campaign, 1, at=long_ago)
    handed_over(ledger, campaign, 2)
    ledger.keep_preview(manifest(), {KEYS[0]: "d"})
    assert not ledger.is_purged(campaign)
    erased = ledger.purge([campaign], before=time.time() + 1)
    assert (erased.deliveries, erased.attempts, erased.previews) == (2, 2, 1)
    assert (ledger.tally(campaign), ledger.known_people(campaign)) == (Tally(sent=2), 0)
    assert (ledger.is_purged(campaign), ledger.is_purged(other)) == (True, False)
    assert not ledger.dossier(KEYS[0]).suppressions
    # the newer one counts towards its domain's quota still
    assert [domain for _, domain in sorted(ledger.transactions("u@smtp.example", 0))] == ["", "example.org"]
    assert next(one.kind for one in ledger.diary(campaign)) == "purged"


def test_what_a_server_says_of_whoever_was_erased_meanwhile_is_not_kept(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1), contact(2)]))
    ledger.erase([KEYS[0]])
    refused = Outcome(
        verdict=Verdict.FAILED, scope=Scope.RECIPIENT, phase=Phase.RCPT, text="550 5.1.1 <p1@example.org> is unknown"
    )
    ledger.write_late(
        Record(
            delivery=number, token="t", account="u@smtp.example", domain="example.org", started_at=1.0, finished_at=2.0,
            outcome=refused, status=Status.FAILED, intended=False, reason="no such address", next_attempt_at=None, suppress=True,
        )
        for number in (1, 2)
    )  # fmt: skip
    assert [one.status for one in ledger.records(campaign)] == [Status.SUPPRESSED, Status.FAILED]
    assert [one.server_words for one in ledger.records(campaign)] == ["", "550 5.1.1 <p1@example.org> is unknown"]


def test_a_campaign_that_went_on_while_the_question_stood_there_is_left_alone(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1), contact(2)]))

    def refuse() -> None:
        raise CampaignError("A message is on its way.")

    with pytest.raises(CampaignError):
        ledger.erase([KEYS[0]], first=refuse)
    with pytest.raises(CampaignError):
        ledger.purge([campaign], before=None, first=refuse)
    assert ledger.open_keys(campaign) == KEYS[:2]
    assert not ledger.suppression_rows()


def test_what_was_said_of_somebody_in_a_campaign_that_was_frozen_anew_goes_too(ledger: Ledger) -> None:
    ledger.start(start([contact(1), contact(2)]))
    ledger._db.executemany(
        "INSERT INTO attempts (account, domain, started_at, finished_at, text) VALUES ('u@smtp.example', 'example.org', 1, 2, ?)",
        [("550 <P1@Example.org> is unknown",), ("550 <p2@example.org> is unknown",)],
    )
    ledger.erase([KEYS[0]])
    assert ledger._all("SELECT text FROM attempts ORDER BY id") == [("",), ("550 <p2@example.org> is unknown",)]


def test_a_reason_that_names_what_stood_in_the_row_goes_too(ledger: Ledger) -> None:
    rows = [
        Row(contact(1), "<1@x>", Status.SKIPPED, "There is no file motions/Pat.pdf."),
        Row(contact(2), "", Status.SKIPPED, "two addresses in one cell", usable_address=False),
        Row(contact(3), "<3@x>"),
    ]
    campaign = ledger.start(Start(campaign="c", manifest=manifest(), rows=rows, content=lambda _: b"Dear {{ name }}"))
    ledger.erase(KEYS[:2])
    assert sorted((one.status.value, one.reason) for one in ledger.records(campaign)) == [
        ("queued", ""), ("skipped", "erased"), ("skipped", "erased"),
    ]  # fmt: skip


def test_nothing_is_left_of_what_was_rewritten_before_either(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        # as SQLite is on Windows and macOS, where what is deleted stays until its place is used again
        ledger._db.execute("PRAGMA secure_delete = OFF")
        everybody = [contact(number) for number in range(1, 200)]
        ledger.start(start(everybody))
        ledger.start(start(everybody[:20]))
        ledger.erase([contact(150).key, contact(7).key])
        assert [word for word in (b"p150@", b"Pat 150", b"p7@", b"Pat 7\n") if word in written(path)] == []
        assert b"p8@example.org" in written(path)
        assert ledger._one("PRAGMA secure_delete") == (0,)


@pytest.mark.parametrize("ledger_place", ["server"], indirect=True)
def test_on_a_server_neither_a_table_nor_the_planner_s_samples_name_who_is_erased(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(number) for number in range(1, 40)]))
    handed_over(ledger, campaign, 1, 2, 3)
    ledger._db.execute("ANALYZE")

    def naming(word: str) -> set[str]:
        tables = ledger._all(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE' AND table_schema <> 'information_schema'"
        )
        query = "SELECT count(*) FROM {}.{} x WHERE position('{}' in lower(x::text)) > 0"
        return {table for schema, table in tables if ledger._one(query.format(schema, table, word)) != (0,)}

    assert naming("p7@example.org") == {"deliveries", "pg_statistic"}
    ledger.erase([contact(7).key])
    assert naming("p7@example.org") == set()
    assert "deliveries" in naming("p8@example.org")


def test_an_encrypted_ledger_forgets_as_well(tmp_path: Path) -> None:
    pytest.importorskip("sqlcipher3")
    key = LedgerKey(salt=b"s" * 16, raw=b"k" * 32)
    with Ledger(tmp_path / "mailer.db", key=key) as ledger:
        campaign = ledger.start(start([contact(1), contact(2)]))
        ledger.erase([KEYS[0]])
        assert not ledger.dossier(KEYS[0]).is_known
    assert b"SQLite format" not in written(tmp_path / "mailer.db")
    with Ledger(tmp_path / "mailer.db", key=key) as ledger:
        assert ledger.open_keys(campaign) == [KEYS[1]]


@pytest.mark.parametrize("held", ["BEGIN IMMEDIATE", "BEGIN; SELECT * FROM deliveries"], ids=["written", "read"])
def test_bytes_wait_for_the_next_erasure_where_another_program_has_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr("mailer.ledger.connection.BUSY_TIMEOUT_MS", 50)
    with Ledger(tmp_path / "mailer.db") as ledger, contextlib.closing(sqlite3.connect(tmp_path / "mailer.db")) as other:
        ledger.start(start([contact(1)]))

        def meanwhile() -> None:
            # between what is forgotten and what is overwritten
            other.executescript(held)

        monkeypatch.setattr(ledger._db, "wipe", lambda *tables: (meanwhile(), Embedded.wipe(ledger._db, *tables)))
        erased = ledger.erase([KEYS[0]])
        assert (erased.deliveries, "is in use by another program" in erased.unwiped) == (1, True)
        other.rollback()
        monkeypatch.undo()
        assert ledger.erase([KEYS[0]]) == Erased()


def test_who_was_forgotten_with_a_campaign_may_still_ask_for_no_more_letters(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1)]))
    handed_over(ledger, campaign, 1)
    assert not ledger.knows("nobody@example.org")
    ledger.purge([campaign], before=None)
    assert ledger.knows(KEYS[0])


def test_who_has_the_letter_by_a_person_s_word_alone_gets_no_second_one_after_a_purge(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1), contact(2)]))
    ledger.doubt_open()
    assert ledger.resolve(campaign, Status.SENT, None).moved == 2
    ledger.purge([campaign], before=None)
    assert ledger.is_purged(campaign)


def test_previews_of_other_campaigns_stay_when_one_is_purged(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1)]))
    handed_over(ledger, campaign, 1)
    another = replace(manifest(), contacts="d" * 64)
    for one in (manifest(), another):
        ledger.keep_preview(one, {KEYS[0]: "d"})
    assert ledger.purge([campaign], before=None).previews == 1
    assert (ledger.preview(manifest().seal), ledger.preview(another.seal) is not None) == (None, True)


# -- files


def test_files_that_name_somebody_are_found_in_whatever_they_are_written(tmp_path: Path) -> None:
    who = "pät@xn--mller-kva.example"
    plain = "pät@müller.example"
    for name, content in {
        "utf8.csv": f"Name;Mail\nX;{plain}\n".encode(),
        "cp1252.csv": f"Name;Mail\nX;{plain}\n".encode("cp1252"),
        "utf16.csv": f"Name;Mail\nX;{plain}\n".encode("utf-16"),
        "deep/er/labels.eml": f"To: <{who}>\r\n".encode(),
        "longer.csv": f"x{who},{who}x,{who}.org,.{who}\n".encode(),
        "nobody.txt": b"nobody@example.org",
        ".git/hidden": who.encode(),
        "notes.pdf": b"%PDF",
        "broken.xlsx": b"PK\x03\x04 damaged",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    workbook = openpyxl.Workbook()
    workbook.active.append(["mail", plain])
    workbook.save(tmp_path / "book.xlsx")
    found = whereabouts(tmp_path, [who])
    assert [path.as_posix() for path in found.found] == [
        "book.xlsx", "cp1252.csv", "utf16.csv", "utf8.csv", "deep/er/labels.eml",
    ]  # fmt: skip
    assert [path.as_posix() for path in found.closed] == ["notes.pdf"]


def test_the_ledger_is_asked_by_itself_and_a_copy_of_it_is_a_file(tmp_path: Path) -> None:
    for name in ("mailer.db", "mailer.db-wal", "mailer.db.old"):
        (tmp_path / name).write_bytes(b"pat@example.org")
    found = whereabouts(tmp_path, ["pat@example.org"], ledger=tmp_path / "mailer.db")
    assert [path.name for path in found.found] == ["mailer.db.old"]


def test_a_copy_of_an_encrypted_ledger_is_told_as_not_looked_at(tmp_path: Path) -> None:
    pytest.importorskip("sqlcipher3")
    Ledger(tmp_path / "backup.db", key=new_key("all tomorrow's parties")).close()
    found = whereabouts(tmp_path, ["pat@example.org"], ledger=tmp_path / "mailer.db")
    assert ([path.name for path in found.closed], list(found.found)) == (["backup.db"], [])


def test_what_is_packed_within_an_archive_is_told_as_not_looked_at(tmp_path: Path) -> None:
    for name, inner in (("lists.zip", "list.xlsx"), ("papers.zip", "a.pdf"), ("plain.zip", "list.csv")):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(inner, b"nobody@example.org")
    (tmp_path / "list.numbers").write_bytes(b"PK")
    closed = [path.name for path in whereabouts(tmp_path, ["pat@example.org"]).closed]
    assert closed == ["list.numbers", "lists.zip", "papers.zip"]
    assert len(whereabouts(tmp_path, ["nobody@example.org"]).found) == 3


def test_an_archive_that_unfolds_without_end_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MOST_OCTETS", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 5000)
    assert [path.name for path in whereabouts(tmp_path, ["pat@example.org"]).closed] == ["a.zip"]


@settings(max_examples=60, deadline=None)
@given(before=st.integers(0, 200), piece=st.integers(1, 70), capitals=st.booleans())
def test_an_address_is_found_wherever_the_pieces_end(*, before: int, piece: int, capitals: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(looking, "CHUNK", piece)
        who = "pat@example.org"
        (Path(folder) / "a.txt").write_text(" " * before + (who.upper() if capitals else who) + "\n")
        assert whereabouts(Path(folder), [who]).found


# -- the commands


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(4)) as journey:
        yield journey


def test_from_the_question_what_you_know_of_me_to_being_forgotten(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    asked = journey.call("export", "P2@Example.org")
    assert asked.code == 0
    for words in ("Campaign appeal--list, row 2: sent", "city: Utrecht", "Files in this folder", "list.csv"):
        assert words in asked.out
    assert journey.call("export", "p2@example.org", "--out", "p2.json").code == 0
    saved = json.loads((journey.folder / "p2.json").read_text(encoding="utf-8"))
    assert saved["deliveries"][0]["fields"]["city"] == "Utrecht"
    assert saved["files"] == ["list.csv"]
    refused = journey.call("export", "p2@example.org", "--out", "p2.json")
    assert (refused.code, "already there" in refused.err) == (2, True)
    (journey.folder / "p2.json").unlink()

    nobody = journey.call("erase", "p2@example.org")
    assert (nobody.code, "add --yes" in nobody.err) == (2, True)
    erased = journey.call("erase", "p2@example.org", "--yes", "--json")
    assert erased.data == {
        "addresses": 1, "deliveries": 1, "attempts": 1, "events": 0, "previews": 0, "unwiped": "", "mentions": [], "attachments": [], "files": ["list.csv"],
        "files_not_readable": [],
    }  # fmt: skip
    report = journey.call("report", "appeal--list", "--json")
    assert (report.data["sent"], report.data["total"]) == (4, 4)
    journey.write("list.csv", as_csv(people(5)))
    assert journey.call("send", *journey.campaign, "--update", "--yes").code == 0
    assert journey.server is not None
    got = [one.rcpt_to[0] for one in journey.server.accepted]
    assert sorted(got) == [f"p{row}@example.org" for row in range(2, 7)]


def test_who_was_erased_and_is_still_in_the_list_is_counted_once(journey: Journey) -> None:
    rows = people(6)
    journey.write("list.csv", as_csv(rows[:3]))
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    assert journey.call("erase", "p2@example.org", "--yes").code == 0
    for number in (4, 5):  # again and again
        journey.write("list.csv", as_csv(rows[:number]))
        sent = journey.call("send", *journey.campaign, "--update", "--yes", "--json")
        assert (sent.code, sent.data["total"], sent.data["sent"], sent.data["suppressed"]) == (0, number, number, 0)
    report = journey.call("report", "appeal--list", "--csv", "r.csv", "--json")
    assert report.data["total"] == 5
    told = (journey.folder / "r.csv").read_text("utf-8")
    assert len(told.splitlines()) == 6
    assert "p2@example.org" not in told
    # whoever was erased elsewhere, and is new in this list, is somebody else
    journey.write("other.csv", as_csv(rows[5:]))
    assert journey.call("send", "appeal", "other.csv", "--yes").code == 0
    assert journey.call("erase", "p7@example.org", "--yes").code == 0
    journey.write("list.csv", as_csv(rows))
    sent = journey.call("send", *journey.campaign, "--update", "--yes", "--json")
    assert (sent.data["total"], sent.data["sent"], sent.data["suppressed"]) == (6, 5, 1)


def test_a_whole_domain_is_nobody_to_be_asked_about_or_forgotten(journey: Journey) -> None:
    assert journey.call("suppress", "add", "@example.org").code == 0
    for command in (["export"], ["erase", "--yes"]):
        refused = journey.call(*command, "@example.org")
        assert (refused.code, "mailer suppress add" in refused.err) == (2, True)
    left = journey.call("send", *journey.campaign, "--yes", "--json")
    assert (left.data["suppressed"], left.data["sent"]) == (4, 0)


@pytest.mark.parametrize("place", ["no folder/p2.txt", "p2.txt/p2.txt"])
def test_an_export_that_cannot_be_saved_says_so(journey: Journey, place: str) -> None:
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    (journey.folder / "p2.txt").write_text("no folder", encoding="utf-8")
    refused = journey.call("export", "p2@example.org", "--out", place)
    assert (refused.code, "cannot be written" in refused.err) == (2, True)


def test_rows_of_others_that_still_name_whoever_is_erased_are_told(journey: Journey) -> None:
    rows = [{**row, "city": "ask p2@example.org"} if number == 1 else row for number, row in enumerate(people(3))]
    journey.write("list.csv", as_csv(rows))
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    erased = journey.call("erase", "p2@example.org", "--yes")
    assert "campaign appeal--list, row 3: city" in erased.out
    assert "These files still name an address. Delete the rows, or the files:\n  list.csv" in erased.out
    again = journey.call("erase", "p2@example.org", "--yes", "--json")
    assert again.data["mentions"] == [{"campaign": "appeal--list", "row": 3, "fields": ["city"]}]


def test_whoever_is_queued_again_while_the_question_stands_there_is_not_purged(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journey.server is not None
    journey.server.on("rcpt", address="p3@example.org", reply="550 5.1.1 unknown")
    assert journey.call("send", *journey.campaign, "--yes").code == 1
    assert journey.call("suppress", "remove", "p3@example.org").code == 0

    def meanwhile(*_: object, **__: object) -> None:
        with Ledger(journey.folder / "mailer.db") as ledger:
            assert ledger.requeue_failed(ledger.find("appeal--list")).moved == 1

    monkeypatch.setattr("mailer.cli.retention.have_typed", meanwhile)
    refused = journey.call("purge", "--campaign", "appeal--list")
    assert (refused.code, "is not over" in refused.err) == (2, True)
    assert journey.call("status", "appeal--list", "--json").data["queued"] == 1


def test_report_and_log_speak_of_whoever_was_erased_as_somebody(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("rcpt", address="p3@example.org", reply="550 5.1.1 <p3@example.org> is unknown")
    assert journey.call("send", *journey.campaign, "--yes").code == 1
    assert journey.call("erase", "p3@example.org", "--yes").code == 0
    report = journey.call("report", "appeal--list", "--html", "r.html", "--csv", "r.csv")
    assert "somebody who was erased: failed" in report.out
    assert "None" not in report.out
    # a Message-ID of somebody else may end in p3
    assert not re.search(r"\bp3@", (journey.folder / "r.html").read_text() + (journey.folder / "r.csv").read_text())
    with Ledger(journey.folder / "mailer.db") as ledger:
        told = [line.data() for line in lines(ledger, ledger.find("appeal--list"))]
    assert [line["who"] for line in told if line["kind"] == "failed"] == [None]


def test_whoever_was_erased_is_told_as_such_when_the_rest_is_sent(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes", "--limit", "1").code == 3
    assert journey.call("erase", "p5@example.org", "--yes").code == 0
    said = journey.call("send", *journey.campaign, "--yes", "--limit", "1").err
    assert "4 in the list: 1 gets the letter now, 1 is left for a later run, 1 has it already, 1 was erased." in said


def test_a_copy_of_the_ledger_is_not_only_to_be_deleted_but_may_forget_them_too(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    shutil.copy(journey.folder / "mailer.db", journey.folder / "backup.db")
    erased = journey.call("erase", "p3@example.org", "--yes")
    assert "backup.db may be a ledger that is in use" in erased.out
    [there] = re.findall(r"set MAILER_LEDGER to (\S+)", erased.out)
    assert journey.call("erase", "p3@example.org", "--yes", settings={"MAILER_LEDGER": there}).code == 0
    assert journey.call("export", "p3@example.org", "--json").data["files"] == ["list.csv"]


def test_nothing_is_erased_while_a_message_is_in_doubt(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("accepted", nth=2, drop=True)
    journey.call("send", *journey.campaign, "--yes", "--connections", "1")
    refused = journey.call("erase", "p3@example.org", "--yes")
    assert refused.code == 2
    assert "mailer resolve appeal--list" in refused.err
    assert journey.call("resolve", "appeal--list", "--as", "sent").code == 0
    assert journey.call("erase", "p3@example.org", "--yes").code == 0


@contextlib.contextmanager
def no_file_may_grow_beyond(file: Path) -> Iterator[None]:
    """For SQLite the same as a disk without room for a second copy of the ledger."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size to be set there")
@pytest.mark.parametrize(
    "command",
    [("erase", "p7@example.org"), ("purge", "--campaign", "appeal--list"), ("purge", "--older-than", "0 days")],
)
def test_who_is_erased_where_the_disk_is_full_is_so_and_old_bytes_go_once_there_is_room(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    with beginning(tmp_path / "my campaign", rows=people(120)) as journey:
        path = journey.folder / "mailer.db"
        assert journey.call("send", *journey.campaign, "--yes").code == 0
        with no_file_may_grow_beyond(path):
            told = journey.call(*command, "--yes", "--json")
        assert (told.code, told.data["deliveries"] > 0) == (3, True), told.err
        assert "What was erased stays so, but old bytes" in told.err
        assert "cannot be written" in told.err
        assert "cannot be written" in told.data["unwiped"]
        [again] = re.findall(r"the same command finishes it:\n  mailer (.+)", told.err)
        assert again.replace('"', "") == " ".join(command)
        known = journey.call("export", "p7@example.org", "--json").data
        assert known["known"] is False
        with Ledger(path) as ledger:
            # what this leaves behind is overwritten by nothing but a VACUUM
            ledger.keep_preview(manifest(), {f"p{number}@example.org": "d" for number in range(2000)})
            ledger._run("DELETE FROM previews")
        size = path.stat().st_size
        finished = journey.call(*command, "--yes")
        assert (finished.code, finished.err) == (0, "")
        assert path.stat().st_size < size
        assert b"p7@example.org" not in written(path)
        assert "all 120 have it already" in journey.call("send", *journey.campaign, "--yes").out


def test_a_campaign_of_long_ago_is_purged_and_never_mailed_again_by_itself(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    shown = journey.call("purge")
    assert "appeal--list" in shown.out
    assert "Nothing was erased" in shown.out
    assert "Nobody was erased" in journey.call("purge", "--older-than", "1 week", "--yes").out
    with sqlite3.connect(journey.folder / "mailer.db") as ledger:
        ledger.execute("UPDATE campaigns SET finished_at = finished_at - ?", (8 * 86_400,))
    ledger.close()
    nobody = journey.call("purge", "--older-than", "1 week")
    assert (nobody.code, "4 people" in nobody.err) == (2, True)
    assert journey.call("purge", "--older-than", "1 week", "--yes", "--json").data["deliveries"] == 4
    assert journey.call("purge", "--json").data == {"campaigns": []}
    again = journey.call("send", *journey.campaign, "--yes")
    assert "all 4 have it already" in again.out
    journey.write("list.csv", as_csv(people(5)))
    refused = journey.call("send", *journey.campaign, "--update", "--yes")
    assert (refused.code, "Everybody in campaign" in refused.err) == (2, True)
    shown = journey.call("preview", *journey.campaign)
    assert "everybody in it was erased" in shown.out
    assert "nobody has the letter" not in shown.out
    assert journey.server is not None
    assert len(journey.server.accepted) == 4
    assert journey.call("retry", "appeal--list").code in {0, 2}
    assert journey.call("status", "appeal--list", "--json").data["sent"] == 4


def test_files_that_were_attached_for_single_rows_go_with_their_campaign(journey: Journey) -> None:
    (journey.folder / "motions").mkdir()
    for row in range(2, 6):
        journey.write(f"motions/p{row}@example.org.txt", f"Motion of the branch {row}")
    journey.write("all.txt", "For everybody")
    letter = (journey.folder / "templates" / "appeal.md").read_text(encoding="utf-8")
    both = 'attachments: [all.txt, "motions/{{ email }}.txt"]\nrequired:'
    journey.write("templates/appeal.md", letter.replace("required:", both))
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    erased = journey.call("erase", "p2@example.org", "--yes")
    assert "mailer purge --campaign appeal--list" in erased.out
    assert b"Motion of the branch 2" in written(journey.folder / "mailer.db")
    assert journey.call("purge", "--campaign", "appeal--list", "--yes").code == 0
    left = written(journey.folder / "mailer.db")
    assert (b"Motion of" in left, b"For everybody" in left, b"an injury to one" in left) == (False, True, True)
    assert "all 4 have it already" in journey.call("send", *journey.campaign, "--yes").out
    assert journey.call("report", "appeal--list", "--html", "r.html", "--csv", "r.csv").code == 0


def test_who_is_still_to_be_mailed_is_not_purged(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes", "--limit", "2").code == 3
    refused = journey.call("purge", "--campaign", "appeal--list", "--yes")
    assert (refused.code, "is not over" in refused.err) == (2, True)
    assert journey.call("purge", "--older-than", "soon").code == 2


def test_an_export_is_not_laid_beside_an_encrypted_ledger(journey: Journey) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailer.cli.unlocking.is_encrypted", lambda _settings=None: True)
        refused = journey.call("export", "p2@example.org", "--out", "p2.txt")
    assert (refused.code, "encrypted" in refused.err) == (2, True)
    assert not (journey.folder / "p2.txt").exists()
