"""The application: its addresses, and what stands around them."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailer.errors import MailerError
from mailer.markup import asset
from mailer.model import joined
from mailer.web import mailbox_page
from mailer.web.access import Access, refused
from mailer.web.guard import Guard
from mailer.web.journey import addresses  # noqa: F401 - the kinds of names and numbers in addresses
from mailer.web.journey.accounts import Accounts
from mailer.web.journey.care import Care
from mailer.web.journey.continuing import Continuing, wished
from mailer.web.journey.letters import Letters
from mailer.web.journey.lists import Lists
from mailer.web.journey.means import Means
from mailer.web.journey.practice import REAL_ONLY, Practice
from mailer.web.journey.previews import Previews
from mailer.web.journey.reading import Reading
from mailer.web.journey.rendering import Pages
from mailer.web.journey.returning import Returning
from mailer.web.journey.sending import Sendings
from mailer.web.journey.setting_up import SettingUp
from mailer.web.journey.standing import Standings
from mailer.web.journey.watching import Watching
from mailer.web.journey.words import speak, voice

ASSETS = {
    "base.css": ("mailer.markup", "text/css"),
    "message.css": ("mailer.preview", "text/css"),
    "message.js": ("mailer.preview", "text/javascript"),
    "journey.css": ("mailer.web.journey", "text/css"),
    "list.js": ("mailer.web.journey", "text/javascript"),
    "letter.js": ("mailer.web.journey", "text/javascript"),
    "unkept.js": ("mailer.web.journey", "text/javascript"),
    "forget.js": ("mailer.web.journey", "text/javascript"),
    "letter.css": ("mailer.web.journey", "text/css"),
    "preview.js": ("mailer.web.journey", "text/javascript"),
    "send.js": ("mailer.web.journey", "text/javascript"),
    "wait.js": ("mailer.web.journey", "text/javascript"),
    "account.css": ("mailer.web.journey", "text/css"),
    "inbox.js": ("mailer.web.journey", "text/javascript"),
    "report.js": ("mailer.web.journey", "text/javascript"),
    "live.js": ("mailer.web.journey", "text/javascript"),
    "log.js": ("mailer.web.journey", "text/javascript"),
    "back.js": ("mailer.web.journey", "text/javascript"),
}


UPLOADS = frozenset({"/list/upload", "/letter/attachment"})
"""Where a file comes by itself, and not in a form."""


class Journey:
    """The application and the way in. `end` ends answers that would go on for hours, `shut` pauses what the page itself is sending."""

    def __init__(self, means: Means) -> None:
        pages = Pages(means)
        lists = Lists(means, pages)
        previews, standings = Previews(means, pages), Standings(means, pages)
        self._continuing, care = Continuing(means), Care(means, pages)
        sendings = Sendings(means, pages, previews, self._continuing)
        self._practice = Practice(means, pages, Journey)
        self._watching = Watching(means, pages, self._continuing.running)
        self._returning = Returning(means, pages)
        routes: list[BaseRoute] = [
            Route("/", standings.start),
            Route("/session", _session),
            Route("/prepared/forget", standings.forget, methods=["POST"]),
            Route("/assets/{name}", _asset),
            Route("/suppressed", care.suppressed),
            Route("/suppressed", care.search, methods=["POST"]),
            Route("/suppressed/add", care.suppress, methods=["POST"]),
            Route("/suppressed/allow", care.allow, methods=["POST"]),
            Route("/practice", self._practice.page),
            Route("/practice", self._practice.begin, methods=["POST"]),
            Route("/practice/enter", self._practice.enter),
            Route("/practice/leave", self._practice.leave, methods=["POST"]),
            *_account(means, pages),
            *_inbox(self._returning),
            *_steps(lists, Letters(means, pages, lists), previews, sendings),
            *_campaign(sendings, self._watching, care, standings),
        ]
        if means.practice_mailbox:
            routes = [one for one in routes if not str(getattr(one, "path", "")).startswith(REAL_ONLY)]
            routes.append(Mount("/mailbox", mailbox_page.create_app(means.practice_mailbox, "/", voice)))
        with means.ledger(means.settings()) as ledger:
            secret = ledger.secret
            self.goes_on_with = wished(ledger, time.time())
            """The campaigns that an earlier page was to go on with, and this one is."""
        starlette = Starlette(
            routes=routes,
            exception_handlers={MailerError: pages.refused, HTTPException: _elsewhere},
        )
        self._access = Access(starlette, secret, voice, means.warn, uploads=UPLOADS)
        self.app = Guard(Calm(self._access, means.bug))

    def ticket(self, to: str = "/") -> str:
        return self._access.ticket(to)

    def begin(self) -> None:
        """Go on with the campaigns that are to go on by themselves. Call it within the loop."""
        self._continuing.begin()

    def end(self) -> None:
        self._practice.end()
        self._watching.end()
        self._returning.end()

    async def shut(self) -> None:
        await self._practice.shut()
        await self._returning.shut()
        await self._continuing.shut()


class Calm:
    """Around every answer: it is in the reader's language, and an error that nobody foresaw is no traceback, here or in the terminal."""

    def __init__(self, app: ASGIApp, bug: Callable[[Exception], MailerError]) -> None:
        self._app, self._bug = app, bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        speak(Headers(scope=scope).get("accept-language", ""))

        async def told(message: Message) -> None:
            nonlocal begun
            # Starlette's own words for an error are sent first, and then it is raised again
            if message["type"] == "http.response.start" and message["status"] == 500:
                return
            begun = begun or message["type"] == "http.response.start"
            if begun:
                await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception as error:  # noqa: BLE001 - whatever it is
            said = self._bug(error)
            if not begun:
                sentence = voice().say(joined(" ", filter(None, [said.message, said.hint])))
                await refused(500, sentence, voice())(scope, receive, send)


