"""Which sheet of a workbook is the list: named by a person, or the only one that can be it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import python_calamine as calamine

from mailer.contacts.cells import Rows, cell_text
from mailer.contacts.header import ADDRESS, DEPTH, find_header
from mailer.contacts.naming import columns_of, find, in_quotes
from mailer.contacts.table import Wanted
from mailer.errors import ListError, quoted
from mailer.model import joined, said

# The whole of a cell, or what follows a name: a sentence that mentions an address makes no list of a cover sheet.
ONLY_AN_ADDRESS = re.compile(rf"(?:[^<>]*<)?\s*(?:mailto:)?{ADDRESS.pattern}\s*>?[\s;,.]*", re.IGNORECASE)


def visible(book: calamine.CalamineWorkbook) -> list[str]:
    """Hidden sheets hold old copies and code lists; they are read only when named."""
    return [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.visible == calamine.SheetVisibleEnum.Visible and sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]


def named_sheet(path: Path, names: Sequence[str], asked: str) -> str:
    """Raises ListError if there is none of that name."""
    for name in names:
        if name.strip().casefold() == asked.strip().casefold():
            return name
    raise ListError(
        said('{path} has no sheet "{asked}".', path=path, asked=asked),
        hint=said("Its sheets are {names}.", names=_list(names)),
        sheets=names,
    )


def chosen_sheet(path: Path, sheets: Mapping[str, Rows], wanted: Wanted) -> str:
    """The only sheet that can be meant, of those that hold anything. Raises ListError if there are several, or none.

    For a list, whatever holds addresses can be meant: those who left may stand on a sheet that is easier to read than the members'.
    """
    if len(sheets) == 1:
        return next(iter(sheets))
    headed = [name for name, rows in sheets.items() if _has_wanted_header(rows, wanted, path)]
    fit = [name for name, rows in sheets.items() if name in headed or (wanted.people and _holds_addresses(rows))]
    if len(fit) == 1:
        return fit[0]
    if fit:
        example = next((name for name in fit if _names_exactly(sheets[name], wanted)), fit[0])
        raise ListError(
            said("{path} has several sheets that could be the list: {sheets}.", path=path, sheets=_list(fit)),
            hint=said("Name the one you mean, for example {option}.", option=f"--sheet {quoted(example)}"),
            sheets=fit,
        )
    raise ListError(
        said(
            "No sheet of {path} has a column with e-mail addresses. Its sheets are {sheets}.",
            path=path,
            sheets=_list(list(sheets)),
        ),
        hint="Name the sheet with --sheet and the column with --email-column.",
        sheets=list(sheets),
    )


def _list(names: Sequence[str]) -> str:
    return joined(", ", [in_quotes(name) for name in names])


def _has_wanted_header(rows: Rows, wanted: Wanted, path: Path) -> bool:
    """Whether a sheet has the column that is asked for, or else a usual one, above the people."""
    records = [[cell_text(value) for value in row] for row in rows[: DEPTH + 1]]
    try:
        position = find_header(records, wanted, path)
    except ListError:
        return False  # people start at once; whether there are any is asked besides
    if position is None:
        return False
    if wanted.names:
        columns = columns_of(records[position])
        return all(find(columns, name) is not None for name in wanted.names)
    return any(map(wanted.is_header, records[position]))


def _names_exactly(rows: Rows, wanted: Wanted) -> bool:
    """Whether a column is called just as it is asked for: what only resembles it may be on the sheet that is not meant."""
    return any(cell_text(value).strip() in wanted.names for row in rows[: DEPTH + 1] for value in row)


def _holds_addresses(rows: Rows) -> bool:
    """Whether any cell is an address, or most rows hold one in whatever form."""
    if any(_is_address(value) for row in rows for value in row):
        return True
    first = rows[: DEPTH * 50]
    return 2 * sum(any(isinstance(value, str) and "@" in value for value in row) for row in first) > len(first)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and "@" in value and ONLY_AN_ADDRESS.fullmatch(value.strip()) is not None
