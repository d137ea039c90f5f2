"""A letter's front matter as a form: what it shows of the values, and which values come back from it.

What a form does not hold, or shows without letting it be changed, stays as it is in the file. A language's own file shows what it
takes over from the main one, and has of its own only what differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailer.errors import UsageError
from mailer.merge.yamledit import same
from mailer.web.journey.words import gettext as _

Values = Mapping[str, Any]

TEXTS = ("subject", "preheader", "sender", "reply_to", "to_name", "reason", "list_id", "language")
COLLECTIONS = ("required", "lookups", "case", "attachments", "fallbacks")
MAIN_ONLY = frozenset({"language", "fallbacks"})
"""What only the main file says: a language's own file has its language in its name."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MOST = 300
"""Rows of one kind that a form may bring."""


class FieldError(UsageError):
    """Something that cannot be meant, in the part of the form for this key."""

    def __init__(self, key: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.key = key


class Kind(StrEnum):
    """What becomes an attachment."""

    FILE = "file"
    EACH = "each"
    """A file of each row's own, found by a pattern."""
    DOCUMENT = "document"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A setting of one line. `inherited` is what the main file says where this one says nothing; not `open`: written by hand."""

    key: str
    value: str
    inherited: str
    open: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A name and its value."""

    name: str
    value: str
    open: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A look-up table: its rows are found by the column `on`, which may be called otherwise in the table itself."""

    name: str
    table: str
    on: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Enclosed:
    """An attachment as the letter names it."""

    kind: Kind
    path: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Everything that the form shows. A key in `closed` is written in a way that only the text can show."""

    texts: Mapping[str, Text]
    required: Sequence[str]
    lookups: Sequence[Joined]
    case: Sequence[Pair]
    case_file: str
    attachments: Sequence[Enclosed]
    fallbacks: Sequence[Pair]
    strip: bool
    closed: frozenset[str]
    others: Sequence[str]


def shown(own: Values, main: Values | None = None) -> Form:
    """The form over a file's values; `main` are those of the main file where this one is a language's own."""
    values = {**(main or {}), **own}
    case = values.get("case")
    closed = frozenset(key for key in (*COLLECTIONS, "strip_metadata") if not _fits(key, values.get(key)))

    def rows(key: str) -> Any:
        return () if key in closed else values.get(key) or ()

    return Form(
        texts={key: _text(key, own, main or {}) for key in TEXTS if main is None or key not in MAIN_ONLY},
        required=_names(rows("required")),
        lookups=[
            Joined(name=name, **{part: str(entry.get(part) or "") for part in ("table", "on", "key")})
            for name, entry in dict(rows("lookups")).items()
        ],
        case=_pairs(case) if isinstance(case, dict) else (),
        case_file=case if isinstance(case, str) else "",
        attachments=[_enclosed(one) for one in _entries(rows("attachments"))],
        fallbacks=_pairs(dict(rows("fallbacks"))),
        strip=values.get("strip_metadata") is True,
        closed=closed,
        others=[key for key in own if key not in {*TEXTS, *COLLECTIONS, "strip_metadata"}],
    )


def wanted(given: Mapping[str, str], own: Values, main: Values | None = None) -> dict[str, Any]:
    """What the file is to say otherwise, by key; None for what it is to say no more. Raises UsageError."""
    form = shown(own, main)
    result: dict[str, Any] = {}
    for key, text in form.texts.items():
        line = _typed(given, f"front-{key}", text.value)
        if text.open and line != text.value:
            result[key] = line if line or key == "subject" else None
    values = {**(main or {}), **own}
    for key, value in _collections(given, form, values):
        if key in form.closed or same(value, values.get(key)) or not (value or values.get(key)):
            continue
        if value:
            result[key] = value
        else:
            result[key] = value if main and main.get(key) else None
    return result


def _collections(given: Mapping[str, str], form: Form, values: Values) -> Iterator[tuple[str, Any]]:
    """What the form says of everything that is more than a line."""
    if "required-shown" in given:
        ticked = _ticked(given, form.required)
        yield "required", values.get("required") if ticked == form.required else ticked
    yield "lookups", _lookups(given, form, values)
    file = given.get("case-file", form.case_file).strip()
    rows = _from_pairs(given, "case", form.case, values.get("case"))
    if file and file != form.case_file and rows:
        raise FieldError(
            "case",
            _("The particulars of the case stand in the letter and in a file."),
            hint=_("go back and take those in the letter off first, or choose no file"),
        )
    yield "case", rows or file or {}
    yield "attachments", _attachments(given, form, values)
    yield "fallbacks", _from_pairs(given, "fallbacks", form.fallbacks, values.get("fallbacks"))
    if "strip-shown" in given:
        yield "strip_metadata", given.get("strip") == "1"


def _typed(given: Mapping[str, str], name: str, before: str = "") -> str:
    """A line that somebody typed, or what was there before. Raises UsageError for characters that nobody can see."""
    text = given.get(name, before)
    if text == before:
        return before
    line = " ".join(part.strip() for part in re.split(r"[\r\n]+", text)).strip()
    if CONTROL.search(line):
        raise _unseen(name)
    return line


def _unseen(name: str) -> FieldError:
    key = re.sub(r"-.*", "", name.removeprefix("front-"))
    key = "attachments" if key == "attach" else key
    return FieldError(key, _("A field holds a control character."), hint=_("go back and type it again"))


def _fits(key: str, value: Any) -> bool:
    """Whether the form can show a value as it is meant."""
    if value is None:
        return True
    kind, each = {
        "strip_metadata": (bool, object),
        "required": (str | list, str),
        "lookups": (dict, dict),
        "fallbacks": (dict, str),
        "case": (str | dict, object),
        "attachments": (object, object),
    }[key]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if key == "attachments":
        return all(_fits_attachment(one) for one in _entries(value))
    return isinstance(value, kind) and (key == "case" or all(isinstance(one, each) for one in items))


def _fits_attachment(entry: Any) -> bool:
    if isinstance(entry, dict):
        known = ("file" in entry) != ("document" in entry) and entry.keys() <= {"file", "document", "name"}
        return known and all(isinstance(one, str) for one in entry.values())
    return isinstance(entry, str)


def _text(key: str, own: Values, main: Values) -> Text:
    value = own.get(key)
    is_open = value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    return Text(key=key, value=_as_line(value) if is_open else "", inherited=_as_line(main.get(key)), open=is_open)


def _as_line(value: Any) -> str:
    """As merge reads it: a folded text is one line."""
    return "" if value is None else " ".join(str(value).split("\n")).strip()


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _pairs(values: Values) -> list[Pair]:
    return [
        Pair(name=name, value=_written(value), open=True)
        if isinstance(value, str | int)
        else Pair(name=name, value="", open=value is None)
        for name, value in values.items()
    ]


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _enclosed(entry: Any) -> Enclosed:
    parts = {"file": entry} if isinstance(entry, str) else entry
    path, name = parts.get("file") or parts.get("document") or "", parts.get("name") or ""
    kind = Kind.DOCUMENT if "document" in parts else Kind.EACH if "{" in path else Kind.FILE
    return Enclosed(kind=kind, path=path, name=name)


def _ticked(given: Mapping[str, str], before: Sequence[str]) -> list[str]:
    ticked = [value for name, value in given.items() if value and re.fullmatch(r"required-\d{1,4}", name)]
    more = [one.strip() for one in given.get("required-new", "").split(",") if one.strip()]
    return list(dict.fromkeys([*(name for name in before if name in ticked), *ticked, *more]))


def numbers(given: Mapping[str, str], kind: str) -> list[int]:
    """The rows of a kind that the form brought, in order."""
    found = (re.fullmatch(rf"{kind}-(\d{{1,4}})-(?:name|path)", name) for name in given)
    return sorted({int(one[1]) for one in found if one})[:MOST]


def _from_pairs(given: Mapping[str, str], kind: str, before: Sequence[Pair], values: Any) -> dict[str, Any]:
    """Rows of a name and a value. One whose name was taken out is taken off; what only the text can show is kept."""
    kept = values if isinstance(values, dict) else {}
    result: dict[str, Any] = {}
    brought = numbers(given, kind)
    for number in [*range(len(before)), *(one for one in brought if one >= len(before))]:
        old = before[number] if number < len(before) else None
        if old and (number not in brought or not old.open):
            if given.get(f"{kind}-{number}-off") != "1":
                result[old.name] = kept[old.name]
            continue
        name, value = (given.get(f"{kind}-{number}-{part}", "") for part in ("name", "value"))
        name, value = name.strip(), value.replace("\r\n", "\n")
        if given.get(f"{kind}-{number}-off") == "1" or not (name or value.strip()):
            continue
        if name in result:
            raise FieldError(
                kind, _("The name {name} stands there twice.").format(name=name), hint=_("go back and change one")
            )
        if old is None or (name, value) != (old.name, old.value):
            _check_pair(kind, name, value)
        result[name] = kept[old.name] if old and value == old.value else value
    return result


def _check_pair(kind: str, name: str, value: str) -> None:
    if not re.fullmatch(r"[^\W\d]\w*" if kind == "case" else r"[A-Za-z]{2,3}([-_]\w+)*", name):
        raise FieldError(
            kind,
            _("{name} cannot be a name here.").format(name=name or "?"),
            hint=_("go back; a name is one word of letters, digits and _"),
        )
    if CONTROL.search(value.replace("\n", "")):
        raise _unseen(kind)


def _lookups(given: Mapping[str, str], form: Form, values: Values) -> dict[str, Any]:
    kept, result = values.get("lookups") or {}, {}
    brought = numbers(given, "lookups")
    for number in [*range(len(form.lookups)), *(one for one in brought if one >= len(form.lookups))]:
        old = form.lookups[number] if number < len(form.lookups) else None
        entry = dict(kept[old.name]) if old else {}
        if number not in brought:
            result[old.name if old else ""] = entry
            continue
        name, table, on, key = (
            _typed(given, f"lookups-{number}-{part}", getattr(old, part, "")) for part in ("name", "table", "on", "key")
        )
        if given.get(f"lookups-{number}-off") == "1" or not (name or table):
            continue
        if not (name and table and on) or name in result:
            raise FieldError(
                "lookups",
                _("A look-up table needs a name of its own, a file and a column of the list."),
                hint=_("go back and fill in all three"),
            )
        entry |= {"table": table, "on": on, "key": key}
        result[name] = entry if key else {part: one for part, one in entry.items() if part != "key"}
    return result


def _attachments(given: Mapping[str, str], form: Form, values: Values) -> Any:
    """The attachments as they are to be, in the way in which each was written."""
    before = _entries(values.get("attachments"))
    result: list[Any] = []
    for number, (old, entry) in enumerate(zip(form.attachments, before, strict=False)):
        off = given.get(f"attachments-{number}-off") == "1"
        path = _typed(given, f"attachments-{number}-path", old.path)
        name = _typed(given, f"attachments-{number}-name", old.name)
        if not off and path:
            result.append(entry if (path, name) == (old.path, old.name) else attachment(entry, path, name))
    result += _new_attachments(given)
    written_alone = values.get("attachments")
    return written_alone if result == before and not isinstance(written_alone, list) else result


def attachment(entry: Any, path: str, name: str) -> Any:
    """An entry with another path or name, as short as it was where that is enough."""
    if isinstance(entry, str):
        return {"file": path, "name": name} if name else path
    changed = {key: path if key in {"file", "document"} else one for key, one in entry.items() if key != "name"}
    return {**changed, "name": name} if name else changed


def _new_attachments(given: Mapping[str, str]) -> Iterator[Any]:
    for kind in Kind:
        path = _typed(given, f"attach-{kind}")
        name = _typed(given, f"attach-{kind}-name")
        if not path:
            continue
        if kind is Kind.DOCUMENT:
            ending = given.get("attach-document-as", "docx")
            ending = ending if ending in {"docx", "pdf", "txt", "html"} and not path.endswith(".docx") else "docx"
            stem = (name or path.rpartition("/")[2]).removesuffix(".docx").removesuffix(f".{ending}")
            yield {"document": path, "name": f"{stem}.{ending}"}
        else:
            yield {"file": path, "name": name} if name else path
