"""kill -9, at every named point of the program and at any moment."""

from __future__ import annotations

import time

from mailer.crashpoint import NAMES

from .registry import Trial, Variant, fault

KILLS = 6
"""How often one campaign is killed before it may go on."""

LARGE = [
    Variant(setup={"people": 100_000, "connections": 4, "rules": (), "processes": processes}, slow=True)
    for processes in (1, None)
]
"""A server that does not dawdle, for once."""


def kill_at(trial: Trial, point: str, kills: int = KILLS) -> None:
    # an outcome is mostly committed together with the next intent, so this point is passed seldom
    most = 2 if point == "after-outcome" else 7
    for _ in range(kills):
        program = trial.send(MAILER_CRASH_AT=f"{point}:{trial.chance.randint(1, most)}")
        ended = trial.ended(program)
        if not ended.killed:
            return  # passed less often than that: the campaign was at its end
        trial.struck()


def _enter(point: str) -> None:
    @fault(f"kill -9 {point.replace('-', ' ')}", short=4, long=40)
    def strike(trial: Trial) -> None:
        kill_at(trial, point)


for _name in sorted(NAMES - {"after-start"}):
    _enter(_name)


@fault("kill -9 after start", short=4, long=20)
def after_start(trial: Trial) -> None:
    """Passed once a campaign; then at whichever point comes next."""
    ended = trial.ended(trial.send(MAILER_CRASH_AT="after-start"))
    if not ended.killed:
        trial.broken("after-start was not passed")
    trial.struck()
    kill_at(trial, trial.chance.choice(sorted(NAMES - {"after-start"})), kills=1)


@fault("kill -9 while messages leave", short=8, long=60)
def at_random(trial: Trial) -> None:
    for _ in range(KILLS):
        program = trial.send()
        trial.some_moment(program)
        if not trial.kill(program).killed:
            return


@fault("kill -9, 100,000 recipients", short=0, long=2, variants=LARGE)
def many(trial: Trial) -> None:
    """At moments all over the list, most of which take the server a while to come to."""
    for _ in range(KILLS):
        program = trial.send()
        left = len(trial.people) - trial.oracle.count()
        trial.wait_for(program, trial.oracle.count() + trial.chance.randint(1, max(1, left // KILLS)), 300)
        if not trial.kill(program).killed:
            return


@fault("kill -9 while it starts", short=4, long=20)
def while_starting(trial: Trial) -> None:
    """Reading, checking, freezing: nothing has left yet, or just begins to."""
    for _ in range(KILLS):
        program = trial.send()
        time.sleep(trial.chance.uniform(0, 1.2 if trial.cold or trial.processes != 1 else 0.35))
        if not trial.kill(program).killed:
            return
