"""What a worksheet says besides its cells' values: which rows are hidden, which cells hold an error, which are merged.

The reader of workbooks passes over it. Told of .xlsx and .ods (there hidden rows only); of other formats nothing is known.
"""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from mailer.archives import UNREADABLE

CHUNK = 1 << 20

SHEET = re.compile(rb"<(?:\w+:)?sheet\b([^<>]*)>")
RELATION = re.compile(rb"<(?:\w+:)?Relationship\b([^<>]*)>")
ATTRIBUTE = re.compile(rb"([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")

HIDDEN = re.compile(rb"<(?:\w+:)?row\b([^<>]*?\bhidden=[\"'](?:1|true)[\"'][^<>]*)>")
ERROR = re.compile(rb"<(?:\w+:)?c\b([^<>]*?\bt=[\"']e[\"'][^<>]*)>")
MERGED = re.compile(rb"<(?:\w+:)?mergeCell\b([^<>]*)>")
CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
NUMBER = re.compile(r"[0-9]{1,7}")
"""Of a row, of which there are at most 1,048,576, or of rows; what is longer was made up by somebody."""

ODS_TAG = re.compile(rb"<(/?)table:(table|table-row)(?=[\s/>])([^<>]*)>")
ODS_HIDDEN = frozenset({"collapse", "filter"})
MOST_ROWS = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """Rows count from 1, columns from 0. A merged place is told by its first and last row and its first column."""

    hidden: set[int] = field(default_factory=set)
    errors: set[tuple[int, int]] = field(default_factory=set)
    merged: set[tuple[int, int, int]] = field(default_factory=set)


def marks_of(data: bytes, sheet: str) -> Marks:
    """Of a workbook that was read already, so it is no trap. Nothing for what is damaged or not understood."""
    if not data.startswith(b"PK"):
        return Marks()
    try:
        return _found(data, sheet)
    except UNREADABLE:  # whoever read the cells may bear more than this reader does
        return Marks()


def _found(data: bytes, sheet: str) -> Marks:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = frozenset(archive.namelist())
        if "content.xml" in names:
            with archive.open("content.xml") as content:
                return Marks(hidden=set(_hidden_in_ods(content, sheet)))
        part = _part_of(archive, sheet) if "xl/workbook.xml" in names else None
        if part not in names:
            return Marks()
        with archive.open(part or "") as cells:
            return _marks(cells)


def _attributes(tag: bytes) -> dict[str, str]:
    found = ATTRIBUTE.findall(tag)
    return {name.decode(): html.unescape((one or other).decode("utf-8", "replace")) for name, one, other in found}


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """In which part of an .xlsx a sheet is kept."""
    relations = "xl/_rels/workbook.xml.rels"
    if relations not in archive.namelist():
        return None
    named = (_attributes(tag) for tag in SHEET.findall(archive.read("xl/workbook.xml")))
    identifier = next((one.get("r:id") for one in named if one.get("name") == sheet), None)
    targets = (_attributes(tag) for tag in RELATION.findall(archive.read(relations)))
    target = next((one.get("Target", "") for one in targets if one.get("Id") == identifier), None)
    if target is None:
        return None
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _whole_tags(part: IO[bytes]) -> Iterator[bytes]:
    """The part piece by piece, each ending with a whole tag, so that none comes twice. What has no tag for long is no sheet's."""
    before = b""
    while chunk := part.read(CHUNK):
        text = before + chunk
        end = text.rfind(b">") + 1
        yield text[:end]
        before = text[end:][-CHUNK:]
    yield before


def _marks(cells: IO[bytes]) -> Marks:
    marks = Marks()
    for text in _whole_tags(cells):
        if b"hidden=" in text:
            rows = (_attributes(tag).get("r", "") for tag in HIDDEN.findall(text))
            marks.hidden.update(int(row) for row in rows if NUMBER.fullmatch(row))
        if b't="e"' in text or b"t='e'" in text:
            marks.errors.update(_place(_attributes(tag).get("r", "")) for tag in ERROR.findall(text))
        if b"mergeCell" in text:
            for tag in MERGED.findall(text):
                first, _, last = _attributes(tag).get("ref", "").partition(":")
                row, column = _place(first)
                marks.merged.add((row, _place(last)[0], column))
    return marks


def _place(cell: str) -> tuple[int, int]:
    """`B3` is row 3, column 1."""
    found = CELL.fullmatch(cell)
    if found is None:
        return 0, 0
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found[2]), column - 1


def _hidden_in_ods(content: IO[bytes], sheet: str) -> Iterator[int]:
    """Rows have no numbers there, so they are counted, and a row may stand for many."""
    row, inside = 0, False
    for text in _whole_tags(content):
        for closing, kind, given in ODS_TAG.findall(text):
            if kind == b"table":
                inside = not closing and _attributes(given).get("table:name") == sheet
            elif inside and not closing:
                attributes = _attributes(given)
                repeated = attributes.get("table:number-rows-repeated", "1")
                number = int(repeated) if NUMBER.fullmatch(repeated) else 1
                if attributes.get("table:visibility") in ODS_HIDDEN and row + number <= MOST_ROWS:
                    yield from range(row + 1, row + number + 1)
                row += number
