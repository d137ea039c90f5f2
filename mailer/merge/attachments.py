"""The files that travel with a letter: fixed ones read once, one per row, or documents merged for the row."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailer import traces
from mailer.errors import LetterError
from mailer.merge.compiler import Compiler
from mailer.merge.complaints import Origin, did_you_mean, problem, refuse, warning
from mailer.merge.documents import FORMATS, DocumentError, build, word_template
from mailer.merge.files import Recorder, find, join, parent, unsafe_reason
from mailer.merge.front import AttachmentRule
from mailer.merge.layout import is_rtl
from mailer.merge.media import media_type
from mailer.merge.part import Part, PartError
from mailer.merge.place import Place, in_language, normal, other_letter, split_file
from mailer.model import Attachment, Problem, as_said, said

KEPT = 64
"""Documents and files of the last rows kept in memory: rows often share them."""

Values = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Enclosure:
    """One attachment of one language, ready to be made for any row."""

    origin: Origin
    make: Callable[[Values], Attachment]
    parts: tuple[Part, ...] = ()
    fixed: Attachment | None = None
    missing: Problem | None = None
    lacks: Callable[[Values], bool] | None = None
    """For a file of each row's own: whether a row has none, without reading it."""


@dataclass(kw_only=True, slots=True)
class _Kept:
    """A small memory of what was made last."""

    made: OrderedDict[tuple[str, ...], Attachment] = field(default_factory=OrderedDict)

    def get(self, key: tuple[str, ...], make: Callable[[], Attachment]) -> Attachment:
        if key not in self.made:
            self.made[key] = make()
            if len(self.made) > KEPT:
                self.made.popitem(last=False)
        return self.made[key]


def enclosures(rules: Sequence[AttachmentRule], compiler: Compiler) -> list[Enclosure]:
    """Prepare all attachments of a language. Raises LetterError for documents that cannot be made at all."""
    return [_enclosure(rule, compiler) for rule in rules]


def _enclosure(rule: AttachmentRule, compiler: Compiler) -> Enclosure:
    if rule.document is not None:
        return _document(rule, rule.document, compiler)
    assert rule.file is not None
    return _file_per_row(rule, rule.file, compiler) if rule.per_row else _fixed_file(rule, rule.file, compiler)


def _fixed_file(rule: AttachmentRule, path: str, compiler: Compiler) -> Enclosure:
    found = find(compiler.files, path, compiler.place.folders)
    if found is None:
        hint = (
            _Spelt(compiler.files).hint(path, compiler.place.folders) or _nearest_file(path, compiler) or compiler.where
        )
        missing = problem(
            "file-missing", said("the attachment {path} is not there.", path=path), at=rule.origin, hint=hint
        )

        def fail(_: Values) -> Attachment:
            raise PartError(missing.code, said("the attachment {path} is not there.", path=path), rule.origin, hint)

        return Enclosure(origin=rule.origin, make=fail, missing=missing)
    name = rule.name or path.rpartition("/")[2]
    content = compiler.as_sent(compiler.files.read(found), path, rule.origin)
    if not content:
        compiler.warnings.append(empty(path, rule.origin))
    attachment = Attachment(filename=_filename(name), content_type=media_type(name), content=content)
    return Enclosure(origin=rule.origin, make=lambda _: attachment, fixed=attachment)


def empty(path: str, origin: Origin) -> Problem:
    """That a file is attached in which nothing stands."""
    message = said("the attachment {path} is empty: it has 0 bytes.", path=_without_at(path))
    hint = "Put the right file in its place: perhaps it was not saved, copied or downloaded to its end."
    return warning("empty-attachment", message, at=origin, hint=hint)


class _Spelt:
    """How the disk spells a file that is not there as it is written: 1.PDF is another file than 1.pdf, but not on every computer."""

    def __init__(self, files: Recorder) -> None:
        self._files = files
        self._names: dict[str, dict[str, str]] = {}

    def hint(self, path: str, folders: Sequence[str]) -> str | None:
        for folder in folders:
            wanted = join(folder, path)
            there = self._in(parent(wanted))
            name = there.get(wanted.rpartition("/")[2].casefold())
            if name:
                return said(
                    "There is {name}, and capitals count: rename the file, or write it in the same way.", name=name
                )
        return None

    def _in(self, folder: str) -> dict[str, str]:
        """A folder is read once: every row may lack its file."""
        if folder not in self._names:
            if len(self._names) >= KEPT:
                self._names.clear()
            self._names[folder] = {name.casefold(): name for name in self._files.names(folder)}
        return self._names[folder]


