"""The page of arithmetic: what it takes to send a million, ten and a hundred million messages a day, from what was measured.

    python -m benchmarks.capacity

prints it from benchmarks/RESULTS.md; `make bench` writes it beside that page.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from .cases import distance, shared, whole, workers
from .measure import ROOT
from .peers import MAILER
from .table import MACHINE, cells, markdown, number, sections

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
NAME = "CAPACITY.md"
DAYS = (1_000_000, 10_000_000, 100_000_000)
HOURS = 10
"""A day's messages leave between eight in the morning and six in the evening of those who get them."""

BUSY = 0.5
"""The part of what was measured that is planned with: a machine that is full has no time for a bad day."""


class Missing(Exception):
    """The results lack what the page rests on."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the page rests on: seconds and bytes a message, and messages a second."""

    machine: str
    rate: float
    worker: float
    database: float
    kept: float
    logged: float
    memory: float
    signing: float | None
    """None where it was not measured: the sum is then without."""
    far: float
    used: str


def measured(results: str) -> Measured:
    """What the results say. Raises Missing."""
    found = sections(results)
    try:
        one = cells(found[workers.TITLE])["1 worker"]
        path = cells(found[whole.TITLE])
        far = cells(found[distance.TITLE])[MAILER]
        signed, unsigned = path.get(f"{MAILER}, signed (DKIM)"), path[MAILER]
        cpu = "CPU us a message"
        return Measured(
            machine="; ".join(line[2:] for line in found[MACHINE].splitlines() if line.startswith("- ")),
            rate=_figure(one["messages/s"]),
            worker=_figure(one[cpu]) / 1e6,
            database=_figure(one["of the database"]) / 1e6,
            kept=_figure(one["KB it keeps"]) * 1e3,
            logged=_figure(one["KB of its log"]) * 1e3,
            memory=_figure(one["peak MB of each"]) * 1e6,
            signing=max(0.0, _figure(signed[cpu]) - _figure(unsigned[cpu])) / 1e6 if signed else None,
            far=_figure(far["messages/s"]) / distance.CONNECTIONS,
            used=next(iter(cells(found[shared.TITLE]).values()))["quota used"],
        )
    except (KeyError, ValueError, StopIteration) as error:
        raise Missing(f"RESULTS.md lacks {error}; measure first: make bench") from None


def _figure(text: str) -> float:
    return float(text.replace(",", ""))


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What so many messages a day take."""

    messages: int
    rate: float
    workers: int
    cores: float
    lines: int
    database: float
    disk: float
    log: float


def needed(given: Measured, messages: int) -> Needed:
    """Rates are those of the busy hours."""
    rate = messages / (HOURS * 3600)
    a_message = given.worker + (given.signing or 0.0)
    # what one core makes: the measured process had its core for itself only in part
    by_core = BUSY / a_message
    return Needed(
        messages=messages,
        rate=rate,
        # one may always be away
        workers=math.ceil(rate / by_core) + 1,
        cores=rate * a_message / BUSY,
        lines=math.ceil(rate / given.far / BUSY),
        database=rate * given.database / BUSY,
        disk=messages * given.kept,
        log=messages * given.logged,
    )


def page(given: Measured) -> str:
    heads = (
        "messages a day", "messages/s", "workers", "cores for them", "connections, 50 ms away", "cores of the database",
        "GB a day in the ledger", "GB a day of its log",
    )  # fmt: skip
    rows = [
        (
            f"{one.messages:,}", number(one.rate), f"{one.workers:,}", number(one.cores), f"{one.lines:,}",
            number(one.database), number(one.disk / 1e9), number(one.log / 1e9),
        )
        for one in (needed(given, messages) for messages in DAYS)
    ]  # fmt: skip
    return TEXT.format(
        table=markdown(heads, rows),
        hours=HOURS,
        busy=f"{BUSY:.0%}",
        machine=given.machine,
        rate=number(given.rate),
        worker=number(given.worker * 1e6),
        signing="not measured" if given.signing is None else f"{number(given.signing * 1e6)} us",
        signed="not signed (what that costs was not measured with these figures)"
        if given.signing is None
        else "signed (DKIM)",
        database=number(given.database * 1e6),
        kept=number(given.kept / 1e3),
        logged=number(given.logged / 1e3),
        memory=number(given.memory / 1e6),
        far=number(given.far),
        used=given.used,
        places=f"{math.ceil(DAYS[-1] / (HOURS * 3600)):,}",
    )


TEXT = """\
# What it takes to send a million, ten and a hundred million messages a day

