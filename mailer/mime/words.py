"""Header text as encoded words (RFC 2047): any text comes back as it was, whatever it looks like."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

LINE = 76
"""RFC 2047, section 2: the longest line that may hold an encoded word; a word alone has at most 75 characters."""

FRAME = len("=?utf-8?Q??=")

# RFC 2047, section 5 (3): what may stand bare in a word of a display name; other places allow more, none needs it.
BARE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
SPECIAL = re.compile(r"[^=A-Za-z0-9!*+/_-]")
"""What `binascii` leaves as it is in a header and RFC 2047, section 5 (3) does not allow there."""

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
    data = text.encode()
    bare = len(data) - len(data.translate(None, BARE + b" "))
    q_length = bare + 3 * (len(data) - bare)
    if q_length > (len(data) + 2) // 3 * 4:
        words = [f"=?utf-8?B?{piece}?=" for piece in _pieces_b(data, used)]
    elif q_length <= LINE - used - FRAME:
        return f"=?utf-8?Q?{_q_form(data)}?="
    else:
        words = [f"=?utf-8?Q?{piece}?=" for piece in _pieces_q(_q_form(data), used)]
    return "\r\n ".join(words)


def _q_form(data: bytes) -> str:
    # the `x` because binascii encodes a blank at the end otherwise; `=` and a line end is its own soft line break
    form = binascii.b2a_qp(data + b"x", header=True)[:-1].replace(b"=\n", b"").decode()
    return SPECIAL.sub(_escaped, form)


def _escaped(character: re.Match[str]) -> str:
    return ESCAPED[character[0]]


def _pieces_q(form: str, used: int) -> Iterator[str]:
    start, end = 0, LINE - used - FRAME
    while end < len(form):
        if form[end - 1] == "=":
            end -= 1
        elif form[end - 2] == "=":
            end -= 2
        while form[end] == "=" and form[end + 1] in "89AB":  # an octet within a UTF-8 character
            end -= 3
        yield form[start:end]
        start, end = end, end + LINE - 1 - FRAME
    yield form[start:]


def _pieces_b(data: bytes, used: int) -> Iterator[str]:
    start, end = 0, (LINE - used - FRAME) // 4 * 3
    while end < len(data):
        while data[end] & 0xC0 == 0x80:  # an octet within a UTF-8 character
            end -= 1
        yield binascii.b2a_base64(data[start:end], newline=False).decode()
        start, end = end, end + (LINE - 1 - FRAME) // 4 * 3
    yield binascii.b2a_base64(data[start:], newline=False).decode()
