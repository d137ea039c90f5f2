"""A list of contacts: columns inside, contacts made when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts.naming import Column
from mailer.contacts.problems_file import write_rows
from mailer.contacts.table import arrow
from mailer.model import Contact, FieldValue, Problem, SkippedRow

STEP = 4096
"""Contacts made at a time while iterating."""

UNIT, GROUP = "\x1f", "\x1e"
"""Between the parts of what is hashed; cells that hold them are problems, so no two contacts look the same."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Join:
    """A look-up table joined to the list: for each contact, which of the table's rows is its own."""

    rows: Sequence[Mapping[str, str]]
    match: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Body:
    """The contacts' columns, aligned: one entry each. The index holds row numbers."""

    frame: pd.DataFrame
    address: pd.Series[str]
    key: pd.Series[str]
    name: pd.Series[str]
    language: pd.Series[str]
    joins: Mapping[str, Join] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Refuse:
    """The rows that cannot be mailed, as they stand in the file."""

    cells: Mapping[int, Sequence[str]]
    addresses: Mapping[int, str]


class ContactList(Sequence[Contact]):
    """Contacts in the list's order, without duplicates and without rows that have problems.

    Always `rows == len(list) + duplicates + len(bad_rows)`.
    """

    def __init__(
        self,
        *,
        path: Path,
        sheet: str | None,
        columns: tuple[Column, ...],
        email_column: Column,
        body: Body,
        refuse: Refuse,
        blank: int,
        duplicates: int,
        problems: tuple[Problem, ...],
        warnings: tuple[Problem, ...],
    ) -> None:
        self.path = path
        self.sheet = sheet
        self.columns = columns
        self.email_column = email_column
        self.blank = blank
        self.duplicates = duplicates
        self.problems = problems
        self.warnings = warnings
        self.rows = len(body.frame) + duplicates + len(refuse.cells)
        self._body = body
        self._refuse = refuse

    def __len__(self) -> int:
        return len(self._body.frame)

    @overload
    def __getitem__(self, index: int) -> Contact: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Contact]: ...
    def __getitem__(self, index: int | slice) -> Contact | Sequence[Contact]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        return self._contacts(position, position + 1)[0]

    def __iter__(self) -> Iterator[Contact]:
        for start in range(0, len(self), STEP):
            yield from self._contacts(start, min(start + STEP, len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} contacts of {self.rows} rows in {self.path.name}>"

    @cached_property
    def bad_rows(self) -> tuple[SkippedRow, ...]:
        """The rows that have problems, each with its reason."""
        reasons = self._reasons()
        return tuple(
            SkippedRow(
                row=row,
                address=self._refuse.addresses.get(row) or None,
                reason=" ".join(reasons[row]),
                fields=self._fields([cell.strip() for cell in cells]),
            )
            for row, cells in self._refuse.cells.items()
        )

    def digests(self) -> dict[str, str]:
        """SHA-256 of each contact's content by its key; neither row number, column order nor file format counts."""
        hashed = (hashlib.sha256(text.encode()).hexdigest() for text in self._texts().to_pylist())
        return dict(zip(self._body.key.tolist(), hashed, strict=True))

    def fingerprint(self) -> str:
        """SHA-256 over the set of contacts: another order or format of the same contacts changes nothing."""
        return hashlib.sha256("".join(sorted(self.digests().values())).encode()).hexdigest()

    def write_problems(self, path: Path, more: Iterable[SkippedRow] = ()) -> int:
        """Write the rows that have problems, unchanged, with `row` and `problem` added; returns how many.

        `more` are rows of this list that turned out later to get no message. Raises UsageError if it cannot be written.
        """
        reasons = self._reasons()
        rows = [(row, cells, " ".join(reasons[row])) for row, cells in self._refuse.cells.items()]
        later = {skipped.row: skipped.reason for skipped in more}
        cells_of = self._body.frame.loc[list(later)].itertuples(index=False, name=None)
        rows += [(row, cells, reason) for (row, reason), cells in zip(later.items(), cells_of, strict=True)]
        write_rows(path, [column.original for column in self.columns], sorted(rows, key=lambda entry: entry[0]))
        return len(rows)

    def _reasons(self) -> dict[int, list[str]]:
        reasons: dict[int, list[str]] = {row: [] for row in self._refuse.cells}
        for problem in self.problems:
            if problem.row is not None:
                reasons[problem.row].append(problem.message)
        return reasons

    def _fields(self, cells: Sequence[str]) -> dict[str, str]:
        pairs = list(zip(self.columns, cells, strict=False))  # a ragged row has fewer or more
        return {c.original: cell for c, cell in pairs if c.original} | {c.name: cell for c, cell in pairs}

    def _contacts(self, start: int, stop: int) -> list[Contact]:
        body = self._body
        span = slice(start, stop)
        names = [c.original or c.name for c in self.columns] + [c.name for c in self.columns]
        cells = [body.frame[position].iloc[span].tolist() for position in body.frame.columns]
        joins = [(name, join.rows, join.match[span].tolist()) for name, join in body.joins.items()]
        made = []
        for at, (values, address, key, row, name, language) in enumerate(
            zip(
                zip(*cells, strict=True),
                body.address.iloc[span].tolist(),
                body.key.iloc[span].tolist(),
                body.frame.index[span].tolist(),
                body.name.iloc[span].tolist(),
                body.language.iloc[span].tolist(),
                strict=True,
            )
        ):
            # usable names come last, so that they win where one column's header is another's usable name
            fields: dict[str, FieldValue] = dict(zip(names, values + values, strict=True))
            for lookup, rows, match in joins:
                fields[lookup] = rows[match[at]]
            made.append(Contact(address=address, key=key, row=row, name=name, language=language or None, fields=fields))
        return made

    def _texts(self) -> pa.ChunkedArray:
        body = self._body
        cells = {column.name: arrow(body.frame[position]) for position, column in enumerate(self.columns)}
        for name, join in body.joins.items():
            texts = [GROUP.join(f"{k}{UNIT}{v}" for k, v in sorted(row.items())) for row in join.rows]
            cells[name] = pa.chunked_array([pa.array(texts, pa.large_string()).take(pa.array(join.match))])
        named: list[pa.ChunkedArray | pa.Scalar] = [
            arrow(s) for s in (body.address, body.key, body.name, body.language)
        ]
        for name in sorted(cells):
            named += [pa.scalar(name, pa.large_string()), cells[name]]
        return pc.binary_join_element_wise(*named, pa.scalar(UNIT, pa.large_string()))
