"""Ctrl-C while messages are sent: the first pauses, the second ends at once; a closed window pauses, too."""

from __future__ import annotations

import _thread
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from mailer.cli import console
from mailer.errors import Paused, quoted
from mailer.signals import STOPS

if TYPE_CHECKING:
    from mailer.errors import MailerError

    class Stoppable(Protocol):
        """A run, or a worker."""

        def stop(self, reason: MailerError) -> None: ...


MOMENT = 0.5
"""Seconds for the last words: a pipe that nobody reads must not keep the program from ending."""


def interrupted() -> Paused:
    return Paused("Paused at your request.")


class stopping:  # noqa: N801 - reads as what it does: with stopping() as stops
    """Ctrl-C (or another of the signals) stops a run gently; a second one ends the program at once, which is safe too.

    It stands around the event loop, not within: a loop that is being set up or closed cannot be interrupted tidily.
    Once it is left, the program is about to end and to say how: that is not interrupted either, unless somebody insists.
    `campaign` is named in the last words; `as_json`: they are also the object that a program waits for.
    """

    def __init__(
        self,
        campaign: str = "CAMPAIGN",
        *,
        as_json: bool = False,
        what: str = "Pausing",
        in_line: Callable[[str], str] | None = None,
    ) -> None:
        """`in_line` makes a line of a sentence where standard error is for programs."""
        self._run: Stoppable | None = None
        self._what = what
        self._loop: asyncio.AbstractEventLoop | None = None
        self._presses = 0
        self._is_over = False
        self._terminals = console.terminals()
        self._in_line = in_line
        self._last_words = last_words(campaign, as_json=as_json, in_terminal=2 in self._terminals, in_line=in_line)

    def __enter__(self) -> Self:
        for number in STOPS:
            # under nohup a hangup is ignored, and is to stay so
            if signal.getsignal(number) is not signal.SIG_IGN:
                # signal.signal, not add_signal_handler: Windows has only this one
                signal.signal(number, self._pressed)
        return self

    def attach(self, run: Stoppable) -> None:
        """What to stop, from now on; call it within the loop."""
        self._run, self._loop = run, asyncio.get_running_loop()
        if self._presses:
            self._stop()

    def __exit__(self, *_: object) -> None:
        # signals stay here until the program ends: given back, one in the last moments would end it with the wrong exit code
        self._is_over, self._presses = True, 0

    def _pressed(self, number: int, _frame: object) -> None:
        self._presses += 1
        if number == getattr(signal, "SIGHUP", None):
            with suppress(OSError):
                console.leave(self._terminals)
        if self._is_over:
            if self._presses == 2:  # nobody reads what it says
                os._exit(Paused.exit_code)
        elif self._presses == 2:
            self._end()
        elif self._loop:
            with suppress(RuntimeError):  # the loop was closed: there is nothing left to stop
                self._loop.call_soon_threadsafe(self._stop)

    def _end(self) -> None:
        """End the program, with a word if it can be said in a moment."""
        try:
            say_at_once(self._last_words)
        finally:
            os._exit(Paused.exit_code)

    def _stop(self) -> None:
        if self._run:
            self._run.stop(interrupted())
        sentence = f"{self._what}: waiting for the answers to what is on its way. Ctrl-C again ends at once, safely."
        if self._in_line:
            console.line(self._in_line(sentence))
        else:
            console.note(sentence)


def last_words(
    campaign: str, *, as_json: bool, in_terminal: bool, in_line: Callable[[str], str] | None = None
) -> list[tuple[int, bytes]]:
    """What to write where when the program is ended at once, made beforehand: in a signal there is no time for it."""
    message = "Ended at once. What was on its way is uncertain: nobody knows whether it arrived."
    hint = f"the same command continues with the others; to look after it: mailer resolve {quoted(campaign)}"
    line = console.harmless(f"{message} {hint[:1].upper()}{hint[1:]}")
    if in_terminal and not in_line:
        line = console.fitting(console.err(), line)
    text = f"{in_line(line) if in_line else line}\n".encode(sys.stderr.encoding or "utf-8", "replace")
    words = [(2, console.SHOW_CURSOR + text if in_terminal else text)]
    if as_json:
        words.append((1, (json.dumps({"error": message, "hint": hint, "problems": []}) + "\n").encode("ascii")))
    return words


def say_at_once(words: list[tuple[int, bytes]]) -> None:
    """Write to descriptors from within a signal: past the streams, whose locks and buffers the program may be in.

    Each in a thread, since a full pipe blocks; and by _thread, since `threading` has locks of its own.
    """
    said = []
    for number, text in words:
        with suppress(RuntimeError):  # no more threads
            done = _thread.allocate_lock()
            done.acquire()
            _thread.start_new_thread(_write, (number, text, done))
            said.append(done)
    for done in said:
        done.acquire(timeout=MOMENT)


def _write(number: int, text: bytes, done: _thread.LockType) -> None:
    try:
        with suppress(OSError):
            while text:
                text = text[os.write(number, text) :]
    finally:
        done.release()