def _nearest_file(path: str, compiler: Compiler) -> str | None:
    names = [
        name
        for folder in compiler.place.folders
        for name in compiler.files.names(parent(f"{folder}/{path}".lstrip("/")))
    ]
    hint = did_you_mean(path.rpartition("/")[2], names)
    return hint if hint and hint.startswith("Did") else None


def _file_per_row(rule: AttachmentRule, path: str, compiler: Compiler) -> Enclosure:
    path_part = compiler.line(path, rule.origin)
    name_part = compiler.line(rule.name, rule.origin) if rule.name else None
    kept, files, folders, inside = _Kept(), compiler.files, compiler.place.folders, rule.literal_folder
    cleans, spelt = compiler.front.strip_metadata, _Spelt(files)

    def make(values: Values) -> Attachment:
        filled = path_part.render(values)
        reason = unsafe_reason(filled)
        if reason:
            raise _blank_in("file-unsafe", path_part, values) or PartError(
                "file-unsafe",
                said("the attachment's path {reason}.", reason=as_said(reason)),
                rule.origin,
                "Correct the cell.",
            )
        name = name_part.render(values) if name_part else filled.rpartition("/")[2]

        def read() -> Attachment:
            found = _found_inside(files, filled, folders, inside)
            if found is None:
                raise _blank_in("file-missing", path_part, values) or PartError(
                    "file-missing",
                    said("the attachment {path} is not there.", path=_without_at(filled)),
                    rule.origin,
                    None if "@" in filled else spelt.hint(filled, folders),
                )
            try:
                content = traces.without(files.peek(found)) if cleans else files.peek(found)
            except traces.TracesStayError as error:
                raise PartError(
                    "metadata",
                    said("the attachment {path} {error}.", path=_without_at(filled), error=error),
                    rule.origin,
                ) from error
            return Attachment(filename=_filename(name), content_type=media_type(name), content=content)

        return kept.get((filled, name), read)

    def lacks(values: Values) -> bool:
        try:
            filled = path_part.render(values)
        except PartError:
            return True
        return unsafe_reason(filled) is not None or _found_inside(files, filled, folders, inside) is None

    parts = tuple(part for part in (path_part, name_part) if part)
    return Enclosure(origin=rule.origin, make=make, parts=parts, lacks=lacks)


def _blank_in(code: str, path: Part, values: Values) -> PartError | None:
    """That a path leads nowhere because a field of it is blank in this row."""
    for use in path.uses:
        value: object = values.get(use.name)
        for step in use.path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, str) and not value.strip():
            name = ".".join((use.name, *use.path))
            message = said("the attachment's path needs the field {name}, which is blank.", name=name)
            return PartError(code, message, path.origin, "Fill in the cell.", name)
    return None


def _without_at(path: str) -> str:
    """A path may be made from an address, which a problem's text never holds."""
    return "for this row" if "@" in path else path


def _found_inside(files: Recorder, path: str, folders: Sequence[str], inside: str | None) -> str | None:
    """As `find`, but only within the literal folder: a link in it may lead to the list or to last year's letters."""
    try:
        if inside is None:
            return find(files, path, folders)
        found = ((join(folder, path), join(folder, inside)) for folder in folders if path.startswith(f"{inside}/"))
        return next((key for key, base in found if files.exists(key) and files.holds(base, key)), None)
    except (LetterError, OSError, ValueError):
        return None


def _filename(name: str) -> str:
    """A name every computer can save under; what stood in a cell may hold a slash or a line break."""
    cleaned = "".join(" " if ord(char) < 32 or ord(char) == 127 or char in '/\\<>:"|?*' else char for char in name)
    cleaned = " ".join(cleaned.split()).strip(". ")
    stem, dot, extension = cleaned.rpartition(".")
    if not stem or len(extension) > 10:
        stem, dot, extension = cleaned, "", ""
    return f"{stem.rstrip()[:120]}{dot}{extension}" or "attachment"


