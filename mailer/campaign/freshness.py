"""How old a message may be when it leaves: it bears the time at which it was made."""

from __future__ import annotations

import time
from typing import NamedTuple

SECONDS = 1.0
"""One that has waited longer is made again."""


class Moment(NamedTuple):
    """By two clocks: a computer that sleeps may stop the one, and a person may set the other."""

    steady: float
    said: float


def now() -> Moment:
    return Moment(time.monotonic(), time.time())


def is_fresh(since: Moment) -> bool:
    return time.monotonic() - since.steady < SECONDS and abs(time.time() - since.said) < SECONDS
