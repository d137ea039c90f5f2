"""What keeps other web pages and other computers out of a page that is served on this computer only."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = ("localhost", "127.0.0.1", "[::1]")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
CLOSED = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Guard:
    """Answers only requests that name this computer as their host, and closes every answer by default.

    A foreign site may make its own name point to 127.0.0.1 (DNS rebinding) and would then be of the same origin as this
    page; its Host header still gives it away. A response that sets no policy of its own gets one that allows nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        if not is_local(headers, scope):
            await PlainTextResponse("This page answers only under its own address.\n", 421)(scope, receive, send)
            return
        if scope["method"] not in {"GET", "HEAD"} and not is_same_origin(headers):
            await PlainTextResponse("This request came from another page.\n", 403)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
                answer.setdefault("Content-Security-Policy", CLOSED)
            await send(message)

        await self.app(scope, receive, guarded)


def is_local(headers: Headers, scope: Scope) -> bool:
    hosts = headers.getlist("host")
    server = scope.get("server")
    if len(hosts) != 1 or server is None:
        return False
    port = server[1]
    allowed = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())
    return hosts[0].lower() in allowed


def is_same_origin(headers: Headers) -> bool:
    """Browsers say where a request comes from; one that says nothing is judged by its token alone."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    # With a no-referrer policy browsers may send `null` for the page's own form.
    return origin in {None, "null", f"http://{headers['host']}"}
