"""Rows whose cells cannot be told apart, kept in little memory: a file may consist of nothing else."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK = 5_000
"""Rows that are kept as Python text before they are packed."""


class Torn:
    """Cells and row numbers, in the order in which they were read: that of the file."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._widths = array("q")
        self._blocks: list[pa.LargeListArray] = []
        self._open: list[Sequence[str]] = []

    def add(self, number: int, cells: Sequence[str]) -> None:
        """Take one row; every cell can be encoded."""
        self._numbers.append(number)
        self._widths.append(len(cells))
        self._open.append(cells)
        if len(self._open) >= BLOCK:
            self._blocks.append(pa.array(self._open, pa.large_list(pa.large_string())))
            self._open = []

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The row of each, as a spreadsheet shows it."""
        return np.array(self._numbers, dtype=np.int64)

    @property
    def widths(self) -> npt.NDArray[np.int64]:
        """How many cells each row has."""
        return np.array(self._widths, dtype=np.int64)

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Number and cells of each row."""
        at = 0
        for block in self._blocks:
            for cells in block.to_pylist():
                yield self._numbers[at], cells
                at += 1
        yield from zip(self._numbers[at:], self._open, strict=True)
