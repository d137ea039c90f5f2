"""JPEG (ITU T.81) and PNG (ISO 15948): what is not the picture goes, piece by piece; the picture is not encoded again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from PIL.ExifTags import TAGS
from PIL.Image import Exif

from mailer.traces.errors import BROKEN, TracesStayError

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
EXIF, ICC = b"Exif\0\0", b"ICC_PROFILE\0"
SHOWN = frozenset(
    "IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCv cLLi bKGD hIST pHYs sPLT acTL fcTL fdAT".split()  # noqa: SIM905
)
"""Chunks of a PNG that shape the picture. All others are texts, times and private notes."""

ORIENTATION, GPS, DETAILS = 0x0112, 0x8825, 0x8769
TECHNICAL = frozenset({ORIENTATION, DETAILS, 0x011A, 0x011B, 0x0128, 0x0213, 0x0100, 0x0101, 0x0102, 0x0106, 0x0115})
"""Fields of EXIF about the picture alone: its size, resolution, and which way is up."""

START_OF_SCAN, END = 0xDA, 0xD9
APP0, APP1, APP2, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE


def fields(content: bytes) -> Iterator[str]:
    """What it tells, as `EXIF GPSInfo`."""
    if content.startswith(JPEG):
        for marker, data in _segments(content):
            if marker == APP1 and data.startswith(EXIF):
                yield from _exif_fields(data)
            elif not _stays(marker, data):
                yield {COMMENT: "a comment", APP1: "XMP", 0xED: "IPTC"}.get(marker, f"APP{marker - APP0}")
        return
    for kind, data in _chunks(content):
        if kind == "eXIf":
            yield from _exif_fields(EXIF + data)
        elif kind not in SHOWN:
            yield f"{kind} {_keyword(data)}" if kind in {"tEXt", "zTXt", "iTXt"} else kind


def _keyword(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("latin-1")[:40]


def cleaned(content: bytes) -> bytes:
    """The picture alone, the same way up. Raises TracesStayError."""
    return _cleaned_jpeg(content) if content.startswith(JPEG) else _cleaned_png(content)


def _exif_fields(data: bytes) -> Iterator[str]:
    exif = _exif(data)
    telling = [tag for tag in exif if tag not in TECHNICAL]
    telling += [tag for tag in exif.get_ifd(DETAILS) if 0x9000 <= tag < 0xA000 or tag >= 0xA420]
    for tag in telling:
        yield f"EXIF {TAGS.get(tag, f'{tag:#06x}')}"


def _exif(data: bytes) -> Exif:
    exif = Exif()
    try:
        exif.load(data)
    except Exception as error:  # whatever Pillow makes of nonsense
        raise TracesStayError(BROKEN) from error
    return exif


def _upright(data: bytes) -> bytes:
    """EXIF that says which way is up and nothing else; nothing where that is not needed."""
    way = _exif(data).get(ORIENTATION, 1)
    if way not in range(2, 9):
        return b""
    only = Exif()
    only[ORIENTATION] = way
    return only.tobytes()


# -- JPEG


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment up to the picture's end; a scan comes with what it encodes."""
    at = 2
    while at < len(content):
        if content[at] != 0xFF:
            raise TracesStayError(BROKEN)
        marker = content[at + 1 : at + 2]
        if marker == b"\xff":  # filling
            at += 1
            continue
        if marker == bytes([END]):
            yield END, b""
            return
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(content):
            break
        if marker[0] == START_OF_SCAN:
            end = _end_of_scan(content, end)
        yield marker[0], content[at + 4 : end]
        at = end
    raise TracesStayError(BROKEN)


def _end_of_scan(content: bytes, at: int) -> int:
    """The next marker that is neither a stuffed octet nor a restart."""
    while (at := content.find(b"\xff", at)) >= 0:
        after = content[at + 1 : at + 2]
        if after and after[0] not in {0x00, 0xFF, *range(0xD0, 0xD8)}:
            return at
        at += 1 if after == b"\xff" else 2
    raise TracesStayError(BROKEN)


def _stays(marker: int, data: bytes) -> bool:
    if marker == APP0:
        return data.startswith(b"JFIF\0")
    if marker == APP2:
        return data.startswith(ICC)
    return marker == APP14 or not (APP0 <= marker <= 0xEF or marker == COMMENT)


def _cleaned_jpeg(content: bytes) -> bytes:
    """Without what follows the picture, too: telephones put whole other pictures there."""
    head, rest = [], []
    for marker, data in _segments(content):
        if marker == APP1 and data.startswith(EXIF):
            if upright := _upright(data):
                head.append(_segment(APP1, upright))
        elif marker == END:
            rest.append(b"\xff\xd9")
        elif marker == START_OF_SCAN:
            rest.append(_scan(data))
        elif _stays(marker, data):
            # a small picture inside of JFIF may show more than the large one
            shown = data[:12] + b"\0\0" if marker == APP0 else data
            (head if marker == APP0 else rest).append(_segment(marker, shown))
    return JPEG + b"".join([*head, *rest])


def _scan(data: bytes) -> bytes:
    """A scan's header says itself how long it is: one octet for the number of components, two for each, three more."""
    return b"\xff\xda" + struct.pack("!H", 6 + 2 * data[0]) + data


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack("!H", len(data) + 2) + data


# -- PNG


def _chunks(content: bytes) -> Iterator[tuple[str, bytes]]:
    at = len(PNG)
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        kind = content[at + 4 : at + 8].decode("latin-1")
        data = content[at + 8 : at + 8 + length]
        at += 12 + length
        if at > len(content):
            break
        yield kind, data
        if kind == "IEND":
            return
    raise TracesStayError(BROKEN)


def _cleaned_png(content: bytes) -> bytes:
    kept = []
    for kind, data in _chunks(content):
        upright = _upright(EXIF + data).removeprefix(EXIF) if kind == "eXIf" else b""
        if kind in SHOWN or upright:
            body = kind.encode("latin-1") + (upright or data)
            kept.append(struct.pack("!I", len(body) - 4) + body + struct.pack("!I", crc32(body)))
    return PNG + b"".join(kept)
