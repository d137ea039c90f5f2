"""The clock jumps or is wrong at first: an hour, a day, years, forwards and backwards."""

from __future__ import annotations

import glob
import json
import time
from datetime import datetime
from pathlib import Path

from .registry import Trial, Variant, fault
from .stage import NAME, USUAL, Skipped

JUMPS = ("+1h", "-1h", "+1d", "-1d", "+400d", "-400d")
LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"


def library() -> str:
    found = glob.glob(LIBRARIES)  # noqa: PTH207 - an absolute pattern
    if not found:
        raise Skipped("libfaketime is not installed (Debian: apt install faketime)")
    return found[0]


@fault(
    "clock jumps (libfaketime)",
    short=2,
    long=24,
    variants=[Variant(setup={"connections": number, "people": 60}) for number in (4, 1)],
)
def clock_jumps(trial: Trial) -> None:
    clock = trial.folder / "clock"
    set_clock(clock, "+0")
    trial.settings |= {"MAILER_RATE": "200/second, 5000/minute"}
    program = trial.send(cold=True, **faked(clock))
    for _ in range(3):
        if not trial.some_moment(program):
            break
        set_clock(clock, trial.chance.choice(JUMPS))
        trial.verdict.strikes += 1
    trial.kill(program) if trial.chance.random() < 0.5 else trial.ended(program, 60)
    set_clock(clock, "+0")


GREYLISTED = 6
"""People enough; from more refusals in a row the program would conclude that it is too fast."""

SOON = 12 * 3600.0
"""Seconds within which everybody is to be tried again: half as long again as the longest pause between two tries."""


def greylists(times: int, connections: int) -> Variant:
    """The server sends everybody away, so many times."""
    rule = f'rcpt first={times * GREYLISTED} reply="451 4.7.1 Greylisted, please come back later"'
    return Variant(setup={"connections": connections, "people": GREYLISTED, "rules": [rule, *USUAL]})


def first_try(trial: Trial, jump: str) -> None:
    """Everybody is put off by the server, while the clock is wrong."""
    clock = trial.folder / "clock"
    set_clock(clock, jump)
    trial.ended(trial.send(cold=True, **faked(clock)))
    trial.verdict.strikes += 1
    if trial.doubtful("deferred") != GREYLISTED:
        trial.broken("the trial itself failed: not everybody was put off")


@fault("clock 400 days slow at the first try", short=2, long=8, variants=[greylists(2, 1), greylists(2, 4)])
def slow_at_first(trial: Trial) -> None:
    """The server puts off everybody a second time: that is minutes after the first, not 400 days."""
    first_try(trial, "-400d")
    trial.ended(trial.send())
    if given_up := trial.doubtful("failed"):
        trial.broken(f"{given_up} of {GREYLISTED} were given up at the second try")
    elif len(trial.oracle.faults()) < 2 * GREYLISTED:
        trial.broken("whoever was put off 400 days ago is not tried again")


@fault("clock 400 days fast at the first try", short=2, long=8, variants=[greylists(1, 1), greylists(1, 4)])
def fast_at_first(trial: Trial) -> None:
    """With the right clock everybody is tried within hours, and nobody waits a year."""
    first_try(trial, "+400d")
    said = json.loads(trial.ended(trial.call("status", NAME, "--json")).said)["next_attempt_at"]
    if datetime.fromisoformat(said).timestamp() > time.time() + SOON:
        trial.broken(f"the next try is announced for {said}")
    trial.ended(trial.send())
    clock = trial.folder / "clock"
    set_clock(clock, f"+{SOON:.0f}s")
    trial.ended(trial.send(cold=True, **faked(clock)))
    waiting = GREYLISTED - trial.oracle.count()
    if waiting:
        trial.broken(f"{waiting} of {GREYLISTED} were not tried again within {SOON / 3600:.0f} hours")


def faked(clock: Path) -> dict[str, str]:
    """Environment of a program whose time of day is what a file says; only a cold start heeds it."""
    return {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(clock: Path, jump: str) -> None:
    new = clock.with_name("clock.new")
    new.write_text(jump + "\n", encoding="ascii", newline="\n")
    new.replace(clock)
