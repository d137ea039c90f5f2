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
from mailer.model import Attachment, Contact, Identity, Letter, Mailbox, Marks

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

    def values(self, contact: Contact, unsubscribe: str) -> Sequence[str] | None:
        """What the letter says of this contact alone, or None where the long way tells what is wrong, where and why."""
        fields = contact.fields
        try:
            for name in self.required:
                if not fields[name]:
                    return None
            values = self.straight.values({**fields, UNSUBSCRIBE: unsubscribe})
        except Exception:  # noqa: BLE001  # whatever it is
            return None
        return values if self.straight.has_subject(values) else None

    def values_again(self, values: Sequence[str], contact: Contact, unsubscribe: str) -> Sequence[str] | None:
        """The same where they are known but for the token, in whose place the mark stands."""
        at = self.straight.token_at
        if unsubscribe == self.mark:
            return values
        if at is None or not unsubscribe:
            return self.values(contact, unsubscribe)
        return [*values[:at], unsubscribe, *values[at + 1 :]]

    def letter(
        self, values: Sequence[str], language: str, identity: Identity, contact: Contact, marks: Marks
    ) -> Letter | None:
        """A contact's letter, or None where the long way has something to say about it."""
        try:
            subject, text, html = self.straight.fill(values)
        except OverflowError:
            return None
        to = Mailbox(contact.address, contact.name)
        return Letter(subject, text, html, language, identity, to, self.attachments, marks)


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
        return Quick(straight(self.subject.env, UNSUBSCRIBE, *items), attachments, self.front.required, mark)

    @property
    def parts(self) -> tuple[Part, ...]:
        own = [self.subject, self.text, self.html, *self.blocks, *([self.to_name] if self.to_name else [])]
        return (*own, *(part for enclosure in self.enclosures for part in enclosure.parts))
