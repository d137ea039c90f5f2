"""`mailer new`: a folder in which everything already works."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from mailer import contacts, merge
from mailer.__main__ import main
from mailer.errors import SettingsError, quoted
from mailer.model import Mailbox, Severity
from mailer.settings import DEFAULT_RATE, Settings, load

MADE = {".gitignore", "README.txt", "mailer.toml", "contacts/my-list.csv", "templates/my-letter.md"}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_made_with_commands_that_can_be_pasted(
    campaign_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["new", "first appeal"]) == 0
    assert set(contents(campaign_folder / "first appeal")) == MADE
    printed = capsys.readouterr()
    assert printed.err == ""
    steps = [shlex.split(line) for line in printed.out.splitlines() if line.startswith(("  cd ", "  mailer "))]
    assert steps[0] == ["cd", "first appeal"]
    assert [step[1] for step in steps[1:]] == ["setup", "check", "preview", "send"]


def test_json_prints_one_object(campaign_folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["new", "x", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (set(found["files"]), found["folder"], found["next"][0]) == (MADE, "x", "cd x")


def test_nothing_is_ever_overwritten(campaign_folder: Path, capsys: pytest.CaptureFixture) -> None:
    folder = campaign_folder / "mine"
    folder.mkdir()
    (folder / "letter.txt").write_text("precious", encoding="utf-8")
    assert main(["new", "mine"]) == 2
    assert contents(folder) == {"letter.txt": b"precious"}
    assert "mailer new mine-2" in capsys.readouterr().err
    assert main(["new", "mine/letter.txt"]) == 2
    assert contents(folder) == {"letter.txt": b"precious"}


def test_an_empty_folder_may_be_used(campaign_folder: Path) -> None:
    assert main(["new", "."]) == 0
    assert set(contents(campaign_folder)) == MADE


@pytest.mark.parametrize("name", ["x" * 300, "file/below"])
def test_an_impossible_name_is_refused_calmly(campaign_folder: Path, capsys: pytest.CaptureFixture, name: str) -> None:
    (campaign_folder / "file").touch()
    assert main(["new", name]) == 2
    assert "cannot be made" in capsys.readouterr().err


@pytest.fixture
def made(campaign_folder: Path, capsys: pytest.CaptureFixture) -> Path:
    assert main(["new", "made"]) == 0
    return campaign_folder / "made"


def test_its_settings_load_with_the_safe_rates(made: Path) -> None:
    found = load(made, {})
    assert not found.rate_is_default
    assert found.rate == load(made, {}, {"rate": DEFAULT_RATE}).rate


def test_nothing_is_sent_with_its_examples_left_in_the_settings(made: Path) -> None:
    found = load(made, {})
    assert found.identity().unsubscribe_mailto is None
    assert [(w.code, w.severity) for w in found.warnings] == [("placeholder", Severity.WARNING)] * 2
    with pytest.raises(SettingsError) as caught:
        found.require_sending()
    lines = (made / "mailer.toml").read_text(encoding="utf-8").splitlines()
    assert [lines[p.row - 1].partition(" ")[0] for p in caught.value.problems] == ["sender", "smtp_host"]
    local = load(made, {"MAILER_SMTP_HOST": "127.0.0.1"})
    assert local.warnings == ()
    local.require_sending()
    own = {"MAILER_SMTP_HOST": "smtp.branch.example", "MAILER_SENDER": "office@branch.example"}
    load(made, own).require_sending()
    with pytest.raises(SettingsError) as caught:
        load(made, own | {"MAILER_UNSUBSCRIBE_MAILTO": "ana@example.org?subject=unsubscribe"}).require_sending()
    assert "MAILER_UNSUBSCRIBE_MAILTO" in caught.value.problems[0].message


def test_examples_left_in_the_settings_are_said_where_they_show(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(made)
    capsys.readouterr()
    for command, said in (
        (["check", "my-letter", "contacts/my-list.csv"], 0),
        (["suppress", "list"], 0),
        (["preview", "my-letter", "contacts/my-list.csv"], 2),
    ):
        main(command)
        printed = "".join(capsys.readouterr())
        assert printed.count("still the example") == said, (command, printed)


def test_every_setting_is_explained_and_its_example_is_valid(made: Path) -> None:
    text = (made / "mailer.toml").read_text(encoding="utf-8")
    switched_on = re.sub(r"(?m)^# (\w+ = )", r"\1", text)
    names = set(tomllib.loads(switched_on))
    secrets = {"smtp_password", "imap_password", "passphrase"}
    assert names == set(Settings.model_fields) - secrets | {f"{name}_file" for name in secrets}
    for name in ("smtp", "imap"):
        (made / f"{name}-password.txt").write_text("x", encoding="utf-8")
    (made.parent / "mailer-key.txt").write_text("x", encoding="utf-8")
    (made / "mailer.toml").write_text(switched_on, encoding="utf-8")
    assert load(made, {}).smtp_security == "starttls"


def test_the_example_of_a_second_account_is_one(made: Path) -> None:
    text = (made / "mailer.toml").read_text(encoding="utf-8")
    example = re.sub(r"(?m)^#   (\w+ = |\[)", r"\1", text).replace('\nrate = "20/', '\nconnections = 2\nrate = "20/')
    (made / "mailer.toml").write_text(example, encoding="utf-8")
    found = load(made, {})
    assert list(found.accounts) == ["main", "office"]
    office = found.over("office")
    assert (office.sender, office.connections) == (
        Mailbox(address="appeals@office.example.org", name="Appeals"),
        2,
    )


def test_its_list_has_invented_people_on_reserved_domains_and_opens_in_excel(made: Path) -> None:
    first, header, *rows = (made / "contacts/my-list.csv").read_bytes().decode("ascii").split("\r\n")
    assert (first, header.split(",")[0]) == ("sep=,", "email")
    assert [row.split(",")[0].rpartition(".")[2] for row in rows if row] == ["example"] * 3


def test_its_list_and_letter_merge_without_a_problem(made: Path) -> None:
    found = contacts.read(made / "contacts/my-list.csv")
    assert (len(found), found.problems, found.warnings) == (3, (), ())
    template = merge.load("my-letter", merge.Folder(made))
    assert [p for p in template.check([c.name for c in found.columns]) if p.severity is Severity.PROBLEM] == []
    rosa, samir, office = (template.merge(contact, load(made, {}).identity()).text for contact in found)
    assert (rosa.splitlines()[0], office.splitlines()[0]) == ("Dear Rosa,", "Dear colleague,")
    assert ("Gate 3" in rosa, "Gate 3" in samir) == (True, False)
    assert "notes for yourself" not in rosa


def test_its_letter_shows_how_to_set_language_and_reason(made: Path) -> None:
    path = made / "templates/my-letter.md"
    text = path.read_text(encoding="utf-8")
    assert merge.load("my-letter", merge.Folder(made)).languages == ("en",)
    path.write_text(re.sub(r"(?m)^# (language|reason): ", r"\1: ", text), encoding="utf-8")
    template = merge.load("my-letter", merge.Folder(made))
    assert (template.languages, template.front.reason) == (
        ("de",),
        "You get this letter because your branch is on our list for appeals.",
    )
    (rosa, *_) = contacts.read(made / "contacts/my-list.csv")
    foot = template.merge(rosa, load(made, {}).identity()).text.rpartition("\n-- \n")[2]
    assert template.front.reason in foot
    assert "sent by" not in foot.lower()


def test_git_would_not_take_people_or_passwords(made: Path) -> None:
    ignored = (made / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/contacts/", ".env", "mailer.db*", "/preview/", "/mailbox/", "/report.html", "/report.csv"} <= set(ignored)


def test_its_readme_promises_what_the_commands_do(made: Path) -> None:
    text = (made / "README.txt").read_text(encoding="utf-8")
    assert "Send one of them to yourself" in text  # `mailer test` sends the first row without --row


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("plain", "plain"),
        ("with space", '"with space"'),
        ("C:\\Users\\ana", "C:\\Users\\ana"),
        ("it's", '"it\'s"'),
        ("a$HOME", "'a$HOME'"),
        ("-x", "./-x"),
        ("a;b", '"a;b"'),
        ("añb", '"añb"'),
    ],
)
def test_paths_are_quoted_where_a_shell_needs_it(path: str, expected: str) -> None:
    assert quoted(path) == expected
    if "\\" not in path:
        assert shlex.split(quoted(path)) == [path if path != "-x" else "./-x"]
