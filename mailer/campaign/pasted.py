"""Addresses as somebody pastes them: several at once, from a spreadsheet, a mail program or a note."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailer.campaign.suppressing import entry_of
from mailer.model import said

PIECE = re.compile(r'(?:"[^"]*"|<[^<>]*>|[^,;])+')
"""What stands between commas and semicolons; those in quotation marks or angle brackets belong to a name or an address."""

BRACKETED = re.compile(r"[^<>]*<[^<>]*>|[^<>]+$")
NAMED = re.compile(r"\s*[^<>\s][^<>]*<[^<>]*@[^<>]*>\s*")
"""A name with an address in angle brackets."""

NAME_PARTS = 2
"""Pieces with a comma after them that may belong to a name: `Berg, Ana <ana@example.org>`, `Berg, Ana, Dr. <...>`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """What stood at one place and names nobody; the sentence tells the place, and never the text."""

    number: int
    text: str
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pasted:
    """Whom a text names, each once, by the keys that lists have for them, and what of it named nobody."""

    keys: tuple[str, ...]
    unread: tuple[Unread, ...]


def read_pasted(texts: Iterable[str]) -> Pasted:
    """Read addresses and @domains, with or without names, one or several to a text. Never raises, whatever they hold."""
    keys: dict[str, None] = {}
    unread = []
    pieces = (found for text in texts for line in text.splitlines() for found in _line(line))
    for number, (piece, alone) in enumerate(pieces, start=1):
        # a word without @ is a domain only by itself: between others it may be part of a name
        key = entry_of(piece) if alone or "@" in piece else None
        if key is None:
            unread.append(Unread(number=number, text=piece, sentence=_sentence(number, piece)))
        else:
            keys[key] = None
    return Pasted(keys=tuple(keys), unread=tuple(unread))


def _line(line: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a line, each with whether it stands there alone."""
    # of a row of a spreadsheet those cells are read that hold an address: the others are other columns
    cells = [cell for cell in line.split("\t") if "@" in cell] or [line]
    pieces = [piece for cell in cells for piece in _pieces(cell)]
    return ((piece, len(pieces) == 1) for piece in pieces)


def _pieces(cell: str) -> Iterator[str]:
    """The pieces of a cell, names put together again where they were written with a comma."""
    held: list[str] = []
    for found in PIECE.finditer(cell):
        piece = found[0].strip()
        if not piece:
            continue
        if held and NAMED.fullmatch(piece):
            yield from held[:-NAME_PARTS]
            piece, held = ", ".join([*held[-NAME_PARTS:], piece]), []
        if "@" not in piece and cell[found.end() : found.end() + 1] == ",":
            held.append(piece)
            continue
        yield from held
        held = []
        yield from _apart(piece)
    yield from held


def _apart(piece: str) -> Iterator[str]:
    """Addresses with nothing but a blank between them."""
    several = BRACKETED.findall(piece)
    if "".join(several) != piece:  # a bracket that is never closed
        several = [piece]
    for one in filter(None, map(str.strip, several)):
        words = one.split()
        yield from words if "<" not in one and all("@" in word for word in words) else [one]


def _sentence(number: int, piece: str) -> str:
    from mailer.contacts.address import MISSING, NO_AT, Fault, check  # noqa: PLC0415 - slow to import, and seldom needed

    fault = check(piece)
    if fault in {MISSING, NO_AT} or ("@" not in piece and not piece.isascii()):
        return said("Entry {number} is neither an address nor a domain.", number=number)
    if not isinstance(fault, Fault) or fault.code == "two-addresses":
        return said("Entry {number} cannot be read: put a comma between any two addresses.", number=number)
    return said("Entry {number} cannot be read: the address {reason}.", number=number, reason=fault.reason)
