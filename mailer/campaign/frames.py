"""What a run and its couriers say to each other: lists of small tuples, marshalled, each list behind its length.

Both ends are the same program on the same machine, and know each other by a token; nothing else is ever unmarshalled.
"""

from __future__ import annotations

import asyncio
import marshal
import struct
from typing import Any

Event = tuple[Any, ...]

LENGTH = struct.Struct("!I")


class Post:
    """Sends events, those of one turn of the event loop together."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._events: list[Event] = []
        self._loop = asyncio.get_running_loop()

    def __call__(self, *event: Any) -> None:
        if not self._events:
            self._loop.call_soon(self._flush)
        self._events.append(event)

    def _flush(self) -> None:
        events, self._events = self._events, []
        if events and not self._writer.is_closing():
            data = marshal.dumps(events)
            self._writer.write(LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """Say what is left to say, and end the conversation."""
        self._flush()
        self._writer.close()


async def received(reader: asyncio.StreamReader) -> list[Event]:
    """The next events; none at the end of the conversation."""
    try:
        head = await reader.readexactly(LENGTH.size)
        data = await reader.readexactly(LENGTH.unpack(head)[0])
    except (asyncio.IncompleteReadError, OSError):
        return []
    return marshal.loads(data)  # type: ignore[no-any-return]  # noqa: S302  # see above: the same program wrote it