Made by `make bench` (or `python -m benchmarks.capacity`) from the figures in [RESULTS.md](RESULTS.md). It is arithmetic, not a
trial: nobody has sent a hundred million messages with mailer. Where a number was not measured, it says so.

## The sum

{table}

All messages leave within {hours} hours, since people want letters by day; spread over 24 hours, each rate is less than half. Of what was
measured {busy} is planned with, and one worker more than the sum asks for, so that one may be away. Messages are {signed}.

- **Workers** = messages/s x CPU a message / {busy}, one core each, and one more. A worker holds some {memory} MB.
- **Connections** = messages/s / {far} (what one does over a round trip of 50 ms) / {busy}. To a relay in the same room a round trip takes a hundredth of
  that, and so many fewer do. A worker has 50 connections at most, and ten of the database's, so raise `max_connections`.
- **Database** = messages/s x its CPU a message / {busy}, cores. Its disk must make a write durable in a millisecond or so; each worker waits for one
  commit at a time, which takes along whatever its connections have.
- **Disk** is what deliveries and attempts take; copies, and what is dead until it is vacuumed, come on top. The log (WAL) is what a
  stand-by or an archive has to take.

## What it rests on

| measured | a message |
|---|---:|
| CPU of a worker (list and letter of the benchmark, 4.4 KB) | {worker} us |
| its signature (DKIM, RSA-2048), from the whole path with and without | {signing} |
| CPU of PostgreSQL, all its processes | {database} us |
| kept by PostgreSQL | {kept} KB |
| written into its log | {logged} KB |

One worker sent {rate} messages/s where mail server, database and worker shared the machine; one connection over a round trip of 50 ms does {far}
messages/s; four workers under one limit used {used} of it. The machine: {machine}.

## A million a day

Neither workers nor database are the question: one computer sends it, and a second one is there for the bad day. What counts is **who takes the
mail**. Ordinary accounts allow 500 to 2,000 a day, so a million needs a provider for bulk mail, or a Postfix of your own with a few
addresses that receivers have got to know over weeks. Sign with your own domain, publish DMARC, take bounces and reports of spam every few minutes
(`mailer inbox --watch`), and raise the rate by a half each day, not more. One PostgreSQL with two cores and a stand-by that is synchronous.

## Ten million a day

Several workers on at least two computers, the database on one of its own, its stand-by synchronous. Behind them a relay of your own:
**Postfix** on two or three hosts does it (a limit by destination, many addresses by `smtp_bind_address`), where each host has its own account for
mailer, so that a limit or a refusal of one is not that of all. Limits are better written by the second or the minute: a place for each
message of a quota is a row, and `10000000/day` would be ten million rows. Such a ledger grows by the figure above each day, and mailer has no
command yet that takes old campaigns out of it: plan the disk for the time that you have to keep them.

## A hundred million a day

That is some {places} messages a second for {hours} hours. By the sum, one PostgreSQL with more cores does it; it has not been tried beyond this machine, and
two things say to divide before that: a campaign's start is one transaction over all its people, and one failing database stops
everything. So **divide by list** into ledgers of ten or twenty million a day, each with its own PostgreSQL and workers. What then has to be
done by hand: suppressions go to all ledgers (`mailer suppress export` and `import`), and no limit is common to two ledgers, so give each its part.

Delivery at this size is a trade of its own: retries for days by provider, hundreds of addresses that are warmed up, feedback loops,
traffic shaping by the answers of each provider. mailer does not do that and will not. Hand over to **KumoMTA** (or PowerMTA, or a
provider), on its own hosts, by SMTP in the same room: mailer says who gets which letter, once, and what was taken; the MTA says when it arrives.
The round trip is then well below a millisecond, and the connections column shrinks to a few for each worker. How much a host of KumoMTA takes was not measured here.
"""


def main() -> int:
    try:
        text = page(measured(RESULTS.read_text(encoding="utf-8")))
    except Missing as reason:
        print(reason, file=sys.stderr)
        return 1
    print(text, end="")
    return 0


def write_beside(results: Path) -> None:
    """Bring the page up to date, if everything was measured."""
    try:
        text = page(measured(results.read_text(encoding="utf-8")))
    except Missing as reason:
        print(f"{NAME} stays as it is: {reason}", file=sys.stderr)
        return
    results.with_name(NAME).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
