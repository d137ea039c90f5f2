"""One calm line that moves: counts that add up, pace and time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from mailer.cli import console
from mailer.model import Delivery, Outcome, Quota, Status

PACE_SECONDS = 60.0
WORTH_SAYING = 2.0


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A line with a count for work that sends nothing; silent where nobody watches."""
    terminal = console.err()
    if not terminal.is_terminal:
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        console=terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            if done == total or done % 50 == 0:
                progress.update(task, completed=done, total=total)

        yield advance


class ProgressLine:
    """Watches a run: a line that is rewritten in a terminal, a few plain lines elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._counts = dict.fromkeys((Status.SENT, Status.FAILED, Status.DEFERRED, Status.UNCERTAIN), 0)
        self._times: deque[float] = deque()
        self._waiting = ""
        self._said: set[str] = set()
        self._terminal = console.err()
        self._live = None
        if self._terminal.is_terminal:
            from rich.live import Live  # noqa: PLC0415

            self._live = Live(
                self._line(), console=self._terminal, refresh_per_second=4, get_renderable=self._line, transient=True
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    # -- what a run tells

    def recorded(self, _delivery: Delivery, status: Status, _outcome: Outcome) -> None:
        self._waiting = ""
        if status in self._counts:
            self._counts[status] += 1
            self._times.append(time.monotonic())

    def waiting(self, what: Quota | None, until: float) -> None:
        if until - time.time() < WORTH_SAYING:
            return
        at = datetime.fromtimestamp(until).astimezone().strftime("%H:%M:%S")
        self._waiting = f"waiting for the limit of {what} until {at}" if what else f"waiting until {at}"
        reason = f"Keeping to {what}: mailer waits where it must." if what else "Waiting for those to be tried again."
        if not self._live and reason not in self._said:
            self._said.add(reason)
            console.note(reason)

    def reconnecting(self, why: str, delay: float) -> None:
        if delay >= WORTH_SAYING:
            self._waiting = f"{why}; again in {delay:.0f} s"

    # -- the line

    def _line(self) -> str:
        done = sum(self._counts.values())
        parts = [f"{done}/{self._total}"]
        for status, word in (
            (Status.SENT, "sent"),
            (Status.FAILED, "refused"),
            (Status.DEFERRED, "later"),
            (Status.UNCERTAIN, "uncertain"),
        ):
            if self._counts[status] or status is Status.SENT:
                parts.append(f"{word} {self._counts[status]}")
        if self._waiting:
            return "  ".join([*parts, self._waiting])
        if pace := self._pace():
            parts += [f"{pace * 60:.0f}/min", f"{duration((self._total - done) / pace)} left"]
        return "  ".join(parts)

    def _pace(self) -> float:
        now = time.monotonic()
        while self._times and self._times[0] < now - PACE_SECONDS:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return len(self._times) / max(now - self._times[0], 0.001)


def duration(seconds: float) -> str:
    """About how long, in words short enough for the line."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
