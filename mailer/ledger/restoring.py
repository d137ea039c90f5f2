"""What becomes of a ledger that was put back from a back-up: it does not know who was mailed since, so nobody is mailed by it unasked.

Whoever was to be mailed when the copy was made may have been mailed afterwards, of every campaign, also of one that had not begun. So all
of them are in doubt, as after a crash, until a mail server's log or a person decides.
"""

from __future__ import annotations

import time

from mailer.errors import BrokenLedgerError
from mailer.ledger.diary import note
from mailer.ledger.entries import Intent
from mailer.ledger.store import Store
from mailer.model import Happening

SINCE_A_COPY = "the ledger was put back from a back-up: nobody knows whether it was sent after that was made"
"""The reason of such a doubt. It also tells that no attempt in the ledger is known to be the last."""


class Restoring(Store):
    """A ledger that may be a copy."""

    @property
    def is_copy(self) -> bool:
        """Whether it is seen to be one that was put back. Of a file nobody can tell."""
        with self._db.plain_errors():
            return self._db.is_at_home() is False

    def refuse_copy(self) -> None:
        """Raises BrokenLedgerError for such a one: before anything is sent, or left to others to be sent."""
        with self._db.plain_errors():
            home = self._db.is_at_home()
        if home is None:
            # made before there were marks
            self.settle_in()
        elif not home:
            raise BrokenLedgerError(
                "The ledger on PostgreSQL was put back from a back-up, or a stand-by server has taken its place: it may not know"
                " who was mailed last. Nothing is sent from it until you have said what is to become of that.",
                hint="stop everything that sends, then: mailer ledger restored",
            )

    def refuse_without(self, known: Intent) -> None:
        """Raises BrokenLedgerError if an intent is not there that was durable once: then it is an older copy, for everybody from now on."""
        if not self._all("SELECT 1 FROM attempts WHERE token = ? AND delivery_id = ?", known.token, known.delivery):
            with self._db.plain_errors():
                self._db.leave_home()
            self.refuse_copy()

    def settle_in(self) -> None:
        """Nothing was sent since the copy was made: it goes on as it is."""
        self._db.settle_in()

    def doubt_open(self) -> dict[str, int]:
        """Put everybody in doubt who may have been mailed since: how many of each campaign. Call it under the locks of all campaigns."""
        now = time.time()
        doubted: dict[str, int] = {}
        with self._db.settling_in():
            open_ones = "status IN ('queued', 'deferred', 'sending')"
            self._db.execute("UPDATE attempts SET finished_at = ? WHERE finished_at IS NULL", (now,))
            for number, name in self._db.execute("SELECT id, name FROM campaigns ORDER BY id").fetchall():
                found = self._db.execute(
                    "UPDATE deliveries SET status = 'uncertain', reason = ?, token = NULL, next_attempt_at = NULL, updated_at = ?"
                    f" WHERE campaign_id = ? AND {open_ones}",
                    (SINCE_A_COPY, now, number),
                ).rowcount
                if found:
                    doubted[name] = found
                    note(self._db, number, Happening.PUT_BACK, number=found)
            self._db.execute("UPDATE campaigns SET owner = NULL, boot = NULL, wire_lines = 0")
        return doubted
