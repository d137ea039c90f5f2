"""A list of contacts: columns inside, contacts made when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge
from itertools import islice, pairwise, repeat
from operator import itemgetter
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailer.contacts.naming import Column
from mailer.contacts.packing import encoded, objects
from mailer.contacts.problems_file import write_rows
from mailer.contacts.refuse import BadRows, Refuse, reasoned
from mailer.contacts.slices import Slice, Tables, made
from mailer.contacts.table import TEXT, Positions, arrow, chosen, picked
from mailer.contacts.typos import LIKELY_TYPO, suggestion
from mailer.model import Contact, Findings, PackedContact, SkippedRow

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
    """The columns of all rows, aligned, and in `places` the positions of those that are contacts. The index holds row numbers."""

    frame: pd.DataFrame
    places: Positions
    address: pa.ChunkedArray
    key: pa.ChunkedArray
    name: pa.ChunkedArray
    language: pa.ChunkedArray
    zone: pa.ChunkedArray | None = None
    joins: Mapping[str, Join] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistyped:
    """An address that looks mistyped, and what was probably meant."""

    row: int
    address: str
    meant: str


def corrected(contact: Contact) -> str:
    """The contact's address with the domain that was probably meant; empty if it looks right."""
    local, _at, domain = contact.address.rpartition("@")
    meant = suggestion(domain.lower())
    return f"{local}@{meant}" if meant else ""


