"""A letter, loaded and compiled: `load` once, `check` against a list's columns, `merge` with every contact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jinja2.utils import Namespace

from mailer.merge.attachments import empty, enclosures
from mailer.merge.casefile import read_case
from mailer.merge.check import findings, row_uses
from mailer.merge.compiler import Compiler, empty_alt
from mailer.merge.complaints import Origin, problem, refusal, refuse, warning
from mailer.merge.dates import written_date
from mailer.merge.files import Recorder
from mailer.merge.front import FrontMatter, read
from mailer.merge.layout import UNSUBSCRIBE, Sentences
from mailer.merge.links import MAX_MAILTO, WARNINGS, link, mailto
from mailer.merge.part import Part, PartError
from mailer.merge.place import Place, chain, in_language, locate, normal, split_file
from mailer.merge.plain import Counter, bare_target, target_in_text
from mailer.merge.sandbox import LetterEnvironment, limited_range
from mailer.merge.slips import curly_quotes
from mailer.merge.standin import stand_in
from mailer.merge.version import RESERVED, Fitted, Version, Words
from mailer.model import (
    NO_MARKS,
    Attachment,
    Contact,
    FieldValue,
    Files,
    Identity,
    Letter,
    Mailbox,
    Marks,
    Problem,
    said,
)

KEPT = 64
"""Letters, one for each language and identity, that are kept fitted."""


class Template:
    """A letter in all its languages. `warnings` are about the letter itself, whatever the list."""

    def __init__(
        self, place: Place, files: Recorder, versions: Mapping[str, Version], warnings: tuple[Problem, ...]
    ) -> None:
        self.name = place.name
        self.languages = tuple(versions)
        self.warnings = warnings
        self._files = files
        self._versions = versions
        self._default = next(iter(versions.values()))
        self.front = self._default.front
        self._chosen: dict[str | None, Version] = {}
        self._identities: dict[tuple[str, int], Fitted] = {}

    @property
    def files(self) -> tuple[str, ...]:
        """Every path read so far that shapes the letter, sorted."""
        return self._files.paths

    @property
    def fields(self) -> frozenset[str]:
        """The names the letter takes from a row, columns and look-ups alike."""
        return frozenset(use.name for version in self._versions.values() for use in row_uses(version))

    def specimens(self, identity: Identity) -> Iterator[Letter]:
        """The letter in each language for nobody, the name of each field in its place. Raises LetterError where a field must be more.

        A look-up table's field has the names of its columns; what looks like an address or a link by its name gets one.
        """
        for language, version in self._versions.items():
            read = frozenset().union(*(part.names.numbers for part in version.parts))
            wanted = (*self.fields, *version.front.required)
            fields: dict[str, FieldValue] = {name: "1" if name in read else stand_in(name) for name in wanted}
            for name in version.front.lookups:
                columns = {use.path[0] for use in row_uses(version) if use.name == name and use.path}
                fields[name] = {column: stand_in(column) for column in columns}
            yield self.merge(Contact(address="", key="", row=1, language=language, fields=fields), identity)

    def check(self, columns: Collection[str]) -> list[Problem]:
        """Everything that can be known to go wrong before any row is looked at; warnings among it."""
        found: dict[tuple[str, str | None, str], Problem] = {}
        for version in self._versions.values():
            for item in findings(version, columns):
                found.setdefault((item.code, item.file, item.message), item)
        for name in sorted(set(columns) & (RESERVED - {"language"})):
            item = warning(
                "reserved-name",
                said("the column {name} is reached as fields[{name!r}] only: letters use the word.", name=name),
            )
            found[item.code, None, item.message] = item
        return [*self.warnings, *found.values()]

    def identity_for(self, language: str | None, identity: Identity) -> Identity:
        """Who a contact of this language gets the letter from: the front matter may say otherwise than the settings."""
        return self._fitted(self._version(language), identity).identity

    def merge(self, contact: Contact, identity: Identity, marks: Marks = NO_MARKS) -> Letter:
        """Fill the letter in for one contact. Raises LetterError with every problem of its row."""
        return self.merge_with_warnings(contact, identity, marks)[0]

    def merge_with_warnings(
        self, contact: Contact, identity: Identity, marks: Marks = NO_MARKS
    ) -> tuple[Letter, tuple[Problem, ...]]:
        """As merge, with what is worth pointing out about this row."""
        version = self._version(contact.language)
        fitted = self._fitted(version, identity)
        quick = fitted.quick
        if quick is not None and (values := quick.values(contact, marks.unsubscribe)) is not None:
            letter = quick.letter(values, version.language, fitted.identity, contact, marks)
            if letter is not None:
                return letter, ()
        long_links: list[int] = []
        context = {**_values(version, fitted, contact), UNSUBSCRIBE: marks.unsubscribe, WARNINGS: long_links}
        letter = _filled(version, fitted, context, contact)._replace(marks=marks)
        return letter, (*(_long_link(contact, version) for _ in long_links[:1]), *_empty(letter, contact, version))

    def words(self, contact: Contact, identity: Identity) -> Words | None:
        """What is said of this contact alone, if its letter is of constant text and such values, with a subject and nothing missing."""
        version = self._version(contact.language)
        fitted = self._fitted(version, identity)
        quick = fitted.quick
        values = None if quick is None else quick.values(contact, quick.mark)
        return None if values is None else Words(values, fitted, version.language)

    def letter(self, words: Words, contact: Contact, marks: Marks) -> Letter:
        """What `merge` makes for the contact whose words (`words`) these are."""
        values, of, language = words
        assert of.quick is not None
        own = of.quick.values_again(values, contact, marks.unsubscribe)
        letter = None if own is None else of.quick.letter(own, language, of.identity, contact, marks)
        return letter or self.merge(contact, of.given, marks)

    def specimen(self, of: Fitted, values: Sequence[str], to: Mailbox, language: str) -> Letter:
        """A letter with other values in place of a contact's (`words`)."""
        assert of.quick is not None
        return Letter(*of.quick.straight.fill(values), language, of.identity, to, of.quick.attachments)

    def rows_without_file(
        self, language: str, contacts: Iterable[Contact], identity: Identity
    ) -> dict[int, tuple[int, int]]:
        """By the place of an attachment of which every row has its own: how many rows have none, and the first of these.

        Rows that get the letter in another language count for that one only.
        """
        version = self._version(language)
        fitted = self._fitted(version, identity)
        rules = [(at, one.lacks) for at, one in enumerate(version.enclosures) if one.lacks]
        found = dict.fromkeys((at for at, _ in rules), (0, 0))
        for contact in contacts if rules else ():
            if self._version(contact.language) is version:
                values = _values(version, fitted, contact)
                for at, lacks in rules:
                    if lacks(values):
                        count, first = found[at]
                        found[at] = (count + 1, first or contact.row)
        return found

    def _version(self, language: str | None) -> Version:
        if language not in self._chosen:
            codes = chain(language, self.front.fallbacks)
            found = next((self._versions[code] for code in codes if code in self._versions), self._default)
            if len(self._chosen) > 1000:
                return found
            self._chosen[language] = found
        return self._chosen[language]

    def _fitted(self, version: Version, identity: Identity) -> Fitted:
        # by its id, since comparing all its fields costs more; what is known keeps it from being reused
        known = version.language, id(identity)
        fitted = self._identities.get(known)
        if fitted is None:
            if len(self._identities) >= KEPT:
                self._identities.clear()
            fitted = self._identities[known] = version.fitted(identity, _effective(version, identity))
        return fitted


