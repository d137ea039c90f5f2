"""A scripted SMTP server for tests: it misbehaves on command and knows exactly what it accepted.

    with ScriptedServer() as server:
        server.on("rcpt", nth=50, reply="550 5.1.1 User unknown")
        server.on("accepted", nth=3, drop=True)     # took the message, said nothing
        ... send to server.host, server.port ...
        assert [message.message_id for message in server.accepted] == [...]

Phases a rule may name: greeting ehlo starttls auth mail rcpt data content dot accepted rset noop quit. `dot` comes before
the decision, `accepted` after the message is recorded and before the reply. Nobody listens to `violations` but the test:
what a client may not do (RFC 5321, RFC 2920) is noted there.

As a process of its own, to outlive a killed client:
    python tests/smtp_server.py --port-file F --oracle F --rule 'rcpt nth=50 reply="550 5.1.1 User unknown"'
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, TextIO

from smtp_certificate import Certificate
from smtp_script import Rule, parse_rule
from smtp_session import Accepted, Session

__all__ = ["Accepted", "Certificate", "Rule", "ScriptedServer"]


class ScriptedServer:
    """The server in a thread with its own event loop. With `users` (name -> password or token) a login is required."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        oracle: Path | None = None,
        security: Literal["none", "starttls", "tls"] = "none",
        context: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
        mechanisms: Sequence[str] = ("PLAIN", "LOGIN", "XOAUTH2"),
        pipelining: bool = True,
        size: int | None = None,
        smtputf8: bool = True,
        eightbitmime: bool = True,
    ) -> None:
        self.host, self.port, self.security, self.context = host, port, security, context
        self.users, self.mechanisms = users, tuple(mechanisms)
        self.pipelining, self.size, self.smtputf8, self.eightbitmime = pipelining, size, smtputf8, eightbitmime
        self.rules: list[Rule] = []
        self.accepted: list[Accepted] = []
        self.transcripts: list[list[str]] = []
        self.violations: list[str] = []
        self._news = threading.Condition()
        self._oracle: TextIO | None = oracle.open("a", encoding="utf-8", newline="\n") if oracle else None
        self._sessions: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="scripted-smtp", daemon=True)

    def on(  # the script's own language: one flat call per line
        self,
        phase: str,
        *,
        reply: str | None = None,
        raw: bytes | None = None,
        address: str | None = None,
        connection: int | None = None,
        nth: int | None = None,
        every: int | None = None,
        first: int | None = None,
        per_connection: bool = False,
        after: int = 0,
        delay: float = 0.0,
        hold: bool = False,
        silence: bool = False,
        drop: bool = False,
        reset: bool = False,
    ) -> Rule:
        """Add a rule; the earliest that fits wins. `after` (phase content) is a number of bytes; `reply` may have lines."""
        rule = Rule(
            phase=phase, address=address, connection=connection, nth=nth, every=every, first=first,
            per_connection=per_connection, after=after, reply=reply, raw=raw, delay=delay, hold=hold, silence=silence,
            drop=drop, reset=reset,
        )  # fmt: skip
        self.rules.append(rule)
        return rule

    @property
    def connections(self) -> int:
        """How many connections were ever made."""
        return len(self.transcripts)

    def wait_for(self, count: int, seconds: float = 10.0) -> None:
        """Until so many messages are accepted. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.accepted) >= count, seconds):
                raise TimeoutError(f"{len(self.accepted)} of {count} messages after {seconds} seconds")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._finish.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()
            if self._oracle:
                self._oracle.close()

    async def _serve(self) -> None:
        self._finish = asyncio.Event()
        context = self.context if self.security == "tls" else None
        listener = await asyncio.start_server(self._connected, self.host, self.port, ssl=context)
        self.port = listener.sockets[0].getsockname()[1]
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._finish.wait()
        listener.close()
        for session in (sessions := list(self._sessions)):
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transcript: list[str] = []
        self.transcripts.append(transcript)
        session = Session(self, reader, writer, len(self.transcripts), transcript)
        task = asyncio.ensure_future(session.run())
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def record(self, message: Accepted) -> None:
        """Remember a message, on disk first: whoever reads the oracle after a crash finds at least what was answered."""
        if self._oracle:
            fields = (f"{message.at:.6f}", message.message_id, message.mail_from, ",".join(message.rcpt_to))
            self._oracle.write("\t".join((*fields, str(message.connection))) + "\n")
            self._oracle.flush()
        with self._news:
            self.accepted.append(message)
            self._news.notify_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, required=True, help="written when connections are taken")
    parser.add_argument("--oracle", type=Path)
    parser.add_argument("--rule", action="append", default=[])
    parser.add_argument("--user", action="append", default=[], metavar="NAME=PASSWORD")
    parser.add_argument("--size", type=int)
    parser.add_argument("--no-pipelining", action="store_true")
    given = parser.parse_args()
    server = ScriptedServer(
        port=given.port,
        oracle=given.oracle,
        size=given.size,
        pipelining=not given.no_pipelining,
        users=dict(user.split("=", 1) for user in given.user) or None,
    )
    for text in given.rule:
        server.rules.append(parse_rule(text))
    with server:
        unfinished = given.port_file.with_name(given.port_file.name + ".new")
        unfinished.write_text(f"{server.port}\n", encoding="utf-8", newline="\n")
        os.replace(unfinished, given.port_file)  # noqa: PTH105 - whoever sees the file sees the whole number
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
