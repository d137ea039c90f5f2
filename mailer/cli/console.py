"""What people and programs see: results on standard output, progress and warnings on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from unicodedata import category

from mailer.errors import InUseError, LetterError, ListError, MailerError

if TYPE_CHECKING:
    from rich.console import Console

    from mailer.model import Problem

PARTS = "MAILER_JSON_PARTS"
"""Set by the page for the commands that it runs."""

SPOKEN = 200
"""Problems of which it is told what their sentences were made of; a page shows no more."""

SHOWN = 20
"""Problems on the screen; a broken list may have one in every row."""

LABEL = 20
"""Characters at most of a word or two before a command, which stay beside it."""

COMMAND = re.compile(r"(?:^|[:$])\s*mailer [a-z]")


def prepare() -> None:
    """Let any terminal show any name: what its encoding lacks becomes `?` instead of an error half-way."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


class Plain:
    """Writes lines where no terminal shows them: in a file or a pipe rich would write the same, 50 ms later."""

    is_terminal = False
    width = 80

    def __init__(self, *, stderr: bool) -> None:
        self._stderr = stderr

    def print(self, text: str, *, style: str | None = None, soft_wrap: bool = True, end: str = "\n") -> None:  # noqa: ARG002
        # as it stands now: tests and programs put another in its place
        stream = sys.stderr if self._stderr else sys.stdout
        if stream is not None:  # Python without a console, on Windows
            stream.write(text + end)
            stream.flush()


def out() -> Console | Plain:
    """The console on standard output, for results."""
    return plain(stderr=False) if is_plain(sys.stdout) else rich_console(stderr=False)


def err() -> Console | Plain:
    """The console on standard error, for progress, warnings and errors."""
    return plain(stderr=True) if is_plain(sys.stderr) else rich_console(stderr=True)


@cache
def plain(*, stderr: bool) -> Plain:
    return Plain(stderr=stderr)


@cache
def rich_console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def is_plain(stream: TextIO | None) -> bool:
    """Whether nobody watches in a terminal, nor says that somebody does (these two are rich's own words for it)."""
    if os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE"):
        return False
    try:
        return stream is None or not stream.isatty()
    except ValueError:  # it was closed
        return True


SHOW_CURSOR = b"\x1b[?25h\n"
"""Gives the terminal back the cursor that a moving line hid."""


def terminals() -> list[int]:
    """Which of standard output and standard error a person watches, as descriptors."""
    return [number for number in (1, 2) if os.isatty(number)]


def leave(watched: Iterable[int]) -> None:
    """Write to nowhere from now on: the window was closed, and each further word would be an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in watched:
        os.dup2(nowhere, number)


REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates (UAX 9): they could show a line other than it is. The marks U+200E and U+200F only
say which way a neighbour runs, and stand in honest names."""


def harmless(text: str) -> str:
    """Without control characters: a cell or a server's words could otherwise command the terminal (ECMA-48)."""
    return "".join("?" if c in REORDERING or (c != "\n" and category(c) in {"Cc", "Cs"}) else c for c in text)


def clear() -> None:
    """Begin anew at the top of the terminal; elsewhere after an empty line."""
    console = out()
    if isinstance(console, Plain):
        console.print("")
    else:
        console.clear()


def say(text: str = "", *, style: str | None = None, sentence: bool = False) -> None:
    """A line of results. Whole, so that paths and commands can be copied; a sentence is broken between words."""
    out().print(fitting(out(), harmless(text)) if sentence else harmless(text), style=style, soft_wrap=True)


def note(text: str = "", *, style: str | None = None) -> None:
    """A sentence of progress, or a command to be pasted."""
    err().print(fitting(err(), harmless(text)), style=style, soft_wrap=True)


def line(text: str) -> None:
    """A line on standard error for programs, as it is."""
    plain(stderr=True).print(text)


def fitting(console: Console | Plain, text: str) -> str:
    """Broken between words where a terminal is too narrow; commands stay whole, and so does a word of any length."""
    if not console.is_terminal:
        return text
    return "\n".join(with_command(line, console.width) for line in text.split("\n"))


def with_command(line: str, width: int) -> str:
    """A line broken between words; a command in it stays whole, below its sentence if there is no room beside it."""
    command = COMMAND.search(line)
    if not command:
        return broken(line, width)
    prose, words = line[: command.start() + 1], line[command.start() + 1 :].strip()
    if len(line) <= width or len(prose) <= LABEL:
        return line
    return f"{broken(prose, width)}\n  {words}"


def broken(line: str, width: int) -> str:
    """A line broken between words, with what follows set in."""
    indent = line[: len(line) - len(line.lstrip())] + "  "
    parts = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)


