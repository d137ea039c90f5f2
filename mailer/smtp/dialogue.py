"""Commands out, replies in: the SMTP dialogue once aiosmtplib has connected, secured and authenticated it.

aiosmtplib's own `sendmail` takes four round trips a message and sends content and final dot in one piece. Here the two are
apart, since a delivery's intent has to be durable in between, and every reply is known by the phase it answers.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from mailer.model import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

# RFC 5321, 4.5.3.1.5 allows 512 octets a line; real servers write more. Beyond these a server is broken or hostile.
MAX_LINE = 8192
MAX_REPLY = 65536

# Seconds in which the event loop certainly looks at the connection once more.
GRACE = 0.05

STANDSTILL = 1.0
"""Seconds since the server's last word after which this process may have stood still, and the server may be gone."""

# RFC 5321, 4.2; some servers leave out the space when there is no text
REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)

REMEMBERED = 64
"""Replies of one line, and some that come together, that are said again and again: a connection reads each of them once."""


class ConnectionEnded(Exception):
    """The connection is gone, or says what no SMTP server says. `str()` is the reason in plain words."""


class Dialogue(asyncio.Protocol):
    """Takes over a transport. One reader and one writer: the transaction that is going on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._known: dict[bytes, Reply] = {}
        self._rounds: dict[bytes, tuple[Reply, ...]] = {}
        self._ended: str | None = None
        self._full = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = self._patience = 0.0
        self._late = ""
        self._overdue = 0.0
        self._heard_at = time.monotonic()
        self.fell_silent = False
        self._timer: asyncio.TimerHandle | None = None
        self.heed: Callable[[tuple[Reply, ...]], bool] | None = None
        """Called with replies that come together, and alone: whether they are seen to. If not, they are there for whoever waits."""
        transport.set_protocol(self)
        # aiosmtplib may have paused or left it reading; a no-op if it reads already
        transport.resume_reading()

    # -- what asyncio calls

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        data = bytes(data)  # asyncio on Windows gave a bytearray in early versions of Python 3.11, which is no key
        alone = not (self._buffer or self._lines or self._replies)
        replies = self._rounds.get(data) if alone and self._ended is None else None
        if replies is None:
            replies = self._read(data)
            alone = alone and not (self._buffer or self._lines) and self._ended is None
            if alone and len(self._rounds) < REMEMBERED:
                self._rounds[data] = replies
        if replies and not (alone and self.heed and self.heed(replies)):
            self._replies.extend(replies)
            self.wake()

    def _read(self, data: bytes) -> tuple[Reply, ...]:
        """The replies that are whole now."""
        replies: list[Reply] = []
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if self._ended is not None:
                break
            reply = None if self._lines else self._known.get(line)
            if reply := reply or self._take_line(line):
                replies.append(reply)
        if len(self._buffer) > MAX_LINE:
            self._end("the server sent a line without end")
        return tuple(replies)

    def _take_line(self, line: bytes) -> Reply | None:
        """The reply that ends with this line, if one does."""
        said = line.rstrip(b"\r")
        match = REPLY_LINE.fullmatch(said)
        if not match or len(line) > MAX_LINE or (self._lines and said[:3] != self._lines[0][:3]):
            self._end("the server sent something that is not an SMTP reply")
            return None
        self._lines.append(said)
        if match[2] == b"-":
            if sum(map(len, self._lines)) > MAX_REPLY:
                self._end("the server sent a reply without end")
            return None
        text = "\n".join(part[4:].decode("utf-8", "replace") for part in self._lines)
        reply = Reply(code=int(match[1]), text=text)
        if len(self._lines) == 1 and len(self._known) < REMEMBERED:
            self._known[line] = reply
        self._lines = []
        return reply

    def eof_received(self) -> bool:
        self._end("the server closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the connection broke" if exc else "the server closed the connection")

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.wake()

    def _end(self, why: str) -> None:
        if self._ended is None:
            self._ended = why
            self._transport.close()
            if self._timer:
                self._timer.cancel()
                self._timer = None
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look at what has become of it."""
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # -- what a transaction calls

    @property
    def ended(self) -> str | None:
        """Why nothing more can be said here, or None."""
        return self._ended or ("the connection was closed" if self._transport.is_closing() else None)

    @property
    def pending(self) -> bool:
        """Whether the server has said something that nobody asked for yet."""
        return bool(self._replies)

    @property
    def full(self) -> bool:
        """Whether the connection takes no more for now."""
        return self._full

    @property
    def waiting(self) -> tuple[float, float] | None:
        """Since when the server owes something (by the loop's clock) and how many seconds it is given; None if it does not."""
        owes = self._waiter is not None and self._deadline < math.inf
        return (self._deadline - self._patience, self._patience) if owes else None

    @property
    def encryption(self) -> tuple[str, str]:
        """The version of TLS and the day on which the server's certificate ends, as it has it; blank what there is not."""
        tls = self._transport.get_extra_info("ssl_object")
        certificate = self._transport.get_extra_info("peercert") or {}
        return (tls.version() or "" if tls else "", str(certificate.get("notAfter", "")))

    def write(self, data: bytes) -> None:
        """Hand bytes to the connection. Raises ConnectionEnded if not one of them can leave any more."""
        if self.ended:
            raise ConnectionEnded(self.ended)
        self._transport.write(data)

    async def drain(self, timeout: float) -> None:
        """Wait until the connection takes more, or the server says something. Raises ConnectionEnded after `timeout` seconds."""
        deadline, self._patience = self._loop.time() + timeout, timeout
        while self._full and not self._replies and self._ended is None:
            await self._wait(deadline, f"the server took no more data within {timeout:g} seconds")
        if self.ended and not self.pending:
            raise ConnectionEnded(self.ended)

    @property
    def stood_still(self) -> bool:
        """Whether this process may have stood still since it heard of the server."""
        return time.monotonic() - self._heard_at > STANDSTILL

    async def look_up(self) -> None:
        """Hear what was said while this process stood still, if it may have, before something is sent that cannot be taken back."""
        if self.stood_still:
            await asyncio.sleep(GRACE)

    def take(self, *codes: int) -> bool:
        """Take the next replies off, if just these have come already."""
        if [reply.code for reply in islice(self._replies, len(codes))] != [*codes]:
            return False
        for _ in codes:
            self._replies.popleft()
        return True

    async def reply(self, timeout: float) -> Reply:
        """The next reply. Raises ConnectionEnded if none comes within `timeout` seconds."""
        if not self._replies:
            deadline, self._patience = self._loop.time() + timeout, timeout
            while not self._replies:
                if self.ended:
                    raise ConnectionEnded(self.ended)
                await self._wait(deadline, f"the server did not answer within {timeout:g} seconds")
        return self._replies.popleft()

    async def news(self, timeout: float) -> None:
        """Wait for what `heed` does not see to, for `wake`, or for the connection's end, which comes after so many seconds (see `owe`)."""
        if timeout < math.inf:
            self._patience = timeout
        await self._wait(self._loop.time() + timeout, f"the server did not answer within {timeout:g} seconds")

    def owe(self, timeout: float) -> None:
        """From now on whoever waits does so for so many seconds; infinity: for nothing that the server owes."""
        self._deadline = self._loop.time() + timeout
        if timeout < math.inf:
            self._patience = timeout
            if self._timer is None:
                self._set_timer(self._deadline)

    async def _wait(self, deadline: float, late: str) -> None:
        """Until something happens; at the deadline the connection ends, which is something, too."""
        self._deadline, self._late = deadline, late
        # one timer for many waits: setting one for each would cost more than the waiting
        if deadline < (self._timer.when() if self._timer else math.inf):
            self._set_timer(deadline)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            # looked at again before any deadline that may be set meanwhile
            self._set_timer(min(self._deadline, self._loop.time() + self._patience))
        elif self._overdue != self._deadline:
            # this process may have stood still (SIGSTOP, a laptop asleep): what came meanwhile is read before judging
            self._overdue = self._deadline
            self._set_timer(self._loop.time() + GRACE)
        else:
            self.fell_silent = True
            self._end(self._late)

    def abort(self) -> None:
        """Close at once, without QUIT."""
        self._end("the connection was closed")
        self._transport.abort()
