"""Handing on and taking over who is not to be mailed: our own exports, lists of any kind, one address a line."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mailer.address import address_key, is_plain
from mailer.age import Unlock, no_key
from mailer.errors import ListError, Refused, quoted
from mailer.model import EVERYWHERE, Problem, Reason, Suppression, said
from mailer.report.table import begins_with, replacing
from mailer.suppression import is_entry, list_name, normalise
from mailer.times import iso

if TYPE_CHECKING:
    from mailer.contacts import ContactList

COLUMNS = ("address", "domain", "hash", "key", "list", "reason", "note", "since", "source")
MARKS = frozenset({"address", "domain", "hash", "reason"})
"""Columns by which a file is known as an export from a ledger."""

FORMULA = ("'", "=", "+", "-", "@", "\t", "\r")
"""A cell that begins so gets an apostrophe before it, which is taken away again: a spreadsheet shall compute nothing."""

TEXTS = frozenset({".csv", ".tsv", ".txt", ""})
HASH_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the user says of everybody in a file; None where the file decides."""

    reason: Reason | None = None
    note: str | None = None
    scope: str | None = None


@dataclass(kw_only=True, slots=True)
class Found:
    """What a file holds. Always `rows == len(suppressions) + repeated + refused`; `problems` tell why rows were refused.

    `people` is the list, where the file is one.
    """

    suppressions: list[Suppression] = field(default_factory=list)
    rows: int = 0
    repeated: int = 0
    refused: int = 0
    problems: list[Problem] = field(default_factory=list)
    people: ContactList | None = None
    _seen: set[tuple[object, ...]] = field(default_factory=set)

    def take(self, one: Suppression) -> None:
        """A row that holds somebody, or a domain."""
        self.rows += 1
        what = (one.entry, one.hash, one.scope)
        if what in self._seen:
            self.repeated += 1
        else:
            self._seen.add(what)
            self.suppressions.append(one)

    def refuse(self, problem: Problem) -> None:
        """A row that holds nobody."""
        self.rows += 1
        self.refused += 1
        self.problems.append(problem)


def entry_of(text: str) -> str | None:
    """An address or @domain as somebody wrote it, by the key that a list has for it; None where it is neither.

    As a list does, it takes what was copied along away: `<pat@example.org>;`, `mailto:`, quotation marks, invisible characters.
    """
    text = text.strip()
    if "@" in text[1:] and not is_plain(text):
        from mailer.contacts.address import Checked, check  # noqa: PLC0415 - slow to import, and seldom needed

        if isinstance(checked := check(text), Checked):
            return checked.key
    key = address_key(text) if "@" in text else normalise(text)
    return key if is_entry(key) else None


def read_suppressions(
    path: Path,
    asked: Asked,
    *,
    secrets: Iterable[bytes] = (),
    key_file: Path | None = None,
    email_column: str | None = None,
    sheet: str | None = None,
    unlock: Unlock = no_key,
) -> Found:
    """Whom a file names. `secrets` are those by which the ledger knows hashes already.

    Raises ListError where it cannot be read at all.
    """
    head = _first_line(path) if path.suffix.lower() in TEXTS else ""
    separator = max(",;\t", key=head.count)
    if set(_cells(head, separator)) >= MARKS:
        known = {key_id(secret): secret for secret in (*secrets, *_keys(path, key_file))}
        return _export(path, asked, separator, known)
    if "@" in head and not any(mark in head for mark in ',;\t"'):
        return _lines(path, asked)
    from mailer import contacts  # noqa: PLC0415 - imports pandas

    return _list(contacts.read(path, email_column=email_column, sheet=sheet, unlock=unlock), asked)


def key_id(secret: bytes) -> str:
    """What names a secret, and does not tell it."""
    return hashlib.sha256(b"mailer suppression key\0" + secret).hexdigest()[:16]


# -- our own exports


