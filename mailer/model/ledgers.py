"""Where a ledger is kept: in a file, or in a database on PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A database on PostgreSQL. A password may stand in its address, so nothing ever shows it."""

    address: str = field(repr=False)

    def __str__(self) -> str:
        return "on PostgreSQL"


LedgerPlace = Path | Server
