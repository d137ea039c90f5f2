"""`mailer web` in a campaign folder, run as a user runs it, with what a browser and a stranger may do to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import starting
from program import COMMAND, Program
from smtp_server import ScriptedServer

LETTER = """---
subject: "Please write, {{ name }}"
language: en
---

Dear {{ name }},

please write to them today, for {{ branch }}.
"""


def people(number: int) -> list[str]:
    return [f"p{at}@union.example" for at in range(1, number + 1)]


@dataclass
class Office:
    """A campaign folder whose account is a scripted server, and the page over it."""

    folder: Path
    server: ScriptedServer
    settings: dict[str, str] = field(default_factory=dict)
    page: str = ""
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        for name in ("templates", "contacts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "templates" / "appeal.md").write_text(LETTER, encoding="utf-8")
        (self.folder / "mailer.toml").write_text(
            f'smtp_host = "127.0.0.1"\nsmtp_port = {self.server.port}\nsmtp_security = "none"\nrate = "1000/second"\n'
            'sender = "Union Office <office@example.org>"\npostal_address = "1 Mill Lane, Leeds"\n'
            'unsubscribe_mailto = "leave@example.org"\n',
            encoding="utf-8",
        )
        self.settings = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **self.settings}

    @property
    def program(self) -> Program:
        return Program(folder=self.folder, settings=self.settings)

    @property
    def port(self) -> int:
        return urlsplit(self.page).port or 0

    def write_list(self, addresses: Sequence[str], name: str = "people.csv") -> str:
        lines = [f"{address},Pat {number},Branch {number % 3}" for number, address in enumerate(addresses, start=1)]
        path = self.folder / "contacts" / name
        path.write_text("\n".join(["email,name,branch", *lines, ""]), encoding="utf-8")
        return f"contacts/{name}"

    def open(self, port: int = 0) -> str:
        """Start the page, on any port or this one; comes to the address that opens it."""
        self.process = starting.start(
            [*COMMAND, "web", "--no-open", "--port", str(port), "--json"], cwd=self.folder, encoding="utf-8",
            env=os.environ | {"PYTHONUTF8": "1"} | self.settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.page = json.loads(line)["page"]
        return self.page

    def end(self, how: int = signal.SIGINT) -> str:
        """End the page; comes to what it said to people."""
        if self.process is None:
            return ""
        self.process.send_signal(how)
        said = self.process.communicate(timeout=40)[1]
        self.process = None
        assert "Traceback" not in said, said
        return said


@contextlib.contextmanager
def office(folder: Path, **settings: str) -> Iterator[Office]:
    with ScriptedServer() as server:
        made = Office(folder, server, settings)
        try:
            yield made
        finally:
            made.end()


@dataclass
class Stranger:
    """Somebody who talks to the port directly, header by header."""

    port: int
    cookie: str = ""

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            given.setdefault("Cookie", self.cookie)
        connection.putrequest(method, path, skip_host="Host" in given)
        for name, value in given.items():
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in given:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if body:
            with contextlib.suppress(OSError):  # whoever refuses need not hear it to its end
                connection.send(body)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        return answer, text

    def post(self, path: str, **fields: str) -> tuple[HTTPResponse, str]:
        return self.ask("POST", path, urlencode(fields).encode(), Content_Type="application/x-www-form-urlencoded")

    def enter(self, page: str) -> str:
        """Open the page with its ticket; comes to the token of its forms."""
        parts = urlsplit(page)
        answer, _ = self.ask("GET", f"{parts.path}?{parts.query}")
        assert answer.status == 303
        self.cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        _, text = self.ask("GET", "/")
        return text.partition('<meta name="csrf" content="')[2].partition('"')[0]


__all__ = ["LETTER", "Office", "Stranger", "office", "people"]
