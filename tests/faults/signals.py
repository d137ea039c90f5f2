"""Being asked to stop: Ctrl-C, twice, SIGTERM."""

from __future__ import annotations

import signal
import time

from .registry import Trial, fault

TIMES = 4


def stop(trial: Trial, number: int, *, twice: bool = False) -> None:
    for _ in range(TIMES):
        program = trial.send()
        if not trial.some_moment(program):
            trial.ended(program)
            return
        program.signal(number)
        at = time.monotonic()
        if twice:
            time.sleep(trial.chance.uniform(0, 0.01))
            program.signal(number)
        if not trial.stopped(program, at, twice=twice):
            return


@fault("SIGTERM", short=3, long=30)
def sigterm(trial: Trial) -> None:
    stop(trial, signal.SIGTERM)


@fault("SIGINT (Ctrl-C)", short=3, long=30)
def sigint(trial: Trial) -> None:
    stop(trial, signal.SIGINT)


@fault("SIGINT twice", short=3, long=30)
def sigint_twice(trial: Trial) -> None:
    stop(trial, signal.SIGINT, twice=True)
