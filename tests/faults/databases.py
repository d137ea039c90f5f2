"""The database that holds the ledger goes away: its connections are cut, or its server dies under everybody."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from .registry import Trial, fault

STRIKES = 3
"""How often it goes away in one campaign."""

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mailer'"


def strike(trial: Trial, go_away: Callable[[], object], come_back: Callable[[], object] = lambda: None) -> None:
    """The run must end by itself, in plain words, before another message leaves."""
    for _ in range(STRIKES):
        program = trial.send()
        if not trial.some_moment(program):
            trial.ended(program)
            return
        go_away()
        ended = trial.ended(program)
        come_back()
        if ended.code in {0, 1}:
            return
        if ended.code != 3 or "ledger" not in ended.said:
            trial.broken(f"ended with {ended.code}: {ended.said.strip()[-300:]}")
        trial.struck()


@fault("the database's connections are cut", short=4, long=40, ledger="postgresql")
def cut(trial: Trial) -> None:
    database = trial.database
    assert database
    strike(trial, lambda: database.query(CUT))


@fault("the database's server dies and comes back", short=4, long=40, ledger="postgresql")
def dies(trial: Trial) -> None:
    database = trial.database
    assert database
    strike(trial, lambda: database.stop(signal.SIGQUIT), database.start)


@fault("the database's server and the program are killed", short=4, long=40, ledger="postgresql")
def both(trial: Trial) -> None:
    database = trial.database
    assert database
    for _ in range(STRIKES):
        program = trial.send()
        trial.some_moment(program)
        database.stop(signal.SIGQUIT)
        program.signal(signal.SIGKILL)
        at = time.monotonic()
        ended = trial.ended(program)
        database.start()
        if ended.code in {0, 1}:
            return
        trial.struck(at)
