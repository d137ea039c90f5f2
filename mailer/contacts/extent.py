"""Refuses worksheets with a stray cell far out: the spreadsheet reader would ask for memory for all cells before it.

That is half a terabyte for the last cell of a sheet, and the process would be ended without a word.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import IO

from mailer.errors import ListError

MOST_CELLS = 40_000_000
"""A full sheet of 1,048,576 rows with 38 columns."""

LAST_ROW = 1_048_576
CHUNK = 1 << 20
OVERLAP = 32
FAR_CELL = re.compile(rb'\br="([A-Z]{2,3})[0-9]')
CELL = re.compile(rb'\br="[A-Z]{1,3}([0-9]{1,9})"')


def refuse_stray_cells(path: Path, data: bytes) -> bool:
    """Whether this is an xlsx and was judged. Columns up to Z can do no harm."""
    if not data.startswith(b"PK"):
        return False
    judged = False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
                continue
            with archive.open(name) as sheet:
                width, height = _extent(sheet)
            judged = True
            if width * height > MOST_CELLS:
                raise ListError(
                    f"{path} has something in a cell far away from the list, in column {width} or row {height}.",
                    hint="Delete the rows below and the columns right of the list, or copy the list to a new sheet.",
                )
    return judged


def _extent(sheet: IO[bytes]) -> tuple[int, int]:
    width, height, before = 26, 0, b""
    while chunk := sheet.read(CHUNK):
        text = before + chunk
        width = max([width, *map(_column_number, set(FAR_CELL.findall(text)))])
        if width > MOST_CELLS // LAST_ROW:
            height = max([height, *map(int, CELL.findall(text))])
        elif rows := CELL.findall(text[-4096:]):
            height = max(height, int(rows[-1]))
        before = text[-OVERLAP:]
    return width, height


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
