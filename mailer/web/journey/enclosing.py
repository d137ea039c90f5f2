"""The attachments of a letter on its page: the folder's place for them, what may lie there, and what is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from mailer import merge, traces
from mailer.campaign.notes import MAX_MESSAGE_BYTES
from mailer.errors import LetterError, MailerError, UsageError
from mailer.harmless import is_device
from mailer.merge.files import SQLITE, find, is_private
from mailer.merge.place import Place, known_letters
from mailer.model import Contact, Files, Identity
from mailer.web.journey.draft import LISTS, lists_in
from mailer.web.journey.frontform import Enclosed, Kind
from mailer.web.journey.means import Means
from mailer.web.journey.uploads import plain_name, received, same_content, settled
from mailer.web.journey.words import figure, ngettext
from mailer.web.journey.words import gettext as _

if TYPE_CHECKING:
    from mailer.contacts import ContactList  # imports pandas

PLACE = "attachments"
"""The folder of the campaign folder into which the page puts files. Letters name them as `attachments/leaflet.pdf`."""

LARGEST = MAX_MESSAGE_BYTES
"""Octets of a file: a larger one makes a message that no relay takes."""

MOST = 5_000
"""Files in that folder, and rows for which a file is looked for while a letter is written; the preview looks for all."""

REFUSED = re.compile(
    r"\.(ade|adp|apk|app|appx|bat|cab|chm|cmd|com|cpl|dll|dmg|exe|hta|html?|ins|iso|isp|jar|jse?|lib|lnk|md[be]|ms[cipt]|msix|nsh|pif"
    r"|ps1|reg|scr|sct|shb?|svgz?|sys|url|vb[es]?|vhd|vxd|ws[cfh]|xll|age|key|pem|p12|pfx|do[ct]m|xl[st]m|p[op]tm)",
    re.IGNORECASE,
)
"""Programs, and what can hold one: the large mail services refuse a message with any of these. And keys, which nobody means to send."""

PROGRAMS = (b"MZ", b"\x7fELF", b"#!", b"\xfe\xed\xfa", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs begin, whatever they are called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What is known of an attachment: sentences, of which the first is about whether it is there."""

    good: bool
    lines: Sequence[str]


class Attachments:
    """The campaign folder's place for attachments."""

    def __init__(self, means: Means) -> None:
        self._folder = means.folder

    def there(self, place: Place | None) -> list[str]:
        """What can be attached, as a letter would name it: the page's own folder first, then what lies beside the letter."""
        found = [f"{PLACE}/{name}" for name in self._names(self._folder / PLACE)]
        if place and place.stem == "letter":
            own = self._names(self._folder / place.folder)
            found += [name for name in own if not name.startswith("letter.") and not name.endswith((".md", ".yaml"))]
        return found

    def documents(self, letter: str, place: Place | None) -> list[str]:
        """What can be filled in for each row: other letters, and Word files that hold fields."""
        words = [one for one in self.there(place) if one.lower().endswith(".docx")]
        return [*(one for one in known_letters(merge.Folder(self._folder)) if one != letter), *words]

    def patterns(self, fields: Sequence[str]) -> str:
        """An example of how files of each row's own are named."""
        chosen = next((one for one in fields if one.endswith(("id", "number", "branch"))), next(iter(fields), "branch"))
        return f"{PLACE}/{{{{ {chosen} }}}}.pdf"

    def _names(self, folder: Path) -> list[str]:
        try:
            root = self._folder.resolve()
            inside = (
                one for one in islice(folder.iterdir(), MOST) if one.is_file() and one.resolve().is_relative_to(root)
            )
            return sorted(one.name for one in inside if why_not(one.name) is None)
        except OSError:
            return []

    async def upload(self, request: Request) -> Response:
        """Take a file as the request's body. Answers with how a letter names it, or why not; 409 where its name is taken by another.

        The header X-Taken then says what to do: `replace` the file that is there, or keep `both`.
        """
        choice = request.headers.get("x-taken", "")
        place = self._folder / PLACE
        try:
            name = self._name(plain_name(request))
            kept = await received(request, place, LARGEST, lambda part: self._kept(part, place / name, choice))
        except ClientDisconnect:
            return Response(status_code=400)
        except MailerError as error:
            return JSONResponse({"error": _(error.message), "hint": error.hint and _(error.hint)}, 422)
        if kept is None:
            said = _("There is a file {name} already, with other contents.").format(name=name)
            return JSONResponse({"taken": name, "error": said}, 409)
        return JSONResponse({"file": f"{PLACE}/{kept.name}"})

    def _name(self, path: Path) -> str:
        reason = why_not(path.name)
        if reason:
            raise UsageError(reason, hint=_("Choose a document or a picture: PDF, Word, OpenDocument, PNG, JPEG."))
        place = self._folder / PLACE
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise UsageError(
                _("The folder attachments/ leads somewhere else. Nothing was kept."),
                hint=_("Make it a folder of its own."),
            )
        if place.is_dir() and sum(1 for _one in islice(place.iterdir(), MOST)) >= MOST:
            raise UsageError(
                _("There are too many files in attachments/. Nothing was kept."),
                hint=_("Take out what is no longer needed."),
            )
        return path.name

    def _kept(self, part: Path, target: Path, choice: str) -> Path | None:
        """The file under its name, or under another one if both are to be kept; None if its name is taken and nobody decided."""
        with part.open("rb") as file:
            head = file.read(16)
        if head.startswith((*PROGRAMS, SQLITE)):
            raise UsageError(
                _("This is a program or a database, whatever its name says. Nothing was kept."),
                hint=_("Choose a document or a picture: PDF, Word, OpenDocument, PNG, JPEG."),
            )
        if choice == "both":
            return settled(part, target)
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise UsageError(
                _("{name} leads somewhere else. Nothing was kept.").format(name=target.name),
                hint=_("Give the file another name."),
            )
        if target.exists() and not same_content(part, target):
            if choice != "replace":
                return None
            part.replace(target)
        elif not target.exists():
            part.rename(target)
        return target


