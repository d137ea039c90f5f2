"""From a file to a ContactList, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from mailer.age import Unlock, no_key
from mailer.contacts import roles, rows
from mailer.contacts.contact_list import Body, ContactList, Join
from mailer.contacts.found import gathered
from mailer.contacts.load import load
from mailer.contacts.lookup import join_tables
from mailer.contacts.naming import columns_of
from mailer.contacts.refuse import Refuse
from mailer.contacts.rows import Grid
from mailer.contacts.screen import Screened, replaced, screen
from mailer.contacts.table import Positions, Table, Wanted, arrow, text_series
from mailer.contacts.vocabulary import is_email_header
from mailer.contacts.zones import zones
from mailer.errors import ListError
from mailer.model import Lookup, Problem, TimeZones, said

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
    unlock: Unlock = no_key,
    time_zones: TimeZones | None = None,
) -> ContactList:
    """Read a list of any supported format; `unlock` opens what is encrypted with age, `time_zones` are found where they are asked for.

    Rows that cannot be mailed become problems. Raises ListError only where no list can be read: missing, empty,
    broken or protected file, unknown format, no such column or sheet, a look-up table that cannot be joined; LockedError where the key
    of an encrypted one is missing or wrong.
    """
    path = Path(path)
    wanted = Wanted(names=(email_column,) if email_column else (), is_header=is_email_header, sheet=sheet)
    table = load(path, wanted, unlock)
    grid, guess = _grid(path, table, email_column)
    screened = screen(grid.frame[grid.email], file=grid.file, column=grid.columns[grid.email].original)
    folders, today = tuple(map(Path, lookup_folders)), today or datetime.now(UTC).date()
    joined = join_tables(grid, lookups, folders=folders, today=today, unlock=unlock)
    zone, no_zone, doubtful_zone = zones(grid, time_zones) if time_zones else (None, [], [])
    problems = gathered(
        [
            *rows.ragged(table, grid.file),
            *screened.problems,
            *rows.control_characters(grid),
            *rows.swallowed(grid, table.separator),
            *rows.blank_required(grid, required, joined.joins),
            *joined.problems,
            *no_zone,
        ]
    )
    good = ~np.isin(grid.frame.index.to_numpy(), np.unique(np.array(problems.rows, dtype=np.int64)))
    stays, repeats = rows.first_of_each(screened.key, good)
    language, unknown = rows.languages(grid)
    return ContactList(
        path=path,
        sheet=table.sheet,
        columns=grid.columns,
        email_column=grid.columns[grid.email],
        body=_body(grid, screened, language, zone, joined.joins, stays=stays),
        refuse=Refuse(frame=table.frame, at=np.flatnonzero(~good), address=screened.address, torn=table.ragged),
        blank=table.blank,
        duplicates=len(repeats.later),
        problems=problems,
        warnings=gathered(
            [
                *table.warnings,
                *guess,
                *screened.warnings,
                *rows.broken_characters(grid),
                *unknown,
                *doubtful_zone,
                *joined.warnings,
                *rows.differing(grid, repeats),
            ]
        ),
    )


def _grid(path: Path, table: Table, email_column: str | None) -> tuple[Grid, tuple[Problem, ...]]:
    columns = columns_of(table.header)
    if not len(table.frame) and not table.ragged:
        raise ListError(
            said("{path} has column names, but no rows below them.", path=path), hint="Add one row for each person."
        )
    frame = rows.stripped(table.frame)
    found = roles.email_column(frame, columns, file=str(path), named=email_column)
    return Grid(frame=frame, columns=columns, email=found.position, file=str(path)), found.warnings


def _body(
    grid: Grid,
    screened: Screened,
    language: pa.ChunkedArray,
    zone: pa.ChunkedArray | None,
    joins: Mapping[str, Join],
    *,
    stays: Positions,
) -> Body:
    frame = grid.frame
    if screened.cleaned.any():  # a letter that shows the address must not show what was pasted around it
        frame = frame.copy(deep=False)
        bare = screened.address.filter(pa.array(screened.cleaned))
        email = replaced(arrow(frame[grid.email]), screened.cleaned, bare)
        frame[grid.email] = text_series(email).set_axis(frame.index)
    return Body(
        frame=frame,
        places=stays,
        address=screened.address,
        key=screened.key,
        name=arrow(roles.names(frame, grid.columns)),
        language=language,
        zone=zone,
        joins=joins,
    )
