"""Many problems in little memory: a sentence is kept once, and of each row that it is about only the number."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import le
from typing import overload

from mailer.model.contacts import Problem

NUMBER = "\0"
"""Stands in a problem's message for a number that differs from row to row. A message holds no control character."""


class Findings(Sequence[Problem]):
    """Problems in order, made when they are asked for: a list of a million rows may have one in each."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._said: list[Problem] = []
        self._known: dict[Problem, int] = {}
        self._kinds = array("i")
        self._rows = array("q")
        self._numbers = array("q")
        self.extend(problems)

    def append(self, problem: Problem) -> None:
        self._kinds.append(self._kind(problem))
        self._rows.append(problem.row or 0)
        self._numbers.append(0)

    def extend(self, problems: Iterable[Problem]) -> None:
        if isinstance(problems, Findings):
            kinds = [self._kind(said) for said in problems._said]
            self._kinds.extend(map(kinds.__getitem__, problems._kinds))
            self._rows.extend(problems._rows)
            self._numbers.extend(problems._numbers)
            return
        for problem in problems:
            self.append(problem)

    def spread(self, problem: Problem, rows: array[int], numbers: array[int] | None = None) -> None:
        """Note the same problem in many rows; in its message each row's own number takes the place of NUMBER."""
        self._kinds.extend(array("i", [self._kind(problem)]) * len(rows))
        self._rows.extend(rows)
        self._numbers.extend(numbers or array("q", [0]) * len(rows))

    def by_row(self) -> Findings:
        """The same, the upper rows first and each problem once; those without a row come before all others."""
        rows = self._rows
        order: Iterable[int] = range(len(rows))
        if not all(map(le, rows, rows[1:])):
            order = sorted(order, key=rows.__getitem__)
        found = self._like()
        row, seen = -1, set[tuple[int, int]]()
        for at in order:
            if rows[at] != row:
                row = rows[at]
                seen.clear()
            what = (self._kinds[at], self._numbers[at])
            if what not in seen:
                seen.add(what)
                found._kinds.append(what[0])
                found._rows.append(row)
                found._numbers.append(what[1])
        return found

    def by_place(self) -> Findings:
        """The same by file and row."""
        files = [said.file or "" for said in self._said]
        found = self._like()
        if len(set(files)) > 1:
            order = sorted(range(len(self)), key=lambda at: (files[self._kinds[at]], self._rows[at]))
        elif all(map(le, self._rows, self._rows[1:])):
            return self
        else:
            order = sorted(range(len(self)), key=self._rows.__getitem__)
        found._kinds.extend(map(self._kinds.__getitem__, order))
        found._rows.extend(map(self._rows.__getitem__, order))
        found._numbers.extend(map(self._numbers.__getitem__, order))
        return found

    def hints(self) -> list[str]:
        """Each hint once, in order."""
        said = (self._said[kind].hint for kind in dict.fromkeys(self._kinds))
        return list(dict.fromkeys(filter(None, said)))

    def without_row(self) -> list[Problem]:
        """Those that are about no row, but all of the list or the letter."""
        return [self._made(at) for at, row in enumerate(self._rows) if not row]

    def sentences(self) -> Iterator[tuple[int, str]]:
        """The row, 0 for none, and the message of each."""
        for kind, row, number in zip(self._kinds, self._rows, self._numbers, strict=True):
            yield row, _numbered(self._said[kind].message, number)

    @property
    def rows(self) -> Sequence[int]:
        """The row of each, 0 where there is none."""
        return self._rows

    def _like(self) -> Findings:
        """An empty one that knows the same sentences."""
        empty = Findings()
        empty._said, empty._known = self._said, self._known
        return empty

    def _kind(self, problem: Problem) -> int:
        said = problem if problem.row is None else replace(problem, row=None)
        kind = self._known.setdefault(said, len(self._said))
        if kind == len(self._said):
            self._said.append(said)
        return kind

    def _made(self, at: int) -> Problem:
        said, number = self._said[self._kinds[at]], self._numbers[at]
        return Problem(
            code=said.code,
            message=_numbered(said.message, number),
            file=said.file,
            row=self._rows[at] or None,
            column=said.column,
            hint=said.hint,
            severity=said.severity,
        )

    def __len__(self) -> int:
        return len(self._rows)

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Findings | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"<{len(self)} problems of {len(self._said)} kinds>"


def _numbered(message: str, number: int) -> str:
    return message.replace(NUMBER, str(number)) if number else message
