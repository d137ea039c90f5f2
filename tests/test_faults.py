"""A tiny form of the fault laboratory: a few trials of each family, and the laboratory itself must notice what is broken."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the laboratory kills by POSIX signals", allow_module_level=True)

from faults.brief import brief
from faults.oracle import Taken
from faults.trial import Trial
from faults.verdict import Verdict, judge

ROOT = Path(__file__).parent.parent


def laboratory(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.thorough
def test_a_few_trials_of_each_family_keep_every_promise() -> None:
    ran = laboratory("--tiny", "--seed", "1", "--workers", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Every promise held." in ran.stdout
    assert "noting after the 250" in ran.stdout


def judged(statuses: dict[int, str], accepted: list[int]) -> Verdict:
    """The verdict on a campaign of three people with these statuses, of whom these were accepted."""
    taken = [Taken(at=1.0, message_id=f"<{one}@x>", recipients=(f"p{one}@example.org",)) for one in accepted]
    rows = [
        {"address": f"p{number}@example.org", "status": status, "message_id": f"<{number}@x>"}
        for number, status in statuses.items()
    ]
    verdict = Verdict()
    judge(verdict, [f"p{number}@example.org" for number in (1, 2, 3)], rows, taken)
    return verdict


@pytest.mark.parametrize(
    ("statuses", "accepted", "column"),
    [
        ({1: "sent", 2: "sent", 3: "sent"}, [1, 2, 3, 2], "duplicated"),
        ({1: "sent", 2: "sent"}, [1, 2], "missed"),
        ({1: "sent", 2: "sent", 3: "queued"}, [1, 2], "missed"),
        ({1: "sent", 2: "sent", 3: "sent"}, [1, 2], "false_sent"),
    ],
)
def test_the_laboratory_notices(statuses: dict[int, str], accepted: list[int], column: str) -> None:
    verdict = judged(statuses, accepted)
    assert getattr(verdict, column) > 0
    assert verdict.broken


@pytest.mark.parametrize("status", ["failed", "queued"])
def test_the_laboratory_notices_an_accepted_message_that_is_called_otherwise(status: str) -> None:
    assert judged({1: "sent", 2: "sent", 3: status}, [1, 2, 3]).broken


def test_the_laboratory_notices_more_doubt_than_there_were_crashes(tmp_path: Path) -> None:
    trial = Trial(tmp_path, random.Random(1))
    trial._judge_doubt(1)
    assert trial.verdict.broken


def test_a_campaign_that_went_well_breaks_nothing() -> None:
    assert not judged({1: "sent", 2: "sent", 3: "sent"}, [1, 2, 3]).broken


EARLY = """
import os, runpy, signal, sys

class Early:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Early())
sys.argv = ["mailer", "--version"]
runpy.run_module("mailer", run_name="__main__")
"""


def test_ctrl_c_in_the_first_moments_shows_no_traceback() -> None:
    ran = subprocess.run([sys.executable, "-c", EARLY], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    assert ran.returncode != 0
    assert "Traceback" not in ran.stderr


AGAIN_AND_AGAIN = """
import os, runpy, signal, sys

class Early:
    begun = False

    def find_spec(self, name, path=None, target=None):
        self.begun = self.begun or name == "mailer.campaign"
        if self.begun:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Early())
sys.argv = ["mailer", "send", "letter", "list.csv"]
runpy.run_module("mailer", run_name="__main__")
"""


def test_ctrl_c_while_the_first_one_is_being_answered_shows_no_traceback() -> None:
    command = [sys.executable, "-c", AGAIN_AND_AGAIN]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert ran.returncode == 3
    assert "Traceback" not in ran.stderr


def test_the_readme_has_the_figures_that_the_long_run_wrote() -> None:
    page = (ROOT / "tests" / "faults" / "RESULTS.md").read_text(encoding="utf-8")
    assert "Every promise held." in page
    assert brief(page) in (ROOT / "README.md").read_text(encoding="utf-8")
