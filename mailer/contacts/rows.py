"""Finds what is wrong with rows beyond their addresses, a column at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts import vocabulary
from mailer.contacts.contact_list import Join
from mailer.contacts.header import ADDRESS
from mailer.contacts.languages import language_tag
from mailer.contacts.naming import Column, did_you_mean, find
from mailer.contacts.roles import position_in
from mailer.contacts.table import Table, arrow, text_series
from mailer.errors import ListError
from mailer.model import Problem, Severity

IN_A_LINE = r"[\x00-\x1f\x7f\x{80}-\x{9f}\x{2028}\x{2029}]"
IN_TEXT = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{84}\x{86}-\x{9f}]"
"""Line ends and tabs may stand in a long free text; a header that takes them up is checked where it is written."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grid:
    """A list's cells, stripped, with what is known about them. The index holds row numbers."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    email: int
    file: str


def stripped(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells without outer white space and with one kind of line end, as merge fields are."""
    columns = {}
    for position in frame.columns:
        values = pc.utf8_trim_whitespace(arrow(frame[position]))
        if pc.any(pc.match_substring(values, "\r\n")).as_py():
            values = pc.replace_substring(values, "\r\n", "\n")
        columns[position] = text_series(values).set_axis(frame.index)
    return pd.DataFrame(columns, index=frame.index)


def where(frame: pd.DataFrame, mask: Any) -> list[int]:
    """Row numbers where a column's mask is true."""
    return [int(row) for row in frame.index[np.asarray(mask, dtype=bool)]]


def matching(cells: pd.Series[str], pattern: str) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.match_substring_regex(arrow(cells), pattern).to_numpy().astype(bool)
    return mask


def ragged(table: Table, file: str) -> list[Problem]:
    """Rows with too few or too many cells: which cell belongs where cannot be told."""
    width = len(table.header)
    return [
        _several(row, file) if width == 1 else _torn(row, len(cells), width, file)
        for row, cells in table.ragged.items()
    ]


def _torn(row: int, found: int, width: int, file: str) -> Problem:
    cells = "1 cell" if found == 1 else f"{found} cells"
    return Problem(
        code="ragged-row",
        message=f"The row has {cells}, but there are {width} columns.",
        file=file,
        row=row,
        hint="A separator is missing or too many; a cell that holds one must stand in quotation marks.",
    )


def _several(row: int, file: str) -> Problem:
    """In a list of one column the separator can only stand between two addresses."""
    return Problem(
        code="two-addresses",
        message="The row holds more than one cell, but the list has one column.",
        file=file,
        row=row,
        hint="Give each person a row of their own, with one address in it.",
    )


def control_characters(grid: Grid) -> list[Problem]:
    """The address column is judged elsewhere."""
    problems = []
    for position, column in enumerate(grid.columns):
        if position == grid.email:
            continue
        one_line = vocabulary.is_name_header(column.original) or vocabulary.speaks_of_email(column.original)
        mask = matching(grid.frame[position], IN_A_LINE if one_line else IN_TEXT)
        what = "a line break, tab or other control character" if one_line else "an invisible control character"
        problems += [
            Problem(
                code="control-character",
                message=f"The cell contains {what}.",
                file=grid.file,
                row=row,
                column=column.original,
                hint="Retype the cell on one line." if one_line else "Retype the cell.",
            )
            for row in where(grid.frame, mask)
        ]
    return problems


def swallowed(grid: Grid, separator: str | None) -> list[Problem]:
    """A quotation mark left open swallows the rows up to the next one, and people with them."""
    problems: list[Problem] = []
    for position, column in enumerate(grid.columns if separator else ()):
        if position == grid.email:
            continue
        cells = grid.frame[position]
        suspects = cells[matching(cells, r"\n") & matching(cells, r"[^\s@]@[^\s@]")]
        problems += [
            Problem(
                code="open-quote",
                message="The cell runs over several lines that look like rows of the list.",
                file=grid.file,
                row=int(row),
                column=column.original,
                hint="Probably a quotation mark is missing at the end of a cell.",
            )
            for row, cell in zip(suspects.index.tolist(), suspects.tolist(), strict=True)
            if any(_is_row(line, separator or "", len(grid.columns)) for line in cell.split("\n"))
        ]
    return problems


def _is_row(line: str, separator: str, width: int) -> bool:
    cells = line.split(separator)
    return width > 1 and len(cells) >= width and any(ADDRESS.fullmatch(cell.strip(' "')) for cell in cells)


