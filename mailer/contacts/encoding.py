"""Bytes to text: UTF-8, UTF-16, and cp1252 as Excel writes it in western Europe."""

from __future__ import annotations

import codecs
import re

from mailer.model import Problem, Severity

BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
CHUNK = 1 << 20
"""Bytes that are decoded at a time where only whether they can be is of interest."""

MULTIBYTE = re.compile(rb"[\xc3-\xf4][\x80-\xbf]+")
HIGH = re.compile(rb"[\x80-\xff]+")


def decode(data: bytes, file: str) -> tuple[str, tuple[Problem, ...]]:
    """Never fails: what cannot be read becomes U+FFFD, and rows with it are warned about later."""
    for bom, codec in BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(codec, "replace"), ()
    guess = _unmarked_utf16(data)
    if guess:
        return data.decode(guess, "replace"), ()
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    if _mostly_utf8(data):
        return data.decode("utf-8", "replace"), ()
    warning = Problem(
        code="assumed-encoding",
        message="The file does not say how its letters are stored; it was read as Western European (Windows-1252).",
        file=file,
        hint='Check that names look right in the preview. If not, save the list as "CSV UTF-8".',
        severity=Severity.WARNING,
    )
    return _windows_1252(data), (warning,)


def utf8_of(data: bytes) -> memoryview | None:
    """The bytes without a mark if `decode` would read every one of them as UTF-8, so that they need not be decoded."""
    body = memoryview(data)[3:] if data.startswith(BOMS[0][0]) else memoryview(data)
    if any(body[:4].tobytes().startswith(bom) for bom, _ in BOMS) or _unmarked_utf16(data):
        return None
    check = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for start in range(0, len(body), CHUNK):
            check(body[start : start + CHUNK], start + CHUNK >= len(body))
    except UnicodeDecodeError:
        return None
    return body


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 without its mark shows as a NUL beside nearly every Latin letter, separator and line end."""
    head = data[:4000]
    if len(head) < 4 or len(data) % 2:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > half * 0.4 and even <= half * 0.02:
        return "utf-16-le"
    if even > half * 0.4 and odd <= half * 0.02:
        return "utf-16-be"
    return None


def _mostly_utf8(data: bytes) -> bool:
    """A few broken bytes in a UTF-8 file (two files pasted together) must not garble everybody else's name."""
    high = HIGH.findall(data)
    return sum(1 for run in high if MULTIBYTE.match(run)) > len(high) * 0.5


def _windows_1252(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no letter; browsers read them as control characters, and so do we
        return "".join(bytes((byte,)).decode("cp1252", "ignore") or chr(byte) for byte in data)
