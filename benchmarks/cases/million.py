"""A very long list: checking it, enqueuing it, and how soon the last hundred of it are on their way."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from benchmarks import contacts, letter
from benchmarks.contacts import Made
from benchmarks.measure import Failed, Rounds, Spent, interleaved, run
from benchmarks.peers import CAMPAIGN_LIST, mailer_program
from benchmarks.scale import Scale
from benchmarks.servers import Counter, counter
from benchmarks.table import Row, Section, megabytes, number

from .folder import fresh

TITLE = "A very long list"
CHECK = "mailer check"
LEFT = 100
"""How many are still to be mailed when the rest has been."""

HEADS = ("what", "seconds", "CPU seconds", "peak MB")
MEASURED = """\
{rows:,} rows as CSV, {megabytes} MB, with {problems} problems and {duplicates} duplicates, all of which must be found. *Enqueue* is \
`mailer send --skip-problems --limit 1`: until the server has the first message, everybody is in the ledger and every message has been \
checked once. *The last {left}* continues a campaign of which all others are marked as sent in the ledger by the benchmark itself: \
the same command, until the server has the next message. Checking: median of {repeats}; the rest once."""


def measure(scale: Scale) -> Section:
    rows: list[Row] = []
    failures: list[str] = []
    with fresh() as folder:
        made = contacts.make(folder / CAMPAIGN_LIST, scale.rows, faults=True)
        size = made.path.stat().st_size / 1e6
        rounds = interleaved({CHECK: lambda: check(made, folder)}, scale.repeats)
        failures += rounds.failed.values()
        if CHECK in rounds.results:
            rows.append(_checked(rounds))
        try:
            rows += sending(made, folder)
        except Failed as reason:
            failures.append(str(reason))
    return Section(
        title=TITLE,
        measured=MEASURED.format(
            rows=made.rows,
            megabytes=f"{size:.0f}",
            problems=made.problems,
            duplicates=made.duplicates,
            left=LEFT,
            repeats=scale.repeats,
        ),
        heads=HEADS,
        rows=rows,
        failures=failures,
    )


def check(made: Made, folder: Path) -> Spent:
    """Raises Failed if it does not find exactly what is wrong with the list."""
    spent = run([*mailer_program(), "check", CAMPAIGN_LIST, "--json"], folder=folder, allowed=(0, 2))
    said = json.loads(spent.said[spent.said.index("{") :])
    found = {
        "rows": said["rows"],
        "people": said["ready"],
        "problems": len({problem["row"] for problem in said["problems"]}),
        "duplicates": said["duplicates"],
    }
    expected = {name: getattr(made, name) for name in found}
    if found != expected:
        raise Failed(f"mailer check found {found} where there are {expected}")
    return spent


def sending(made: Made, folder: Path) -> Sequence[Row]:
    """Enqueue everybody, then continue when nearly all is done."""
    with counter() as server:
        letter.for_mailer(folder, server.port)
        command = [*mailer_program(), "send", letter.NAME, str(CAMPAIGN_LIST), "--yes", "--skip-problems"]
        enqueued = run([*command, "--limit", "1"], folder=folder, allowed=(3,))
        rows = [_first("enqueue, until the first message", enqueued, server, 1)]
    if (queued := _count(folder, "key IS NOT NULL")) != made.people:
        raise Failed(f"{queued:,} are in the ledger instead of {made.people:,}")
    nearly_done(folder)
    with counter() as server:
        letter.settings(folder, server.port)
        continued = run(command, folder=folder)
        rows.append(_first(f"send the last {LEFT}, until the first message", continued, server, LEFT))
    return rows


def nearly_done(folder: Path) -> None:
    """Mark all but the last as sent, as if an hour ago. Raises Failed if the ledger is not as it was."""
    with contextlib.closing(sqlite3.connect(folder / "mailer.db")) as ledger, ledger:
        try:
            ledger.execute(
                "UPDATE deliveries SET status = 'sent', attempts = 1, first_attempt_at = updated_at - 3600"
                " WHERE status = 'queued' AND id <= (SELECT id FROM deliveries WHERE status = 'queued'"
                " ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (LEFT,),
            )
        except sqlite3.Error as error:
            raise Failed(f"this ledger cannot be prepared by the benchmark: {error}") from error


def _count(folder: Path, where: str) -> int:
    with contextlib.closing(sqlite3.connect(folder / "mailer.db")) as ledger:
        return int(ledger.execute(f"SELECT count(*) FROM deliveries WHERE {where}").fetchone()[0])


def _first(what: str, spent: Spent, server: Counter, expected: int) -> Row:
    times = server.noted().times
    if len(times) != expected:
        raise Failed(f"{what}: {len(times):,} messages arrived instead of {expected:,}")
    return (what, number(min(times) - spent.began), number(spent.cpu), megabytes(spent.peak))


def _checked(rounds: Rounds[Spent]) -> Row:
    seconds, cpu, peak = (
        rounds.median(CHECK, value)
        for value in (lambda spent: spent.seconds, lambda spent: spent.cpu, lambda spent: spent.peak)
    )
    return (CHECK, number(seconds), number(cpu), megabytes(peak))
