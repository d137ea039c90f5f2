"""What stands on the screen: one line that moves, sentences broken between words, commands that can be pasted."""

from __future__ import annotations

import io
import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from smtp_server import ScriptedServer

from mailer.__main__ import main
from mailer.cli import console
from mailer.cli.progress import ProgressLine
from mailer.cli.standing import command, send_command
from mailer.model import CampaignRecord, Manifest, Quota, Status

LONG = "a" * 100


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, markup=False, emoji=False)


def campaign(**changes: str) -> CampaignRecord:
    shape = {"template": "appeal", "list_name": "contacts/branches.csv", **changes}
    name = shape.pop("name", "appeal--branches")
    manifest = Manifest(
        letter={}, attachments={}, contacts="", list_file="", settings={}, messages="", duplicates=0, **shape
    )
    return CampaignRecord(id=1, name=name, manifest=manifest, revision=1, started_at=datetime(2026, 11, 23, tzinfo=UTC))


# -- the line that moves


def watched(counts: dict[Status, int], total: int, rates: tuple[Quota, ...] = ()) -> ProgressLine:
    line = ProgressLine(total, rates)
    for status, count in counts.items():
        for _ in range(count):
            line.recorded(None, status, None)
    return line


@given(
    st.dictionaries(
        st.sampled_from([Status.SENT, Status.FAILED, Status.DEFERRED, Status.UNCERTAIN]), st.integers(0, 120)
    ),
    st.one_of(st.none(), st.text(max_size=200), st.sampled_from([Quota(count=20, seconds=60)])),
    st.integers(62, 200),
)
def test_the_line_fits_and_its_counts_add_up(counts: dict[Status, int], held: object, width: int) -> None:
    line = watched(counts, 500)
    if isinstance(held, Quota):
        line.waiting(held, datetime.now(UTC).timestamp() + 600)
    elif held is not None:
        line.reconnecting(held, 8.0)
    told = line.told(width)
    assert len(told) <= width
    assert told == "".join(told.splitlines()) == console.harmless(told)
    done = int(re.match(r"(\d+)/500", told)[1])
    assert done == sum(counts.values()) == sum(map(int, re.findall(r"(?:sent|refused|later|uncertain) (\d+)", told)))


def test_the_whole_wait_is_told_where_there_is_room() -> None:
    line = watched({Status.SENT: 17, Status.FAILED: 1, Status.DEFERRED: 1, Status.UNCERTAIN: 1}, 61)
    until = datetime(2030, 1, 1, 12, 0, 5, tzinfo=UTC).astimezone()
    line.waiting(Quota(count=20, seconds=60), until.timestamp())
    at = until.strftime("%H:%M:%S")
    assert line.told(120).endswith(f"  waiting for the limit of 20/minute until {at}")
    assert line.told(90).endswith(f"uncertain 1  20/minute: waiting until {at}")
    assert line.told(79).endswith(f"uncertain 1  waiting until {at}")


def test_the_time_left_is_never_less_than_the_limit_takes() -> None:
    line = watched({Status.SENT: 20}, 200, (Quota(count=20, seconds=60), Quota(count=2000, seconds=86400)))
    # The first twenty went at once, the last twenty may go nine minutes after them.
    assert line.told(79).endswith("  9 min left")


# -- sentences and commands


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=300), st.integers(20, 120))
def test_a_sentence_is_broken_only_at_its_spaces(text: str, width: int) -> None:
    shown = console.fitting(terminal(width), text)
    assert shown.split() == text.split()
    for line in shown.splitlines():
        assert len(line) <= width or len(line.strip(" ").split(" ")) == 1 or console.COMMAND.search(line)


def test_commands_stay_whole_and_nothing_is_broken_for_a_file() -> None:
    pasted = f"To continue:    mailer send appeal {LONG} --yes"
    sentence = "word " * 40 + "."
    assert console.fitting(terminal(80), pasted) == pasted
    assert console.fitting(Console(file=io.StringIO(), width=80), sentence) == sentence
    assert max(map(len, console.fitting(terminal(80), sentence).splitlines())) <= 80


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (campaign(), ["mailer", "send", "appeal", "contacts/branches.csv"]),
        (campaign(name="May Day"), ["mailer", "send", "appeal", "contacts/branches.csv", "--campaign", "May Day"]),
        (
            campaign(template="letters/x.md", list_name="my list.csv", name="x--my list"),
            ["mailer", "send", "letters/x.md", "my list.csv", "--campaign", "x--my list"],
        ),
    ],
)
def test_the_command_that_continues_a_campaign_names_it_unless_that_is_its_name_anyway(
    made: CampaignRecord, words: list[str]
) -> None:
    assert shlex.split(send_command(made)) == words
    assert shlex.split(command("resolve", made)) == ["mailer", "resolve", made.name]


