"""Who may use the organiser's page: whoever opened the address that the command printed, in that browser, until a day without use.

Other programs and other users of this computer can reach the port, too; the Host and Origin checks of `guard` stop other web pages,
and this stops everybody else. Every change is a form or a request that carries the page's own token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailer.markup import ENGLISH, Voice, asset, fill
from mailer.web.other_end import GONE, stranger, user_name

LIFETIME = 24 * 3600
"""Seconds without use after which a browser that was let in is so no more."""

RENEWED = 3600
"""Seconds after which using the page prolongs it again."""

LONGEST = 30 * 24 * 3600
"""Seconds after which it ends, however much it was used."""

LARGEST_FORM = 2_000_000
"""Octets of a form: a letter of a hundred pages has less. Files come by themselves, not in forms."""

FORM = "application/x-www-form-urlencoded"
OPENING, ASSETS = "/open", "/assets/"
CLOSED = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


CLOSED_WORDS = (
    "This page is closed",
    "It opens only from the address that mailer web shows in the terminal, once, and stays open in that browser until it was not used for a day.",
    (
        "To open it again: go to the terminal, press Ctrl-C there if it is still running, and type mailer web. A campaign that is"
        " being sent is paused by that, and goes on where it was."
    ),
)
TRIED = (
    "Another user of this computer ({user}) tried to open the page by its address, and was refused. The address still opens it."
    " If that was you: run mailer web as that user."
)
NOT_DONE = "This could not be done"
REFUSED = {
    403: "Nothing was changed. This form is out of date: go back, open the page again, and repeat the last step.",
    413: "Nothing was changed. That is more than this page takes.",
    415: "Nothing was changed. This page takes what its own forms send, and this was something else.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A browser that was let in: until when, since when, and a name of its own."""

    until: int
    since: int
    name: str

    @classmethod
    def read(cls, text: str) -> Session | None:
        found = re.fullmatch(r"([0-9]{1,12})\.([0-9]{1,12})\.([\w-]{1,60})", text)
        return cls(until=int(found[1]), since=int(found[2]), name=found[3]) if found else None

    def __str__(self) -> str:
        return f"{self.until}.{self.since}.{self.name}"

    def prolonged(self, now: float) -> Session | None:
        """The same for a day from now; None while there is time, or when it has lasted long enough."""
        until = min(int(now) + LIFETIME, self.since + LONGEST)
        return replace(self, until=until) if until - self.until >= RENEWED else None


