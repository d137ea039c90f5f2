"""The pace in real time: how much of a quota is used, and the most messages in any window, as the server saw them."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Callable, Sequence

from benchmarks.measure import Rounds, interleaved, run
from benchmarks.peers import MAILER, Work, mailer
from benchmarks.scale import Scale
from benchmarks.servers import Noted, counter
from benchmarks.table import Row, Section

from .folder import fresh

TITLE = "Pace"
CONNECTIONS = 8
HEADS = ("rate", "messages", "seconds", "quota used", "most in any window", "limit")
MEASURED = """\
`mailer send --rate` in real time, {connections} connections, against a server of our own that notes when each final dot comes. *Quota used* is the \
window divided by the mean time in which as many messages as the quota came, over all such runs of messages; *most in any window* \
counts every window of that length, wherever it begins, the largest of {repeats}."""


def measure(scale: Scale) -> Section:
    rounds: Rounds[Noted] = Rounds()
    for name, _, seconds, messages in scale.paced:
        times = scale.repeats if seconds <= 1 else 1
        found = interleaved({name: sending(name, messages)}, times)
        rounds.results |= found.results
        rounds.failed |= found.failed
        rounds.skipped |= found.skipped
    rows = [_row(name, count, seconds, rounds) for name, count, seconds, _ in scale.paced]
    return Section(
        title=TITLE,
        measured=MEASURED.format(connections=CONNECTIONS, repeats=scale.repeats),
        heads=HEADS,
        rows=rows,
        failures=[
            *(f"{name}: {why}" for name, why in rounds.failed.items()),
            *(f"{row[0]}: {row[4]} messages in one window, more than the limit" for row in rows if _broken(row)),
        ],
    )


def sending(rate: str, messages: int) -> Callable[[], Noted]:
    def once() -> Noted:
        with fresh() as folder, counter() as server:
            work = Work(folder=folder, port=server.port, messages=messages, connections=CONNECTIONS)
            run([*mailer(work), "--rate", rate], folder=folder)
            return server.noted()

    return once


def most_in(times: Sequence[float], seconds: float) -> int:
    """The most messages in any half-open window of so many seconds."""
    ordered = sorted(times)
    return max(bisect.bisect_left(ordered, begin + seconds) - number for number, begin in enumerate(ordered))


def used(times: Sequence[float], count: int, seconds: float) -> float:
    """The share of a quota that is used while there is work, however the messages are spread within a window."""
    ordered = sorted(times)
    return seconds / statistics.mean(later - one for one, later in zip(ordered, ordered[count:], strict=False))


def _row(name: str, count: int, seconds: float, rounds: Rounds[Noted]) -> Row:
    if name not in rounds.results:
        why = rounds.skipped.get(name)
        return (name, f"skipped: {why}" if why else "failed")
    return (
        f"{MAILER} --rate {name}",
        f"{len(rounds.results[name][0].times):,}",
        f"{rounds.median(name, lambda noted: max(noted.times) - min(noted.times)):.1f}",
        f"{rounds.median(name, lambda noted: used(noted.times, count, seconds)):.1%}",
        f"{rounds.range(name, lambda noted: most_in(noted.times, seconds))[1]:,.0f}",
        f"{count:,}",
    )


def _broken(row: Row) -> bool:
    return len(row) == len(HEADS) and int(row[4].replace(",", "")) > int(row[5].replace(",", ""))
