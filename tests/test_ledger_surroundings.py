"""Another ledger inside of a campaign's folder is named before anything is sent, with the way to take over whom it suppressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Journey, beginning
from program import Program

from mailer.ledger import odd_places


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "campaign") as made:
        yield made


def inside(journey: Journey, folder: str) -> Program:
    """A command that is run in a folder of the campaign's."""
    place = journey.folder / folder
    place.mkdir(parents=True, exist_ok=True)
    settings = {"MAILER_SENDER": "ana@example.org", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    return Program(folder=place, settings=settings)


@pytest.mark.thorough
@pytest.mark.parametrize("folder", ["contacts", "templates/appeal"])
def test_a_stray_ledger_is_named_by_send_and_doctor_with_a_way_that_works(journey: Journey, folder: str) -> None:
    stray = inside(journey, folder)
    stray.run("suppress", "add", "p3@example.org")
    sent = journey.call("send", *journey.campaign)  # nobody is there to confirm it
    assert f"There is another ledger in {folder}," in sent.err
    assert journey.nothing_sent()
    found = [one for one in journey.call("doctor", "--json").data["checks"] if one["code"] == "stray-ledger"]
    assert [one["level"] for one in found] == ["warn"]
    # the way out, as it is told
    told = found[0]["fix"]
    back = "../.." if "/" in folder else ".."
    assert f"cd {folder}, then mailer suppress export {back}/suppressed.csv, then cd {back} and" in told
    assert stray.run("suppress", "export", f"{back}/suppressed.csv").returncode == 0
    assert journey.call("suppress", "import", "suppressed.csv").code == 0
    (journey.folder / folder / "mailer.db").unlink()
    sent = journey.call("send", *journey.campaign, "--yes", "--json")
    assert "another ledger" not in sent.err
    assert sent.data["suppressed"] == 1


def test_what_is_no_stray_ledger_is_not_told(tmp_path: Path) -> None:
    ours = tmp_path / "data" / "mailer.db"
    for path in (ours, tmp_path / "spring" / "mailer.db", tmp_path / ".old" / "mailer.db", tmp_path / "mailer.db"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "spring" / "mailer.toml").touch()  # a campaign folder of its own
    (tmp_path / "contacts" / "mailer.db").mkdir(parents=True)
    assert odd_places(ours, tmp_path) == []
    stray = tmp_path / "templates" / "mailer.db"
    stray.parent.mkdir()
    stray.touch()
    assert [one.file for one in odd_places(ours, tmp_path)] == [stray.as_posix()]
