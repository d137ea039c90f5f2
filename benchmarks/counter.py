"""A mail server that takes everything, and notes when each final dot came: what a relay that counts would count."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from .apart import serve

END = b"\r\n.\r\n"

EHLO = b"250-counter.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
REPLIES = {
    b"EHLO": EHLO,
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
}
"""Whatever else is said is answered by 250."""


class Notes:
    """When each message came, by time.monotonic(), and the bytes of all."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.size = 0


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._received = bytearray()
        self._content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 counter.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        replies = []
        while (reply := self._taken()) is not None:
            replies.append(reply)
        if replies:
            self._transport.write(b"".join(replies))
            if replies[-1] is REPLIES[b"QUIT"]:
                self._transport.close()

    def _taken(self) -> bytes | None:
        """The reply to the next command or content that came whole, taken off."""
        if self._content:
            return self._message()
        line, ending, _ = self._received.partition(b"\r\n")
        if not ending:
            return None
        verb = bytes(line[:4]).upper()
        if verb == b"DATA":
            # the end of this line may be the start of the end of an empty message
            del self._received[: len(line)]
            self._content = True
        else:
            del self._received[: len(line) + 2]
        return REPLIES.get(verb, b"250 2.0.0 ok\r\n")

    def _message(self) -> bytes | None:
        end = self._received.find(END)
        if end < 0:
            return None
        self._notes.times.append(time.monotonic())
        self._notes.size += end
        del self._received[: end + len(END)]
        self._content = False
        return b"250 2.0.0 taken\r\n"


def main() -> None:
    notes = Notes()
    serve(lambda: Session(notes), lambda: {"times": notes.times, "size": notes.size})


if __name__ == "__main__":
    main()
