"""DKIM signatures (RFC 6376), relaxed/relaxed, over every header that mailer writes and the whole body.

A signature covers the Date: it is made when the message leaves, and nothing of the message may change afterwards. It says
neither for how long it holds (x=) nor for whom (i=), and never leaves out an end of the body (l=), to which anybody could add.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from mailer.mime.keys import Key, dns_record, unpacked
from mailer.model import Message, Signature

OVERSIGNED: Final = (b"from", b"reply-to", b"to", b"subject", b"date")
"""Named once more than they stand in the message (RFC 6376, section 8.15): somebody who sends it on to others can add no second
one, which mail programs may show instead. A Reply-To also where there is none: answers would go to whoever added it.
"""

LINE: Final = 76
SIGNATURE_LINE: Final = 72
LAYOUTS: Final = 64
"""Sets of header names remembered: a campaign has one, or one a language."""


class _Layout(NamedTuple):
    """A signature header but for what differs from message to message: what stands before t= and before bh=."""

    before_time: bytes
    before_hash: bytes
    signed: Callable[[bytes], bytes]


class Signer:
    """Signs messages with each of some keys, whose domain answers for them."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)
        self._layouts: dict[bytes, tuple[_Layout, ...]] = {}

    @classmethod
    def unpacked(cls, packed: Sequence[tuple[str, str, bytes]]) -> Signer:
        """The signer that `packed` describes."""
        return cls([unpacked(*key) for key in packed])

    @property
    def packed(self) -> list[tuple[str, str, bytes]]:
        """The keys, private as they are, for another process of the same run."""
        return [key.packed for key in self._keys]

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """What may be told about the keys."""
        return tuple(key.signature for key in self._keys)

    @property
    def dns_records(self) -> list[tuple[str, str]]:
        """Name and value of each TXT record that must be published."""
        return [dns_record(key) for key in self._keys]

    def sign(self, message: Message, at: datetime) -> Message:
        """The message with its signatures on top. `at` must have a time zone."""
        head, _, body = message.content.partition(b"\r\n\r\n")
        fields = canonical_head(head)
        # RFC 6376, section 5.4.2: of fields with the same name, the last one is signed first
        fields.reverse()
        names = b":".join([*(field.partition(b":")[0] for field in fields), *OVERSIGNED])
        above = b"\r\n".join([*fields, b""])
        time, body_hash = b"%d" % int(at.timestamp()), _hash(canonical_body(body))
        pieces = []
        for layout in self._layouts_of(names):
            header = b"%b%b%b%b;\r\n b=" % (layout.before_time, time, layout.before_hash, body_hash)
            signature = b64encode(layout.signed(above + canonical_head(header)[0]))
            pieces += [header, _folded(signature), b"\r\n"]
        return message._replace(content=b"".join([*pieces, message.content]))

    def _layouts_of(self, names: bytes) -> tuple[_Layout, ...]:
        known = self._layouts.get(names)
        if known is None:
            if len(self._layouts) >= LAYOUTS:
                self._layouts.clear()
            known = self._layouts[names] = tuple(_layout(key, names) for key in self._keys)
        return known


def canonical_head(head: bytes) -> list[bytes]:
    """The header fields in their relaxed form (RFC 6376, section 3.4.2), without line ends. `head` ends without one."""
    head = _one_blank(head.replace(b"\t", b" ").replace(b"\r\n ", b" "))
    fields = []
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        fields.append(b"%b:%b" % (name.rstrip(b" ").lower(), value.strip(b" ")))
    return fields


def canonical_body(body: bytes) -> bytes:
    """The body in its relaxed form (RFC 6376, section 3.4.4). Its lines end with CRLF, and it has no CR or LF besides."""
    body = _one_blank(body.replace(b"\t", b" ")).replace(b" \r\n", b"\r\n")
    text = body.rstrip(b"\r\n")
    return b"%b\r\n" % text if text else b""


def _one_blank(text: bytes) -> bytes:
    # each turn halves the longest run, at the speed of memchr; a regular expression takes twenty times as long
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _hash(data: bytes) -> bytes:
    return b64encode(hashlib.sha256(data).digest())


def _layout(key: Key, names: bytes) -> _Layout:
    before = f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n s={key.selector}; t="
    return _Layout(before.encode(), b";\r\n h=%b;\r\n bh=" % _folded_names(names), key.signing())


def _folded_names(names: bytes) -> bytes:
    """The names on several lines: white space may stand beside each colon (RFC 6376, section 3.5)."""
    lines = [b"h="]
    for name in names.split(b":"):
        if len(lines[-1]) + len(name) + 2 > LINE:
            lines.append(b"")
        lines[-1] += name + b":"
    return b"\r\n ".join(lines)[2:-1]


def _folded(signature: bytes) -> bytes:
    pieces = [signature[at : at + SIGNATURE_LINE] for at in range(0, len(signature), SIGNATURE_LINE)]
    return b"\r\n ".join(pieces)
