"""One language of a letter, compiled: its parts, files and what they read besides a row's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailer.merge.attachments import Enclosure
from mailer.merge.complaints import Origin
from mailer.merge.front import FrontMatter
from mailer.merge.layout import Sentences
from mailer.merge.part import Part
from mailer.model import Attachment

RESERVED = frozenset(
    [
        "case",
        "contact",
        "row",
        "sender",
        "language",
        "fields",
        "mailto",
        "range",
        "namespace",
        "dict",
        "counter_",
        "block_",
        "footer_",
        "loop",
        "self",
        "super",
        "caller",
        "varargs",
        "kwargs",
    ]
)
"""Names that a column cannot take over; its value is still there as `fields["case"]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One language of a letter, compiled."""

    language: str
    front: FrontMatter
    subject: Part
    text: Part
    html: Part
    to_name: Part | None
    blocks: tuple[Part, ...]
    images: tuple[Attachment, ...]
    enclosures: tuple[Enclosure, ...]
    sentences: Sentences
    fixed: Mapping[str, Any]
    """What every row's context holds besides its own fields."""
    body: str
    """The letter's text as its author wrote it."""
    at: Origin
    """Where it begins."""
    handmade: bool
    """Whether the author wrote HTML or plain text apart, so that there may be no other."""

    @property
    def parts(self) -> tuple[Part, ...]:
        own = [self.subject, self.text, self.html, *self.blocks, *([self.to_name] if self.to_name else [])]
        return (*own, *(part for enclosure in self.enclosures for part in enclosure.parts))
