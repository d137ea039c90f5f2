"""Where a worker is watched: `/metrics`, `/health` and `/ready`, by HTTP from a thread of its own.

A thread, so that it answers also while the event loop stands still or the ledger is silent: that is when it is wanted. Nothing can be
changed here, and nobody is named. On this computer only pages of this computer are answered (DNS rebinding).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import AF_INET, AF_INET6
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple, Self

from mailer.cluster.vitals import Health, Vitals, health_of, readiness_of
from mailer.errors import SettingsError
from mailer.loopback import is_loopback

SLOW = 5.0
"""Seconds that whoever asks has for the question and for taking the answer."""

AT_ONCE = 8
"""Questions that are answered at the same time; whoever comes then is sent away."""


class Reply(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    content_type: str
    body: bytes


class Endpoint:
    """Serves until it is closed. Raises SettingsError where it cannot listen."""

    def __init__(
        self, workers: Sequence[Vitals], host: str, port: int, *, metrics: Callable[[], bytes], content_type: str
    ) -> None:
        self._workers = workers
        self._metrics = metrics
        self._content_type = content_type
        family = AF_INET6 if ":" in host else AF_INET
        server = type("Server", (_Server,), {"address_family": family})
        try:
            self._server: _Server = server((host, port), _answering(self, only_local=is_loopback(host)))
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"The worker cannot be watched at port {port}: {getattr(error, 'strerror', None) or 'not possible'}.",
                hint="give another one, e.g. --metrics 9326; two workers on one computer need two",
            ) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reply(self, path: str) -> Reply:
        """The answer to a path. Called by several threads."""
        if path == "/metrics":
            for vitals in self._workers:
                vitals.asked_at = time.monotonic()
            return Reply(HTTPStatus.OK, self._content_type, self._metrics())
        if path == "/health":
            return _told(*health_of(self._workers))
        if path == "/ready":
            return _told(*readiness_of(self._workers))
        return _plain(HTTPStatus.NOT_FOUND, "There are /metrics, /health and /ready.")


def _told(vitals: Vitals, health: Health) -> Reply:
    status = HTTPStatus.OK if health.well else HTTPStatus.SERVICE_UNAVAILABLE
    told = {"well": health.well, "state": vitals.state.value, "code": health.code, "reason": health.sentence}
    if vitals.relay:
        told["relay"] = vitals.relay
    return Reply(status, "application/json", (json.dumps(told) + "\n").encode("ascii"))


def _plain(status: HTTPStatus, sentence: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", f"{sentence}\n".encode())


class _Server(ThreadingMixIn, HTTPServer):
    """A few threads at most, and none that keeps the program from ending."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *given: Any) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(*given)

    def server_bind(self) -> None:
        # HTTPServer would ask DNS for this computer's name, and nobody wants to know it
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: object) -> None:
        """Whoever hangs up in the middle is nothing to be told of."""


def _answering(endpoint: Endpoint, *, only_local: bool) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        timeout = SLOW

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            host = self.headers.get("Host", "")
            if only_local and not is_loopback(_without_port(host)):
                reply = _plain(HTTPStatus.FORBIDDEN, "Ask by the name localhost, or by the number.")
            else:
                reply = endpoint.reply(self.path.partition("?")[0])
            self.send_response_only(reply.status)
            for name, value in (
                ("Content-Type", reply.content_type),
                ("Content-Length", str(len(reply.body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(reply.body)

        def version_string(self) -> str:
            return "mailer"

        def log_message(self, *_: object) -> None:
            """Who asks is not noted."""

    return Answering


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host
