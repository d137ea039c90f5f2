"""A table of text: what every reader of a file format hands on."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailer.contacts.torn import Torn
from mailer.model import Problem

BLOCK = 50_000
"""Rows gathered as Python text before they are packed, so that a million rows stay in bounded memory."""

TEXT = pa.large_string()
Positions = npt.NDArray[np.int64]

IsHeader = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """Cells as text, in columns 0, 1, 2...; the index holds row numbers as a spreadsheet shows them.

    Blank rows are counted and left out. Ragged rows, whose cells cannot be told apart, stand aside.
    """

    header: tuple[str, ...]
    frame: pd.DataFrame
    blank: int = 0
    ragged: Torn = field(default_factory=Torn)
    sheet: str | None = None
    separator: str | None = None
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a reader needs to know to find the header row and the sheet.

    `names` are headers asked for by name; `is_header` knows the usual ones (an address column, for a list). `people` are
    looked for: any sheet with addresses can be the list.
    """

    names: tuple[str, ...] = ()
    is_header: IsHeader
    sheet: str | None = None
    people: bool = True


class Packer:
    """Gathers rows of text into Arrow columns, block by block."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.blank = 0
        self.ragged = Torn()
        self._numbers = array("q")
        self._rows: list[Sequence[str]] = []
        self._blocks: list[list[pa.Array]] = []

    def add(self, number: int, cells: Sequence[str]) -> None:
        """Take one row. Surplus cells at the end are harmless while they are blank."""
        if not any(map(str.strip, cells)):
            self.blank += 1
            return
        if len(cells) > self.width and not any(map(str.strip, cells[self.width :])):
            cells = cells[: self.width]
        if len(cells) != self.width:
            self.ragged.add(number, tuple(map(clean_text, cells)))
            return
        self._numbers.append(number)
        self._rows.append(cells)
        if len(self._rows) >= BLOCK:
            self._pack()

    def frame(self) -> pd.DataFrame:
        self._pack()
        chunks = zip(*self._blocks, strict=True) if self._blocks else ([] for _ in range(self.width))
        columns = {i: text_series(pa.chunked_array(list(parts), pa.large_string())) for i, parts in enumerate(chunks)}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self._numbers))).set_axis(
            pd.Index(np.array(self._numbers, dtype=np.int64)), axis=0
        )

    def _pack(self) -> None:
        if self._rows:
            self._blocks.append([text_array(column) for column in zip(*self._rows, strict=True)])
            self._rows = []


def text_array(values: Iterable[str]) -> pa.Array:
    cells = list(values)
    try:
        return pa.array(cells, pa.large_string())
    except UnicodeEncodeError:  # half of a surrogate pair, as JSON and UTF-16 files can hold
        return pa.array([clean_text(cell) for cell in cells], pa.large_string())


def clean_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def text_series(values: pa.ChunkedArray) -> pd.Series[str]:
    return pd.Series(pd.array(values, dtype="str"), copy=False)


def arrow(series: pd.Series[str]) -> pa.ChunkedArray:
    """The Arrow form of a text column, without copying it."""
    values = pa.array(series)
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def chosen(values: pa.ChunkedArray, at: Positions) -> pa.Array:
    """The values at some positions, which ascend; only what lies between the first and the last is looked at."""
    if not len(at):
        return pa.array([], values.type)
    first = int(at[0])
    near = values.slice(first, int(at[-1]) - first + 1).combine_chunks()
    return near if len(near) == len(at) else near.take(pa.array(at - first))


def picked(values: pa.ChunkedArray, at: Positions) -> list[str]:
    """The same as Python text."""
    texts: list[str] = chosen(values, at).to_pylist()
    return texts
