"""Run the workload under the shim, and read what the shim wrote down."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HEAD = struct.Struct("=BBHIq")


class CannotRecord(Exception):
    """There is no way to look under a program here; `str()` says why."""


class Entry(NamedTuple):
    """One line of the record; `powercut.c` says what the operations are."""

    operation: str
    name: str
    number: int
    data: bytes


def compile_shim(folder: Path) -> Path:
    """Raises CannotRecord."""
    if sys.platform != "linux":
        raise CannotRecord("simulated power cuts need Linux (LD_PRELOAD)")
    compiler = shutil.which("cc")
    if compiler is None:
        raise CannotRecord("simulated power cuts need a C compiler, and there is no cc here")
    shim = folder / "powercut.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(shim), str(HERE / "powercut.c"), "-ldl", "-lpthread"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise CannotRecord(f"cc cannot compile powercut.c: {made.stderr.strip()}")
    return shim


def record(shim: Path, folder: Path, *, seed: int, synchronous: str | None = None) -> list[Entry]:
    """What the workload did to a new ledger in `folder`, in order. Raises CannotRecord if that cannot be told."""
    disk, log = folder / "disk", folder / "record"
    disk.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.powercut.workload", str(disk.resolve() / "mailer.db"), "--seed", str(seed)]
    if synchronous:
        command += ["--synchronous", synchronous]
    # SQLITE_TMPDIR: what it spills is no part of the ledger
    environment = {
        **os.environ, "LD_PRELOAD": str(shim), "POWERCUT_FOLDER": str(disk.resolve()), "POWERCUT_LOG": str(log),
        "SQLITE_TMPDIR": str(folder),
    }  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise AssertionError(f"the workload failed: {done.stderr}")
    entries = list(read(log.read_bytes()))
    if not any(entry.operation == "W" for entry in entries):
        raise CannotRecord("this Python writes its databases past LD_PRELOAD")
    if blind := [entry.data.decode() for entry in entries if entry.operation == "X"]:
        raise CannotRecord(f"SQLite writes here in a way that is not recorded: {', '.join(blind)}")
    return entries


def read(log: bytes) -> Iterator[Entry]:
    view, place = memoryview(log), 0
    while place < len(log):
        operation, name_length, _, length, number = HEAD.unpack_from(log, place)
        middle = place + HEAD.size + name_length
        yield Entry(
            chr(operation),
            str(view[place + HEAD.size : middle], "utf-8"),
            number,
            bytes(view[middle : middle + length]),
        )
        place = middle + length
