"""The second step: a letter is picked, written with its look beside it, and kept."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from mailer import merge, mime
from mailer.campaign.notes import told, watched
from mailer.errors import LetterError, MailerError, SettingsError, UsageError
from mailer.harmless import is_device
from mailer.model import Contact, Files, Identity, Mailbox, Problem
from mailer.preview.page import POLICY as MESSAGE_POLICY
from mailer.preview.page import message_page
from mailer.preview.reading import read
from mailer.web.journey.draft import A_LANGUAGE, Draft, letters_in
from mailer.web.journey.lists import Lists
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages, said

if TYPE_CHECKING:
    from mailer.contacts import ContactList  # imports pandas

FRAMED = f"{MESSAGE_POLICY.replace(' file:', '')}; frame-ancestors 'self'"
LARGEST = 500_000
"""Octets of a letter's text."""

KEPT = 20
"""Looks that can still be shown; each open page needs its newest one."""

LOOKED_THROUGH = 20_000
"""Rows; the preview looks through all of them."""

NAME = re.compile(r"[^\W_][\w -]{0,60}")

NOBODY = Identity(sender=Mailbox("you@example.org", "You"))
STARTER = """---
subject: "{subject}"
language: en
---

Dear {{{{ name or "friend" }}}},

write here what you ask them to do, and why.

With thanks
"""


class Edited(Files):
    """The campaign folder as it would be with one file changed."""

    def __init__(self, folder: merge.Folder, path: str, text: str) -> None:
        self._folder, self._path, self._content = folder, path, text.encode()

    def read(self, path: str) -> bytes:
        return self._content if path == self._path else self._folder.read(path)

    def exists(self, path: str) -> bool:
        return path == self._path or self._folder.exists(path)

    def names(self, folder: str) -> list[str]:
        names = set(self._folder.names(folder))
        place, _, name = self._path.rpartition("/")
        return sorted(names | {name} if place == folder else names)


