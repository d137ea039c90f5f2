"""Files that the command line saves: what an organiser keeps under that name is never replaced."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mailer.cli import console
from mailer.errors import UsageError

if TYPE_CHECKING:
    from mailer.contacts import ContactList
    from mailer.model import SkippedRow

LONGEST_LINE = 1_000_000


def keep_others(path: Path, ours: Callable[[Path], bool]) -> None:
    """Raise UsageError if there is a file that `ours` does not recognise as one that mailer wrote for this purpose."""
    if path.is_file() and not ours(path):
        raise UsageError(
            f"{console.short(str(path))} is already there and was not written by mailer. Nothing was changed.",
            hint="Choose another name.",
        )


def save_problems(path: Path | None, people: ContactList, more: Iterable[SkippedRow] = ()) -> None:
    """What --problems asks for: the list's bad rows, and `more` of it that get no message. Raises UsageError."""
    if path:
        keep_others(path, lambda file: is_problems_file(file, people))
        people.write_problems(path, more)


def is_problems_file(path: Path, people: ContactList) -> bool:
    """Whether it holds earlier problems of this list; a problems file that was mended may be the list itself."""
    if path.samefile(people.path):
        return False
    header = first_row(path, "\t" if path.suffix.lower() == ".tsv" else ",")
    names = [column.original for column in people.columns]
    between = header[len(names) : -2]
    return (
        header[: len(names)] == names and not any(between) and header[len(names) + len(between) :] == ["row", "problem"]
    )


def first_row(path: Path, separator: str) -> list[str]:
    """The cells of its first row; none if it is no such table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader([file.readline(LONGEST_LINE)], delimiter=separator), [])
    except (OSError, ValueError, csv.Error):
        return []
