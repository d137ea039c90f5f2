"""Look-up tables: the embassy of each contact's country, say, joined by a column."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mailer.age import Unlock
from mailer.contacts import vocabulary
from mailer.contacts.address import Checked, check
from mailer.contacts.contact_list import Join
from mailer.contacts.found import Found
from mailer.contacts.load import load
from mailer.contacts.naming import Column, columns_of, did_you_mean, find
from mailer.contacts.roles import MOSTLY, address_share, position_in
from mailer.contacts.rows import IN_A_LINE, IN_TEXT, Grid, matching, stripped
from mailer.contacts.table import Wanted, arrow
from mailer.errors import ListError
from mailer.model import Lookup, Problem, Severity, counted, said

GUESSES = 500
"""Values for which the nearest in the table is looked for; more of them are no slips, and each costs a look at all keys."""

LONGEST_SHOWN = 80
"""Characters of a cell that are repeated in a sentence."""

DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ].*)?|(\d{1,2})\.(\d{1,2})\.(\d{4})")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LookupTable:
    """A table by its key. `faults` says of a table row why it must not be used."""

    file: str
    columns: tuple[Column, ...]
    cells: Sequence[Mapping[str, str]]
    numbers: Sequence[int]
    by_key: Mapping[str, int]
    keys: Sequence[str]
    faults: Mapping[int, tuple[str, str]]
    checked: Sequence[str] | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joined:
    """The joins by name, problems of rows that find no match, and warnings about stale table rows."""

    joins: dict[str, Join]
    problems: list[Found]
    warnings: list[Problem]


def join_tables(
    grid: Grid, lookups: Mapping[str, Lookup], *, folders: Sequence[Path], today: date, unlock: Unlock
) -> Joined:
    """Raises ListError for a table or column that is not there, or a table that names a key twice."""
    joined = Joined(joins={}, problems=[], warnings=[])
    for name, lookup in lookups.items():
        if find(grid.columns, name) is not None:
            raise ListError(
                said('{file} has a column that is called "{name}" like the look-up table.', file=grid.file, name=name),
                hint="Rename one of the two.",
            )
        position = find(grid.columns, lookup.on)
        if position is None:
            raise ListError(
                said(
                    '{file} has no column "{on}", by which "{name}" is looked up.',
                    file=grid.file,
                    on=lookup.on,
                    name=name,
                ),
                hint=did_you_mean(lookup.on, grid.columns),
            )
        table = read_table(lookup, folders, unlock)
        match, missed = _join(grid, position, name, table)
        joined.joins[name] = Join(rows=table.cells, match=match)
        joined.problems.extend(missed)
        joined.warnings.extend(_stale(table, np.unique(match[match >= 0]).tolist(), lookup.max_age_days, today))
    return joined


def key_of(text: str) -> str:
    """Two spellings with the same key are the same value: neither capitals nor spaces tell them apart."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def read_table(lookup: Lookup, folders: Sequence[Path], unlock: Unlock) -> LookupTable:
    """Raises ListError if the table is missing, has no such column, or names a key twice."""
    path = _locate(lookup.table, folders)
    key = lookup.key or lookup.on
    loaded = load(path, Wanted(names=(key,), is_header=lambda _: False, people=False), unlock)
    columns = columns_of(loaded.header)
    position = find(columns, key)
    if position is None:
        raise ListError(
            said('{table} has no column "{key}".', table=lookup.table, key=key), hint=did_you_mean(key, columns)
        )
    if loaded.ragged:
        row, torn = next(loaded.ragged.rows())
        raise ListError(
            said(
                "{table}, row {row}: the row has {cells} cells, but there are {columns} columns.",
                table=lookup.table,
                row=row,
                cells=len(torn),
                columns=len(columns),
            ),
            hint="A separator is missing or too many; a cell that holds one must stand in quotation marks.",
        )
    frame = stripped(loaded.frame)
    frame = frame[frame[position] != ""]
    faults, addresses = _faults(frame, columns)
    cells = _cells(frame, columns, addresses)
    numbers = [int(row) for row in frame.index]
    keys = frame[position].tolist()
    stamp = next((at for at, column in enumerate(columns) if column.name == "checked_on"), None)
    stamp = position_in(columns, vocabulary.CHECKED_ON) if stamp is None else stamp
    return LookupTable(
        file=lookup.table,
        columns=columns,
        cells=cells,
        numbers=numbers,
        by_key=_by_key(keys, numbers, lookup.table, columns[position].original),
        keys=keys,
        faults=faults,
        checked=None if stamp is None else frame[stamp].tolist(),
    )


def _locate(table: str, folders: Sequence[Path]) -> Path:
    tried = [Path(folder) / table for folder in folders]
    for path in tried:
        if path.exists():
            return path
    places = ", ".join(str(path) for path in dict.fromkeys(tried))
    raise ListError(
        said("The look-up table {table} is not there. Looked for: {places}.", table=table, places=places),
        hint="Create it or correct its name in the letter.",
    )


def _by_key(keys: Sequence[str], numbers: Sequence[int], file: str, column: str) -> dict[str, int]:
    by_key: dict[str, int] = {}
    for at, text in enumerate(keys):
        earlier = by_key.setdefault(key_of(text), at)
        if earlier != at:
            raise ListError(
                said(
                    '{file} names the same "{column}" in rows {earlier} and {later}.',
                    file=file,
                    column=column,
                    earlier=numbers[earlier],
                    later=numbers[at],
                ),
                hint="Keep one of the two rows.",
            )
    return by_key


