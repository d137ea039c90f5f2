"""The durable record of campaigns, deliveries and attempts: the only source for resume and report."""

from mailer.ledger.lock import SenderLock
from mailer.ledger.store import Ledger, Preview, Row, Start
from mailer.ledger.writer import Intent, Record, Writer

__all__ = ["Intent", "Ledger", "Preview", "Record", "Row", "SenderLock", "Start", "Writer"]
