"""A thread that runs errands to a ledger that is far away, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Errand = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Scribe:
    """Does what it is given, in order, while the event loop goes on.

    A thread of our own rather than one of a pool: at the end of the program nobody waits for it, since a server that has gone
    silent would hold up a second Ctrl-C. `interrupt` has an errand end that nobody waits for any more; `close` comes last.
    """

    def __init__(self, *, interrupt: Callable[[], None], close: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._close = close
        self._loop = asyncio.get_running_loop()
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._busy = 0
        threading.Thread(target=self._work, name="ledger", daemon=True).start()

    def do(self, errand: Callable[[], T]) -> asyncio.Future[T]:
        """What it comes to."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._busy += 1
        self._errands.put((errand, done))
        return done

    def dismiss(self) -> None:
        """No more errands. One that is under way is interrupted, and the connection closed behind it."""
        self._errands.put(None)
        if self._busy:
            self._interrupt()

    def _work(self) -> None:
        while given := self._errands.get():
            errand, done = given
            result: Any
            try:
                result = errand()
            except BaseException as error:  # noqa: BLE001 - whoever waits must learn of it, whatever it is
                result = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell, done, result)
        self._close()

    def _tell(self, done: asyncio.Future[Any], result: Any) -> None:
        self._busy -= 1
        if done.done():  # nobody waits any more
            return
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)
