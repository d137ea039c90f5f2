"""Steps 1 to 3: read the list, load the letter, and render every message once before any is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from mailer import contacts, merge, mime, suppression
from mailer.campaign.frozen import Recorded
from mailer.errors import LetterError
from mailer.ledger import Row
from mailer.model import Contact, Identity, Letter, Manifest, Message, Problem, Severity, SkippedRow, Status

# The seal covers every message but for its Date, which is set when it leaves.
SEALED_DATE = datetime(2000, 1, 1, tzinfo=UTC)

# What a letter is written in; all other files are attachments. Only for saying which part of a seal changed.
SOURCES = frozenset({".md", ".html", ".txt", ".yaml", ".yml", ".css"})

# Most relays take 10 to 50 MB, and a letter to thousands should be far below; see also the relay's own SIZE.
MAX_MESSAGE_BYTES = 10_000_000

Progress = Callable[[int, int], None]
"""Called with how many of how many are done."""


def silent(_done: int, _total: int) -> None:
    """Watch no progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a campaign is made of, as the user names it. `folder` is the campaign folder."""

    template: str
    list_path: Path
    folder: Path = Path()
    campaign: str | None = None
    email_column: str | None = None
    sheet: str | None = None

    @property
    def name(self) -> str:
        """The campaign's name: as given, or TEMPLATE--LIST from the two stems."""
        return self.campaign or default_name(self.template, self.list_path)


@dataclass(kw_only=True, slots=True)
class Plan:
    """A campaign that could be sent: every message was rendered once, and what is wrong is known."""

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

    @property
    def seal(self) -> str:
        return self.manifest.seal

    def ready(self) -> Iterator[Contact]:
        """The contacts whose message can be sent."""
        return (contact for contact in self.contacts if contact.key not in self.unrendered)

    @property
    def unsendable(self) -> bool:
        """Whether the letter itself is wrong, or no row is left."""
        return not self.manifest.messages or next(self.ready(), None) is None

    def compose(self, contact: Contact, letter: Letter, date: datetime = SEALED_DATE) -> Message:
        """The message of a letter that was merged already."""
        return mime.compose(letter, contact=contact, message_id=self.message_id(contact.key), date=date)

    def message_id(self, key: str) -> str:
        return message_id(self.secret, self.name, key, self.identity)

    def digests(self) -> dict[str, str]:
        """A digest of each contact's details by key, to tell later who is new, gone or changed."""
        return {contact.key: contact_digest(contact) for contact in self.contacts}

    def rows(self, suppressed: Mapping[str, str]) -> Iterator[Row]:
        """Everybody on the list, with what was decided about them: nobody disappears without a reason."""
        for contact, reason in suppression.screen(self.ready(), suppressed):
            status = Status.QUEUED if reason is None else Status.SUPPRESSED
            yield Row(contact=contact, message_id=self.message_id(contact.key), status=status, reason=reason or "")
        # by their key, so that the same person is not counted twice once the letter or the row was mended
        for contact in self.contacts:
            if skipped := self.unrendered.get(contact.key):
                identifier = self.message_id(contact.key)
                yield Row(contact=contact, message_id=identifier, status=Status.SKIPPED, reason=skipped.reason)
        for skipped in self.contacts.bad_rows:
            contact = Contact(address=skipped.address or "", key="", row=skipped.row, fields=skipped.fields)
            yield Row(
                contact=contact, message_id="", status=Status.SKIPPED, reason=skipped.reason, usable_address=False
            )


def contact_digest(contact: Contact) -> str:
    """Sixteen hexadecimal digits over everything a letter may say about a contact, but not its row."""
    details = [contact.address, contact.name, contact.language or "", contact.fields]
    text = json.dumps(details, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def default_name(template: str, list_path: Path) -> str:
    """TEMPLATE--LIST from the two stems."""
    path = Path(template)
    stem = path.parent.name if path.name == "letter.md" else path.name.removesuffix(".md")
    return f"{stem}--{list_path.stem}"


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
        manifest=_manifest(source, template, people, files, identity, sources=sources, messages=""),
        files=files,
        secret=secret,
        problems=[flaw for flaw in flaws if flaw.severity is Severity.PROBLEM] + list(people.problems),
        warnings=[flaw for flaw in flaws if flaw.severity is Severity.WARNING] + list(people.warnings),
    )
    if all(flaw.severity is Severity.WARNING for flaw in flaws):
        messages = _render_all(plan, on_progress)
        plan.manifest = _manifest(source, template, people, files, identity, sources=sources, messages=messages)
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


def lookup_folders(source: Source, template: merge.Template) -> tuple[Path, ...]:
    """Where look-up tables are searched: beside the letter, then in the campaign folder."""
    beside = Path(template.front.origin("subject").file).parent
    return (source.folder / beside, source.folder)


def render(
    template: merge.Template, contact: Contact, identity: Identity, identifier: str, date: datetime
) -> tuple[Letter, Message]:
    """Merge and compose one message. Raises LetterError with the row's problems."""
    letter = template.merge(contact, identity)
    return letter, mime.compose(letter, contact=contact, message_id=identifier, date=date)


