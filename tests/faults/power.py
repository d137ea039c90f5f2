"""The power fails under the ledger, simulated: the table of it, and beside it what SQLite's faster mode would lose."""

from __future__ import annotations

from argparse import Namespace

from tests.powercut import CannotRecord, Result, cut_power

HEADS = (
    "the power fails", "cuts", "acknowledged changes", "lost", "cuts with losses", "people mailed again", "ledgers damaged",
    "impossible states",
)  # fmt: skip
CONTROL = "for comparison: synchronous=NORMAL"


def results(given: Namespace) -> list[tuple[str, Result]]:
    """One of the ledger as it is, one of the control. Raises CannotRecord where nothing can be simulated."""
    cuts = given.most or (600 if given.long else 60)
    return [
        ("ledger as it is: synchronous=FULL", cut_power(cuts, given.seed)),
        (CONTROL, cut_power(max(10, cuts // 4), given.seed, synchronous="NORMAL")),
    ]


def cells(name: str, result: Result) -> tuple[str, ...]:
    numbers = (
        result.cuts, result.acknowledged, result.lost, result.with_loss, result.again, len(result.damaged),
        len(result.impossible),
    )  # fmt: skip
    return (name, *(f"{number:,}" for number in numbers))


def complaints(found: list[tuple[str, Result]]) -> list[str]:
    """What was lost or broken; the control is there to lose."""
    return [
        words
        for name, result in found
        if name != CONTROL and not result.sound
        for words in (str(result), *result.damaged[:10], *result.impossible[:10])
    ]


__all__ = ["HEADS", "CannotRecord", "cells", "complaints", "results"]
