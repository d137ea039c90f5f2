"""Step 3: every message is rendered once before any is sent, and what is wrong with a row is noted."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from mailer import contacts, merge, mime
from mailer.campaign.marks import marker, shows_way_out
from mailer.campaign.notes import check_size, in_list, problems_of, skipped
from mailer.campaign.prints import Print, Prints
from mailer.campaign.sealing import SEALED_DATE, faces_of, fingerprint, together, written
from mailer.errors import LetterError
from mailer.model import Contact, Findings, Identity, Letter, Marks, Message, Problem, SkippedRow

TOKEN = 32
"""Characters of a Message-ID between `<` and `@`."""

BLANK = b" " * TOKEN


@dataclass(kw_only=True, slots=True)
class Rendered:
    """What came of rendering some contacts, in their order.

    `fingerprints` has a number for each, 0 for a row without a message, so that a million cost eight megabytes; `tokens`
    what their Message-IDs begin with, TOKEN octets each, blank for such a row; `unrendered` the rows without one by key;
    `blank` for each field that was to be watched the rows where it is empty: how many, and the first; `longest` the length in octets of the
    longest of those messages that had to be made; `likely` of the others the one that is probably the longest: how long it seemed,
    and how long it is.
    """

    fingerprints: array[int] = field(default_factory=lambda: array("q"))
    tokens: bytearray = field(default_factory=bytearray)
    problems: Findings = field(default_factory=Findings)
    warnings: Findings = field(default_factory=Findings)
    unrendered: dict[str, SkippedRow] = field(default_factory=dict)
    # everybody the messages are from, with the domains that sign then
    senders: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    blank: dict[str, tuple[int, int]] = field(default_factory=dict)
    longest: int = 0
    likely: tuple[int, int] = (-1, 0)
    # for each language whether its first letter says how to get no more of them
    shows_way_out: dict[str, bool] = field(default_factory=dict)

    @property
    def largest(self) -> int:
        """The length of the longest message in octets, as far as it is known."""
        return max(self.longest, self.likely[1])

    def leave_out(self, contact: Contact, problems: Iterable[Problem], list_path: str, at: int) -> None:
        """Note that the contact at this place gets no message, and why."""
        found = list(problems)
        self.problems.extend(in_list(list_path, problem) for problem in found)
        self.unrendered[contact.key] = skipped(contact, found)
        self.fingerprints[at] = 0
        self.tokens[at * TOKEN : (at + 1) * TOKEN] = BLANK

    def add(self, more: Rendered) -> None:
        """Take in what came of the contacts that follow."""
        self.fingerprints.extend(more.fingerprints)
        self.tokens.extend(more.tokens)
        self.problems.extend(more.problems)
        self.warnings.extend(more.warnings)
        self.unrendered.update(more.unrendered)
        self.senders |= more.senders
        self.longest = max(self.longest, more.longest)
        self.likely = max(self.likely, more.likely, key=itemgetter(0))
        for language, shown in more.shows_way_out.items():
            self.shows_way_out[language] = shown and self.shows_way_out.get(language, True)
        for name, (count, first) in more.blank.items():
            before, earlier = self.blank.get(name, (0, first))
            self.blank[name] = (before + count, earlier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What all messages that another process renders have in common. `digests` are those of the letter's files as the program read them."""

    template: str
    folder: Path
    digests: dict[str, str]
    tables: contacts.Tables
    identity: Identity
    secret: bytes
    campaign: str
    list_path: str
    watched: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """What came of a slice, and the digests of files that were read for it, such as attachments of single rows."""

    rendered: Rendered
    digests: dict[str, str]


class _Likely(NamedTuple):
    """Whose message is probably the longest of those that need not be made: how long it seems, and in which place of the list."""

    octets: int = -1
    at: int = -1
    contact: Contact | None = None
    delivery: str = ""


