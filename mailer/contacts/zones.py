"""In which time zone each person of a list lives: by a column of zones, else by that of countries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts import vocabulary
from mailer.contacts.found import Found, in_rows
from mailer.contacts.naming import did_you_mean, find
from mailer.contacts.roles import position_in
from mailer.contacts.rows import Grid
from mailer.contacts.table import TEXT, arrow
from mailer.countries import country_code, zone_of
from mailer.errors import ListError
from mailer.hours import zone_name
from mailer.model import Problem, Severity, TimeZones, said

CODE = "unknown-zone"


def zones(grid: Grid, wanted: TimeZones) -> tuple[pa.ChunkedArray, list[Found], list[Found]]:
    """Each row's time zone, blank where the default counts; what is wrong with rows; and what is only worth saying.

    Raises ListError for a column that is not there.
    """
    named, problems = _named(grid, wanted)
    by_country, warnings = _of_countries(grid, pc.equal(named, ""), wanted)
    return pa.chunked_array([pc.if_else(pc.equal(named, ""), by_country, named)]), problems, warnings


def _named(grid: Grid, wanted: TimeZones) -> tuple[pa.Array, list[Found]]:
    if wanted.column is None:
        position = position_in(grid.columns, vocabulary.TIME_ZONE)
    elif (position := find(grid.columns, wanted.column)) is None:
        raise ListError(
            said('{file} has no column "{name}".', file=grid.file, name=wanted.column),
            hint=did_you_mean(wanted.column, grid.columns),
        )
    if position is None:
        return _nothing(grid), []
    names, unknown = _read(grid, position, zone_name)
    problem = Problem(
        code=CODE,
        message="There is no time zone of this name, so nobody can tell when this person's office hours are.",
        file=grid.file,
        column=grid.columns[position].original,
        hint="Write a name such as Europe/Paris or America/New_York, or leave the cell blank.",
    )
    return names, in_rows(problem, grid.frame.index, unknown)


def _of_countries(grid: Grid, asked: pa.Array, wanted: TimeZones) -> tuple[pa.Array, list[Found]]:
    position = position_in(grid.columns, vocabulary.COUNTRY)
    if position is None:
        return _nothing(grid), []
    names, unknown = _read(grid, position, _zone_of_country)
    problem = Problem(
        code=CODE,
        message=said("The country does not tell one time zone, so {zone} counts.", zone=wanted.default),
        file=grid.file,
        column=grid.columns[position].original,
        hint="A column called time_zone, with names such as America/New_York, tells it.",
        severity=Severity.WARNING,
    )
    return names, in_rows(problem, grid.frame.index, unknown & asked.to_numpy(zero_copy_only=False))


def _zone_of_country(text: str) -> str | None:
    code = country_code(text)
    return zone_of(code) if code else None


def _nothing(grid: Grid) -> pa.Array:
    return pa.repeat(pa.scalar("", TEXT), len(grid.frame))


def _read(grid: Grid, position: int, of: Callable[[str], str | None]) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """What each cell of a column means, blank where it is blank or not understood; and where it is not understood."""
    coded = arrow(grid.frame[position]).combine_chunks().dictionary_encode()
    meant = [of(text) if text else "" for text in coded.dictionary.to_pylist()]
    names = pa.array([name or "" for name in meant], TEXT).take(coded.indices)
    unknown = [code for code, name in enumerate(meant) if name is None]
    return names, np.isin(coded.indices.to_numpy(), unknown)