def warn(problem: Problem | str) -> None:
    note(f"Warning: {problem if isinstance(problem, str) else located(problem)}", style="yellow")
    if not isinstance(problem, str) and problem.hint:
        note(f"  {problem.hint}")


def show_warnings(warnings: Sequence[Problem], *, rest: str = "") -> None:
    """Warnings on standard error; `rest` says where those beyond the first 20 can be read."""
    for warning in warnings[:SHOWN]:
        warn(warning)
    if len(warnings) > SHOWN:
        note(f"  and {len(warnings) - SHOWN} more warnings{rest}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table of results, in which no number and no word is broken, and what names a row is whole."""
    from mailer.cli.tables import show_table  # noqa: PLC0415 - it needs rich

    cells = [[harmless(str(cell)) for cell in row] for row in rows]
    show_table(rich_console(stderr=False), [harmless(name) for name in columns], cells)


def emit(result: Mapping[str, Any]) -> None:
    """The one JSON object of a command with --json, in ASCII so that any encoding carries it.

    Findings are written one by one: there may be a million. For a page that says its sentences in another language, what they
    were made of stands beside them.
    """
    from mailer.model import Findings  # noqa: PLC0415 - what --help does not need
    from mailer.model.said import parted  # noqa: PLC0415

    if os.environ.get(PARTS):
        shown = {name: value[:SPOKEN] if isinstance(value, Findings) else value for name, value in result.items()}
        result = {**result, "made_of": parted(shown)}
    sys.stdout.write("{")
    for number, (name, value) in enumerate(result.items()):
        sys.stdout.write(f"{', ' if number else ''}{json.dumps(name)}: ")
        for part in _told(value):
            sys.stdout.write(part)
    sys.stdout.write("}\n")


def _told(value: object) -> Iterator[str]:
    from mailer.model import Findings  # noqa: PLC0415 - what --help does not need

    if not isinstance(value, Findings):
        yield json.dumps(value, default=str)
        return
    yield "["
    for number, problem in enumerate(value):
        yield f"{', ' if number else ''}{json.dumps(as_data(problem))}"
    yield "]"


def located(problem: Problem) -> str:
    """`file:row: sentence`, with as much of it as is known."""
    place = ""
    if problem.file:
        place = f"{short(problem.file)}:" + (f"{problem.row}:" if problem.row is not None else "") + " "
    elif problem.row is not None:
        place = f"row {problem.row}: "
    return place + problem.message


def short(path: str) -> str:
    """A path as seen from the working folder."""
    try:
        return Path(path).relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return path


def as_data(problem: Problem) -> dict[str, object]:
    """A problem for --json."""
    return {
        "file": problem.file,
        "row": problem.row,
        "column": problem.column,
        "code": problem.code,
        "message": problem.message,
    }


def show_problems(problems: Sequence[Problem], *, rest: str = "", hints: Sequence[str | None] = ()) -> None:
    """Problems on standard error, by file and row, then their hints and these.

    `rest` says where those beyond the first 20 can be read.
    """
    from mailer.model import Findings  # noqa: PLC0415

    ordered = (problems if isinstance(problems, Findings) else Findings(problems)).by_place()
    for problem in ordered[:SHOWN]:
        note(f"  {located(problem)}")
    if len(ordered) > SHOWN:
        note(f"  and {len(ordered) - SHOWN} more{rest}")
    show_hints([*ordered.hints(), *hints])


def show_hints(hints: Iterable[str | None]) -> None:
    """One hint for what went wrong, however many parts it has."""
    for number, hint in enumerate(dict.fromkeys(filter(None, hints))):
        note(f"      {hint}" if number else f"Hint: {hint}")


def show_error(error: MailerError, *, as_json: bool = False) -> None:
    """An error as a sentence, its problems and the way out; with --json also as the object a program waits for."""
    from mailer.model.said import as_said  # noqa: PLC0415

    if as_json:
        from mailer.model import Findings  # noqa: PLC0415

        told = {"error": error.message, "hint": error.hint, "problems": Findings(error.problems)}
        emit({**told, "in_use": True} if isinstance(error, InUseError) else told)
    message = error.message
    if message.partition(" ")[0].isalpha():  # a file's name stays as it is written
        message = f"{as_said(message):A}"
    note(message, style="red")
    in_list = isinstance(error, ListError | LetterError)
    if len(error.problems) == 1 and located(error.problems[0]) == error.message:
        show_hints([error.hint, error.problems[0].hint])  # the sentence is said, and need not be said twice
    else:
        rest = "; all of them: --problems FILE" if in_list else ""
        show_problems(error.problems, rest=rest, hints=[error.hint])
