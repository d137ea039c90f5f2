"""The first step: a list is picked or uploaded, read as the command reads it, and mended where it can be."""

from __future__ import annotations

import csv
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from mailer import contacts
from mailer.age import Opener
from mailer.campaign.rest import is_under_way
from mailer.contacts.typos import LIKELY_TYPO
from mailer.errors import ListError, MailerError, UsageError
from mailer.harmless import is_device
from mailer.model import Findings, Lookup, Problem
from mailer.web.journey.draft import LISTS, Draft, lists_in
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages, said
from mailer.web.journey.uploads import backup_of, is_taken, plain_name, received, replaced, settled
from mailer.web.journey.words import gettext as _

if TYPE_CHECKING:
    from mailer.contacts import ContactList  # imports pandas

LARGEST = 200_000_000
"""Octets of an upload: a list of a million people has less than half."""

FIRST, MENDED, PROBLEMS, WARNINGS = 10, 50, 200, 20
"""Rows that are shown, rows that can be mended on the page at once, problems and warnings that are told."""

BLANK = frozenset({"blank-required", "blank-field"})
KEPT = 3
CORRECTED = re.compile(r"-corrected(-[0-9]+)?$")
"""What a corrected copy is called after its list; one of a corrected copy only gets the next number."""

NO_LOOKUPS: Mapping[str, Lookup] = {}
NOTHING: Mapping[int, Mapping[str, str]] = {}

UPLOAD_PROBLEMS = 3
"""Problems, of the settings say, that are told in the line below an upload."""


