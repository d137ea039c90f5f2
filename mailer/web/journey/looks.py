"""How a letter looks while it is written, what is wrong with it, and what is known of its attachments. Keeps nothing on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mailer import merge, mime
from mailer.campaign.notes import told, watched
from mailer.errors import LetterError, ListError, MailerError, SettingsError
from mailer.merge.complaints import problem, without_line
from mailer.merge.front import split
from mailer.merge.place import Place, locate, normal, split_file
from mailer.model import Contact, Identity, Letter, Mailbox, Problem, Severity, begins_with_value
from mailer.preview.page import sentence
from mailer.web.journey.draft import Draft
from mailer.web.journey.enclosing import Fact, count_lacking, facts
from mailer.web.journey.frontform import Kind, shown
from mailer.web.journey.letterfiles import language_of
from mailer.web.journey.lists import Lists
from mailer.web.journey.means import Means
from mailer.web.journey.words import gettext as _

if TYPE_CHECKING:
    from mailer.contacts import ContactList  # imports pandas

LOOKED_THROUGH = 20_000
"""Rows; the preview looks through all of them."""

TRIED = 20
"""People for whom a message is tried, where the first one lacks something."""

REPEATED = 3.0
"""Seconds within which the page's script asks for the look of the page that was just made."""

FRESH = 30.0
"""Seconds for which it is believed which files there are, deep in a folder where that cannot be seen at a glance."""

Counted = tuple[dict[int, tuple[int, int]], int]

NOBODY = Identity(sender=Mailbox("you@example.org", "You"))
ODDLY_BLANK = frozenset({"field-not-required", "blank-field"})


class Edited(merge.Folder):
    """The campaign folder as it would be with one file changed."""

    def __init__(self, root: Path, path: str, text: str) -> None:
        super().__init__(root)
        self.path, self.text = path, text

    def read(self, path: str) -> bytes:
        return self.text.encode() if path == self.path else super().read(path)

    def exists(self, path: str) -> bool:
        return path == self.path or super().exists(path)

    def names(self, folder: str) -> list[str]:
        names = set(super().names(folder))
        place, _slash, name = self.path.rpartition("/")
        return sorted(names | {name} if place == folder else names)


@dataclass(kw_only=True)
class Look:
    """A letter as somebody would get it: `content` is the message, None where it cannot be made."""

    content: bytes | None = None
    problems: list[Problem] = field(default_factory=list)
    error: MailerError | None = None
    attachments: Sequence[Fact] = ()
    columns: Sequence[str] = ()
    """The fields of the list, those of its look-up tables among them."""


class Looks:
    def __init__(self, means: Means, lists: Lists) -> None:
        self._means, self._lists = means, lists
        self._last: tuple[tuple[Draft, str, str], float, Look] | None = None
        self._counts: WeakKeyDictionary[ContactList, dict[str, tuple[float, Counted]]] = WeakKeyDictionary()
        self._blanks: WeakKeyDictionary[ContactList, dict[str, tuple[int, int]]] = WeakKeyDictionary()

    def place(self, letter: str) -> Place | None:
        try:
            return locate(letter, merge.Folder(self._means.folder))[0]
        except MailerError:
            return None

    def look(self, draft: Draft, file: str, text: str) -> Look:
        """The letter with this text in one of its files, for the first of the list or for nobody."""
        asked, last = (draft, file, text), self._last
        if last and last[0] == asked and time.monotonic() - last[1] < REPEATED:
            return last[2]
        look = self._looked(draft, file, text)
        self._last = (asked, time.monotonic(), look)
        return look

    def forget(self) -> None:
        """Something was written: what was seen before is no longer how it is."""
        self._last = None

    def _looked(self, draft: Draft, file: str, text: str) -> Look:
        look = Look()
        files = Edited(self._means.folder, file, text)
        template, people, identity = None, None, self._identity()
        try:
            template = merge.load(draft.letter, files)
            people = self._people(draft, template)
            self._fill(look, template, people, language_of(file) or template.front.language, identity)
        except MailerError as error:
            look.error = error
            # what the check found in the letter is why no row can be made: nobody needs to read it twice
            if not any(one.severity is Severity.PROBLEM for one in look.problems):
                look.problems += error.problems or [Problem(code="letter", message=error.message, hint=error.hint)]
            look.columns = look.columns or self.columns(draft)
        look.attachments = self._enclosed(files, template, people, identity)
        return look

    def _identity(self) -> Identity:
        try:
            return self._means.settings().identity()
        except SettingsError:
            return NOBODY

    def _people(self, draft: Draft, template: merge.Template) -> ContactList | None:
        if not draft.list:
            return None
        lookups = template.front.lookups
        if not lookups:
            return self._lists.read(draft)
        beside = Path(template.front.origin("subject").file).parent.as_posix()
        try:
            return self._lists.read(draft, lookups, beside)
        except ListError as error:
            found = problem("lookup", error.message, at=template.front.origin("lookups"), hint=error.hint)
            raise ListError(error.message, hint=error.hint, problems=[found]) from error

    def columns(self, draft: Draft) -> list[str]:
        """The fields of the list, without any look-up tables; none where it cannot be read."""
        try:
            return _columns(self._lists.read(draft)) if draft.list else []
        except MailerError:
            return []

    def _fill(
        self, look: Look, template: merge.Template, people: ContactList | None, language: str, identity: Identity
    ) -> None:
        """Make the message. Raises LetterError."""
        found = None
        if people:
            look.columns = _columns(people)
            odd = template.check([column.name for column in people.columns])
            look.problems += told(odd, self._blank(people, watched(odd)))
            found = _first_made(look, template, _readers(people, language), identity)
        if found is None:
            letters = list(template.specimens(identity))
            letter = next((one for one in letters if one.language == language), letters[0])
            found = Contact(address="pat@example.org", key="pat@example.org", row=2, name="Pat"), letter
        contact, letter = found
        message = mime.compose(letter, contact=contact, message_id="<look@example.org>", date=datetime.now(UTC))
        look.content = message.content

    def _enclosed(
        self, files: Edited, template: merge.Template | None, people: ContactList | None, identity: Identity
    ) -> list[Fact]:
        try:
            place = locate(files.path, files)[0]
            values, main = split(files.text, files.path).values, self.main_values(place, files)
        except MailerError:
            return []
        form = shown(values, main)
        lacking, looked = None, 0
        patterns = [one.path for one in form.attachments if one.kind is Kind.EACH]
        if template and people and patterns:
            language = language_of(files.path) or template.front.language
            folders = [Path(one, path.partition("{")[0]) for one in place.folders for path in patterns]
            key = repr((language, patterns, values.get("case"), main, [self._age(one) for one in folders]))
            lacking, looked = self._count(key, people, lambda: count_lacking(template, language, people, identity))
        return facts(form.attachments, files, place, lacking, strips=form.strip, looked=looked)

    def _age(self, folder: Path) -> int:
        """When a file was last put into a folder, or taken out of it; 0 for one that is not there."""
        path = self._means.folder / folder
        path = path if path.is_dir() else path.parent
        return path.stat().st_mtime_ns if path.is_dir() else 0

    def _count(self, key: str, people: ContactList, count: Callable[[], Counted]) -> Counted:
        """Counted anew only if something has changed, since it takes longer than a key to be typed."""
        known = self._counts.setdefault(people, {})
        when, found = known.get(key, (0.0, None))
        if found is None or time.monotonic() - when > FRESH:
            known.clear()
            found = count()
            known[key] = (time.monotonic(), found)
        return found

    def main_values(self, place: Place, files: Edited) -> Mapping[str, object] | None:
        """What the main file says, for a language's own; None for the main file itself. Raises LetterError."""
        return None if files.path == place.base else split_file(files, place.base).values

    def _blank(self, people: ContactList, fields: Sequence[str]) -> dict[str, tuple[int, int]]:
        """In how many rows a field is blank, and the first of them, as far as the list can be looked through in a moment."""
        known = self._blanks.setdefault(people, {})
        for name in fields:
            if name not in known:
                rows = [one.row for one in islice(people, LOOKED_THROUGH) if not one.fields.get(name)]
                known[name] = (len(rows), rows[0] if rows else 0)
        return {name: known[name] for name in fields if known[name][0]}