def _values(version: Version, fitted: Fitted, contact: Contact) -> dict[str, Any]:
    """What the parts of a letter may read of a row."""
    return {
        **contact.fields,
        **fitted.fixed,
        "fields": contact.fields,
        "contact": {
            "address": contact.address,
            "name": contact.name,
            "row": contact.row,
            "language": contact.language or version.language,
        },
        "row": contact.row,
    }


def _effective(version: Version, identity: Identity) -> Identity:
    front = version.front
    return replace(
        identity,
        sender=identity.sender if identity.own_sender else front.sender or identity.sender,
        reply_to=front.reply_to or identity.reply_to,
        list_id=front.list_id or identity.list_id,
    )


def _filled(version: Version, fitted: Fitted, values: dict[str, Any], contact: Contact) -> Letter:
    problems = [
        problem(
            "blank-field",
            said("the field {name} is blank, and the letter needs it.", name=name),
            row=contact.row,
            column=name,
        )
        for name in version.front.required
        if not contact.fields.get(name)
    ]

    def part(what: Part) -> str:
        try:
            return what.render(values)
        except PartError as error:
            problems.append(_at_row(error, contact))
            return ""

    subject = str(part(fitted.subject))
    text, html = part(fitted.text), part(fitted.html)
    name = part(version.to_name) if version.to_name else contact.name
    attachments: list[Attachment] = list(version.images)
    for enclosure in version.enclosures:
        try:
            attachments.append(enclosure.fixed or enclosure.make(values))
        except PartError as error:
            problems.append(_at_row(error, contact))
    if not subject.strip() and not problems:
        at = version.front.origin("subject")
        problems.append(problem("blank-subject", "the subject is blank.", at=at, row=contact.row))
    if problems:
        raise refusal(*dict.fromkeys(problems))
    return Letter(
        subject=subject,
        text=text,
        html=html,
        language=version.language,
        identity=fitted.identity,
        to=Mailbox(address=contact.address, name=str(name)),
        attachments=tuple(attachments),
    )


