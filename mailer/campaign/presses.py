"""A long list is rendered in several processes: each takes the next slice of it, and gives back what came of that.

What comes out is the same, in the same order, as from one process. Whatever goes wrong with the processes themselves, from a
system that allows none to one that is ended, the program then renders by itself, and finds or says what there is to say.
"""

from __future__ import annotations

import pickle
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailer import contacts
from mailer.campaign import apart
from mailer.campaign.rendering import Job, Rendered, Sheet

WORTH_IT = 20_000
"""Contacts. A process needs about half a second to start, in which this one renders as many."""

QUICKLY = 3
"""Times as many where no message need be made."""

LARGE = 4_500_000
"""Octets of a list's file that is probably worth them with any letter: processes get ready while it is read, before it is known which is sent."""

SLICE = 2000
MOST = 8
LOOK = 0.2
"""Seconds between looks for Ctrl-C, which on Windows does not end a wait."""


def worth(count: int, *, quick: bool) -> int:
    """How many processes so many contacts are worth, whose messages are checked without being made or not; 1: none but this one."""
    return min(apart.cores(), MOST) if count >= WORTH_IT * (QUICKLY if quick else 1) else 1


@contextmanager
def standing_by(list_path: Path) -> Iterator[Crew]:
    """A crew that gets ready for a long list while that is being read. It is dismissed if nobody has work for it after all."""
    crew = Crew()
    try:
        with suppress(OSError):
            if list_path.stat().st_size >= LARGE:
                crew.muster(worth(WORTH_IT * QUICKLY, quick=True))
        yield crew
    finally:
        crew.dismiss()


class Crew:
    """Processes that render."""

    def __init__(self) -> None:
        self._hands: list[_Hand] = []

    def muster(self, number: int) -> None:
        """Begin so many processes, with those that there are. Raises OSError."""
        while number > 1 and len(self._hands) < number:
            self._hands.append(_Hand())

    def render(
        self, job: Job, people: contacts.ContactList, processes: int, on_progress: Callable[[int, int], None]
    ) -> Sheet | None:
        """Everything that came of the list; None if the processes failed, and it is to be rendered here."""
        try:
            self.muster(processes)
            return _gathered(self._hands[:processes], job, people, on_progress)
        except (_FailedError, OSError):
            return None
        finally:
            self.dismiss()

    def dismiss(self) -> None:
        """End them at once: they hold nothing that could be lost."""
        hands, self._hands = self._hands, []
        for hand in hands:
            hand.end()


def _gathered(
    crew: list[_Hand], job: Job, people: contacts.ContactList, on_progress: Callable[[int, int], None]
) -> Sheet:
    slices, finished = _Numbered(people.slices(SLICE)), queue.SimpleQueue[tuple[int, Sheet] | Exception]()
    for hand in crew:
        threading.Thread(target=hand.work, args=(job, slices, finished), daemon=True).start()
    whole = Sheet(rendered=Rendered(), digests={})
    early: dict[int, Sheet] = {}
    number, total = 0, len(people)
    while len(whole.rendered.fingerprints) < total:
        try:
            result = finished.get(timeout=LOOK)
        except queue.Empty:
            continue
        if isinstance(result, Exception):
            raise _FailedError from result
        early[result[0]] = result[1]
        while number in early:
            sheet = early.pop(number)
            whole.rendered.add(sheet.rendered)
            whole.digests.update(sheet.digests)
            number += 1
            on_progress(len(whole.rendered.fingerprints), total)
    return whole


class _FailedError(Exception):
    """A process ended, or did not understand or could not be understood."""


class _Numbered:
    """Slices for whoever asks next."""

    def __init__(self, slices: Iterator[contacts.Slice]) -> None:
        self._slices = enumerate(slices)
        self._lock = threading.Lock()

    def next(self) -> tuple[int, contacts.Slice] | None:
        with self._lock:
            return next(self._slices, None)


class _Hand:
    """One process, and what it is told and says."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            apart.command("mailer.campaign.pressman", "main"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def work(self, job: Job, slices: _Numbered, finished: queue.SimpleQueue[tuple[int, Sheet] | Exception]) -> None:
        """Have slices rendered until there are no more."""
        try:
            self._tell(job)
            while part := slices.next():
                self._tell(part[1])
                assert self._process.stdout
                finished.put((part[0], pickle.load(self._process.stdout)))  # noqa: S301 - our own process
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            finished.put(error)

    def _tell(self, what: Job | contacts.Slice) -> None:
        assert self._process.stdin
        pickle.dump(what, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(OSError, ValueError):
                    stream.close()
        self._process.wait()