class Access:
    """Lets in who has the ticket of the opening address, once, and then who has the cookie that it gave.

    The cookie is signed with the ledger's `secret`, so that it outlives a restart of the page. What is handed on has
    `request.state.csrf`, to be put into forms and headers, and `request.state.form` for a form that had it. `warn` tells whoever sits at
    the terminal that another user of this computer has tried a ticket. `uploads` are paths that take other things than forms.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret: bytes,
        voice: Callable[[], Voice] = lambda: ENGLISH,
        warn: Callable[[str], None] = lambda _: None,
        *,
        uploads: frozenset[str] = frozenset(),
    ) -> None:
        self.app = app
        self._uploads = uploads
        self._warn = warn
        self._told: set[int] = set()
        self._voice = voice
        self._secret = hashlib.sha256(b"organiser's page" + secret).digest()
        self._tickets: dict[str, str] = {}

    def ticket(self, to: str = "/") -> str:
        """A path that opens the page, once, and leads to another of its paths."""
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = to
        return f"{OPENING}?ticket={ticket}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ASSETS):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = self._session(request)
        if scope["path"] == OPENING:
            answer: Response | None = self._open(request)
        elif session is None:
            answer = closed(self._voice())
        else:
            # the same as long as the session lasts: forms that are open stay good when it is prolonged
            scope.setdefault("state", {})["csrf"] = csrf = self._sign("csrf", f"{session.since}.{session.name}")
            if longer := session.prolonged(time.time()):
                send = _with_cookie(send, self._cookie(request, longer))
            answer = None if scope["method"] in {"GET", "HEAD"} else await self._stranger(request, csrf)
            if "form" in scope["state"]:
                receive = _nothing_more
        await (answer or self.app)(scope, receive, send)

    async def _stranger(self, request: Request, csrf: str) -> Response | None:
        """Why a change is refused; None if it comes from a page of ours. Keeps the form that it came with."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            if not _same(request.headers.get("x-csrf", ""), csrf):
                return refused(403, voice=self._voice())
            return None if request.url.path in self._uploads else refused(415, voice=self._voice())
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads any more
        if body is None:
            return refused(413, voice=self._voice())
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        if not _same(fields.get("csrf", [""])[0], csrf):
            return refused(403, voice=self._voice())
        request.scope["state"]["form"] = {name: values[-1] for name, values in fields.items()}
        return None

    def _open(self, request: Request) -> Response:
        ticket = request.query_params.get("ticket", "")
        if ticket not in self._tickets:
            # somebody who is in already has opened the address again
            return RedirectResponse("/", 303) if self._session(request) else closed(self._voice())
        if self._is_strange(request):
            return closed(self._voice())
        to = self._tickets.pop(ticket)
        now = int(time.time())
        response = RedirectResponse(to, 303)
        session = Session(until=now + LIFETIME, since=now, name=secrets.token_urlsafe(18))
        response.headers["Set-Cookie"] = self._cookie(request, session)
        return response

    def _cookie(self, request: Request, session: Session) -> str:
        carrier = Response()
        carrier.set_cookie(
            _name(request),
            f"{session}.{self._sign('session', str(session))}",
            max_age=session.until - int(time.time()),
            httponly=True,
            samesite="strict",
        )
        return carrier.headers["Set-Cookie"]

    def _is_strange(self, request: Request) -> bool:
        """Whether another user of this computer has come by the ticket: it stands in the command line of a browser."""
        client, server = request.scope.get("client"), request.scope.get("server")
        other = stranger(client, server) if client and server else None
        if other is not None and other != GONE and other not in self._told:
            self._told.add(other)
            self._warn(TRIED.format(user=user_name(other)))
        return other is not None

    def _session(self, request: Request) -> Session | None:
        try:
            cookie = SimpleCookie(request.headers.get("cookie", "")).get(_name(request))
        except CookieError:
            return None
        text, _, signature = (cookie.value if cookie else "").rpartition(".")
        if not _same(signature, self._sign("session", text)):
            return None
        session = Session.read(text)
        return session if session and session.until > time.time() else None

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def _with_cookie(send: Send, cookie: str) -> Send:
    """The same answer, and with it a cookie."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return sent


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _name(request: Request) -> str:
    # browsers send cookies to every port of a host: two pages must not overwrite each other's
    server = request.scope.get("server") or ("", 0)
    return f"mailer-{server[1]}"


def closed(voice: Voice = ENGLISH) -> Response:
    """What a stranger sees, and whoever comes back after a day."""
    page = fill(
        asset("mailer.web", "closed.html"),
        language=voice.language,
        direction=voice.direction,
        closed=voice.say(CLOSED_WORDS[0]),
        once=voice.say(CLOSED_WORDS[1]),
        again=voice.say(CLOSED_WORDS[2]),
    )
    return HTMLResponse(page, 403, headers={"Content-Security-Policy": CLOSED})


def refused(status: int, said: str = "", voice: Voice = ENGLISH) -> Response:
    """Why nothing came of a request."""
    page = fill(
        asset("mailer.web", "refused.html"),
        language=voice.language,
        direction=voice.direction,
        title=voice.say(NOT_DONE),
        said=said or voice.say(REFUSED[status]),
    )
    return HTMLResponse(page, status, headers={"Content-Security-Policy": CLOSED})


async def _body(request: Request) -> bytes | None:
    """The request's body, or None for one that is larger than any form here."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return None
    return bytes(body)


async def _nothing_more() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
