"""Waiting for a time of day: also where the computer sleeps meanwhile, and its clock is set."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass
from typing import Self

SLICE = 10.0
"""Seconds from one look at the clock on the wall to the next: asyncio's own stands still while the computer sleeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """A moment by two clocks, one of which may be set and the other stand still. It has come when either says so."""

    wall: float
    """Unix time."""
    steady: float
    """By time.monotonic()."""

    @classmethod
    def after(cls, seconds: float) -> Self:
        """So many seconds from now."""
        return cls(wall=time.time() + seconds, steady=time.monotonic() + seconds)

    @classmethod
    def at(cls, wall: float, most: float = math.inf) -> Self:
        """At that Unix time, but after so many seconds at most."""
        return cls(wall=wall, steady=time.monotonic() + most)

    @property
    def left(self) -> float:
        """Seconds until then; not above 0 when it has come."""
        return min(self.wall - time.time(), self.steady - time.monotonic())

    async def wait(self, over: asyncio.Event) -> None:
        """Sleep until then, or until that is set."""
        while (left := self.left) > 0 and not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), min(left, SLICE))
