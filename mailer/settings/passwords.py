"""Passwords from the system keyring, the only place that imports keyring; without one there is simply no password."""

from __future__ import annotations

import contextlib
import threading

SERVICE = "mailer"
PATIENCE = 60.0
"""Seconds: time enough to unlock a keyring by hand, yet a keyring service that never answers cannot hang a command."""


def find(username: str, host: str, *, patience: float = PATIENCE) -> str | None:
    """The password kept for this account, or None: no keyring, none kept, or the keyring failed."""
    found: list[str | None] = []

    def ask() -> None:
        # Back ends fail in their own ways (D-Bus, ctypes, missing modules); each means only: no password here.
        with contextlib.suppress(Exception):
            import keyring  # noqa: PLC0415  slow, and seldom needed

            found.append(keyring.get_password(SERVICE, f"{username}@{host}"))

    thread = threading.Thread(target=ask, name="keyring", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else None
