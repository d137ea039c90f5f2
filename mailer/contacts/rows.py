"""Finds what is wrong with rows beyond their addresses, a column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts import vocabulary
from mailer.contacts.contact_list import Join
from mailer.contacts.found import Found, in_rows
from mailer.contacts.header import ADDRESS
from mailer.contacts.languages import language_tag
from mailer.contacts.naming import Column, did_you_mean, find, in_quotes, title
from mailer.contacts.roles import position_in
from mailer.contacts.table import Positions, Table, arrow, text_series
from mailer.errors import ListError
from mailer.model import NUMBER, Problem, Severity, counted, joined, said

IN_A_LINE = r"[\x00-\x1f\x7f\x{80}-\x{9f}\x{2028}\x{2029}]"
IN_TEXT = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{84}\x{86}-\x{9f}]"
"""Line ends and tabs may stand in a long free text; a header that takes them up is checked where it is written."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Repeats:
    """Positions of rows whose address stood in an earlier one, and of that one."""

    later: Positions
    first: Positions


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grid:
    """A list's cells, stripped, with what is known about them. The index holds row numbers."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    email: int
    file: str


def stripped(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells without outer white space and with one kind of line end, as merge fields are.

    A column that is so already is not copied: a list of a million rows is kept once, not twice.
    """
    columns = {}
    for position in frame.columns:
        raw = arrow(frame[position])
        values = pc.utf8_trim_whitespace(raw)
        if pc.any(pc.match_substring(values, "\r\n")).as_py():
            values = pc.replace_substring(values, "\r\n", "\n")
        columns[position] = text_series(raw if values.equals(raw) else values).set_axis(frame.index)
    return pd.DataFrame(columns, index=frame.index, copy=False)


def matching(cells: pd.Series[str], pattern: str) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.match_substring_regex(arrow(cells), pattern).to_numpy().astype(bool)
    return mask


def ragged(table: Table, file: str) -> list[Found]:
    """Rows with too few or too many cells: which cell belongs where cannot be told."""
    width, numbers, widths = len(table.header), table.ragged.numbers, table.ragged.widths
    if width == 1:
        return [Found(problem=_several(file), rows=numbers)] if len(numbers) else []
    return [Found(problem=_torn(int(found), width, file), rows=numbers[widths == found]) for found in np.unique(widths)]


def _torn(found: int, width: int, file: str) -> Problem:
    return Problem(
        code="ragged-row",
        message=counted(
            "The row has {number} cell, but there are {width} columns.",
            "The row has {number} cells, but there are {width} columns.",
            found,
            width=width,
        ),
        file=file,
        hint="A separator is missing or too many; a cell that holds one must stand in quotation marks.",
    )


def _several(file: str) -> Problem:
    """In a list of one column the separator can only stand between two addresses."""
    return Problem(
        code="two-addresses",
        message="The row holds more than one cell, but the list has one column.",
        file=file,
        hint="Give each person a row of their own, with one address in it.",
    )


def control_characters(grid: Grid) -> list[Found]:
    """The address column is judged elsewhere."""
    found = []
    for position, column in enumerate(grid.columns):
        if position == grid.email:
            continue
        one_line = vocabulary.is_name_header(column.original) or vocabulary.speaks_of_email(column.original)
        mask = matching(grid.frame[position], IN_A_LINE if one_line else IN_TEXT)
        what = (
            said("a line break, tab or other control character") if one_line else said("an invisible control character")
        )
        problem = Problem(
            code="control-character",
            message=said('The cell in "{column}" contains {what}.', column=title(column), what=what),
            file=grid.file,
            column=column.original,
            hint="Retype the cell on one line." if one_line else "Retype the cell.",
        )
        found += in_rows(problem, grid.frame.index, mask)
    return found


def swallowed(grid: Grid, separator: str | None) -> list[Found]:
    """A quotation mark left open swallows the rows up to the next one, and people with them."""
    found: list[Found] = []
    for position, column in enumerate(grid.columns if separator else ()):
        if position == grid.email:
            continue
        cells = grid.frame[position]
        mask = matching(cells, r"\n")
        if mask.any():
            mask &= matching(cells, r"[^\s@]@[^\s@]")
        for at in np.flatnonzero(mask).tolist():
            mask[at] = any(_is_row(line, separator or "", len(grid.columns)) for line in cells.iloc[at].split("\n"))
        problem = Problem(
            code="open-quote",
            message=said(
                'The cell in "{column}" runs over several lines that look like rows of the list.', column=title(column)
            ),
            file=grid.file,
            column=column.original,
            hint="Probably a quotation mark is missing at the end of a cell.",
        )
        found += in_rows(problem, grid.frame.index, mask)
    return found


def _is_row(line: str, separator: str, width: int) -> bool:
    cells = line.split(separator)
    return width > 1 and len(cells) >= width and any(ADDRESS.fullmatch(cell.strip(' "')) for cell in cells)


