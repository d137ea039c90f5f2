"""Passwords in the system keyring, the only place that imports keyring; without one there is simply no password."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

SERVICE = "mailer"
KEY = "encryption key"
PATIENCE = 60.0
"""Seconds: time enough to unlock a keyring by hand, yet a keyring service that never answers cannot hang a command."""


def find(username: str, host: str, *, patience: float = PATIENCE) -> str | None:
    """The password kept for this account, or None: no keyring, none kept, or the keyring failed."""
    return _find(f"{username}@{host}", patience)


def keep(username: str, host: str, password: str, *, patience: float = PATIENCE) -> bool:
    """Whether the keyring has taken the password for this account."""
    return _keep(f"{username}@{host}", password, patience)


def find_key() -> str | None:
    """The key of encrypted ledgers and lists that `keep_key` kept, or None as above."""
    return _find(KEY, PATIENCE)


def keep_key(key: str) -> bool:
    """Whether the keyring has taken the key of encrypted ledgers and lists."""
    return _keep(KEY, key, PATIENCE)


def _find(name: str, patience: float) -> str | None:
    def ask() -> str | None:
        import keyring  # noqa: PLC0415  slow, and seldom needed

        return keyring.get_password(SERVICE, name)

    return _answer(ask, patience)


def _keep(name: str, secret: str, patience: float) -> bool:
    """Keep it, and read it back, since some keyrings take and forget."""

    def ask() -> bool:
        import keyring  # noqa: PLC0415  slow, and seldom needed

        keyring.set_password(SERVICE, name, secret)
        return keyring.get_password(SERVICE, name) == secret

    return bool(_answer(ask, patience))


def _answer(ask: Callable[[], Found], patience: float) -> Found | None:
    found: list[Found] = []

    def asking() -> None:
        # Back ends fail in their own ways (D-Bus, ctypes, missing modules); each means only: no password here.
        with contextlib.suppress(Exception):
            found.append(ask())

    thread = threading.Thread(target=asking, name="keyring", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else None
