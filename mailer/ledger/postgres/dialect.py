"""The ledger's statements as PostgreSQL reads them: only their marks differ, and what else does is a function in its schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

MARKS = re.compile(
    r"'(?:[^']|'')*'"  # a text, in which nothing is a mark
    r"|(?<![:\w]):(?P<name>[a-z_]+)"
    r"|\?(?P<number>\d*)"
    r"|(?<=[\s(])\+(?=[a-z])"  # before a column: tells SQLite's planner to take another index, and nobody else
)


class Translated(NamedTuple):
    """A statement with `$1`, and the names of its values in that order, if they have names."""

    text: str
    names: tuple[str, ...]

    def bound(self, values: Sequence[object] | Mapping[str, object]) -> Sequence[Any]:
        return [values[name] for name in self.names] if isinstance(values, Mapping) else values


@cache
def translated(statement: str) -> Translated:
    """Once for each text: the ledger has some dozens of them."""
    names: list[str] = []
    count = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal count
        if name := match["name"]:
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"
        if match["number"]:
            return f"${match['number']}"
        if match[0] == "?":
            count += 1
            return f"${count}"
        return "" if match[0] == "+" else match[0]

    return Translated(MARKS.sub(replaced, statement), tuple(names))
