"""Starts the real program, cold as a user does or from a warm process, so that a thousand kills take minutes.

A warm start is a fork of a process that has imported everything and run nothing: a process of its own, killed like any
other, without the second that importing takes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
"""Seconds after which a command that has not ended counts as hanging."""

PRELOADED = (
    "mailer.__main__",
    "mailer.campaign.send",
    "mailer.cli.check",
    "mailer.cli.decide",
    "mailer.cli.preview",
    "mailer.cli.report",
    "mailer.cli.send",
    "mailer.report",
    "mailer.settings",
    "pandas",
    "pyarrow.csv",
    "uvloop",
)


def preload() -> None:
    """Import what every start needs. Call once, in a process without threads."""
    # threads of a numeric library would not survive the fork
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    # a thousand starts must not compile the program a thousand times
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    for name in PRELOADED:
        importlib.import_module(name)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A program that has ended. `code` is negative for a signal, and None if it hung and was killed for that.

    `peak` is the most memory it held, in bytes; 0 for a program that was started cold.
    """

    code: int | None
    said: str
    peak: int = 0

    @property
    def hung(self) -> bool:
        return self.code is None

    @property
    def killed(self) -> bool:
        return self.code is not None and self.code < 0

    @property
    def traceback(self) -> bool:
        return "Traceback" in self.said or "This is a bug in mailer" in self.said


class Program:
    """One started command."""

    def __init__(self, pid: int, output: Path, cold: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.started = time.monotonic()
        self._output = output
        self._cold = cold
        self._code: int | None = None
        self._peak = 0

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        if self._code is None:
            if self._cold:
                self._code = self._cold.poll()
            else:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
                self._code = os.waitstatus_to_exitcode(status) if pid else None
                self._peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return self._code

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Until it ends, or is killed for hanging."""
        self.over_within(seconds)
        code = self.poll()
        if code is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            while self.poll() is None:
                time.sleep(0.003)
        return Ended(code=code, said=self.said(), peak=self._peak)

    def over_within(self, seconds: float) -> bool:
        """Whether it ends by itself so soon."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.003)
        return self.poll() is not None

    def said(self) -> str:
        """What it has said so far, and whatever it has started."""
        return self._output.read_text(encoding="utf-8", errors="replace")


def start(
    arguments: Sequence[str],
    *,
    folder: Path,
    output: Path,
    environment: Mapping[str, str],
    cold: bool = False,
    prepare: Callable[[], None] = lambda: None,
) -> Program:
    """Run `mailer ARGUMENTS` in a folder. `prepare` runs in the new process."""
    output.touch()  # it may be killed before it says anything
    if cold:
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "mailer", *arguments],
                cwd=folder,
                env={**clean(), **environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=prepare,  # noqa: PLW1509 - this process has no threads
                start_new_session=True,
            )
        return Program(process.pid, output, process)
    pid = os.fork()
    if pid == 0:
        _become_mailer(arguments, folder, output, environment, prepare)
    return Program(pid, output, None)


def clean() -> dict[str, str]:
    """Copy this environment without anybody's settings."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("MAILER_")}


def _become_mailer(
    arguments: Sequence[str],
    folder: Path,
    output: Path,
    environment: Mapping[str, str],
    prepare: Callable[[], None],
) -> None:
    """In the forked process; does not return."""
    code = 99
    try:
        _move_in(folder, output)
        kept = clean()
        os.environ.clear()
        os.environ.update({**kept, **environment})
        os.environ["PYTHONPATH"] = str(ROOT)
        # the one module that reads the environment when it is imported
        importlib.reload(importlib.import_module("mailer.crashpoint"))
        sys.argv = ["mailer", *arguments]
        prepare()
        code = importlib.import_module("mailer.__main__").main(list(arguments))
    except BaseException as error:  # noqa: BLE001 - whatever comes this far is a traceback for the user
        with contextlib.suppress(BaseException):
            print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _move_in(folder: Path, output: Path) -> None:
    os.setsid()
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, handler)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (descriptor, 1), (descriptor, 2)):
        os.dup2(source, target)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    # by lines, like the other: half a line that waits would be torn apart by what goes to the same file meanwhile
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(folder)


def limited(*, memory: int | None = None, file_size: int | None = None, cpu: int | None = None) -> Callable[[], None]:
    """A `prepare` that bounds a process: bytes of addresses beyond what it has, bytes of a file, seconds of CPU."""

    def limit() -> None:
        if memory:
            bound = used_memory() + memory
            resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        if cpu:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))

    return limit


def used_memory() -> int:
    """Bytes of address space of this process."""
    status = Path("/proc/self/statm")
    return int(status.read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGESIZE") if status.exists() else 2**31
