"""Somebody at a terminal (POSIX only), who answers each question when it is asked, not before."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 30.0
CTRL_C = "\x03"


def sit(
    folder: Path, *arguments: str, answers: Sequence[tuple[str, str]], settings: Mapping[str, str]
) -> tuple[int, str]:
    """Run a command; when the first of each pair is on the screen, type the second. The exit code and all that was shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update(settings, PYTHONUTF8="1", NO_COLOR="1")
        os.environ.pop("COLUMNS", None)
        os.execv(sys.executable, [sys.executable, "-m", "mailer", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown, read = b"", 0
    for question, answer in answers:
        while question.encode() not in shown[read:]:
            assert select.select([terminal], [], [], PATIENCE)[0], shown.decode()
            shown += received(terminal) or ended(shown, question)
        read = len(shown)
        os.write(terminal, answer.encode())
    while more := received(terminal):
        shown += more
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code, shown.decode().replace("\r", "")


def received(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so that the other side is gone
        return b""


def ended(shown: bytes, question: str) -> bytes:
    raise AssertionError(f"never asked {question!r}: {shown.decode()}")