def _at_row(error: PartError, contact: Contact) -> Problem:
    return problem(error.code, error.message, at=error.origin, row=contact.row, column=error.column, hint=error.hint)


def _long_link(contact: Contact, version: Version) -> Problem:
    message = said(
        "a mail link with its text would be longer than {most} characters, so the text was left out of it.",
        most=MAX_MAILTO,
    )
    item = warning("mailto-too-long", message, hint="Shorten the text, or let readers copy it from a block (```).")
    return replace(item, row=contact.row, file=version.text.origin.file)


def _empty(letter: Letter, contact: Contact, version: Version) -> Iterator[Problem]:
    """Files of this row's own in which nothing stands; those that all have were told when the letter was read."""
    own = zip(version.enclosures, letter.attachments[len(version.images) :], strict=True)
    for enclosure, attachment in own:
        if enclosure.fixed is None and not attachment.content:
            yield replace(empty(attachment.filename, enclosure.origin), row=contact.row)


def load(reference: str, files: Files) -> Template:
    """Read and compile a letter. Raises LetterError with problems that name file and line."""
    place, source = locate(reference, files)
    recorder = Recorder(source)
    base = split_file(recorder, place.base)
    default = read(base.values, base.origins, place.base)
    written = {normal(code): code for code in place.languages(recorder)}
    codes = [default.language, *(code for code in sorted(written) if code != default.language)]
    warnings: list[Problem] = []
    versions = {code: _version(code, place, recorder, default, warnings) for code in codes}
    return Template(place, recorder, versions, tuple(warnings))


def _version(code: str, place: Place, files: Recorder, default: FrontMatter, warnings: list[Problem]) -> Version:
    base = split_file(files, place.base)
    path = in_language(place, [code], files)
    own = split_file(files, path) if path != place.base else base
    if own is not base and own.values.get("language") not in (None, code):
        at = own.origins["language"]
        raise refuse(
            "front-matter",
            said("this file's name says its language is {code}.", code=code),
            at=at,
            hint="Remove language:",
        )
    origins = {**base.origins, **own.origins}
    values = {**base.values, **own.values, "language": code}
    front = read(values, {**origins, "language": origins.get("language", Origin(file=path))}, path)
    warnings.extend(item for item in curly_quotes(values, origins) if item not in warnings)
    wanted = chain(code, default.fallbacks)
    case = read_case(front, place, files, wanted)
    compiler = Compiler(
        place=place,
        files=files,
        language=code,
        wanted=wanted,
        front=front,
        case=case,
        html_env=_environment(case, autoescape=True),
        text_env=_environment(case, autoescape=False),
    )
    version = _compiled(compiler, own.body, Origin(file=path, line=own.body_line))
    warnings.extend(compiler.warnings)
    return version


def _environment(case: Mapping[str, Any], *, autoescape: bool) -> LetterEnvironment:
    filters: dict[str, Callable[..., Any]] = {
        "date": written_date,
        "link_": link,
        "target_": target_in_text,
        "shown_": bare_target,
    }
    return LetterEnvironment(
        autoescape=autoescape, filters=filters, functions=(mailto, Counter), constants={"case": case}
    )


def _compiled(compiler: Compiler, body: str, at: Origin) -> Version:
    front = compiler.front
    nodes = compiler.markdown(body, at.file, at.line)
    bare = empty_alt(nodes, at)
    if bare:
        hint = "Write what it shows: ![Students on strike](picture.jpg)"
        compiler.warnings.append(warning("image-alt", "a picture has no description.", at=bare, hint=hint))
    parts = {
        "subject": compiler.line(front.subject, front.origin("subject")),
        "text": compiler.text(nodes, at),
        "html": compiler.html(nodes, at),
    }
    sentences = Sentences(compiler.files, compiler.language)
    if sentences.missing:
        message = said(
            "the letter is in {language}, and its foot in English: mailer has these sentences in {known} only.",
            language=compiler.language,
            known=", ".join(sentences.missing),
        )
        hint = "With reason: at least the sentence why people get it can be in the letter's language."
        compiler.warnings.append(warning("foot-language", message, at=at, hint=hint))
    to_name = compiler.line(front.to_name, front.origin("to_name")) if front.to_name else None
    enclosed = tuple(enclosures(front.attachments, compiler))
    fixed = {
        "case": compiler.case,
        "language": compiler.language,
        "mailto": mailto,
        "range": limited_range,
        "namespace": Namespace,
        "dict": dict,
        "counter_": Counter,
        "block_": compiler.block_function(),
    }
    return Version(
        language=compiler.language,
        front=front,
        to_name=to_name,
        blocks=tuple(compiler.blocks),
        images=tuple(compiler.images.values()),
        enclosures=enclosed,
        sentences=sentences,
        fixed=fixed,
        body=body,
        at=at,
        handmade=compiler.handmade,
        **parts,
    )
