"""The ledger, in a real file and on a real server: one-transaction start, compare-and-set, group commit."""

import asyncio
import contextlib
import ctypes
import errno
import hashlib
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import gethostname
from types import SimpleNamespace

import pytest
from filelock import FileLock

from mailer.errors import BrokenLedgerError, CampaignError, LedgerError
from mailer.ledger import AccountLock, Intent, Ledger, Record, Row, SenderLock, Start, Writer, boot, embedded, settle
from mailer.ledger.boot import boot_id, has_passed, this_start
from mailer.ledger.deliveries import Moved
from mailer.model import (
    Action,
    CampaignRecord,
    Contact,
    Happening,
    LedgerPlace,
    Manifest,
    Outcome,
    Phase,
    Reason,
    Reply,
    Scope,
    Status,
    Suppressed,
    Tally,
    Verdict,
)
from mailer.suppression import list_name

LETTER = b"Dear {{ name }}"
SENT = Outcome(
    verdict=Verdict.SENT, scope=Scope.RECIPIENT, phase=Phase.FINAL_DOT, text="250 Ok", reply=Reply(code=250, text="Ok")
)
LOST = Outcome(
    verdict=Verdict.UNCERTAIN, scope=Scope.CONNECTION, phase=Phase.FINAL_DOT, text="gone", action=Action.STOP
)


def contact(number: int, **fields: str) -> Contact:
    address = f"p{number}@example.org"
    return Contact(address=address, key=address, row=number + 1, name=f"Pat {number}", fields={"name": "Pat", **fields})


def manifest(**other: object) -> Manifest:
    parts = {
        "template": "appeal",
        "list_name": "people.csv",
        "letter": {"templates/appeal.md": hashlib.sha256(LETTER).hexdigest()},
        "attachments": {},
        "contacts": "c" * 64,
        "list_file": "f" * 64,
        "settings": {"SENDER": "Ana <ana@example.org>"},
        "messages": "m" * 64,
    }
    return Manifest(**{**parts, **other})


def start(people: Sequence[Contact], name: str = "appeal--people", **other: object) -> Start:
    rows = [Row(contact=person, message_id=f"<{person.key}>") for person in people]
    return Start(campaign=name, manifest=manifest(**other), rows=rows, content=lambda _: LETTER)


@pytest.fixture
def ledger(ledger_place: LedgerPlace) -> Iterator[Ledger]:
    with Ledger(ledger_place) as opened:
        yield opened


@pytest.fixture
def campaign(ledger: Ledger) -> CampaignRecord:
    return ledger.start(start([contact(n) for n in range(1, 6)]))


def intent(delivery: int, token: str = "me") -> Intent:
    return Intent(delivery=delivery, token=token, account="a", domain="example.org", at=time.time())


def record(delivery: int, outcome: Outcome = SENT, token: str = "me", *, intended: bool = True) -> Record:
    status = {Verdict.SENT: Status.SENT, Verdict.UNCERTAIN: Status.UNCERTAIN}[outcome.verdict]
    return Record(
        delivery=delivery,
        token=token,
        account="a",
        domain="example.org",
        started_at=time.time(),
        finished_at=time.time(),
        outcome=outcome,
        status=status,
        intended=intended,
    )


in_a_file = pytest.mark.parametrize("ledger_place", ["file"], indirect=True)


def test_starting_a_campaign_twice_changes_nothing(ledger: Ledger, campaign: CampaignRecord) -> None:
    again = ledger.start(start([contact(n) for n in range(5, 0, -1)]))
    assert again.name == campaign.name
    assert ledger.tally(again) == Tally(queued=5)