def why_not(name: str) -> str | None:
    """Why a file of this name is not sent; None if it may be."""
    path = Path(name)
    if not path.stem or not path.suffix or name.startswith(".") or is_device(name) or is_private(name):
        return _("A file of this name cannot be attached.")
    if any(REFUSED.fullmatch(one) for one in path.suffixes):
        return _("Files of this kind can hold a program, or a key. Mail services refuse them, so nothing was kept.")
    if path.suffix.lower() in {".toml", ".env", ".md", ".yaml"}:
        return _("Files of this kind belong to letters and settings, and are not sent.")
    return None


def facts(
    rows: Sequence[Enclosed],
    files: Files,
    place: Place,
    lacking: Mapping[int, tuple[int, int]] | None,
    *,
    strips: bool,
    looked: int,
) -> list[Fact]:
    """What is known of each attachment. `lacking` says of how many rows, and the first of them, have no file; None: nobody could count."""
    return [
        _fixed(one.path, files, place, strips=strips)
        if one.kind is Kind.FILE
        else _each(None if lacking is None else lacking.get(at), looked)
        if one.kind is Kind.EACH
        else _document(one, files, place, strips=strips)
        for at, one in enumerate(rows)
    ]


def _fixed(path: str, files: Files, place: Place, *, strips: bool) -> Fact:
    content = _content(path, files, place)
    if content is None:
        return Fact(good=False, lines=[_("This file is not there.")])
    good, lines = _told(path, content, traces.found(content), strips=strips)
    return Fact(good=good and len(content) <= LARGEST, lines=[size(len(content)), *lines])


def _told(path: str, content: bytes, told: Sequence[str], *, strips: bool) -> tuple[bool, list[str]]:
    """Whether a file can be sent as the letter says, and what it tells of its makers."""
    if strips:
        try:
            traces.without(content)
        except traces.TracesStayError as error:
            return False, [f"{path} {error}."]
        return True, [_("Sent without: {fields}.").format(fields=", ".join(told))] if told else []
    return True, [_("Tells its readers: {fields}.").format(fields=", ".join(told))] if told else []


def _content(path: str, files: Files, place: Place) -> bytes | None:
    try:
        found = find(files, path, place.folders)
        return files.read(found) if found else None
    except (LetterError, OSError, ValueError):
        return None


def _each(lacking: tuple[int, int] | None, looked: int) -> Fact:
    if lacking is None or not looked:
        return Fact(
            good=True, lines=[_("A file of each row's own. With a list chosen, the missing ones are counted here.")]
        )
    count, first = lacking
    among = _("Looked for in the first {number} rows.").format(number=figure(looked)) if looked >= MOST else ""
    if not count:
        return Fact(good=True, lines=[_("Every row has its file."), *([among] if among else [])])
    said = ngettext(
        "%(number)s row has no file: row %(row)s.", "%(number)s rows have no file, the first is row %(row)s.", count
    )
    return Fact(good=False, lines=[said % {"number": figure(count), "row": first}, *([among] if among else [])])


def _document(one: Enclosed, files: Files, place: Place, *, strips: bool) -> Fact:
    if not one.path.lower().endswith(".docx"):
        return Fact(good=True, lines=[_("Filled in for each row. Nothing tells who made it.")])
    content = _content(one.path, files, place)
    if content is None:
        return Fact(good=False, lines=[_("This file is not there.")])
    # its own properties are never sent; who wrote notes in it, or where it lay, is, unless the letter strips that
    told = [field for field in traces.found(content) if not field.startswith("docProps/")]
    good, lines = _told(one.path, content, told, strips=strips)
    if good and not lines:
        return Fact(good=True, lines=[_("Filled in for each row. Nothing tells who made it.")])
    return Fact(good=good, lines=[_("Filled in for each row."), *lines])


def size(octets: int) -> str:
    """A file's size in words."""
    if octets < 1_000_000:
        return _("{number} KB").format(number=max(1, round(octets / 1000)))
    return _("{number} MB").format(number=f"{octets / 1e6:.1f}")


def count_lacking(
    template: merge.Template, language: str, people: ContactList, identity: Identity
) -> tuple[dict[int, tuple[int, int]], int]:
    """As `Template.rows_without_file`, for as many rows as can be looked at while somebody writes; and how many these were."""
    rows: Iterator[Contact] = islice(iter(people), MOST)
    return template.rows_without_file(language, rows, identity), min(len(people), MOST)


def tables_in(folder: Path) -> list[str]:
    """Files that can be looked up in."""
    return [
        one for one in lists_in(folder) if Path(one).suffix.lower() in LISTS - {".txt"} and one.startswith("contacts/")
    ]
