"""A page of `mailer web` or `mailer mailbox`, served to a test in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mailer.web.serving import serve


@contextmanager
def served(app: Any, *, anywhere: bool = False) -> Iterator[int]:
    """Come to its port as soon as it is open; it has ended after the block."""
    opened = threading.Event()
    where: list[str] = []
    inside: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None] | None]] = []

    def ready(url: str) -> None:
        where.append(url)
        opened.set()

    async def run() -> None:
        inside.append((asyncio.get_running_loop(), asyncio.current_task()))
        with suppress(asyncio.CancelledError):
            await serve(app, ready=ready, anywhere=anywhere)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert opened.wait(10)
        yield int(where[0].rpartition(":")[2].rstrip("/"))
    finally:
        loop, task = inside[0]
        assert task
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
