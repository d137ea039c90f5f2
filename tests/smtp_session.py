"""One connection to the scripted server, from greeting to end: RFC 5321 as far as the script lets it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import struct
import time
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING

from smtp_script import Rule, choose

if TYPE_CHECKING:
    from smtp_server import ScriptedServer

NAME = "scripted.test"
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


class _EndedError(Exception):
    """The connection is over, by the script or the client."""


class Session:
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
        rule = choose(self.server.rules, phase, self.number, address)
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
        rule = choose(self.server.rules, "dot", self.number, rcpt_to[0])
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
        rule = choose(self.server.rules, "content", self.number, self.rcpt_to[0])
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