class ContactList(Sequence[Contact]):
    """Contacts in the list's order, without duplicates and without rows that have problems.

    Always `rows == len(list) + duplicates + len(bad_rows)`. A contact is made anew whenever it is asked for.
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
        problems: Findings,
        warnings: Findings,
    ) -> None:
        self.path = path
        self.sheet = sheet
        self.columns = columns
        self.email_column = email_column
        self.blank = blank
        self.duplicates = duplicates
        self.problems = problems
        self.warnings = warnings
        self.rows = len(body.places) + duplicates + len(refuse)
        self._body = body
        self._refuse = refuse
        # usable names come last, so that they win where one column's header is another's usable name
        named = [(c.original or c.name, at) for at, c in enumerate(columns)] + [
            (c.name, at) for at, c in enumerate(columns)
        ]
        self._named = dict(named)

    def __len__(self) -> int:
        return len(self._body.places)

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
        return next(made(self._slice(self._body.places[position : position + 1]), self.tables))

    def __iter__(self) -> Iterator[Contact]:
        for part in self.slices():
            yield from made(part, self.tables)

    def __repr__(self) -> str:
        return f"<{len(self)} contacts of {self.rows} rows in {self.path.name}>"

    @cached_property
    def bad_rows(self) -> Sequence[SkippedRow]:
        """The rows that have problems, each with its reason."""
        return BadRows(self._refuse, self.problems, self._fields)

    def mistyped(self, most: int) -> list[Mistyped]:
        """The first contacts whose address looks mistyped, each with the one that was probably meant."""
        kinds = {at for at, said in enumerate(self.warnings.said) if said.code == LIKELY_TYPO}
        rows = (row for kind, row in zip(self.warnings.kinds, self.warnings.rows, strict=True) if kind in kinds)
        numbers = self._body.frame.index.to_numpy()[self._body.places]
        listed = ((row, int(np.searchsorted(numbers, row))) for row in rows)
        # a repeated address is told of as well, and is no contact
        contacts = (self[at] for row, at in listed if at < len(numbers) and numbers[at] == row)
        return [
            Mistyped(row=one.row, address=one.address, meant=meant)
            for one in islice(contacts, most)
            if (meant := corrected(one))
        ]

    def keys(self) -> Iterator[str]:
        """The key of each contact, in the list's order."""
        for at in self._steps():
            yield from picked(self._body.key, at)

    def zones(self) -> Iterator[str | None]:
        """The time zone of each contact, in the list's order; None where it is not known, or nobody asked."""
        for at in self._steps():
            if self._body.zone is None:
                yield from repeat(None, len(at))
            else:
                yield from (zone or None for zone in picked(self._body.zone, at))

    def packed(self) -> Iterator[PackedContact]:
        """Each contact as it goes into the ledger: its fields as one text, made for thousands at once."""
        body = self._body
        for at in self._steps():
            yield from map(
                PackedContact,
                picked(body.address, at),
                picked(body.key, at),
                body.frame.index[at].tolist(),
                picked(body.name, at),
                (language or None for language in picked(body.language, at)),
                self._json(at),
            )

    def _json(self, at: Positions) -> list[str]:
        joins = self._body.joins
        cells = [chosen(values, at) for values in self._cells]
        columns = {name: cells[number] for name, number in self._named.items() if name not in joins}
        rows = {name: self._table_json[name].take(pa.array(join.match[at])) for name, join in joins.items()}
        return objects(columns, rows)

    @cached_property
    def _table_json(self) -> dict[str, pa.Array]:
        return {name: pa.array(map(encoded, join.rows), TEXT) for name, join in self._body.joins.items()}

    def digests(self) -> dict[str, str]:
        """SHA-256 of each contact's content by its key; neither row number, column order nor file format counts."""
        return {key: digest.hex() for key, digest in zip(self.keys(), self._hashed(), strict=True)}

    def fingerprint(self) -> str:
        """SHA-256 over the set of contacts: another order or format of the same contacts changes nothing."""
        digests = np.frombuffer(b"".join(self._hashed()), dtype=">u8").reshape(-1, 4)
        order = np.lexsort(digests.T[::-1])
        whole = hashlib.sha256()
        for start in range(0, len(order), STEP):
            whole.update(digests[order[start : start + STEP]].tobytes().hex().encode())
        return whole.hexdigest()

    def write_problems(self, path: Path, more: Iterable[SkippedRow] = ()) -> int:
        """Write the rows that have problems, unchanged, with `row` and `problem` added; returns how many.

        `more` are rows of this list that turned out later to get no message. Raises UsageError if it cannot be written.
        """
        later = {skipped.row: skipped.reason for skipped in more}
        cells = self._body.frame.loc[sorted(later)].itertuples(index=False, name=None)
        named = zip(sorted(later), cells, strict=True)
        refused = ((row, cells, reason) for (row, cells, _), reason in reasoned(self._refuse, self.problems))
        rows = merge(refused, ((row, cells, later[row]) for row, cells in named), key=itemgetter(0))
        header = [column.original for column in self.columns]
        write_rows(path, header, rows, width=max(len(header), self._refuse.width))
        return len(self._refuse) + len(later)

    def _fields(self, cells: Sequence[str]) -> dict[str, str]:
        pairs = list(zip(self.columns, cells, strict=False))  # a ragged row has fewer or more
        return {c.original: cell for c, cell in pairs if c.original} | {c.name: cell for c, cell in pairs}

    def _steps(self) -> Iterator[Positions]:
        for start in range(0, len(self), STEP):
            yield self._body.places[start : start + STEP]

    @cached_property
    def tables(self) -> Tables:
        """The rows of the look-up tables, which slices point to."""
        return {name: join.rows for name, join in self._body.joins.items()}

    def slices(self, size: int = STEP) -> Iterator[Slice]:
        """The contacts as plain columns, so many at a time."""
        for start in range(0, len(self), size):
            yield self._slice(self._body.places[start : start + size])

    def _slice(self, at: Positions) -> Slice:
        body = self._body
        cells = [picked(values, at) for values in self._cells]
        return Slice(
            fields=[(name, cells[number]) for name, number in self._named.items()],
            joins=[(name, join.match[at].tolist()) for name, join in body.joins.items()],
            address=picked(body.address, at),
            key=picked(body.key, at),
            row=body.frame.index[at].tolist(),
            name=picked(body.name, at),
            language=picked(body.language, at),
        )

    @cached_property
    def _cells(self) -> list[pa.ChunkedArray]:
        return [arrow(self._body.frame[position]) for position in range(len(self.columns))]

    @cached_property
    def _table_texts(self) -> dict[str, pa.Array]:
        """Each row of each look-up table in one text."""
        return {
            name: pa.array([GROUP.join(f"{k}{UNIT}{v}" for k, v in sorted(row.items())) for row in join.rows], TEXT)
            for name, join in self._body.joins.items()
        }

    def _hashed(self) -> Iterator[bytes]:
        """SHA-256 of each contact's content."""
        for at in self._steps():
            texts = self._texts(at)
            _, offsets, data = texts.buffers()
            ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1].tolist()
            view = memoryview(data)
            for begin, end in pairwise(ends):
                yield hashlib.sha256(view[begin:end]).digest()

    def _texts(self, at: Positions) -> pa.LargeStringArray:
        """All of each contact in one text."""
        body = self._body
        named = [chosen(values, at) for values in (body.address, body.key, body.name, body.language)]
        cells = {column.name: chosen(values, at) for column, values in zip(self.columns, self._cells, strict=True)}
        for name, join in body.joins.items():
            cells[name] = self._table_texts[name].take(pa.array(join.match[at]))
        for name in sorted(cells):
            named += [pa.scalar(name, TEXT), cells[name]]
        return pc.binary_join_element_wise(*named, pa.scalar(UNIT, TEXT))
