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
import base64
import contextlib
import os
import re
import shlex
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Literal, Self, TextIO

NAME = "scripted.test"
PHASES = frozenset(
    [
        "greeting",
        "ehlo",
        "starttls",
        "auth",
        "mail",
        "rcpt",
        "data",
        "content",
        "dot",
        "accepted",
        "rset",
        "noop",
        "quit",
    ]
)
PATH = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>(.*)", re.IGNORECASE)
END = b"\r\n.\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A message we took responsibility for. `at` is the monotonic time of the final dot; `content` is not dot-stuffed."""

    message_id: str
    mail_from: str
    rcpt_to: tuple[str, ...]
    content: bytes
    at: float
    connection: int
    user: str | None


@dataclass(kw_only=True)
class Rule:
    """When (all that is given must fit) and then what. `fired` is set before the reply; `hold` waits for `release`.

    `nth` counts from 1 the events that fit the rest, over all connections or `per_connection`; `every` likewise.
    """

    phase: str
    address: str | None = None
    connection: int | None = None
    nth: int | None = None
    every: int | None = None
    first: int | None = None
    per_connection: bool = False
    after: int = 0
    reply: str | None = None
    raw: bytes | None = None
    delay: float = 0.0
    hold: bool = False
    silence: bool = False
    drop: bool = False
    reset: bool = False
    fired: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    _seen: Counter[int] = field(default_factory=Counter)
    _released: threading.Event = field(default_factory=threading.Event)

    def fits(self, phase: str, connection: int, address: str | None) -> bool:
        if phase != self.phase or (self.connection or connection) != connection:
            return False
        if self.address is not None and (address or "").lower() != self.address.lower():
            return False
        key = connection if self.per_connection else 0
        self._seen[key] += 1
        number = self._seen[key]
        if (self.nth or number) != number or number % (self.every or 1) or number > (self.first or number):
            return False
        self.count += 1
        self.fired.set()
        return True

    def release(self) -> None:
        self._released.set()

    async def released(self) -> None:
        while self.hold and not self._released.is_set():
            await asyncio.sleep(0.002)


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
        if phase not in PHASES:
            raise ValueError(f"no phase {phase!r}")
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
        session = _Session(self, reader, writer, len(self.transcripts), transcript)
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


class _EndedError(Exception):
    """The connection is over, by the script or the client."""


