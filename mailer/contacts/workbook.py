"""Reads spreadsheets (xlsx, xlsm, xls, ods) by calamine, every cell as the text a person sees."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import python_calamine as calamine

from mailer.contacts.cells import Rows, cell_text, is_filled
from mailer.contacts.extent import refuse_stray_cells
from mailer.contacts.header import DEPTH, find_header
from mailer.contacts.marks import marks_of
from mailer.contacts.oddities import oddities
from mailer.contacts.probe import probe
from mailer.contacts.sheet_choice import chosen_sheet, named_sheet, visible
from mailer.contacts.table import Packer, Table, Wanted
from mailer.errors import ListError
from mailer.model import said


def read_workbook(path: Path, data: bytes, wanted: Wanted) -> Table:
    """Raises ListError for a broken workbook, or when the sheet meant cannot be told."""
    with _opened(path, data) as book:
        table = _read_book(path, book, wanted)
    return replace(table, warnings=oddities(table, path, marks_of(data, table.sheet or ""))) if wanted.people else table


def sheet_names(path: Path, data: bytes) -> list[str]:
    """The sheets that a person sees. Raises ListError for a broken workbook."""
    with _opened(path, data) as book:
        return visible(book)


@contextmanager
def _opened(path: Path, data: bytes) -> Iterator[calamine.CalamineWorkbook]:
    try:
        if not refuse_stray_cells(path, data):
            probe(path, data)
        with calamine.load_workbook(io.BytesIO(data)) as book:
            yield book
    except ListError:
        raise
    except BaseException as error:
        # The reader is written in Rust: its panics are not Exceptions, yet mean only that the file is broken.
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        if isinstance(error, calamine.PasswordError):
            raise _protected(path) from error
        raise ListError(
            said("{path} cannot be opened as a spreadsheet; it is damaged or not what its name says.", path=path),
            hint="Open it in a spreadsheet program and save it again as .xlsx or as CSV UTF-8.",
        ) from error


def _protected(path: Path) -> ListError:
    return ListError(
        said("{path} is protected by a password.", path=path),
        hint="Open it in the spreadsheet program, save a copy without a password, and use the copy.",
    )


def _read_book(path: Path, book: calamine.CalamineWorkbook, wanted: Wanted) -> Table:
    if wanted.sheet is not None:
        name = named_sheet(path, book.sheet_names, wanted.sheet)
        rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        return _table(path, name, rows, wanted)
    sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in visible(book)}
    filled = {name: rows for name, rows in sheets.items() if any(any(map(is_filled, row)) for row in rows)}
    if not filled:
        raise ListError(
            said("{path} is empty.", path=path), hint="Put a row of column names and one row for each person into it."
        )
    name = chosen_sheet(path, filled, wanted)
    return _table(path, name, filled[name], wanted)


def _table(path: Path, sheet: str, rows: Rows, wanted: Wanted) -> Table:
    head = [[cell_text(value) for value in row] for row in rows[: DEPTH + 30]]
    position = find_header(head, wanted, path)
    if position is None:
        raise ListError(
            said('Sheet "{sheet}" of {path} is empty.', sheet=sheet, path=path), hint="Choose another one with --sheet."
        )
    width = _used_width(rows[position:])
    header = head[position][:width]
    packer = Packer(width)
    nothing = [""] * width
    for number in range(position + 1, len(rows)):
        row = rows[number][:width]
        if row != nothing:
            row = [value if isinstance(value, str) else cell_text(value) for value in row]
        packer.add(number + 1, row)
        rows[number] = []  # frees the typed cells while the packed ones grow
    return Table(
        header=tuple(header),
        frame=packer.frame(),
        blank=packer.blank,
        ragged=packer.ragged,
        sheet=sheet,
    )


def _used_width(rows: Rows) -> int:
    """Columns up to the last that holds anything; a sheet's own measure counts formatted blanks."""
    used = 0
    for row in rows:
        # one stray cell far away makes many thousands of blank rows, looked at cell by cell for seconds
        if row.count("") == len(row):
            continue
        for at in range(len(row) - 1, used - 1, -1):
            if row[at] != "" and is_filled(row[at]):
                used = at + 1
                break
    return used
