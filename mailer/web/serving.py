"""Runs a local page inside the program's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from mailer.errors import Refused
from mailer.loopback import why_not_listening

# The server's words are for developers, tracebacks among them: whoever closes a browser in the midst of something is no error.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())
logging.getLogger("uvicorn").propagate = False

LOOPBACK = ("127.0.0.1", "localhost", "::1")

TURN = 0.001
"""Seconds for which one thread of the page may go on while another waits, a fifth of what is usual: an answer goes through some ten turns, and a
long list may be checked beside.
"""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave Ctrl-C to the command that runs the page."""
        yield


async def serve(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ready: Callable[[str], None] | None = None,
    anywhere: bool = False,
    option: str = "--port",
    ending: Callable[[], None] | None = None,
) -> None:
    """Serve until cancelled. `ready` is called with the page's address once it can be opened; port 0 takes a free one.

    `option` is what chooses the port on the command line. `ending` is called before the last answers are waited for: what tells of changes for hours is to end by itself then.

    Raises Refused for a host other than this computer, unless it may be `anywhere`, and for a port that cannot be had.
    """
    sys.setswitchinterval(TURN)
    listening = _listen(host, port, anywhere=anywhere, option=option)
    config = uvicorn.Config(
        app,
        access_log=False,
        date_header=False,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = _Server(config)
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        if ready is not None:
            name = f"[{host}]" if ":" in host else host
            ready(f"http://{name}:{listening.getsockname()[1]}/")
        await asyncio.shield(running)
    finally:
        if ending is not None:
            ending()
        server.should_exit = True
        await asyncio.wait([running])
        listening.close()


def _listen(host: str, port: int, *, anywhere: bool, option: str = "--port") -> socket.socket:
    if host not in LOOPBACK and not anywhere:
        raise Refused(
            f"The page can only be served on this computer, not on {host}.",
            hint="Use 127.0.0.1, or leave the host out.",
        )
    if not 0 <= port <= 65535:
        raise Refused(f"There is no port {port}.", hint="Ports go from 1 to 65535; 0 takes any free one.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise Refused(
            f"The page cannot be served on {host}, port {port}: {why_not_listening(error)}.",
            hint=f"Another program may be using it; choose another port with {option}, or {option} 0 for any free one.",
        ) from error
    # asyncio sends small answers at once only where the socket says that it is TCP; else each one waits 40 ms for an acknowledgement
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listening.detach())
