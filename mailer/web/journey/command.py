"""Commands that the page runs beside itself: the very ones that somebody would type."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, cast

from mailer.model.said import revived
from mailer.web.journey.means import Means

# A process group of its own: Ctrl-C in the page's terminal is the page's, which then asks what it sends to pause.
APART: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if os.name == "nt"
    else {"start_new_session": True}
)

LINES = 200
MOST_WORDS = 256_000
"""Octets of what a command says that are looked at, its end: one that watches for weeks says more."""


@dataclass(eq=False)
class Command:
    """A command that runs, or has ended. It writes into files, not into pipes: the page may end before it does."""

    process: asyncio.subprocess.Process
    _said: IO[bytes] = field(repr=False)
    _object: IO[bytes] = field(repr=False)
    _reading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.returncode

    def words(self) -> list[str]:
        """What it has said to people, line by line, the newest last."""
        text = self._end_of(self._said, MOST_WORDS).decode("utf-8", "replace").replace("\r", "\n")
        return [line.rstrip() for line in text.split("\n") if line.strip()][-LINES:]

    def result(self) -> dict[str, Any]:
        """The object that it printed; empty if there is none."""
        try:
            found = json.loads(self._end_of(self._object) or b"{}")
        except ValueError:
            return {}
        if not isinstance(found, dict):
            return {}
        made_of = found.pop("made_of", None)
        return cast("dict[str, Any]", revived(found, made_of) if isinstance(made_of, dict) else found)

    def _end_of(self, file: IO[bytes], most: int | None = None) -> bytes:
        """What is in a file, or its last octets: for several tabs at once, while the command may be writing there."""
        with self._reading:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - most) if most else 0
            if pread := getattr(os, "pread", None):
                # the command writes where the file's place is, which is one for both: to move it would be to write over its words
                return bytes(pread(file.fileno(), size - start, start))
            file.seek(start)
            return file.read()


async def run(means: Means, arguments: Sequence[str]) -> Command:
    """Start a command of mailer in the campaign folder, with --json."""
    said, found = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - they live as long as the command
    process = await asyncio.create_subprocess_exec(
        *means.command,
        *arguments[:1],
        "--json",
        *arguments[1:],  # the end of them may be names, behind `--`
        stdin=subprocess.DEVNULL,
        stdout=found,
        stderr=said,
        cwd=means.folder,
        env={
            **os.environ,
            **means.environment,
            "PYTHONUTF8": "1",
            "MAILER_JSON_PARTS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        },
        **APART,
    )
    made = Command(process, said, found)
    for file in (said, found):
        weakref.finalize(made, file.close)  # whoever looks at it last lets go of it, in whatever thread
    return made
