"""A sign-in service for tests, on this computer: device codes (RFC 8628), a sign-in page with PKCE (RFC 7636), refreshing.

with SignInService() as service:
... let the program ask service.url
service.tokens        # access tokens that are good now, by the account's name: a mail server's `users`
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT = "the-client"
ACCOUNT = "ana@union.example"


class SignInService:
    """Gives tokens to the one account. What it was asked is in `asked`, as path and form."""

    def __init__(self, *, seconds: int = 3600, secret: str | None = None) -> None:
        self.seconds, self.secret = seconds, secret
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.tokens: dict[str, str] = {}
        self.refresh = "refresh-0"
        self.rotates = False
        self.device_answers: list[str] = []
        """Errors to answer a device with, before somebody has signed in."""
        self.refusal: str | None = None
        self.broken = False
        self._given = 0
        self._challenges: dict[str, tuple[str, str]] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/whose":
                    service.whose(self)
                else:
                    service.page(self)

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                service.form(self, {name: values[0] for name, values in parse_qs(form).items()})

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def renewals(self) -> int:
        return sum(form.get("grant_type") == "refresh_token" for _, form in self.asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def page(self, handler: BaseHTTPRequestHandler) -> None:
        """Somebody's browser, and they say yes at once."""
        parts = urlsplit(handler.path)
        question = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append((parts.path, question))
        answer = {"state": question["state"]}
        if self.refusal:
            answer["error"] = self.refusal
        else:
            answer["code"] = f"code-{len(self._challenges)}"
            self._challenges[answer["code"]] = (question["code_challenge"], question["redirect_uri"])
        handler.send_response(302)
        handler.send_header("Location", f"{question['redirect_uri']}?{urlencode(answer)}")
        handler.end_headers()

    def whose(self, handler: BaseHTTPRequestHandler) -> None:
        """Whose token it is, for a mail server that asks (RFC 7662)."""
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        account = next((name for name, good in self.tokens.items() if good == token), None)
        self.asked.append((handler.path, {"token": token}))
        self.say(handler, 200 if account else 401, {"active": account is not None, "email": account})

    def form(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        self.asked.append((handler.path, form))
        if self.broken:
            self.say(handler, 503, {})
        elif form.get("client_id") != CLIENT or form.get("client_secret") != self.secret:
            self.say(handler, 401, {"error": "invalid_client"})
        elif handler.path.endswith("/devicecode"):
            page = {"device_code": "device-1", "user_code": "WXYZ-1234", "verification_uri": f"{self.url}/device"}
            self.say(handler, 200, {**page, "expires_in": 900, "interval": 0})
        elif error := self.refusal or self.error(form):
            self.say(handler, 400, {"error": error})
        else:
            self.say(handler, 200, self.grant(form["grant_type"]))

    def error(self, form: dict[str, str]) -> str | None:
        match form.get("grant_type"):
            case "refresh_token":
                return None if form["refresh_token"] == self.refresh else "invalid_grant"
            case "authorization_code":
                challenge, back = self._challenges.pop(form["code"], ("", ""))
                made = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
                return None if (made.decode(), form["redirect_uri"]) == (challenge, back) else "invalid_grant"
            case "urn:ietf:params:oauth:grant-type:device_code" if form["device_code"] == "device-1":
                return self.device_answers.pop(0) if self.device_answers else None
        return "unsupported_grant_type"

    def grant(self, kind: str) -> dict[str, object]:
        self._given += 1
        if kind != "refresh_token" or self.rotates:
            self.refresh = f"refresh-{self._given}"
        self.tokens[ACCOUNT] = f"access-{self._given}"
        given = {"access_token": self.tokens[ACCOUNT], "token_type": "Bearer", "expires_in": self.seconds}
        return given if kind == "refresh_token" and not self.rotates else given | {"refresh_token": self.refresh}

    def say(self, handler: BaseHTTPRequestHandler, code: int, answer: dict[str, object]) -> None:
        content = json.dumps(answer).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