def message_id(secret: bytes, campaign: str, key: str, identity: Identity) -> str:
    """The same for every retry of a delivery, and different in every ledger."""
    return mime.message_id(secret, campaign, key, identity.sender.domain)


def _render_all(plan: Plan, on_progress: Progress) -> str:
    """Render every message, note the rows that fail, and return a digest that does not depend on their order."""
    total, combined = len(plan.contacts), 0
    blanks = _Blanks(plan.warnings)
    for done, contact in enumerate(plan.contacts, start=1):
        try:
            letter, warnings = plan.template.merge_with_warnings(contact, plan.identity)
            message = plan.compose(contact, letter)
            if len(message.content) > MAX_MESSAGE_BYTES:
                raise _too_large(contact, len(message.content))
        except LetterError as error:
            _note(plan, contact, error)
            continue
        plan.warnings.extend(_in_list(plan, warning) for warning in warnings)
        blanks.look_at(contact)
        digest = hashlib.sha256(contact.key.encode() + b"\0" + message.content).digest()
        combined = (combined + int.from_bytes(digest)) % 2**256
        on_progress(done, total)
    plan.warnings = blanks.told(plan.warnings)
    return f"{combined:064x}"


class _Blanks:
    """Turns «may be blank in some rows» into how many rows and which, or into nothing."""

    CODE = "field-not-required"

    def __init__(self, warnings: Iterable[Problem]) -> None:
        self._rows: dict[str, list[int]] = {
            item.column: [] for item in warnings if item.code == self.CODE and item.column
        }

    def look_at(self, contact: Contact) -> None:
        for name, rows in self._rows.items():
            if not contact.fields.get(name):
                rows.append(contact.row)

    def told(self, warnings: Iterable[Problem]) -> list[Problem]:
        return [self._counted(item) for item in warnings if item.code != self.CODE or self._rows.get(item.column or "")]

    def _counted(self, item: Problem) -> Problem:
        rows = self._rows.get(item.column or "") if item.code == self.CODE else None
        if not rows:
            return item
        where = f"row {rows[0]}" if len(rows) == 1 else f"{len(rows)} rows, the first of them row {rows[0]}"
        return replace(
            item, code="blank-field", message=item.message.replace("may be blank in some rows", f"is blank in {where}")
        )


def _note(plan: Plan, contact: Contact, error: LetterError) -> None:
    found = error.problems or (Problem(code="letter", message=error.message, row=contact.row),)
    plan.unrendered[contact.key] = SkippedRow(
        row=contact.row, address=contact.address, reason="; ".join(problem.message for problem in found)
    )
    plan.problems.extend(_in_list(plan, problem) for problem in found)


def _in_list(plan: Plan, problem: Problem) -> Problem:
    """What came up while a row was merged, told with the file whose row it is; the letter's file and line follow."""
    message = f"{problem.file}, {problem.message}" if problem.file else problem.message
    return replace(problem, file=str(plan.contacts.path), message=message)


def _too_large(contact: Contact, size: int) -> LetterError:
    sentence = f"the message has {size / 1e6:.1f} MB with its attachments; at most {MAX_MESSAGE_BYTES / 1e6:.0f} MB"
    problem = Problem(code="message-too-large", message=sentence, row=contact.row, hint="use smaller attachments")
    return LetterError(f"Row {contact.row}: {sentence}.", problems=[problem])


def _manifest(
    source: Source,
    template: merge.Template,
    people: contacts.ContactList,
    files: Recorded,
    identity: Identity,
    *,
    sources: Collection[str],
    messages: str,
) -> Manifest:
    attachments = {path: digest for path, digest in files.digests.items() if path not in sources}
    return Manifest(
        template=source.template,
        list_name=source.list_path.as_posix(),
        letter={path: digest for path, digest in files.digests.items() if path not in attachments},
        attachments=attachments,
        contacts=people.fingerprint(),
        list_file=list_digest(source, template),
        settings=settings_of(identity),
        messages=messages,
        count=len(people),
        duplicates=people.duplicates,
        blank=people.blank,
    )


def list_digest(source: Source, template: merge.Template) -> str:
    """A digest of the bytes of the list and its look-up tables, and of how they are to be read."""
    tables = [
        next(folder / lookup.table for folder in lookup_folders(source, template) if (folder / lookup.table).exists())
        for lookup in template.front.lookups.values()
    ]
    parts = [contacts.file_digest(path) for path in (source.list_path, *tables)]
    parts += [
        repr((source.email_column, source.sheet, template.front.required, sorted(template.front.lookups.items())))
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def settings_of(identity: Identity) -> dict[str, str]:
    """The settings that shape every message, by their names."""
    sender = f"{identity.sender.name} <{identity.sender.address}>".strip()
    reply_to = identity.reply_to
    named = {
        "SENDER": sender,
        "REPLY_TO": f"{reply_to.name} <{reply_to.address}>".strip() if reply_to else None,
        "BOUNCE_ADDRESS": identity.bounce_address,
        "LIST_ID": identity.list_id,
        "POSTAL_ADDRESS": identity.postal_address,
        "UNSUBSCRIBE_URL": identity.unsubscribe_url,
        "UNSUBSCRIBE_MAILTO": identity.unsubscribe_mailto,
    }
    return {name: value for name, value in named.items() if value}
