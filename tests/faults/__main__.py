"""Runs the laboratory and prints its tables; ends with 1 if a promise was broken."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from . import baseline, brief, fuzz, lab, power, table
from .registry import FAULTS
from .verdict import Verdict

Part = tuple[str, list[str]]
"""A table, and whatever broke a promise."""


def main() -> int:
    given = arguments()
    began = time.monotonic()
    print(f"seed {given.seed} (the same again: --seed {given.seed})", flush=True)
    tables, broken = [], []
    for part in chosen(given):
        text, complaints = part(given)
        tables.append(text)
        broken += complaints
        print(text + "\n", flush=True)
    verdict = "Every promise held." if not broken else f"{len(broken)} promises were broken."
    print(f"{time.monotonic() - began:.0f} seconds, seed {given.seed}")
    for what in broken:
        print(f"BROKEN  {what}")
    print(verdict)
    if given.write:
        text = table.page(["--long"] if given.long else [], given.seed, tables, verdict)
        given.write.write_text(text, encoding="utf-8", newline="\n")
        if given.readme:
            brief.put_into(given.readme, text)
    return 1 if broken else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeat a run")
    parser.add_argument("--long", action="store_true", help="a thousand kills and more")
    parser.add_argument("--tiny", action="store_true", help="one trial of each family, for the tests")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="only faults with these words in their name; or one part: faults, power, fuzz",
    )
    parser.add_argument("--most", type=int, metavar="N", help="at most so many trials a fault")
    parser.add_argument(
        "--people", type=int, metavar="N", help="recipients of each campaign, e.g. 100000 (with --only)"
    )
    parser.add_argument("--ledger", choices=["file", "postgresql"], default="file", help="where the ledger is kept")
    parser.add_argument("--workers", type=int, default=lab.default_workers())
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables to a file, too")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="bring its short table up to date, too (with --write)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the folders of trials that broke a promise")
    return parser.parse_args()


def faults(given: argparse.Namespace) -> Part:
    """The table of faults, and every promise that did not hold."""
    found = tried(given)
    rows = [table.row(name, found[name]) for name in FAULTS if name in found]
    everything = [verdict for verdicts in found.values() for verdict in verdicts]
    rows.append(table.total(everything))
    rows.append(compared(given))
    texts = (table.markdown(table.HEADS, rows), table.markdown(table.FAST_HEADS, table.fast(everything)))
    return "\n\n".join(texts), table.complaints(found)


def tried(given: argparse.Namespace) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = defaultdict(list)
    todo = lab.jobs(given)
    for done, (job, verdict) in enumerate(lab.run_all(lab.run, todo, given.workers), start=1):
        found[job.fault].append(verdict)
        if sys.stderr.isatty() or done % 50 == 0:
            print(f"\r{done} of {len(todo)} trials", end="", file=sys.stderr, flush=True)
        for what in verdict.broken:
            print(f"\n{job.fault} {job.number}: {what}", file=sys.stderr, flush=True)
    return found


def compared(given: argparse.Namespace) -> table.Row:
    """The row of the sender that fails."""
    chance = random.Random(f"{given.seed} baseline")
    kills = duplicated = missed = 0
    times = given.most or (40 if given.long else 2 if given.tiny else 12)
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            one = baseline.trial(Path(folder), chance)
        kills, duplicated, missed = kills + one[0], duplicated + one[1], missed + one[2]
    counts = (times, kills, duplicated, missed, 0, 0, 0, 0)
    return ("for comparison: noting after the 250, killed", *(f"{count:,}" for count in counts), "", "0", "0")


def power_cuts(given: argparse.Namespace) -> Part:
    """The table of power cuts."""
    try:
        found = power.results(given)
    except power.CannotRecord as reason:
        return f"No power cut was simulated: {reason}", []
    return table.markdown(power.HEADS, [power.cells(*one) for one in found]), power.complaints(found)


def fuzzed(given: argparse.Namespace) -> Part:
    """The table of bad inputs."""
    found = {kind: fuzz.Counts() for kind in fuzz.KINDS}
    everything = fuzz.Counts()
    todo = fuzz.batches(given)
    for batch, counts in lab.run_all(fuzz.run, todo, given.workers):
        found[batch.kind].add(counts)
        everything.add(counts)
        for what in counts.broken:
            print(f"\n{batch.kind} {batch.number}: {what}", file=sys.stderr, flush=True)
    rows = [fuzz.cells(kind, counts) for kind, counts in found.items()]
    broken = [f"{kind}: {what}" for kind, counts in found.items() for what in counts.broken]
    return table.markdown(fuzz.HEADS, [*rows, fuzz.cells("all", everything)]), broken


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {"faults": faults, "power": power_cuts, "fuzz": fuzzed}


def chosen(given: argparse.Namespace) -> list[Callable[[argparse.Namespace], Part]]:
    """Everything; or the one part, or some faults, that --only names."""
    if not given.only:
        return list(PARTS.values())
    if given.only not in PARTS:
        return [faults]
    part, given.only = PARTS[given.only], ""
    return [part]


if __name__ == "__main__":
    sys.exit(main())
