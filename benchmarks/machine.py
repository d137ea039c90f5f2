"""What the figures were measured on: enough to compare, nothing that names the computer or its folders."""

from __future__ import annotations

import functools
import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from . import peers
from .measure import ROOT, Skipped
from .servers import program


def describe() -> str:
    """A line for each thing that matters."""
    lines = (
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("memory", f"{_memory() / 2**30:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}"),
        ("Postfix (smtp-sink, smtp-source)", _postfix()),
        *((name, peers.version(name) or "not installed") for name in ("aiosmtplib", "uvloop", "mailmerge", "redmail")),
    )
    return "\n".join(f"- {name}: {value}" for name, value in lines)


def state() -> str:
    """What varies from run to run: which mailer, how long the disk takes to make a write durable, what else is going on."""
    others = f"{os.getloadavg()[0]:.1f} programs wanted to run in the minute before"
    return f"mailer {_commit()}; a durable write took {_sync() * 1000:.2f} ms; {others}"


def _processor() -> str:
    models = _values(Path("/proc/cpuinfo"), "model name")
    return " ".join(next(iter(models), platform.processor() or platform.machine()).split())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _values(file: Path, name: str) -> Iterable[str]:
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                yield value


def _postfix() -> str:
    try:
        ran = subprocess.run(
            [program("postconf"), "-d", "-h", "mail_version"], capture_output=True, encoding="utf-8", check=False
        )
    except Skipped:
        return "not installed"
    return ran.stdout.strip() or "unknown"


@functools.cache
def _commit() -> str:
    """The version, and the commit if this is a work tree of git, as it was before this run wrote a page into it."""
    from mailer import __version__  # noqa: PLC0415

    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    except OSError:
        return __version__
    return f"{__version__} ({ran.stdout.strip()})" if ran.returncode == 0 else __version__


def _sync() -> float:
    """Seconds to write a page and have it on the disk; half of the tries were shorter."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)
