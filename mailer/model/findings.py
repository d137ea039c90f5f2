"""Many problems in little memory: a sentence is kept once, and of each row that it is about only the number."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import le
from typing import overload

from mailer.model.contacts import Problem
from mailer.model.said import Said

NUMBER = "\0"
"""Stands in a problem's message for a number that differs from row to row. A message holds no control character."""


class Findings(Sequence[Problem]):
    """Problems in order, made when they are asked for: a list of a million rows may have one in each.

    `said` has each sentence once, without a row; `kinds`, `rows` (0 for none) and `numbers` belong together, one of each
    for a problem.
    """

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self.said: list[Problem] = []
        self.kinds = array("i")
        self.rows = array("q")
        self.numbers = array("q")
        self._known: dict[Problem, int] = {}
        self.extend(problems)

    def append(self, problem: Problem) -> None:
        self.kinds.append(self._kind(problem))
        self.rows.append(problem.row or 0)
        self.numbers.append(0)

    def extend(self, problems: Iterable[Problem]) -> None:
        if isinstance(problems, Findings):
            self._take(problems, range(len(problems)))
            return
        for problem in problems:
            self.append(problem)

    def spread(self, problem: Problem, rows: array[int], numbers: array[int] | None = None) -> None:
        """Note the same problem in many rows; in its message each row's own number takes the place of NUMBER."""
        self.kinds.extend(array("i", [self._kind(problem)]) * len(rows))
        self.rows.extend(rows)
        self.numbers.extend(numbers or array("q", [0]) * len(rows))

    def by_row(self) -> Findings:
        """The same, the upper rows first and each problem once; those without a row come before all others."""
        row, seen = -1, set[tuple[int, int]]()
        once = array("q")
        for at in self._order():
            if self.rows[at] != row:
                row = self.rows[at]
                seen.clear()
            what = (self.kinds[at], self.numbers[at])
            if what not in seen:
                seen.add(what)
                once.append(at)
        return self._picked(once)

    def by_place(self) -> Findings:
        """The same by file and row."""
        files = [said.file or "" for said in self.said]
        if len(set(files)) < 2:
            return self._picked(self._order())
        return self._picked(sorted(range(len(self)), key=lambda at: (files[self.kinds[at]], self.rows[at])))

    def hints(self) -> list[str]:
        """Each hint once, in order."""
        said = (self.said[kind].hint for kind in dict.fromkeys(self.kinds))
        return list(dict.fromkeys(filter(None, said)))

    def without_row(self) -> list[Problem]:
        """Those that are about no row, but all of the list or the letter."""
        return [self[at] for at, row in enumerate(self.rows) if not row]

    def sentences(self) -> Iterator[tuple[int, str]]:
        """The row, 0 for none, and the message of each."""
        for kind, row, number in zip(self.kinds, self.rows, self.numbers, strict=True):
            yield row, _numbered(self.said[kind].message, number)

    def _order(self) -> Sequence[int]:
        in_order = all(map(le, self.rows, self.rows[1:]))
        return range(len(self)) if in_order else sorted(range(len(self)), key=self.rows.__getitem__)

    def _picked(self, places: Sequence[int]) -> Findings:
        found = Findings()
        found._take(self, places)
        return found

    def _take(self, other: Findings, places: Sequence[int]) -> None:
        kinds = [self._kind(said) for said in other.said]
        self.kinds.extend(kinds[other.kinds[at]] for at in places)
        self.rows.extend(map(other.rows.__getitem__, places))
        self.numbers.extend(map(other.numbers.__getitem__, places))

    def _kind(self, problem: Problem) -> int:
        said = problem if problem.row is None else replace(problem, row=None)
        kind = self._known.setdefault(said, len(self.said))
        if kind == len(self.said):
            self.said.append(said)
        return kind

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Problem]:
        return map(self._made, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | Sequence[Problem]:
        if isinstance(index, slice):
            return tuple(map(self._made, range(*index.indices(len(self)))))
        return self._made(range(len(self))[index])

    def _made(self, at: int) -> Problem:
        said, number = self.said[self.kinds[at]], self.numbers[at]
        return Problem(
            code=said.code,
            message=_numbered(said.message, number),
            file=said.file,
            row=self.rows[at] or None,
            column=said.column,
            hint=said.hint,
            severity=said.severity,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Findings | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"<{len(self)} problems of {len(self.said)} kinds>"


def _numbered(message: str, number: int) -> str:
    if not number:
        return message
    return message.replaced(NUMBER, number) if isinstance(message, Said) else message.replace(NUMBER, str(number))
