"""The server itself breaks down, or takes much less than it is given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .registry import WAYS, Trial, Variant, fault
from .stage import USUAL

CRASHES = 3


@fault("server process is killed and restarted", short=4, long=40)
def server_crash(trial: Trial) -> None:
    program = trial.send()
    for _ in range(CRASHES):
        if not trial.some_moment(program):
            break
        trial.crash_server()
        time.sleep(trial.chance.uniform(0, 0.3))
        trial.oracle.start()
        trial.server_is_back(program)
    trial.ended(program)


@fault("server and program are killed at once", short=3, long=20)
def both_crash(trial: Trial) -> None:
    for _ in range(CRASHES):
        program = trial.send()
        trial.some_moment(program)
        trial.oracle.crash()
        ended = trial.kill(program)
        trial.oracle.start()
        if not ended.killed:
            return


ONE, FOUR, MAKERS, MESSAGE, OFF = WAYS


def allowance(number: int, seconds: float, way: Mapping[str, Any]) -> Variant:
    rules = (f"allow n={number} seconds={seconds}",)
    return Variant(setup={"rules": rules, "people": 24, **way}, slow=True)


@fault(
    "4xx storm with a hidden allowance",
    short=3,
    long=12,
    variants=[allowance(6, 5, ONE), allowance(6, 5, FOUR), allowance(3, 1, MAKERS), allowance(3, 1, MESSAGE)],
)
def storm(trial: Trial) -> None:
    """The relay takes a few messages in five seconds and defers the rest, without a word about a limit."""
    trial.hours = 1.0  # the allowance is by the clock, which does not jump like the time of the next try
    trial.ended(trial.send())
    trial.verdict.strikes += 1


def takes_and_leaves(first: int, every: int, way: Mapping[str, Any]) -> Variant:
    rules = (f"accepted first={first} every={every} drop", *USUAL)
    return Variant(setup={"rules": rules, **way})


@fault(
    "server takes messages and hangs up without a word",
    short=4,
    long=24,
    variants=[
        takes_and_leaves(9, 1, ONE),
        takes_and_leaves(40, 4, ONE),
        takes_and_leaves(12, 1, FOUR),
        takes_and_leaves(12, 1, MAKERS),
        takes_and_leaves(12, 1, MESSAGE),
        takes_and_leaves(12, 4, OFF),
    ],
)
def no_reply_storm(trial: Trial) -> None:
    """Each of them is in doubt; after three in a row the program must stop by itself."""
    ended = trial.ended(trial.send())
    if ended.code not in {1, 3}:
        trial.broken(f"ended with {ended.code} though messages are in doubt")
