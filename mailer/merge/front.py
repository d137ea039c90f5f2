"""A letter's front matter: what its author may set, checked before anything else is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailer.errors import LetterError
from mailer.merge.complaints import Origin, did_you_mean, nearest, problem, refusal, refuse
from mailer.merge.files import written_reason
from mailer.merge.yamltext import Value, read_mapping
from mailer.model import Lookup, Mailbox, Problem, joined, said

KEYS = {
    "subject": 'subject: "Hello {{ first_name }}"',
    "preheader": "preheader: Please act today",
    "sender": "sender: Solidarity Campaign <campaign@example.org>",
    "reply_to": "reply_to: answers@example.org",
    "list_id": "list_id: appeal.example.org",
    "language": "language: en",
    "fallbacks": "fallbacks: {pt-br: pt, ckb: ku}",
    "to_name": 'to_name: "{{ first_name }} {{ last_name }}"',
    "reason": "reason: You get this because your branch asked for our appeals.",
    "required": "required: [branch, city]",
    "lookups": "lookups: {embassy: {table: contacts/embassies.csv, on: country}}",
    "case": "case: case.yaml",
    "attachments": "attachments: [leaflet.pdf, 'motions/{{ branch_id }}.pdf']",
    "strip_metadata": "strip_metadata: true",
    "images": "images: {logo: pictures/logo.png}",
}
LANGUAGE = re.compile(r"^[a-z]{2,3}(-[a-z0-9]{2,8})*$")
LIST = re.compile(r"\.(csv|tsv|xlsx|xlsm|xls|ods|json|jsonl|parquet)$", re.IGNORECASE)
TAG = re.compile(r"\{[{%#]")
FENCE = re.compile(r"\A---[ \t]*\n(.*?)(?:(?<=\n)|\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
ATOM = r"[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f]+"
ADDRESS = re.compile(rf"{ATOM}@[^\W_]([\w-]*[^\W_])?(\.[^\W_]([\w-]*[^\W_])?)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachmentRule:
    """An entry of `attachments`: a file, or a document merged for each row. Texts may hold Jinja."""

    file: str | None = None
    document: str | None = None
    name: str | None = None
    origin: Origin

    @property
    def literal_folder(self) -> str | None:
        """The folder that stands before the first tag of a file's path, beyond which no cell can reach."""
        literal, tag, _ = TAG.sub("\0", self.file or "", count=1).partition("\0")
        return literal.rpartition("/")[0] if tag else None

    @property
    def per_row(self) -> bool:
        return self.document is not None or any("{" in text for text in (self.file or "", self.name or ""))


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontMatter:
    """The settings of one language of a letter. Texts that may hold Jinja are still source."""

    subject: str
    preheader: str | None = None
    sender: Mailbox | None = None
    reply_to: Mailbox | None = None
    list_id: str | None = None
    language: str = "en"
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    to_name: str | None = None
    reason: str | None = None
    required: tuple[str, ...] = ()
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    case: Mapping[str, Any] | str | None = None
    attachments: tuple[AttachmentRule, ...] = ()
    strip_metadata: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each key was written: a language's own letter or the base letter."""

    def origin(self, key: str) -> Origin:
        return self.origins[key]


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A letter file taken apart: front matter as read, body, and the body's first line."""

    values: Mapping[str, Value]
    origins: Mapping[str, Origin]
    body: str
    body_line: int


def split(text: str, file: str) -> Split:
    """Separate front matter and body. Raises LetterError."""
    match = FENCE.match(text)
    if match is None:
        if re.match(r"\A---[ \t]*\n", text):
            message = "the lines that begin with --- have no end."
            raise refuse("front-matter", message, at=Origin(file=file), hint="Write another line --- below them.")
        return Split(values={}, origins={}, body=text, body_line=1)
    # with its last line's end, which belongs to a text that was begun with |
    values, lines = read_mapping(f"{match[1]}\n", file, line=2)
    origins = {key: Origin(file=file, line=line) for key, line in lines.items()}
    return Split(values=values, origins=origins, body=text[match.end() :], body_line=match[0].count("\n") + 1)