class Letters:
    def __init__(self, means: Means, pages: Pages, lists: Lists | None = None) -> None:
        self._means, self._pages = means, pages
        self._lists = lists or Lists(means, pages)
        self._looks: OrderedDict[str, bytes] = OrderedDict()
        self._blanks: WeakKeyDictionary[ContactList, dict[str, tuple[int, int]]] = WeakKeyDictionary()

    def page(self, request: Request) -> Response:
        draft = self._pages.draft(request)
        found = letters_in(self._means.folder)
        files = self._files(draft.letter)
        chosen = request.query_params.get("file", "")
        file = chosen if chosen in files else next(iter(files), "")
        text = self._text(file)
        return self._pages.show(
            request,
            "letter",
            draft=draft,
            letters=found,
            files=files,
            file=file,
            text=text,
            digest=_digest(text) if text is not None else "",
            fields=self._fields(draft),
            kept=request.query_params.get("kept") == "1",
        )

    def save(self, request: Request) -> Response:
        """Write the letter's file, or begin a new letter. Refused where the file is no longer what was shown."""
        draft, form = self._pages.draft(request), request.state.form
        if name := form.get("new", "").strip():
            return RedirectResponse(draft.url("letter", letter=self._begin(name)), 303)
        file, text = form.get("file", ""), form.get("text", "").replace("\r\n", "\n")
        if file not in self._files(draft.letter):
            raise UsageError("There is no such letter any more.", hint="choose another one")
        before = self._text(file)
        if before is None or _digest(before) != form.get("digest"):
            return self._pages.show(
                request,
                "letter",
                status=409,
                draft=draft,
                letters=letters_in(self._means.folder),
                files=self._files(draft.letter),
                file=file,
                text=text,
                digest=_digest(before or ""),
                fields=self._fields(draft),
                elsewhere=before,
            )
        _write(self._means.folder / file, text)
        if form.get("then") == "preview":
            return RedirectResponse(draft.url("preview"), 303)
        return RedirectResponse(f"{draft.url('letter')}&file={file}&kept=1", 303)

    def look(self, request: Request) -> Response:
        """How the letter would look for somebody of the list, as the text is now. Keeps nothing on disk."""
        draft, form = self._pages.draft(request), request.state.form
        file, text = form.get("file", ""), form.get("text", "").replace("\r\n", "\n")
        if file not in self._files(draft.letter) or len(text.encode()) > LARGEST:
            raise HTTPException(404)
        try:
            content, problems = self._made(draft, file, text)
        except MailerError as error:
            found = said(error.problems) or [error.message]
            return JSONResponse({"problems": found, "hint": error.hint})
        key = secrets.token_urlsafe(12)
        self._looks[key] = content
        while len(self._looks) > KEPT:
            self._looks.popitem(last=False)
        return JSONResponse({"look": f"/letter/look/{key}", "problems": said(problems)})

    def looked(self, request: Request) -> Response:
        content = self._looks.get(request.path_params["key"])
        if content is None:
            raise HTTPException(404)
        reading = read(content)
        page = message_page(
            reading, title="Letter", assets="/assets", download=None, attachments=[None] * len(reading.attachments)
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": FRAMED})

    def _made(self, draft: Draft, file: str, text: str) -> tuple[bytes, list[Problem]]:
        """The message for the first of the list, or for nobody. Raises LetterError."""
        template = merge.load(draft.letter, Edited(merge.Folder(self._means.folder), file, text))
        try:
            identity = self._means.settings().identity()
        except SettingsError:
            identity = NOBODY
        problems: list[Problem] = []
        contact = None
        if draft.list:
            people = self._lists.read(draft)
            odd = template.check([column.name for column in people.columns])
            problems = told(odd, self._blank(people, watched(odd)))
            contact = next(iter(people), None)
        language = _language(file)
        if contact and not template.front.lookups:
            if language:
                contact = Contact(
                    address=contact.address,
                    key=contact.key,
                    row=contact.row,
                    name=contact.name,
                    language=language,
                    fields=contact.fields,
                )
            letter, more = template.merge_with_warnings(contact, identity)
            problems += more
        else:
            letters = list(template.specimens(identity))
            letter = next((one for one in letters if one.language == language), letters[0])
            contact = Contact(address="pat@example.org", key="pat@example.org", row=2, name="Pat")
        message = mime.compose(letter, contact=contact, message_id="<look@example.org>", date=datetime.now(UTC))
        return message.content, problems

    def _blank(self, people: ContactList, fields: Sequence[str]) -> dict[str, tuple[int, int]]:
        """In how many rows a field is blank, and the first of them, as far as the list can be looked through in a moment."""
        known = self._blanks.setdefault(people, {})
        for name in fields:
            if name not in known:
                rows = [one.row for one in islice(people, LOOKED_THROUGH) if not one.fields.get(name)]
                known[name] = (len(rows), rows[0] if rows else 0)
        return {name: known[name] for name in fields if known[name][0]}

    def _fields(self, draft: Draft) -> list[str]:
        if not draft.list:
            return []
        try:
            return [column.name for column in self._lists.read(draft).columns]
        except MailerError:
            return []

    def _files(self, letter: str) -> list[str]:
        """The texts of a letter that can be written here, its main one first."""
        if not letter:
            return []
        shelf = self._means.folder / "templates"
        inside = shelf / letter
        if inside.is_dir():
            found = [path for path in inside.glob("*.md") if path.is_file()]
            first = "letter.md"
        else:
            found = [path for path in shelf.glob("*.md") if A_LANGUAGE.sub("", path.stem) == letter]
            first = f"{letter}.md"
        found.sort(key=lambda path: (path.name != first, path.name))
        return [path.relative_to(self._means.folder).as_posix() for path in found]

    def _text(self, file: str) -> str | None:
        if not file:
            return None
        try:
            return (self._means.folder / file).read_text(encoding="utf-8-sig").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError):
            return None

    def _begin(self, name: str) -> str:
        name = re.sub(r"\s+", "-", name).lower()
        if not NAME.fullmatch(name) or is_device(name):
            raise UsageError(
                "A letter's name is made of letters, digits and hyphens.", hint="write for example spring-appeal"
            )
        if name in letters_in(self._means.folder):
            raise UsageError(f"There is a letter {name} already.", hint="choose it, or another name")
        shelf = self._means.folder / "templates"
        shelf.mkdir(exist_ok=True)
        _write(shelf / f"{name}.md", STARTER.format(subject=name.replace("-", " ").capitalize()))
        return name


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    if len(text.encode()) > LARGEST:
        raise LetterError("The letter is longer than mailer can take.", hint="put long texts into an attachment")
    part = path.with_name(f".{path.name}-{os.urandom(6).hex()}")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"The letter cannot be kept: {error.strerror}.", hint="make room on the disk") from error
    finally:
        part.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _language(file: str) -> str | None:
    found = A_LANGUAGE.search(Path(file).stem)
    return found[0][1:] if found else None
