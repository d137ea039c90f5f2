"""What an organiser keeps is never replaced by a file that mailer saves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Journey, beginning, people

LIST = "name,email,city\nMia,mia@example.org,Utrecht\nPat,pat@,Leiden\n"


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(3)) as journey:
        journey.write("list.csv", LIST)
        journey.write("mailer.toml", "# mine\n")
        journey.write("other.csv", "name,notes\nPat,phone her\n")
        journey.write("page.html", "<!doctype html>\n<p>our own page\n")
        yield journey


def begun(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes", "--skip-problems").code == 0


def content(journey: Journey, name: str) -> bytes:
    return (journey.folder / name).read_bytes()


@pytest.mark.parametrize("name", ["list.csv", "mailer.toml", "other.csv", "templates/appeal.md"])
@pytest.mark.parametrize("command", ["check", "preview", "suppress import"])
def test_problems_never_replace_what_mailer_did_not_write(journey: Journey, command: str, name: str) -> None:
    before = content(journey, name)
    given = journey.campaign if command == "preview" else ["list.csv"]
    ran = journey.call(*command.split(), *given, "--problems", name)
    assert ran.code == 2
    assert f"{name} is already there and was not written by mailer." in ran.err
    assert "Hint: Choose another name." in ran.err
    assert content(journey, name) == before


def test_earlier_problems_of_the_list_are_replaced(journey: Journey) -> None:
    journey.call("check", "list.csv", "--problems", "bad.csv")
    assert b"pat@" in content(journey, "bad.csv")
    journey.write("list.csv", LIST.replace("pat@", "kim@"))
    assert "already there" not in journey.call("check", "list.csv", "--problems", "bad.csv").said
    assert b"kim@" in content(journey, "bad.csv")


def test_a_mended_problems_file_that_became_the_list_is_not_replaced(journey: Journey) -> None:
    journey.call("check", "list.csv", "--problems", "bad.csv")
    before = content(journey, "bad.csv")
    ran = journey.call("check", "bad.csv", "--problems", "./bad.csv")
    assert ran.code == 2
    assert "bad.csv is already there" in ran.err
    assert content(journey, "bad.csv") == before


@pytest.mark.parametrize("option", ["--csv", "--html"])
@pytest.mark.parametrize("name", ["list.csv", "mailer.toml", "other.csv", "page.html", "mailer.db"])
def test_a_report_never_replaces_what_mailer_did_not_write_for_it(journey: Journey, option: str, name: str) -> None:
    begun(journey)
    before = content(journey, name)
    ran = journey.call("report", journey.name, option, name)
    assert ran.code == 2
    assert "was not written by mailer" in ran.err
    assert content(journey, name) == before


def test_an_earlier_report_is_replaced_by_one_of_its_kind(journey: Journey) -> None:
    begun(journey)
    files = ("--csv", "report.csv", "--html", "report.html")
    assert journey.call("report", journey.name, *files).code == 0
    (journey.folder / "report.csv").write_bytes(content(journey, "report.csv") + b"old\r\n")
    assert journey.call("report", journey.name, *files).code == 0
    assert not content(journey, "report.csv").endswith(b"old\r\n")
    assert journey.call("report", journey.name, "--csv", "report.html").code == 2
    assert journey.call("report", journey.name, "--html", "report.csv").code == 2
    assert journey.call("report", journey.name, "--html", "both", "--csv", "both").code == 2
    assert not (journey.folder / "both").exists()
