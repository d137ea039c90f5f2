"""Reads spreadsheets (xlsx, xlsm, xls, ods) by calamine, every cell as the text a person sees."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import python_calamine as calamine

from mailer.contacts.extent import refuse_stray_cells
from mailer.contacts.header import DEPTH, find_header
from mailer.contacts.naming import columns_of, find, in_quotes
from mailer.contacts.probe import probe
from mailer.contacts.table import Packer, Table, Wanted
from mailer.errors import ListError
from mailer.model import joined, said

WHOLE = 1e15
"""Up to here a spreadsheet shows a whole number digit by digit."""

Rows = list[list[Any]]


def cell_text(value: Any) -> str:
    """Nothing is guessed: a typed cell becomes what a person reads in it, a date its ISO form."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return _number_text(value)
    return _other_text(value)


def _number_text(value: float) -> str:
    if math.isnan(value):
        return ""
    if value.is_integer() and abs(value) < WHOLE:
        return str(int(value))
    return repr(value)


def _other_text(value: Any) -> str:
    for kind, text in TEXT_OF:
        if isinstance(value, kind):
            return text(value)
    return str(value)


def _moment_text(value: datetime) -> str:
    midnight = value.time() == time() and value.tzinfo is None
    return value.date().isoformat() if midnight else value.isoformat(" ")


def _span_text(value: timedelta) -> str:
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def _decimal_text(value: Decimal) -> str:
    return format(value, "f") if value.is_finite() else str(value)


def _nested_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=cell_text)


def _bytes_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


TEXT_OF: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (datetime, _moment_text),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, _span_text),
    (Decimal, _decimal_text),
    ((list, tuple, Mapping), _nested_text),
    (bytes, _bytes_text),
)


def read_workbook(path: Path, data: bytes, wanted: Wanted) -> Table:
    """Raises ListError for a broken workbook, or when the sheet meant cannot be told."""
    try:
        if not refuse_stray_cells(path, data):
            probe(path, data)
        with calamine.load_workbook(io.BytesIO(data)) as book:
            return _read_book(path, book, wanted)
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
        name = _named_sheet(path, book.sheet_names, wanted.sheet)
        rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        return _table(path, name, rows, wanted)
    sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in _visible(book)}
    filled = {name: rows for name, rows in sheets.items() if any(any(map(_filled, row)) for row in rows)}
    if not filled:
        raise ListError(
            said("{path} is empty.", path=path), hint="Put a row of column names and one row for each person into it."
        )
    name = _sheet_with_addresses(path, filled, wanted)
    return _table(path, name, filled[name], wanted)


def _visible(book: calamine.CalamineWorkbook) -> list[str]:
    """Hidden sheets hold old copies and code lists; they are read only when named."""
    return [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.visible == calamine.SheetVisibleEnum.Visible and sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]


def _filled(value: Any) -> bool:
    return bool(cell_text(value).strip())


def _named_sheet(path: Path, names: Sequence[str], asked: str) -> str:
    for name in names:
        if name.strip().casefold() == asked.strip().casefold():
            return name
    raise ListError(
        said('{path} has no sheet "{asked}".', path=path, asked=asked),
        hint=said("Its sheets are {names}.", names=_list(names)),
    )


def _list(names: Sequence[str]) -> str:
    return joined(", ", [in_quotes(name) for name in names])


def _sheet_with_addresses(path: Path, sheets: Mapping[str, Rows], wanted: Wanted) -> str:
    if len(sheets) == 1:
        return next(iter(sheets))
    for test in (_has_wanted_header, _has_addresses):
        fit = [name for name, rows in sheets.items() if test(rows, wanted)]
        if len(fit) == 1:
            return fit[0]
        if fit:
            raise ListError(
                said("{path} has several sheets that could be the list: {sheets}.", path=path, sheets=_list(fit)),
                hint=said('Name the one you mean, for example --sheet "{sheet}".', sheet=fit[0]),
            )
    raise ListError(
        said(
            "No sheet of {path} has a column with e-mail addresses. Its sheets are {sheets}.",
            path=path,
            sheets=_list(list(sheets)),
        ),
        hint="Name the sheet with --sheet and the column with --email-column.",
    )


def _has_wanted_header(rows: Rows, wanted: Wanted) -> bool:
    records = [[cell_text(value) for value in row] for row in rows[: DEPTH + 1]]
    try:
        position = find_header(records, wanted)
    except ListError:
        return False
    if position is None:
        return False
    if wanted.names:
        columns = columns_of(records[position])
        return all(find(columns, name) is not None for name in wanted.names)
    return any(map(wanted.is_header, records[position]))


def _has_addresses(rows: Rows, wanted: Wanted) -> bool:
    if wanted.names:
        return False
    counted = sum(1 for row in rows[: DEPTH * 50] if any(isinstance(value, str) and "@" in value for value in row))
    return counted * 2 > len(rows[: DEPTH * 50])


def _table(path: Path, sheet: str, rows: Rows, wanted: Wanted) -> Table:
    head = [[cell_text(value) for value in row] for row in rows[: DEPTH + 30]]
    position = find_header(head, wanted)
    if position is None:
        raise ListError(
            said('Sheet "{sheet}" of {path} is empty.', sheet=sheet, path=path), hint="Choose another one with --sheet."
        )
    width = _used_width(rows[position:])
    header = head[position][:width]
    packer = Packer(width)
    for number in range(position + 1, len(rows)):
        row = rows[number][:width]
        packer.add(number + 1, [value if isinstance(value, str) else cell_text(value) for value in row])
        rows[number] = []  # frees the typed cells while the packed ones grow
    return Table(header=tuple(header), frame=packer.frame(), blank=packer.blank, ragged=packer.ragged, sheet=sheet)


def _used_width(rows: Rows) -> int:
    """Columns up to the last that holds anything; a sheet's own measure counts formatted blanks."""
    used = 0
    for row in rows:
        for at in range(len(row) - 1, used - 1, -1):
            if row[at] != "" and _filled(row[at]):
                used = at + 1
                break
    return used
