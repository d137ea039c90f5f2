"""Opens a file, tells its format and reads it into a Table."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mailer.contacts.delimited import read_delimited
from mailer.contacts.records import read_json, read_parquet
from mailer.contacts.sniff import FORMATS, SUFFIXES, Kind, sniff
from mailer.contacts.table import Table, Wanted, clean_text
from mailer.contacts.workbook import read_workbook
from mailer.errors import ListError, quoted
from mailer.model import Problem, Severity


def load(path: Path, wanted: Wanted) -> Table:
    """Raises ListError for whatever cannot be read."""
    data = _bytes(path)
    kind = sniff(path, data)
    if wanted.sheet is not None and kind is not Kind.WORKBOOK:
        raise ListError(f"{path} has no sheets; it is not a spreadsheet.", hint="Leave out --sheet.")
    if kind is Kind.WORKBOOK:
        table = read_workbook(path, data, wanted)
    elif kind is Kind.TEXT:
        table = read_delimited(path, data, wanted)
    else:
        table = read_json(path, data) if kind is Kind.JSON else read_parquet(path, data)
    if kind is not SUFFIXES.get(path.suffix.lower()):
        table = replace(table, warnings=(*table.warnings, _misnamed(path, kind)))
    header = tuple(clean_text(header).strip() for header in table.header)
    return _without_empty_columns(replace(table, header=header))


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal. Raises ListError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> ListError:
    if path.is_dir() and path.suffix.lower() == ".numbers":
        return ListError(f"{path} is an Apple Numbers file.", hint="In Numbers choose File, Export To, CSV or Excel.")
    if path.is_dir():
        return ListError(f"{path} is a folder, not a list.", hint=f"Name a file in it. Lists are {FORMATS} files.")
    if "\\" in str(path) and (meant := Path(str(path).replace("\\", "/"))).exists():
        return ListError(f"{path} does not exist.", hint=f"Write / instead of \\: {quoted(meant)}")
    if isinstance(error, FileNotFoundError):
        return ListError(f"{path} does not exist.", hint="Check the name and the folder you are in.")
    why = getattr(error, "strerror", None) or "its name is not a file name"
    return ListError(f"{path} cannot be read: {why}.", hint="Close it in other programs and check who may read it.")


def _misnamed(path: Path, kind: Kind) -> Problem:
    what = {
        Kind.TEXT: "text (CSV)",
        Kind.WORKBOOK: "a spreadsheet",
        Kind.PARQUET: "a Parquet file",
        Kind.JSON: "JSON",
    }[kind]
    return Problem(
        code="misnamed-file",
        message=f"The file is really {what}, whatever the ending of its name says; it was read as such.",
        file=str(path),
        severity=Severity.WARNING,
    )


def _without_empty_columns(table: Table) -> Table:
    """Spreadsheets leave columns behind that have neither header nor content."""
    kept = [
        position
        for position, header in enumerate(table.header)
        if header.strip() or (table.frame[position].str.strip() != "").any()
    ]
    if len(kept) == len(table.header) or table.ragged:
        return table
    frame = table.frame[kept]
    frame.columns = pd.RangeIndex(len(kept))
    return replace(table, header=tuple(table.header[position] for position in kept), frame=frame)
