"""Finds the row of column names, which titles and blank rows may precede."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailer.contacts.naming import columns_of, find
from mailer.contacts.table import Wanted
from mailer.errors import ListError

DEPTH = 20
"""Rows searched for the header."""

ADDRESS = re.compile(r"[^\s@,;|<>\"]+@[^\s@,;|<>\"]+")


def holds_address(text: str) -> bool:
    return ADDRESS.search(text) is not None


def find_header(records: Sequence[Sequence[str]], wanted: Wanted) -> int | None:
    """Position of the header among the first records; None if all are blank.

    It stands above the first address. A row that holds a name asked for wins, then one with a usual name, then the
    first that is not a lone title.
    """
    above: list[int] = []
    for position, record in enumerate(records[: DEPTH + 1]):
        if any(map(holds_address, record)):
            break
        if any(map(str.strip, record)):
            above.append(position)
    if not above:
        _refuse_addresses(records)
        return None
    for asked in wanted.names:
        for position in above:
            if find(columns_of(records[position]), asked) is not None:
                return position
    return _best(records, above, wanted)


def _best(records: Sequence[Sequence[str]], above: Sequence[int], wanted: Wanted) -> int:
    filled = {position: sum(1 for cell in records[position] if cell.strip()) for position in above}
    usual = [position for position in above if any(map(wanted.is_header, records[position]))]
    if usual:
        return max(usual, key=lambda position: (filled[position], -position))
    return next((position for position in above if filled[position] > 1), above[0])


def _refuse_addresses(records: Sequence[Sequence[str]]) -> None:
    if any(any(map(str.strip, record)) for record in records):
        raise ListError(
            "The first row holds an address where the column names should be.",
            hint="Insert a row above it with a name for each column, for example: name, email, city.",
        )
