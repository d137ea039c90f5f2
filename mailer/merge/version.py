"""One language of a letter, compiled: its parts, files and what they read besides a row's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mailer.merge.attachments import Enclosure
from mailer.merge.complaints import Origin
from mailer.merge.front import FrontMatter
from mailer.merge.layout import UNSUBSCRIBE, Sentences
from mailer.merge.part import Part
from mailer.merge.straight import Straight, straight
from mailer.model import Attachment, Identity

RESERVED = frozenset(
    [
        UNSUBSCRIBE,
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


class Quick(NamedTuple):
    """A letter whose parts are all straight, with what travels along."""

    straight: Straight
    attachments: tuple[Attachment, ...]
    required: Sequence[str]
    mark: str
    """What stands for the token of a contact's unsubscribe link where nobody's is meant; blank if the identity has none."""


class Fitted(NamedTuple):
    """A version for the letters of one identity, so that what the footer says of it is constant text."""

    given: Identity
    identity: Identity
    fixed: Mapping[str, Any]
    """What every row's context holds besides its own fields."""
    subject: Part
    text: Part
    html: Part
    quick: Quick | None


class Words(NamedTuple):
    """All that a letter of straight parts says of one contact; the rest is the same for everybody whose letter it is."""

    values: Sequence[str]
    of: Fitted
    language: str


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
    """What every row's context holds besides its own fields and what the identity adds."""
    body: str
    """The letter's text as its author wrote it."""
    at: Origin
    """Where it begins."""
    handmade: bool
    """Whether the author wrote HTML or plain text apart, so that there may be no other."""

    def fitted(self, given: Identity, effective: Identity) -> Fitted:
        """The version for the letters of one identity. `given` is that of the campaign, before the front matter."""
        sender = {"name": effective.sender.name, "address": effective.sender.address}
        footer = self.sentences.values(effective)
        constants = {"sender": sender, "footer_": footer}
        subject, text, html = (part.fitted(constants) for part in (self.subject, self.text, self.html))
        return Fitted(
            given,
            effective,
            {**self.fixed, **constants},
            subject,
            text,
            html,
            self._quick(effective, subject, text, html),
        )

    def _quick(self, identity: Identity, subject: Part, text: Part, html: Part) -> Quick | None:
        if self.to_name or not all(enclosure.fixed for enclosure in self.enclosures):
            return None
        items = [found for part in (subject, text, html) if (found := part.items(RESERVED - {UNSUBSCRIBE})) is not None]
        if len(items) < 3:
            return None
        attachments = (*self.images, *(enclosure.fixed for enclosure in self.enclosures if enclosure.fixed))
        mark = UNSUBSCRIBE if identity.has_marked_links else ""
        return Quick(straight(self.subject.env, *items), attachments, self.front.required, mark)

    @property
    def parts(self) -> tuple[Part, ...]:
        own = [self.subject, self.text, self.html, *self.blocks, *([self.to_name] if self.to_name else [])]
        return (*own, *(part for enclosure in self.enclosures for part in enclosure.parts))
