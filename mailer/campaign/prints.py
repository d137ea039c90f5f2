"""Fingerprints of messages that need not be made: of letters in which the words of one contact are put between constant pieces.

What such a message is follows from the letter, whose constant pieces are made into messages once, with words of all kinds in the place of
a contact's, and from those words. So its fingerprint is over the bytes of these specimens and the contact's own words. Two
messages that differ have different ones; if another version of mailer writes messages otherwise, its specimens tell.

A message that is not made cannot fail, so only those are let through of which nothing can be wrong: few words without control characters,
an ordinary address, a subject. All others are made, and their fingerprint is over their bytes (`sealing.fingerprint`).
"""

from __future__ import annotations

import hashlib
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from mailer import merge, mime
from mailer.campaign.notes import MAX_MESSAGE_BYTES
from mailer.campaign.sealing import SEALED_DATE, fingerprint, together
from mailer.errors import LetterError
from mailer.model import Contact, Identity, Mailbox

if TYPE_CHECKING:
    from mailer.merge.version import Fitted, Words

MOST = 2000
"""Characters: whoever has more words than these is looked at in full."""

LONGEST_FORM = 20
"""Octets that a character takes at most: four of UTF-8, each three of quoted-printable, or five of an entity; and the line ends."""

SPECIMENS = (
    "Ada{}.",
    "Zo\u00eb & <'Li\"l'> ={}.",
    "From {}.",
    ".{}." + "w" * 90,
    "\u0416\u0434\u0430\u043d{}. ",
    "x y" * 40 + "{}.",
    "",
)
"""Words that show how values are written: as they are, encoded, as HTML, at the beginning of a line, across several, and not at all. Each has
the number of its value in it, so that none stands in the place of another.
"""

NOBODY = Contact(address="somebody@example.org", key="somebody@example.org", row=1)
DELIVERY = "specimen" * 4
"""In place of the token of a Message-ID."""

KEPT = 64


class Print(NamedTuple):
    """A message's fingerprint, about how many octets the contact's own words take in it, and the language of the letter."""

    number: int
    own: int
    language: str


class Prints:
    """The fingerprints of one letter's messages, in all the faces that they may have."""

    def __init__(self, template: merge.Template, faces: tuple[Identity, ...]) -> None:
        self._template = template
        self._faces = faces
        self._known: dict[int, tuple[Fitted, bytes | None]] = {}

    def of(self, contact: Contact) -> Print | None:
        """Of a contact's message; None if it has to be made, to be looked at."""
        if not mime.is_ordinary(contact.address):
            return None
        if len(self._faces) == 1:
            return self._of_face(self._faces[0], contact)
        found = [self._of_face(face, contact) for face in self._faces]
        prints = [one for one in found if one is not None]
        if len(prints) < len(found):
            return None
        return prints[0]._replace(number=together([one.number for one in prints]))

    def _of_face(self, identity: Identity, contact: Contact) -> Print | None:
        words = self._template.words(contact, identity)
        if words is None:
            return None
        known = self._known.get(id(words.of))
        mould = known[1] if known else self._learn(words)
        if mould is None:
            return None
        own = [contact.address, contact.name, *words.values]
        text = "".join(own)
        # by a set of our own and not by str.isprintable(), which knows more in each version of Python: a seal is the same in all of them
        if len(text) > MOST or mime.CONTROL.search(text):
            return None
        # none of them holds a zero byte, which is a control character
        digest = hashlib.sha256(mould + "\0".join(own).encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        return Print(number, _octets(words, ascii_only=text.isascii()), words.language)

    def _learn(self, words: Words) -> bytes | None:
        """What its messages have in common, as a digest; None if something might be wrong with one of them."""
        if len(self._known) >= KEPT:
            self._known.clear()
        try:
            mould = self._mould(words)
        except (LetterError, OverflowError):
            # it is told with the first row
            mould = None
        # what is known keeps its id from being reused
        self._known[id(words.of)] = words.of, mould
        return mould

    def _mould(self, words: Words) -> bytes | None:
        quick = words.of.quick
        assert quick is not None
        # the name of a contact stands in the To header
        room = min(MAX_MESSAGE_BYTES, merge.MAX_LENGTH) - (sum(quick.straight.uses) + 1) * MOST * LONGEST_FORM
        if room < 0:
            return None
        sender = words.of.identity.sender
        identifier = mime.message_id_of(DELIVERY, sender.domain)
        whole = hashlib.sha256()
        longest = 0
        for first in range(len(SPECIMENS)):
            values = [SPECIMENS[(first + at) % len(SPECIMENS)].format(at) for at in range(quick.straight.count)]
            to = Mailbox(NOBODY.address, SPECIMENS[first].format(""))
            letter = self._template.specimen(words.of, values, to, words.language)
            message = mime.compose(letter, contact=NOBODY, message_id=identifier, date=SEALED_DATE)
            whole.update(fingerprint(message).to_bytes(8, "big", signed=True))
            longest = max(longest, len(message.content))
        return whole.digest() if longest <= room else None


def _octets(words: Words, *, ascii_only: bool) -> int:
    """About how many a contact's own words take in its message, in all places where they stand."""
    quick, values = words.of.quick, words.values
    assert quick is not None
    lengths = map(len, values) if ascii_only else (len(v) if v.isascii() else 3 * len(v.encode()) for v in values)
    return sum(map(mul, quick.straight.uses, lengths))