def blank_required(grid: Grid, required: Sequence[str], joins: Mapping[str, Join]) -> list[Problem]:
    """`embassy.email` asks for a column of a look-up table. Raises ListError for a column that there is none of."""
    problems: list[Problem] = []
    for name in dict.fromkeys(required):
        lookup, dot, key = name.partition(".")
        if dot and lookup in joins:
            problems += _blank_in_table(grid, joins[lookup], lookup, key)
            continue
        position = find(grid.columns, name)
        if position is None:
            raise ListError(
                f'{grid.file} has no column "{name}", which the letter requires.', hint=did_you_mean(name, grid.columns)
            )
        if position != grid.email:
            column = grid.columns[position].original
            problems += [
                Problem(
                    code="blank-required",
                    message=f'"{column}" is blank, but the letter requires it.',
                    file=grid.file,
                    row=row,
                    column=column,
                    hint="Fill in the cell or remove the row.",
                )
                for row in where(grid.frame, grid.frame[position] == "")
            ]
    return problems


def _blank_in_table(grid: Grid, join: Join, lookup: str, key: str) -> list[Problem]:
    if join.rows and key not in join.rows[0]:
        raise ListError(f'The look-up table "{lookup}" has no column "{key}", which the letter requires.')
    blank = [at for at, row in enumerate(join.rows) if not row[key]]
    return [
        Problem(
            code="blank-required",
            message=f'The "{key}" of this row\'s {lookup} is blank, but the letter requires it.',
            file=grid.file,
            row=row,
            hint="Fill it in in the look-up table.",
        )
        for row in where(grid.frame, np.isin(join.match, blank))
    ]


def broken_characters(grid: Grid) -> list[Problem]:
    """U+FFFD stands where a letter was lost, here or in a program before."""
    return [
        Problem(
            code="broken-characters",
            message="A letter of the cell was lost when the list was saved; it shows as \ufffd.",
            file=grid.file,
            row=row,
            column=column.original,
            hint='Correct the cell, or export the list again as "CSV UTF-8".',
            severity=Severity.WARNING,
        )
        for position, column in enumerate(grid.columns)
        for row in where(grid.frame, pc.match_substring(arrow(grid.frame[position]), "\ufffd").to_numpy())
    ]


def languages(grid: Grid) -> tuple[pd.Series[str], list[Problem]]:
    """Each row's language tag, empty where none is given or known."""
    position = position_in(grid.columns, vocabulary.LANGUAGE)
    if position is None:
        nothing = pa.chunked_array([pa.repeat(pa.scalar("", pa.large_string()), len(grid.frame))])
        return text_series(nothing).set_axis(grid.frame.index), []
    coded = arrow(grid.frame[position]).combine_chunks().dictionary_encode()
    tags = [language_tag(text) if text else "" for text in coded.dictionary.to_pylist()]
    packed = pa.array([tag or "" for tag in tags], pa.large_string()).take(coded.indices)
    unknown = [code for code, tag in enumerate(tags) if tag is None]
    warnings = [
        Problem(
            code="unknown-language",
            message="The language is not known here; the letter's default language is used.",
            file=grid.file,
            row=row,
            column=grid.columns[position].original,
            hint="Write a code such as en, de, fr, es, it or ur.",
            severity=Severity.WARNING,
        )
        for row in (where(grid.frame, np.isin(coded.indices.to_numpy(), unknown)) if unknown else ())
    ]
    return text_series(pa.chunked_array([packed])).set_axis(grid.frame.index), warnings


def first_of_each(keys: pd.Series[str], good: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], dict[int, int]]:
    """A mask of the rows that stay, and for each repeated row the position of the one it repeats."""
    codes = arrow(keys).combine_chunks().dictionary_encode()
    positions = np.flatnonzero(good)
    numbers = codes.indices.to_numpy()[positions]
    firsts = np.full(len(codes.dictionary), -1, dtype=np.int64)
    firsts[numbers[::-1]] = positions[::-1]
    owner = firsts[numbers]
    repeated = owner != positions
    stays = good.copy()
    stays[positions[repeated]] = False
    return stays, dict(zip(positions[repeated].tolist(), owner[repeated].tolist(), strict=True))


def differing(grid: Grid, repeats: Mapping[int, int]) -> list[Problem]:
    """Repeated rows whose other details differ from the first one's, which are used."""
    if not repeats:
        return []
    later, first = np.fromiter(repeats, dtype=np.int64), np.fromiter(repeats.values(), dtype=np.int64)
    names: dict[int, list[str]] = {}
    for position, column in enumerate(grid.columns):
        if position == grid.email:
            continue
        cells = arrow(grid.frame[position]).combine_chunks()
        differs = pc.not_equal(cells.take(pa.array(later)), cells.take(pa.array(first))).to_numpy(zero_copy_only=False)
        for at in np.flatnonzero(differs):
            names.setdefault(int(at), []).append(f'"{column.original}"')
    return [
        Problem(
            code="duplicate-differs",
            message=f"The address was already in row {grid.frame.index[first[at]]} with another {', '.join(differing)}; "
            "that row is used.",
            file=grid.file,
            row=int(grid.frame.index[later[at]]),
            hint="Keep the right one of the two rows.",
            severity=Severity.WARNING,
        )
        for at, differing in names.items()
    ]
