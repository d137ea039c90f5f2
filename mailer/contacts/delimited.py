"""Reads CSV and its kin: pandas with the pyarrow engine where rows are regular, a careful reader where they are not."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailer.contacts.encoding import CHUNK, decode, utf8_of
from mailer.contacts.header import DEPTH, find_header
from mailer.contacts.table import Packer, Table, Wanted, arrow, text_series
from mailer.errors import ListError
from mailer.model import Problem, said

SEPARATORS = ",;\t|"
SAMPLE = 60
"""Records by which the separator is judged."""

HEAD = 1 << 20
"""Characters in which those and the header are looked for, however long the file is."""

SEP_LINE = re.compile(r'"?sep=(.)"?[ ,;\t]*(\r\n|\r|\n|$)', re.IGNORECASE)
SEP_LINE_LENGTH = 100
"""Characters at most that such a line is looked for in."""

CELL_ADDRESS = re.compile(r"[^\s@,;|]+@[^\s@,;|]+\.[^\s@,;|]+")
END = "\x1eend of the list\x1e"
"""Fed to the parser after the last line: if it comes back inside a cell, a quotation mark was left open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    separator: str
    header: tuple[str, ...]
    number: int
    """The header's row, as a spreadsheet shows it."""
    body: int
    """Where the first record after the header begins, in characters."""


def read_delimited(path: Path, data: bytes, wanted: Wanted) -> Table:
    """Raises ListError if there is no header, or a cell never ends."""
    octets = utf8_of(data)
    # most files are UTF-8: the parser takes their bytes, and only the head is made text
    text, warnings = (_head(octets), ()) if octets else decode(data, str(path))
    text = text.removeprefix("\ufeff")
    start, separator = _sep_line(text)
    try:
        separator = separator or sniff_separator(text[start : start + HEAD], path.suffix.lower())
        layout = _layout(path, text, start, separator, wanted)
        before = len(text[: layout.body].encode()) if octets else 0
        frame = _read_regular(octets[before:] if octets else text[layout.body :].encode("utf-8", "replace"), layout)
        if frame is not None:
            return _checked(frame, layout, warnings)
        return _read_careful(path, str(octets, "utf-8") if octets else text, layout, warnings)
    except csv.Error as error:
        raise ListError(
            said("{path} has a cell that is longer than any cell should be.", path=path),
            hint="Probably a quotation mark opens a cell and none closes it.",
        ) from error


def _head(octets: memoryview) -> str:
    """As much of a file as its separator and header are looked for in, and the line `sep=` before it."""
    return codecs.getincrementaldecoder("utf-8")().decode(octets[: 4 * (HEAD + SEP_LINE_LENGTH)])


def sniff_separator(text: str, suffix: str) -> str:
    """The separator that gives regular rows with whole addresses in their cells."""
    usual = "\t" if suffix in {".tsv", ".tab"} else ","
    best, best_score = usual, (0.0, 0)
    for separator in (usual, *(s for s in SEPARATORS if s != usual)):
        records = [r for r, _ in _some_records(text, separator, SAMPLE) if any(map(str.strip, r))]
        wide = Counter(len(record) for record in records if len(record) > 1)
        if not wide:
            continue
        columns, regular = max(wide.items(), key=lambda item: (item[1], item[0]))
        found = sum(1 for record in records if any(CELL_ADDRESS.fullmatch(cell.strip(" \"'<>")) for cell in record))
        score = (round((regular + found) / len(records), 3), columns)
        if score > best_score:
            best, best_score = separator, score
    return best


def _sep_line(text: str) -> tuple[int, str | None]:
    """Excel's own first line `sep=;` is an instruction, not a row: spreadsheets do not show it."""
    match = SEP_LINE.match(text)
    if not match or not (match[1] in SEPARATORS or match[1] in ":^~"):
        return 0, None
    return match.end(), match[1]


def _some_records(text: str, separator: str, limit: int) -> Iterator[tuple[list[str], int]]:
    """The first records, each with the number of characters up to its end."""
    consumed = 0

    def lines() -> Iterator[str]:
        nonlocal consumed
        for line in io.StringIO(text, newline=""):
            consumed += len(line)
            yield line

    for count, record in enumerate(csv.reader(lines(), delimiter=separator), start=1):
        yield record, consumed
        if count >= limit:
            return


