"""PDF (ISO 32000): the information dictionary, XMP, and what hides in pictures and notes; the one door to pypdf."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any, cast

from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, StreamObject

from mailer.model import said
from mailer.traces import images
from mailer.traces.errors import BROKEN, TracesStayError

# it writes to the terminal what it thinks of a file
logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)

HARMLESS = frozenset({"/Title", "/CreationDate", "/ModDate", "/Trapped"})
"""Of the information dictionary; a date with the offset of a time zone is told apart."""

TELLING = ("/Metadata", "/PieceInfo", "/LastModified")
"""Entries that any dictionary of a PDF may have (14.3.2, 14.5)."""


def fields(content: bytes) -> Iterator[str]:
    """What it tells, as `PDF Author`. Raises TracesStayError where it cannot be read."""
    reader = _reader(content)
    try:
        for name, value in cast("dict[str, Any]", reader.trailer.get("/Info") or {}).items():
            text = str(value.get_object() if hasattr(value, "get_object") else value).strip()
            if name not in HARMLESS and text:
                yield f"PDF {name[1:]}"
            elif name in {"/CreationDate", "/ModDate"} and not _is_utc(text):
                yield said("PDF {name} (time zone)", name=name[1:])
        for thing in _dictionaries(reader):
            yield from (f"PDF {name[1:]}" for name in TELLING if name in thing)
            if _is_note(thing):
                yield "PDF author of a note"
            if picture := _picture(thing):
                yield from (said("PDF picture: {field}", field=field) for field in images.fields(picture))
    except TracesStayError:
        raise
    except Exception as error:  # a broken PDF can fail in any way
        raise TracesStayError(BROKEN) from error


def cleaned(content: bytes) -> bytes:
    """Written anew from what its last version shows. Raises TracesStayError."""
    reader = _reader(content)
    try:
        writer = PdfWriter(clone_from=reader)
        for thing in _dictionaries(writer):
            _refuse_unknown(thing)
            for name in TELLING:
                thing.pop(name, None)
            if _is_note(thing):
                del thing["/T"]
            if picture := _picture(thing):
                thing._data = images.cleaned(picture)  # type: ignore[attr-defined]  # noqa: SLF001  set_data would encode
        title = reader.metadata.title if reader.metadata else None
        writer.metadata = {"/Title": str(title)} if title else None
        # what nothing leads to any more is still in the file otherwise
        writer.compress_identical_objects(remove_duplicates=False, remove_unreferenced=True)
        target = io.BytesIO()
        writer.write(target)
        return target.getvalue()
    except TracesStayError:
        raise
    except Exception as error:  # as above
        raise TracesStayError(BROKEN) from error


def _reader(content: bytes) -> PdfReader:
    try:
        reader = PdfReader(io.BytesIO(content))
    except Exception as error:  # as above
        raise TracesStayError(BROKEN) from error
    if reader.is_encrypted:
        raise TracesStayError("is protected by a password; save it without")
    return reader


def _dictionaries(pdf: PdfReader | PdfWriter) -> Iterator[DictionaryObject]:
    """Every dictionary that something in the file leads to, each once."""
    seen: dict[int, Any] = {}  # kept, since the number of one that is gone is given to another
    waiting: list[Any] = [pdf.trailer["/Root"] if isinstance(pdf, PdfReader) else pdf.root_object]
    while waiting:
        thing = waiting.pop()
        thing = thing.get_object() if hasattr(thing, "get_object") else thing
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, DictionaryObject):
            yield thing
            waiting += [value for name, value in thing.items() if name != "/Parent"]
        elif isinstance(thing, list):
            waiting += list(thing)


def _picture(thing: DictionaryObject) -> bytes | None:
    """The JPEG that a stream is, where it is nothing but that (7.4.8)."""
    if not isinstance(thing, StreamObject) or thing.get("/Filter") not in ("/DCTDecode", ["/DCTDecode"]):
        return None
    data: bytes = thing._data  # noqa: SLF001  get_data would decode
    return data if data.startswith(images.JPEG) else None


def _is_note(thing: DictionaryObject) -> bool:
    """A note's title is its author's name (12.5.6.2); a form's field is named there, too."""
    is_annotation = thing.get("/Type", "/Annot") == "/Annot" and "/Subtype" in thing
    return is_annotation and "/T" in thing and str(thing["/Subtype"]) != "/Widget"


def _is_utc(date: str) -> bool:
    return not date or date.endswith(("Z", "Z00'00'", "Z00'00", "+00'00'", "+00'00", "-00'00'")) or len(date) <= 16


def _refuse_unknown(thing: DictionaryObject) -> None:
    if "/EmbeddedFiles" in thing or thing.get("/Type") == "/EmbeddedFile":
        raise TracesStayError("has other files in it; save it anew without them")
    if thing.get("/FT") == "/Sig" and "/V" in thing:
        raise TracesStayError("is signed, which no change would survive; save it anew without the signature")
