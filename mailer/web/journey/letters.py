"""The second step: a letter is picked, written with its look beside it, and kept."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from mailer import merge
from mailer.errors import LetterError, MailerError, UsageError
from mailer.merge.casefile import read_case
from mailer.merge.files import Recorder
from mailer.merge.front import read as read_front
from mailer.merge.front import split
from mailer.merge.fronttext import body_of, with_body, with_front
from mailer.merge.layout import is_rtl
from mailer.merge.place import Place
from mailer.merge.yamledit import CannotEditError, TooMuchError
from mailer.preview.page import POLICY as MESSAGE_POLICY
from mailer.preview.page import message_page
from mailer.preview.reading import read
from mailer.web.journey.draft import Draft, letters_in
from mailer.web.journey.enclosing import Attachments, tables_in
from mailer.web.journey.frontform import FieldError, Form, shown, wanted
from mailer.web.journey.letterfiles import (
    LARGEST,
    LetterFile,
    LetterFiles,
    case_files,
    cases_in,
    language_name,
    language_of,
)
from mailer.web.journey.lists import Lists
from mailer.web.journey.looks import Edited, Look, Looks, at_fields
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages, said
from mailer.web.journey.words import gettext as _
from mailer.web.journey.words import voice

FRAMED = f"{MESSAGE_POLICY.replace(' file:', '')}; frame-ancestors 'self'"

KEPT, MOST_KEPT = 20, 100_000_000
"""Looks that can still be shown, and octets of them together, attachments included; each open page needs its newest one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """A file of the letter as the page shows it. Without a `form`, because of `reason`, it shows the whole text."""

    text: str
    form: Form | None
    reason: str = ""

    @property
    def body(self) -> str:
        return body_of(self.text).lstrip("\n")


