"""Suppressions: who is not to be mailed, why, and for which lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why somebody is not to be mailed, in the same words by whatever road it came."""

    UNSUBSCRIBED = "unsubscribed"
    COMPLAINT = "complaint"
    BOUNCE = "bounce"
    """The address is dead: its server refused the message at once, or sent it back."""
    MANUAL = "manual"
    IMPORTED = "imported"


EVERYWHERE = ""
"""The scope of a suppression that holds for every list."""


class Held(NamedTuple):
    """Why one person is held back: a `Reason`, and a note in free words, which may be empty."""

    reason: str
    note: str = ""

    @property
    def words(self) -> str:
        """What a report says."""
        return self.note or str(self.reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppressed:
    """Who is not to be mailed from one list.

    `entries` are addresses and @domains. `erased` are people whose address was erased, by its hash under each of the secrets.
    """

    entries: Mapping[str, Held] = field(default_factory=dict)
    erased: Mapping[bytes, Mapping[bytes, Held]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """One suppression as it is kept. `entry` is an address or @domain, None once it was erased.

    `hash` is HMAC-SHA256 of the entry under `secret` (RFC 2104). `scope` is the name of a list, or EVERYWHERE.
    """

    entry: str | None
    reason: Reason
    note: str = ""
    source: str
    since: datetime
    scope: str = EVERYWHERE
    hash: bytes = b""
    secret: bytes = b""
