"""The table that is printed: a row a fault, numbers only, and below it in words whatever did not hold."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from .verdict import Verdict, median

HEADS = (
    "fault", "runs", "strikes", "duplicated", "missed", "false sent", "uncertain", "most per crash", "of those not taken",
    "recovery (s)", "hangs", "tracebacks",
)  # fmt: skip

MEANING = """Each run is one campaign that is struck again and again, and continued with the same command, until nothing is left.
The judge is a server that writes down each message *before* it says that it took it.

- **strikes**: kills, refusals, silences and so on that really happened.
- **duplicated, missed, false sent**: messages taken twice; people who got none and were not named; people called sent who got none.
- **uncertain**: the answer to the final dot was lost, so nobody can know. They are held and shown for `mailer resolve`, never sent
  again silently. *Most per crash* is at most the number of connections (1, 4 or 6). *Of those not taken* had not arrived.
  Makers make messages for the one process that sends: whatever is done to them alone leaves nobody in doubt.
- **recovery**: seconds from the strike to the next message taken, half of the runs were faster. Starting the program is part of it."""

FAST_HEADS = (
    "way of sending", "runs", "strikes", "of them kill -9", "duplicated", "missed", "false sent", "uncertain",
    "most per crash", "hangs", "tracebacks",
)  # fmt: skip

FAST: tuple[tuple[str, Callable[[Verdict], bool]], ...] = (
    ("one round trip a message", lambda one: one.pipelining == "auto"),
    ("two round trips a message", lambda one: one.pipelining == "message"),
    ("command by command", lambda one: one.pipelining == "off"),
    ("several processes", lambda one: one.processes != 1),
    ("several processes, one round trip a message", lambda one: one.processes != 1 and one.pipelining == "auto"),
)
"""The ways of sending that save time, and the ways without, for comparison: which trials were made with them."""

Row = tuple[str, ...]


def fast(verdicts: Iterable[Verdict]) -> list[Row]:
    """In how many trials each way of sending was struck, and what came of it."""
    made = [verdict for verdict in verdicts if not verdict.skipped]
    return [_fast(name, [verdict for verdict in made if fits(verdict)]) for name, fits in FAST]


def _fast(name: str, made: Sequence[Verdict]) -> Row:
    numbers = (
        len(made),
        sum(verdict.strikes for verdict in made),
        sum(verdict.kills for verdict in made),
        sum(verdict.duplicated for verdict in made),
        sum(verdict.missed for verdict in made),
        sum(verdict.false_sent for verdict in made),
        sum(verdict.uncertain for verdict in made),
        max((verdict.worst for verdict in made), default=0),
        sum(verdict.hangs for verdict in made),
        sum(verdict.tracebacks for verdict in made),
    )
    return (name, *(f"{number:,}" for number in numbers))


def row(name: str, verdicts: Sequence[Verdict]) -> Row:
    made = [verdict for verdict in verdicts if not verdict.skipped]
    if not made:
        return (name, f"skipped: {verdicts[0].skipped}", *[""] * (len(HEADS) - 2))
    return _cells(name, made)


def total(verdicts: Iterable[Verdict]) -> Row:
    return _cells("all", [verdict for verdict in verdicts if not verdict.skipped])


def _cells(name: str, made: Sequence[Verdict]) -> Row:
    recovery = median([seconds for verdict in made for seconds in verdict.recoveries])
    numbers = (
        len(made),
        sum(verdict.strikes for verdict in made),
        sum(verdict.duplicated for verdict in made),
        sum(verdict.missed for verdict in made),
        sum(verdict.false_sent for verdict in made),
        sum(verdict.uncertain for verdict in made),
        max((verdict.worst for verdict in made), default=0),
        sum(verdict.not_taken for verdict in made),
    )
    return (
        name,
        *(f"{number:,}" for number in numbers),
        "" if recovery is None else f"{recovery:.2f}",
        str(sum(verdict.hangs for verdict in made)),
        str(sum(verdict.tracebacks for verdict in made)),
    )


def markdown(heads: Row, rows: Sequence[Row]) -> str:
    """A table for people and for the README: the same text."""
    widths = [
        max(len(line[column]) for line in (heads, *rows) if not line[1].startswith("skipped") or column == 0)
        for column in range(len(heads))
    ]
    lines = [
        _line(heads, widths),
        "|" + "|".join("-" * (width + 1) + "-:"[column > 0] for column, width in enumerate(widths)) + "|",
    ]
    return "\n".join([*lines, *(_line(line, widths) for line in rows)])


def _line(cells: Row, widths: Sequence[int]) -> str:
    if len(cells) > 1 and cells[1].startswith("skipped"):
        return f"| {cells[0]:<{widths[0]}} | {cells[1]} |"
    first, *others = cells
    padded = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
    return "| " + " | ".join([f"{first:<{widths[0]}}", *padded]) + " |"


def complaints(found: Mapping[str, Sequence[Verdict]]) -> list[str]:
    """Every promise that did not hold, with the fault that broke it."""
    return [f"{name}: {what}" for name, verdicts in found.items() for verdict in verdicts for what in verdict.broken]


def page(arguments: Sequence[str], seed: int, tables: Sequence[str], verdict: str) -> str:
    """All tables as a file of their own, with the command that makes it again."""
    command = shlex.join(("python", "-m", "tests.faults", *arguments, "--seed", str(seed)))
    return (
        "\n\n".join(("# What the fault laboratory found", MEANING, f"Written by `{command}`. {verdict}", *tables))
        + "\n"
    )
