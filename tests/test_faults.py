"""A tiny form of the fault laboratory: a few trials of each family, and the laboratory itself must notice what is broken."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the laboratory kills by POSIX signals")

ROOT = Path(__file__).parent.parent


def laboratory(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def test_a_few_trials_of_each_family_keep_every_promise() -> None:
    ran = laboratory("--tiny", "--seed", "1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Every promise held." in ran.stdout
    assert "noting after the 250" in ran.stdout


def judged(folder: Path, statuses: dict[int, str], accepted: list[int]) -> object:
    """The verdict on a campaign of three people with these statuses, of whom these were accepted."""
    from faults.trial import Trial

    trial = Trial(folder, random.Random(1), people=3)
    lines = [f"1.0\t<{number}@x>\toffice@example.org\tp{number}@example.org\t1\n" for number in accepted]
    (folder / "accepted.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    rows = [
        {"address": f"p{number}@example.org", "status": status, "message_id": f"<{number}@x>"}
        for number, status in statuses.items()
    ]
    trial._judge(rows, trial.oracle.accepted())
    return trial.verdict


@pytest.mark.parametrize(
    ("statuses", "accepted", "column"),
    [
        ({1: "sent", 2: "sent", 3: "sent"}, [1, 2, 3, 2], "duplicated"),
        ({1: "sent", 2: "sent"}, [1, 2], "missed"),
        ({1: "sent", 2: "sent", 3: "queued"}, [1, 2], "missed"),
        ({1: "sent", 2: "sent", 3: "sent"}, [1, 2], "false_sent"),
    ],
)
def test_the_laboratory_notices(tmp_path: Path, statuses: dict[int, str], accepted: list[int], column: str) -> None:
    verdict = judged(tmp_path, statuses, accepted)
    assert getattr(verdict, column) > 0
    assert verdict.broken


@pytest.mark.parametrize("status", ["failed", "queued"])
def test_the_laboratory_notices_an_accepted_message_that_is_called_otherwise(tmp_path: Path, status: str) -> None:
    assert judged(tmp_path, {1: "sent", 2: "sent", 3: status}, [1, 2, 3]).broken


def test_the_laboratory_notices_more_doubt_than_there_were_crashes(tmp_path: Path) -> None:
    assert judged(tmp_path, {1: "sent", 2: "uncertain", 3: "sent"}, [1, 3]).broken


def test_a_campaign_that_went_well_breaks_nothing(tmp_path: Path) -> None:
    assert not judged(tmp_path, {1: "sent", 2: "sent", 3: "sent"}, [1, 2, 3]).broken
