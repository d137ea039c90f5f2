"""How another process of this program begins: it is the same `mailer`, wherever that lies."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import BinaryIO

import mailer


def command(module: str, function: str) -> list[str]:
    """The command that calls a function of ours in a process of its own, and ends with what that returns; arguments may follow.

    Not `-m`, which would look for every module in the campaign's folder first: a file `email.py` there is its owner's, not ours.
    """
    begin = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import mailer; sys.path.append(sys.path.pop(0)); "
        f"from {module} import {function}; sys.exit({function}())"
    )
    return [sys.executable, "-P", "-c", begin, str(Path(mailer.__file__).parents[1])]


def answers() -> BinaryIO:
    """Where such a process says what it was asked for. For one that makes messages, and called first."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # whatever else may be printed must not come between the answers
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.freeze()
    gc.set_threshold(50_000)  # a message leaves nothing behind that would have to be looked for after every few of them
    return out


def is_possible() -> bool:
    """Whether it is known how: an interpreter inside another program may not know what it was started by."""
    return bool(sys.executable)


def cores() -> int:
    """How many of the machine's cores may be ours; 1 where no process of ours could begin."""
    if not is_possible():
        return 1
    # Linux, and Python 3.13 elsewhere
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(ours, _allowed()))


def _allowed() -> int:
    """To how many cores' time a container is limited (Linux, cgroups of version 2)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return round(int(quota) / int(period))
    except (OSError, ValueError):
        return sys.maxsize