def create_app(means: Means) -> Journey:
    """The page over a campaign folder. Raises SettingsError, LedgerError."""
    return Journey(means)


def _steps(lists: Lists, letters: Letters, previews: Previews, sendings: Sendings) -> list[BaseRoute]:
    """From a list to a campaign, in this order."""
    return [
        Route("/list", lists.page),
        Route("/list/upload", lists.upload, methods=["POST"]),
        Route("/list/mend", lists.mend, methods=["POST"]),
        Route("/letter", letters.page),
        Route("/letter/save", letters.save, methods=["POST"]),
        Route("/letter/look", letters.look, methods=["POST"]),
        Route("/letter/look/{key}", letters.looked),
        Route("/letter/attachment", letters.attachments.upload, methods=["POST"]),
        Route("/preview", previews.page),
        Route("/preview/state", previews.state),
        Route("/preview/rows", previews.rows, methods=["POST"]),
        Route("/preview/message/{row:count}", previews.message),
        Route("/preview/message/{row:count}/message.eml", previews.download),
        Route("/preview/message/{row:count}/attachments/{number:count}", previews.attachment),
        Route("/test", sendings.test),
        Route("/test", sendings.send_test, methods=["POST"]),
        Route("/approve", sendings.approve),
        Route("/approve", sendings.approved, methods=["POST"]),
        Route("/send", sendings.page),
        Route("/send", sendings.begin, methods=["POST"]),
    ]


def _campaign(sendings: Sendings, watching: Watching, care: Care, standings: Standings) -> list[BaseRoute]:
    """One that has begun."""
    return [
        Route("/campaign/{name:campaign}/events", watching.events),
        Route("/campaign/{name:campaign}/log", watching.log, methods=["POST"]),
        Route("/campaign/{name:campaign}/pause", sendings.pause, methods=["POST"]),
        Route("/campaign/{name:campaign}/go-on", sendings.go_on, methods=["POST"]),
        Route("/campaign/{name:campaign}/rest", sendings.rest),
        Route("/campaign/{name:campaign}/uncertain", care.uncertain),
        Route("/campaign/{name:campaign}/uncertain", care.resolve, methods=["POST"]),
        Route("/campaign/{name:campaign}/retry", care.retry, methods=["POST"]),
        Route("/campaign/{name:campaign}/report", standings.report),
        Route("/campaign/{name:campaign}/report/page", standings.page),
        Route("/campaign/{name:campaign}/report.csv", standings.table),
        Route("/campaign/{name:campaign}", watching.watch),
    ]


def _inbox(returning: Returning) -> list[BaseRoute]:
    """What comes back."""
    return [
        Route("/inbox", returning.page),
        Route("/inbox/look", returning.look, methods=["POST"]),
        Route("/inbox/watch", returning.watch, methods=["POST"]),
        Route("/inbox/stop", returning.stop, methods=["POST"]),
        Route("/inbox/log", returning.log, methods=["POST"]),
        Route("/inbox/events", returning.events),
    ]


def _account(means: Means, pages: Pages) -> list[BaseRoute]:
    """The account, its setup, and what else is set."""
    accounts, setting_up, reading = Accounts(means, pages), SettingUp(means, pages), Reading(means, pages)
    return [
        Route("/account", accounts.page),
        Route("/account", accounts.examine, methods=["POST"]),
        Route("/account/seed", accounts.seed, methods=["POST"]),
        Route("/account/settings", accounts.settings),
        Route("/account/settings", accounts.choose, methods=["POST"]),
        Route("/account/inbox", reading.page),
        Route("/account/inbox", reading.choose, methods=["POST"]),
        Route("/account/setup", setting_up.who),
        Route("/account/setup", setting_up.how, methods=["POST"]),
        Route("/account/setup/try", setting_up.begin, methods=["POST"]),
        Route("/account/setup/{key}", setting_up.attempt),
        Route("/account/setup/{key}/state", setting_up.state),
        Route("/account/setup/{key}/keep", setting_up.answer, methods=["POST"]),
        Route("/errand/{key}/state", accounts.errands.state),
    ]


def _session(request: Request) -> Response:
    """The token for forms as of now: a page that was closed meanwhile, and opened again in another tab, has another."""
    return JSONResponse({"csrf": request.state.csrf})


def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(404)
    package, kind = ASSETS[name]
    return Response(asset(package, name), media_type=kind)


async def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/?nowhere=1", 303)
    return Response(f"{error.detail}\n", error.status_code, media_type="text/plain")
