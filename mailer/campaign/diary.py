"""Keeps a campaign's diary while it is sent: what was waited for, and which connections broke, for people to read later."""

from __future__ import annotations

import time

from mailer.campaign.observer import Observer
from mailer.errors import MailerError, RelayStopped
from mailer.hours import Hours
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Delivery, Entry, Happening, Outcome, Quota, Status
from mailer.privacy import without_addresses

LONG = 90.0
"""Seconds of a wait that is worth a line: a limit by the minute waits again and again."""

AGAIN = 60.0
"""Seconds until the same trouble with the connection is worth another line."""

UNDER_WAY = frozenset({Happening.BEGUN, Happening.WAITING, Happening.RECONNECTING, Happening.SILENT})
"""What stands last in the diary while a run is under way, or after one that was killed."""

HINTED = "\n"
"""Between why a run ended and what to do about it."""


class Diarist:
    """Watches a run, and hands on all that it hears to another observer.

    A line that cannot be written at once is written with the next one, so that no program that writes beside holds up a run for it.
    """

    def __init__(self, observer: Observer, ledger: Ledger, campaign: CampaignRecord) -> None:
        self._observer, self._ledger, self._campaign = observer, ledger, campaign
        self._waiting: list[Entry] = []
        self._until = 0.0
        self._trouble, self._trouble_at = "", 0.0

    def recorded(self, delivery: Delivery, status: Status, outcome: Outcome) -> None:
        self._observer.recorded(delivery, status, outcome)

    def waiting(self, what: Quota | Hours | None, until: float) -> None:
        now = time.time()
        if until - now >= LONG and abs(until - self._until) >= 1:
            self._until = until
            self._note(Entry(at=now, kind=Happening.WAITING, until=until, text=str(what or "")))
        self._observer.waiting(what, until)

    def reconnecting(self, why: str, delay: float) -> None:
        now, words = time.time(), " ".join(without_addresses(why).split())
        if words != self._trouble or now - self._trouble_at >= AGAIN:
            self._trouble, self._trouble_at = words, now
            self._note(Entry(at=now, kind=Happening.RECONNECTING, until=now + delay, text=words))
        self._observer.reconnecting(why, delay)

    def silent(self, seconds: float, patience: float) -> None:
        self._note(Entry(at=time.time(), kind=Happening.SILENT, number=round(seconds)))
        self._observer.silent(seconds, patience)

    def _note(self, entry: Entry) -> None:
        self._waiting.append(entry)
        if self._ledger.write_diary(self._campaign, self._waiting, at_once=True):
            self._waiting = []


def note_begin(ledger: Ledger, campaign: CampaignRecord) -> None:
    """A run begins."""
    entry = Entry(at=time.time(), kind=Happening.BEGUN, number=int(ledger.tried(campaign)))
    ledger.write_diary(campaign, [entry])


def note_end(ledger: Ledger, campaign: CampaignRecord, reason: MailerError | None, *, work_left: bool) -> None:
    """A run has ended, and why. Where none was under way, or its end stands there, nothing is noted."""
    last = ledger.last_entry(campaign)
    if last is None or last.kind not in UNDER_WAY:
        return
    kind, words, until = Happening.FINISHED, "", None
    if work_left:
        until = ledger.next_turn(campaign, ledger.tally(campaign), time.time()) if reason is None else None
        kind = Happening.STOPPED if isinstance(reason, RelayStopped) else Happening.PAUSED
        words = HINTED.join(text for text in (reason.message, reason.hint) if text) if reason else ""
    ledger.write_diary(campaign, [Entry(at=time.time(), kind=kind, text=words, until=until)])