def read(values: Mapping[str, Value], origins: Mapping[str, Origin], file: str) -> FrontMatter:
    """Check and convert every key; all problems at once. Raises LetterError."""
    reader = _Reader(values, origins, file)
    for key in values:
        if key not in KEYS:
            reader.complain(key, said("the key {key} is not known.", key=key), hint=did_you_mean(key, KEYS))
    meant = {nearest(key, KEYS) for key in values if key not in KEYS}
    if not values.get("subject") and "subject" not in meant:
        at = origins.get("subject") or Origin(file=file)
        reader.problems.append(
            problem(
                "front-matter",
                "the letter has no subject.",
                at=at,
                hint=said(
                    "Write it at the top, between two lines ---, for example: {example}", example=KEYS["subject"]
                ),
            )
        )
    front = reader.front()
    if reader.problems:
        raise refusal(*reader.problems)
    return front


def parse_mailbox(text: str) -> Mailbox:
    """Read `Name <address>` or an address. Raises ValueError with a sentence; a comma never makes two."""
    text = text.strip()
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError("holds a line break or control character")
    match = re.fullmatch(r'(?:"((?:[^"\\]|\\.)*)"|([^"<>]*?))\s*<([^<>]*)>', text)
    name, address = ("", text)
    if match:
        name = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2].strip()
        address = match[3].strip()
    if not ADDRESS.fullmatch(address):
        raise ValueError("is not one address of the form Name <name@example.org>")
    return Mailbox(address=address, name=name)


