"""Many workers on one computer, against one process: what they send, what they and the database take."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.measure import Rounds, clean, interleaved
from benchmarks.peers import MAILER
from benchmarks.scale import Scale
from benchmarks.servers import smtp_sink
from benchmarks.table import Row, Section, megabytes, number, span
from benchmarks.workers import Ended, Site, site, timed, wait_for

from .folder import fresh

TITLE = "Workers"
CONNECTIONS = 8
ALONE = f"{MAILER}, ledger in a file"
HEADS = (
    "who sends", "messages", "messages/s", "slowest to fastest", "of one process", "CPU us a message",
    "of the database", "KB it keeps", "KB of its log", "peak MB of each",
)  # fmt: skip
MEASURED = """\
{messages:,} messages of 4.4 KB to Postfix's `smtp-sink` over {connections} connections of each process, all on this one machine: server, \
database and senders share its cores, so more workers add what they can overlap, and no processor. The ledger on PostgreSQL is on the \
disk, with every commit durable. Time runs from the first message that arrives to the last, so neither the start of programs nor the reading of \
the list is in it. *Of one process* compares with the first line; CPU is user and system time, of all senders together \
with their start (that of the list's check, too, where they check it), and of PostgreSQL with all its processes. *Keeps* and *log* are what the database has \
on the disk for a message, and what it wrote into its log (WAL) for it, the start of the campaign included. Median of {repeats}, in turns."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One run: `senders` are the processes that sent."""

    messages: int
    seconds: float
    senders: Sequence[Ended]
    database: float
    kept: float
    logged: float

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu(self) -> float:
        """Microseconds a message."""
        return sum(one.cpu for one in self.senders) / self.messages * 1e6

    @property
    def peak(self) -> float:
        return statistics.mean(one.peak for one in self.senders)

    @property
    def database_cpu(self) -> float:
        """Microseconds a message."""
        return self.database / self.messages * 1e6


def measure(scale: Scale) -> Section:
    messages = scale.messages
    contenders: dict[str, Callable[[], Sent]] = {
        ALONE: partial(sending, messages, workers=0, server=False),
        f"{MAILER}, ledger on PostgreSQL": partial(sending, messages, workers=0),
        **{f"{n} worker{'s' * (n > 1)}": partial(sending, messages, workers=n) for n in (1, 2, 3)},
    }
    rounds = interleaved(contenders, scale.repeats)
    return Section(
        title=TITLE,
        measured=MEASURED.format(messages=messages, connections=CONNECTIONS, repeats=scale.repeats),
        heads=HEADS,
        rows=[_row(name, rounds) for name in contenders],
        failures=[f"{name}: {why}" for name, why in rounds.failed.items()],
    )


def sending(messages: int, *, workers: int, server: bool = True) -> Sent:
    """One run, by workers, or by `mailer send` itself without any."""
    with fresh() as folder, smtp_sink(folder) as sink:
        place = folder / "campaign"
        place.mkdir()
        with site(place, sink.port, messages) as made:
            connections = ("--connections", str(CONNECTIONS))
            if workers:
                made.start_workers(workers, *connections)
                made.leave()
            else:
                made.workers.append(_sender(made, *connections, server=server))
            seconds = timed(sink.count, messages, made.alive if workers else lambda: True)
            if workers:
                _until_finished(made)
            ends = made.end_workers() if workers else made.ended()
            sink.expect(messages)
            kept, logged = made.database_bytes()
            database = made.database_cpu()
            if not server:
                kept = logged = database = 0.0
            return Sent(messages=messages, seconds=seconds, senders=ends, database=database, kept=kept, logged=logged)


def _sender(made: Site, *options: str, server: bool) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*made.sending(), *options],
        cwd=made.folder,
        env=clean() | (made.settings if server else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _until_finished(made: Site) -> None:
    def finished() -> bool:
        return bool(made.database.query("SELECT 1 FROM campaigns WHERE finished_at IS NOT NULL", "mailer"))

    wait_for(finished, made.alive)


def _row(name: str, rounds: Rounds[Sent]) -> Row:
    if name not in rounds.results:
        why = rounds.skipped.get(name)
        return (name, f"skipped: {why}" if why else "failed")
    database = rounds.median(name, lambda sent: sent.database_cpu)
    return (
        name,
        f"{rounds.results[name][0].messages:,}",
        number(rounds.median(name, rate)),
        span(*rounds.range(name, rate)),
        number(rounds.ratio(name, ALONE, rate)) if ALONE in rounds.results else "",
        number(rounds.median(name, lambda sent: sent.cpu)),
        *(
            number(rounds.median(name, each)) if database else ""
            for each in (
                lambda sent: sent.database_cpu,
                lambda sent: sent.kept / sent.messages / 1e3,
                lambda sent: sent.logged / sent.messages / 1e3,
            )
        ),
        megabytes(rounds.median(name, lambda sent: sent.peak)),
    )


def rate(sent: Sent) -> float:
    return sent.rate
