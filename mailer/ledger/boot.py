"""Which start of this computer it is: tells a program that ended alone from a computer that went down under it."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

LINUX = Path("/proc/sys/kernel/random/boot_id")
SYSCTL = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")

BY_TIME, STEP, CLOCK_SET = "boot-", 30, 120
"""How Windows' starts are named, and seconds: what their time is rounded to, and by how much it may move."""


def this_start() -> str:
    """Names this start of this computer, to be compared with later ones: on a server, ledgers are used from several computers."""
    return f"{boot_id()} {socket.gethostname()}"


def has_passed(start: str) -> bool:
    """Whether that was an earlier start of this computer, and no other computer's."""
    before, _, host = start.partition(" ")
    return bool(before and boot_id() and not _is_same(before, boot_id()) and host in {"", socket.gethostname()})


def _is_same(one: str, other: str) -> bool:
    """Windows names a start by its time, which moves when the clock is set right: by two minutes at most."""
    if one.startswith(BY_TIME) and other.startswith(BY_TIME):
        return abs(int(one.removeprefix(BY_TIME)) - int(other.removeprefix(BY_TIME))) * STEP <= CLOCK_SET
    return one == other


@cache
def boot_id() -> str:
    """The same until the computer starts again; empty where the system does not say."""
    try:
        if sys.platform == "win32":
            return _windows()
        if LINUX.exists():
            return LINUX.read_text(encoding="ascii").strip()
        return subprocess.run(SYSCTL, capture_output=True, text=True, timeout=5, check=True).stdout.strip()  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def _windows() -> str:
    ticks: int = ctypes.windll.kernel32.GetTickCount64()  # type: ignore[attr-defined,unused-ignore]
    return f"{BY_TIME}{round((time.time() - ticks / 1000) / STEP)}"
