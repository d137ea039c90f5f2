"""Steps 1 to 3: read the list, load the letter, and render every message once before any is sent."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from mailer import contacts, merge, mime, suppression
from mailer.campaign import presses
from mailer.campaign.frozen import Recorded
from mailer.campaign.marks import marker
from mailer.campaign.notes import told, unaligned, watched
from mailer.campaign.prints import Prints
from mailer.campaign.rendering import TOKEN, Job, Press, Rendered
from mailer.campaign.sealing import (
    SEALED_DATE,
    SOURCES,
    completed,
    contact_digest,
    faces_of,
    lookup_folders,
    manifest_of,
)
from mailer.campaign.source import Source
from mailer.ledger import Ledger, Row
from mailer.model import (
    Contact,
    Findings,
    Held,
    Identity,
    Letter,
    Manifest,
    Marks,
    Message,
    Problem,
    Severity,
    SkippedRow,
    Status,
    said,
)

WAY_OUT = "unsubscribe"
"""The code of what preflight says of it, too: it is told once."""

MANY = 50
"""People: to more than these nothing is sent that does not show them how to get no more of it."""

Progress = Callable[[int, int], None]
"""Called with how many of how many are done."""


def silent(_done: int, _total: int) -> None:
    """Watch no progress."""


@dataclass(kw_only=True, slots=True)
class Plan:
    """A campaign that could be sent: every message was rendered once, and what is wrong is known.

    `fingerprints` and `tokens` stand in the order of the contacts, as `rendering.Rendered` has them: a million contacts
    cost forty megabytes. `largest` is the length in octets of the message that is probably the longest.
    """

    name: str
    template: merge.Template
    contacts: contacts.ContactList
    identity: Identity
    manifest: Manifest
    files: Recorded
    secret: bytes
    problems: Findings
    warnings: Findings
    unrendered: Mapping[str, SkippedRow] = field(default_factory=dict)
    fingerprints: array[int] = field(default_factory=lambda: array("q"))
    tokens: bytearray = field(default_factory=bytearray)
    largest: int = 0
    without_way_out: tuple[str, ...] = ()
    """Languages of the letter in which nobody sees how to get no more of them."""
    sources: frozenset[str] = frozenset()
    """What the letter itself is made of; other files that a message needs are attachments."""
    doubts: tuple[Problem, ...] = ()
    """Warnings about the letter, before it is known which of them come true in some row."""
    flawed: bool = False
    """Whether the letter itself is wrong, so that nothing can be rendered."""
    erased_found: tuple[Mapping[bytes, Mapping[bytes, Held]], Mapping[str, Held]] | None = None
    """Hashes, and who of the contacts was found by them."""

    @property
    def seal(self) -> str:
        return self.manifest.seal

    def ready(self) -> Iterator[Contact]:
        """The contacts whose message can be sent."""
        return (contact for contact in self.contacts if contact.key not in self.unrendered)

    def mailed(self, suppressed: Mapping[str, Held]) -> Iterator[Contact]:
        """The contacts whose message would be sent now."""
        return (contact for contact, reason in suppression.screen(self.ready(), suppressed) if reason is None)

    def mailed_keys(self, suppressed: Mapping[str, Held]) -> Iterator[str]:
        """Their keys: for a million, made in a tenth of the time."""
        ready = self._ready_keys()
        return (key for key in ready if suppression.reason(key, suppressed) is None) if suppressed else ready

    def suppressed_keys(self, suppressed: Mapping[str, Held]) -> Iterator[str]:
        """The keys of those whose message could be sent, if they were not suppressed."""
        if not suppressed:
            return iter(())
        return (key for key in self._ready_keys() if suppression.reason(key, suppressed) is not None)

    def held_back(self, ledger: Ledger) -> Mapping[str, Held]:
        """Why not to mail an address or @domain, by what the ledger says now of this list.

        Among the contacts those are found who were suppressed and then erased: hashed once, while nothing changes about them.
        """
        suppressed = ledger.suppressions(suppression.list_name(self.manifest.list_name))
        if not suppressed.erased:
            return suppressed.entries
        if self.erased_found is None or self.erased_found[0] != suppressed.erased:
            keys = self.contacts.keys()
            self.erased_found = suppressed.erased, suppression.found_among(keys, suppressed)
        return {**self.erased_found[1], **suppressed.entries}

    def _ready_keys(self) -> Iterator[str]:
        keys = self.contacts.keys()
        return (key for key in keys if key not in self.unrendered) if self.unrendered else keys

    @property
    def unsendable(self) -> bool:
        """Whether the letter itself is wrong, or no row is left."""
        return not self.manifest.messages or next(self.ready(), None) is None

    def compose(self, contact: Contact, letter: Letter, date: datetime = SEALED_DATE) -> Message:
        """The message of a letter that was merged already."""
        identifier = self.message_id(contact)
        return mime.compose(letter, contact=contact, message_id=identifier, date=date)

    def message_id(self, contact: Contact) -> str:
        """The same for every retry, whatever it leaves over, and different in every ledger; in the domain that the letter is from."""
        return self._message_id(contact.key, contact.language)

    def _message_id(self, key: str, language: str | None) -> str:
        identity = self.template.identity_for(language, self.identity)
        return mime.message_id(self.secret, self.name, key, identity.sender.domain)

    def speakers(self) -> dict[str, Identity]:
        """Who the letter is from over each relay that has an identity of its own."""
        return {relay: self.template.identity_for(None, face) for relay, face in self.identity.faces}

    def marker(self, *, preview: bool = False, identity: Identity | None = None) -> Callable[[Contact], Marks]:
        """A function that gives the tokens in a contact's message, or those that stand for them in a preview."""
        marks_of = marker(self.secret, identity or self.identity, preview=preview)
        return lambda contact: marks_of(mime.delivery_token(self.secret, self.name, contact.key))

    def digests(self) -> dict[str, str]:
        """A digest of each contact's details by key, to tell later who is new, gone or changed."""
        return {contact.key: contact_digest(contact) for contact in self.contacts}

    def rows(self, suppressed: Mapping[str, Held]) -> Iterator[Row]:
        """Everybody on the list, with what was decided about them: nobody disappears without a reason."""
        unrendered, tokens, at = self.unrendered, self.tokens.decode("ascii"), 0
        domains: dict[str | None, str] = {}
        for contact, digest, zone in zip(self.contacts.packed(), self.fingerprints, self.contacts.zones(), strict=True):
            language = contact.language
            if language not in domains:
                domains[language] = self._message_id(contact.key, language).partition("@")[2]
            # by their key, so that the same person is not counted twice once the letter or the row was mended
            if contact.key in unrendered:
                identifier = self._message_id(contact.key, language)
                yield Row(contact, identifier, Status.SKIPPED, unrendered[contact.key].reason, zone=zone)
            else:
                identifier = f"<{tokens[at : at + TOKEN]}@{domains[language]}"
                reason = suppression.reason(contact.key, suppressed) if suppressed else None
                status = Status.QUEUED if reason is None else Status.SUPPRESSED
                yield Row(contact, identifier, status, reason.words if reason else "", digest, zone=zone)
            at += TOKEN
        for bad in self.contacts.bad_rows:
            # what stood in the cell, so that the row is found again in the report; without a key nobody mails it
            cell = bad.fields.get(self.contacts.email_column.name, "")
            nobody = Contact(address=bad.address or cell, key="", row=bad.row, fields=bad.fields)
            yield Row(nobody, "", Status.SKIPPED, bad.reason, usable_address=False)


