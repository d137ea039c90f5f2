"""`mailer doctor`, and the same in brief before a preview and a send: as an organiser runs it, against a real server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program import Program
from smtp_server import ScriptedServer

from mailer.__main__ import main
from mailer.campaign.send import Prepared
from mailer.cli import glance
from mailer.cli.glance import look_before_sending
from mailer.errors import RelayStopped
from mailer.model import Manifest
from mailer.settings import Settings, load

LETTER = """\
---
subject: An appeal to {{ name }}
---

Dear {{ name }},

please support us: [read on](http://union.example/appeal).
"""
LIST = "name,email,branch\nPat,pat@branch.example,London\nZoë,zoe@branch.example,Paris\n"
SETTINGS = {
    "MAILER_SENDER": "Union Office <office@union.example>",
    "MAILER_POSTAL_ADDRESS": "Union Office, 1 Example Street",
    "MAILER_UNSUBSCRIBE_MAILTO": "office@union.example",
    "MAILER_SMTP_SECURITY": "none",
    "MAILER_RATE": "1000/minute",
}
ELSEWHERE = {"MAILER_SMTP_HOST": "127.1", "MAILER_SMTP_ALLOW_UNENCRYPTED_I_UNDERSTAND_THE_RISK": "true"}
"""This computer by a name that mailer does not know for it, so that it is asked as any other relay would be."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@dataclass(kw_only=True, slots=True)
class Within:
    """Runs commands as a `Program` does, but within this process, which has imported what they need."""

    folder: Path
    settings: dict[str, str]
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["mailer", *arguments])
            code = main([*arguments])
        out, err = self.capture.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)


