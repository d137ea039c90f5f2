"""From a file to a ContactList, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from mailer.contacts import rows, vocabulary
from mailer.contacts.address import Checked, check
from mailer.contacts.contact_list import Body, ContactList, Join, Refuse
from mailer.contacts.load import load
from mailer.contacts.lookup import join_tables
from mailer.contacts.naming import Column, columns_of
from mailer.contacts.roles import email_column as find_email_column
from mailer.contacts.roles import names
from mailer.contacts.screen import Screened, screen
from mailer.contacts.table import Table, Wanted
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
    wanted = Wanted(
        names=(email_column,) if email_column else (), is_header=vocabulary.is_email_header, sheet=sheet
    )
    loaded = load(Path(path), wanted)
    raw = loaded.frame
    table = replace(loaded, frame=rows.stripped(raw))
    file = str(path)
    columns = columns_of(table.header)
    if not len(raw) and not loaded.ragged:
        _refuse_empty(file, columns, email_column)
    found = find_email_column(table.frame, columns, file=file, named=email_column)
    column = columns[found.position]
    screened = screen(table.frame[found.position], file=file, column=column.original)
    joins, join_problems, join_warnings = join_tables(
        table.frame, columns, lookups, folders=lookup_folders, file=file, today=today or datetime.now(UTC).date()
    )
    language, language_warnings = rows.languages(table.frame, columns, file)
    problems = [
        *rows.ragged(table, file),
        *screened.problems,
        *rows.control_characters(table.frame, columns, found.position, file),
        *rows.swallowed(table.frame, columns, found.position, file),
        *rows.blank_required(table.frame, columns, required, joins, found.position, file),
        *join_problems,
    ]
    bad = {problem.row for problem in problems if problem.row is not None}
    good = ~table.frame.index.isin(list(bad)) if bad else np.ones(len(raw), dtype=bool)
    first, repeats = rows.first_of_each(screened.key, good)
    warnings = [
        *table.warnings,
        *found.warnings,
        *screened.warnings,
        *rows.broken_characters(table.frame, columns, file),
        *language_warnings,
        *join_warnings,
        *rows.differing(table.frame, columns, found.position, repeats, file),
    ]
    body = Body(
        frame=table.frame[first],
        address=screened.address[first],
        key=screened.key[first],
        name=names(table.frame, columns)[first],
        language=language[first],
        joins={name: Join(rows=join.rows, match=join.match[first]) for name, join in joins.items()},
    )
    return ContactList(
        path=Path(path),
        sheet=table.sheet,
        columns=columns,
        email_column=column,
        body=body,
        refuse=_refuse(raw[~good], table.ragged, screened),
        blank=table.blank,
        duplicates=len(repeats),
        problems=_by_row(problems),
        warnings=_by_row(warnings),
    )


def _by_row(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.row or 0))


def _refuse_empty(file: str, columns: Sequence[Column], email_column: str | None) -> None:
    raise ListError(f"{file} has column names, but no rows below them.", hint="Add one row for each person.")


def _refuse(raw: pd.DataFrame, ragged: Mapping[int, Sequence[str]], screened: Screened) -> Refuse:
    cells: dict[int, Sequence[str]] = dict(ragged)
    texts = [raw[position].tolist() for position in raw.columns]
    cells.update(zip((int(row) for row in raw.index), zip(*texts, strict=True), strict=True))
    addresses = dict(zip((int(row) for row in raw.index), screened.address[raw.index].tolist(), strict=True))
    for row, torn in ragged.items():
        found = {result.address for cell in torn if "@" in cell and isinstance(result := check(cell), Checked)}
        if len(found) == 1:
            addresses[row] = found.pop()
    return Refuse(cells=dict(sorted(cells.items())), addresses=addresses)
