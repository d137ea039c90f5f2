"""Which column holds the address, the name, the language: found by header, confirmed by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts import vocabulary
from mailer.contacts.naming import Column, compact, did_you_mean, find, listed
from mailer.contacts.table import arrow, text_series
from mailer.errors import ListError
from mailer.model import Problem, Severity, said

SAMPLE = 2000
"""Filled rows by which a column's content is judged."""

MOSTLY = 0.5
LOOKS_LIKE_ADDRESS = r"[^\s@]+@[^\s@]+"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmailColumn:
    """Where the addresses are, and a warning if that was a guess."""

    position: int
    warnings: tuple[Problem, ...] = ()


def email_column(frame: pd.DataFrame, columns: Sequence[Column], *, file: str, named: str | None) -> EmailColumn:
    """Raises ListError if there is none, or which of several is meant cannot be told."""
    if named is not None:
        position = find(columns, named)
        if position is None:
            hint = did_you_mean(named, columns)
            if "@" in named:
                raise ListError(
                    said("{file} has no column of that name.", file=file), hint=hint, columns=_headers(columns)
                )
            raise ListError(
                said('{file} has no column "{name}".', file=file, name=named), hint=hint, columns=_headers(columns)
            )
        return EmailColumn(position=position)
    full = [position for position in range(len(columns)) if address_share(frame[position]) > MOSTLY]
    usual = [position for position, column in enumerate(columns) if vocabulary.is_email_header(column.original)]
    hinted = [position for position, column in enumerate(columns) if vocabulary.speaks_of_email(column.original)]
    for named_so in (usual, hinted):
        confirmed = [position for position in named_so if position in full]
        if confirmed:
            return EmailColumn(position=_only(confirmed, columns, file))
    if full:
        position = _only(full, columns, file)
        return EmailColumn(position=position, warnings=(_guess(columns[position], file),))
    for named_so in (usual, hinted):
        if named_so:  # nothing in it is an address: every row will be shown with its problem
            return EmailColumn(position=_only(named_so, columns, file))
    raise ListError(
        said(
            "{file} has no column with e-mail addresses. Its columns are {columns}.", file=file, columns=listed(columns)
        ),
        hint='Name the column with --email-column "...", or add one called email.',
        columns=_headers(columns),
    )


def address_share(cells: pd.Series[str]) -> float:
    """Part of the filled cells that hold something like an address, judged by the first ones."""
    values = arrow(cells)
    filled = values.filter(pc.not_equal(values, "")).slice(0, SAMPLE)
    if not len(filled):
        return 0.0
    return float(pc.sum(pc.match_substring_regex(filled, LOOKS_LIKE_ADDRESS)).as_py() / len(filled))


def _only(positions: Sequence[int], columns: Sequence[Column], file: str) -> int:
    if len(positions) == 1:
        return positions[0]
    several = [columns[position] for position in positions]
    raise ListError(
        said("{file} has several columns with e-mail addresses: {several}.", file=file, several=listed(several)),
        hint=said(
            'Name the one to write to, for example --email-column "{original}".', original=several[0].original.strip()
        ),
        columns=_headers(columns),
    )


def _headers(columns: Sequence[Column]) -> list[str]:
    """By what a person chooses between them."""
    return [column.original or column.name for column in columns]


def _guess(column: Column, file: str) -> Problem:
    return Problem(
        code="guessed-column",
        message=said(
            'No column is called e-mail; "{original}" was taken because it holds addresses.', original=column.original
        ),
        file=file,
        column=column.original,
        hint=said('Say so with --email-column "{original}", or rename the column to email.', original=column.original),
        severity=Severity.WARNING,
    )


def position_in(columns: Sequence[Column], words: frozenset[str]) -> int | None:
    """The first column whose header is one of the words."""
    return next((at for at, column in enumerate(columns) if compact(column.original) in words), None)


def names(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.Series[str]:
    """For each row the person's name, else the organisation's, else nothing."""
    full = position_in(columns, vocabulary.FULL_NAME)
    first = position_in(columns, vocabulary.FIRST_NAME)
    last = position_in(columns, vocabulary.LAST_NAME)
    group = position_in(columns, vocabulary.ORGANISATION)
    if full is not None and first is not None and last is None and not _repeats(frame[full], frame[first]):
        full, last = None, full  # "Vorname, Name": the plain word means the surname here
    choices = [frame[full]] if full is not None else []
    parts = [frame[position] for position in (first, last) if position is not None]
    if parts:
        choices.append(_joined(parts))
    if group is not None:
        choices.append(frame[group])
    return _first_filled(choices, frame.index)


def _repeats(full: pd.Series[str], first: pd.Series[str]) -> bool:
    pairs = [(a, b) for a, b in zip(full.iloc[:SAMPLE], first.iloc[:SAMPLE], strict=True) if a and b]
    return sum(b.casefold() in a.casefold() for a, b in pairs) * 2 > len(pairs)


def _joined(parts: Sequence[pd.Series[str]]) -> pd.Series[str]:
    if len(parts) == 1:
        return parts[0]
    joined = pc.binary_join_element_wise(*map(arrow, parts), pa.scalar(" ", pa.large_string()))
    return text_series(pc.utf8_trim_whitespace(joined)).set_axis(parts[0].index)


def _first_filled(choices: Sequence[pd.Series[str]], index: pd.Index[int]) -> pd.Series[str]:
    if not choices:
        return text_series(pa.chunked_array([pa.repeat(pa.scalar("", pa.large_string()), len(index))])).set_axis(index)
    name = choices[0]
    for other in choices[1:]:
        if (name != "").all():
            break
        name = name.where(name != "", other)
    return name
