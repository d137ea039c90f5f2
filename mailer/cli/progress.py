"""One calm line that moves: counts that add up, pace and time left."""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mailer.cli import console
from mailer.hours import Hours
from mailer.model import Delivery, Outcome, Quota, Status
from mailer.privacy import without_addresses

if TYPE_CHECKING:
    from rich.text import Text

PACE_SECONDS = 60.0
WORTH_SAYING = 2.0

# What differs from one time to the next in the same words of a server: a number, a queue's identifier.
CHANGING = re.compile(r"\S*\d\S*")


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A line with a count for work that sends nothing; silent where nobody watches."""
    terminal = console.err()
    if isinstance(terminal, console.Plain) or not terminal.is_terminal:
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
    """Watches a run of `total` messages under these quotas: in a terminal one line, rewritten; elsewhere a few lines."""

    def __init__(self, total: int, rates: Sequence[Quota] = ()) -> None:
        self._total = total
        self._rates = rates
        self._began = time.monotonic()
        self._counts = dict.fromkeys((Status.SENT, Status.FAILED, Status.DEFERRED, Status.UNCERTAIN), 0)
        self._times: deque[float] = deque()
        self._waiting: tuple[str, ...] = ()
        self._said: set[str] = set()
        self._terminal = console.err()
        self._live = None
        if not isinstance(self._terminal, console.Plain) and self._terminal.is_terminal:
            from rich.live import Live  # noqa: PLC0415

            self._live = Live(console=self._terminal, refresh_per_second=4, get_renderable=self._line, transient=True)

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
        self._waiting = ()
        if status in self._counts:
            self._counts[status] += 1
            now = time.monotonic()
            self._times.append(now)
            if self._times[0] < now - PACE_SECONDS:  # also where no line is shown, which would look at them
                self._times.popleft()

    def waiting(self, what: Quota | Hours | None, until: float) -> None:
        if until - time.time() < WORTH_SAYING:
            return
        at = datetime.fromtimestamp(until).astimezone().strftime("%H:%M:%S")
        self._waiting = (f"waiting until {at}",)
        if isinstance(what, Quota):
            self._waiting = (
                f"waiting for the limit of {what} until {at}",
                f"{what}: waiting until {at}",
                *self._waiting,
            )
        reason = f"Keeping to {what}: mailer waits where it must." if what else "Waiting for those to be tried again."
        if isinstance(what, Hours):
            day = datetime.fromtimestamp(until).astimezone().strftime("%Y-%m-%d %H:%M")
            self._waiting = (f"waiting for office hours until {day}", f"waiting until {day}")
            reason = f"Waiting for the office hours of those who are left ({what}), until {day}."
        if not self._live:
            self._say_once(reason, reason)

    def reconnecting(self, why: str, delay: float) -> None:
        why = " ".join(console.harmless(why).split())
        if delay >= WORTH_SAYING:
            again = f"again in {delay:.0f} s"
            self._waiting = (f"{why}; {again}", f"no connection; {again}")
        if not self._live:
            reason = without_addresses(why).rstrip(".")
            self._say_once(CHANGING.sub("", reason), f"{reason[:1].upper()}{reason[1:]}; mailer keeps trying.")

    def silent(self, seconds: float, patience: float) -> None:
        so_long, at_most = in_words(seconds), in_words(patience)
        self._waiting = (f"no answer yet; waiting up to {at_most}", "no answer yet")
        # in a terminal it stands above the line, which goes on: both are written by the same console
        console.note(f"The mail server has not answered for {so_long}; mailer waits up to {at_most}. Ctrl-C pauses.")

    def _say_once(self, what: str, sentence: str) -> None:
        if what not in self._said:
            self._said.add(what)
            console.note(sentence)

    # -- the line

    def _line(self) -> Text:
        from rich.text import Text  # noqa: PLC0415

        return Text(self.told(self._terminal.width - 1), no_wrap=True, overflow="ellipsis")

    def told(self, width: int) -> str:
        """The line in at most `width` characters, as long as the counts alone fit."""
        done = sum(self._counts.values())
        counts = [f"{done}/{self._total}"]
        for status, word in (
            (Status.SENT, "sent"),
            (Status.FAILED, "refused"),
            (Status.DEFERRED, "later"),
            (Status.UNCERTAIN, "uncertain"),
        ):
            if self._counts[status] or status is Status.SENT:
                counts.append(f"{word} {self._counts[status]}")
        rest = list(self._waiting)
        if not rest and (pace := self._pace()):
            left = f"{duration(self._seconds_left(done, pace))} left"
            rest = [f"{pace * 60:.0f}/min  {left}", left]
        lines = ["  ".join([*counts, words]) for words in rest] + ["  ".join(counts)]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _seconds_left(self, done: int, pace: float) -> float:
        """By the pace so far, but never less than the quotas take: the first messages may all go at once."""
        elapsed = time.monotonic() - self._began
        least = max(((math.ceil(self._total / rate.count) - 1) * rate.seconds for rate in self._rates), default=0)
        return max((self._total - done) / pace, least - elapsed)

    def _pace(self) -> float:
        now = time.monotonic()
        while self._times and self._times[0] < now - PACE_SECONDS:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return len(self._times) / max(now - self._times[0], 0.001)


def in_words(seconds: float) -> str:
    """About how long, for a sentence."""
    number, unit = (seconds, "second") if seconds < 120 else (seconds / 60, "minute")
    return f"{number:.0f} {unit}" if round(number) == 1 else f"{number:.0f} {unit}s"


def duration(seconds: float) -> str:
    """About how long, in words short enough for the line."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
