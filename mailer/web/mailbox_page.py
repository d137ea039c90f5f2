"""The page of the built-in mailbox: what arrived, newest first, read as safely as in the preview."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from mailer.mailbox import Captured, delete_captured, read_one
from mailer.markup import ENGLISH, Voice, asset, fill, tag
from mailer.model import said
from mailer.preview.page import ARRIVED, message_page
from mailer.preview.page import POLICY as MESSAGE_POLICY
from mailer.preview.reading import Reading, read
from mailer.web.guard import Guard
from mailer.web.serving import serve

__all__ = ["create_app", "serve"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FRAMED = f"{MESSAGE_POLICY.replace(' file:', '')}; frame-ancestors 'self'"
ASSETS = {
    "base.css": ("mailer.markup", "text/css"),
    "gallery.css": ("mailer.preview", "text/css"),
    "message.css": ("mailer.preview", "text/css"),
    "mailbox.css": ("mailer.web", "text/css"),
    "browse.js": ("mailer.preview", "text/javascript"),
    "list.js": ("mailer.preview", "text/javascript"),
    "message.js": ("mailer.preview", "text/javascript"),
    "mailbox.js": ("mailer.web", "text/javascript"),
}
WORDS = {
    "mailbox": said("Mailbox"),
    "banner": said("MAILBOX, nothing leaves it"),
    "arrived": said("What arrived"),
    "previous": said("Previous message"),
    "next": said("Next message"),
    "overview": said("Overview"),
    "nobody": said("(no recipient known)"),
    "no_subject": said("(no subject)"),
    "title": said("Message: {subject}"),
    "empty": said("Nothing has arrived yet."),
    "one": said("{number} message, newest first"),
    "many": said("{number} messages, newest first"),
    "of": said("{found} of {all} messages"),
    "none": said("No message matches."),
    "searched": said("{found} so far; {percent} % searched"),
    "new": said("New messages appear by themselves."),
    "unreadable": said("The mailbox's folder cannot be read just now."),
    "stopped": said("The mailbox has been stopped. What arrived is still in its folder."),
    "arrived_one": said("message arrived"),
    "arrived_many": said("messages arrived"),
    "lead": said(
        "Messages sent to this mailbox are kept in its folder and go nowhere else. Choose one from the list to read it as it"
        " arrived."
    ),
    "delete": said("Delete all messages"),
    "deletes": said("This deletes every message in the mailbox's folder. It cannot be undone."),
    "for_good": said("Delete all for good"),
    "messages": said("Messages"),
    "search": said("Search by sender, recipient or subject"),
    "placeholder": said("Search subject, address …"),
    "listed": said("Messages, newest first"),
    "key_search": said("search"),
    "key_move": said("move"),
    "key_open": said("open"),
    "key_back": said("back"),
    "message": said("Message"),
    "chosen": said("The chosen message"),
    "needs": said("The list needs JavaScript."),
}
OWN_NAME = re.compile(r"\d{20}-\d{7,10}")
MAX_FORM = 4096


def create_app(folder: Path, home: str = "", voice: Callable[[], Voice] = lambda: ENGLISH) -> Starlette:
    """The page over a folder of captured messages. It needs no server of its own to be running.

    It can be mounted below another page, to which `home` leads back; where that one is behind `access`, so is this.
    """
    page = _MailboxPage(folder, home, voice)
    return Starlette(
        routes=[
            Route("/", page.index),
            Route("/assets/{name}", page.asset),
            Route("/messages", page.listing),
            Route("/messages/{key}", page.message),
            Route("/messages/{key}/message.eml", page.download),
            Route("/messages/{key}/attachments/{number}", page.attachment),
            Route("/delete", page.delete, methods=["POST"]),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={OSError: page.unreadable},
    )


class _MailboxPage:
    def __init__(self, folder: Path, home: str, voice: Callable[[], Voice]) -> None:
        self._folder, self._home, self._voice = folder, home, voice
        self._token = secrets.token_urlsafe(32)
        self._known: dict[str, Captured] = {}
        self._reading = threading.Lock()

    async def unreadable(self, _request: Request, _error: Exception) -> Response:
        return PlainTextResponse(self._voice().say(said("The mailbox's folder cannot be read or written.")) + "\n", 503)

    def index(self, request: Request) -> Response:
        voice = self._voice()
        back = (
            tag("a", voice.say(said("Back to the campaigns")), href=self._home, class_="button leave")
            if self._home
            else ""
        )
        token = getattr(request.state, "csrf", self._token)
        texts = {name: voice.say(words) for name, words in WORDS.items()}
        page = fill(
            asset("mailer.web", "mailbox.html"),
            language=voice.language,
            direction=voice.direction,
            token=token,
            home=back,
            **texts,
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            raise HTTPException(404)
        package, kind = ASSETS[name]
        return Response(asset(package, name), media_type=kind)

    def listing(self, request: Request) -> Response:
        """All messages, newest first; 204 if nothing changed since the version the page already has."""
        captured = self._captured()
        version = hashlib.sha256("\n".join(one.path.name for one in captured).encode()).hexdigest()[:16]
        if request.query_params.get("version") == version:
            return Response(status_code=204)
        rows = [
            [
                key_of(one.path),
                one.subject,
                one.envelope.mail_from,
                ", ".join(one.recipients),
                one.received_at.isoformat(timespec="seconds"),
            ]
            for one in reversed(captured)
        ]
        return JSONResponse({"version": version, "rows": rows})

    def message(self, request: Request) -> Response:
        reading = self._read(request)
        key = request.path_params["key"]
        page = message_page(
            reading,
            title=self._voice().say(said("Message")),
            assets="../assets",
            download=f"{key}/message.eml",
            attachments=[f"{key}/attachments/{number}" for number in range(len(reading.attachments))],
            shown=ARRIVED,
            voice=self._voice(),
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": FRAMED})

    def download(self, request: Request) -> Response:
        return _file(self._content(request), "message.eml")

    def attachment(self, request: Request) -> Response:
        attachments = self._read(request).attachments
        number = request.path_params["number"]
        if not re.fullmatch(r"[0-9]{1,9}", number) or int(number) >= len(attachments):
            raise HTTPException(404)
        return _file(attachments[int(number)].content, attachments[int(number)].filename)

    async def delete(self, request: Request) -> Response:
        # a form that is here already has brought the token of the page below which this one stands
        if not hasattr(request.state, "form"):
            await self._require_token(request)
        delete_captured(self._folder)
        return RedirectResponse("./", 303)

    async def _require_token(self, request: Request) -> None:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM:
                raise HTTPException(413)
        token = parse_qs(body.decode("latin-1")).get("csrf", [""])[0]
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise HTTPException(403)

    def _captured(self) -> list[Captured]:
        """In order of arrival. Each message is described once; after that only names are compared."""
        with self._reading:
            known: dict[str, Captured] = {}
            for path in sorted(self._folder.glob("*.eml")):
                try:
                    known[path.name] = self._known.get(path.name) or read_one(path)
                except FileNotFoundError:
                    continue
            self._known = known
            return list(known.values())

    def _content(self, request: Request) -> bytes:
        path = self._path(request.path_params["key"])
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise HTTPException(404) from None

    def _read(self, request: Request) -> Reading:
        return read(self._content(request))

    def _path(self, key: str) -> Path:
        if OWN_NAME.fullmatch(key):
            return self._folder / f"{key}.eml"
        for path in self._folder.glob("*.eml"):
            if key_of(path) == key:
                return path
        raise HTTPException(404)


def key_of(path: Path) -> str:
    """What names a message in an address: never the name of a file somebody copied in, which may hold an address."""
    return path.stem if OWN_NAME.fullmatch(path.stem) else hashlib.sha256(path.stem.encode()).hexdigest()[:20]


def _file(content: bytes, name: str) -> Response:
    """A download that no browser opens in the page's place (RFC 6266)."""
    response = Response(content, media_type="application/octet-stream")
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:100].strip() or "file"
    response.headers["Content-Disposition"] = f'attachment; filename="{plain}"'
    return response