def blank_required(grid: Grid, required: Sequence[str], joins: Mapping[str, Join]) -> list[Found]:
    """`embassy.email` asks for a column of a look-up table. Raises ListError for a column that there is none of."""
    found: list[Found] = []
    for name in dict.fromkeys(required):
        lookup, dot, key = name.partition(".")
        if dot and lookup in joins:
            found += _blank_in_table(grid, joins[lookup], lookup, key)
            continue
        position = find(grid.columns, name)
        if position is None:
            raise ListError(
                said('{file} has no column "{name}", which the letter requires.', file=grid.file, name=name),
                hint=did_you_mean(name, grid.columns),
            )
        if position != grid.email:
            column = grid.columns[position].original
            problem = Problem(
                code="blank-required",
                message=said('"{column}" is blank, but the letter requires it.', column=column),
                file=grid.file,
                column=column,
                hint="Fill in the cell or remove the row.",
            )
            found += in_rows(problem, grid.frame.index, grid.frame[position] == "")
    return found


def _blank_in_table(grid: Grid, join: Join, lookup: str, key: str) -> list[Found]:
    if join.rows and key not in join.rows[0]:
        raise ListError(
            said(
                'The look-up table "{lookup}" has no column "{key}", which the letter requires.', lookup=lookup, key=key
            )
        )
    problem = Problem(
        code="blank-required",
        message=said(
            'The "{key}" of this row\'s {lookup} is blank, but the letter requires it.', key=key, lookup=lookup
        ),
        file=grid.file,
        hint="Fill it in in the look-up table.",
    )
    blank = [at for at, row in enumerate(join.rows) if not row[key]]
    return in_rows(problem, grid.frame.index, np.isin(join.match, blank))


def broken_characters(grid: Grid) -> list[Found]:
    """U+FFFD stands where a letter was lost, here or in a program before."""
    found = []
    for position, column in enumerate(grid.columns):
        problem = Problem(
            code="broken-characters",
            message=said(
                'A letter of the cell in "{column}" was lost when the list was saved; it shows as \ufffd.',
                column=title(column),
            ),
            file=grid.file,
            column=column.original,
            hint='Correct the cell, or export the list again as "CSV UTF-8".',
            severity=Severity.WARNING,
        )
        broken = pc.match_substring(arrow(grid.frame[position]), "\ufffd").to_numpy()
        found += in_rows(problem, grid.frame.index, broken)
    return found


def languages(grid: Grid) -> tuple[pa.ChunkedArray, list[Found]]:
    """Each row's language tag, empty where none is given or known."""
    position = position_in(grid.columns, vocabulary.LANGUAGE)
    if position is None:
        return pa.chunked_array([pa.repeat(pa.scalar("", pa.large_string()), len(grid.frame))]), []
    coded = arrow(grid.frame[position]).combine_chunks().dictionary_encode()
    tags = [language_tag(text) if text else "" for text in coded.dictionary.to_pylist()]
    packed = pa.array([tag or "" for tag in tags], pa.large_string()).take(coded.indices)
    problem = Problem(
        code="unknown-language",
        message="The language is not known here; the letter's default language is used.",
        file=grid.file,
        column=grid.columns[position].original,
        hint="Write a code such as en, de, fr, es, it or ur.",
        severity=Severity.WARNING,
    )
    unknown = [code for code, tag in enumerate(tags) if tag is None]
    return pa.chunked_array([packed]), in_rows(problem, grid.frame.index, np.isin(coded.indices.to_numpy(), unknown))


def first_of_each(keys: pa.ChunkedArray, good: npt.NDArray[np.bool_]) -> tuple[Positions, Repeats]:
    """The positions of the rows that stay, and those of the repeated rows with the ones that they repeat."""
    codes = keys.combine_chunks().dictionary_encode()
    positions = np.flatnonzero(good)
    numbers = codes.indices.to_numpy()[positions]
    firsts = np.full(len(codes.dictionary), -1, dtype=np.int64)
    firsts[numbers[::-1]] = positions[::-1]
    owner = firsts[numbers]
    repeated = owner != positions
    return positions[~repeated], Repeats(later=positions[repeated], first=owner[repeated])


def differing(grid: Grid, repeats: Repeats) -> list[Found]:
    """Repeated rows whose other details differ from the first one's, which are used."""
    others = [position for position in range(len(grid.columns)) if position != grid.email]
    if not len(repeats.later) or not others:
        return []
    later, first = pa.array(repeats.later), pa.array(repeats.first)
    differs = np.empty((len(repeats.later), len(others)), dtype=bool)
    for number, position in enumerate(others):
        cells = arrow(grid.frame[position]).combine_chunks()
        differs[:, number] = pc.not_equal(cells.take(later), cells.take(first)).to_numpy(zero_copy_only=False)
    index = grid.frame.index.to_numpy()
    found = []
    for pattern, rows in _alike(differs):
        named = joined(", ", [in_quotes(grid.columns[others[number]].original) for number in np.flatnonzero(pattern)])
        problem = Problem(
            code="duplicate-differs",
            message=said(
                "The address was already in row {number} with another {named}; that row is used.",
                number=NUMBER,
                named=named,
            ),
            file=grid.file,
            hint="Keep the right one of the two rows.",
            severity=Severity.WARNING,
        )
        found.append(Found(problem=problem, rows=index[repeats.later[rows]], numbers=index[repeats.first[rows]]))
    return found


def _alike(differs: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.bool_], Positions]]:
    """Each combination of columns that differ anywhere, with the places where just these do."""
    packed = np.ascontiguousarray(np.packbits(differs, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, codes = np.unique(keys, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        pattern = differs[places[0]]
        if pattern.any():
            yield pattern, places
