"""Campaigns that the page was asked to send, and goes on with by itself until they are done: said in the ledger, for every page."""

from __future__ import annotations

import secrets

from mailer.ledger.store import Store

WISH = "goes-on:"


class Wishes(Store):
    """The wish to keep sending, with a mark of whose turn it was last to begin: among several pages one is first."""

    def wish(self, name: str, mark: bytes = b"") -> None:
        """Have the campaign gone on with from now on; a new mark takes the place of an older one."""
        statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self._run(statement, WISH + name, mark)

    def wishes(self) -> dict[str, bytes]:
        """The campaigns that are gone on with, and their marks."""
        rows = self._all("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ? ORDER BY key", len(WISH), WISH)
        return {key.removeprefix(WISH): bytes(mark) for key, mark in rows}

    def take_turn(self, name: str, seen: bytes, mark: bytes) -> bool:
        """Begin it, if nobody has since the mark was seen: of two that try at once, one may."""
        statement = "UPDATE meta SET value = ? WHERE key = ? AND value = ?"
        return self._run(statement, mark, WISH + name, seen) == 1

    def forget_wish(self, name: str, seen: bytes | None = None) -> bool:
        """Leave it to a person to go on, unless its mark is another by now; whether it would have gone on by itself."""
        if seen is None:
            return self._run("DELETE FROM meta WHERE key = ?", WISH + name) > 0
        return self._run("DELETE FROM meta WHERE key = ? AND value = ?", WISH + name, seen) > 0


def turn(now: float) -> bytes:
    """A mark that no other page makes: when the turn was taken, and chance."""
    return f"{now:.3f} {secrets.token_hex(8)}".encode("ascii")


def taken_at(mark: bytes) -> float:
    """When the turn was taken; 0 if it is nobody's."""
    try:
        return float(mark.partition(b" ")[0] or 0)
    except ValueError:
        return 0.0