def _document(rule: AttachmentRule, document: str, compiler: Compiler) -> Enclosure:
    if document.lower().endswith(".docx"):
        return _word_template(rule, document, compiler)
    other = other_letter(document, compiler.place, compiler.files, rule.origin)
    wanted = rule.name or f"{other.name}.docx"
    extension = wanted.rpartition(".")[2].lower()
    if extension not in FORMATS:
        raise refuse(
            "document-format",
            said("a document cannot become {wanted!r}.", wanted=wanted),
            at=rule.origin,
            hint="End its name with .docx, .pdf, .txt or .html.",
        )
    name_part = compiler.line(wanted, rule.origin)
    body = _body(other, extension, compiler)
    title = compiler.line(_title(other, compiler), rule.origin)
    language, rtl, kept = compiler.language, is_rtl(compiler.language), _Kept()
    fonts = _fonts(compiler.files) if extension == "pdf" else {}

    def make(values: Values) -> Attachment:
        content, name, heading = body.render(values), _filename(name_part.render(values)), title.render(values)

        def produce() -> Attachment:
            try:
                data = build(extension, content, language=language, rtl=rtl, title=heading, fonts=fonts)
            except DocumentError as error:
                raise PartError("document", said("{error}.", error=error), rule.origin, error.hint) from error
            return Attachment(filename=name, content_type=media_type(name), content=data)

        return kept.get((content, name, heading), produce)

    return Enclosure(origin=rule.origin, make=make, parts=(body, name_part, title))


def _title(other: Place, compiler: Compiler) -> str:
    subject = split_file(compiler.files, other.base).values.get("subject")
    return subject if isinstance(subject, str) else other.name


def _body(other: Place, extension: str, compiler: Compiler) -> Part:
    path = in_language(other, [normal(code) for code in compiler.wanted], compiler.files)
    found = split_file(compiler.files, path)
    origin = Origin(file=path, line=found.body_line)
    nodes = compiler.markdown(found.body, path, found.body_line)
    if extension == "txt":
        from mailer.merge.plain import PlainWriter  # noqa: PLC0415  # only for text documents

        writer = PlainWriter(tags=compiler.tags, base=origin, captured=compiler.captured)
        return Part(compiler.text_env, compiler.tags.restore(writer.blocks(nodes).rstrip("\n") + "\n"), origin)
    return Part(compiler.html_env, compiler.tags.restore(compiler.fragment(nodes, origin)), origin)


def _fonts(files: Recorder) -> dict[str, bytes]:
    """TrueType fonts the campaign brings along, for PDF in scripts outside Latin-1."""
    folder = "templates/fonts"
    return {name: files.read(f"{folder}/{name}") for name in files.names(folder) if name.lower().endswith(".ttf")}


def _word_template(rule: AttachmentRule, path: str, compiler: Compiler) -> Enclosure:
    name = rule.name or path.rpartition("/")[2]
    if not name.lower().endswith(".docx"):
        raise refuse("document-format", "a Word template stays a Word document.", at=rule.origin, hint="Use .docx.")
    found = find(compiler.files, path, compiler.place.folders)
    if found is None:
        missing = AttachmentRule(file=path, origin=rule.origin)
        return _fixed_file(missing, path, compiler)
    content = compiler.as_sent(compiler.files.read(found), path, rule.origin)
    if not content:
        compiler.warnings.append(empty(path, rule.origin))
    name_part = compiler.line(name, rule.origin)

    def make(values: Values) -> Attachment:
        try:
            data = word_template(content, values, compiler.html_env)
        except DocumentError as error:
            raise PartError(
                "document", said("{path}: {error}.", path=path, error=error), rule.origin, error.hint
            ) from error
        filename = _filename(name_part.render(values))
        return Attachment(filename=filename, content_type=media_type(filename), content=data)

    return Enclosure(origin=rule.origin, make=make, parts=(name_part,))
