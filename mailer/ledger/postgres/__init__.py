"""The ledger on a PostgreSQL server: the only place that imports psycopg, and only for whoever has such a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailer.errors import SettingsError

if TYPE_CHECKING:
    from mailer.ledger.database import Database
    from mailer.model import Server

INSTALL = 'python -m pip install "psycopg[binary]"'
"""What the extra `postgresql` installs."""


def connected(place: Server, *, create: bool) -> Database:
    """The database at this address. Raises LedgerError, CampaignError, SettingsError without the library."""
    try:
        from mailer.ledger.postgres.database import Postgres  # noqa: PLC0415 - optional
    except ImportError as error:
        raise SettingsError("A ledger on PostgreSQL needs a library that is not installed.", hint=INSTALL) from error
    return Postgres(place, create=create)
