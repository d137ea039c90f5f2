"""Text as quoted-printable (RFC 2045, section 6.7) that survives every transport unchanged.

Each line of the text is encoded by itself, without regard to its neighbours, so that lines which are the same for all
contacts can be encoded once.
"""

from __future__ import annotations

import binascii
import re

from mailer.mime.flaw import Flaw
from mailer.model import said

UNSENDABLE = re.compile("[\x00\ud800-\udfff]")

FRAGILE_START = re.compile(rb"^(From |\.)(.*)$", re.MULTILINE)
LONG_END = re.compile(rb"^(.{74,})(=20|=09)$", re.MULTILINE)


def quoted_printable(text: str, subtype: str = "plain") -> bytes:
    """CRLF lines of at most 76 characters, none of which begins with a dot or `From `. Raises a Flaw."""
    if UNSENDABLE.search(text):
        place = "HTML" if subtype == "html" else "text"
        raise Flaw(
            "control-character",
            said("The {place} of the letter contains a zero byte or half a character (broken text).", place=place),
            "Remove it from the cell or the letter; often it was pasted along with the text.",
        )
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = binascii.b2a_qp(text.encode())
    if b"=20\n" in data or b"=09\n" in data or data.endswith((b"=20", b"=09")):
        # binascii forgets that a space at a line's end grows when it is encoded.
        data = LONG_END.sub(rb"\1=\n\2", data)
    return sturdy(data).replace(b"\n", b"\r\n")


def sturdy(data: bytes) -> bytes:
    """Lines no transport has a reason to touch.

    mbox writers put ">" before "From "; some relays lose or double a leading dot (RFC 2049, section 3).
    """
    while b"\n." in data or b"\nFrom " in data or data.startswith((b".", b"From ")):
        data = FRAGILE_START.sub(_sturdy, data)
    return data


def _sturdy(line: re.Match[bytes]) -> bytes:
    start = b"=2E" if line[1] == b"." else b"=46rom "
    return start + line[2] if len(start) + len(line[2]) <= 76 else start + b"=\n" + line[2]