class _Face:
    """Makes messages as one identity, and notes whom they are from and who signs them."""

    def __init__(self, press: Press, identity: Identity) -> None:
        self._template = press.template
        self._given = identity
        self._marks_of = marker(press.secret, identity)
        self._met: Identity | None = None
        self._signers = tuple(sorted({signature.domain.lower() for signature in identity.signatures}))
        self.senders: set[tuple[str, tuple[str, ...]]] = set()

    def message(
        self, contact: Contact, delivery: str, identifier: str | None = None
    ) -> tuple[Letter, tuple[Problem, ...], Message, Marks]:
        """The message to a contact. Its Message-ID is the same in all faces, that of the first: a retry may leave over any."""
        marks = self._marks_of(delivery)
        letter, warnings = self._template.merge_with_warnings(contact, self._given, marks)
        identifier = identifier or mime.message_id_of(delivery, letter.identity.sender.domain)
        message = mime.compose(letter, contact=contact, message_id=identifier, date=SEALED_DATE)
        if letter.identity is not self._met:
            self._met = letter.identity
            self.senders.add((written(letter.identity.sender), self._signers))
        return letter, warnings, message, marks

    def fingerprint(self, contact: Contact, delivery: str, identifier: str) -> int:
        _, _, message, marks = self.message(contact, delivery, identifier)
        return fingerprint(message, marks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Press:
    """Makes the messages of a campaign. `list_path` is where the contacts come from, as problems name it."""

    template: merge.Template
    identity: Identity
    secret: bytes
    campaign: str
    list_path: str
    watched: tuple[str, ...] = ()

    def render(self, people: Iterable[Contact], on_message: Callable[[], None] = lambda: None) -> Rendered:
        """Render a message for each, and keep of it only what tells whether another is the same.

        Where the letter's constant pieces and a contact's words tell that, and that nothing can be wrong, the message need not be made;
        the first in each language is.
        """
        made = Rendered()
        faces = [_Face(self, identity) for identity in faces_of(self.identity)]
        prints = Prints(self.template, faces_of(self.identity))
        likely = _Likely()
        for at, contact in enumerate(people):
            on_message()
            delivery = mime.delivery_token(self.secret, self.campaign, contact.key)
            known = prints.of(contact)
            made.fingerprints.append(known.number if known else 0)
            made.tokens += delivery.encode()
            if known and (octets := known.octets) > likely.octets:
                likely = _Likely(octets, at, contact, delivery)
            if known is None or known.language not in made.shows_way_out:
                try:
                    self._make(made, faces, contact, delivery, known)
                except LetterError as error:
                    made.leave_out(contact, problems_of(contact, error), self.list_path, at)
                    continue
            if self.watched:
                self._look_for_blanks(made, contact)
        for face in faces:
            made.senders |= face.senders
        if likely.contact:
            self._measure(made, faces[0], likely.contact, likely)
        return made

    def _make(
        self, made: Rendered, faces: Sequence[_Face], contact: Contact, delivery: str, known: Print | None
    ) -> None:
        """Make a contact's message in all its faces, and note what there is to say of it. Raises LetterError."""
        letter, warnings, message, marks = faces[0].message(contact, delivery)
        check_size(contact, length := len(message.content))
        others = [face.fingerprint(contact, delivery, message.message_id) for face in faces[1:]]
        if known is None:
            made.fingerprints[-1] = together([fingerprint(message, marks), *others])
            made.longest = max(made.longest, length)
        if warnings:
            made.warnings.extend(in_list(self.list_path, warning) for warning in warnings)
        if letter.language not in made.shows_way_out:
            made.shows_way_out[letter.language] = shows_way_out(letter)

    def _measure(self, made: Rendered, face: _Face, contact: Contact, likely: _Likely) -> None:
        """Make the message that is probably the longest of those that need not be made."""
        if contact.key in made.unrendered:
            return
        try:
            _, _, message, _ = face.message(contact, likely.delivery)
        except LetterError as error:
            made.leave_out(contact, problems_of(contact, error), self.list_path, likely.at)
        else:
            made.likely = likely.octets, len(message.content)

    def _look_for_blanks(self, made: Rendered, contact: Contact) -> None:
        for name in self.watched:
            if not contact.fields.get(name):
                count, first = made.blank.get(name, (0, contact.row))
                made.blank[name] = (count + 1, first)
