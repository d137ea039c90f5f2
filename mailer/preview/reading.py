"""Message bytes read back as a mail program would: what is shown is what travels, not what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import HeaderRegistry
from functools import lru_cache

from mailer.preview.parts import Leaf, fields, leaves, one_line, split

REGISTRY = HeaderRegistry()


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
    """Take a message apart. Never fails, whatever the bytes."""
    head, _body = split(content)
    found: dict[str, str] = {}
    attachments: list[Enclosed] = []
    images: dict[str, Enclosed] = {}
    for leaf in leaves(content):
        kind = leaf.header.get_content_type()
        if kind in {"text/plain", "text/html"} and kind not in found and not _is_file(leaf):
            found[kind] = _text(leaf)
        elif content_id := one_line(leaf.header.get("Content-ID")).strip("<>"):
            images[content_id] = _enclosed(leaf)
        else:
            attachments.append(_enclosed(leaf))
    return Reading(
        headers=tuple((name, decoded(value)) for name, value in fields(head)),
        head=head.decode("utf-8", "replace").replace("\r\n", "\n"),
        html=found.get("text/html"),
        text=found.get("text/plain"),
        attachments=tuple(attachments),
        images=images,
    )


def _is_file(leaf: Leaf) -> bool:
    return leaf.header.get_content_disposition() == "attachment" or bool(_filename(leaf))


def _enclosed(leaf: Leaf) -> Enclosed:
    return Enclosed(
        filename=_filename(leaf) or "without a name",
        content_type=leaf.header.get_content_type(),
        content=leaf.decoded(),
    )


def _filename(leaf: Leaf) -> str:
    try:
        return decoded(one_line(leaf.header.get_filename()))
    except (LookupError, ValueError):  # an unknown or broken RFC 2231 charset
        return ""


def _text(leaf: Leaf) -> str:
    raw = leaf.decoded()
    try:
        text = raw.decode(str(leaf.header.get_content_charset("utf-8")), "replace")
    except (LookupError, ValueError):
        text = raw.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


@lru_cache(maxsize=4096)
def decoded(value: str) -> str:
    """The text behind encoded-words (RFC 2047)."""
    return one_line(REGISTRY("Subject", value)) if "=?" in value else value
