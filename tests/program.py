"""The `mailer` command as a user runs it: a process of its own, in the campaign's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import starting

COMMAND = (sys.executable, "-m", "mailer")
SAMPLES = Path(__file__).resolve().parent.parent


@dataclass(kw_only=True, slots=True)
class Program:
    """Runs commands in a folder, with these settings beside what the environment has."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        words = [*COMMAND, *map(str, arguments)]
        environment = os.environ | {"PYTHONUTF8": "1", "COLUMNS": "80"} | self.settings
        done = starting.run(
            words, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
            timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def begin(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start a command and go on."""
        environment = os.environ | {"PYTHONUTF8": "1", "COLUMNS": "80"} | self.settings
        return starting.start(
            [*COMMAND, *map(str, arguments)], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def json(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """The one object that a command prints with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)


def copy_samples(folder: Path) -> Path:
    """The sample letters and lists of this project, in a campaign folder."""
    for name in ("templates", "contacts"):
        shutil.copytree(SAMPLES / name, folder / name)
    return folder
