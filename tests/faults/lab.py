"""Runs the trials, several at a time, each with a seed of its own that comes from the one that was printed."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import tempfile
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import (  # noqa: F401 - they enter their faults
    baseline,
    clocks,
    databases,
    disks,
    kills,
    makers,
    overlap,
    quotas,
    rivals,
    servers,
    signals,
    wire,
)
from .programs import preload
from .registry import FAULTS
from .stage import USUAL, Skipped
from .trial import Trial
from .verdict import Verdict

FEW = 24

TINY = {
    "kill -9 after dot": FEW,
    "kill -9 while messages leave": FEW,
    "SIGTERM": FEW,
    "SIGSTOP while a second one starts": FEW,
    "kill -9 of one maker": None,  # for few people it would come too late
    "server refuses an envelope that came early": FEW,
    "server hangs up": FEW,
    "server process is killed and restarted": FEW,
    "file may not grow (RLIMIT_FSIZE)": FEW,
}
"""One fault of each family, for the tests, and how many recipients it is given."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One trial to be made; the same job gives the same campaign and the same faults."""

    fault: str
    number: int
    seed: int
    people: int | None = None
    keep: Path | None = None
    ledger: str = "file"

    @property
    def slow(self) -> bool:
        fault = FAULTS[self.fault]
        return fault.variants[self.number % len(fault.variants)].slow


def jobs(given: Namespace) -> list[Job]:
    """The trials to make; those that mostly wait come first, so that nobody waits for them at the end."""
    if given.tiny:
        # the second trial of each: warm, with four connections where there is a choice
        return [
            Job(fault=name, number=1, seed=given.seed, people=people, keep=given.keep) for name, people in TINY.items()
        ]
    ledger = given.ledger
    found = []
    for name, fault in FAULTS.items():
        if given.only not in name or fault.ledger not in {None, ledger}:
            continue
        count = fault.long if given.long else fault.short
        count = count if given.most is None else min(count, given.most)
        found += [
            Job(fault=name, number=number, seed=given.seed, people=given.people, keep=given.keep, ledger=ledger)
            for number in range(count)
        ]
    return sorted(found, key=lambda job: not job.slow)


def run(job: Job) -> Verdict:
    """Make one trial in a folder of its own. Never raises: what goes wrong in the laboratory breaks the verdict."""
    chance = random.Random(f"{job.seed} {job.fault} {job.number}")
    fault = FAULTS[job.fault]
    folder = Path(tempfile.mkdtemp(prefix="mailer faults "))
    began = time.monotonic()
    trial: Trial | None = None
    verdict = Verdict()
    try:
        # the first of each kind starts cold, as users do, and tells how long they wait
        trial = Trial(folder, chance, cold=job.number == 0, **setup_of(job))
        verdict = trial.verdict
        if job.ledger == "postgresql":
            trial.keep_on_server()
        trial.oracle.start()
        fault.strike(trial)
        verdict = trial.finish()
        if not verdict.strikes:
            verdict.strikes = len(trial.oracle.faults())
    except Skipped as reason:
        verdict.skipped = str(reason)
    except Exception:  # noqa: BLE001 - one spoiled trial must not hide the others
        verdict.broken.append("the trial itself failed: " + traceback.format_exc())
    finally:
        if trial:
            _close(trial)
        if verdict.broken and job.keep:
            shutil.copytree(folder, job.keep / f"{job.fault} {job.number}".replace("/", "-"), dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    verdict.seconds = time.monotonic() - began
    return verdict


def _close(trial: Trial) -> None:
    try:
        trial.close()
    except Exception:  # noqa: BLE001 - one spoiled trial must not hide the others
        trial.verdict.broken.append("the trial could not be cleared away: " + traceback.format_exc())


def setup_of(job: Job) -> dict[str, Any]:
    """How the trial is set up; a large list meets a server that does not dawdle."""
    fault = FAULTS[job.fault]
    given = dict(fault.variants[job.number % len(fault.variants)].setup)
    if job.people:
        given["people"] = job.people
        given.setdefault("rules", USUAL if job.people < 1000 else ())
    return given


def run_all(work: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    """Each item in one of some worker processes, as they are done."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=preload) as pool:
        waiting = {pool.submit(work, item): item for item in items}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def default_workers() -> int:
    # half of the time is spent waiting for the ledger's syncs and for a server that plays dead
    return 2 * (os.cpu_count() or 1)
