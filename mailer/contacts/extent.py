"""Refuses worksheets with a stray cell far out, and what unfolds without end: the reader would ask for memory for all of it.

That is half a terabyte for the last cell of a sheet, and the process would be ended without a word.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from mailer.errors import ListError
from mailer.model import said

MOST_CELLS = 40_000_000
"""A full sheet of 1,048,576 rows with 38 columns."""

MOST_SWOLLEN, LARGE = 200, 64_000_000
"""How many times its size a part of a workbook may unpack to, once it has so many octets. A list comes to 10 or 20 times, a trap to 1,000."""

MOST_OCTETS = 4_000_000_000
"""Octets of a part, whatever it unpacks from."""

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
        for part in archive.infolist():
            if re.fullmatch(r"xl/(sharedStrings|styles)\.xml", part.filename, re.IGNORECASE):
                with archive.open(part) as texts:
                    for _chunk in _unpacked(texts, part, path):
                        pass
            if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", part.filename):
                continue
            with archive.open(part) as sheet:
                width, height = _extent(_unpacked(sheet, part, path))
            judged = True
            if width * height > MOST_CELLS:
                raise ListError(
                    said(
                        "{path} has something in a cell far away from the list, in column {width} or row {height}.",
                        path=path,
                        width=width,
                        height=height,
                    ),
                    hint="Delete the rows below and the columns right of the list, or copy the list to a new sheet.",
                )
    return judged


def _unpacked(file: IO[bytes], part: zipfile.ZipInfo, path: Path) -> Iterator[bytes]:
    """What a part unpacks to, piece by piece: a trap is noticed while it unfolds, whatever the file says of its size."""
    octets = 0
    while chunk := file.read(CHUNK):
        octets += len(chunk)
        if octets > MOST_OCTETS or (octets > LARGE and octets > part.compress_size * MOST_SWOLLEN):
            raise ListError(
                said("{path} unpacks to far more than any list holds, so it was not read.", path=path),
                hint="Copy the list itself to a new sheet, and save that.",
            )
        yield chunk


def _extent(sheet: Iterable[bytes]) -> tuple[int, int]:
    width, height, before = 26, 0, b""
    for chunk in sheet:
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
