"""One limit over several workers: how much of it they use, how many come in any one second, and how they share it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import Failed, Rounds, interleaved
from benchmarks.scale import Scale
from benchmarks.servers import counter
from benchmarks.table import Row, Section, number
from benchmarks.workers import sent_by, site, wait_for

from .folder import fresh
from .paced import most_in, used

TITLE = "One limit over several workers"
WORKERS = 4
CONNECTIONS = 4
COUNT = 200
UNFAIR = 0.1
HEADS = ("workers", "rate", "messages", "quota used", "most in any second", "limit", "least and most of a fair share")
MEASURED = """\
{workers} workers with {connections} connections each over one account with {count}/second, on one machine, against a server of our own that notes when \
each final dot comes. All begin at once, and all is measured while all of them send: from the moment at which the last of them had its first answer to \
that at which the first had its last. *Quota used* as under Pace, by the server; *most in any second* of the whole run; *a fair share* is a \
quarter of what was sent, by the attempts in the ledger, and is to be kept within 10 %. Median of {repeats}, but the most of all."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """One run: when messages came, those of them while all workers sent, and what part of a fair share each of those had."""

    times: Sequence[float]
    together: Sequence[float]
    shares: Sequence[float]


def measure(scale: Scale) -> Section:
    name = f"{WORKERS}"
    rounds = interleaved({name: lambda: sending(scale.shared_seconds)}, scale.repeats)
    failures = [f"{one} workers: {why}" for one, why in rounds.failed.items()]
    for shared in rounds.results.get(name, ()):
        if (most := most_in(shared.times, 1.0)) > COUNT:
            failures.append(f"{most} messages in one second, more than the limit")
        failures += [f"a worker had {one:.2f} of a fair share" for one in shared.shares if abs(one - 1) > UNFAIR]
    return Section(
        title=TITLE,
        measured=MEASURED.format(workers=WORKERS, connections=CONNECTIONS, count=COUNT, repeats=scale.repeats),
        heads=HEADS,
        rows=[_row(name, rounds)],
        failures=failures,
    )


def sending(seconds: float) -> Shared:
    messages = int(COUNT * seconds)
    with fresh() as folder, counter() as server, site(folder, server.port, messages) as made:
        made.start_workers(WORKERS, "--connections", str(CONNECTIONS), "--rate", f"{COUNT}/second")
        made.leave()
        finished = "SELECT 1 FROM campaigns WHERE finished_at IS NOT NULL"
        wait_for(lambda: bool(made.database.query(finished, "mailer")), made.alive)
        made.end_workers()
        by_worker = sent_by(made)
        times = server.noted().times
    if len(by_worker) != WORKERS:
        raise Failed(f"{len(by_worker)} of {WORKERS} workers sent anything")
    begun, ended = while_all(by_worker)
    # the server goes by a clock that nobody sets, the ledger by the time of day
    ahead = time.time() - time.monotonic()
    together = [at for at in times if begun <= at + ahead <= ended]
    return Shared(times=times, together=together, shares=fair_shares(by_worker))


def while_all(by_worker: Sequence[Sequence[float]]) -> tuple[float, float]:
    """From when to when all were sending."""
    return max(min(times) for times in by_worker), min(max(times) for times in by_worker)


def fair_shares(by_worker: Sequence[Sequence[float]]) -> list[float]:
    """What part of a fair share each had while all were sending, the least first."""
    begun, ended = while_all(by_worker)
    counts = sorted(sum(begun <= at <= ended for at in times) for times in by_worker)
    if not sum(counts):
        raise Failed("there was no time at which all workers were sending")
    return [count * len(counts) / sum(counts) for count in counts]


def _row(name: str, rounds: Rounds[Shared]) -> Row:
    if name not in rounds.results:
        why = rounds.skipped.get(name)
        return (name, f"skipped: {why}" if why else "failed")
    least, most = (rounds.median(name, lambda one, at=at: one.shares[at]) for at in (0, -1))
    return (
        name,
        f"{COUNT}/second",
        f"{len(rounds.results[name][0].times):,}",
        f"{rounds.median(name, lambda one: used(one.together, COUNT, 1.0)):.1%}",
        f"{rounds.range(name, lambda one: most_in(one.times, 1.0))[1]:,.0f}",
        f"{COUNT:,}",
        f"{number(least)} to {number(most)}",
    )
