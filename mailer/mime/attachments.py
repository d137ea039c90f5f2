"""Attachments and inline images as MIME parts (RFC 2183, 2231, 2392), each file encoded once.

A name goes into both Content-Disposition (where it belongs) and Content-Type (where old clients look). A simple ASCII
name is a quoted string; any other takes the RFC 2231 form, which every common client has read for years. There is no
second, plain form beside it: parsers disagree on which of two names wins.
"""

from __future__ import annotations

import binascii
import re
from collections import OrderedDict
from threading import Lock
from urllib.parse import quote

from mailer.mime.addresses import LINE
from mailer.mime.flaw import Flaw, refuse_controls
from mailer.model import Attachment, said

SIMPLE_NAME = re.compile(r"[A-Za-z0-9._()'+,@#&!~^$\[\]{}-]+(?: [A-Za-z0-9._()'+,@#&!~^$\[\]{}-]+)*")
TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105  # RFC 6838, section 4.2, not a secret
CONTENT_TYPE = re.compile(rf"({TOKEN})/({TOKEN})((?:; ?[A-Za-z0-9-]+=(?:{TOKEN}|\"[A-Za-z0-9 !#-/:-@^-~]*\"))*)")
CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")

CONTINUATION = 60
"""Columns of one piece of a name too long for one line."""

CACHE_BYTES = 64 * 1024 * 1024


class EncodedParts:
    """Parts encoded so far, the least recently used dropped beyond `limit` bytes: per-row files must not pile up."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.lock = Lock()
        self.parts: OrderedDict[Attachment, bytes] = OrderedDict()

    def part(self, attachment: Attachment) -> bytes:
        """The attachment as a part with its headers. Raises a Flaw."""
        with self.lock:
            part = self.parts.get(attachment)
            if part is not None:
                self.parts.move_to_end(attachment)
                return part
        part = attachment_part(attachment)
        with self.lock:
            if attachment not in self.parts:
                self.parts[attachment] = part
                self.size += len(part) + len(attachment.content)
            while self.size > self.limit:
                old, dropped = self.parts.popitem(last=False)
                self.size -= len(dropped) + len(old.content)
        return part


encoded_parts = EncodedParts(CACHE_BYTES)


def attachment_part(attachment: Attachment) -> bytes:
    """Headers and base64 lines of 76 columns. Raises a Flaw."""
    name = attachment.filename
    _check_name(name)
    lines = [
        _with_name("Content-Type", _content_type(attachment), "name", name),
        "Content-Transfer-Encoding: base64",
        _with_name("Content-Disposition", "inline" if attachment.content_id else "attachment", "filename", name),
    ]
    if attachment.content_id:
        lines.append(_content_id_line(attachment.content_id))
    return "\r\n".join([*lines, "", ""]).encode() + base64_lines(attachment.content)


def base64_lines(content: bytes) -> bytes:
    """Base64 in CRLF lines of 76 columns (RFC 2045, section 6.8)."""
    text = binascii.b2a_base64(content, newline=False)
    return b"\r\n".join([text[start : start + 76] for start in range(0, len(text), 76)])


def _check_name(name: str) -> None:
    refuse_controls(name, said("The file name of an attachment"))
    if not name.strip() or name in {".", ".."} or "/" in name or "\\" in name:
        raise Flaw(
            "bad-attachment-name",
            "The file name of an attachment is empty or contains a slash or backslash.",
            "Give the file a plain name without a folder in it.",
        )


def _content_type(attachment: Attachment) -> str:
    """The type as given, or the one for unknown data where it is not well-formed or base64 is forbidden in it.

    RFC 2046, section 5.2: message/* may not be base64, and 8-bit or long lines inside would not survive as they are.
    """
    refuse_controls(attachment.content_type, said("The type of an attachment"))
    match = CONTENT_TYPE.fullmatch(attachment.content_type)
    if not match or match[1].lower() in {"message", "multipart"} or len(match[0]) > 200:
        return "application/octet-stream"
    if re.search(r"; ?name\*?=", match[3], re.IGNORECASE):
        return f"{match[1]}/{match[2]}"
    if match[1].lower() == "text" and "charset=" not in match[3].lower() and _is_utf8(attachment.content):
        return said("{match}; charset=utf-8", match=match[0])
    return match[0]


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _with_name(header: str, value: str, parameter: str, name: str) -> str:
    """The header with a file name (RFC 2231), on one line unless that would be over-long."""
    if SIMPLE_NAME.fullmatch(name) and len(name) <= 200:
        return f'{header}: {value}; {parameter}="{name}"'
    line = f"{header}: {value}; {parameter}*=utf-8''{quote(name, safe='')}"
    if len(line) <= LINE:
        return line
    # RFC 2231, section 3: continuations. No character is split, for some parsers decode piece by piece.
    pieces = ["utf-8''"]
    for character in name:
        form = quote(character, safe="")
        if len(pieces[-1]) + len(form) > CONTINUATION:
            pieces.append("")
        pieces[-1] += form
    return ";\r\n ".join([f"{header}: {value}", *(f"{parameter}*{n}*={piece}" for n, piece in enumerate(pieces))])


def _content_id_line(content_id: str) -> str:
    refuse_controls(content_id, said("The Content-ID of an image"))
    bare = content_id.removeprefix("<").removesuffix(">")
    if not CONTENT_ID.fullmatch(bare):
        raise Flaw(
            "bad-content-id",
            "The name by which the letter shows an image has a character that is not allowed there.",
            "Name the image file with letters, digits, dots and hyphens only.",
        )
    return f"Content-ID: <{bare}>"