def make_plan(
    source: Source,
    identity: Identity,
    secret: bytes,
    *,
    on_progress: Progress = silent,
    processes: int | None = None,
) -> Plan:
    """Read, check and render everything. Problems are collected in the plan; nothing is sent or recorded.

    A long list is rendered in several `processes`, as many as are worth it if none are named; what comes out is the same.

    Raises ListError or LetterError where there is nothing to render at all.
    """
    with presses.standing_by(source.list_path) if processes is None else nullcontext() as crew:
        plan = begin_plan(source, identity, secret)
        complete_plan(plan, source, on_progress=on_progress, processes=processes, crew=crew)
    return plan


def begin_plan(source: Source, identity: Identity, secret: bytes) -> Plan:
    """Read the list and load the letter: who would get what is known, but not yet whether every message can be made.

    Raises ListError or LetterError where there is nothing to render at all.
    """
    files = Recorded(source.folder)
    template = merge.load(source.template, files)
    # what is read for a row later on is an attachment, whatever its name
    sources = {path for path in files.digests if Path(path).suffix.lower() in SOURCES}
    people = read_list(source, template)
    flaws = template.check([column.name for column in people.columns])
    odd = tuple(flaw for flaw in flaws if flaw.severity is Severity.WARNING)
    return Plan(
        name=source.name,
        template=template,
        contacts=people,
        identity=identity,
        manifest=manifest_of(source, template, people, files, identity, sources=sources),
        files=files,
        secret=secret,
        problems=_together([flaw for flaw in flaws if flaw.severity is Severity.PROBLEM], people.problems),
        warnings=_together(odd, people.warnings),
        sources=frozenset(sources),
        doubts=odd,
        flawed=len(odd) < len(flaws),
    )


