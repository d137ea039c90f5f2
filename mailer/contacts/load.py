"""Opens a file, tells its format and reads it into a Table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from mailer.age import Unlock, plain_name
from mailer.contacts.delimited import read_delimited
from mailer.contacts.opening import content
from mailer.contacts.records import read_json, read_parquet
from mailer.contacts.sniff import SUFFIXES, Kind, sniff
from mailer.contacts.table import Table, Wanted, clean_text
from mailer.contacts.workbook import read_workbook, sheet_names
from mailer.errors import ListError, LockedError
from mailer.model import Problem, Severity, said


def load(path: Path, wanted: Wanted, unlock: Unlock) -> Table:
    """Raises ListError for whatever cannot be read, LockedError for what is encrypted and not opened by `unlock`."""
    data = content(path, unlock)
    path = plain_name(path)
    kind = sniff(path, data)
    if wanted.sheet is not None and kind is not Kind.WORKBOOK:
        raise ListError(said("{path} has no sheets; it is not a spreadsheet.", path=path), hint="Leave out --sheet.")
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


def sheets(path: Path, unlock: Unlock) -> list[str]:
    """The sheets that a person sees in a workbook; none in what is no workbook, or cannot be read: reading it says why."""
    try:
        data = content(path, unlock)
        path = plain_name(path)
        return sheet_names(path, data) if sniff(path, data) is Kind.WORKBOOK else []
    except (ListError, LockedError):
        return []


def _misnamed(path: Path, kind: Kind) -> Problem:
    what = {
        Kind.TEXT: said("text (CSV)"),
        Kind.WORKBOOK: said("a spreadsheet"),
        Kind.PARQUET: said("a Parquet file"),
        Kind.JSON: "JSON",
    }[kind]
    return Problem(
        code="misnamed-file",
        message=said(
            "The file is really {what}, whatever the ending of its name says; it was read as such.", what=what
        ),
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