def write_export(path: Path, kept: Iterable[Suppression], *, only_hashes: bool = False) -> Path | None:
    """Write all suppressions as CSV; where it holds hashes, also the key to them, into a file whose path is returned.

    Hashes stand for addresses that were erased, with `only_hashes` for all. Raises Refused if it cannot be written.
    """
    secrets: dict[str, bytes] = {}
    with replacing(path, what="The export", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in kept:
            entry = one.entry or ""
            if not entry or (only_hashes and not entry.startswith("@")):
                secrets[key_id(one.secret)] = one.secret
                row = ["", "", one.hash.hex(), key_id(one.secret), one.scope, one.reason, ""]
            elif entry.startswith("@"):
                row = ["", entry[1:], "", "", one.scope, one.reason, one.note]
            else:
                row = [entry, "", "", "", one.scope, one.reason, one.note]
            writer.writerow(_harmless(str(cell)) for cell in [*row, iso(one.since), one.source])
    if not secrets:
        return None
    keys = key_path(path)
    with replacing(keys, what="The key", encoding="ascii", newline="\n") as file:
        file.writelines(f"{name} {secret.hex()}\n" for name, secret in secrets.items())
    return keys


def key_path(path: Path) -> Path:
    """Where the key of an export stands, unless it is kept apart."""
    return path.with_name(f"{path.name}.key")


def is_export(path: Path) -> bool:
    """Whether the file is one that `write_export` wrote."""
    return begins_with(path, "\ufeff" + ",".join(COLUMNS) + "\r\n")


def _keys(path: Path, key_file: Path | None) -> Iterator[bytes]:
    """The secrets in the file that was named, or stands beside. Raises ListError for one that holds none."""
    keys = key_file or key_path(path)
    if key_file is None and not keys.is_file():
        return
    try:
        lines = [line.split() for line in keys.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        secrets = [bytes.fromhex(secret) for _, secret in lines]
    except (OSError, ValueError):
        secrets = []
    if not secrets:
        raise ListError(
            said("{keys} holds no key. Nothing was changed.", keys=keys),
            hint="Use the .key file as `mailer suppress export` wrote it, unchanged.",
        )
    yield from secrets


def _export(path: Path, asked: Asked, separator: str, known: Mapping[str, bytes]) -> Found:
    found, now = Found(), datetime.now(UTC)
    for row, values in _rows(path, separator):
        reason = asked.reason or next((one for one in Reason if one == values["reason"]), None)
        note = values["note"] or ("" if reason else values["reason"])
        one = Suppression(
            entry=None,
            reason=reason or Reason.IMPORTED,
            note=note if asked.note is None else asked.note,
            source=f"imported from {path.name}",
            since=_moment(values["since"], now),
            scope=list_name(values["list"]) if asked.scope is None else asked.scope,
        )
        taken = _identified(one, values, known)
        if isinstance(taken, Suppression):
            found.take(taken)
        else:
            found.refuse(replace(taken, file=str(path), row=row))
    return found


def _rows(path: Path, separator: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that are not blank, by COLUMNS, each with its number as a spreadsheet shows it."""
    names: Sequence[str] = ()
    try:
        for row, cells in enumerate(csv.reader(StringIO(_text(path), newline=""), delimiter=separator), start=1):
            if any(map(str.strip, cells)):
                values = {name: _plain(cell.strip()) for name, cell in zip(names, cells, strict=False)}
                if names:
                    yield row, {name: values.get(name, "") for name in COLUMNS}
                names = names or [cell.strip().lower() for cell in cells]
    except csv.Error as error:
        raise ListError(said("{path} is damaged: {error}.", path=path, error=error), hint="Export it again.") from error


def _identified(one: Suppression, values: Mapping[str, str], known: Mapping[str, bytes]) -> Suppression | Problem:
    """With whom a row of an export names: by address, domain, or hash and key."""
    if sum(bool(values[name]) for name in ("address", "domain", "hash")) != 1:
        return _odd("address", "A row has either an address, or a domain, or a hash.")
    if not values["hash"]:
        entry = entry_of(values["address"] or f"@{values['domain'].removeprefix('@')}")
        if entry and entry.startswith("@") == bool(values["domain"]):
            return replace(one, entry=entry)
        return _odd("address", "This is no address.") if values["address"] else _odd("domain", "This is no domain.")
    try:
        digest = bytes.fromhex(values["hash"])
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES:
        return _odd("hash", "This is no hash: it has 64 digits from 0 to 9 and a to f.")
    if values["key"] not in known:
        hint = "Put the .key file of the export beside it, or name it: --key FILE"
        return replace(_odd("key", "Nobody can be recognised by this hash without its key."), hint=hint)
    return replace(one, hash=digest, secret=known[values["key"]])


def _odd(column: str, message: str) -> Problem:
    return Problem(code="no-entry", message=message, column=column)


def _moment(text: str, now: datetime) -> datetime:
    """When it was, if that can be: whoever is not to be mailed is not let go for an odd date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if datetime(1971, 1, 1, tzinfo=UTC) <= moment <= now else now


def _harmless(text: str) -> str:
    clean = text.replace("\0", "")
    return f"'{clean}" if clean.startswith(FORMULA) else clean


def _plain(text: str) -> str:
    return text.removeprefix("'")


# -- what others write


def _lines(path: Path, asked: Asked) -> Found:
    """One address or @domain a line, without a header."""
    found, now = Found(), datetime.now(UTC)
    for row, line in enumerate(StringIO(_text(path)), start=1):
        text = line.strip()
        if "@" in text and (entry := entry_of(text)):
            found.take(_imported(entry, asked, path, now))
        elif text:
            found.refuse(replace(_no_address(), file=str(path), row=row))
    return found


def _list(people: ContactList, asked: Asked) -> Found:
    """Whatever `mailer check` reads. A row with a usable address is taken whatever else is wrong with it."""
    path, found, now = people.path, Found(people=people), datetime.now(UTC)
    for key in people.keys():  # noqa: SIM118 - not a mapping
        found.take(_imported(key, asked, path, now))
    found.rows += people.duplicates
    found.repeated += people.duplicates
    unusable = set[int]()
    for bad in people.bad_rows:
        cell = bad.fields.get(people.email_column.name, "").strip()
        entry = normalise(bad.address or cell)
        if bad.address or (cell.startswith("@") and is_entry(entry)):
            found.take(_imported(entry, asked, path, now))
        else:
            unusable.add(bad.row)
    found.rows += len(unusable)
    found.refused = len(unusable)
    found.problems = [problem for problem in people.problems if problem.row in unusable]
    return found


def _imported(entry: str, asked: Asked, path: Path, now: datetime) -> Suppression:
    return Suppression(
        entry=entry,
        reason=asked.reason or Reason.IMPORTED,
        note=asked.note or "",
        source=f"imported from {path.name}",
        since=now,
        scope=EVERYWHERE if asked.scope is None else asked.scope,
    )


def _no_address() -> Problem:
    hint = "Write one address a line, for example pat@example.org, or @example.org for everybody there."
    return Problem(code="no-entry", message="This is neither an address nor an @domain.", hint=hint)


def _first_line(path: Path) -> str:
    """The first line that is not blank; nothing for what is not text."""
    try:
        return next((line.strip() for line in islice(_text(path).splitlines(), 100) if line.strip()), "")
    except Refused:
        # whoever reads lists says what is wrong
        return ""


def _cells(line: str, separator: str) -> Sequence[str]:
    return [cell.strip().lower() for cell in next(csv.reader([line], delimiter=separator), [])]


def _text(path: Path) -> str:
    """A text file's text, in UTF-8 or UTF-16, or as Windows wrote it before. Raises ListError."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ListError(
            said("{path} cannot be read.", path=quoted(path)), hint="Check the name and the folder you are in."
        ) from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
