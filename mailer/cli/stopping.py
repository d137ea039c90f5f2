"""Ctrl-C while messages are sent: the first pauses, the second ends at once; a closed window pauses, too."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from mailer.cli import console
from mailer.errors import Paused

if TYPE_CHECKING:
    from mailer.campaign.run import Run

# SIGHUP is what a closed window sends; Windows has none.
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def interrupted() -> Paused:
    return Paused("Paused at your request.")


class stopping:  # noqa: N801 - reads as what it does: with stopping() as stops
    """Ctrl-C (or SIGTERM, SIGHUP) stops a run gently; a second one ends the program at once, which is safe too.

    It stands around the event loop, not within: a loop that is being set up or closed cannot be interrupted tidily.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._presses = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._terminals = console.terminals()
        for number in STOPS:
            # under nohup a hangup is ignored, and is to stay so
            if signal.getsignal(number) is not signal.SIG_IGN:
                # signal.signal, not add_signal_handler: Windows has only this one
                self._before[number] = signal.signal(number, self._pressed)
        return self

    def attach(self, run: Run) -> None:
        """What to stop, from now on; call it within the loop."""
        self._run, self._loop = run, asyncio.get_running_loop()
        if self._presses:
            self._stop()

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _pressed(self, number: int, _frame: object) -> None:
        self._presses += 1
        if number == getattr(signal, "SIGHUP", None):
            console.leave(self._terminals)
        if self._presses > 1:
            console.show_cursor(self._terminals)
            os._exit(Paused.exit_code)
        if self._loop:
            with suppress(RuntimeError):  # the loop was closed: there is nothing left to stop
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._run:
            self._run.stop(interrupted())
        console.note("Pausing: waiting for the answers to what is on its way. Ctrl-C again ends at once, safely.")