class _Session:
    """One connection, from greeting to end."""

    def __init__(
        self,
        server: ScriptedServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        transcript: list[str],
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.number, self.transcript = number, transcript
        self.buffer = bytearray()
        self.secure = server.security == "tls"
        self.user: str | None = None
        self.mail_from: str | None = None
        self.smtputf8 = self.eightbit = False
        self.rcpt_to: list[str] = []

    async def run(self) -> None:
        try:
            await self.answer("greeting", f"220 {NAME} ESMTP")
            while True:
                await self.command((await self.line()).rstrip())
        except (_EndedError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await asyncio.wait_for(self.writer.wait_closed(), 1)

    async def fill(self) -> None:
        await self.writer.drain()
        data = await self.reader.read(65536)
        if not data:
            raise _EndedError
        self.buffer += data

    async def line(self) -> str:
        while (end := self.buffer.find(b"\n")) < 0:
            await self.fill()
        text = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        if not text.endswith(b"\r\n"):
            self.violation("a command ends with a bare line feed")
        decoded = text.decode("utf-8", "surrogateescape").rstrip("\r\n")
        self.transcript.append("C: " + decoded)
        return decoded

    def violation(self, what: str) -> None:
        self.server.violations.append(f"connection {self.number}: {what}")

    def say(self, reply: str) -> None:
        """Write a reply, given as one or several `code text` or bare lines."""
        lines = reply.split("\n")
        code = lines[0][:3]
        texts = [lines[0][4:], *(line[4:] if line.startswith(code) else line for line in lines[1:])]
        for position, text in enumerate(texts):
            full = f"{code}{' ' if position == len(texts) - 1 else '-'}{text}"
            self.transcript.append("S: " + full)
            self.writer.write(full.encode() + b"\r\n")

    async def answer(self, phase: str, default: str, address: str | None = None) -> str:
        """Say what the script wants in this phase, else the default. Returns what was said."""
        rule = next((rule for rule in self.server.rules if rule.fits(phase, self.number, address)), None)
        return await self.play(rule, default) if rule else self.played(default)

    def played(self, reply: str) -> str:
        self.say(reply)
        return reply

    async def play(self, rule: Rule, default: str) -> str:
        await self.writer.drain()
        await rule.released()
        if rule.delay:
            await asyncio.sleep(rule.delay)
        if rule.silence:
            while True:
                await self.fill()
        said = rule.reply or ""
        if rule.raw is not None:
            self.writer.write(rule.raw)
            self.transcript.append(f"S: {rule.raw!r}")
        elif rule.reply is not None:
            self.say(rule.reply)
        elif default and not (rule.drop or rule.reset):
            said = self.played(default)
        if rule.drop or rule.reset:
            self.transcript.append("S: (closes)")
            await self.writer.drain()
            self.end(reset=rule.reset)
        return said

    def end(self, *, reset: bool) -> None:
        if reset:
            plain: socket.socket = self.writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        raise _EndedError

    async def command(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if self.buffer and not self.server.pipelining:
            self.violation(f"commands follow {verb} without waiting, though PIPELINING is not offered")
        match verb.upper():
            case "EHLO" | "HELO" as hello:
                await self.hello(hello)
            case "STARTTLS" if self.server.security == "starttls" and not self.secure:
                await self.starttls()
            case "AUTH" if self.server.users is not None:
                await self.auth(*rest.split(" ", 1))
            case "MAIL":
                await self.mail(rest)
            case "RCPT":
                await self.rcpt(rest)
            case "DATA":
                await self.data()
            case "RSET":
                self.mail_from, self.rcpt_to = None, []
                await self.answer("rset", "250 2.0.0 Ok")
            case "NOOP":
                await self.answer("noop", "250 2.0.0 Ok")
            case "QUIT":
                await self.answer("quit", "221 2.0.0 Bye")
                await self.writer.drain()
                raise _EndedError
            case _:
                self.say("502 5.5.2 Error: command not recognized")

    async def hello(self, verb: str) -> None:
        self.mail_from, self.rcpt_to = None, []
        server = self.server
        offers = {
            "PIPELINING": server.pipelining,
            f"SIZE {server.size or ''}".rstrip(): True,
            "STARTTLS": server.security == "starttls" and not self.secure,
            "AUTH " + " ".join(server.mechanisms): server.users is not None and self.may_log_in(),
            "SMTPUTF8": server.smtputf8,
            "8BITMIME": server.eightbitmime,
            "ENHANCEDSTATUSCODES": True,
        }
        offered = [name for name, given in offers.items() if given and verb == "EHLO"]
        await self.answer("ehlo", "\n".join(f"250 {text}" for text in (NAME, *offered)))

    def may_log_in(self) -> bool:
        return self.secure or self.server.security == "none"

    async def starttls(self) -> None:
        if self.buffer:
            self.violation("commands follow STARTTLS without waiting")
            self.buffer.clear()
        if (await self.answer("starttls", "220 2.0.0 Ready to start TLS")).startswith("220"):
            await self.writer.drain()
            if self.server.context is None:
                raise ValueError("security='starttls' needs a context")
            await self.writer.start_tls(self.server.context)
            self.secure = True
            self.user = None

    async def auth(self, mechanism: str, initial: str | None = None) -> None:
        users = self.server.users or {}
        if not self.may_log_in():
            self.violation("AUTH without TLS")
        if mechanism.upper() not in self.server.mechanisms:
            self.say("504 5.5.4 Unrecognized authentication type")
            return
        name, secret = await self.credentials(mechanism.upper(), initial)
        right = name in users and users[name] == secret
        if not right and mechanism.upper() == "XOAUTH2":
            await self.challenge('{"status":"401","schemes":"bearer","scope":"mail"}')
        verdict = "235 2.7.0 Authentication successful" if right else "535 5.7.8 Username and Password not accepted"
        if (await self.answer("auth", verdict, name)).startswith("235"):
            self.user = name

    async def challenge(self, text: str) -> str:
        self.say("334 " + base64.b64encode(text.encode()).decode())
        answer = await self.line()
        return "" if answer == "*" else base64.b64decode(answer).decode()

    async def credentials(self, mechanism: str, initial: str | None) -> tuple[str, str]:
        given = None if initial is None else base64.b64decode(initial).decode()
        if mechanism == "LOGIN":
            name = await self.challenge("Username:") if given is None else given
            return name, await self.challenge("Password:")
        given = await self.challenge("") if given is None else given
        if mechanism == "PLAIN":
            parts = given.split("\0")
            return (parts[1], parts[2]) if len(parts) == 3 else ("", "")
        found = re.fullmatch("user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01", given)
        return (found[1], found[2]) if found else ("", "")

    async def mail(self, rest: str) -> None:
        found = PATH.fullmatch(rest)
        options = found[2].upper().split() if found else []
        size = next((int(option[5:]) for option in options if option[:5] == "SIZE=" and option[5:].isdecimal()), 0)
        if self.server.users is not None and self.user is None:
            self.say("530 5.7.0 Authentication required")
        elif self.mail_from is not None:
            self.say("503 5.5.1 Error: nested MAIL command")
        elif not found:
            self.say("501 5.5.4 Syntax: MAIL FROM:<address>")
        elif self.server.size and size > self.server.size:
            self.say("552 5.3.4 Message size exceeds fixed limit")
        elif ("SMTPUTF8" in options or not found[1].isascii()) and not self.server.smtputf8:
            self.say("555 5.6.7 SMTPUTF8 not supported")
        elif (await self.answer("mail", "250 2.1.0 Ok", found[1])).startswith("2"):
            self.mail_from, self.rcpt_to = found[1], []
            self.smtputf8, self.eightbit = "SMTPUTF8" in options, "BODY=8BITMIME" in options

    async def rcpt(self, rest: str) -> None:
        found = PATH.fullmatch(rest)
        if self.mail_from is None:
            self.say("503 5.5.1 Error: need MAIL command")
        elif not found or not found[1]:
            self.say("501 5.1.3 Bad recipient address syntax")
        elif not found[1].isascii() and not self.smtputf8:
            self.say("553 5.6.7 Must use SMTPUTF8 for this address")
        elif (await self.answer("rcpt", "250 2.1.5 Ok", found[1])).startswith("2"):
            self.rcpt_to.append(found[1])

    async def data(self) -> None:
        if not self.rcpt_to:
            self.say(
                "503 5.5.1 Error: need RCPT command" if self.mail_from is None else "554 5.5.1 No valid recipients"
            )
            return
        if self.buffer:
            self.violation("content was sent before the answer to DATA")
        if not (await self.answer("data", "354 End data with <CR><LF>.<CR><LF>")).startswith("354"):
            return
        content = await self.content()
        mail_from, rcpt_to, at = self.mail_from or "", tuple(self.rcpt_to), time.monotonic()
        self.mail_from, self.rcpt_to = None, []
        if self.server.size and len(content) > self.server.size:
            self.say("552 5.3.4 Message size exceeds fixed limit")
            return
        queued = f"250 2.0.0 Ok: queued as {len(self.server.accepted) + 1:X}"
        rule = next((rule for rule in self.server.rules if rule.fits("dot", self.number, rcpt_to[0])), None)
        if rule and (rule.drop or rule.reset or rule.silence or rule.raw or not (rule.reply or "2").startswith("2")):
            await self.play(rule, queued)
            return
        if rule:  # delayed or reworded, yet accepted
            await self.writer.drain()
            await rule.released()
            await asyncio.sleep(rule.delay)
        message_id = BytesHeaderParser().parsebytes(content).get("Message-ID", "")
        self.server.record(
            Accepted(
                message_id=str(message_id).strip(),
                mail_from=mail_from,
                rcpt_to=rcpt_to,
                content=content,
                at=at,
                connection=self.number,
                user=self.user,
            )
        )
        await self.answer("accepted", (rule and rule.reply) or queued, rcpt_to[0])

    async def content(self) -> bytes:
        """Read to the final dot, undo the dot-stuffing (RFC 5321, 4.5.2), note what a client may not send."""
        rule = next((rule for rule in self.server.rules if rule.fits("content", self.number, self.rcpt_to[0])), None)
        body = bytearray(b"\r\n")  # so that a dot in the very first line is seen
        searched = 0
        while True:
            body += self.buffer
            self.buffer.clear()
            end = body.find(END, searched)
            if rule and (end >= rule.after or (end < 0 and len(body) - 2 >= rule.after)):
                await self.play(rule, "")
                rule = None
            if end >= 0:
                break
            searched = max(0, len(body) - len(END))
            await self.fill()
        self.buffer += body[end + len(END) :]
        stuffed = bytes(body[2 : end + 2])
        self.transcript.append(f"C: ({len(stuffed)} bytes)")
        if re.search(rb"\r(?!\n)|(?<!\r)\n", stuffed):
            self.violation("a bare CR or LF in the content")
        if re.search(rb"[^\r\n]{999}", stuffed):
            self.violation("a line longer than 998 bytes")
        if not stuffed.isascii() and not (self.eightbit or self.smtputf8):
            self.violation("8-bit content without BODY=8BITMIME")
        return re.sub(rb"(?m)^\.", b"", stuffed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """A self-signed certificate for localhost and 127.0.0.1, as PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, *, host: str = "localhost", valid_days: int = 1) -> Certificate:
        """Write a new one; a negative number of days makes one that has expired."""
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        ends = datetime.now(UTC) + timedelta(days=valid_days)
        names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - timedelta(days=abs(valid_days) + 1))
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        made = cls(certificate=folder / "server.pem", key=folder / "server.key")
        made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client that trusts this certificate and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))


NUMBERS = frozenset({"connection", "nth", "every", "first", "after"})
FLAGS = frozenset({"per_connection", "silence", "drop", "reset"})


def add_rule(server: ScriptedServer, text: str) -> Rule:
    """Add a rule written as `rcpt nth=50 reply="550 5.1.1 User unknown" drop`. Raises ValueError."""
    phase, *words = shlex.split(text)
    rule = Rule(phase=phase)
    if phase not in PHASES:
        raise ValueError(f"no phase {phase!r}")
    for word in words:
        name, _, value = word.partition("=")
        if name in NUMBERS:
            setattr(rule, name, int(value))
        elif name in FLAGS:
            setattr(rule, name, True)
        elif name in {"reply", "address"}:
            setattr(rule, name, value)
        elif name == "delay":
            rule.delay = float(value)
        elif name == "raw":
            rule.raw = value.encode().decode("unicode_escape").encode("latin-1")
        else:
            raise ValueError(f"no rule word {name!r}")
    server.rules.append(rule)
    return rule


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
        add_rule(server, text)
    with server:
        unfinished = given.port_file.with_name(given.port_file.name + ".new")
        unfinished.write_text(f"{server.port}\n", encoding="utf-8", newline="\n")
        os.replace(unfinished, given.port_file)  # noqa: PTH105 - whoever sees the file sees the whole number
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
