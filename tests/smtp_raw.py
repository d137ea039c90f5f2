"""A tiny SMTP server for tests of pipelining: told what to do wrong at which message, in pieces of any size.

    async with RawServer(faults={(2, "rcpt"): Fault(reply="450 4.2.0 later")}) as server:
        ... send to server.host, server.port ...

It lives in the test's own event loop, so that what it has heard can be looked at between any two steps. A fault belongs to
the nth MAIL command that the server ever got, and to a phase of that transaction: mail rcpt data content dot.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, cast

END = b"\r\n.\r\n"
EXTRA = "250 2.0.0 and one more"
NORMAL = {
    "mail": "250 2.1.0 Ok",
    "rcpt": "250 2.1.5 Ok",
    "data": "354 End data with <CR><LF>.<CR><LF>",
    "dot": "250 2.0.0 Ok: queued",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What happens at one command. Without any of it the answer is the usual one.

    `reply` is said instead, and the command has not happened. `taken`: at the dot, the message is taken all the same.
    `mute`: nothing is said; `extra`: one reply more; `end`: then "close" or "reset"; `silent`: nothing is ever said again;
    `discard`: after the answer, what has arrived is thrown away, but for so many octets at its end; `raw`: said instead.
    """

    reply: str = ""
    taken: bool = False
    mute: bool = False
    extra: bool = False
    end: str = ""
    silent: bool = False
    discard: int | None = None
    raw: bytes = b""
    delay: float = 0.0


NO_FAULT = Fault()