class Letters:
    def __init__(self, means: Means, pages: Pages, lists: Lists) -> None:
        self._means, self._pages = means, pages
        self._files = LetterFiles(means.folder)
        self._looks = Looks(means, lists)
        self.attachments = Attachments(means)
        self._shown: OrderedDict[str, bytes] = OrderedDict()
        self._showing, self._writing = Lock(), Lock()

    def page(self, request: Request) -> Response:
        draft = self._pages.draft(request)
        files = self._files.of(draft.letter)
        chosen = request.query_params.get("file", "")
        file = self._files.read(chosen if chosen in self._texts(draft) else next(iter(files), ""))
        plain = request.query_params.get("as") == "text"
        return self._show(request, draft, file, plain=plain, kept=request.query_params.get("kept") == "1")

    def _show(
        self,
        request: Request,
        draft: Draft,
        file: LetterFile | None,
        *,
        plain: bool,
        text: str | None = None,
        **more: Any,
    ) -> Response:
        """The page over a file, or over another text that is to be kept in its place."""
        values: dict[str, Any] = {"letters": letters_in(self._means.folder), "file": "", "text": None, **more}
        if file:
            values |= self._desk_values(draft, file, file.text if text is None else text, plain=plain)
        files = self._texts(draft)
        if values["file"].endswith(".md"):
            files = [one for one in files if one.endswith(".md")]  # the form leads to the others
        return self._pages.show(request, "letter", draft=draft, files=files, **values)

    def _texts(self, draft: Draft) -> list[str]:
        """What can be written here: the letter in its languages, and the particulars of its case where they are files."""
        files = self._files.of(draft.letter)
        place = self._looks.place(draft.letter) if files else None
        main = self._files.read(files[0]) if files else None
        if place is None or main is None:
            return files
        try:
            case = split(main.text, main.path).values.get("case")
        except LetterError:
            return files
        return [*files, *case_files(case, place, merge.Folder(self._means.folder))]

    def _asked(self, draft: Draft, form: Mapping[str, str]) -> LetterFile | None:
        """The file that a form is about; None if there is no such one."""
        return self._files.read(form["file"]) if form.get("file", "") in self._texts(draft) else None

    def _desk_values(self, draft: Draft, file: LetterFile, text: str, *, plain: bool) -> dict[str, Any]:
        place = self._looks.place(draft.letter)
        particulars = not file.path.endswith(".md")
        # a text that the letter only includes has no front matter of its own
        included = not particulars and file.path != self._files.of(draft.letter)[0] and not language_of(file.path)
        desk = self._desk(place, file.path, text, plain=plain or particulars or included)
        look = self._looks.look(draft, file.path, text)
        general, at = at_fields(look.problems, file.path, text, formed=desk.form is not None)
        spoken = self._spoken(draft)
        return {
            "particulars": particulars,
            "file": file.path,
            "text": text,
            "digest": file.digest,
            "desk": desk,
            "plain": plain and not (particulars or included),
            "wrong": general,
            "at": at,
            "facts": look.attachments,
            "fields": look.columns,
            "columns": [one for one in look.columns if "." not in one],
            "spoken": spoken,
            # a line that begins with a field would be taken for one of a language that is written from the left
            "writing": "rtl" if is_rtl(language_of(file.path) or spoken) else "auto",
            "languages": self._files.languages_to_add(draft.letter, spoken),
            "there": self.attachments.there(place),
            "documents": self.attachments.documents(draft.letter, place),
            "example": self.attachments.patterns(look.columns),
            "tables": tables_in(self._means.folder),
            "case_files": cases_in(place, merge.Folder(self._means.folder)) if place else [],
            "case_texts": [one for one in self._texts(draft) if not one.endswith(".md")],
            "case_names": self._case_names(place, file.path, text),
            "language_name": language_name,
            "language_of": language_of,
        }

    def _desk(self, place: Place | None, file: str, text: str, *, plain: bool) -> Desk:
        if plain or place is None:
            return Desk(text=text, form=None)
        try:
            own, main = self._values(place, file, text)
            with_front(text, {})
            return Desk(text=text, form=shown(own, main))
        except LetterError as error:
            return Desk(text=text, form=None, reason=" ".join(said(error.problems) or [_(error.message)]))
        except CannotEditError:
            return Desk(
                text=text, form=None, reason=_("What stands between the lines --- can be changed as text only.")
            )

    def _values(self, place: Place, file: str, text: str) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
        """The front matter's values, and those of the main file where this is a language's own. Raises LetterError."""
        files = Edited(self._means.folder, file, text)
        return split(text, file).values, self._looks.main_values(place, files)

    def _spoken(self, draft: Draft) -> str:
        """The language that the letter's main file is in."""
        main = self._files.read(next(iter(self._files.of(draft.letter)), ""))
        try:
            return str((split(main.text, main.path).values if main else {}).get("language") or "en").lower()
        except LetterError:
            return "en"

    def _case_names(self, place: Place | None, file: str, text: str) -> list[str]:
        """What `{{ case.x }}` may be."""
        if place is None:
            return []
        try:
            own, main = self._values(place, file, text)
            values = {"subject": "-", **(main or {}), **own}
            found = split(text, file)
            front = read_front({key: values[key] for key in ("subject", "case") if key in values}, found.origins, file)
            return list(read_case(front, place, Recorder(merge.Folder(self._means.folder)), []))
        except (MailerError, KeyError):
            return []

    def save(self, request: Request) -> Response:
        """Write the letter's file, or begin a new letter or language. Refused where the file is no longer what was shown."""
        draft, form = self._pages.draft(request), request.state.form
        if name := form.get("new", "").strip():
            return RedirectResponse(
                draft.url("letter", letter=self._files.begin(name, self._looks.columns(draft))), 303
            )
        if code := form.get("add-language", "").strip():
            return RedirectResponse(
                f"{draft.url('letter')}&file={quote(self._files.begin_language(draft.letter, code, self._spoken(draft)))}",
                303,
            )
        with self._writing:  # two tabs at the same moment: the second finds what the first has written
            return self._save(request, draft, form)

    def _save(self, request: Request, draft: Draft, form: Mapping[str, str]) -> Response:
        file = self._asked(draft, form)
        if file is None:
            raise UsageError(_("There is no such letter any more."), hint=_("choose another one"))
        text, plain = self._text_of(file, form), "text" in form
        if file.digest != form.get("digest"):
            return self._show(request, draft, file, plain=plain, text=text, status=409, elsewhere=file.text)
        self._files.write(file, text)
        self._looks.forget()
        then = form.get("then", "")
        if then == "preview":
            return RedirectResponse(draft.url("preview"), 303)
        view = "&as=text" if plain else ""
        place = "#attachments" if then == "attach" else ""
        return RedirectResponse(f"{draft.url('letter')}&file={quote(file.path)}{view}&kept=1{place}", 303)

    def _text_of(self, file: LetterFile, form: Mapping[str, str]) -> str:
        """The whole text that a form means: as it was written, or the file's with other values and another body. Raises UsageError."""
        if "text" in form:
            return form["text"].replace("\r\n", "\n")
        place = self._looks.place(file.path)
        if place is None or "body" not in form or not file.path.endswith(".md"):
            raise UsageError(_("Nothing was changed."), hint=_("open the letter again"))
        try:
            own, main = self._values(place, file.path, file.text)
            changed = with_front(file.text, wanted(form, own, main))
            body = body_of(file.text)
            above = len(body) - len(body.lstrip("\n"))  # blank lines that the form does not show
            return with_body(changed, "\n" * above + form["body"].replace("\r\n", "\n"))
        except TooMuchError as error:
            raise UsageError(
                _("So much is changed at once that the form cannot write it into the letter. Nothing was changed."),
                hint=_("go back, and change it in the whole file as text"),
            ) from error
        except CannotEditError as error:
            raise UsageError(
                _(
                    "What stands between the lines --- is written in a way that the form cannot change without losing something."
                ),
                hint=_("go back, and change it in the whole file as text"),
            ) from error

    def look(self, request: Request) -> Response:
        """How the letter would look for somebody of the list, as the form is now. Keeps nothing on disk."""
        draft, form = self._pages.draft(request), request.state.form
        file = self._asked(draft, form)
        if file is None or len(form.get("text", form.get("body", "")).encode()) > LARGEST:
            raise HTTPException(404)
        try:
            text = self._text_of(file, form)
        except FieldError as error:
            return JSONResponse({"problems": [], "fields": {error.key: [_(error.message)]}})
        look = self._looks.look(draft, file.path, text)
        general, at = at_fields(look.problems, file.path, text, formed="text" not in form)
        answer: dict[str, Any] = {
            "problems": general,
            "fields": at,
            "attachments": [{"good": one.good, "lines": one.lines} for one in look.attachments],
        }
        return JSONResponse(answer | self._address(look))

    def _address(self, look: Look) -> dict[str, str]:
        if look.content is None:
            return {}
        key = secrets.token_urlsafe(12)
        with self._showing:
            self._shown[key] = look.content
            self._let_go()
        return {"look": f"/letter/look/{key}"}

    def _let_go(self) -> None:
        size = sum(map(len, self._shown.values()))
        while len(self._shown) > 1 and (len(self._shown) > KEPT or size > MOST_KEPT):
            size -= len(self._shown.popitem(last=False)[1])

    def looked(self, request: Request) -> Response:
        content = self._shown.get(request.path_params["key"])
        if content is None:
            raise HTTPException(404)
        reading = read(content)
        page = message_page(
            reading,
            title=_("Letter"),
            voice=voice(),
            assets="/assets",
            download=None,
            attachments=[None] * len(reading.attachments),
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": FRAMED})
