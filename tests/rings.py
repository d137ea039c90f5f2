"""Keyrings that can be looked at: one in a file, for programs that tests start, and one in memory."""

from __future__ import annotations

import json
from pathlib import Path

from keyring.backend import KeyringBackend

MODULE = """
import json, pathlib
from keyring.backend import KeyringBackend
class Filed(KeyringBackend):
    priority = 1
    file = pathlib.Path(__file__).with_name("ring.json")
    def entries(self): return json.loads(self.file.read_text()) if self.file.exists() else {}
    def get_password(self, service, username): return self.entries().get(f"{service} {username}")
    def set_password(self, service, username, password):
        self.file.write_text(json.dumps(self.entries() | {f"{service} {username}": password}))
"""
NONE = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
"""The environment of a computer without a keyring."""


def filed(folder: Path) -> dict[str, str]:
    """The environment of a program whose keyring is in this folder."""
    folder.mkdir(exist_ok=True)
    (folder / "filed_ring.py").write_text(MODULE, "utf-8")
    return {"PYTHON_KEYRING_BACKEND": "filed_ring.Filed", "PYTHONPATH": str(folder)}


def kept_in(folder: Path) -> dict[str, str]:
    """What that keyring holds, by service and user name."""
    file = folder / "ring.json"
    return json.loads(file.read_text()) if file.exists() else {}


class Kept(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password
