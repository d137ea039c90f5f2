"""The durable record of campaigns, deliveries and attempts: the only source for resume and report."""

from mailer.ledger.campaigns import Row, Start
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.entries import Intent, Record
from mailer.ledger.figures import Grouped
from mailer.ledger.ledger import Ledger, require_server
from mailer.ledger.lock import AccountLock, DomainsLock, SenderLock, mark_interrupted, owner_in_words, put_back, settle
from mailer.ledger.memory import Digests, Prepared, Preview
from mailer.ledger.surroundings import odd_places
from mailer.ledger.wishes import taken_at, turn
from mailer.ledger.writer import Writer

__all__ = [
    "AccountLock",
    "Digests",
    "DomainsLock",
    "Grouped",
    "Intent",
    "Ledger",
    "LedgerKey",
    "Prepared",
    "Preview",
    "Record",
    "Row",
    "SenderLock",
    "Start",
    "Writer",
    "mark_interrupted",
    "odd_places",
    "owner_in_words",
    "put_back",
    "require_server",
    "settle",
    "taken_at",
    "turn",
]
