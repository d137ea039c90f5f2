"""Steps 1 to 3: read the list, load the letter, and render every message once before any is sent."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mailer import contacts, merge, mime, suppression
from mailer.campaign.frozen import Recorded
from mailer.campaign.notes import Blanks, check_size, in_list, problems_of, skipped
from mailer.campaign.sealing import (
    SEALED_DATE,
    SOURCES,
    contact_digest,
    fingerprint,
    lookup_folders,
    manifest_of,
    written,
)
from mailer.campaign.source import Source
from mailer.errors import LetterError
from mailer.ledger import Row
from mailer.model import Contact, Identity, Letter, Manifest, Message, Problem, Severity, SkippedRow, Status

Progress = Callable[[int, int], None]
"""Called with how many of how many are done."""


def silent(_done: int, _total: int) -> None:
    """Watch no progress."""


@dataclass(kw_only=True, slots=True)
class Plan:
    """A campaign that could be sent: every message was rendered once, and what is wrong is known.

    `fingerprints` stand in the order of the contacts (0 for a row without a message): a number each, so that a million
    contacts cost eight megabytes.
    """

    name: str
    template: merge.Template
    contacts: contacts.ContactList
    identity: Identity
    manifest: Manifest
    files: Recorded
    secret: bytes
    problems: list[Problem]
    warnings: list[Problem]
    unrendered: dict[str, SkippedRow] = field(default_factory=dict)
    fingerprints: array[int] = field(default_factory=lambda: array("q"))

    @property
    def seal(self) -> str:
        return self.manifest.seal

    def ready(self) -> Iterator[Contact]:
        """The contacts whose message can be sent."""
        return (contact for contact in self.contacts if contact.key not in self.unrendered)

    def mailed(self, suppressed: Mapping[str, str]) -> Iterator[Contact]:
        """The contacts whose message would be sent now."""
        return (contact for contact, reason in suppression.screen(self.ready(), suppressed) if reason is None)

    @property
    def unsendable(self) -> bool:
        """Whether the letter itself is wrong, or no row is left."""
        return not self.manifest.messages or next(self.ready(), None) is None

    def compose(self, contact: Contact, letter: Letter, date: datetime = SEALED_DATE) -> Message:
        """The message of a letter that was merged already."""
        identifier = self.message_id(contact, letter.identity)
        return mime.compose(letter, contact=contact, message_id=identifier, date=date)

    def message_id(self, contact: Contact, identity: Identity | None = None) -> str:
        """The same for every retry, and different in every ledger; in the domain that the letter is from."""
        identity = identity or self.template.identity_for(contact.language, self.identity)
        return mime.message_id(self.secret, self.name, contact.key, identity.sender.domain)

    def digests(self) -> dict[str, str]:
        """A digest of each contact's details by key, to tell later who is new, gone or changed."""
        return {contact.key: contact_digest(contact) for contact in self.contacts}

    def rows(self, suppressed: Mapping[str, str]) -> Iterator[Row]:
        """Everybody on the list, with what was decided about them: nobody disappears without a reason."""
        screened = suppression.screen(self.contacts, suppressed)
        for (contact, reason), digest in zip(screened, self.fingerprints, strict=True):
            identifier = self.message_id(contact)
            # by their key, so that the same person is not counted twice once the letter or the row was mended
            if flawed := self.unrendered.get(contact.key):
                yield Row(contact=contact, message_id=identifier, status=Status.SKIPPED, reason=flawed.reason)
            elif reason is None:
                yield Row(contact=contact, message_id=identifier, digest=digest)
            else:
                yield Row(
                    contact=contact, message_id=identifier, status=Status.SUPPRESSED, reason=reason, digest=digest
                )
        for bad in self.contacts.bad_rows:
            # what stood in the cell, so that the row is found again in the report; without a key nobody mails it
            cell = bad.fields.get(self.contacts.email_column.name, "")
            contact = Contact(address=bad.address or cell, key="", row=bad.row, fields=bad.fields)
            yield Row(contact=contact, message_id="", status=Status.SKIPPED, reason=bad.reason, usable_address=False)


def make_plan(
    source: Source,
    identity: Identity,
    secret: bytes,
    *,
    on_progress: Progress = silent,
) -> Plan:
    """Read, check and render everything. Problems are collected in the plan; nothing is sent or recorded.

    Raises ListError or LetterError where there is nothing to render at all.
    """
    files = Recorded(source.folder)
    template = merge.load(source.template, files)
    # what is read for a row later on is an attachment, whatever its name
    sources = {path for path in files.digests if Path(path).suffix.lower() in SOURCES}
    people = read_list(source, template)
    flaws = template.check([column.name for column in people.columns])
    plan = Plan(
        name=source.name,
        template=template,
        contacts=people,
        identity=identity,
        manifest=manifest_of(source, template, people, files, identity, sources=sources),
        files=files,
        secret=secret,
        problems=[flaw for flaw in flaws if flaw.severity is Severity.PROBLEM] + list(people.problems),
        warnings=[flaw for flaw in flaws if flaw.severity is Severity.WARNING] + list(people.warnings),
    )
    if all(flaw.severity is Severity.WARNING for flaw in flaws):
        messages, senders = _render_all(plan, on_progress)
        plan.manifest = manifest_of(
            source, template, people, files, identity, sources=sources, messages=messages, senders=senders
        )
    return plan


def read_list(source: Source, template: merge.Template) -> contacts.ContactList:
    """The list, joined with the letter's look-up tables and checked for its required fields."""
    return contacts.read(
        source.list_path,
        email_column=source.email_column,
        sheet=source.sheet,
        required=template.front.required,
        lookups=template.front.lookups,
        lookup_folders=lookup_folders(source, template),
    )


def _render_all(plan: Plan, on_progress: Progress) -> tuple[str, set[str]]:
    """Render every message and note the rows that fail.

    Returns a digest of all messages that does not depend on their order, and everybody that they are from.
    """
    total, combined = len(plan.contacts), 0
    blanks = Blanks(plan.warnings)
    senders: set[str] = set()
    path = str(plan.contacts.path)
    for done, contact in enumerate(plan.contacts, start=1):
        on_progress(done, total)
        try:
            letter, warnings = plan.template.merge_with_warnings(contact, plan.identity)
            message = plan.compose(contact, letter)
            check_size(contact, len(message.content))
        except LetterError as error:
            found = problems_of(contact, error)
            plan.problems.extend(in_list(path, problem) for problem in found)
            plan.unrendered[contact.key] = skipped(contact, found)
            plan.fingerprints.append(0)
            continue
        plan.warnings.extend(in_list(path, warning) for warning in warnings)
        blanks.look_at(contact)
        senders.add(written(letter.identity.sender))
        plan.fingerprints.append(fingerprint(message))
        combined += plan.fingerprints[-1]
    plan.warnings = blanks.told(plan.warnings)
    return hashlib.sha256(f"{combined} {len(plan.fingerprints) - len(plan.unrendered)}".encode()).hexdigest(), senders
