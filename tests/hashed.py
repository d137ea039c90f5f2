"""Somebody who is known by a hash only, as when an export of hashes is imported: kept out, while campaigns still have the address."""

from __future__ import annotations

from datetime import UTC, datetime

from mailer.ledger import Ledger
from mailer.model import EVERYWHERE, Reason, Suppression
from mailer.suppression import fingerprint


def keep_as_hash(ledger: Ledger, key: str, scope: str = EVERYWHERE) -> None:
    """In place of the address, if that is suppressed."""
    secret = ledger.suppression_secrets()[0]
    ledger.unsuppress([key], scope=scope)
    known = Suppression(
        entry=None,
        reason=Reason.MANUAL,
        source="imported from hashes.csv",
        since=datetime.now(UTC),
        scope=scope,
        hash=fingerprint(secret, key),
        secret=secret,
    )
    assert ledger.take_over([known]) == [True]
