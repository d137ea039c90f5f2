"""A mail taken apart: headers and leaves as text, whatever somebody made of it; no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any

LONGEST_TEXT = 100_000
"""Characters of a part that are looked at. What reports say stands at their beginning."""

LONGEST_HEADER = 20_000
LONGEST_STRUCTURE = 2_000
"""Characters of a header, and of one that says what a part is: Python's parser takes the square of the time over the latter."""

MOST_PARTS = 50

NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined"})
"""What Python calls an encoding and no mail is written in; some of them take long, or make what no text can hold."""

FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)")
"""A header field (RFC 5322, 2.2)."""


class Raw(Message):
    """A part whose embedded message stays text, even one that is encoded (RFC 6533, 3): whoever wants it reads its fields."""

    def get_content_type(self) -> str:
        kind = super().get_content_type()
        return kind.replace("message/", "embedded/", 1) if kind.startswith("message/") else kind

    def get(self, name: str, failobj: Any = None) -> Any:
        """As the parser asks for what a part is, and where it ends."""
        found = super().get(name, failobj)
        return found if found is failobj else str(found)[:LONGEST_STRUCTURE]


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A part that holds no others. An embedded message has a kind of `embedded/...` in place of `message/...`."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """Headers by lower-case name, decoded, in their order; and the leaves."""

    kind: str
    headers: Mapping[str, tuple[str, ...]]
    leaves: tuple[Leaf, ...]

    def header(self, name: str) -> str:
        """The first of this name, or nothing."""
        return self.headers.get(name, ("",))[0]

    def every(self, *names: str) -> tuple[str, ...]:
        """All headers of these names."""
        return tuple(value for name in names for value in self.headers.get(name, ()))

    def leaf(self, *kinds: str) -> str | None:
        """The text of the first part of one of these kinds."""
        return next((leaf.text for leaf in self.leaves if leaf.kind in kinds), None)

    @property
    def words(self) -> str:
        """What is written for people: the plain text, or else the page without its tags."""
        plain = "\n".join(leaf.text for leaf in self.leaves if leaf.kind == "text/plain")
        return plain or re.sub(r"<[^<>]{0,2000}>", " ", self.leaf("text/html") or "")

    @property
    def sender(self) -> str:
        """The address in From, or nothing."""
        return next(iter(addresses(self.header("from"))), "")


def read(content: bytes) -> Mail:
    """Take a mail apart. Never raises: what makes no sense is missing."""
    try:
        message = BytesParser(Raw).parsebytes(content)
        leaves = tuple(_leaves(message))
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        # nested a thousand times, or an encoding on which Python's parser fails: its headers must do
        message = BytesParser(Raw).parsebytes(content, headersonly=True)
        leaves = ()
    headers: dict[str, list[str]] = {}
    for name, value in message.raw_items():
        headers.setdefault(name.lower(), []).append(_decoded(_text(str(value)[:LONGEST_HEADER])))
    kept = {name: tuple(values) for name, values in headers.items()}
    return Mail(kind=_kind(message), headers=kept, leaves=leaves)


def fields(text: str) -> list[dict[str, str]]:
    """Groups of header fields between blank lines, unfolded, by lower-case name; the first of a name counts."""
    groups: list[dict[str, str]] = [{}]
    name = ""
    # nothing else ends a line (RFC 5322, 2.1): what str.splitlines takes for one may stand in a server's words
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line.strip():
            groups.append({})
            name = ""
        elif line[0] in " \t":
            if name:
                groups[-1][name] += " " + line.strip()
        elif found := FIELD.match(line):
            name = found[1].lower()
            if name in groups[-1]:
                name = ""
            else:
                groups[-1][name] = found[2].strip()
        else:
            name = ""
    return [group for group in groups if group]


def addresses(text: str) -> list[str]:
    """The addresses in a header, in order."""
    try:
        return [address for _, address in getaddresses([text]) if "@" in address]
    except (ValueError, IndexError, TypeError, RecursionError):
        return []


def _leaves(message: Message) -> Iterator[Leaf]:
    for number, part in enumerate(message.walk()):
        if number > MOST_PARTS:
            return
        if part.is_multipart():
            continue
        kind = _kind(part)
        if kind.startswith(("text/", "embedded/")):
            yield Leaf(kind=kind, text=_payload(part)[:LONGEST_TEXT])


def _kind(part: Message) -> str:
    try:
        return part.get_content_type()
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        return "text/plain"


def _payload(part: Message) -> str:
    try:
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            return ""
        return _read_as(part.get_content_charset() or "utf-8", content)
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        raw = part.get_payload()
        return _text(raw) if isinstance(raw, str) else ""


def _read_as(charset: str, content: bytes) -> str:
    """Never half a character, as UTF-7 may hold one: no other program takes it, and no ledger."""
    name = charset.lower().replace("_", "-")
    known = "utf-8" if name == "us-ascii" or name in NO_CHARSETS else charset
    return content.decode(known, "replace").encode("utf-8", "replace").decode("utf-8")


def _text(raw: str) -> str:
    """What the parser keeps of bytes beyond ASCII, as the UTF-8 that it most likely is (RFC 6532)."""
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decoded(value: str) -> str:
    """Encoded words (RFC 2047) as text; unfolded."""
    flat = " ".join(value.split())
    if "=?" not in flat:
        return flat
    try:
        return "".join(
            part if isinstance(part, str) else _read_as(charset or "ascii", part)
            for part, charset in decode_header(flat)
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return flat