def pasted(said: str, label: str) -> list[str]:
    (line,) = [line for line in said.splitlines() if line.startswith(label)]
    return shlex.split(line.removeprefix(label))[1:]


def test_from_one_command_to_the_next_by_pasting(
    campaign_folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = "\n".join(
        ["name,email", *(f"Pat {n},p{n}@example.org" for n in range(8)), "Twin,P3@example.org", "Bad,bad"]
    )
    (campaign_folder / "my list.csv").write_text(people + "\n", encoding="utf-8")
    (campaign_folder / "appeal.md").write_text("---\nsubject: To {{ name }}\n---\nDear {{ name }}\n", encoding="utf-8")
    with ScriptedServer() as server:
        server.on("accepted", nth=3, drop=True)
        for name, value in (("HOST", "127.0.0.1"), ("PORT", str(server.port))):
            monkeypatch.setenv(f"MAILER_SMTP_{name}", value)
        monkeypatch.setenv("MAILER_SENDER", "office@example.org")

        def run(*words: str) -> tuple[int, str]:
            monkeypatch.setattr("sys.argv", ["mailer", *words])
            code = main(list(words))
            return code, capsys.readouterr().out

        code, said = run("preview", "appeal.md", "my list.csv", "--campaign", "May Day", "--skip-problems")
        assert code == 0
        assert (
            "Rows in the list: 10 (8 with a message, 1 for an address that the list has already, 1 with problems)"
            in said
        )
        code, said = run(*pasted(said, "To send:"), "--yes", "--rate", "100/second", "--limit", "5")
        assert code == 3
        assert [int(n) for n in re.findall(r"(?m)^ +(\d+)  ", said)] == [4, 1, 3, 1, 9, 1]
        assert "--limit" not in said
        again = pasted(said, "To continue:")

        goes_on = ["send", "appeal.md", "my list.csv", "--campaign", "May Day", "--skip-problems"]
        code, said = run(*pasted(said, "To decide:"))
        assert code == 1
        code, said = run(*pasted(said, "If they did not:"))
        assert code == 0
        assert pasted(said, "To send them:") == goes_on
        code, said = run("status", "May Day")
        assert pasted(said, "To continue:") == goes_on
        assert "--yes" not in again
        code, said = run(*again, "--yes")
        assert code == 0
        anew = shlex.split(said.splitlines()[-1])
        assert "--seal" not in anew
        assert "May Day" not in anew
        assert anew[-2:] == ["--campaign", "NEW-NAME"]
        assert len(server.accepted) == 9  # eight people, and the one that a person said did not arrive


def test_a_hint_names_a_campaign_with_a_space_so_that_it_can_be_pasted(
    campaign_folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = "\n".join(["name,email", *(f"Pat {n},p{n}@example.org" for n in range(8))])
    (campaign_folder / "Ortsgruppen Süd.csv").write_text(people + "\n", encoding="utf-8")
    (campaign_folder / "appeal.md").write_text("---\nsubject: To {{ name }}\n---\nDear {{ name }}\n", encoding="utf-8")
    with ScriptedServer() as server:
        server.on("accepted", drop=True)
        monkeypatch.setenv("MAILER_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("MAILER_SMTP_PORT", str(server.port))
        monkeypatch.setenv("MAILER_SENDER", "office@example.org")
        assert main(["send", "appeal.md", "Ortsgruppen Süd.csv", "--yes", "--json"]) == 3
    result = json.loads(capsys.readouterr().out)
    assert result["uncertain"] == 3
    assert shlex.split(result["hint"]) == ["mailer", "resolve", "appeal--Ortsgruppen Süd"]


def test_prose_before_a_command_is_broken_and_the_command_stands_on_its_own_line() -> None:
    command = f"mailer retry {LONG}"
    shown = console.fitting(terminal(60), f"Hint: {'look again and again ' * 5}then: {command}").splitlines()
    assert shown[-1] == f"  {command}"
    assert max(map(len, shown[:-1])) <= 60