class Lists:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages
        self._read: OrderedDict[tuple[object, ...], ContactList] = OrderedDict()
        self._sheets: tuple[object, list[str]] = (None, [])
        self._lock = Lock()

    def read(self, draft: Draft, lookups: Mapping[str, Lookup] = NO_LOOKUPS, beside: str = "") -> ContactList:
        """The list, read once as long as its file is the same, with what is looked up beside the letter or in the folder.

        Raises ListError, LockedError, SettingsError.
        """
        tables = [self._age(beside, lookup.table) for lookup in lookups.values()]
        key = (draft.list, draft.column, draft.sheet, self.age(draft), repr((lookups, beside, tables)))
        with self._lock:
            if key not in self._read:
                self._read[key] = contacts.read(
                    Path(draft.list),
                    email_column=draft.column or None,
                    sheet=draft.sheet or None,
                    lookups=lookups,
                    lookup_folders=(Path(beside), Path()),
                    unlock=self._unlock,
                )
            self._read.move_to_end(key)
            while len(self._read) > KEPT:
                self._read.popitem(last=False)
            return self._read[key]

    def sheets(self, draft: Draft) -> list[str]:
        """The sheets of a workbook, found once as long as its file is the same."""
        key = (draft.list, self.age(draft))
        with self._lock:
            if self._sheets[0] != key:
                self._sheets = (key, contacts.sheets(Path(draft.list), self._unlock))
            return self._sheets[1]

    def age(self, draft: Draft) -> str:
        """What is another one once the list's file has changed."""
        there = (self._means.folder / draft.list).stat()
        return f"{there.st_mtime_ns}-{there.st_size}"

    def _age(self, beside: str, table: str) -> int:
        """When a table was changed last; 0 for one that is not there."""
        places = [self._means.folder / beside / table, self._means.folder / table]
        return next((path.stat().st_mtime_ns for path in places if path.is_file()), 0)

    def _unlock(self, needed: Opener) -> str:
        # most lists are not encrypted, and can be read before the settings are right
        return self._means.unlock(self._means.settings())(needed)

    def page(self, request: Request) -> Response:
        draft = self._pages.draft(request)
        if request.query_params.get("column_of", draft.sheet) != draft.sheet:
            draft = replace(draft, column="")  # what it was called on the sheet before
        return self._show(request, draft)

    def _show(self, request: Request, draft: Draft) -> Response:
        people, error, age, sheets = None, None, "", list[str]()
        if draft.list:
            try:
                age = self.age(draft)
                people = self.read(draft)
            except MailerError as failed:
                error = failed
            sheets = self.sheets(draft)
        return self._pages.show(
            request,
            "list",
            draft=draft,
            lists=lists_in(self._means.folder),
            people=people,
            error=error,
            sheets=sheets,
            columns=[one.original or one.name for one in people.columns] if people is not None else _columns(error),
            lost=request.query_params.get("list", "")[:300] if not draft.list else "",
            age=age,
            first=list(people[:FIRST]) if people is not None else [],
            mended=list(people.bad_rows[:MENDED]) if people is not None else [],
            problems=people.problems[:PROBLEMS] if people is not None else [],
            advice=_advice(people.problems) if people is not None else [],
            mistyped=people.mistyped(MENDED) if people is not None else [],
            warnings=list(islice(_others(people), WARNINGS)) if people is not None else [],
        )

    async def upload(self, request: Request) -> Response:
        """Take a file as the request's body; its name stands in a header, percent-encoded. Answers with its place, or why not.

        Where another list has the name it is asked first what is to become of that, and then sent once more with the answer.
        """
        place = self._means.folder / "contacts"
        try:
            name = self._name(plain_name(request))
            existing = request.headers.get("x-existing", "")
            kept = await received(request, place, LARGEST, lambda part: self._keep(part, place / name, existing))
        except ClientDisconnect:
            return Response(status_code=400)
        except MailerError as error:
            what = " ".join([_(error.message), *said(error.problems, UPLOAD_PROBLEMS)])
            return JSONResponse({"error": what, "hint": error.hint and _(error.hint)}, 422)
        if kept is None:
            return JSONResponse({"taken": name, "backup": backup_of(place / name).name})
        return JSONResponse({"list": kept.relative_to(self._means.folder).as_posix()})

    def _keep(self, part: Path, wanted: Path, existing: str) -> Path | None:
        """Where it is kept; None if a list with other contents has its name, and nobody has said what is to become of that."""
        if existing == "both" or not is_taken(part, wanted):
            return settled(part, wanted)
        if existing != "replace":
            return None
        self._refuse_while_sending(wanted.relative_to(self._means.folder).as_posix())
        return replaced(part, wanted)

    def _refuse_while_sending(self, name: str) -> None:
        """Raise UsageError if a campaign is being sent from the list just now: it would not be what was approved."""
        with self._means.ledger(self._means.settings()) as ledger:
            sent = [
                one.name for one in ledger.campaigns() if one.manifest.list_name == name and is_under_way(ledger, one)
            ]
        if sent:
            raise UsageError(
                _("The campaign {name} is being sent from this list just now, so the list was not replaced.").format(
                    name=sent[0]
                ),
                hint=_("Pause the campaign first, or keep both."),
            )

    def _name(self, path: Path) -> str:
        """The name of a file that can be a list. Raises UsageError."""
        inner = path.with_suffix("") if path.suffix.lower() == ".age" else path
        if inner.suffix.lower() == ".numbers":
            raise UsageError(
                _("{path} is an Apple Numbers file.").format(path=path.name),
                hint=_("In Numbers choose File, Export To, CSV or Excel."),
            )
        if inner.suffix.lower() not in LISTS or not inner.stem or is_device(path.name):
            raise UsageError(
                _("This is no list that mailer can read."),
                hint=_("Choose a spreadsheet (.xlsx, .xls, .ods) or a table (.csv, .tsv, .json, .parquet)."),
            )
        if path.suffix.lower() != ".age" and self._means.encrypted(self._means.settings()):
            raise UsageError(
                _("This folder is encrypted, and a list put here by the page would be readable. Nothing was kept."),
                hint=_("Put it in from the terminal: mailer encrypt FILE"),
            )
        return path.name

    def mend(self, request: Request) -> Response:
        """Keep a corrected copy of the list beside it; the list itself stays as it is."""
        draft, form = self._pages.draft(request), request.state.form
        if form.get("age") != self.age(draft):  # in a row there may be somebody else by now
            raise UsageError(
                _("The list has changed since this page was shown, so nothing was corrected."),
                hint=_("open it again, and look at its rows"),
            )
        people = self.read(draft)
        given = {**(_given("meant", form) if form.get("then") == "meant" else {}), **_given("row", form)}
        if self._means.encrypted(self._means.settings()):
            raise UsageError(
                _("This folder is encrypted, and the corrected copy would be readable. Nothing was kept."),
                hint=_("Mend the list in the program it came from, and encrypt it again."),
            )
        stem = CORRECTED.sub("", Path(draft.list).with_suffix("").name)
        part = self._means.folder / "contacts" / f".mended-{os.urandom(8).hex()}"
        part.parent.mkdir(exist_ok=True)
        try:
            write_mended(part, people, given, _cells(people, form))
            kept = settled(part, part.with_name(f"{stem}-corrected.csv"))
        except OSError as error:
            raise UsageError(_("The corrected copy cannot be kept: {reason}.").format(reason=error.strerror)) from error
        finally:
            part.unlink(missing_ok=True)
        step = "preview" if form.get("back") == "preview" else "list"
        return RedirectResponse(draft.url(step, list=kept.relative_to(self._means.folder).as_posix(), sheet=""), 303)


