"""The third step: every message, made by the same calls as `mailer preview`, each shown when it is asked for.

Checking a long list takes its time and goes on in a thread of its own; its table can be read meanwhile. The seal is known when all
is checked, and kept in the ledger, so that what is approved here may be sent from the terminal as well.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from threading import Lock, Thread

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from mailer import merge
from mailer.campaign.compare import differences
from mailer.campaign.doctor import look_at_plan
from mailer.campaign.plan import WAY_OUT, Plan, begin_plan, complete_plan
from mailer.campaign.preview import write_preview
from mailer.campaign.send import check_way_out
from mailer.errors import ListError, MailerError
from mailer.ledger import Ledger
from mailer.model import Contact, Letter, as_said
from mailer.model import said as said_of
from mailer.preflight import Level
from mailer.preview.page import ARRIVED, message_page
from mailer.preview.page import POLICY as MESSAGE_POLICY
from mailer.preview.reading import Reading, read
from mailer.preview.telling import Telling
from mailer.web.journey.accounting import Account, account
from mailer.web.journey.contents import Contents
from mailer.web.journey.draft import Draft, lists_in
from mailer.web.journey.lists import blank_cells
from mailer.web.journey.means import Means
from mailer.web.journey.outlook import outlook
from mailer.web.journey.rendering import Pages, said
from mailer.web.journey.ways import in_words, ways_in, without_links
from mailer.web.journey.words import gettext as _
from mailer.web.journey.words import voice

FRAMED = f"{MESSAGE_POLICY.replace(' file:', '')}; frame-ancestors 'self'"
KEPT = 2
"""Campaigns whose messages are at hand: a list of a million takes some hundred megabytes."""

RECENTLY = 10.0
"""Seconds for which whoever has just asked for a campaign, in however many tabs, finds it again; they ask more often than that."""

PAGE = 50

LEGAL = frozenset({WAY_OUT, "postal-address"})
"""The codes of checks that the preview tells as well: how to get no more letters, and from where they come."""


class LeftError(MailerError):
    """Nobody looks at this any more."""


@dataclass(eq=False)
class Look:
    """One draft, as its files were at one moment: being checked, or checked."""

    draft: Draft
    stamp: tuple[tuple[str, int, int], ...]
    asked: float = 0.0
    left: bool = False
    phase: str = "checking"
    done: int = 0
    total: int = 0
    plan: Plan | None = None
    letter: merge.Template | None = None
    rendering: Lock = field(default_factory=Lock)
    table: tuple[Sequence[Contact], Sequence[str]] = ((), ())
    """Who gets a message, and the words by which each is found: one thing, since another thread may gather them anew at any moment."""
    chosen: dict[str, Telling] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    messages: int = 0
    account: Account | None = None
    contents: Contents = field(default_factory=Contents)
    refusal: MailerError | None = None
    legal: tuple[str, ...] = ()
    error: MailerError | None = None

    @property
    def people(self) -> Sequence[Contact]:
        return self.table[0]

    @property
    def telling(self) -> list[tuple[Contact, Telling]]:
        """The messages to look at first, with whom they are for, numbered as they stand now; by key, since people come and go."""
        if not self.chosen:
            return []
        people = self.people
        at = {one.key: number for number, one in enumerate(people, start=1) if one.key in self.chosen}
        found = [(key, telling) for key, telling in self.chosen.items() if key in at]
        return [(people[at[key] - 1], replace(telling, number=at[key])) for key, telling in found]

    @property
    def seal(self) -> str:
        """Empty while not everything is checked."""
        return self.plan.seal if self.plan and self.phase == "ready" else ""


class Previews:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages
        self._looks: OrderedDict[Draft, Look] = OrderedDict()
        self._lock = Lock()

    def look(self, draft: Draft) -> Look:
        """What is known of a draft; begins to check it where that is not under way, or its files have changed."""
        with self._lock:
            look = self._looks.get(draft)
            if look is None or (look.phase in {"ready", "failed"} and look.stamp != self._again(look)):
                look = self._looks[draft] = Look(draft=draft, stamp=self._stamp(draft))
                Thread(target=self._check, args=(look,), daemon=True, name="preview").start()
            look.asked = time.monotonic()
            self._looks.move_to_end(draft)
            self._leave_old()
            return look

    def _leave_old(self) -> None:
        """Let go of the longest unasked-for; never of one that a tab is waiting for, which would only begin it anew."""
        for draft, old in list(self._looks.items())[:-KEPT]:
            if time.monotonic() - old.asked > RECENTLY:
                old.left = True
                del self._looks[draft]

    def _stamp(self, draft: Draft, plan: Plan | None = None) -> tuple[tuple[str, int, int], ...]:
        """Which files there are to it, and as of when; and the folders in which another one would count, too.

        Until there is a plan, any letter and any list may be among them.
        """
        paths = [draft.list, "mailer.toml", ".env"]
        if plan:
            paths += [*sorted(plan.files.digests), *_tables(plan.template), *_folders(plan.template)]
        else:
            paths += self._all_files()
        return (*(self._state(path) for path in dict.fromkeys(paths)), self._languages(draft))

    def _languages(self, draft: Draft) -> tuple[str, int, int]:
        """The letter's files by their names: a language may be added, while others keep their letters in the same folder."""
        shelf = self._means.folder / "templates"
        found = {path.name for place in (shelf, shelf / draft.letter) for path in place.glob("*.md")}
        own = sorted(name for name in found if name.startswith((f"{draft.letter}.", "letter.")))
        return "\n".join(own), 0, 0

    def _all_files(self) -> list[str]:
        folder = self._means.folder
        letters = (path.relative_to(folder).as_posix() for path in (folder / "templates").rglob("*") if path.is_file())
        return [*sorted(letters), *lists_in(folder)]

    def _again(self, look: Look) -> tuple[tuple[str, int, int], ...]:
        """The same files as of now. A check that failed may have known more of them than it left a plan for."""
        *files, _languages = look.stamp
        return (*(self._state(path) for path, _changed, _size in files), self._languages(look.draft))

    def _state(self, path: str) -> tuple[str, int, int]:
        try:
            there = (self._means.folder / path).stat()
        except (OSError, ValueError):
            return path, 0, 0
        return path, there.st_mtime_ns, there.st_size

    def _check(self, look: Look) -> None:
        try:
            self._fill(look)
        except LeftError:
            return
        except MailerError as error:
            look.error, look.phase = error, "failed"
        except Exception as error:  # noqa: BLE001 - in a thread nobody else would ever say it
            look.error = MailerError(
                _("mailer itself failed here (%s).") % type(error).__name__,
                hint=_("try it in the terminal: mailer preview"),
            )
            look.phase = "failed"

    def _fill(self, look: Look) -> None:
        def progress(done: int, total: int) -> None:
            if look.left:
                raise LeftError("nobody looks at it any more")
            look.done, look.total = done, total

        settings = self._means.settings()
        with self._means.ledger(settings) as ledger:
            source = look.draft.source(self._means, settings)
            plan = begin_plan(source, settings.identity(), ledger.secret)
            # what is changed from now on is not what is checked
            states = {one[0]: one for one in (*self._stamp(look.draft, plan), *look.stamp)}
            if not plan.flawed:
                # a letter of its own: whoever looks at messages must not meet the thread that checks them
                look.letter = merge.load(source.template, merge.Folder(source.folder))
                look.plan = plan  # who gets one, and how it looks, can be seen while all are checked
                self._gather(look, ledger)
            complete_plan(plan, source, on_progress=progress, processes=1)
            look.stamp = tuple(states.get(one[0], one) for one in self._stamp(look.draft, plan))
            if plan.unsendable:
                raise ListError(_("Not one message can be made."), problems=plan.problems)
            look.plan = plan
            self._gather(look, ledger)
            look.legal = tuple(_legal(plan))
            look.phase, look.done = "making", 0
            before = ledger.last_preview(plan.manifest.template, plan.manifest.list_name, but=plan.seal)
            contents = Contents()
            write_preview(plan, ledger, None, on_progress=progress, on_message=contents.look)
            look.contents = contents
            look.chosen = {look.people[one.number - 1].key: one for one in contents.choice.result()}
            if before:
                look.changes = differences(before.manifest, plan.manifest, before.digests, plan.digests())
        look.phase = "ready"

    def _gather(self, look: Look, ledger: Ledger) -> None:
        assert look.plan
        suppressed = look.plan.held_back(ledger)
        people = list(look.plan.mailed(suppressed))
        look.table = people, [f"{one.row} {one.name} {one.address}".casefold() for one in people]
        look.messages = len(people)
        look.account = account(look.plan, suppressed, len(people))
        try:
            check_way_out(look.plan, (one.key for one in people))
            look.refusal = None
        except MailerError as error:
            look.refusal = error

    def current(self, draft: Draft) -> Look:
        """The look, without those who were suppressed since, and with those who may be mailed again."""
        look = self.look(draft)
        if look.phase == "ready" and look.plan:
            with self._means.ledger(self._means.settings()) as ledger:
                if sum(1 for _ in look.plan.mailed_keys(look.plan.held_back(ledger))) != look.messages:
                    self._gather(look, ledger)
        return look

    # -- pages

    def page(self, request: Request) -> Response:
        draft = self._pages.draft(request)
        if not (draft.list and draft.letter):
            return RedirectResponse(draft.url("letter" if draft.list else "list"), 303)
        return self._pages.show(request, "preview", draft=draft, look=self.current(draft))

    def state(self, request: Request) -> Response:
        """How far the check is, and what came of it."""
        look = self.look(self._pages.draft(request))
        plan = look.plan
        checked = plan if look.phase in {"making", "ready"} else None
        return JSONResponse(
            {
                "phase": look.phase,
                "done": look.done,
                "total": look.total,
                "messages": look.messages if plan else None,
                "account": look.account.told() if checked and look.account else "",
                "seal": look.seal,
                "telling": [
                    [one.number, ", ".join(_(reason) for reason in one.reasons), one.name, one.subject]
                    for _contact, one in look.telling
                ],
                "changes": [_(one) for one in look.changes],
                "rest": outlook(look, self._means).data() if look.phase == "ready" else None,
                "warnings": (warnings := [*said(checked.warnings), *map(_, look.legal)] if checked else []),
                "ways": []
                if self._means.practice_of
                else ways_in([*warnings, look.refusal.hint or ""] if look.refusal else warnings),
                "problems": said(checked.problems) if checked else [],
                "mendable": bool(checked and checked.contacts.bad_rows),
                "refusal": [in_words(text) for text in (look.refusal.message, look.refusal.hint) if text]
                if look.phase == "ready" and look.refusal
                else [],
                "blanks": blank_cells(checked.problems, checked.contacts) if checked else [],
                "age": next((f"{changed}-{size}" for path, changed, size in look.stamp if path == look.draft.list), ""),
                "error": look.error
                and [
                    *map(in_words, (look.error.message, look.error.hint or "")),
                    *map(without_links, said(look.error.problems)),
                ],
            }
        )

    def rows(self, request: Request) -> Response:
        """A page of the table: those whose row, name or address hold every word that is looked for.

        Asked for by a form that is posted, since an address may be looked for.
        """
        look = self.look(self._pages.draft(request))
        form = request.state.form
        words = form.get("q", "").casefold().split()[:10]
        people, texts = look.table
        found: Sequence[int] = range(len(people))
        for word in words:
            found = [at for at in found if word in texts[at]]
        at = _number(form.get("from", "0"))
        return JSONResponse(
            {
                "found": len(found),
                "rows": [self._row(look, people[number], number) for number in found[at : at + PAGE]],
                "size": PAGE,
            }
        )

    def _row(self, look: Look, contact: Contact, number: int) -> list[str | int]:
        try:
            subject = self._letter(look, contact).subject
        except MailerError:
            subject = ""
        return [number + 1, contact.row, contact.name, contact.address, subject, contact.language or ""]

    def _letter(self, look: Look, contact: Contact) -> Letter:
        plan = look.plan
        assert plan
        assert look.letter
        with look.rendering:
            return look.letter.merge(contact, plan.identity, plan.marker(preview=True)(contact))

    def message(self, request: Request) -> Response:
        reading = self._read(request)
        number = request.path_params["row"]
        query = request.url.query
        page = message_page(
            reading,
            title=_("Message"),
            voice=voice(),
            assets="/assets",
            download=f"/preview/message/{number}/message.eml?{query}",
            attachments=[
                f"/preview/message/{number}/attachments/{at}?{query}" for at in range(len(reading.attachments))
            ],
            shown=[name for name in ARRIVED if name != "Date"],
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": FRAMED})

    def download(self, request: Request) -> Response:
        return file_response(self._content(request), "message.eml")

    def attachment(self, request: Request) -> Response:
        reading = self._read(request)
        number = request.path_params["number"]
        if number >= len(reading.attachments):
            raise HTTPException(404)
        return file_response(reading.attachments[number].content, reading.attachments[number].filename)

    def _read(self, request: Request) -> Reading:
        return read(self._content(request))

    def _content(self, request: Request) -> bytes:
        look = self.look(self._pages.draft(request))
        number, people = request.path_params["row"], look.people
        if not (look.plan and 0 < number <= len(people)):
            raise HTTPException(404)
        contact = people[number - 1]
        message = look.plan.compose(contact, self._letter(look, contact), datetime.now(UTC))
        return message.content


def _legal(plan: Plan) -> Iterator[str]:
    """What the law wants of a letter in many countries, however few get it; what the plan warns of by itself is not told twice."""
    told = {one.code for one in plan.warnings.said}
    for check in look_at_plan(plan):
        if check.code in LEGAL - told and check.level is not Level.OK:
            yield said_of("{message} {fix}", message=as_said(check.message), fix=as_said(check.fix))


def _tables(template: merge.Template) -> list[str]:
    """Where the letter's look-up tables are, or might be: beside it and in the campaign folder."""
    beside = PurePosixPath(template.front.origin("subject").file).parent
    tables = [one.table for one in template.front.lookups.values()]
    return [path for table in tables for path in ((beside / table).as_posix(), table)]


def _folders(template: merge.Template) -> list[str]:
    """Folders that hold a file for each row."""
    beside = PurePosixPath(template.front.origin("subject").file).parent
    found = [one.literal_folder for one in template.front.attachments if one.literal_folder]
    return [path for folder in found for path in ((beside / folder).as_posix(), folder)]


def file_response(content: bytes, name: str) -> Response:
    """A download that no browser opens in the page's place (RFC 6266)."""
    response = Response(content, media_type="application/octet-stream")
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:100].strip() or "file"
    response.headers["Content-Disposition"] = f'attachment; filename="{plain}"'
    return response


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else 0


__all__ = ["Look", "Previews", "file_response"]
