"""Fingerprints of messages that need not be made: of letters in which the words of one contact are put between constant pieces.

What such a message is follows from the letter, whose constant pieces are made into messages once, with words of all kinds in the place of
a contact's, and from those words. So its fingerprint is over the bytes of these specimens and the contact's own words. Two
messages that differ have different ones; if another version of mailer writes messages otherwise, its specimens tell.

A message that is not made cannot fail, so only those are let through of which nothing can be wrong: few words without control characters,
an ordinary address, a subject. All others are made, and their fingerprint is over their bytes (`sealing.fingerprint`).
"""

from __future__ import annotations

import hashlib
import re
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

LONGER = re.compile("[=&<>\"'\x80-\U0010ffff]")
"""What takes more than one octet in a message, or in its HTML."""


class Mould(NamedTuple):
    """What a letter's messages have in common: a digest of it, and how many octets."""

    digest: bytes
    octets: int


class Print(NamedTuple):
    """A message's fingerprint, and what it is made of."""

    number: int
    mould: Mould
    words: Words

    @property
    def language(self) -> str:
        """That of the letter."""
        return self.words.language

    @property
    def octets(self) -> int:
        """About how many the message has."""
        return self.mould.octets + _octets(self.words)


class Prints:
    """The fingerprints of one letter's messages, in all the faces that they may have."""

    def __init__(self, template: merge.Template, faces: tuple[Identity, ...]) -> None:
        self._template = template
        self._faces = faces
        self._known: dict[int, tuple[Fitted, Mould | None]] = {}

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
        digest = hashlib.sha256(mould.digest + "\0".join(own).encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        return Print(number, mould, words)

    def _learn(self, words: Words) -> Mould | None:
        """What its messages have in common; None if something might be wrong with one of them."""
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

    def _mould(self, words: Words) -> Mould | None:
        quick = words.of.quick
        assert quick is not None
        # the name of a contact stands in the To header
        room = (sum(quick.straight.uses) + 1) * MOST * LONGEST_FORM
        if room > merge.MAX_LENGTH:
            return None
        identifier = mime.message_id_of(DELIVERY, words.of.identity.sender.domain)
        whole, octets = hashlib.sha256(), 0
        for first in range(len(SPECIMENS)):
            values = [SPECIMENS[(first + at) % len(SPECIMENS)].format(at) for at in range(quick.straight.count)]
            to = Mailbox(NOBODY.address, SPECIMENS[first].format(""))
            letter = self._template.specimen(words.of, values, to, words.language)
            message = mime.compose(letter, contact=NOBODY, message_id=identifier, date=SEALED_DATE)
            if len(message.content) + room > MAX_MESSAGE_BYTES:
                return None
            if max(len(letter.text), len(letter.html)) + room > merge.MAX_LENGTH:
                return None
            whole.update(fingerprint(message).to_bytes(8, "big", signed=True))
            octets = len(message.content) - _octets(words._replace(values=values))
        return Mould(whole.digest(), octets)


def _octets(words: Words) -> int:
    """About how many a contact's own words take in its message, in all places where they stand."""
    quick, values = words.of.quick, words.values
    assert quick is not None
    straight = quick.straight
    if not LONGER.search("".join(values)):
        plain: int = sum(map(mul, straight.uses, map(len, values)))
        return plain
    in_text: int = sum(map(mul, straight.uses_in_text, map(_encoded, values)))
    in_html: int = sum(map(mul, straight.uses_in_html, map(_encoded, map(merge.written_in_html, values))))
    return in_text + in_html


def _encoded(text: str) -> int:
    """Octets as quoted-printable, but for line ends: three for each of UTF-8, and for `=`."""
    if text.isascii():
        return len(text) + 2 * text.count("=")
    return 3 * len(text.encode()) - 2 * len(text.encode("ascii", "ignore")) + 2 * text.count("=")