def _layout(path: Path, text: str, start: int, separator: str, wanted: Wanted) -> _Layout:
    some = list(_some_records(text[start : start + HEAD], separator, DEPTH + 30))
    position = find_header([record for record, _ in some], wanted, path)
    if position is None:
        raise ListError(
            said("{path} is empty.", path=path), hint="Put a row of column names and one row for each person into it."
        )
    header, end = some[position]
    while len(header) > 1 and not header[-1].strip() and _width_after(some, position) < len(header):
        header = header[:-1]
    return _Layout(separator=separator, header=tuple(header), number=position + 1, body=start + end)


def _width_after(some: Sequence[tuple[list[str], int]], position: int) -> int:
    return max((len(record) for record, _ in some[position + 1 :]), default=0)


def _read_regular(body: bytes | memoryview, layout: _Layout) -> pd.DataFrame | None:
    """All rows at once, or None where a row is not like the others or a cell spans lines.

    The engine cuts the file at line ends and does not report an open quotation mark, so quoted line ends are not for it.
    """
    if _only_blanks(body) or not _quotes_close_on_their_line(body):
        return None
    width = len(layout.header)
    irregular: list[Any] = []

    def skip(row: Any) -> Any:
        irregular.append(row)
        return "skip"

    try:
        frame = pd.read_csv(
            pa.BufferReader(body),
            engine="pyarrow",
            sep=layout.separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            on_bad_lines=skip,
        )
    except (ValueError, pd.errors.ParserError):
        return None
    return None if irregular or frame.shape[1] != width else frame


def _only_blanks(body: bytes | memoryview) -> bool:
    return not any(bytes(body[start : start + CHUNK]).strip() for start in range(0, len(body), CHUNK))


def _quotes_close_on_their_line(body: bytes | memoryview) -> bool:
    inside = False
    for start in range(0, len(body), CHUNK):
        octets = np.frombuffer(body[start : start + CHUNK], dtype=np.uint8)
        marks = octets == ord('"')
        if not inside and not marks.any():
            continue
        parity = (np.cumsum(marks, dtype=np.uint8) & 1).astype(
            bool
        ) ^ inside  # wraps at 256, which keeps it odd or even
        if parity[(octets == ord("\n")) | (octets == ord("\r"))].any():
            return False
        inside = bool(parity[-1])
    return not inside


def _checked(frame: pd.DataFrame, layout: _Layout, warnings: tuple[Problem, ...]) -> Table:
    first = layout.number + 1
    frame.columns = pd.RangeIndex(frame.shape[1])
    frame.index = pd.RangeIndex(first, first + len(frame))
    blank = np.ones(len(frame), dtype=bool)
    for column in frame.columns:
        blank[blank] = (frame[column][blank].str.strip() == "").to_numpy(dtype=bool)
        if not blank.any():
            break
    kept = _without(frame, blank) if blank.any() else frame
    return Table(
        header=layout.header, frame=kept, blank=int(blank.sum()), separator=layout.separator, warnings=warnings
    )


def _without(frame: pd.DataFrame, blank: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The other rows. Column by column, each given free at once, lest a long list be there twice for a blank line."""
    index, mask = frame.index[~blank], pa.array(~blank)
    columns = {name: text_series(arrow(frame.pop(name)).filter(mask)) for name in list(frame.columns)}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(index))).set_axis(index, axis=0)


def _read_careful(path: Path, text: str, layout: _Layout, warnings: tuple[Problem, ...]) -> Table:
    packer = Packer(len(layout.header))
    number, pending = layout.number, None
    for record in csv.reader(_lines_and_end(text, layout.body), delimiter=layout.separator):
        if pending is not None:
            number += 1
            packer.add(number, pending)
        pending = record
    if pending != [END]:
        raise ListError(
            said(
                '{path}: in row {number} or before, a quotation mark (") opens a cell and none closes '
                "it, so the rows after it cannot be told apart.",
                path=path,
                number=number + 1,
            ),
            hint="Close it, or write the mark twice where it belongs to the text.",
        )
    return Table(
        header=layout.header,
        frame=packer.frame(),
        blank=packer.blank,
        ragged=packer.ragged,
        separator=layout.separator,
        warnings=warnings,
    )


def _lines_and_end(text: str, start: int) -> Iterator[str]:
    lines = io.StringIO(text, newline="")
    lines.seek(start)
    last = "\n"
    for line in lines:
        last = line
        yield line
    if last[-1] not in "\r\n":
        yield "\n"  # belongs to the last line; ends its record as a line end would
    yield END
