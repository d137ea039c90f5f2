"""What a command imports before it can do anything: only what it needs, so that it answers at once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.cli import app, overview
from mailer.settings import values

LISTS = {"pandas", "numpy", "pyarrow", "python_calamine"}
LETTERS = {"jinja2", "markupsafe", "markdown_it", "css_inline", "docx", "docxtpl", "fpdf", "yaml", "PIL", "pypdf"}
PAGES = {"starlette", "uvicorn", "matplotlib"}
MAIL = {
    "aiosmtplib",
    "aiosmtpd",
    "uvloop",
    "cryptography",
    "email_validator",
    "idna",
    "keyring",
    "imap_tools",
    "python_socks",
}
SLOW = LISTS | LETTERS | PAGES | MAIL | {"psycopg"}
ASK = """
import json, sys
from mailer.__main__ import main
code = main(sys.argv[1:])
print(json.dumps([code, *sys.modules]), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mailer.toml").write_text(
        'sender = "Union Office <office@example.org>"\nsmtp_host = "127.0.0.1"\n', encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mailer", "suppress", "add", "pat@example.org"], cwd=tmp_path, check=True, timeout=60
    )
    assert done.returncode == 0
    return tmp_path


def imported(folder: Path, *arguments: str) -> set[str]:
    """The packages that a command has imported when it ends."""
    command = [sys.executable, "-c", ASK, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=60)
    code, *modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("arguments", [["status"], ["suppress", "list"], ["suppress", "add", "eve@example.org"]])
def test_a_look_at_the_ledger_imports_nothing_for_lists_letters_pages_or_mail(
    folder: Path, arguments: list[str]
) -> None:
    assert not imported(folder, *arguments) & SLOW


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_help_imports_neither_typer_nor_settings_nor_the_ledger(tmp_path: Path, arguments: list[str]) -> None:
    found = imported(tmp_path, *arguments)
    assert "mailer" in found
    assert not found & (SLOW | {"typer", "rich", "pydantic", "pydantic_settings", "sqlite3", "asyncio", "dataclasses"})


@pytest.mark.thorough
def test_a_list_is_read_without_what_letters_pages_and_mail_servers_need(folder: Path) -> None:
    (folder / "list.csv").write_text("name,email\nPat,pat@example.org\n", encoding="utf-8")
    found = imported(folder, "check", "list.csv")
    assert "pandas" in found
    assert not found & (LETTERS | PAGES | {"aiosmtplib", "aiosmtpd", "uvloop", "keyring"})


@pytest.mark.parametrize("columns", [20, 51, 52, 53, 60, 66, 79, 80, 81, 120, 300])
def test_the_help_is_the_one_that_typer_would_write(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with redirect_stdout(io.StringIO()) as slowly:
        assert app.run(["--help"]) == 0
    with redirect_stdout(io.StringIO()) as quickly:
        overview.show()
    assert quickly.getvalue() == slowly.getvalue()


def test_where_nobody_watches_a_line_is_written_as_rich_would_write_it(tmp_path: Path) -> None:
    texts = ["", "Zoë: [bold]no[/bold] :smile: 42 https://example.org/ 'x'", "x" * 300, "two\nlines", "\x07\x1b[31mred"]
    program = (
        "import json, sys\nfrom mailer.cli import console\n"
        "for text in json.loads(sys.argv[1]):\n    console.say(text, style='bold', sentence=True)\n    console.note(text)\n"
    )
    command = [sys.executable, "-X", "utf8", "-c", program, json.dumps(texts)]
    plainly, richly = (
        subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60, env=os.environ | extra)
        for extra in ({}, {"TTY_COMPATIBLE": "0"})
    )
    assert plainly.returncode == richly.returncode == 0
    assert (plainly.stdout, plainly.stderr) == (richly.stdout, richly.stderr)
    assert b"Zo\xc3\xab" in plainly.stdout


@given(
    st.one_of(
        st.emails(),
        st.from_regex(r"[a-zA-Z0-9._+-]{1,20}@[a-zA-Z0-9.-]{1,20}\.[a-z]{1,9}", fullmatch=True),
        st.sampled_from(
            ["a@b.local", "postmaster@example.org", "a@xn--p1ai.example", "a@example.test", "a" * 64 + "@b.de"]
        ),
    )
)
def test_an_address_in_a_setting_is_the_same_by_the_quick_and_the_careful_way(text: str) -> None:
    def read() -> str:
        try:
            return values.address(text)
        except ValueError:
            return ""

    quickly = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "is_plain", lambda _: False)
        assert read() == quickly