@pytest.fixture
def program(campaign_folder: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> Within:
    (campaign_folder / "appeal.md").write_text(LETTER, encoding="utf-8")
    (campaign_folder / "list.csv").write_text(LIST, encoding="utf-8")
    settings = SETTINGS | {"MAILER_SMTP_HOST": "127.0.0.1", "MAILER_SMTP_PORT": str(server.port)}
    return Within(folder=campaign_folder, settings=settings, capture=capsys)


def by_code(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {check["code"]: check["level"] for check in found["checks"]}


def test_an_account_in_order_ends_well_and_nobody_is_mailed(program: Within, server: ScriptedServer) -> None:
    done = Program(folder=program.folder, settings=program.settings).run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Account" in done.stdout
    assert done.stdout.splitlines()[-1] == "4 ok, 1 to look at, 0 to mend. Nobody was mailed."
    assert "union.example is a domain for examples" in done.stdout
    assert not server.accepted
    assert not [line for lines in server.transcripts for line in lines if line.startswith("C: MAIL")]


def test_with_a_letter_and_a_list_the_letter_is_judged_and_no_ledger_is_made(program: Within) -> None:
    found = program.json("doctor", "appeal.md", "list.csv")
    assert [*found] == ["checks", "ok", "warn", "fail"]
    assert {*found["checks"][0]} == {"area", "code", "level", "message", "fix"}
    assert by_code(found)["link-http"] == "warn"
    assert {check["area"] for check in found["checks"]} == {"account", "dns", "letter"}
    for level in ("ok", "warn", "fail"):
        assert found[level] == [check["level"] for check in found["checks"]].count(level)
    assert not list(program.folder.glob("mailer.db*"))


def test_a_letter_alone_is_judged_with_the_names_of_its_fields(program: Within) -> None:
    found = by_code(program.json("doctor", "appeal.md"))
    assert found["link-http"] == "warn"
    assert found["unsubscribe"] == found["postal-address"] == "ok"


@pytest.mark.parametrize(("people", "level"), [(50, "warn"), (51, "fail")])
def test_what_a_send_to_many_is_refused_for_is_to_be_mended_and_told_once(
    program: Within, people: int, level: str
) -> None:
    rows = "".join(f"Pat,pat{number}@branch.example,London\n" for number in range(people))
    (program.folder / "list.csv").write_text("name,email,branch\n" + rows, encoding="utf-8")
    program.settings["MAILER_UNSUBSCRIBE_MAILTO"] = ""
    found = program.json("doctor", "appeal.md", "list.csv", code=0 if level == "warn" else 2)
    (told,) = [check for check in found["checks"] if check["code"] == "unsubscribe"]
    assert told["level"] == level
    assert "unsubscribe_mailto" in told["fix"]
    sent = program.run("send", "appeal.md", "list.csv", "--yes")
    assert (sent.returncode == 2) == (level == "fail")


def test_a_letter_that_needs_its_rows_asks_for_the_list(program: Within) -> None:
    front = LETTER.replace("---\n\nDear", "attachments: ['motions/{{ branch }}.pdf']\n---\n\nDear")
    (program.folder / "appeal.md").write_text(front, encoding="utf-8")
    assert by_code(program.json("doctor", "appeal.md"))["needs-list"] == "warn"


def test_what_the_letters_own_check_finds_stands_among_the_rest(program: Within) -> None:
    (program.folder / "appeal.md").write_text(LETTER + "\n{{ brnach }}\n", encoding="utf-8")
    found = program.json("doctor", "appeal.md", "list.csv", code=2)
    [wrong] = [check for check in found["checks"] if check["level"] == "fail"]
    assert (wrong["code"], "brnach" in wrong["message"], "branch" in wrong["fix"]) == ("unknown-field", True, True)


def test_an_unreadable_letter_or_list_is_refused(program: Within) -> None:
    assert program.run("doctor", "gone").returncode == 2
    assert program.run("doctor", "appeal.md", "gone.csv").returncode == 2


def test_a_refused_login_is_to_be_mended(program: Within, server: ScriptedServer) -> None:
    server.users = {"ana": "secret"}
    program.settings |= {"MAILER_SMTP_USERNAME": "ana", "MAILER_SMTP_PASSWORD": "not the word"}
    done = program.run("doctor")
    assert done.returncode == 2
    assert "refused the login" in done.stdout
    assert "not the word" not in done.stdout + done.stderr


def test_nobody_at_the_port_is_one_calm_line(program: Within) -> None:
    with ScriptedServer() as gone:
        pass
    program.settings["MAILER_SMTP_PORT"] = str(gone.port)
    found = program.json("doctor", code=2)
    assert [check["code"] for check in found["checks"] if check["level"] == "fail"] == ["relay"]


def test_what_is_not_set_yet_is_said_with_the_rest(program: Within) -> None:
    del program.settings["MAILER_SMTP_HOST"]
    found = program.json("doctor", "appeal.md", code=2)
    assert by_code(found)["missing-setting"] == "fail"
    assert by_code(found)["link-http"] == "warn"
    assert "127.0.0.1" not in json.dumps(found)


def test_the_starters_examples_are_no_server_to_ask(program: Within) -> None:
    (program.folder / "mailer.toml").write_text('smtp_host = "smtp.example.org"\n', encoding="utf-8")
    del program.settings["MAILER_SMTP_HOST"], program.settings["MAILER_SMTP_SECURITY"]
    found = by_code(program.json("doctor", code=2))
    assert found["placeholder"] == "fail"
    assert "relay" not in found


def test_a_preview_says_in_a_line_or_two_what_readers_may_mind(program: Within) -> None:
    done = program.run("preview", "appeal.md", "list.csv")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Warning: 1 link begins with http://")]
    assert "  What to do about it: mailer doctor appeal.md list.csv" in lines


def test_the_worst_of_a_letter_is_said_first(program: Within) -> None:
    letter = LETTER.replace("Dear", "RE: [look](https://localhost/x)", 1).replace(
        "subject: An", "subject: 'RE: an'\nreason: An"
    )
    (program.folder / "appeal.md").write_text(letter, encoding="utf-8")
    warnings = [
        line for line in program.run("preview", "appeal.md", "list.csv").stderr.splitlines() if "Warning" in line
    ]
    assert "leads to localhost" in warnings[0]
    assert "looks like an answer" in warnings[1]


def test_before_a_send_to_this_computer_nothing_is_asked(program: Within, server: ScriptedServer) -> None:
    done = program.run("send", "appeal.md", "list.csv", "--yes")
    assert done.returncode == 0, done.stderr
    assert "doctor" not in done.stderr
    assert len(server.transcripts) == 1


def test_before_a_send_doubts_are_said_briefly(program: Within, server: ScriptedServer) -> None:
    program.settings |= ELSEWHERE
    done = program.run("send", "appeal.md", "list.csv", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Warning: The connection is not encrypted" in done.stderr
    assert "What to do about it: mailer doctor appeal.md list.csv" in done.stderr
    assert len(server.accepted) == 2
    # continued, there is nothing to do, and so nothing to ask
    before = len(server.transcripts)
    assert program.run("send", "appeal.md", "list.csv", "--yes").returncode == 0
    assert len(server.transcripts) == before


def test_a_freemail_sender_over_another_relay_is_refused(program: Within, server: ScriptedServer) -> None:
    program.settings |= ELSEWHERE | {"MAILER_SENDER": "Union Office <union@gmail.com>"}
    found = program.json("send", "appeal.md", "list.csv", "--yes", code=2)
    assert "freemail" in [problem["code"] for problem in found["problems"]]
    assert not server.accepted
    assert program.json("status", "appeal--list", code=2)["error"]


def test_messages_that_the_server_would_not_take_are_refused_before_the_first(
    program: Within, server: ScriptedServer
) -> None:
    server.size = 500
    program.settings |= ELSEWHERE
    found = program.json("send", "appeal.md", "list.csv", "--yes", code=2)
    assert [problem["code"] for problem in found["problems"]] == ["size"]
    assert not server.accepted
    assert by_code(program.json("doctor", "appeal.md", "list.csv", code=2))["size"] == "fail"


def prepared() -> Prepared:
    manifest = Manifest(
        template="appeal", list_name="list.csv", letter={}, attachments={}, contacts="", list_file="", settings={},
        messages="", senders=("Union Office <office@union.example>",),
    )  # fmt: skip
    return Prepared(name="appeal--list", manifest=manifest)


def settings_for(server: ScriptedServer, folder: Path, **more: str) -> Settings:
    return load(folder, SETTINGS | ELSEWHERE | {"MAILER_SMTP_PORT": str(server.port)} | more)


def test_a_server_that_is_away_for_a_moment_is_left_to_the_send_itself(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer() as gone:
        pass
    look_before_sending(settings_for(gone, campaign_folder), prepared())
    assert "This would not arrive" not in capsys.readouterr().err


def test_a_silent_server_holds_a_send_up_for_no_longer_than_it_may(
    campaign_folder: Path, monkeypatch: pytest.MonkeyPatch, server: ScriptedServer
) -> None:
    monkeypatch.setattr(glance, "PATIENCE", 0.2)
    server.on("ehlo", silence=True)
    look_before_sending(settings_for(server, campaign_folder), prepared())
    assert not server.accepted


def test_a_login_that_cannot_be_made_stops_a_send_and_is_not_tried_again(
    campaign_folder: Path, server: ScriptedServer
) -> None:
    server.users, server.security = {"ana": "secret"}, "none"
    login = {"MAILER_SMTP_USERNAME": "ana", "MAILER_SMTP_PASSWORD": "not the word", "MAILER_SMTP_HOST": "127.1"}
    with pytest.raises(RelayStopped):
        look_before_sending(settings_for(server, campaign_folder, **login), prepared())
    assert server.connections == 1
