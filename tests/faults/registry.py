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
    """A row of the table. `short` and `long` are numbers of trials; the variants take turns.

    `ledger` says where the ledger must be for it: in a `file`, or on `postgresql`.
    """

    name: str
    strike: Strike
    variants: Sequence[Variant]
    short: int
    long: int
    ledger: str | None = None


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, *, short: int, long: int, variants: Sequence[Variant] | None = None, ledger: str | None = None
) -> Callable[[Strike], Strike]:
    """Enter a function into the table. Without variants: in all the usual ways of sending, taking turns."""

    def enter(strike: Strike) -> Strike:
        if name in FAULTS:
            raise ValueError(f"there is a fault {name!r} already")
        FAULTS[name] = Fault(
            name=name, strike=strike, variants=variants or USUAL_WAYS, short=short, long=long, ledger=ledger
        )
        return strike

    return enter


WAYS: tuple[Mapping[str, Any], ...] = (
    {"connections": 1},
    {"connections": 4},
    {"connections": 4, "processes": 2},
    {"connections": 4, "pipelining": "message"},
    {"connections": 1, "pipelining": "off"},
)
"""The ways of sending: one round trip a message unless said otherwise."""

USUAL_WAYS = tuple(Variant(setup=way) for way in WAYS)

__all__ = ["FAULTS", "USUAL_WAYS", "WAYS", "Fault", "Trial", "Variant", "fault"]
