"""Wrong command lines end in plain words and with the way out."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Journey, as_csv, beginning, people

from mailer.__main__ import main
from mailer.cli import console
from mailer.cli.misuse import explained
from mailer.errors import ListError, UsageError
from mailer.model import Problem, as_said


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(3)) as journey:
        yield journey


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("send appeal", "LIST is missing."),
        ("send appeal", "Hint: for example: mailer send solidarity-appeal contacts/branches.csv --rate 20/minute"),
        ("test appeal list.csv", "--to is missing."),
        ("report", "Hint: for example: mailer report solidarity-appeal--branches"),
        ("send appeal my list.csv", "There are more words than mailer send takes: list.csv."),
        ("send appeal my list.csv", 'a name with spaces needs quotes, for example "contacts/my list.csv"'),
        ("send appeal list.csv --limit 0", "--limit cannot be that: it must be at least 1."),
        ("send appeal list.csv --limit x", "--limit cannot be that: it must be a number."),
        ("resolve x --as failed", "--as cannot be that: 'failed' is not one of 'sent', 'queued'."),
    ],
)
def test_a_wrong_command_line_is_told_in_plain_words(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(typed)) == 2
    assert said in capsys.readouterr().err


def test_letter_and_list_the_other_way_round_are_noticed(journey: Journey) -> None:
    ran = journey.call("send", "list.csv", "appeal")
    assert ran.code == 2
    assert "The letter comes first, then the list." in ran.err


def test_the_folder_above_a_campaign_is_noticed_before_a_ledger_is_made_there(journey: Journey) -> None:
    journey.write("my campaign/mailer.toml", "")
    ran = journey.call("suppress", "add", "pat@example.org", settings={"MAILER_SENDER": None})
    assert ran.code == 2
    assert "There is no mailer.toml here; is my campaign your campaign folder?" in ran.err
    assert 'cd "my campaign"' in ran.err
    assert not (journey.folder / "mailer.db").exists()


@pytest.mark.parametrize(("inside", "way"), [("contacts", ".."), ("contacts/old lists", "../..")])
def test_whoever_stands_inside_a_campaign_suppresses_nobody_in_a_ledger_that_no_send_asks(
    inside: str, way: str, journey: Journey, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journey.write("mailer.toml", "")
    here = journey.folder / inside
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("MAILER_SENDER", raising=False)
    for command in (["suppress", "add", "pat@example.org"], ["status"], ["send", "appeal", "list.csv"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert f"There is no mailer.toml here; is {Path(way)} your campaign folder?" in said
        assert f"cd {Path(way)}" in said
    assert not list(here.iterdir())


@pytest.mark.parametrize("command", ["send", "preview"])
def test_a_campaign_without_a_name_is_not_taken_for_the_usual_one(command: str, journey: Journey) -> None:
    for name in ("", "  "):  # a script's variable that is not set
        ran = journey.call(command, *journey.campaign, "--campaign", name)
        assert ran.code == 2
        assert "--campaign names no campaign." in ran.err
    assert not (journey.folder / "mailer.db").exists()


def test_a_busy_port_names_the_option_for_another(journey: Journey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = journey.call("mailbox", "--port", str(taken.getsockname()[1]))
    assert ran.code == 2
    assert "choose another port with --port" in ran.err


def test_there_is_one_hint_for_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(code="x", message="It is wrong.", row=2, hint="Mend it.")]
    console.show_error(ListError("Not sent.", problems=problems, hint="or leave it out"))
    assert capsys.readouterr().err.splitlines()[-2:] == ["Hint: Mend it.", "      or leave it out"]


def test_hints_of_a_list_with_problems_stand_under_one_heading(journey: Journey) -> None:
    rows = people(3)
    rows[1]["email"] = "nobody"
    journey.write("list.csv", as_csv(rows))
    for command in (("check", "list.csv"), ("preview", "appeal", "list.csv"), ("send", "appeal", "list.csv")):
        assert journey.call(*command).err.count("Hint:") == 1


def test_suppressing_says_where_it_is_noted_and_who_was_there(journey: Journey) -> None:
    assert "ledger: 1 address.\n" in journey.call("suppress", "add", "pat@example.org").out
    ran = journey.call("suppress", "add", "pat@example.org", "kim@example.org")
    assert ran.out == "Suppressed in this folder's ledger: 1 address. 1 was there already.\n"
    ran = journey.call("suppress", "remove", "pat@example.org", "zoe@example.org")
    assert ran.out == "1 address may be mailed again. 1 was not suppressed.\n"


def test_removing_who_was_not_suppressed_changes_nothing(journey: Journey) -> None:
    ran = journey.call("suppress", "remove", "nobody@example.org")
    assert ran.out == "Nothing was changed: that address was not suppressed.\n"
    ran = journey.call("suppress", "remove", "nobody@example.org", "zoe@example.org", "ZOE@example.org")
    assert ran.out == "Nothing was changed: none of those addresses was suppressed.\n"


def test_removing_one_address_of_a_suppressed_domain_names_the_domain(journey: Journey) -> None:
    journey.call("suppress", "add", "p2@example.org", "example.org")
    ran = journey.call("suppress", "remove", "p2@example.org")
    assert ran.out.splitlines() == [
        "1 entry was removed.",
        "Everybody @example.org is suppressed. To mail them again:",
        "  mailer suppress remove example.org",
    ]
    assert "not suppressed by itself" in journey.call("suppress", "remove", "p2@example.org").out
    assert journey.call("suppress", "remove", "example.org").out == "1 address may be mailed again.\n"


@pytest.mark.parametrize("entry", ["p3@example.org", "@example.org"])
def test_who_was_left_out_of_a_campaign_that_has_begun_is_told_with_the_way_in(journey: Journey, entry: str) -> None:
    journey.call("suppress", "add", "p3@example.org" if entry[0] != "@" else entry)
    if entry[0] == "@":  # somebody has to be mailed for it to begin
        journey.write("list.csv", as_csv([*people(3), {"name": "Kim", "email": "kim@example.net", "city": "Leiden"}]))
    assert journey.server is not None
    journey.server.on("greeting", nth=1, reply="554 5.7.1 No mail from your network")
    assert journey.call("send", *journey.campaign, "--campaign", "never begun", "--yes").code == 4
    assert journey.call("send", *journey.campaign, "--campaign", "May Day", "--yes", "--limit", "1").code in {0, 3}
    ran = journey.call("suppress", "remove", entry)
    assert ran.out.splitlines() == [
        "1 address may be mailed again.",
        "Campaign May Day has begun without them, and leaves them out. To mail them there, too:",
        '  mailer retry "May Day"',
    ]
    assert journey.call("suppress", "remove", entry, "--json").data == {
        "removed": 0,
        "unknown": 1,
        "suppressed_by": [],
        "left_out_in": ["May Day"],
    }


def test_help_sentences_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    main(["suppress", "--help"])
    assert "  import  Suppress everybody whom a file names; again changes nothing.\n" in capsys.readouterr().out


def test_a_list_that_may_not_be_read_is_told_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    # typer's own words; root may read anything, so no file can bring them about here
    plain, hint = explained("Invalid value for 'LIST': Path 'contacts/zwei.csv' is not readable.", None)
    assert plain == "contacts/zwei.csv cannot be read: it is closed to you."
    assert "save a copy of your own" in hint
    console.show_error(UsageError(as_said(plain), hint=hint))
    assert "--help" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that somebody is in cannot be deleted there")
@pytest.mark.parametrize("typed", ["status", "erase pat@example.org --yes", "preview appeal list.csv", "demo"])
def test_a_folder_that_was_deleted_meanwhile_is_no_bug_of_ours(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick").mkdir()
    monkeypatch.chdir(tmp_path / "stick")
    (tmp_path / "stick").rmdir()
    assert main(typed.split()) == 2
    assert "The folder in which mailer was started does not exist any more" in capsys.readouterr().err
