"""The ledger on a PostgreSQL server: the only place that imports psycopg, and only for whoever has such a ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mailer.errors import SettingsError

if TYPE_CHECKING:
    from mailer.ledger.database import Database
    from mailer.ledger.ledger import Ledger
    from mailer.ledger.postgres.moving import Moved
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


def mover() -> Callable[[Ledger, Ledger, str | None], Moved]:
    """`moving.move`, which needs the library that `connected` has found."""
    from mailer.ledger.postgres.moving import move  # noqa: PLC0415 - optional

    return move