class RawServer:
    """`pieces` are the sizes in which the server writes, over and over; 0 is a pause, and none at all glues replies.

    `names_ids`: it says under which queue ID it took a message, as Postfix does.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        faults: Mapping[tuple[int, str], Fault] | None = None,
        always: Mapping[str, Fault] | None = None,
        pipelining: bool = True,
        to_nobody: str = "503 5.5.1 Error: need RCPT command",
        pieces: Sequence[int] | None = None,
        wordy: bool = False,
        names_ids: bool = False,
        on_data: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.faults, self.always = dict(faults or {}), dict(always or {})
        self.pipelining, self.to_nobody, self.wordy, self.on_data = pipelining, to_nobody, wordy, on_data
        self.pieces = pieces
        self.normal = NORMAL | ({"dot": "250 2.0.0 Ok: queued as 4FxZ2k0Xq1z3Y"} if names_ids else {})
        self.accepted: Counter[str] = Counter()
        self.in_doubt: list[tuple[int, str]] = []
        self.mixed: list[str] = []
        self.violations: list[str] = []
        self.log: list[tuple[int, str, bytes]] = []
        self.mails = 0
        self.connections = 0
        self._talks: set[Talk] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.get_running_loop().create_server(lambda: Talk(self), self.host, 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        talks = list(self._talks)
        for talk in talks:
            talk.task.cancel()
        await asyncio.gather(*(talk.task for talk in talks), return_exceptions=True)
        # the transports close in the loop's next rounds
        for _ in range(3):
            await asyncio.sleep(0)

    async def hung_up(self) -> None:
        """Wait until the others have ended all connections: all that they sent has come."""
        await asyncio.wait([talk.task for talk in self._talks])

    def hang_up(self) -> None:
        """End all connections, whatever was about to come."""
        for talk in list(self._talks):
            talk.transport.close()

    def fault(self, transaction: int, phase: str) -> Fault:
        return self.faults.get((transaction, phase)) or self.always.get(phase, NO_FAULT)

    def begin(self, talk: Talk) -> int:
        self._talks.add(talk)
        self.connections += 1
        return self.connections

    def heard(self, connection: int = 1) -> bytes:
        """All that came over a connection."""
        return b"".join(data for number, side, data in self.log if number == connection and side == "C")

    def turns(self, connection: int = 1) -> list[tuple[str, bytes]]:
        """Both sides in the order in which it came and went, each until the other had its say."""
        said = ((side, data) for number, side, data in self.log if number == connection)
        return [
            (side, b"".join(data for _, data in group)) for side, group in itertools.groupby(said, key=lambda x: x[0])
        ]


class _OverError(Exception):
    """A connection is over."""


class Talk(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.number = server.begin(self)
        self.buffer = b""
        self.out = b""
        self.gone = False
        self.news = asyncio.Event()
        self.sizes: Iterator[int] = itertools.cycle(server.pieces or [0])
        self.sender = False
        self.recipient = ""
        # once it has said more than it was asked, nobody can know what the next answer is to
        self.ahead = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own is none by inheritance
        self.transport = cast("asyncio.Transport", transport)
        self.task = asyncio.ensure_future(self.run())

    def data_received(self, data: bytes) -> None:
        self.server.log.append((self.number, "C", data))
        self.buffer += data
        self.server.on_data(data)
        self.news.set()

    def eof_received(self) -> bool:
        self.gone = True
        self.news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.news.set()

    async def run(self) -> None:
        with contextlib.suppress(_OverError):
            try:
                await self.say("220 raw.test ESMTP")
                while True:
                    await self.command((await self.until(b"\r\n")).decode("ascii", "replace"))
            finally:
                self.transport.close()

    # -- out and in

    async def say(self, reply: str | bytes) -> None:
        if isinstance(reply, str) and self.server.wordy and reply[3:4] == " ":
            reply = f"{reply[:3]}-{reply[4:]}\r\n{reply[:3]}-\r\n{reply}"
        self.out += reply if isinstance(reply, bytes) else reply.encode() + b"\r\n"
        if self.server.pieces is not None:
            await self.flush()

    async def flush(self) -> None:
        while self.out:
            size = next(self.sizes)
            if self.server.pieces is None:
                size = len(self.out)
            if not size:
                await asyncio.sleep(0.0005)
                size = 1
            piece, self.out = self.out[:size], self.out[size:]
            if self.transport.is_closing():
                raise _OverError
            self.server.log.append((self.number, "S", piece))
            self.transport.write(piece)
            await asyncio.sleep(0)

    async def until(self, end: bytes) -> bytes:
        while (at := self.buffer.find(end)) < 0:
            await self.flush()
            if self.gone:
                raise _OverError
            self.news.clear()
            await self.news.wait()
        taken, self.buffer = self.buffer[:at], self.buffer[at + len(end) :]
        return taken

    async def leave(self, how: str) -> None:
        await self.flush()
        if how == "reset" and not self.transport.is_closing():
            plain: socket.socket = self.transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        raise _OverError

    # -- the dialogue

    async def command(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if self.buffer and not (self.server.pipelining or self.ahead):
            self.server.violations.append(f"more follows {verb}, though PIPELINING is not offered")
        match verb:
            case "EHLO":
                offers = ["raw.test", *(["PIPELINING"] if self.server.pipelining else []), "8BITMIME"]
                lines = [f"250{' ' if text is offers[-1] else '-'}{text}" for text in offers]
                await self.say("\r\n".join(lines))
            case "MAIL":
                await self.mail()
            case "RCPT":
                await self.rcpt(rest.removeprefix("TO:<").removesuffix(">"))
            case "DATA":
                await self.data()
            case "RSET":
                self.sender, self.recipient = False, ""
                await self.say("250 2.0.0 Ok")
            case "QUIT":
                await self.say("221 2.0.0 Bye")
                await self.leave("close")
            case _:
                await self.say("500 5.5.2 Error: command not recognized")

    async def mail(self) -> None:
        self.server.mails += 1
        self.transaction = self.server.mails
        if self.sender:
            await self.say("503 5.5.1 nested MAIL command")
        elif await self.answer("mail"):
            self.sender, self.recipient = True, ""

    async def rcpt(self, recipient: str) -> None:
        if not self.sender:
            await self.say("503 5.5.1 need MAIL command")
        elif await self.answer("rcpt"):
            self.recipient = recipient

    async def data(self) -> None:
        if not self.recipient and not (self.sender and self.server.to_nobody.startswith("354")):
            await self.say(self.server.to_nobody if self.sender else "503 5.5.1 need MAIL command")
        elif await self.answer("data"):
            await self.content()

    async def content(self) -> None:
        self.buffer = b"\r\n" + self.buffer
        fault = self.server.fault(self.transaction, "content")
        if fault.end:
            # whoever hears 354 and sees the end together may have sent the dot by then
            self.server.in_doubt.append((self.number, self.recipient))
        await self.play(fault, fault.reply)
        content = await self.until(END)
        recipient, self.sender, self.recipient = self.recipient, False, ""
        fault = self.server.fault(self.transaction, "dot")
        answered = not (
            fault.mute or fault.silent or fault.raw or fault.end == "reset" or (fault.end and not fault.reply)
        )
        if not recipient:
            self.server.violations.append("a final dot for a message to nobody")
        elif not re.search(rb"(?im)^To: .*" + re.escape(recipient.encode()), content.partition(b"\r\n\r\n")[0]):
            self.server.mixed.append(recipient)
        if recipient and (fault.taken or not (fault.reply or fault.silent or fault.raw or fault.end)):
            self.server.accepted[recipient] += 1
        if not answered:
            self.server.in_doubt.append((self.number, recipient))
        await self.answer("dot")

    async def answer(self, phase: str) -> bool:
        """Whether the command has happened."""
        fault = self.server.fault(self.transaction, phase)
        normal = self.server.normal[phase]
        said = fault.reply or ("" if fault.raw or fault.mute or fault.end else normal)
        if phase == "data" and fault.end and said == normal:
            self.server.in_doubt.append((self.number, self.recipient))
        await self.play(fault, said)
        return not fault.reply or fault.reply[0] == normal[0]

    async def play(self, fault: Fault, said: str) -> None:
        if fault.delay:
            await self.flush()
            await asyncio.sleep(fault.delay)
        if fault.silent:
            await self.flush()
            while not self.gone:
                self.news.clear()
                await self.news.wait()
            raise _OverError
        if said or fault.raw:
            await self.say(said or fault.raw)
        if fault.extra:
            self.ahead = True
            await self.say(EXTRA)
        if fault.end:
            await self.leave(fault.end)
        if fault.discard is not None:
            await self.flush()
            self.buffer = self.buffer[len(self.buffer) - fault.discard :] if fault.discard else b""
