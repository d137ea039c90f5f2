"""The rows of a list that cannot be mailed, as they stand in the file; told one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import overload

import pandas as pd
import pyarrow as pa

from mailer.contacts.address import Checked, check
from mailer.contacts.table import Positions, arrow, picked
from mailer.contacts.torn import Torn
from mailer.model import Findings, SkippedRow, joined

STEP = 4096

Entry = tuple[int, Sequence[str], str]
"""A row's number, its cells as they stand in the file, and the usable address that it holds, if any."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Refuse:
    """`at` are the positions of such rows in the frame; the cells of torn rows cannot be told apart."""

    frame: pd.DataFrame
    at: Positions
    address: pa.ChunkedArray
    torn: Torn

    def __len__(self) -> int:
        return len(self.at) + len(self.torn)

    def entries(self) -> Iterator[Entry]:
        """All of them, the upper ones first."""
        return merge(self._whole(), self._torn(), key=itemgetter(0))

    @property
    def width(self) -> int:
        """The number of cells of the widest."""
        return int(max(self.frame.shape[1], *self.torn.widths)) if len(self.torn) else self.frame.shape[1]

    def _whole(self) -> Iterator[Entry]:
        columns = [arrow(self.frame[position]) for position in self.frame.columns]
        for start in range(0, len(self.at), STEP):
            at = self.at[start : start + STEP]
            cells = zip(*(picked(column, at) for column in columns), strict=True)
            yield from zip(self.frame.index[at].tolist(), cells, picked(self.address, at), strict=True)

    def _torn(self) -> Iterator[Entry]:
        for number, cells in self.torn.rows():
            found = {result.address for cell in cells if "@" in cell and isinstance(result := check(cell), Checked)}
            yield number, cells, found.pop() if len(found) == 1 else ""


class BadRows(Sequence[SkippedRow]):
    """Every row that has problems, with its reason; made anew whenever it is looked at."""

    def __init__(self, refuse: Refuse, problems: Findings, fields: Callable[[Sequence[str]], dict[str, str]]) -> None:
        self._refuse, self._problems, self._fields = refuse, problems, fields

    def __len__(self) -> int:
        return len(self._refuse)

    def __iter__(self) -> Iterator[SkippedRow]:
        for (row, cells, address), reason in reasoned(self._refuse, self._problems):
            fields = self._fields([cell.strip() for cell in cells])
            yield SkippedRow(row=row, address=address or None, reason=reason, fields=fields)

    @overload
    def __getitem__(self, index: int) -> SkippedRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SkippedRow]: ...
    def __getitem__(self, index: int | slice) -> SkippedRow | Sequence[SkippedRow]:
        if isinstance(index, slice):
            return tuple(self)[index]
        at = range(len(self))[index]
        return next(islice(self, at, None))


def reasoned(refuse: Refuse, problems: Findings) -> Iterator[tuple[Entry, str]]:
    """Each such row with all that is wrong with it; both are in the order of the rows."""
    sentences = problems.sentences()
    said = next(sentences, None)
    for entry in refuse.entries():
        reasons = []
        while said and said[0] <= entry[0]:
            if said[0] == entry[0]:
                reasons.append(said[1])
            said = next(sentences, None)
        yield entry, reasons[0] if len(reasons) == 1 else joined(" ", reasons)