def _faults(
    frame: pd.DataFrame, columns: Sequence[Column]
) -> tuple[dict[int, tuple[str, str]], dict[int, dict[int, str]]]:
    """Why rows must not be used, and the normal form of the addresses in the others."""
    faults: dict[int, tuple[str, str]] = {}
    addresses: dict[int, dict[int, str]] = {}
    for position, column in enumerate(columns):
        cells = frame[position]
        is_email = vocabulary.speaks_of_email(column.original) or address_share(cells) > MOSTLY
        one_line = is_email or vocabulary.is_name_header(column.original)
        for at in np.flatnonzero(matching(cells, IN_A_LINE if one_line else IN_TEXT)).tolist():
            faults[at] = (
                "control-character",
                said('a line break or other control character in "{original}"', original=column.original),
            )
        if not is_email:
            continue
        for at, cell in enumerate(cells.tolist()):
            result = check(cell) if cell else None
            if isinstance(result, Checked):
                addresses.setdefault(position, {})[at] = result.address
            elif result:
                faults.setdefault(
                    at,
                    (
                        result.code,
                        said(
                            'an address in "{original}" that {reason}', original=column.original, reason=result.reason
                        ),
                    ),
                )
    return faults, addresses


def _cells(
    frame: pd.DataFrame, columns: Sequence[Column], addresses: Mapping[int, Mapping[int, str]]
) -> list[dict[str, str]]:
    texts = [frame[position].tolist() for position in range(len(columns))]
    for position, found in addresses.items():
        for at, address in found.items():
            texts[position][at] = address
    names = [column.original or column.name for column in columns] + [column.name for column in columns]
    return [dict(zip(names, (*row, *row), strict=True)) for row in zip(*texts, strict=True)]


def _join(grid: Grid, position: int, name: str, table: LookupTable) -> tuple[npt.NDArray[np.int64], list[Found]]:
    """For each row the position of its match in the table, or -1."""
    column = grid.columns[position]
    coded = arrow(grid.frame[position]).combine_chunks().dictionary_encode()
    values = coded.dictionary.to_pylist()
    target = np.array([table.by_key.get(key_of(value), -1) for value in values], dtype=np.int64)
    codes = coded.indices.to_numpy()
    wrong = [code for code, at in enumerate(target.tolist()) if at < 0 or at in table.faults]
    missed = np.flatnonzero(np.isin(codes, wrong))
    missed = missed[np.argsort(codes[missed], kind="stable")]
    index = grid.frame.index.to_numpy()
    found: list[Found] = []
    for at in np.split(missed, np.flatnonzero(np.diff(codes[missed])) + 1) if len(missed) else ():
        kind = codes[at[0]]
        code, message, hint = _complaint(
            values[kind], int(target[kind]), name, column, table, guess=len(found) < GUESSES
        )
        problem = Problem(code=code, message=message, file=grid.file, column=column.original, hint=hint)
        found.append(Found(problem=problem, rows=index[at]))
    return target[codes] if len(target) else np.empty(0, dtype=np.int64), found


def _complaint(
    value: str, at: int, name: str, column: Column, table: LookupTable, *, guess: bool
) -> tuple[str, str, str | None]:
    if at >= 0:
        code, why = table.faults[at]
        return (
            code,
            said(
                "The {name} has {why} ({file}, row {row}).",
                name=name,
                why=why,
                file=table.file,
                row=table.numbers[at],
            ),
            "Correct it in the table.",
        )
    if not value:
        return (
            "no-lookup-match",
            said('"{original}" is blank, so no {name} can be found.', original=column.original, name=name),
            "Fill in the cell.",
        )
    shown = f"'{value}'" if "@" not in value and len(value) < LONGEST_SHOWN else said("this value")
    keys = [key for key in table.by_key if "@" not in key] if guess else []
    near = difflib.get_close_matches(key_of(value), keys, n=1)
    hint = said("Correct the cell or add a row to {file}.", file=table.file)
    if near:
        meant = table.keys[table.by_key[near[0]]]
        hint = said('Correct the cell or add a row to {file}. Did you mean "{meant}"?', file=table.file, meant=meant)
    return (
        "no-lookup-match",
        said("no {name} for {column} {shown} in {file}", name=name, column=column.name, shown=shown, file=table.file),
        hint,
    )


def _stale(table: LookupTable, used: Sequence[int], max_age_days: int, today: date) -> list[Problem]:
    warnings = []
    for at in used if table.checked is not None else ():
        text = table.checked[at] if table.checked else ""
        checked = parse_date(text)
        if checked and (today - checked).days <= max_age_days:
            continue
        when = (
            counted(
                "on {checked}, {number} day ago",
                "on {checked}, {number} days ago",
                (today - checked).days,
                checked=checked.isoformat(),
            )
            if checked
            else said("on no date that can be read")
        )
        key = table.keys[at]
        sentence = said("The row was last checked {when}.", when=when)
        if "@" not in key:
            sentence = said('The row for "{key}" was last checked {when}.', key=key, when=when)
        warnings.append(
            Problem(
                code="stale-lookup",
                message=sentence,
                file=table.file,
                row=table.numbers[at],
                column="checked_on",
                hint="Look it up again, and write today's date (like 2026-11-30) into the table.",
                severity=Severity.WARNING,
            )
        )
    return warnings


def parse_date(text: str) -> date | None:
    """An ISO date, or day.month.year."""
    match = DATE.fullmatch(text)
    if not match:
        return None
    year, month, day = (match[1], match[2], match[3]) if match[1] else (match[6], match[5], match[4])
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
