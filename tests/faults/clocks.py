"""The clock jumps: an hour, a day, years, forwards and backwards, while messages leave."""

from __future__ import annotations

import glob
from pathlib import Path

from .registry import Trial, Variant, fault
from .trial import Skipped

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
    faked = {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    program = trial.send(cold=True, **faked)
    for _ in range(3):
        if not trial.some_moment(program):
            break
        set_clock(clock, trial.chance.choice(JUMPS))
        trial.verdict.strikes += 1
    trial.kill(program) if trial.chance.random() < 0.5 else trial.ended(program, 60)
    set_clock(clock, "+0")


def set_clock(clock: Path, jump: str) -> None:
    new = clock.with_name("clock.new")
    new.write_text(jump + "\n", encoding="ascii", newline="\n")
    new.replace(clock)
