"""How much is measured: a quick look, the usual run, or the full one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Paced = tuple[str, int, float, int]
"""A rate to keep as it is given to mailer, its count, its seconds, and how many messages are sent under it."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of all cases; `repeats` is how often each contender runs, of which the median counts."""

    repeats: int
    messages: int
    far_messages: int
    rows: int
    sizes: Sequence[int]
    starts: int
    page_rows: int
    paced: Sequence[Paced]
    shared_seconds: float


PER_SECOND = ("100/second", 100, 1.0, 1_000)
PER_MINUTE = ("20/minute", 20, 60.0, 60)

USUAL = Scale(
    repeats=3,
    messages=20_000,
    far_messages=500,
    rows=1_000_000,
    sizes=(1_000, 10_000, 100_000),
    starts=15,
    page_rows=100_000,
    paced=(PER_SECOND,),
    shared_seconds=30,
)
QUICK = Scale(
    repeats=1,
    messages=5_000,
    far_messages=200,
    rows=50_000,
    sizes=(1_000, 10_000),
    starts=5,
    page_rows=10_000,
    paced=(PER_SECOND,),
    shared_seconds=12,
)
FULL = Scale(
    repeats=3,
    messages=100_000,
    far_messages=1_500,
    rows=1_000_000,
    sizes=(1_000, 10_000, 100_000, 1_000_000),
    starts=15,
    page_rows=100_000,
    paced=(PER_SECOND, PER_MINUTE),
    shared_seconds=60,
)
