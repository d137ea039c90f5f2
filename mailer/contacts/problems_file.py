"""Writes the rows that need mending as a CSV file that a spreadsheet program opens right."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from mailer.errors import UsageError
from mailer.harmless import cell
from mailer.model import said

SUFFIXES = {".csv": ",", ".txt": ",", ".tsv": "\t", "": ","}


def write_rows(
    path: Path, header: Sequence[str], rows: Iterable[tuple[int, Sequence[str], str]], *, width: int
) -> None:
    """Rows of at most `width` cells, each with its number and problem; they are taken one at a time.

    UTF-8 with a mark, so that Excel reads its letters right. Raises UsageError if it cannot be written.
    """
    separator = SUFFIXES.get(path.suffix.lower())
    if separator is None:
        raise UsageError(
            said("Problems are written as CSV, not as {suffix}.", suffix=path.suffix),
            hint=said("Name the file {name}.", name=path.with_suffix(".csv").name),
        )
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, delimiter=separator)
            writer.writerow([*header, *[""] * (width - len(header)), "row", "problem"])
            for number, cells, problem in rows:
                writer.writerow([*cells, *[""] * (width - len(cells)), number, cell(problem)])
    except OSError as error:
        why = error.strerror or said("it cannot be written")
        raise UsageError(
            said("{path} cannot be written: {why}.", path=path, why=why), hint="Choose another place or close the file."
        ) from error
