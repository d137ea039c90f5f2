"""A line to a server far away: every byte arrives a fixed time after it was sent, in order, and as many as one likes.

Making a connection costs what it costs over such a line: one round trip until the client has it, half of one until the
server has the last packet of the handshake and greets, and half of one until the greeting arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import deque
from dataclasses import asdict, dataclass

from .apart import HOST, exact_loop, serve


@dataclass(kw_only=True)
class Note:
    """One connection as its client sees it, by time.monotonic()."""

    opened: float
    first_mail: float | None = None
    last_reply: float = 0.0
    closed: float = 0.0


class Delayed:
    """One direction. What was sent leaves in the same order, each piece its delay after it came."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes | None] = deque()
        self._overdue = 0
        self._target: asyncio.Transport | None = None

    def lead_to(self, target: asyncio.Transport) -> None:
        """Where it all goes; what arrived before goes now."""
        self._target = target
        for _ in range(self._overdue):
            self._release()

    def send(self, data: bytes | None) -> None:
        """Pass it on later; None is the end."""
        self._waiting.append(data)
        self._loop.call_later(self._delay, self._release)

    def _release(self) -> None:
        if self._target is None:
            self._overdue += 1
            return
        data = self._waiting.popleft()
        if data is None:
            self._target.close()
        elif not self._target.is_closing():
            self.passed(data)
            self._target.write(data)

    def passed(self, data: bytes) -> None:
        """Note a piece that arrives now."""


class Replies(Delayed):
    """From the server to the client, who sees a piece when it arrives."""

    def __init__(self, delay: float, note: Note) -> None:
        super().__init__(delay)
        self._note = note

    def passed(self, data: bytes) -> None:
        if not data.startswith(b"221"):
            self._note.last_reply = time.monotonic()


class Client(asyncio.Protocol):
    """The end at which the client connects."""

    def __init__(self, port: int, delay: float, notes: list[Note]) -> None:
        self._port, self._delay, self._notes = port, delay, notes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._note = Note(opened=time.monotonic())
        self._notes.append(self._note)
        self._commands = Delayed(self._delay)
        self._replies = Replies(self._delay, self._note)
        self._replies.lead_to(transport)
        # SYN, SYN-ACK and ACK are each under way once; the greeting is under way as any reply
        asyncio.get_running_loop().call_later(3 * self._delay, self._connect)

    def _connect(self) -> None:
        self._connecting = asyncio.ensure_future(self._connected())

    async def _connected(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: Server(self._replies), HOST, self._port)
        self._commands.lead_to(transport)

    def data_received(self, data: bytes) -> None:
        if self._note.first_mail is None and b"MAIL FROM" in data.upper():
            self._note.first_mail = time.monotonic()
        self._commands.send(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._note.closed = time.monotonic()
        self._commands.send(None)


class Server(asyncio.Protocol):
    """The end that connects to the server."""

    def __init__(self, replies: Delayed) -> None:
        self._replies = replies

    def data_received(self, data: bytes) -> None:
        self._replies.send(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._replies.send(None)


def lateness(delay: float) -> float:
    """Seconds by which this system wakes a program too late, half of the times it was less."""

    async def one() -> float:
        began = time.perf_counter()
        await asyncio.sleep(delay)
        return time.perf_counter() - began - delay

    with asyncio.Runner(loop_factory=exact_loop) as runner:
        return statistics.median(runner.run(one()) for _ in range(11))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description=__doc__)
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    parser.add_argument("--delay", type=float, required=True, metavar="SECONDS", help="in each direction")
    given = parser.parse_args()
    notes: list[Note] = []
    delay = max(0.0, given.delay - lateness(given.delay))
    serve(lambda: Client(given.to, delay, notes), lambda: [asdict(note) for note in notes], exact=True)


if __name__ == "__main__":
    main()
