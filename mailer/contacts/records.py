"""Reads JSON (a list of records, or one record a line) and Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from mailer.contacts.cells import cell_text
from mailer.contacts.encoding import decode
from mailer.contacts.table import BLOCK, Packer, Table, clean_text
from mailer.errors import ListError
from mailer.model import said

FIRST = 2
"""The first record stands where a spreadsheet would show it: in row 2, below the column names."""


def read_json(path: Path, data: bytes) -> Table:
    """Raises ListError for anything but records."""
    text, warnings = decode(data, str(path))
    records = _records(path, text.removeprefix("\ufeff").strip())
    header: dict[str, None] = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ListError(
                said("{path}: record {number} is not a record with named fields.", path=path, number=number),
                hint='Each must look like {"name": "...", "email": "..."}.',
            )
        header.update(dict.fromkeys(record))
    packer = Packer(len(header))
    for number, record in enumerate(records, start=FIRST):
        packer.add(number, [cell_text(record.get(name)) for name in header])
    return Table(header=tuple(map(clean_text, header)), frame=packer.frame(), blank=packer.blank, warnings=warnings)


def _records(path: Path, text: str) -> list[Any]:
    try:
        return _listed(path, _parse(text))
    except (ValueError, RecursionError) as whole:
        # not splitlines(): a text may hold U+2028 and the like as they are (RFC 8259, 7), pasted from elsewhere
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        if len(lines) < 2 or not lines[0][1].lstrip().startswith("{") or not lines[0][1].rstrip().endswith("}"):
            _broken(path, whole)
    records = []
    for number, line in lines:
        try:
            records.append(_parse(line))
        except (ValueError, RecursionError) as error:
            raise ListError(
                said("{path}: line {number} is not a JSON record.", path=path, number=number),
                hint="Export the list again.",
            ) from error
    return records


def _parse(text: str) -> Any:
    """Numbers stay as they are written: 1.50 and 007000000000000000001 are text to us."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _listed(path: Path, value: Any) -> list[Any]:
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
        return lists[0] if len(lists) == 1 else [value]
    if isinstance(value, list):
        return value
    raise ListError(
        said("{path} holds no records.", path=path), hint='It must look like [{"name": "...", "email": "..."}].'
    )


def _broken(path: Path, error: Exception) -> NoReturn:
    sentence = said("{path} is not valid JSON.", path=path)
    if isinstance(error, json.JSONDecodeError):
        sentence = said("{path} is not valid JSON at line {line}.", path=path, line=error.lineno)
    raise ListError(sentence, hint="Export the list again.") from error


def read_parquet(path: Path, data: bytes) -> Table:
    """Raises ListError for a broken or encrypted file."""
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
            packer = Packer(len(names))
            number = FIRST
            for batch in file.iter_batches(batch_size=BLOCK, columns=names):
                for row in _rows(batch):
                    packer.add(number, row)
                    number += 1
    except (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError, OverflowError) as error:
        raise ListError(
            said("{path} is not a Parquet file that can be read, or it is damaged.", path=path), hint="Export it again."
        ) from error
    return Table(header=tuple(names), frame=packer.frame(), blank=packer.blank)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[str, ...]]:
    columns = [[cell_text(value) for value in column.to_pylist()] for column in batch.columns]
    return zip(*columns, strict=True)
