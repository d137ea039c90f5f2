"""Tells what a file really is by its first bytes; names lie (an Excel "xls" export is often HTML or CSV)."""

from __future__ import annotations

import io
import re
import zipfile
from enum import StrEnum
from pathlib import Path

from mailer.errors import ListError
from mailer.model import said


class Kind(StrEnum):
    TEXT = "text"
    WORKBOOK = "workbook"
    JSON = "json"
    PARQUET = "parquet"


SUFFIXES = {
    ".csv": Kind.TEXT,
    ".tsv": Kind.TEXT,
    ".tab": Kind.TEXT,
    ".txt": Kind.TEXT,
    ".xlsx": Kind.WORKBOOK,
    ".xlsm": Kind.WORKBOOK,
    ".xlsb": Kind.WORKBOOK,
    ".xls": Kind.WORKBOOK,
    ".ods": Kind.WORKBOOK,
    ".json": Kind.JSON,
    ".jsonl": Kind.JSON,
    ".ndjson": Kind.JSON,
    ".parquet": Kind.PARQUET,
}
FORMATS = said("csv, tsv, txt, xlsx, xlsm, xls, ods, json and parquet")
SAVE_AS = "Open it in a spreadsheet program and save it as CSV UTF-8 or as .xlsx."
OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MARKUP = re.compile(rb"^(\xef\xbb\xbf)?\s*(<!doctype|<html|<table|<head|<meta|<\?xml|<style|<!--)", re.IGNORECASE)
OTHER_FILES = {
    b"%PDF": said("a PDF document"),
    b"{\\rtf": said("a rich text document"),
    b"\x89PNG": said("a picture"),
    b"\xff\xd8\xff": said("a picture"),
    b"GIF8": said("a picture"),
    b"\x1f\x8b": said("a compressed file"),
    b"7z\xbc\xaf": said("a compressed file"),
    b"Rar!": said("a compressed file"),
    b"SQLite format 3": said("a database"),
}


def sniff(path: Path, data: bytes) -> Kind:
    """Raises ListError for what holds no list that we can read, with the way out."""
    if not data.strip(b"\x00\t\r\n \xef\xbb\xbf\xff\xfe"):
        raise ListError(
            said("{path} is empty.", path=path), hint="Put a row of column names and one row for each person into it."
        )
    if data[:4] == b"PAR1":
        return Kind.PARQUET
    if data[:8] == OLE2:
        return _ole2(path, data)
    if data[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return _archive(path, data)
    _refuse_other_files(path, data)
    named = SUFFIXES.get(path.suffix.lower())
    if named is None:
        raise ListError(
            said("{path} has a name ending that is not known to be a list.", path=path),
            hint=said("Lists are {formats} files.", formats=FORMATS),
        )
    if named is Kind.PARQUET:
        raise ListError(said("{path} is not a Parquet file, or it is damaged.", path=path), hint="Export it again.")
    if named is Kind.WORKBOOK and _looks_binary(data):
        raise ListError(said("{path} is damaged or not a spreadsheet.", path=path), hint=SAVE_AS)
    return Kind.TEXT if named is Kind.WORKBOOK else named


def _refuse_other_files(path: Path, data: bytes) -> None:
    if MARKUP.match(data[:200]):
        raise ListError(
            said("{path} is a web page or XML file, not a spreadsheet, whatever its name says.", path=path),
            hint=SAVE_AS,
        )
    for magic, what in OTHER_FILES.items():
        if data.startswith(magic):
            raise ListError(
                said("{path} is {what}, not a list of contacts.", path=path, what=what),
                hint=said("Lists are {formats} files.", formats=FORMATS),
            )


def _ole2(path: Path, data: bytes) -> Kind:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise ListError(
            said("{path} is protected by a password.", path=path),
            hint="Open it in the spreadsheet program, save a copy without a password, and use the copy.",
        )
    if "WordDocument".encode("utf-16-le") in data:
        raise ListError(said("{path} is a Word document, not a spreadsheet.", path=path), hint=SAVE_AS)
    return Kind.WORKBOOK


def _archive(path: Path, data: bytes) -> Kind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except Exception as error:  # zipfile raises half a dozen kinds for broken files
        raise ListError(
            said("{path} is damaged: it ends too early or was changed.", path=path), hint="Export it again."
        ) from error
    if any(name.lower().endswith(".iwa") or name.startswith("Index/") for name in names):
        raise ListError(
            said("{path} is an Apple Numbers file.", path=path),
            hint="In Numbers choose File, Export To, CSV or Excel, and use that.",
        )
    if any(name.startswith("xl/") for name in names) or "content.xml" in names:
        return Kind.WORKBOOK
    what = (
        said("a Word document")
        if any(name.startswith("word/") for name in names)
        else said("an archive of other files")
    )
    raise ListError(said("{path} is {what}, not a spreadsheet.", path=path, what=what), hint=SAVE_AS)


def _looks_binary(data: bytes) -> bool:
    head = data[:4096]
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return False
    return sum(byte < 9 or 13 < byte < 32 for byte in head) > len(head) // 20
