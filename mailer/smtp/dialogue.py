"""Commands out, replies in: the SMTP dialogue once aiosmtplib has connected, secured and authenticated it.

aiosmtplib's own `sendmail` takes four round trips a message and sends content and final dot in one piece. Here the two are
apart, since a delivery's intent has to be durable in between, and every reply is known by the phase it answers.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque

from mailer.model import Reply

# RFC 5321, 4.5.3.1.5 allows 512 octets a line; real servers write more. Beyond these a server is broken or hostile.
MAX_LINE = 8192
MAX_REPLY = 65536

# Seconds in which the event loop certainly looks at the connection once more.
GRACE = 0.05

# RFC 5321, 4.2; some servers leave out the space when there is no text
REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class ConnectionEnded(Exception):
    """The connection is gone, or says what no SMTP server says. `str()` is the reason in plain words."""


class Dialogue(asyncio.Protocol):
    """Takes over a transport. One reader and one writer: the transaction that is going on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._ended: str | None = None
        self._wake: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        transport.set_protocol(self)
        # aiosmtplib may have paused or left it reading; a no-op if it reads already
        transport.resume_reading()

    # -- what asyncio calls

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._ended is None:
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > MAX_LINE:
                    self._end("the server sent a line without end")
                return
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        match = REPLY_LINE.fullmatch(line)
        if not match or (self._lines and line[:3] != self._lines[0][:3]):
            self._end("the server sent something that is not an SMTP reply")
            return
        self._lines.append(line)
        if match[2] == b"-":
            if sum(map(len, self._lines)) > MAX_REPLY:
                self._end("the server sent a reply without end")
            return
        text = "\n".join(part[4:].decode("utf-8", "replace") for part in self._lines)
        self._lines = []
        self._replies.append(Reply(code=int(match[1]), text=text))
        _resolve(self._wake)

    def eof_received(self) -> bool:
        self._end("the server closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the connection broke" if exc else "the server closed the connection")

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        _resolve(self._writable)
        self._writable = None

    def _end(self, why: str) -> None:
        if self._ended is None:
            self._ended = why
            self._transport.close()
        _resolve(self._wake)
        _resolve(self._writable)

    # -- what a transaction calls

    @property
    def ended(self) -> str | None:
        """Why nothing more can be said here, or None."""
        return self._ended or ("the connection was closed" if self._transport.is_closing() else None)

    @property
    def pending(self) -> bool:
        """Whether the server has said something that nobody asked for yet."""
        return bool(self._replies)

    def write(self, data: bytes) -> None:
        """Hand bytes to the connection. Raises ConnectionEnded if not one of them can leave any more."""
        if self.ended:
            raise ConnectionEnded(self.ended)
        self._transport.write(data)

    async def drain(self, timeout: float) -> None:
        """Wait until the connection takes more. Raises ConnectionEnded after `timeout` seconds."""
        if self._writable:
            await self._wait(self._writable, timeout, "the server took no more data")
        if self.ended and not self.pending:
            raise ConnectionEnded(self.ended)

    async def reply(self, timeout: float) -> Reply:
        """The next reply. Raises ConnectionEnded if none comes within `timeout` seconds."""
        if not self._replies:
            if self.ended:
                raise ConnectionEnded(self.ended)
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wait(self._wake, timeout, "the server did not answer")
            finally:
                self._wake = None
            if not self._replies:
                raise ConnectionEnded(self.ended or "the server did not answer")
        return self._replies.popleft()

    async def _wait(self, future: asyncio.Future[None], timeout: float, late: str) -> None:
        done, _ = await asyncio.wait({future}, timeout=timeout)
        if not done:
            # this process may have stood still (SIGSTOP, a laptop asleep): what came meanwhile is read before judging
            done, _ = await asyncio.wait({future}, timeout=GRACE)
        if not done:
            self._end(f"{late} within {timeout:g} seconds")

    def abort(self) -> None:
        """Close at once, without QUIT."""
        self._end("the connection was closed")
        self._transport.abort()


def _resolve(future: asyncio.Future[None] | None) -> None:
    if future and not future.done():
        future.set_result(None)
