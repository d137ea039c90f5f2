"""Header text as encoded words (RFC 2047): any text comes back as it was, whatever it looks like."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from mailer.model.messages import Merged

LINE = 76
"""RFC 2047, section 2: the longest line that may hold an encoded word; a word alone has at most 75 characters."""

FRAME = len("=?utf-8?Q??=")

# RFC 2047, section 5 (3): what may stand bare in a word of a display name; other places allow more, none needs it.
BARE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
SPECIAL = re.compile(r"[^=A-Za-z0-9!*+/_-]")
"""What `binascii` leaves as it is in a header and RFC 2047, section 5 (3) does not allow there."""

KEPT = 512
forms: dict[str, tuple[str, int]] = {}
"""The Q forms of the last pieces: those of the subject come again, and a name stands in To and Subject."""

ESCAPED = {chr(byte): f"={byte:02X}" for byte in range(128)}

PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
"""Printable ASCII in which no parser has a reason to touch the spaces."""


def is_plain(text: str) -> bool:
    """Whether a header may carry `text` as it is, and no reader will take it for encoded words or change its spaces."""
    return text.isascii() and PLAIN.fullmatch(text) is not None and "=?" not in text


def encode(text: str, *, used: int) -> str:
    """`text` as one or more encoded words, each after the first on its own line.

    The white space between two words belongs to the encoding and not to the text (RFC 2047, section 6.2). `used` is
    the number of columns that the header's name takes of the first line.
    """
    form, length = "", 0
    for piece in text.pieces if type(text) is Merged else (text,):
        known = forms.get(piece) or _form(piece)
        form += known[0]
        length += known[1]
    if len(form) > (length + 2) // 3 * 4:
        words = [f"=?utf-8?B?{piece}?=" for piece in _pieces_b(text.encode(), used)]
        return "\r\n ".join(words)
    if len(form) <= LINE - used - FRAME:
        return f"=?utf-8?Q?{form}?="
    between = "?=\r\n =?utf-8?Q?".join(_pieces_q(form, used))
    return f"=?utf-8?Q?{between}?="


def _form(text: str) -> tuple[str, int]:
    """The Q form of a text without a frame, and the length of the text in bytes."""
    data = text.encode()
    # the `x` because binascii encodes a blank at the end otherwise; `=` and a line end is its own soft line break
    form = binascii.b2a_qp(data + b"x", header=True)[:-1].replace(b"=\n", b"").decode()
    if len(forms) >= KEPT:
        forms.clear()
    forms[text] = found = (SPECIAL.sub(_escaped, form), len(data))
    return found


def _escaped(character: re.Match[str]) -> str:
    return ESCAPED[character[0]]


def _pieces_q(form: str, used: int) -> list[str]:
    pieces = []
    start, end = 0, LINE - used - FRAME
    while end < len(form):
        if form[end - 1] == "=":
            end -= 1
        elif form[end - 2] == "=":
            end -= 2
        while form[end] == "=" and form[end + 1] in "89AB":  # an octet within a UTF-8 character
            end -= 3
        pieces.append(form[start:end])
        start, end = end, end + LINE - 1 - FRAME
    pieces.append(form[start:])
    return pieces


def _pieces_b(data: bytes, used: int) -> Iterator[str]:
    start, end = 0, (LINE - used - FRAME) // 4 * 3
    while end < len(data):
        while data[end] & 0xC0 == 0x80:  # an octet within a UTF-8 character
            end -= 1
        yield binascii.b2a_base64(data[start:end], newline=False).decode()
        start, end = end, end + (LINE - 1 - FRAME) // 4 * 3
    yield binascii.b2a_base64(data[start:], newline=False).decode()
