"""The table of faults: each a small function that strikes a trial, with the name of its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .trial import Trial

Strike = Callable[[Trial], None]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to make the fault: how the trial is set up. A `slow` one mostly waits."""

    setup: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row of the table. `short` and `long` are numbers of trials; the variants take turns."""

    name: str
    strike: Strike
    variants: Sequence[Variant]
    short: int
    long: int


FAULTS: dict[str, Fault] = {}


def fault(name: str, *, short: int, long: int, variants: Sequence[Variant] | None = None) -> Callable[[Strike], Strike]:
    """Enter a function into the table. Without variants: with one connection and with four."""

    def enter(strike: Strike) -> Strike:
        if name in FAULTS:
            raise ValueError(f"there is a fault {name!r} already")
        FAULTS[name] = Fault(name=name, strike=strike, variants=variants or ONE_AND_FOUR, short=short, long=long)
        return strike

    return enter


ONE_AND_FOUR = (Variant(setup={"connections": 1}), Variant(setup={"connections": 4}))

__all__ = ["FAULTS", "ONE_AND_FOUR", "Fault", "Trial", "Variant", "fault"]
