"""What a message costs as the list grows: speed, CPU and memory of the whole path."""

from __future__ import annotations

from benchmarks.measure import Rounds, interleaved
from benchmarks.peers import PEERS
from benchmarks.scale import Scale
from benchmarks.table import Row, Section, megabytes, number

from .whole import CONNECTIONS, Sent, rate, sending

TITLE = "As the list grows"
HEADS = (
    "messages",
    "messages/s",
    "CPU us a message",
    "CPU us each further message",
    "peak MB",
    "KB each further message",
)
ONCE = 1_000_000
"""A list as long as this is sent once only."""

MEASURED = """\
The whole path of mailer as above ({connections} connections, start of the program included), median of {repeats}; a million once. *Each further* \
compares with the row above, so that the start of the program is not in it."""


def measure(scale: Scale) -> Section:
    contenders = {f"{size:,}": sending(PEERS[0], size) for size in scale.sizes if size < ONCE}
    rounds = interleaved(contenders, scale.repeats)
    longest = interleaved({f"{size:,}": sending(PEERS[0], size) for size in scale.sizes if size >= ONCE}, 1)
    for found, more in (
        (rounds.results, longest.results),
        (rounds.failed, longest.failed),
        (rounds.skipped, longest.skipped),
    ):
        found.update(more)  # type: ignore[arg-type]
    names = [f"{size:,}" for size in scale.sizes]
    return Section(
        title=TITLE,
        measured=MEASURED.format(connections=CONNECTIONS, repeats=scale.repeats),
        heads=HEADS,
        rows=[_row(rounds, name, before) for name, before in zip(names, ["", *names], strict=False)],
        failures=[f"{name} messages: {why}" for name, why in rounds.failed.items()],
    )


def _row(rounds: Rounds[Sent], name: str, before: str) -> Row:
    if name not in rounds.results:
        why = rounds.skipped.get(name)
        return (name, f"skipped: {why}" if why else "failed")
    further = ("", "")
    if before in rounds.results:
        more = rounds.results[name][0].messages - rounds.results[before][0].messages
        cpu = rounds.median(name, _cpu) - rounds.median(before, _cpu)
        peak = rounds.median(name, _peak) - rounds.median(before, _peak)
        further = (number(cpu / more * 1e6), f"{peak / more / 1e3:.2f}")
    return (
        name,
        number(rounds.median(name, rate)),
        number(rounds.median(name, lambda sent: sent.cpu)),
        further[0],
        megabytes(rounds.median(name, _peak)),
        further[1],
    )


def _cpu(sent: Sent) -> float:
    return sent.spent.cpu


def _peak(sent: Sent) -> float:
    return sent.spent.peak
