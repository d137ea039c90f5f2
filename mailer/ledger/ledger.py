"""The ledger as the steps use it."""

from __future__ import annotations

from typing import Self

from mailer.ledger.campaigns import Campaigns
from mailer.ledger.deliveries import Deliveries
from mailer.ledger.diary import Diary
from mailer.ledger.events import Events
from mailer.ledger.figures import Figures
from mailer.ledger.memory import Memory
from mailer.ledger.proofs import Proofs
from mailer.ledger.suppressions import Suppressions


class Ledger(Campaigns, Deliveries, Diary, Events, Figures, Memory, Proofs, Suppressions):
    """One SQLite file. Reads and single decisions happen here; outcomes go through `Writer`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def secret(self) -> bytes:
        """Random bytes of this ledger: with them Message-IDs are stable, and tell nobody the address."""
        return bytes(self._one("SELECT value FROM meta WHERE key = 'secret'")[0])