def complete_plan(
    plan: Plan,
    source: Source,
    *,
    on_progress: Progress = silent,
    processes: int | None = None,
    crew: presses.Crew | None = None,
) -> None:
    """Render everything, as `make_plan` does; nothing where the letter itself is wrong. `crew`: processes that stand by."""
    if plan.flawed:
        return
    people = plan.contacts
    made = _render_all(plan, source, on_progress, processes or _worth(plan), crew or presses.Crew())
    plan.fingerprints, plan.tokens, plan.unrendered = made.fingerprints, made.tokens, made.unrendered
    plan.largest = made.largest
    plan.without_way_out = tuple(language for language, shown in made.shows_way_out.items() if not shown)
    plan.problems.extend(made.problems)
    plan.warnings = _together(
        told(plan.doubts, made.blank),
        _without_way_out(plan),
        unaligned(made.senders),
        people.warnings,
        made.warnings,
    )
    plan.manifest = completed(
        plan.manifest,
        plan.files,
        messages=_digest(made),
        senders={sender for sender, _ in made.senders},
        sources=plan.sources,
    )


def _without_way_out(plan: Plan) -> Iterator[Problem]:
    if plan.without_way_out and len(plan.contacts) > MANY:
        yield Problem(
            code=WAY_OUT,
            message=said(
                "the letter does not show how to get no more of them; to more than {many} people it is not sent so.",
                many=MANY,
            ),
            severity=Severity.WARNING,
            hint=way_out(plan.identity),
        )


def way_out(identity: Identity) -> str:
    """What to write, and where, so that every reader sees how to get no more letters."""
    if identity.unsubscribe_url or identity.unsubscribe_mailto:
        return "Write {{ footer }} where your letter.html, letter.txt or layout.html ends; it holds the link"
    return 'Write into mailer.toml an address that you read: unsubscribe_mailto = "YOU@YOUR-DOMAIN?subject=unsubscribe"'


def _together(*parts: Iterable[Problem]) -> Findings:
    found = Findings()
    for part in parts:
        found.extend(part)
    return found


def read_list(source: Source, template: merge.Template) -> contacts.ContactList:
    """The list, joined with the letter's look-up tables and checked for its required fields."""
    return contacts.read(
        source.list_path,
        email_column=source.email_column,
        sheet=source.sheet,
        required=template.front.required,
        lookups=template.front.lookups,
        lookup_folders=lookup_folders(source, template),
        unlock=source.unlock,
        time_zones=source.timing.time_zones,
    )


def _worth(plan: Plan) -> int:
    """How many processes its list is worth: that depends on whether its messages need be made."""
    first = next(iter(plan.contacts), None)
    quick = first is not None and Prints(plan.template, faces_of(plan.identity)).of(first) is not None
    return presses.worth(len(plan.contacts), quick=quick)


def _render_all(plan: Plan, source: Source, on_progress: Progress, processes: int, crew: presses.Crew) -> Rendered:
    fields = watched(plan.doubts)
    # a letter from elsewhere on the disk is read through its own folder, which another process does not know
    if processes > 1 and plan.files.is_whole:
        job = Job(
            template=source.template,
            folder=source.folder,
            digests=dict(plan.files.digests),
            tables=plan.contacts.tables,
            identity=plan.identity,
            secret=plan.secret,
            campaign=plan.name,
            list_path=str(plan.contacts.path),
            watched=fields,
        )
        sheet = crew.render(job, plan.contacts, processes, on_progress)
        if sheet and plan.files.note(sheet.digests):
            return sheet.rendered
    press = Press(
        template=plan.template,
        identity=plan.identity,
        secret=plan.secret,
        campaign=plan.name,
        list_path=str(plan.contacts.path),
        watched=fields,
    )
    counted, total = count(1), len(plan.contacts)
    return press.render(plan.contacts, lambda: on_progress(next(counted), total))


def _digest(made: Rendered) -> str:
    """Over all messages, whatever their order."""
    number = len(made.fingerprints) - len(made.unrendered)
    return hashlib.sha256(f"{sum(made.fingerprints)} {number}".encode()).hexdigest()
