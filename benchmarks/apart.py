"""How a server in a process of its own lives: it prints its port, and ends, with its notes, when standard input does."""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import threading
from collections.abc import Callable
from typing import Any

HOST = "127.0.0.1"


def serve(factory: Callable[[], asyncio.Protocol], notes: Callable[[], Any], *, exact: bool = False) -> None:
    """Serve until standard input ends, on a loop that is fast or `exact`."""
    with asyncio.Runner(loop_factory=exact_loop if exact else _fast_loop) as runner:
        runner.run(_serve(factory))
    print(json.dumps(notes()), flush=True)


def exact_loop() -> asyncio.AbstractEventLoop:
    """A loop that wakes as exactly as the system does; with epoll, times are rounded up to a whole millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def _fast_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(factory: Callable[[], asyncio.Protocol]) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    server = await loop.create_server(factory, HOST, 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait, daemon=True).start()
    await over.wait()
    server.close()
