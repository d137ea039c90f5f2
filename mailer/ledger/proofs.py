"""What the ledger knows that a mail server's log can be held against."""

from __future__ import annotations

from mailer.ledger.restoring import SINCE_A_COPY
from mailer.ledger.store import Store
from mailer.model import CampaignRecord
from mailer.postfix_log import QUEUED_AS, Doubt, Witness

NEAREST = 50
"""Witnesses on either side of a doubt: enough for a log that holds only some of them."""

RIVAL_SECONDS = 10.0
"""Attempts at one delivery closer together than this could be taken for each other."""

MANY = 1_000_000_000
"""Rivals, where nobody knows how many attempts there were."""


class Proofs(Store):
    """Doubts, and the messages of which the mail server itself said that it took them."""

    def doubtful(self, campaign: CampaignRecord) -> list[Doubt]:
        """The uncertain deliveries of a campaign, each with its last attempt and what can bear witness for its log."""
        query = (
            "SELECT d.message_id, d.key, a.account, a.started_at, (SELECT count(*) FROM attempts b"
            " WHERE b.delivery_id = d.id AND b.id < a.id AND coalesce(b.finished_at, b.started_at) > a.started_at - ?)"
            " FROM deliveries d JOIN attempts a ON a.id = (SELECT max(id) FROM attempts WHERE delivery_id = d.id)"
            " WHERE d.campaign_id = ? AND d.status = 'uncertain' AND d.reason <> ?"
        )
        doubts = [
            Doubt(message_id=message_id, key=key, began=at, rivals=rivals, witnesses=self._witnesses(account, at))
            for message_id, key, account, at, rivals in self._all(query, RIVAL_SECONDS, campaign.id, SINCE_A_COPY)
        ]
        # of these the ledger does not know the attempt. That one was taken, a log can prove; that none was, it cannot.
        since = (
            "SELECT message_id, key, updated_at FROM deliveries WHERE campaign_id = ? AND status = 'uncertain'"
            " AND reason = ? ORDER BY id"
        )
        return doubts + [
            Doubt(message_id=message_id, key=key, began=at, rivals=MANY, witnesses=())
            for message_id, key, at in self._all(since, campaign.id, SINCE_A_COPY)
        ]

    def _witnesses(self, account: str, at: float) -> tuple[Witness, ...]:
        """Messages of all campaigns, and tests, that the account's server took, those before and after a time."""
        query = (
            "SELECT nullif(d.message_id, ''), a.text, a.started_at, a.finished_at FROM attempts a"
            " LEFT JOIN deliveries d ON d.id = a.delivery_id WHERE a.account = ? AND a.verdict = 'sent'"
            " AND a.text IS NOT NULL"
        )
        rows = self._all(f"{query} AND a.finished_at < ? ORDER BY a.finished_at DESC LIMIT ?", account, at, NEAREST)
        rows += self._all(f"{query} AND a.finished_at >= ? ORDER BY a.finished_at LIMIT ?", account, at, NEAREST)
        return tuple(
            Witness(queue_id=match[1], message_id=message_id, began=began, ended=ended)
            for message_id, text, began, ended in rows
            if (match := QUEUED_AS.search(text))
        )
