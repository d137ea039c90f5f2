"""A thread that writes groups to a ledger that is far away, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence

from mailer.ledger.database import Pen
from mailer.ledger.entries import Item

Errand = tuple[Sequence[Item], "asyncio.Future[list[bool]]"]


class Scribe:
    """Writes what it is given, in order, while the event loop goes on.

    A thread of our own rather than one of a pool: at the end of the program nobody waits for it, since a server that has gone
    silent would hold up a second Ctrl-C.
    """

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._loop = asyncio.get_running_loop()
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._busy = False
        threading.Thread(target=self._work, name="ledger", daemon=True).start()

    def write(self, group: Sequence[Item]) -> asyncio.Future[list[bool]]:
        """Whether each intent of the group was granted, once it is durable."""
        done: asyncio.Future[list[bool]] = self._loop.create_future()
        self._busy = True
        self._errands.put((group, done))
        return done

    def dismiss(self) -> None:
        """No more errands. One that is being written is interrupted, and the connection closed behind it."""
        self._errands.put(None)
        if self._busy:
            self._pen.interrupt()

    def _work(self) -> None:
        while errand := self._errands.get():
            group, done = errand
            results: list[bool] | BaseException
            try:
                results = self._pen.write(group)
            except BaseException as error:  # noqa: BLE001 - whoever waits must learn of it, whatever it is
                results = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell, done, results)
        self._pen.close()

    def _tell(self, done: asyncio.Future[list[bool]], results: list[bool] | BaseException) -> None:
        self._busy = False
        if isinstance(results, BaseException):
            done.set_exception(results)
        else:
            done.set_result(results)
