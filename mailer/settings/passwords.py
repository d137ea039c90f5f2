"""Passwords from the system keyring, the only place that imports keyring; without one there is simply no password."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

SERVICE = "mailer"
KEY = "encryption key"
PATIENCE = 60.0
"""Seconds: time enough to unlock a keyring by hand, yet a keyring service that never answers cannot hang a command."""


def find(username: str, host: str, *, patience: float = PATIENCE) -> str | None:
    """The password kept for this account, or None: no keyring, none kept, or the keyring failed."""
    return _kept(f"{username}@{host}", patience)


def find_key() -> str | None:
    """The key of encrypted ledgers and lists that `keep_key` kept, or None as above."""
    return _kept(KEY, PATIENCE)


def keep_key(key: str) -> bool:
    """Keep the key of encrypted ledgers and lists. Whether the keyring really has it now."""

    def keep() -> None:
        with contextlib.suppress(Exception):
            import keyring  # noqa: PLC0415  slow, and seldom needed

            keyring.set_password(SERVICE, KEY, key)

    _in_time(keep, PATIENCE)
    return find_key() == key


def _kept(name: str, patience: float) -> str | None:
    found: list[str | None] = []

    def ask() -> None:
        # Back ends fail in their own ways (D-Bus, ctypes, missing modules); each means only: no password here.
        with contextlib.suppress(Exception):
            import keyring  # noqa: PLC0415  slow, and seldom needed

            found.append(keyring.get_password(SERVICE, name))

    _in_time(ask, patience)
    return found[0] if found else None


def _in_time(task: Callable[[], None], patience: float) -> None:
    thread = threading.Thread(target=task, name="keyring", daemon=True)
    thread.start()
    thread.join(patience)
