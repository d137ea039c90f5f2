"""Many cuts: of one recorded workload each hundred, at places drawn by a seed."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .disk import Disk
from .record import Entry, compile_shim, record
from .verdict import History, Verdict, judge

CUTS_A_RECORD = 100


@dataclass
class Result:
    """`lost` are acknowledged changes (intents, outcomes, decisions) that were gone, `with_loss` the cuts with any;
    `again` counts people whom the next run would have mailed although their message may have left.
    """

    synchronous: str
    cuts: int = 0
    acknowledged: int = 0
    with_loss: int = 0
    lost: int = 0
    again: int = 0
    damaged: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.lost or self.again or self.damaged or self.impossible)

    def __str__(self) -> str:
        share = self.with_loss / max(1, self.cuts)
        return (
            f"synchronous={self.synchronous}: {self.cuts} power cuts, {self.acknowledged} acknowledged changes,"
            f" {self.lost} lost (in {share:.0%} of the cuts), {self.again} people mailed again, {len(self.damaged)} ledgers damaged,"
            f" {len(self.impossible)} impossible states"
        )


def cut_power(cuts: int, seed: int, *, synchronous: str | None = None) -> Result:
    """Cut the power this many times. Raises CannotRecord where that cannot be simulated."""
    result = Result(synchronous=synchronous or "FULL")
    with tempfile.TemporaryDirectory(prefix="powercut-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shim = compile_shim(folder)
        for number in range(0, cuts, CUTS_A_RECORD):
            entries = record(shim, folder / f"record-{number}", seed=seed + number, synchronous=synchronous)
            chance = random.Random(f"{seed} {number}")
            _cut(result, entries, min(CUTS_A_RECORD, cuts - number), chance, folder)
    return result


def _cut(result: Result, entries: Sequence[Entry], count: int, chance: random.Random, folder: Path) -> None:
    disk, history = Disk(), History()
    for number, place in enumerate(sorted(_places(entries, chance) for _ in range(count))):
        disk.play(entries, place)
        history.play(entries, place)
        found = folder / f"{result.cuts}"
        found.mkdir()
        for name, content in disk.after_cut(chance).items():
            (found / name).write_bytes(content)
        _count(result, judge(found, history), history, f"cut {number} at {place} of {len(entries)}")
        for file in found.iterdir():
            file.unlink()


def _places(entries: Sequence[Entry], chance: random.Random) -> int:
    """Most of them anywhere, some around what happens seldom: a checkpoint, a file that comes or goes."""
    if chance.random() < 0.7:
        return chance.randrange(1, len(entries) + 1)
    seldom = [place for place, entry in enumerate(entries) if entry.operation in "CUT" or entry.name.endswith(".db")]
    return min(len(entries), max(1, chance.choice(seldom) + chance.randint(-3, 8)))


def _count(result: Result, verdict: Verdict, history: History, where: str) -> None:
    result.cuts += 1
    result.acknowledged += sum(
        step.transaction in history.acknowledged for chain in history.chains.values() for step in chain
    )
    result.lost += verdict.lost
    result.again += verdict.again
    result.with_loss += bool(verdict.lost)
    if verdict.damage:
        result.damaged.append(f"{where}: {verdict.damage}")
    result.impossible += [f"{where}: {words}" for words in verdict.impossible]
