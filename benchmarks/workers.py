"""Workers over a ledger on PostgreSQL, all of them processes of their own, as somebody who operates them starts them."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import contacts, letter
from .measure import KILOBYTE, Failed, Skipped, clean, run
from .peers import CAMPAIGN_LIST, mailer_program

PATIENCE = 600.0
"""Seconds until workers that were started work, or have sent what there is."""

LOOK = 0.01


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a worker took: `cpu` in seconds of user and system time, `peak` the most resident memory, in bytes."""

    cpu: float
    peak: int


@dataclass(kw_only=True)
class Site:
    """A campaign folder for a mail server on a port, and a database for its ledger, on the disk."""

    folder: Path
    ledger: str
    database: Any
    empty: tuple[float, float] = (0.0, 0.0)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        return {"MAILER_LEDGER": self.ledger}

    def start_workers(self, number: int, *options: str) -> None:
        """Start so many, and wait until all of them work."""
        for one in range(number):
            with self._log(one).open("wb") as log:
                self.workers.append(
                    subprocess.Popen(
                        [*mailer_program(), "worker", "--log", "json", *options],
                        cwd=self.folder,
                        env=clean() | self.settings,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                    )
                )
        wait_for(lambda: all(b'"working"' in self._log(one).read_bytes() for one in range(number)), self.alive)

    def leave(self, *options: str) -> None:
        """Leave the campaign to workers."""
        run([*self.sending(), "--detach", *options], folder=self.folder, environment=self.settings)

    def sending(self) -> list[str]:
        """`mailer send`, as everywhere."""
        return [*mailer_program(), "send", letter.NAME, str(CAMPAIGN_LIST), "--yes"]

    def alive(self) -> bool:
        return all(worker.poll() is None for worker in self.workers)

    def end_workers(self) -> list[Ended]:
        """End them tidily; what each took."""
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> list[Ended]:
        """What each took that ends by itself."""
        ends = [_waited(worker) for worker in self.workers]
        self.workers.clear()
        return ends

    def kill(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def database_bytes(self) -> tuple[float, float]:
        """What it keeps, and what it has written into its log, since it was made."""
        query = "SELECT pg_database_size('mailer'), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
        [(kept, logged)] = self.database.query(query, "mailer")
        return float(kept) - self.empty[0], float(logged) - self.empty[1]

    def database_cpu(self) -> float:
        """End the database; its seconds of user and system time, with all its processes."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.database.stop()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _log(self, number: int) -> Path:
        return self.folder / f"worker {number}.log"


@contextlib.contextmanager
def site(folder: Path, port: int, messages: int) -> Iterator[Site]:
    """A site for a mail server on a port, and so many people. Raises Skipped without PostgreSQL."""
    from tests.postgres_server import PostgresServer, Unavailable  # noqa: PLC0415 - only with what the tests need

    letter.for_mailer(folder, port)
    contacts.make(folder / CAMPAIGN_LIST, messages)
    try:
        # on the disk, as the file of the others: in memory, commits would cost nothing
        server = PostgresServer(Path(tempfile.gettempdir()))
    except Unavailable as reason:
        raise Skipped(str(reason)) from None
    server.query("CREATE DATABASE mailer TEMPLATE template0")
    made = Site(folder=folder, ledger=server.address("mailer"), database=server)
    made.empty = made.database_bytes()
    try:
        yield made
    finally:
        made.kill()
        server.close()


def wait_for(condition: Callable[[], bool], alive: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Until it is so. Raises Failed if somebody ends before, or it takes too long."""
    deadline = time.monotonic() + patience
    while not condition():
        if not alive() or time.monotonic() > deadline:
            raise Failed("a worker ended by itself" if not alive() else f"it took more than {patience:.0f} seconds")
        time.sleep(LOOK)


def timed(count: Callable[[], int], messages: int, alive: Callable[[], bool]) -> float:
    """Seconds from the first message that arrives to the last."""
    wait_for(lambda: count() > 0, alive)
    first, already = time.monotonic(), count()
    wait_for(lambda: count() >= messages, alive)
    return (time.monotonic() - first) * messages / max(1, messages - already)


def _waited(worker: subprocess.Popen[bytes]) -> Ended:
    _, status, usage = os.wait4(worker.pid, 0)
    worker.returncode = os.waitstatus_to_exitcode(status)  # lest Popen wait for it again
    if worker.returncode:
        raise Failed(f"a worker ended with {worker.returncode}")
    return Ended(cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss * KILOBYTE)


def sent_by(site: Site) -> Sequence[Sequence[float]]:
    """When each worker that sent anything got its answers (Unix time), in order, as the ledger has it."""
    rows = site.database.query(
        "SELECT token, finished_at FROM attempts WHERE verdict = 'sent' ORDER BY finished_at", "mailer"
    )
    times: dict[str, list[float]] = {}
    for token, at in rows:
        times.setdefault(token, []).append(at)
    return list(times.values())
