"""The same problem in many rows, found a column at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mailer.model import Findings, Problem

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """`problem` has no row of its own; `numbers` are what stands for NUMBER in its message, row by row."""

    problem: Problem
    rows: Rows
    numbers: Rows | None = None


def in_rows(problem: Problem, index: Any, mask: Any) -> list[Found]:
    """The problem in the rows of an index where the mask is true; nothing if that is nowhere."""
    at = np.flatnonzero(np.asarray(mask, dtype=bool))
    return [Found(problem=problem, rows=index.to_numpy()[at].astype(np.int64))] if len(at) else []


def gathered(found: Iterable[Found | Problem]) -> Findings:
    """All of it, the upper rows first."""
    findings = Findings()
    for one in found:
        if isinstance(one, Problem):
            findings.append(one)
        else:
            findings.spread(one.problem, _array(one.rows), None if one.numbers is None else _array(one.numbers))
    return findings.by_row()


def _array(numbers: Rows) -> array[int]:
    return array("q", np.ascontiguousarray(numbers, dtype=np.int64).tobytes())