class _Reader:
    """Converts values one key at a time and collects complaints."""

    def __init__(self, values: Mapping[str, Value], origins: Mapping[str, Origin], file: str) -> None:
        self._values = values
        self._origins = origins
        self._file = file
        self.problems: list[Problem] = []

    def complain(self, key: str, message: str, *, hint: str | None = None) -> None:
        at = self._origins.get(key, Origin(file=self._file))
        example = said("For example: {example}", example=KEYS[key]) if key in KEYS else None
        self.problems.append(problem("front-matter", message, at=at, hint=hint or example))

    def front(self) -> FrontMatter:
        return FrontMatter(
            subject=self._text("subject") or "",
            preheader=self._text("preheader"),
            sender=self._mailbox("sender"),
            reply_to=self._mailbox("reply_to"),
            list_id=self._list_id(),
            language=self._language("language", self._values.get("language")) or "en",
            fallbacks=self._fallbacks(),
            to_name=self._text("to_name"),
            reason=self._text("reason"),
            required=self._required(),
            lookups=self._lookups(),
            case=self._case(),
            attachments=self._attachments(),
            strip_metadata=self._flag("strip_metadata"),
            images=self._images(),
            origins=self._origins,
        )

    def _text(self, key: str) -> str | None:
        value = self._values.get(key)
        if isinstance(value, str):
            # A folded YAML text ends with a line break; all of these texts are single lines.
            return " ".join(value.split("\n")).strip()
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        hint = said('Put text that begins with {{{{ into quotes, e.g. {key}: "{{{{ name }}}}, ..."', key=key)
        self.complain(key, said("{key} must be one text.", key=key), hint=hint)
        return None

    def _flag(self, key: str) -> bool:
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            self.complain(key, said("{key} must be true or false.", key=key))
        return value is True

    def _mailbox(self, key: str) -> Mailbox | None:
        text = self._text(key)
        if text is None:
            return None
        try:
            return parse_mailbox(text)
        except ValueError as error:
            self.complain(key, said("{key} {error}.", key=key, error=error))
            return None

    def _list_id(self) -> str | None:
        text = self._text("list_id")
        if text is None:
            return None
        text = text.strip().removeprefix("<").removesuffix(">")
        if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+", text):
            self.complain("list_id", "list_id must be words joined by dots, without spaces.")
        return text

    def _language(self, key: str, value: Value) -> str | None:
        if value is None:
            return None
        code = str(value).strip().lower().replace("_", "-")
        if not LANGUAGE.match(code):
            self.complain(
                key,
                said("{value!r} is not a language code.", value=value),
                hint="Codes are for example en, de, ur, pt-br.",
            )
        return code

    def _fallbacks(self) -> dict[str, str]:
        value = self._values.get("fallbacks") or {}
        if not isinstance(value, dict):
            self.complain("fallbacks", "fallbacks must map one language code to another.")
            return {}
        pairs = ((self._language("fallbacks", key), self._language("fallbacks", to)) for key, to in value.items())
        return {key: to for key, to in pairs if key and to}

    def _required(self) -> tuple[str, ...]:
        value = self._values.get("required") or []
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self.complain("required", "required must be a list of field names.")
            return ()
        return tuple(names)

    def _lookups(self) -> dict[str, Lookup]:
        value = self._values.get("lookups") or {}
        if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
            self.complain("lookups", "lookups must give each name a table and a column.")
            return {}
        found = ((name, self._lookup(name, entry)) for name, entry in value.items() if isinstance(entry, dict))
        return {name: lookup for name, lookup in found if lookup}

    def _lookup(self, name: str, entry: dict[str, Any]) -> Lookup | None:
        known = ("table", "on", "key", "max_age_days")
        unknown = [key for key in entry if key not in known]
        table, on, key, age = (entry.get(item) for item in known)
        if not name.isidentifier():
            self.complain("lookups", said("the look-up name {name!r} must be one word.", name=name))
        elif unknown:
            self.complain(
                "lookups",
                said("{unknown} is not known in a look-up.", unknown=unknown[0]),
                hint=did_you_mean(unknown[0], known),
            )
        elif not isinstance(table, str) or not isinstance(on, str) or not isinstance(key, str | None):
            self.complain(
                "lookups", said("the look-up {name} needs table: (a file) and on: (a column of the list).", name=name)
            )
        elif written_reason(table):
            self.complain("lookups", said("the table {table!r} {reason}.", table=table, reason=written_reason(table)))
        elif age is not None and (not isinstance(age, int) or isinstance(age, bool) or age < 1):
            self.complain("lookups", "max_age_days must be a number of days.")
        else:
            return Lookup(table=table, on=on, key=key, max_age_days=age or 365)
        return None

    def _case(self) -> Mapping[str, Any] | str | None:
        value = self._values.get("case")
        if value is None or isinstance(value, dict):
            return value
        if not isinstance(value, str):
            self.complain("case", "case must be the path of a YAML file, or lines of the form name: value.")
        elif reason := written_reason(value):
            self.complain("case", said("the case file {value!r} {reason}.", value=value, reason=reason))
        else:
            return value
        return None

    def _attachments(self) -> tuple[AttachmentRule, ...]:
        value = self._values.get("attachments") or []
        entries = value if isinstance(value, list) else [value]
        rules = [self._attachment(entry) for entry in entries]
        return tuple(rule for rule in rules if rule)

    def _attachment(self, entry: Any) -> AttachmentRule | None:
        origin = self._origins.get("attachments", Origin(file=self._file))
        values: dict[str, Any] = {"file": entry} if isinstance(entry, str) else entry
        known = ("file", "document", "name")
        if not isinstance(values, dict) or not all(isinstance(item, str) for item in values.values()):
            self.complain("attachments", "an attachment is a path, or has file: or document: and name:.")
            return None
        unknown = next((key for key in values if key not in known), None)
        if unknown:
            self.complain(
                "attachments",
                said("{unknown} is not known in an attachment.", unknown=unknown),
                hint=did_you_mean(unknown, known),
            )
            return None
        if ("file" in values) == ("document" in values):
            self.complain("attachments", "an attachment needs either file: or document:.")
            return None
        path = values.get("file") or values.get("document") or ""
        rule = AttachmentRule(origin=origin, **values)
        folder = rule.literal_folder
        if folder is not None and not folder.strip("./"):
            hint = "Put the files into a folder of their own, named before the first field: leaflets/{{ leaflet }}"
            message = said("the attachment {path!r} would let a cell name any file of the campaign folder.", path=path)
            self.complain("attachments", message, hint=hint)
            return None
        reason = written_reason(path if folder is None else folder)
        if reason:
            self.complain("attachments", said("the attachment {path!r} {reason}.", path=path, reason=reason))
            return None
        return rule

    def _images(self) -> dict[str, str]:
        value = self._values.get("images") or {}
        if not isinstance(value, dict) or not all(isinstance(path, str) for path in value.values()):
            self.complain("images", "images must give each picture a name and a file.")
            return {}
        for path in value.values():
            if written_reason(str(path)):
                self.complain(
                    "images", said("the picture {path!r} {reason}.", path=path, reason=written_reason(str(path)))
                )
        return {str(name): str(path) for name, path in value.items()}


def missing_letter(name: str, known: list[str]) -> LetterError:
    """No such letter: say which there are."""
    there = said("There is no letter in templates/ yet.")
    if known:
        there = said("Letters there are: {names}.", names=", ".join(known))
    match = did_you_mean(name, known)
    hint = joined(" ", [match, there]) if match and match.startswith("Did") else there
    if LIST.search(name):
        hint = said("The letter comes first, then the list. {there}", there=there)
    found = problem("letter-missing", said("There is no letter called {name}.", name=name), hint=hint)
    return refusal(found)
