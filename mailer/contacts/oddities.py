"""What a spreadsheet shows otherwise than it is read: rows that are hidden, errors in cells, cells that are merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mailer.contacts.marks import Marks
from mailer.contacts.table import Table
from mailer.model import Problem, Severity, counted


def oddities(table: Table, path: Path, marks: Marks) -> tuple[Problem, ...]:
    """A warning for each kind, by column where it is one of cells: a formula gone wrong is wrong in a thousand rows."""
    return (*_hidden(table, path, marks), *_errors(table, path, marks), *_merged(table, path, marks))


def _hidden(table: Table, path: Path, marks: Marks) -> Iterator[Problem]:
    rows = table.frame.index.to_numpy()
    number = int(np.isin(rows, np.fromiter(marks.hidden, dtype=np.int64)).sum())
    if number:
        yield Problem(
            code="hidden-rows",
            message=counted(
                "{number} row is hidden in the spreadsheet, by a filter or by hand; it is mailed as well.",
                "{number} rows are hidden in the spreadsheet, by a filter or by hand; they are mailed as well.",
                number,
            ),
            file=str(path),
            hint="If they are not meant, copy the visible rows to a new sheet, and use that.",
            severity=Severity.WARNING,
        )


def _errors(table: Table, path: Path, marks: Marks) -> Iterator[Problem]:
    for column, rows in _by_column(table, ((column, row) for row, column in marks.errors)):
        yield Problem(
            code="error-cell",
            message=counted(
                '{number} cell of "{column}" shows an error such as #N/A or #REF!, in row {row}; it counts as blank.',
                '{number} cells of "{column}" show an error such as #N/A or #REF!, the first in row {row}; they count as blank.',
                len(rows),
                column=column,
                row=min(rows),
            ),
            file=str(path),
            column=column,
            hint="Mend the formula, or type the value itself.",
            severity=Severity.WARNING,
        )


def _merged(table: Table, path: Path, marks: Marks) -> Iterator[Problem]:
    places = ((column, first) for first, last, column in marks.merged if last > first)
    for column, rows in _by_column(table, places):
        yield Problem(
            code="merged-cells",
            message=counted(
                'In "{column}" cells are merged over several rows in {number} place, from row {row}; only the first of these has the value.',
                'In "{column}" cells are merged over several rows in {number} places, the first from row {row};'
                " only the first row of each has the value.",
                len(rows),
                column=column,
                row=min(rows),
            ),
            file=str(path),
            column=column,
            hint="Unmerge them, and fill in each row.",
            severity=Severity.WARNING,
        )


def _by_column(table: Table, places: Iterable[tuple[int, int]]) -> Iterator[tuple[str, list[int]]]:
    """By the column's header, left to right, in which rows of people something stands."""
    there = list(places)
    people = set(table.frame.index.tolist()) if there else set()
    found: dict[int, list[int]] = defaultdict(list)
    for column, row in there:
        if row in people and column < len(table.header) and table.header[column].strip():
            found[column].append(row)
    for column in sorted(found):
        yield " ".join(table.header[column].split()), found[column]
