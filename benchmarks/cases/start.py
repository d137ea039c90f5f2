"""How long the program takes to start, against the interpreter alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import contacts, letter
from benchmarks.measure import Rounds, Spent, interleaved, run
from benchmarks.peers import CAMPAIGN_LIST, mailer_program
from benchmarks.scale import Scale
from benchmarks.servers import counter
from benchmarks.table import Row, Section, megabytes, number

from .folder import fresh

TITLE = "Starting"
BARE = "python -c pass"
HEADS = ("command", "ms", "times the interpreter", "CPU ms", "peak MB")
MEASURED = """\
Median of {starts}, in turns, in a folder with a campaign that was sent and somebody suppressed. The first line is the same interpreter with \
nothing to do."""


def measure(scale: Scale) -> Section:
    commands = {
        BARE: [sys.executable, "-c", "pass"],
        "mailer --help": [*mailer_program(), "--help"],
        "mailer status": [*mailer_program(), "status"],
        "mailer suppress list": [*mailer_program(), "suppress", "list"],
    }
    with fresh() as folder:
        prepare(folder)
        rounds = interleaved({name: starting(command, folder) for name, command in commands.items()}, scale.starts)
    return Section(
        title=TITLE,
        measured=MEASURED.format(starts=scale.starts),
        heads=HEADS,
        rows=[_row(name, rounds) for name in commands],
        failures=[f"{name}: {why}" for name, why in rounds.failed.items()],
    )


def prepare(folder: Path) -> None:
    """Send a small campaign, and suppress somebody."""
    with counter() as server:
        letter.for_mailer(folder, server.port)
        contacts.make(folder / CAMPAIGN_LIST, 20)
        run([*mailer_program(), "send", letter.NAME, CAMPAIGN_LIST, "--yes"], folder=folder)
    run([*mailer_program(), "suppress", "add", "somebody@example.org"], folder=folder)


def starting(command: list[str], folder: Path) -> Callable[[], Spent]:
    def once() -> Spent:
        return run(command, folder=folder)

    return once


def _row(name: str, rounds: Rounds[Spent]) -> Row:
    if name not in rounds.results:
        return (name, "failed")
    return (
        name,
        number(rounds.median(name, _seconds) * 1000),
        number(rounds.ratio(name, BARE, _seconds)) if BARE in rounds.results else "",
        number(rounds.median(name, lambda spent: spent.cpu) * 1000),
        megabytes(rounds.median(name, lambda spent: spent.peak), small=rounds.results[name][0].small),
    )


def _seconds(spent: Spent) -> float:
    return spent.seconds
