"""Signing in in this computer's browser, which comes back to us on the loopback interface (RFC 8252, 7.3; RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from mailer.errors import RelayStopped
from mailer.oauth.asking import Client, Grant, ServiceRefusedError, granted, readable, refused

PATIENCE = 600.0
"""Seconds in which a person can sign in."""

PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>mailer</title>'
    "<p>{}</p><p>You can close this page and go back to mailer.</p></html>"
)


class _Landing(HTTPServer):
    """Takes one answer: that which knows our state (RFC 6749, 10.12). Other programs here may knock, too."""

    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.state = state
        self.answer: dict[str, str] | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor that breaks off is nothing to be told."""


class _Visit(BaseHTTPRequestHandler):
    server: _Landing
    timeout = 10.0

    def do_GET(self) -> None:
        fields = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        ours = secrets.compare_digest(fields.get("state", "").encode(), self.server.state.encode())
        if ours and self.server.answer is None:
            self.server.answer = fields
        good = ours and "code" in fields
        page = PAGE.format("You are signed in." if good else "This was not a sign-in.").encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def version_string(self) -> str:
        return "mail"

    def log_message(self, *_: object) -> None:
        """The address of the page holds a code: it is logged nowhere."""


def sign_in(client: Client, account: str, show: Callable[[str], None], *, patience: float = PATIENCE) -> Grant:
    """Let a person sign in; `show` gets the page to open. `account` is the address to sign in with.

    Raises RelayStopped, Paused.
    """
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _Landing(state) as landing:
        back = f"http://127.0.0.1:{landing.server_port}"
        question = {
            "client_id": client.id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": client.service.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": account,
            # Google gives a refresh token only so, and only when it asks anew
            "access_type": "offline",
            "prompt": "consent",
        }
        show(f"{client.service.authorize}?{urlencode(question)}")
        answer = _awaited(landing, patience)
    if "code" not in answer:
        raise refused(client, ServiceRefusedError(readable(answer.get("error", "access_denied"))))
    try:
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": back}
        return granted(client, {**form, "code_verifier": verifier})
    except ServiceRefusedError as error:
        raise refused(client, error) from error


def _awaited(landing: _Landing, patience: float) -> dict[str, str]:
    until = time.monotonic() + patience
    while landing.answer is None:
        landing.timeout = until - time.monotonic()
        if landing.timeout <= 0:
            raise RelayStopped("Nobody signed in in time.", hint="run the same command again")
        landing.handle_request()
    return landing.answer