def _columns(error: MailerError | None) -> Sequence[str]:
    """What there is to choose from, where it is the column that could not be told."""
    return error.columns if isinstance(error, ListError) else ()


def _given(what: str, form: Mapping[str, str]) -> dict[int, str]:
    """Addresses by their rows, from the fields that are called so."""
    found = ((re.fullmatch(rf"{what}-([0-9]{{1,9}})", name), value.strip()) for name, value in form.items())
    return {int(name[1]): value for name, value in found if name}


def _advice(problems: Findings) -> list[str]:
    """What is to be mended where the list comes from, and not row by row."""
    return list(dict.fromkeys(one.hint for one in problems.said if one.code == "exchange-address" and one.hint))


def blank_cells(problems: Iterable[Problem], people: ContactList) -> list[tuple[str, str]]:
    """The cells that are blank and must not be, as fields of a form: the field's name, and what it is called."""
    # problems call a column as it is headed, those of a letter as letters do
    named = {title: column for column in people.columns for title in (column.original or column.name, column.name)}
    found = ((one.row, named.get(one.column or "")) for one in problems if one.code in BLANK)
    return [
        (f"cell-{row}-{column.name}", _("Row {row}, {column}").format(row=row, column=column.original or column.name))
        for row, column in islice(found, MENDED)
        if column
    ]


def _cells(people: ContactList, form: Mapping[str, str]) -> dict[int, dict[str, str]]:
    """What was filled in for cells that are blank, by row and column."""
    columns = {column.name for column in people.columns}
    found: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        at = re.fullmatch(r"cell-([0-9]{1,9})-(.+)", name)
        if at and at[2] in columns and value.strip():
            found.setdefault(int(at[1]), {})[at[2]] = value.strip()
    return found


def _others(people: ContactList) -> Iterator[Problem]:
    """What is told besides the addresses that look mistyped, which can be corrected at their place."""
    return (one for one in people.warnings if one.code != LIKELY_TYPO)


def write_mended(
    path: Path, people: ContactList, addresses: Mapping[int, str], cells: Mapping[int, Mapping[str, str]] = NOTHING
) -> None:
    """All rows but repeated ones, in their order, with other addresses or cells in some; a row given an empty address is left out."""
    address = people.email_column.name
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.original or column.name for column in people.columns])
        for row, fields in _rows(people):
            mended = addresses.get(row)
            if mended != "":
                row_now = {**fields, **cells.get(row, {}), **({} if mended is None else {address: mended})}
                writer.writerow([row_now.get(column.name, "") for column in people.columns])


def _rows(people: ContactList) -> Iterator[tuple[int, dict[str, str]]]:
    bad = iter(people.bad_rows)
    waiting = next(bad, None)
    for contact in people:
        while waiting and waiting.row < contact.row:
            yield waiting.row, dict(waiting.fields)
            waiting = next(bad, None)
        yield contact.row, {name: value for name, value in contact.fields.items() if isinstance(value, str)}
    while waiting:
        yield waiting.row, dict(waiting.fields)
        waiting = next(bad, None)
