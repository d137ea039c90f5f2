"""What a trial is played on: a campaign folder, its server, the commands of an organiser, and what the ledger says meanwhile."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from postgres_server import PostgresServer

from mailer.ledger.postgres.dialect import translated

from .crew import Crew
from .oracle import Oracle
from .programs import PATIENCE, Ended, Program, start
from .script import TIMEOUT
from .verdict import Quota, Verdict

NAME = "appeal--people"
LETTER = """---
subject: "News for {{ name }}"
language: en
---
Dear {{ name }},

please write to them today.
"""
# A server takes a moment to take a message, and another to say so.
USUAL = ("rcpt delay=0.002", "accepted delay=0.002")


class Skipped(Exception):
    """A fault that cannot be made on this computer. `str()` is the reason."""


class Stage:
    """A campaign folder, its server, and the commands of an organiser who does not give up."""

    def __init__(
        self,
        folder: Path,
        chance: random.Random,
        *,
        people: int = 50,
        connections: int = 1,
        processes: int | None = 1,
        pipelining: str = "auto",
        cold: bool = False,
        rules: Sequence[str] = USUAL,
        users: dict[str, str] | None = None,
        security: str = "none",
        settings: Mapping[str, str] | None = None,
        quotas: Sequence[Quota] = (),
    ) -> None:
        self.folder, self.chance, self.connections, self.cold = folder, chance, connections, cold
        self.processes, self.pipelining = processes, pipelining
        self.quotas = quotas
        domains = ("example.org", "example.net") if quotas else ("example.org",)
        self.people = [f"p{number}@{domains[number % len(domains)]}" for number in range(1, people + 1)]
        self.verdict = Verdict(connections=connections, processes=processes, pipelining=pipelining)
        self.oracle = Oracle(folder, rules, users=users, security="starttls" if security == "starttls" else "none")
        self.crew = Crew(folder)
        self.ledger = folder / "mailer.db"
        self.database: PostgresServer | None = None
        self.settings = dict(settings or {}) | {quota.setting: quota.value for quota in quotas}
        self.hours = 0.0  # seconds that pass for the hours until the next try
        self._commands = 0
        self._programs: list[Program] = []
        self._at_end: list[Callable[[], object]] = []
        (folder / "templates").mkdir()
        (folder / "templates" / "appeal.md").write_text(LETTER, encoding="utf-8", newline="\n")
        lines = [f"{address},Pat {number}" for number, address in enumerate(self.people, start=1)]
        (folder / "people.csv").write_text("\n".join(["email,name", *lines, ""]), encoding="utf-8", newline="\n")

    # -- commands

    def environment(self) -> dict[str, str]:
        given = {
            "MAILER_SMTP_HOST": "localhost" if self.oracle.certificate else "127.0.0.1",
            "MAILER_SMTP_PORT": str(self.oracle.port),
            "MAILER_SMTP_SECURITY": self.oracle.security,
            "MAILER_SMTP_TIMEOUT": f"{TIMEOUT:g}",
            "MAILER_SENDER": "Union Office <office@example.org>",
            "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
            "MAILER_RATE": "100000/second",
            "MAILER_BATCH_SIZE": "7",
            "MAILER_CONNECTIONS": str(self.connections),
            "MAILER_PIPELINING": self.pipelining,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "PYTHONUTF8": "1",
            "TMPDIR": str(self.folder),
        }
        if self.processes:
            given["MAILER_PROCESSES"] = str(self.processes)
        if self.oracle.certificate:
            given["SSL_CERT_FILE"] = str(self.oracle.certificate.certificate)
        for name, password in (self.oracle.users or {}).items():
            given |= {"MAILER_SMTP_USERNAME": name, "MAILER_SMTP_PASSWORD": password}
        return given | self.settings

    def call(
        self,
        *arguments: str,
        cold: bool | None = None,
        prepare: Callable[[], None] = lambda: None,
        **environment: str,
    ) -> Program:
        """Start a command; environment variables as keywords."""
        self._commands += 1
        program = start(
            arguments,
            folder=self.folder,
            output=self.folder / f"said-{self._commands}.txt",
            environment={**self.environment(), **environment},
            cold=self.cold if cold is None else cold,
            prepare=prepare,
        )
        self._programs.append(program)
        return program

    def send(
        self, *, cold: bool | None = None, prepare: Callable[[], None] = lambda: None, **environment: str
    ) -> Program:
        return self.call("send", "appeal", "people.csv", "--yes", cold=cold, prepare=prepare, **environment)

    def ended(self, program: Program, seconds: float = PATIENCE) -> Ended:
        """Wait for it; a hang and a traceback are counted, whatever else the trial looks at."""
        ended = program.wait(seconds + len(self.people) / 100)
        self.verdict.kills += ended.killed
        if ended.hung:
            self.verdict.hangs += 1
            self.broken(f"hung: {ended.said.strip()[-300:]}")
        if ended.traceback:
            self.verdict.tracebacks += 1
            bugs = [path.read_text(encoding="utf-8") for path in self.folder.glob("mailer-bug-*.txt")]
            self.broken(f"traceback: {ended.said.strip()[-300:]} {' '.join(bugs)[-600:]}")
        return ended

    def broken(self, what: str) -> None:
        self.verdict.broken.append(what)

    def at_end(self, undo: Callable[[], object]) -> None:
        """Do this when the trial is over, however it ends."""
        self._at_end.append(undo)

    def close(self) -> None:
        """Nothing of the trial is left running or mounted."""
        for program in self._programs:
            program.wait(0)
        self.oracle.stop()
        for undo in self._at_end:
            undo()

    # -- moments

    def wait_for(self, program: Program, count: int, seconds: float = 30.0) -> bool:
        """Until the server has accepted so many in all; False if the program ended before."""
        deadline = time.monotonic() + seconds
        while self.oracle.count() < count:
            if program.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        return True

    def some_moment(self, program: Program) -> bool:
        """An odd moment in the middle of sending; False if the program ended before."""
        left = len(self.people) - self.oracle.count()
        met = self.wait_for(program, self.oracle.count() + self.chance.randint(1, max(1, min(12, left))))
        time.sleep(self.chance.uniform(0, 0.004))
        return met

    # -- what the ledger says

    def doubtful(self, *statuses: str) -> int:
        """How many the ledger holds in doubt; asked beside the program, since a crash has just ended it."""
        statuses = statuses or ("sending", "uncertain")
        marks = ",".join("?" * len(statuses))
        found = self._asked(f"SELECT count(*) FROM deliveries WHERE status IN ({marks})", *statuses)
        return int(found[0][0]) if found else 0

    def addresses(self, *statuses: str) -> list[str]:
        """Who stands like that in the ledger."""
        marks = ",".join("?" * len(statuses))
        query = f"SELECT address FROM deliveries WHERE status IN ({marks})"
        return [str(address) for (address,) in self._asked(query, *statuses)]

    def keep_on_server(self) -> None:
        """The ledger is not in a file, but on a PostgreSQL server of this trial's own."""
        self.database = PostgresServer()
        self.at_end(self.database.close)
        self.settings["MAILER_LEDGER"] = self.database.address("postgres")

    def _asked(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if self.database:
            return asked(self.database, query, *values)
        if not self.ledger.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.ledger, timeout=10)) as ledger:
            try:
                return ledger.execute(query, values).fetchall()
            except sqlite3.OperationalError:
                return []  # killed before there was a table

    def hours_pass(self) -> None:
        """Make everybody due who is to be tried again in some hours."""
        time.sleep(self.hours)
        if self.database:
            asked(self.database, "UPDATE deliveries SET next_attempt_at = ? WHERE status = 'deferred'", time.time() - 1)
            return
        with contextlib.closing(sqlite3.connect(self.ledger, timeout=10)) as ledger, ledger:
            ledger.execute("UPDATE deliveries SET next_attempt_at = ? WHERE status = 'deferred'", (time.time() - 1,))

    def rows(self) -> list[dict[str, str]]:
        """What the program reports of everybody."""
        report = self.folder / "report.csv"
        ended = self.ended(self.call("report", NAME, "--csv", report.name, cold=False))
        if ended.code != 0:
            self.broken(f"no report: {ended.said.strip()[-300:]}")
            return []
        with report.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


SETTLED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mailer' AND state <> 'idle'"


def asked(database: PostgresServer, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Once nothing is being written: what a program said before it was killed may still be carried out."""
    deadline = time.monotonic() + 2
    while database.query(SETTLED) != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.005)
    with psycopg.connect(database.address("postgres"), autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        try:
            rows = connection.execute(translated(query).text, values or None)
        except psycopg.errors.UndefinedTable:
            return []  # killed before there was a table
        return rows.fetchall() if rows.description else []


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