async def test_a_campaign_that_was_tried_keeps_what_it_was_frozen_with(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
        await writer.write(records=[record(1)])
    again = ledger.start(start([contact(9)], messages="n" * 64))
    assert again.manifest == campaign.manifest
    assert ledger.tally(again) == Tally(sent=1, queued=4)


def test_a_campaign_of_which_nothing_was_tried_is_frozen_anew(ledger: Ledger, campaign: CampaignRecord) -> None:
    assert not ledger.tried(campaign)
    again = ledger.start(start([contact(9)], messages="n" * 64))
    assert again.manifest.messages == "n" * 64
    assert ledger.tally(again) == Tally(queued=1)


def test_a_start_that_fails_half_way_leaves_nothing_behind(ledger: Ledger) -> None:
    def rows() -> Iterator[Row]:
        yield Row(contact=contact(1), message_id="<1>")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        ledger.start(Start(campaign="x", manifest=manifest(), rows=rows(), content=lambda _: LETTER))
    assert ledger.campaign("x") is None
    assert ledger.campaigns() == []


def test_the_frozen_letter_can_be_read_back(ledger: Ledger, campaign: CampaignRecord) -> None:
    assert ledger.blob(campaign.manifest.letter["templates/appeal.md"]) == LETTER
    with pytest.raises(KeyError):
        ledger.blob("0" * 64)


def test_deliveries_come_back_as_they_were_enqueued(ledger: Ledger) -> None:
    person = Contact(
        address="Pat@example.org",
        key="pat@example.org",
        row=7,
        name="پیٹ",
        language="ur",
        fields={"city": "کوئٹہ", "embassy": {"email": "embassy@example.net"}},
    )
    campaign = ledger.start(start([person]))
    [delivery] = ledger.deliveries(ledger.due(campaign, time.time()))
    assert delivery.contact == person
    assert delivery.status is Status.QUEUED


async def test_only_one_of_two_senders_gets_a_delivery(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as mine, Writer(ledger) as yours:
        answers = await asyncio.gather(
            *(writer.write(intent=intent(1, token)) for writer, token in ((mine, "me"), (yours, "you")))
        )
    assert sorted(answers) == [False, True]
    assert ledger.tally(campaign) == Tally(sending=1, queued=4)


async def test_an_outcome_of_a_stranger_changes_nothing(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1, "me"))
        await writer.write(records=[record(1, token="stranger")])
    assert ledger.tally(campaign) == Tally(sending=1, queued=4)


async def test_late_proof_settles_what_was_held_as_uncertain(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
        assert ledger.mark_interrupted(campaign) == 1
        assert ledger.tally(campaign).uncertain == 1
        await writer.write(records=[record(1)])
    assert ledger.tally(campaign) == Tally(sent=1, queued=4)


async def test_late_proof_after_a_person_decided_changes_nothing(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
        ledger.mark_interrupted(campaign)
        assert ledger.resolve(campaign, Status.QUEUED, None) == Moved(moved=1)
        await writer.write(records=[record(1)])
    assert ledger.tally(campaign) == Tally(queued=5)


async def test_who_stays_out_after_a_decision_is_not_told_as_to_be_sent_again(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    async with Writer(ledger) as writer:
        for number in (1, 2):
            await writer.write(intent=intent(number))
    ledger.mark_interrupted(campaign)
    ledger.suppress([("p1@example.org", "asked")], source="by hand")
    assert ledger.resolve(campaign, Status.QUEUED, ["p1@example.org"]) == Moved(moved=0, suppressed=1)
    decided = [one for one in ledger.diary(campaign) if one.kind is Happening.DECIDED]
    assert ledger.resolve(campaign, Status.QUEUED, None) == Moved(moved=1)
    assert (decided, [one.number for one in ledger.diary(campaign) if one.kind is Happening.DECIDED]) == ([], [1])


async def test_a_decision_counts_its_own_campaign_only(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
    ledger.mark_interrupted(campaign)
    ledger.start(start([contact(number) for number in range(1, 4)], "other--people"))
    ledger.suppress([("p2@example.org", "asked"), ("p3@example.org", "asked")], source="by hand")
    # as nothing here would leave them
    ledger._db.execute("UPDATE deliveries SET status = 'queued' WHERE campaign_id <> ?", (campaign.id,))
    assert ledger.resolve(campaign, Status.QUEUED, None) == Moved(moved=1)
    assert [one.number for one in ledger.diary(campaign) if one.kind is Happening.DECIDED] == [1]


async def test_a_late_answer_completes_only_the_attempt_of_its_own_sender(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1, "old"))
        ledger.mark_interrupted(campaign)
        ledger.resolve(campaign, Status.QUEUED, None)
        await writer.write(intent=intent(1, "new"))
        await writer.write(records=[record(1, SENT, "old")])
    attempts = ledger._all("SELECT token, verdict FROM attempts ORDER BY id")
    assert attempts == [("old", "sent"), ("new", None)]
    assert ledger.tally(campaign) == Tally(sending=1, queued=4)


async def test_a_dead_address_leaves_all_other_campaigns_in_the_same_commit(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    other = ledger.start(start([contact(n) for n in range(1, 4)], name="motion--people"))
    dead = Outcome(verdict=Verdict.FAILED, scope=Scope.RECIPIENT, phase=Phase.RCPT, text="550 5.1.1 no", suppress=True)
    refused = record(1, intended=False)._replace(
        outcome=dead, status=Status.FAILED, reason="does not exist", suppress=True
    )
    async with Writer(ledger) as writer:
        await writer.write(records=[refused])
    assert ledger.suppressions().entries == {"p1@example.org": (Reason.BOUNCE, "does not exist")}
    assert ledger.tally(campaign) == Tally(failed=1, queued=4)
    assert ledger.tally(other) == Tally(suppressed=1, queued=2)
    assert [item.reason for item in ledger.records(other, Status.SUPPRESSED)] == ["does not exist"]


@in_a_file
async def test_an_outcome_and_the_next_intent_are_one_commit(ledger: Ledger, campaign: CampaignRecord) -> None:
    watcher = sqlite3.connect(ledger.path)
    watcher.execute("PRAGMA data_version")
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
        before = watcher.execute("PRAGMA data_version").fetchone()
        await writer.write(records=[record(1)], intent=intent(2))
        after = watcher.execute("PRAGMA data_version").fetchone()
        assert after != before
    assert ledger.tally(campaign) == Tally(sent=1, sending=1, queued=3)
    watcher.close()


async def test_many_waiters_share_few_commits(ledger: Ledger) -> None:
    ledger.start(start([contact(n) for n in range(1, 401)]))
    async with Writer(ledger) as writer:
        answers = await asyncio.gather(*(writer.write(intent=intent(n)) for n in range(1, 401)))
    assert all(answers)
    assert ledger._one("SELECT count(*) FROM attempts") == (400,)


@in_a_file
async def test_while_another_program_writes_the_loop_goes_on(ledger: Ledger, campaign: CampaignRecord) -> None:
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with Writer(ledger) as writer:
        granted = writer.write(intent=intent(1))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not granted.done()
        other.execute("COMMIT")
        assert await granted
    other.close()
    assert ledger.tally(campaign) == Tally(sending=1, queued=4)


@in_a_file
async def test_another_program_that_does_not_let_go_is_named(
    ledger: Ledger, campaign: CampaignRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.ledger.writer.PATIENCE", 0.05)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with Writer(ledger) as writer:
        with pytest.raises(LedgerError, match="in use by another program"):
            await writer.write(intent=intent(1))
    other.close()
    assert ledger.tally(campaign) == Tally(queued=5)


@in_a_file
async def test_whoever_will_not_wait_for_another_program_leaves_the_ledger_closed(ledger: Ledger) -> None:
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def send() -> None:
        async with Writer(ledger) as writer:
            writer.write(intent=intent(1)).cancel()

    sending = asyncio.ensure_future(send())
    for _ in range(10):
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    other.close()
    # the last connection that is closed takes the file of what is not yet in the ledger away
    ledger.close()
    assert not Path(f"{ledger.path}-wal").exists()


async def test_a_commit_that_fails_fails_every_waiter_now_and_later(ledger: Ledger, campaign: CampaignRecord) -> None:
    with Ledger(ledger.place) as breaker:
        breaker._run("DROP TABLE attempts")
    async with Writer(ledger) as writer:
        answers = await asyncio.gather(*(writer.write(intent=intent(n)) for n in (1, 2, 3)), return_exceptions=True)
        assert all(isinstance(answer, LedgerError) for answer in answers)
        with pytest.raises(LedgerError):
            await writer.write(intent=intent(4))
    assert ledger.tally(campaign) == Tally(queued=5)


async def test_an_attempt_is_written_before_the_dot_and_completed_by_the_reply(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
        assert ledger._all("SELECT delivery_id, verdict FROM attempts") == [(1, None)]
        await writer.write(records=[record(1)])
    assert ledger._all("SELECT delivery_id, verdict, code, text FROM attempts") == [(1, "sent", 250, "250 Ok")]
    [line, *_] = ledger.records(campaign, Status.SENT)
    assert line.server_words == "250 Ok"


async def test_quotas_count_what_was_handed_over_before_a_restart(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
        await writer.write(records=[record(1)], intent=intent(2))
    # the second one has no answer: nobody knows when the server saw it, so it counts as of now
    times = ledger.transactions("a", time.time() - 60)
    assert [domain for _, domain in times] == ["example.org", "example.org"]
    assert ledger.transactions("another account", 0) == []
    assert len(ledger.transactions("a", time.time() - 0.0001)) == 1


def test_an_update_changes_the_unsent_rest_adds_the_new_and_skips_the_gone(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    assert ledger.resolve(campaign, Status.SENT, None) == Moved(moved=0)
    ledger._run("UPDATE deliveries SET status = 'sent' WHERE key = 'p1@example.org'")
    changed = start([contact(1, city="x"), contact(2, city="y"), contact(3), contact(9)], messages="n" * 64)
    revised = ledger.revise(campaign, changed)
    assert revised.revision == 2
    assert ledger.manifest(revised, 1) == campaign.manifest
    found = {person.key: (status, person.fields.get("city")) for person, status in ledger.contacts(revised)}
    assert found == {
        "p1@example.org": (Status.SENT, None),
        "p2@example.org": (Status.QUEUED, "y"),
        "p3@example.org": (Status.QUEUED, None),
        "p4@example.org": (Status.SKIPPED, None),
        "p5@example.org": (Status.SKIPPED, None),
        "p9@example.org": (Status.QUEUED, None),
    }


def test_a_second_starter_is_told_who_sends(ledger: Ledger, campaign: CampaignRecord) -> None:
    ledger.set_owner(campaign, "process 42 on laptop")
    holder = (
        "import pickle, sys; from mailer.ledger import Ledger, SenderLock\n"
        f"lock = SenderLock(Ledger(pickle.loads({pickle.dumps(ledger.place)!r})), {campaign.name!r}).__enter__()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CampaignError, match="process 42 on laptop"), SenderLock(ledger, campaign.name):
            pass
        assert SenderLock(ledger, campaign.name).is_held()
        other.kill()
    with SenderLock(ledger, campaign.name):
        pass
    assert not SenderLock(ledger, campaign.name).is_held()


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    Ledger(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerError, match="newer"):
        Ledger(path)


def test_a_file_that_is_no_ledger_is_refused_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    path.write_text("these are my notes, not a database, and they are long enough to be looked at" * 20)
    with pytest.raises(LedgerError, match="is not a ledger"):
        Ledger(path)


def test_a_folder_that_does_not_exist_is_refused_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(BrokenLedgerError, match="cannot be kept: there is no folder") as caught:
        Ledger(tmp_path / "nowhere" / "mailer.db")
    assert "MAILER_LEDGER" not in str(caught.value.hint)


AS_NOBODY = """
import os, sys
from pathlib import Path
from mailer.errors import MailerError
from mailer.ledger import Ledger
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)  # root may write anywhere
try:
    Ledger(Path(sys.argv[1]))
except MailerError as error:
    print(error.exit_code, error.message, error.hint, sep="\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such rights there")
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_may_not_be_written_is_named_and_no_other_ledger_is_suggested(there: bool) -> None:
    with tempfile.TemporaryDirectory() as name:  # which others may enter, unlike the tests' own
        folder = Path(name)
        path = folder / "mailer.db"
        if there:
            Ledger(path).close()
            path.chmod(0o666)
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", AS_NOBODY, path], capture_output=True, text=True, check=True)
        folder.chmod(0o755)
        (folder / "mailer.db").unlink(missing_ok=True)
    code, message, hint = done.stdout.splitlines()
    assert code == "2"
    assert message.startswith(f"The ledger {path} cannot be {'written' if there else 'made'}: ")
    assert f"the folder {folder}" in message
    assert "MAILER_LEDGER" not in hint


def test_looking_does_not_make_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="There is no ledger"):
        Ledger(tmp_path / "mailer.db", create=False)
    assert not (tmp_path / "mailer.db").exists()


@in_a_file
def test_commits_are_synced_to_the_disk(ledger: Ledger) -> None:
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_suppressions_are_kept_once_and_can_be_removed(ledger: Ledger) -> None:
    assert ledger.suppress([("a@example.org", "asked"), ("a@example.org", "twice")], source="by hand") == 1
    assert ledger.suppressions().entries == {"a@example.org": (Reason.MANUAL, "asked")}
    assert ledger.unsuppress(["a@example.org", "b@example.org"]) == 1
    assert ledger.suppressions() == Suppressed()


def test_a_preview_is_remembered_by_its_seal(ledger: Ledger) -> None:
    ledger.keep_preview(manifest(), {"p1@example.org": "d1"})
    kept = ledger.preview(manifest().seal)
    assert kept is not None
    assert kept.manifest == manifest()
    assert kept.digests == {"p1@example.org": "d1"}
    assert ledger.preview("0-0-0-0-0") is None


def test_a_ledger_that_was_lost_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger, AccountLock(ledger, "ana@smtp.example.org"):
        pass
    path.unlink()
    with pytest.raises(CampaignError, match="is missing, although mail was sent from this folder") as refused:
        Ledger(path)
    traces = list(tmp_path.glob("*.lock"))
    for trace in traces:
        assert trace.name in (refused.value.hint or "")
        with pytest.raises(CampaignError, match="is missing"):
            Ledger(path)
        trace.unlink()
    Ledger(path).close()


def test_a_ledger_that_was_lost_is_noticed_where_a_lock_takes_its_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = FileLock._release

    def release_as_on_windows(lock: FileLock) -> None:
        release(lock)
        Path(lock.lock_file).unlink(missing_ok=True)

    monkeypatch.setattr(FileLock, "_release", release_as_on_windows)
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        account = AccountLock(ledger, "ana@smtp.example.org")
        assert not account.is_held()
        assert sorted(one.name for one in tmp_path.iterdir() if one.suffix == ".lock") == [], "nobody has sent anything"
        for _ in range(2):
            with account:
                assert (tmp_path / "mailer.db-sent.lock").exists(), "before the first message leaves"
    assert [one.name for one in tmp_path.glob("*.lock")] == ["mailer.db-sent.lock"]
    for lost in (path.unlink, lambda: path.write_bytes(b"")):
        lost()
        with pytest.raises(CampaignError, match="although mail was sent from this folder") as refused:
            Ledger(path)
        assert "delete mailer.db-sent.lock and run the command again" in (refused.value.hint or "")
    (tmp_path / "mailer.db-sent.lock").unlink()
    Ledger(path).close()


def test_the_lock_file_of_an_earlier_version_tells_of_a_lost_ledger_too(tmp_path: Path) -> None:
    (tmp_path / "mailer.db-account-0123456789abcdef.lock").touch()
    with pytest.raises(CampaignError, match="is missing, although mail was sent") as refused:
        Ledger(tmp_path / "mailer.db")
    assert "delete mailer.db-account-0123456789abcdef.lock and run" in (refused.value.hint or "")


def test_where_no_trace_can_be_left_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Ledger(tmp_path / "mailer.db") as ledger:
        account = AccountLock(ledger, "ana@smtp.example.org")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", full)
            with pytest.raises(LedgerError, match="cannot be used: No space left on device"):
                account.__enter__()
        assert not account.is_held()


def test_an_empty_file_where_mail_was_sent_from_is_a_lost_ledger(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger, AccountLock(ledger, "ana@example.org"):
        pass
    path.write_bytes(b"")
    with pytest.raises(CampaignError, match="is empty, although mail was sent from this folder"):
        Ledger(path)


def test_a_copy_of_the_file_alone_without_the_log_that_had_all_is_a_lost_ledger(tmp_path: Path) -> None:
    path, copy = tmp_path / "mailer.db", tmp_path / "copy.db"
    with Ledger(path) as ledger, AccountLock(ledger, "ana@example.org"):
        ledger.start(start([contact(1)]))
        copy.write_bytes(path.read_bytes())
    assert copy.stat().st_size > 0
    copy.replace(path)
    for _ in range(2):
        with pytest.raises(CampaignError, match="is empty, although mail was sent from this folder"):
            Ledger(path)
    (tmp_path / "mailer.db-sent.lock").unlink()
    for lock in tmp_path.glob("*.lock"):
        lock.unlink()
    with Ledger(path) as ledger:
        assert ledger.campaigns() == []


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE a (b)")
        db.commit()
    with pytest.raises(BrokenLedgerError, match="database of another program") as refused:
        Ledger(path)
    assert refused.value.exit_code == 2
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]


@in_a_file
def test_a_link_to_a_ledger_has_the_same_locks(ledger: Ledger, campaign: CampaignRecord, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    link = other / "mailer.db"
    try:
        link.symlink_to(ledger.path)
    except OSError:
        pytest.skip("links need a right that this account does not have")
    with (
        SenderLock(ledger, campaign.name),
        Ledger(link) as linked,
        pytest.raises(CampaignError, match="being sent just now"),
        SenderLock(linked, campaign.name),
    ):
        pass


def test_a_ledger_with_two_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    Ledger(path).close()
    (tmp_path / "other.db").hardlink_to(path)
    with pytest.raises(CampaignError, match="a second name on this disk"):
        Ledger(path)


async def test_what_a_dead_sender_may_have_begun_counts_towards_the_quota_once(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    ledger.note_lines(campaign, "a", 4)
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
    for _ in range(2):
        ledger.mark_interrupted(campaign)
        assert sorted(domain for _, domain in ledger.transactions("a", 0)) == ["", "", "", "", "example.org"]
    assert sorted(ledger.transactions_to_domains(0)) == sorted(ledger.transactions("a", 0))
    ledger.note_lines(campaign, "a", 0)
    ledger.mark_interrupted(campaign)
    assert len(ledger.transactions("a", 0)) == 5


@pytest.mark.parametrize(("ahead", "due"), [(3600.0, 0), (400 * 86400.0, 1)])
async def test_who_was_put_off_by_a_wrong_clock_is_due_now(
    ledger: Ledger, campaign: CampaignRecord, ahead: float, due: int
) -> None:
    ledger._db.execute(
        "UPDATE deliveries SET status = 'deferred', next_attempt_at = ? WHERE key = 'p1@example.org'",
        (time.time() + ahead,),
    )
    assert len(ledger.due(campaign, time.time())) == 4 + due


async def test_a_computer_that_went_down_is_told_apart_from_a_program_that_ended(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    ledger.set_owner(campaign, "process 1")
    assert not ledger.went_down(campaign)
    for start, down in (("earlier", True), (f"earlier {gethostname()}", True), ("earlier another-computer", False)):
        ledger._run("UPDATE campaigns SET boot = ?", start)
        assert ledger.went_down(campaign) is down
    ledger.set_owner(campaign, None)
    assert not ledger.went_down(campaign)
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
    ledger.mark_interrupted(campaign, what="this computer")
    [record] = ledger.records(campaign, Status.UNCERTAIN)
    assert record.reason == "this computer ended between the message and the server's answer"


def test_a_start_of_the_computer_has_a_name_that_stays() -> None:
    first = boot_id()
    boot_id.cache_clear()
    assert first
    assert boot_id() == first


@pytest.mark.parametrize(("seconds", "has_ended"), [(0, False), (-61, False), (100, False), (150, True), (-600, True)])
def test_on_windows_a_clock_that_is_set_right_is_no_other_start(
    monkeypatch: pytest.MonkeyPatch, seconds: int, has_ended: bool
) -> None:
    def ticks() -> int:
        return int(1e3 * (time.time() - began))

    began = time.time() - 5000
    kernel32 = SimpleNamespace(GetTickCount64=ticks)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    monkeypatch.setattr(boot, "boot_id", boot._windows)
    start = this_start()
    assert start.startswith("boot-")
    began += seconds
    assert has_passed(start) is has_ended
    assert not has_passed(f"{start}.example.org"), "of another computer nobody knows"
    assert has_passed(f"4f5b5e1c {gethostname()}")


async def test_what_a_dead_sender_left_can_be_decided_without_sending_again(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    async with Writer(ledger) as writer:
        await writer.write(intent=intent(1))
    with SenderLock(ledger, campaign.name), Ledger(ledger.place) as onlooker:
        settle(onlooker, campaign)
        assert ledger.tally(campaign).sending == 1, "a sender that lives keeps what it has in hand"
    settle(ledger, campaign)
    assert ledger.tally(campaign).uncertain == 1


FULL_DISK = """
import resource, sys
from pathlib import Path
from socket import gethostname
from types import SimpleNamespace
from mailer.errors import LedgerError
from mailer.ledger import Ledger
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    Ledger(Path(sys.argv[1]))
except LedgerError as error:
    print(error.message, error.hint)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size to be set there")
@pytest.mark.parametrize("size", ["0", "8192", "20000"])
def test_a_disk_that_is_full_from_the_start_is_told_with_the_way_out(tmp_path: Path, size: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "mailer.db"), size],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "cannot be written" in told
    assert "make room on the disk" in told


def test_people_of_whom_only_some_were_read_say_nothing_when_they_are_given_up_after_the_ledger(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    # as by a report for which the disk was full half-way
    records = ledger.records(campaign)
    next(records)
    ledger.close()
    # what a generator says now is only printed; pytest makes an error of it
    records.close()


PLAIN = (
    "CREATE TABLE suppressions (key TEXT PRIMARY KEY, reason TEXT NOT NULL, source TEXT NOT NULL, created_at REAL NOT NULL)"
    " STRICT, WITHOUT ROWID;"
)
BACK = {
    9: "PRAGMA user_version = 9;",
    8: "DROP INDEX attempts_in_trouble; CREATE INDEX attempts_in_trouble ON attempts (finished_at)"
    " WHERE verdict IN ('deferred', 'failed', 'uncertain', 'requeued'); PRAGMA user_version = 8;",
    6: "ALTER TABLE campaigns DROP COLUMN hours; ALTER TABLE campaigns DROP COLUMN zone; ALTER TABLE deliveries DROP COLUMN zone;"
    " PRAGMA user_version = 6;",
    5: "DROP TABLE diary; DROP INDEX attempts_in_trouble; PRAGMA user_version = 5;",
    4: "DROP TABLE approvals; PRAGMA user_version = 4;",
    3: "DROP TABLE suppressions; DROP TABLE suppression_secrets; ALTER TABLE campaigns DROP COLUMN list;"
    f" {PLAIN} PRAGMA user_version = 3;",
    2: "DROP TABLE events; DROP TABLE mailboxes; PRAGMA user_version = 2;",
    1: "DROP INDEX attempts_by_end; CREATE INDEX attempts_by_time ON attempts (account, started_at); PRAGMA user_version = 1;",
}
"""What makes a ledger of a format from one of the next."""


@pytest.mark.parametrize("oldest", BACK)
def test_a_ledger_of_an_earlier_format_is_brought_up_to_date_with_everything_in_it(tmp_path: Path, oldest: int) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        ledger.start(start([contact(1)]))
        secret = ledger.secret
    db = sqlite3.connect(path)
    for number, script in BACK.items():
        if number >= oldest:
            db.executescript(script)
    db.close()
    with Ledger(path) as ledger:
        assert (ledger.secret, ledger.tally(ledger.find("appeal--people"))) == (secret, Tally(queued=1))
    db, new = sqlite3.connect(path), sqlite3.connect(tmp_path / "new.db")
    Ledger(tmp_path / "new.db").close()
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert db.execute("PRAGMA user_version").fetchone() == new.execute("PRAGMA user_version").fetchone()
    assert {row[:2] for row in db.execute(schema)} == {row[:2] for row in new.execute(schema)}
    indexes = "SELECT name, replace(sql, char(10), '') FROM sqlite_master WHERE type = 'index' ORDER BY name"
    assert db.execute(indexes).fetchall() == new.execute(indexes).fetchall()
    for table in [row[1] for row in new.execute(schema) if row[0] == "table"]:
        columns = f"PRAGMA table_info({table})"
        assert db.execute(columns).fetchall() == new.execute(columns).fetchall()
    db.close()
    new.close()


def test_a_list_that_an_earlier_version_named_otherwise_once_it_was_encrypted_is_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger:
        ledger.start(start([contact(number) for number in range(1, 5)]))
        for number, scope in ((1, "people"), (2, "people.csv.age"), (3, "people"), (3, "people.csv.age"), (4, "x.csv")):
            ledger.suppress([(contact(number).key, "")], source="by hand", scope=scope)
        ledger._db.execute("UPDATE deliveries SET status = 'queued'")
        ledger._db.execute("UPDATE campaigns SET list = 'people.csv.age'")
        ledger._db.execute("PRAGMA user_version = 9")
    with Ledger(path) as ledger:
        assert ledger._all("SELECT list FROM campaigns") == [("people",)]
        found = sorted((one.scope, one.entry) for one in ledger.suppression_rows())
        # nobody gets out of what the list was called, and what was no ending stays as somebody named it
        assert found == [
            *(("people", contact(number).key) for number in (1, 2, 3)),
            *(("people.csv.age", contact(number).key) for number in (2, 3)),
            ("x.csv", contact(4).key),
        ]
        assert ledger.tally(ledger.find("appeal--people")) == Tally(queued=1, suppressed=3)


def test_a_list_whose_own_name_ends_like_an_encrypted_one_keeps_it_and_nobody_gets_out_of_it(tmp_path: Path) -> None:
    path = tmp_path / "mailer.db"
    frozen = start([contact(1), contact(2)], list_name="people.age.csv")
    with Ledger(path) as ledger:
        ledger.start(frozen)
        ledger.suppress([(contact(1).key, "")], source="by hand", scope="people.age")
        ledger._db.execute("PRAGMA user_version = 9")
    with Ledger(path) as ledger:
        assert (
            ledger._all("SELECT list FROM campaigns") == [(list_name(frozen.manifest.list_name),)] == [("people.age",)]
        )
        assert contact(1).key in ledger.suppressions("people.age").entries
        assert ledger.tally(ledger.find("appeal--people")) == Tally(queued=1, suppressed=1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no file that is open")
async def test_nothing_is_granted_once_the_ledger_was_deleted_under_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOOK", 0.0)
    with Ledger(tmp_path / "mailer.db") as ledger:
        ledger.start(start([contact(1), contact(2)]))
        async with Writer(ledger) as writer:
            assert await writer.write(intent=intent(1))
            for path in tmp_path.glob("mailer.db*"):
                path.unlink()
            with pytest.raises(LedgerError, match="is gone"):
                await writer.write(records=[record(1)], intent=intent(2))
            assert [one.delivery for one in writer.unwritten] == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is open")
@pytest.mark.parametrize("moved", [False, True])
async def test_nothing_is_granted_once_an_older_copy_was_put_in_the_place_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, moved: bool
) -> None:
    monkeypatch.setattr(embedded, "LOOK", 0.0)
    with Ledger(tmp_path / "mailer.db") as ledger:
        ledger.start(start([contact(1), contact(2)]))
        with sqlite3.connect(tmp_path / "older.db") as older:
            ledger._db._connection.backup(older)  # type: ignore[attr-defined]
        older.close()
        async with Writer(ledger) as writer:
            assert await writer.write(intent=intent(1))
            if moved:
                (tmp_path / "mailer.db").rename(tmp_path / "moved.db")
            (tmp_path / "older.db").replace(tmp_path / "mailer.db")
            with pytest.raises(LedgerError, match="was replaced") as caught:
                await writer.write(records=[record(1)], intent=intent(2))
            assert [one.delivery for one in writer.unwritten] == [1]
    assert "mailer ledger restored" in str(caught.value.hint)
    assert caught.value.exit_code == 3
    # neither is a mixture of both
    for name, status in [
        ("mailer.db", Tally(queued=2)),
        *([("moved.db", Tally(queued=1, sending=1))] if moved else []),
    ]:
        with Ledger(tmp_path / name) as left:
            assert left._all("PRAGMA integrity_check") == [("ok",)]
            assert left.tally(left.find("appeal--people")) == status


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is open")
async def test_a_ledger_that_is_replaced_before_the_first_record_is_noticed_with_it(tmp_path: Path) -> None:
    Ledger(tmp_path / "older.db").close()
    with Ledger(tmp_path / "mailer.db") as ledger:
        ledger.start(start([contact(1)]))
        (tmp_path / "older.db").replace(tmp_path / "mailer.db")
        async with Writer(ledger) as writer:
            with pytest.raises(LedgerError, match="was replaced"):
                await writer.write(intent=intent(1))


async def test_what_mailer_itself_does_to_a_ledger_that_is_written_is_no_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOOK", 0.0)
    with Ledger(tmp_path / "mailer.db") as ledger:
        ledger.start(start([contact(1), contact(2), contact(3)]))
        async with Writer(ledger) as writer:
            assert await writer.write(intent=intent(1))
            with Ledger(tmp_path / "mailer.db") as another:
                assert another.erase([contact(3).key]).unwiped == ""
            assert await writer.write(records=[record(1)], intent=intent(2))


async def test_only_so_many_transactions_are_read_as_a_quota_counts(ledger: Ledger, campaign: CampaignRecord) -> None:
    async with Writer(ledger) as writer:
        for number in range(1, 5):
            await writer.write(intent=intent(number))
        await writer.write(records=[record(number) for number in range(1, 4)])
    assert len(ledger.transactions("a", 0, 2)) == 3  # two that ended, and one on its way
    assert len(ledger.transactions_to_domains(0, 1)) == 2
    query = "SELECT finished_at, domain FROM attempts WHERE account = 'a' AND finished_at > 0 ORDER BY finished_at DESC"
    if isinstance(ledger.place, Path):
        [(*_, plan)] = ledger._all(f"EXPLAIN QUERY PLAN {query} LIMIT 2")
        assert "USING INDEX attempts_by_end" in plan
    else:
        ledger._run("SET enable_seqscan = off")  # quicker for four rows
        plans = ledger._all(f"EXPLAIN {query} LIMIT 2")
        assert any("attempts_by_end" in plan for (plan,) in plans)


def test_what_is_recorded_late_counts_once_and_only_while_nobody_has_decided(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    first, second, third = ledger.due(campaign, time.time())[:3]
    pen = ledger.pen()
    pen.write([([], intent(number)) for number in (first, second, third)])
    pen.close()
    ledger.mark_interrupted(campaign)
    keys = {delivery.id: delivery.contact.key for delivery in ledger.deliveries([first, second, third])}
    ledger.resolve(campaign, Status.QUEUED, [keys[second]])
    late = [record(first), record(second), record(third, token="another")]
    for _ in range(2):
        ledger.write_late(late)
        found = {delivery.id: (delivery.status, delivery.attempts) for delivery in ledger.deliveries(list(keys))}
        assert found == {first: (Status.SENT, 1), second: (Status.QUEUED, 0), third: (Status.UNCERTAIN, 0)}
