"""From a file to a ContactList, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mailer.contacts import roles, rows
from mailer.contacts.address import Checked, check
from mailer.contacts.contact_list import Body, ContactList, Join, Refuse
from mailer.contacts.load import load
from mailer.contacts.lookup import join_tables
from mailer.contacts.naming import columns_of
from mailer.contacts.rows import Grid
from mailer.contacts.screen import Screened, screen
from mailer.contacts.table import Table, Wanted
from mailer.contacts.vocabulary import is_email_header
from mailer.errors import ListError
from mailer.model import Lookup, Problem

NO_LOOKUPS: Mapping[str, Lookup] = {}


def read(
    path: Path,
    *,
    email_column: str | None = None,
    sheet: str | None = None,
    required: Sequence[str] = (),
    lookups: Mapping[str, Lookup] = NO_LOOKUPS,
    lookup_folders: Sequence[Path] = (Path(),),
    today: date | None = None,
) -> ContactList:
    """Read a list of any supported format.

    Rows that cannot be mailed become problems. Raises ListError only where no list can be read: missing, empty,
    broken or protected file, unknown format, no such column or sheet, a look-up table that cannot be joined.
    """
    path = Path(path)
    table = load(path, Wanted(names=(email_column,) if email_column else (), is_header=is_email_header, sheet=sheet))
    grid, guess = _grid(path, table, email_column)
    screened = screen(grid.frame[grid.email], file=grid.file, column=grid.columns[grid.email].original)
    joined = join_tables(
        grid, lookups, folders=tuple(map(Path, lookup_folders)), today=today or datetime.now(UTC).date()
    )
    problems = [
        *rows.ragged(table, grid.file),
        *screened.problems,
        *rows.control_characters(grid),
        *rows.swallowed(grid, table.separator),
        *rows.blank_required(grid, required, joined.joins),
        *joined.problems,
    ]
    bad = {problem.row for problem in problems}
    good = ~np.isin(grid.frame.index.to_numpy(), [row for row in bad if row is not None])
    stays, repeats = rows.first_of_each(screened.key, good)
    language, unknown = rows.languages(grid)
    return ContactList(
        path=path,
        sheet=table.sheet,
        columns=grid.columns,
        email_column=grid.columns[grid.email],
        body=_body(grid, screened, language, joined.joins, stays=stays),
        refuse=_refuse(table.frame[~good], table.ragged, screened),
        blank=table.blank,
        duplicates=len(repeats),
        problems=_by_row(problems),
        warnings=_by_row(
            [
                *table.warnings,
                *guess,
                *screened.warnings,
                *rows.broken_characters(grid),
                *unknown,
                *joined.warnings,
                *rows.differing(grid, repeats),
            ]
        ),
    )


def _grid(path: Path, table: Table, email_column: str | None) -> tuple[Grid, tuple[Problem, ...]]:
    columns = columns_of(table.header)
    if not len(table.frame) and not table.ragged:
        raise ListError(f"{path} has column names, but no rows below them.", hint="Add one row for each person.")
    frame = rows.stripped(table.frame)
    found = roles.email_column(frame, columns, file=str(path), named=email_column)
    return Grid(frame=frame, columns=columns, email=found.position, file=str(path)), found.warnings


def _body(
    grid: Grid, screened: Screened, language: pd.Series[str], joins: Mapping[str, Join], *, stays: npt.NDArray[np.bool_]
) -> Body:
    frame = grid.frame
    if screened.cleaned:  # a letter that shows the address must not show what was pasted around it
        frame = frame.copy()
        frame[grid.email] = frame[grid.email].where(~frame.index.isin(screened.cleaned), screened.address)
    return Body(
        frame=frame[stays],
        address=screened.address[stays],
        key=screened.key[stays],
        name=roles.names(frame, grid.columns)[stays],
        language=language[stays],
        joins={name: replace(join, match=join.match[stays]) for name, join in joins.items()},
    )


def _refuse(raw: pd.DataFrame, ragged: Mapping[int, Sequence[str]], screened: Screened) -> Refuse:
    numbers = [int(row) for row in raw.index]
    texts = [raw[position].tolist() for position in raw.columns]
    cells: dict[int, Sequence[str]] = {**ragged, **dict(zip(numbers, zip(*texts, strict=True), strict=True))}
    addresses = dict(zip(numbers, screened.address[raw.index].tolist(), strict=True))
    for row, torn in ragged.items():
        found = {result.address for cell in torn if "@" in cell and isinstance(result := check(cell), Checked)}
        if len(found) == 1:
            addresses[row] = found.pop()
    return Refuse(cells=dict(sorted(cells.items())), addresses=addresses)


def _by_row(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.row or 0))
