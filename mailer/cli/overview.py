"""`mailer --help` as typer would write it, without the time that it takes to import typer."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping

from mailer.cli import COMMANDS, EPILOG, OPTIONS, PURPOSE

WIDEST, NARROWEST = 78, 50
"""Characters of a line, whatever the terminal; below the second a line is broken by the terminal itself."""


def show() -> None:
    """Write it for this terminal."""
    sys.stdout.write(overview(shutil.get_terminal_size().columns))


def overview(columns: int) -> str:
    """The help for a terminal of so many columns."""
    width = max(min(columns - 2, WIDEST), NARROWEST)
    commands = {name: sentence for name, (_, sentence) in COMMANDS.items()}
    lines = [
        "Usage: mailer [OPTIONS] COMMAND [ARGS]...",
        "",
        *indented(PURPOSE, width),
        "",
        "Options:",
        *definitions(OPTIONS, width),
        "",
        "Commands:",
        *definitions(commands, width),
        "",
        *indented(EPILOG, width),
    ]
    return "\n".join(lines) + "\n"


def indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")


def definitions(entries: Mapping[str, str], width: int) -> Iterator[str]:
    """Each word with its explanation in a second column."""
    column = max(map(len, entries)) + 2
    for word, explanation in entries.items():
        # a command that has none, such as one that a test plants
        first, *others = textwrap.wrap(explanation, max(width - column - 2, 10)) or [""]
        yield f"  {word:<{column}}{first}".rstrip()
        yield from (f"  {'':<{column}}{line}" for line in others)
