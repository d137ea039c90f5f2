"""Access, erasure and retention: all that is kept about somebody is told, and what is erased is gone, and nobody is mailed twice for it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journey import Journey, as_csv, beginning, people
from test_ledger import SENT, contact, manifest, start

from mailer.campaign import whereabouts as looking
from mailer.campaign.whereabouts import whereabouts
from mailer.ledger import Intent, Ledger, Record, Row, Start, Writer
from mailer.model import CampaignRecord, Event, EventKind, LedgerPlace, Status, Tally

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
        "addresses": 1, "deliveries": 1, "attempts": 1, "events": 0, "previews": 0, "files": ["list.csv"],
        "files_not_readable": [],
    }  # fmt: skip
    report = journey.call("report", "appeal--list", "--json")
    assert (report.data["sent"], report.data["total"]) == (4, 4)
    journey.write("list.csv", as_csv(people(5)))
    assert journey.call("send", *journey.campaign, "--update", "--yes").code == 0
    assert journey.server is not None
    got = [one.rcpt_to[0] for one in journey.server.accepted]
    assert sorted(got) == [f"p{row}@example.org" for row in range(2, 7)]


def test_nothing_is_erased_while_a_message_is_in_doubt(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("accepted", nth=2, drop=True)
    journey.call("send", *journey.campaign, "--yes", "--connections", "1")
    refused = journey.call("erase", "p3@example.org", "--yes")
    assert refused.code == 2
    assert "mailer resolve appeal--list" in refused.err
    assert journey.call("resolve", "appeal--list", "--as", "sent").code == 0
    assert journey.call("erase", "p3@example.org", "--yes").code == 0


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
    assert journey.server is not None
    assert len(journey.server.accepted) == 4
    assert journey.call("retry", "appeal--list").code in {0, 2}
    assert journey.call("status", "appeal--list", "--json").data["sent"] == 4


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
