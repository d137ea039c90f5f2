"""Where a campaign stands can be read from a folder that cannot be written: a locked stick, a disc, a share of somebody else's."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Journey, beginning
from program import COMMAND
from rights import AS_OTHERS, READERS_RIGHTS

from mailer.errors import CampaignError
from mailer.ledger import Ledger, SenderLock, settle
from mailer.ledger.reading import ReadOnly

pytestmark = pytest.mark.skipif(not READERS_RIGHTS, reason="folders have no such rights here")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "campaign") as made:
        assert made.call("send", *made.campaign, "--yes", "--limit", "2").code == 3
        yield made


@pytest.fixture
def share(journey: Journey) -> Iterator[Path]:
    """A copy of the campaign's folder, which others may enter and nobody may write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "campaign"
        shutil.copytree(journey.folder, folder, ignore=shutil.ignore_patterns("*.lock"))
        closed(Path(name))
        yield folder
        opened(Path(name))


def closed(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def opened(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def run(journey: Journey, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*AS_OTHERS, *COMMAND, *arguments],
        cwd=folder,
        env=journey.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_status_and_report_read_what_cannot_be_written(journey: Journey, share: Path) -> None:
    before = {path.name: path.read_bytes() for path in share.iterdir() if path.is_file()}
    told = run(journey, share, "status", journey.name, "--json")
    assert told.returncode == 0, told.stderr
    assert "The ledger can only be read here" in told.stderr
    found = json.loads(told.stdout)
    assert (found["sent"], found["queued"], found["state"]) == (2, found["total"] - 2, "paused")
    assert f"Campaign {journey.name}: paused" in run(journey, share, "status", journey.name).stdout
    assert journey.name in run(journey, share, "status").stdout
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        table = Path(place) / "r.csv"
        report = run(journey, share, "report", journey.name, "--csv", str(table))
        assert report.returncode == 0, report.stderr
        assert table.read_text("utf-8-sig").count("\n") == found["total"] + 1
    assert {path.name: path.read_bytes() for path in share.iterdir() if path.is_file()} == before


def test_nothing_is_sent_from_there(journey: Journey, share: Path) -> None:
    sent = run(journey, share, "send", *journey.campaign, "--yes")
    assert sent.returncode == 2
    assert "cannot be written" in sent.stderr


def test_records_that_stand_in_the_journal_only_are_never_left_out(journey: Journey) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "campaign"
        with Ledger(journey.folder / "mailer.db") as ledger:
            ledger.suppress([("late@example.org", "asked")], source="by hand")
            shutil.copytree(journey.folder, folder, ignore=shutil.ignore_patterns("*.lock", "*-shm"))
        assert (folder / "mailer.db-wal").stat().st_size
        closed(Path(name))
        told = run(journey, folder, "status", journey.name)
        opened(Path(name))
    assert told.returncode == 2
    assert "its newest records still stand in mailer.db-wal" in told.stderr
    assert "copy the whole folder to this computer's own disk" in told.stderr


def test_a_ledger_that_is_only_read_is_not_changed_nor_asked_who_sends(journey: Journey) -> None:
    path = journey.folder / "mailer.db"
    store = ReadOnly(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store.execute("DELETE FROM meta")
    store.close()
    with Ledger(path, reading=True) as ledger:
        assert not ledger.is_read_only  # what can be written is opened as ever
    with Ledger(path) as ledger:
        ledger._db.close()
        ledger._db = ReadOnly(path)
        campaign = ledger.find(journey.name)
        assert ledger.is_read_only
        assert not SenderLock(ledger, campaign.name).is_held()
        assert settle(ledger, campaign) == campaign
        with pytest.raises(CampaignError, match="can only be read"), SenderLock(ledger, campaign.name):
            pass


def test_the_format_of_another_mailer_is_told(journey: Journey, share: Path) -> None:
    opened(share.parent)
    with sqlite3.connect(share / "mailer.db") as older:
        older.execute("PRAGMA user_version = 3")
        older.execute("PRAGMA journal_mode = DELETE")
    older.close()
    closed(share.parent)
    told = run(journey, share, "status", journey.name)
    assert told.returncode == 2
    assert "has the format of another mailer (3, this one has" in told.stderr
