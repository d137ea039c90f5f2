"""Message bytes read back as a mail program would: what is shown is what travels, not what was meant."""

from __future__ import annotations

import email
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import HeaderRegistry
from email.message import Message as Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Enclosed:
    """A file inside a message: an attachment, or an image shown in the HTML."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The readable parts of a message. `headers` are decoded; `head` is the header block as it stands."""

    headers: tuple[tuple[str, str], ...]
    head: str
    html: str | None = None
    text: str | None = None
    attachments: tuple[Enclosed, ...] = ()
    images: Mapping[str, Enclosed] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The first header of that name, decoded; empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def read(content: bytes) -> Reading:
    """Take a message apart. Never fails: bytes that are no message become its text."""
    message = email.message_from_bytes(content)
    head = content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").replace("\r\n", "\n")
    found: dict[str, str] = {}
    attachments: list[Enclosed] = []
    images: dict[str, Enclosed] = {}
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if kind in {"text/plain", "text/html"} and kind not in found and not _is_file(part):
            found[kind] = _text(part)
        elif content_id := _one_line(part.get("Content-ID")).strip("<>"):
            images[content_id] = _enclosed(part)
        else:
            attachments.append(_enclosed(part))
    return Reading(
        headers=tuple((name, decoded(_one_line(value))) for name, value in email.message_from_string(head).items()),
        head=head,
        html=found.get("text/html"),
        text=found.get("text/plain"),
        attachments=tuple(attachments),
        images=images,
    )


def _is_file(part: Part) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_filename(part))


def _enclosed(part: Part) -> Enclosed:
    payload = part.get_payload(decode=True)
    return Enclosed(
        filename=_filename(part) or "without a name",
        content_type=part.get_content_type(),
        content=payload if isinstance(payload, bytes) else b"",
    )


def _filename(part: Part) -> str:
    try:
        return decoded(_one_line(part.get_filename()))
    except (LookupError, ValueError):  # an unknown or broken RFC 2231 charset
        return ""


def _text(part: Part) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    try:
        return raw.decode(str(part.get_content_charset("utf-8")), "replace").replace("\r\n", "\n")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace").replace("\r\n", "\n")


def _one_line(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def decoded(value: str) -> str:
    """The text behind encoded-words (RFC 2047)."""
    return str(HeaderRegistry()("Subject", value)) if "=?" in value else value