def _columns(people: ContactList) -> list[str]:
    names = [column.name for column in people.columns]
    first = next(iter(people), None)
    for name, value in first.fields.items() if first else ():
        if isinstance(value, Mapping):
            names += [f"{name}.{column}" for column in value]
    return names


def _readers(people: ContactList, language: str) -> list[Contact]:
    """A few of those who read this language, else the first of all, as if they did."""
    some = list(islice(iter(people), 1000))
    fluent = [one for one in some if one.language and normal(one.language) == language]
    return (fluent or [replace(one, language=language) for one in some])[:TRIED]


def _first_made(
    look: Look, template: merge.Template, readers: Sequence[Contact], identity: Identity
) -> tuple[Contact, Letter] | None:
    """The first message that can be made, since a row may lack what others have; what is wrong with the first row is told.

    Raises LetterError where it is so with all of them.
    """
    failed: LetterError | None = None
    for contact in readers:
        try:
            letter, more = template.merge_with_warnings(contact, identity)
        except LetterError as error:
            failed = failed or error
            continue
        look.problems += [*(failed.problems if failed else ()), *more]
        return contact, letter
    if failed:
        raise failed
    return None


def at_fields(
    problems: Sequence[Problem], file: str, text: str, *, formed: bool
) -> tuple[list[str], dict[str, list[str]]]:
    """Problems as sentences: those of the letter as a whole, and by key those of its front matter.

    Where the front matter is a form (`formed`), lines are counted as the field for the letter's text shows them.
    """
    try:
        found = split(text, file)
    except MailerError:
        return [_(sentence(one)) for one in problems], {}
    lines = sorted((origin.line, key) for key, origin in found.origins.items())
    shown_from = found.body_line + len(found.body) - len(found.body.lstrip("\n"))
    general: list[str] = []
    fields: dict[str, list[str]] = {}
    for each in problems:
        one = replace(each, hint=_hint(each)) if formed else each
        if not formed or one.file != file or one.line is None or one.row is not None:
            general.append(_(sentence(one)))
            continue
        plain, hint = _(without_line(one.message)), one.hint and _(one.hint)
        above = [key for line, key in lines if line <= (one.line or 0)]
        if one.line >= found.body_line:
            at = _("Line {number}: {what}").format(number=max(1, one.line - shown_from + 1), what=plain)
            general.append(" ".join(filter(None, (at, hint))))
        else:
            key = above[-1] if above else "subject"
            said = plain if begins_with_value(without_line(one.message)) else f"{plain[:1].upper()}{plain[1:]}"
            fields.setdefault(key, []).append(" ".join(filter(None, (said, hint))))
    return list(dict.fromkeys(general)), fields


def _hint(found: Problem) -> str | None:
    """The way out on this page, where the terminal's is another."""
    if found.code in ODDLY_BLANK and found.column:
        return _("Tick it under “Fields that nobody may lack”, or write {example}.").format(
            example=f"{{{{ {found.column} or '{_('something else')}' }}}}"
        )
    return found.hint


__all__ = ["Edited", "Look", "Looks", "at_fields"]
