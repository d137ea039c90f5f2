"""The only page that anybody in the world may open: it takes unsubscribes, and shows and knows nothing else.

A mail program posts to it by itself (RFC 8058); a person is asked first, since what only opens links (a scanner, a preview)
must unsubscribe nobody. Whoever asks with a forged or old link gets the very same answers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mailer.errors import MailerError
from mailer.ledger import Ledger, LedgerKey
from mailer.markup import Html, asset, join, tag
from mailer.model import LedgerPlace
from mailer.tokens import Purpose, Tokens
from mailer.web.guard import HEADERS
from mailer.web.leaving_words import WORDS, Words, language_of

LARGEST = 16_384
"""Octets of a request's body. What is needed has 26, or some hundred in a multipart form."""

ONE_CLICK = ("list-unsubscribe", "one-click")

BOUNDARY = re.compile(r"""boundary=(?:"([^"\\]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)
NAME = re.compile(
    rb"""^content-disposition:\s{0,9}form-data;[^\r\n]{0,99}?\bname="?([\w-]{1,40})"?""", re.IGNORECASE | re.MULTILINE
)
LONGEST_HEAD = 1000
"""Octets of a content type, or of what stands above a part: strangers send them, and nothing here may take long over them."""

STYLE = Html(asset("mailer.markup", "base.css") + asset("mailer.web", "leaving.css"))
POLICY = (
    "default-src 'none'; style-src 'sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode() + "';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_app(ledger: LedgerPlace, key: LedgerKey | None = None) -> Starlette:
    """The page over a ledger; an encrypted one has a key. Raises LedgerError, CampaignError if there is none that can be opened."""
    with Ledger(ledger, create=False, key=key) as opened:
        tokens = Tokens(opened.secret)

    def leave(name: str) -> bool:
        with Ledger(ledger, create=False, key=key) as opened:
            return opened.unsubscribe(name)

    page = _PublicPage(tokens, leave)
    # whatever path a proxy hands on; other methods are answered with 405
    return Starlette(routes=[Route("/{path:path}", page.answer, methods=["GET", "POST"])])


class _PublicPage:
    def __init__(self, tokens: Tokens, leave: Callable[[str], bool]) -> None:
        self._tokens = tokens
        self._leave = leave

    async def answer(self, request: Request) -> Response:
        language = language_of(request.headers.get("accept-language", ""))
        words = WORDS[language]
        if request.method != "POST":
            return _page(language, words, _question(words))
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return _page(language, words, _question(words), 413)
        if not _says_one_click(request.headers.get("content-type", ""), body):
            return _page(language, words, _question(words), 400)
        content, status = await self._left(self._tokens.read(Purpose.UNSUBSCRIBE, _token(request)), words)
        return _page(language, words, content, status)

    async def _left(self, name: str | None, words: Words) -> tuple[Html, int]:
        """What to say, and the status."""
        done = tag("p", words.done) + tag("p", words.rest, class_="quiet"), 200
        if name is None:
            return done
        try:
            # else the link is ours, and nobody can tell any more whose it was (mailer purge)
            return done if await asyncio.to_thread(self._leave, name) else (tag("p", words.rest), 410)
        except MailerError:
            # a full disk, a ledger that was moved: never say that it is done
            return tag("p", words.later), 503


async def _body(request: Request) -> bytes | None:
    """The request's body, or None for one that is larger than anything that is asked for here."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return body


def _token(request: Request) -> str:
    """From `?token=`, or the end of the path where UNSUBSCRIBE_URL has its `{token}` there."""
    return request.query_params.get("token") or request.url.path.rpartition("/")[2]


def _says_one_click(content_type: str, body: bytes) -> bool:
    """Whether a form, of either kind, says `List-Unsubscribe=One-Click` (RFC 8058, section 3.1)."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        pairs = list(_parts(content_type, body))
    else:
        try:
            form = parse_qs(body.decode("latin-1"), max_num_fields=50)
        except ValueError:
            return False
        pairs = [(name, value) for name, values in form.items() for value in values]
    return any((name.strip().lower(), value.strip().lower()) == ONE_CLICK for name, value in pairs)


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a multipart form (RFC 7578), read in one go: libraries for mail take seconds over some that strangers may send."""
    found = BOUNDARY.search(content_type[:LONGEST_HEAD])
    if found is None:
        return
    boundary = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    for part in body.replace(b"\r\n", b"\n").split(boundary)[1:]:
        head, blank, value = part.partition(b"\n\n")
        if blank and (name := NAME.search(head[:LONGEST_HEAD])):
            yield name[1].decode("latin-1"), value.decode("latin-1")


def _question(words: Words) -> Html:
    # no action: it goes to the page's own address, whatever the proxy calls it
    form = tag(
        "form",
        Html('<input type="hidden" name="List-Unsubscribe" value="One-Click">'),
        tag("button", words.button, type="submit"),
        method="post",
    )
    return tag("p", words.question) + form


def _page(language: str, words: Words, content: Html, status: int = 200) -> Response:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", words.title),
        tag("style", STYLE),
    )
    body = tag("body", tag("main", tag("h1", words.title), content))
    html = "<!DOCTYPE html>" + tag("html", join([head, body]), lang=language, dir=words.direction)
    return HTMLResponse(html, status, headers={**HEADERS, "Content-Security-Policy": POLICY, "Vary": "Accept-Language"})
