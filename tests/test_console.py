"""The command line as its users meet it: quick help, calm errors, any terminal."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import starting

from mailer import cli
from mailer.cli import console
from mailer.cli.bugs import scrubbed
from mailer.errors import ListError, MailerError, Refused, RelayStopped
from mailer.model import Problem

PROGRAM = [sys.executable, "-m", "mailer"]
ROOT = Path(__file__).parent.parent

PLANTED = """
import sys, types, typer
from mailer import cli
from mailer.__main__ import main
from mailer.cli import console
from mailer.errors import *
from mailer.model import Problem
planted = types.ModuleType("mailer.cli.planted")
def planted_command():
    BODY
planted.planted = planted_command
sys.modules["mailer.cli.planted"] = planted
cli.COMMANDS["planted"] = ("mailer.cli.planted:planted", "")
sys.exit(main(["planted"]))
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, env=os.environ | environment, timeout=60)


def planted(body: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with this body through the real program."""
    command = [sys.executable, "-c", PLANTED.replace("BODY", body)]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=60)


def test_help_shows_every_command_in_the_order_of_a_campaign() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, b"")
    words = [line.split()[0] for line in done.stdout.decode().splitlines() if line.startswith("  ") and line.split()]
    assert [word for word in words if word in cli.COMMANDS] == list(cli.COMMANDS)
    assert list(cli.COMMANDS) == [
        "demo",
        "new",
        "setup",
        "check",
        "preview",
        "test",
        "doctor",
        "send",
        "pause",
        "status",
        "resolve",
        "retry",
        "report",
        "suppress",
        "inbox",
        "export",
        "erase",
        "purge",
        "encrypt",
        "decrypt",
        "ledger",
        "web",
        "worker",
        "mailbox",
    ]


def test_no_command_at_all_shows_the_help() -> None:
    assert run().stdout == run("--help").stdout


def test_help_imports_nothing_slow() -> None:
    ask = "import sys; from mailer.__main__ import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    slow = {
        "typer",
        "pandas",
        "numpy",
        "pyarrow",
        "pydantic",
        "pydantic_settings",
        "starlette",
        "uvicorn",
        "jinja2",
        "rich",
    }
    assert not loaded & (slow | {"aiosmtplib", "aiosmtpd", "sqlite3", "keyring", "email_validator", "asyncio"})
    assert {name for name in done.stderr.split() if name.startswith("mailer.cli.")} == {
        "mailer.cli.console",
        "mailer.cli.overview",
    }


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_table_says_what_the_command_itself_says(name: str) -> None:
    _, sentence = cli.COMMANDS[name]
    own = cli.load(name).help
    assert own.splitlines()[0] == sentence
    assert len(sentence) <= 80


def test_every_command_explains_itself_with_an_example() -> None:
    for name in cli.COMMANDS:
        done = starting.run([*PROGRAM, name, "--help"], capture_output=True, env=dict(os.environ), timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), name
        assert f"mailer {name}" in done.stdout.decode().partition("Usage:")[2].partition("\n")[2], name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["snd"], "Did you mean 'send'"),
        (["new"], "DIR is missing."),
        (["new", "x", "--jsn"], "--json"),
        (["--nonsense"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_the_way_to_help(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert "--help" in done.stderr.decode()


def test_the_version_is_shown() -> None:
    assert run("--version").stdout.startswith(b"mailer 0.")


def test_a_commands_own_exit_code_is_kept() -> None:
    assert planted("raise typer.Exit(4)").returncode == 4
    assert planted("return None").returncode == 0


@pytest.mark.parametrize(("kind", "code"), [(MailerError, 1), (Refused, 2), (RelayStopped, 4)])
def test_an_error_is_a_sentence_and_a_hint(kind: type[MailerError], code: int) -> None:
    done = planted(f"raise {kind.__name__}('It cannot be.', hint='Do this.')")
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode().splitlines() == ["It cannot be.", "Hint: Do this."]


def test_problems_are_grouped_by_file_and_row_and_capped(capsys: pytest.CaptureFixture) -> None:
    rows = [
        Problem(code="x", message=f"Row {n} is wrong.", file="list.csv", row=n, hint="Mend it.")
        for n in range(40, 2, -1)
    ]
    console.show_error(ListError("38 rows cannot be mailed.", problems=rows))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "38 rows cannot be mailed."
    assert lines[1:3] == ["  list.csv:3: Row 3 is wrong.", "  list.csv:4: Row 4 is wrong."]
    assert lines[21:] == ["  and 18 more; all of them: --problems FILE", "Hint: Mend it."]


def test_with_json_an_error_is_one_object_on_standard_output(campaign_folder: Path) -> None:
    (campaign_folder / "x").touch()
    done = run("new", "x", "--json")
    assert done.returncode == 2
    assert "already something" in json.loads(done.stdout)["error"]
    assert b"already something" in done.stderr


def test_an_unexpected_error_leaves_a_scrubbed_file_and_no_traceback(tmp_path: Path) -> None:
    done = planted(
        "raise ZeroDivisionError('for rosa@example.org')", TMPDIR=str(tmp_path), TEMP=str(tmp_path), TMP=str(tmp_path)
    )
    assert (done.returncode, done.stdout) == (1, b"")
    (path,) = tmp_path.glob("mailer-bug-*.txt")
    words = done.stderr.decode()
    assert str(path) in words
    assert "This is a bug in mailer" in words
    assert "Traceback" not in words
    text = path.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in text
    assert "rosa" not in text


def test_ctrl_c_while_python_clears_away_shows_no_traceback() -> None:
    body = """
    class Leaving:
        def __del__(self):
            raise KeyboardInterrupt
    Leaving()
    class Other:
        def __del__(self):
            raise ValueError("said")
    Other()"""
    words = planted(body).stderr.decode()
    assert "KeyboardInterrupt" not in words
    assert "said" in words


def test_no_memory_left_is_said_in_words_and_is_no_bug(tmp_path: Path) -> None:
    done = planted("bytearray(sys.maxsize)", TMPDIR=str(tmp_path), TEMP=str(tmp_path), TMP=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, b"")
    assert "no memory left" in done.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_what_is_reported_to_strangers_holds_no_addresses() -> None:
    text = "x=rosa+a@example.org, 'ö.ü@exämple.org' <a@b> @dataclass a @ b"
    assert scrubbed(text) == "(address removed), '(address removed)' (address removed) @dataclass a @ b"


def test_ctrl_c_is_a_pause() -> None:
    done = planted("raise KeyboardInterrupt")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.decode() == "Stopped. Run it again to start over.\n"
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C reaches the whole console")
def test_a_real_interrupt_signal_is_a_pause() -> None:
    done = planted(f"import os, time; os.kill(os.getpid(), {signal.SIGINT:d}); time.sleep(30)")
    assert (done.returncode, b"Traceback" in done.stderr) == (3, False)


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = PLANTED.replace("BODY", "[console.say('x' * 1000) for _ in range(1000)]")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    with process:
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 3


def test_a_question_nobody_can_answer_does_nothing() -> None:
    code = PLANTED.replace("BODY", "typer.prompt('How many')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2
    assert b"nothing was done" in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_in_any_script_survive_any_terminal(encoding: str) -> None:
    body = "console.table(['name', 'n'], [['عائشہ', 1]]); console.say('Łódź “x” …'); console.note('عائشہ')"
    done = planted(body, PYTHONIOENCODING=encoding, PYTHONUTF8="0", NO_COLOR="1")
    assert done.returncode == 0
    text = done.stdout.decode(encoding)
    assert ("عائشہ" in text) == (encoding == "utf-8")
    assert done.stderr.decode(encoding).strip() == ("عائشہ" if encoding == "utf-8" else "?????")
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_path_is_never_broken_over_lines(capsys: pytest.CaptureFixture) -> None:
    console.say("x " * 200)
    assert capsys.readouterr().out == "x " * 200 + "\n"


def test_text_of_others_cannot_command_the_terminal(capsys: pytest.CaptureFixture) -> None:
    console.say("\x1b]0;owned\x07[bold]x[/bold] :smile:\n")
    console.table(["a\x9b2J"], [["\x1b[2J"]])
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert "[bold]x[/bold] :smile:" in out


def test_text_of_others_cannot_turn_a_line_around() -> None:
    assert console.harmless("invoice\u202egpj.exe \u2066a\u2069") == "invoice?gpj.exe ?a?"
    assert console.harmless("\u05d0\u200e1\u200f \u0639\u0627") == "\u05d0\u200e1\u200f \u0639\u0627"


def test_json_is_ascii_and_one_line(capsys: pytest.CaptureFixture) -> None:
    console.emit({"name": "عائشہ", "path": Path("x")})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"name": "عائشہ", "path": "x"}
    assert out.count("\n") == 1


def test_a_narrow_table_shows_whole_addresses(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    address = "the.office.of.the.branch@branch-three.example"
    console.table(
        ["address", "reason", "source"], [[address, "the address does not exist (5.1.1)", "link in campaign one--two"]]
    )
    assert address in capsys.readouterr().out


def test_numbers_stand_to_the_right(capsys: pytest.CaptureFixture) -> None:
    console.table(["status", "count"], [["sent", 5], ["failed", 1200]])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "status  count",
        "sent        5",
        "failed   1200",
    ]


def test_streams_without_reconfigure_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.BytesIO())
    console.prepare()


@pytest.mark.skipif(os.name != "posix", reason="closed as a shell closes it")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [(("new", "appeal"), 0), (("status", "nothing"), 2)])
def test_where_nobody_listens_a_command_does_its_work_and_ends_as_ever(
    tmp_path: Path, closed: str, words: tuple[str, ...], code: int
) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, *words]
    ended = subprocess.run(shell, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False, timeout=60)
    assert ended.returncode == code
    assert (tmp_path / "appeal").exists() is (code == 0)
