"""Headers become usable field names: `E-mail Address` is `email_address`, `Straße` is `strasse`."""

from __future__ import annotations

import difflib
import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailer.model import joined, said


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


JINJA_WORDS = _words(
    "and as autoescape block break call caller context continue cycler debug dict do elif else endblock endcall "
    "endfilter endfor endif endmacro endraw endset extends false filter for from if ignore import in include is "
    "joiner kwargs lipsum loop macro missing namespace none not or pluralize range raw recursive scoped self set "
    "super trans true varargs with without"
)
LETTER_WORDS = _words("case contact fields identity mailto row sender")
MAPPING_WORDS = _words("clear copy fromkeys get items keys pop popitem setdefault update values")
"""In a letter `embassy.items` would be the mapping's own method, not the cell."""

RESERVED = JINJA_WORDS | LETTER_WORDS | MAPPING_WORDS | {word.lower() for word in keyword.kwlist}
LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
LATIN_MARKS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
EMAIL_SPELLINGS = re.compile(r"(?<![a-z])e[ \-_.‐‑–]mail")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column by the name that letters use and by the header as it stands in the file."""

    name: str
    original: str


def plain(header: str) -> str:
    """Lower case, without accents on Latin letters, words joined by `_`; may be empty or a reserved word."""
    text = unicodedata.normalize("NFKC", header).casefold().translate(LETTERS)
    text = unicodedata.normalize("NFC", LATIN_MARKS.sub("", unicodedata.normalize("NFKD", text)))
    text = EMAIL_SPELLINGS.sub("email", text)
    return re.sub(r"_+", "_", "".join(c if ("a" + c).isidentifier() else "_" for c in text)).strip("_")


def compact(header: str) -> str:
    """For comparing headers: `E-Mail-Adresse`, `email adresse` and `EMailAdresse` are one."""
    return plain(header).replace("_", "")


def columns_of(headers: Sequence[str]) -> tuple[Column, ...]:
    """Name every column, left to right; the same headers always get the same names."""
    taken: set[str] = set()
    columns = []
    for position, header in enumerate(headers, start=1):
        base = _usable(plain(header), position)
        name, n = base, 2
        while name in taken:
            name, n = f"{base}_{n}", n + 1
        taken.add(name)
        columns.append(Column(name=name, original=header))
    return tuple(columns)


def _usable(name: str, position: int) -> str:
    if not name:
        return f"column_{position}"
    if name in RESERVED:
        return f"{name}_field"
    return name if name.isidentifier() else f"field_{name}"


def find(columns: Sequence[Column], wanted: str) -> int | None:
    """Position of the column meant: by its header, else by its usable name; capitals and outer spaces do not matter."""
    asked = unicodedata.normalize("NFC", wanted.strip()).casefold()
    for names in ([c.original for c in columns], [c.name for c in columns]):
        for position, name in enumerate(names):
            if unicodedata.normalize("NFC", name.strip()).casefold() == asked:
                return position
    same = [position for position, column in enumerate(columns) if plain(column.original) == plain(wanted) != ""]
    return same[0] if len(same) == 1 else None


def listed(columns: Iterable[Column]) -> str:
    """The columns for a sentence, by their headers."""
    return joined(", ", [_quoted(column) for column in columns]) or said("none")


def _quoted(column: Column) -> str:
    return in_quotes(title(column))


def title(column: Column) -> str:
    """What a column is called in a sentence: its header on one line, unless that is an address."""
    text = " ".join(column.original.split()) or column.name
    return text if "@" not in text else column.name.split("@")[0]


def in_quotes(name: str) -> str:
    """A name in the marks that the sentence's language has for it."""
    return said('"{name}"', name=name)


def did_you_mean(wanted: str, columns: Sequence[Column]) -> str:
    """A sentence that lists the columns and names the nearest."""
    names = {n.casefold(): c.original for c in columns for n in (c.name, c.original) if "@" not in c.original}
    near = difflib.get_close_matches(wanted.casefold(), names, n=1)
    if near:
        return said('The columns are {columns}. Did you mean "{name}"?', columns=listed(columns), name=names[near[0]])
    return said("The columns are {columns}.", columns=listed(columns))
