"""What the settings change in a run, what is odd about them, and how fast it goes, as the commands show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import PATIENCE, Journey, beginning, people

ODD = {"MAILER_ZZZ": "1"}
WARNING = "Warning: MAILER_ZZZ (from the environment): there is no such setting"


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(12)) as journey:
        yield journey


def test_every_command_that_reads_the_settings_says_once_what_is_odd_about_them(journey: Journey) -> None:
    commands = [
        ["preview", *journey.campaign],
        ["test", *journey.campaign, "--to", "me@example.net"],
        ["send", *journey.campaign, "--yes"],
        ["status"],
        ["status", journey.name, "--json"],
        ["report", journey.name],
        ["resolve", journey.name],
        ["retry", journey.name],
        ["suppress", "list"],
        ["suppress", "add", "x@example.org"],
    ]
    for command in commands:
        ran = journey.call(*command, settings=ODD)
        assert ran.code == 0, ran
        assert ran.err.splitlines().count(WARNING) == 1, command
        assert WARNING not in ran.out


def test_the_preview_lists_them_for_programs(journey: Journey) -> None:
    (warning,) = journey.call("preview", *journey.campaign, "--json", settings=ODD).data["warnings"]
    assert (warning["code"], warning["file"]) == ("unknown-setting", None)


def test_what_makes_sending_impossible_is_said_once(journey: Journey) -> None:
    starter = {"MAILER_SMTP_HOST": "smtp.example.org", "MAILER_SENDER": "Ana <ana@example.org>"}
    ran = journey.call("send", *journey.campaign, "--yes", settings=starter)
    assert ran.code == 2
    assert ran.err.count("MAILER_SMTP_HOST (from the environment)") == 1, ran.err


def test_a_ledger_in_a_folder_that_a_cloud_service_copies_is_warned_of_when_it_counts(journey: Journey) -> None:
    synced = journey.folder / "Dropbox"
    synced.mkdir()
    given = {"MAILER_LEDGER": f"sqlite:///{(synced / 'mailer.db').as_posix()}"}
    ran = journey.call("send", *journey.campaign, "--yes", settings=given)
    assert ran.code == 0
    assert ran.err.count("that Dropbox copies to other computers") == 1, ran.err


@pytest.mark.parametrize(("brake", "code", "sent"), [("2, 50%", 4, 0), ("off", 1, 9)])
def test_the_bounce_brake_stops_a_run_as_it_is_set(journey: Journey, brake: str, code: int, sent: int) -> None:
    for number in (1, 2, 3):
        journey.server.on("rcpt", nth=number, reply="550 5.1.1 no such user")
    ran = journey.call("send", *journey.campaign, "--yes", settings={"MAILER_BOUNCE_BRAKE": brake})
    assert ran.code == code
    assert sum(journey.accepted().values()) == sent
    assert ("Too many addresses" in ran.err) == (code == 4)


def test_the_pace_is_that_since_the_first_message_not_of_a_whole_window(journey: Journey) -> None:
    rule = journey.server.on("accepted", nth=9, hold=True)
    running = journey.start("send", *journey.campaign, "--yes")
    assert rule.fired.wait(PATIENCE)
    status = journey.call("status", journey.name, "--json").data
    rule.release()
    assert running.ended().code == 0
    assert status["state"] == "sending"
    assert status["per_minute"] > 8 * 60 / PATIENCE
    assert status["seconds_left"] < PATIENCE
