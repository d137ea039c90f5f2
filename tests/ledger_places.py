"""Where the ledger of a test is: in a file, or in a database of its own on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from postgres_server import PostgresServer

from mailer.model import LedgerPlace, Server

KINDS = ("file", "server")

over_both = pytest.mark.parametrize("ledger", KINDS, indirect=True)
"""For tests whose module has its ledger in a file otherwise."""


@contextmanager
def place_of(request: pytest.FixtureRequest, folder: Path, kind: str | None = None) -> Iterator[LedgerPlace]:
    """For a fixture whose parameters are among KINDS, or that says which kind it wants."""
    if (kind or request.param) == "file":
        yield folder / "mailer.db"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database() as name:
            yield Server(address=server.address(name))


def setting(place: LedgerPlace) -> str:
    """As MAILER_LEDGER says it."""
    return f"sqlite:///{place}" if isinstance(place, Path) else place.address
