"""Finds the row of column names, which titles and blank rows may precede."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mailer.contacts.naming import columns_of, find
from mailer.contacts.table import Wanted
from mailer.errors import ListError
from mailer.model import said

DEPTH = 20
"""Rows searched for the header."""

ADDRESS = re.compile(r"[^\s@,;|<>\"]+@[^\s@,;|<>\"]+")

# One character on each side is enough to know, and keeps the time linear in cells of any length.
AROUND_AT = re.compile(r"[^\s@,;|<>\"]@[^\s@,;|<>\"]")


def holds_address(text: str) -> bool:
    return AROUND_AT.search(text) is not None


def find_header(records: Sequence[Sequence[str]], wanted: Wanted, path: Path) -> int | None:
    """Position of the header among the first records; None if all are blank.

    It stands above the first person. A row that holds a name asked for wins, then one with a usual name, then the
    first that is not a lone title. Raises ListError if people start at once.
    """
    above, below_contact_line = _above_the_people(records)
    candidates = [*above, *below_contact_line]
    for asked in wanted.names:
        for position in candidates:
            if find(columns_of(records[position]), asked) is not None:
                return position
    usual = [position for position in candidates if any(map(wanted.is_header, records[position]))]
    if usual:
        return max(usual, key=lambda position: (_filled(records[position]), -position))
    if not above:
        _refuse_addresses(records, path)
        return None
    return next((position for position in above if _filled(records[position]) > 1), above[0])


def _above_the_people(records: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Filled rows before the first that holds an address among other cells.

    Those in the second list come after a line such as "Questions to office@...": only a usual name makes one a header.
    """
    above: list[int] = []
    later: list[int] = []
    collected = above
    for position, record in enumerate(records[: DEPTH + 1]):
        if any(map(holds_address, record)):
            if _filled(record) > 1:
                break
            collected = later
        elif _filled(record):
            collected.append(position)
    return above, later


def _filled(record: Sequence[str]) -> int:
    return sum(1 for cell in record if cell.strip())


def _refuse_addresses(records: Sequence[Sequence[str]], path: Path) -> None:
    if any(any(map(str.strip, record)) for record in records):
        raise ListError(
            said("The first row of {path} holds an address where the column names should be.", path=path),
            hint="Insert a row above it with a name for each column, for example: name, email, city.",
        )
