"""Runs a command and tells what it cost: seconds on the clock, seconds of CPU, memory; and the median of many runs."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

ROOT = Path(__file__).parents[1]
PATIENCE = 1800.0
"""Seconds after which a command is given up."""

LAST_WORDS = 200_000
"""Bytes."""

KILOBYTE = 1 if sys.platform == "darwin" else 1024
"""What ru_maxrss counts in."""


Result = TypeVar("Result")


class Failed(Exception):
    """A run did not do its work, so its time means nothing."""


class Skipped(Exception):
    """Something is missing here without which this cannot be measured."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a command took, with all processes that it started and waited for.

    `cpu` is user and system time; `peak` the most resident memory of its largest process, in bytes; `began` by
    time.monotonic(), which all processes of a computer share.
    """

    began: float
    seconds: float
    cpu: float
    peak: int
    code: int
    said: str

    @property
    def small(self) -> bool:
        """Whether `peak` may be that of this process: a new process counts what the one that started it held."""
        return self.peak <= 1.02 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def run(
    command: Sequence[str | Path],
    *,
    folder: Path,
    allowed: Iterable[int] = (0,),
    patience: float = PATIENCE,
    environment: Mapping[str, str] | None = None,
) -> Spent:
    """Run a command to its end. Raises Failed if it ends with another code than those allowed."""
    output = folder / "output.txt"
    with output.open("wb") as file:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**clean(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        watch = threading.Timer(patience, process.kill)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            watch.cancel()
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)  # lest Popen wait for it again
    spent = Spent(
        began=began,
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * KILOBYTE,
        code=process.returncode,
        said=_last_words(output),
    )
    if spent.code not in set(allowed):
        ended = f"was given up after {patience:.0f} s" if seconds >= patience else f"ended with {spent.code}"
        said = " ".join(spent.said.replace(str(folder), "...").split())
        raise Failed(f"{Path(str(command[0])).name} {ended}: {said[-300:]}")
    return spent


def _last_words(output: Path) -> str:
    """The end of what was said: some tell everything, and this process must stay small (see Spent.small)."""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - LAST_WORDS))
        return file.read().decode("utf-8", errors="replace")


def clean() -> dict[str, str]:
    """Copy this environment without anybody's settings; the mailer of this folder; nobody compiles it at each start."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MAILER_")}
    return {name: value for name, value in kept.items() if name not in dropped} | {
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }


class Rounds(Generic[Result]):
    """What each contender did, round by round; of those that could not, why."""

    def __init__(self) -> None:
        self.results: dict[str, list[Result]] = {}
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    def median(self, name: str, value: Callable[[Result], float]) -> float:
        return statistics.median(value(result) for result in self.results[name])

    def range(self, name: str, value: Callable[[Result], float]) -> tuple[float, float]:
        values = [value(result) for result in self.results[name]]
        return min(values), max(values)

    def ratio(self, name: str, other: str, value: Callable[[Result], float]) -> float:
        """The median over the rounds of how many times as large it was: what slows a whole round cancels out."""
        pairs = zip(self.results[name], self.results[other], strict=False)
        return statistics.median(value(one) / value(two) for one, two in pairs)


def interleaved(contenders: Mapping[str, Callable[[], Result]], times: int) -> Rounds[Result]:
    """Let all contenders run in turn, so often, each second round backwards: a noisy machine is noisy for everybody."""
    rounds: Rounds[Result] = Rounds()
    for number in range(times):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            if name in rounds.failed or name in rounds.skipped:
                continue
            began = time.monotonic()
            try:
                rounds.results.setdefault(name, []).append(contenders[name]())
            except Failed as reason:
                rounds.failed[name] = str(reason)
            except Skipped as reason:
                rounds.skipped[name] = str(reason)
            said = rounds.failed.get(name) or rounds.skipped.get(name) or f"{time.monotonic() - began:.1f} s"
            print(f"  {number + 1}/{times} {name}: {said}", file=sys.stderr, flush=True)
    for name in (*rounds.failed, *rounds.skipped):
        rounds.results.pop(name, None)
    return rounds
