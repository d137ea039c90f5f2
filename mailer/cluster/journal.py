"""A worker's log for programs: one JSON object a line, of codes and numbers, with nothing in it that somebody else has worded.

A mail server's answer may hold an address, a name or a token of ours in any form, so no answer is repeated, not even in part: codes say
what it was about, and `mailer status` and `mailer report` tell the rest to who may know it.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from mailer.cluster.vitals import code_of
from mailer.errors import MailerError
from mailer.hours import Hours
from mailer.model import Outcome, Quota, Scope, Status, Verdict
from mailer.privacy import without_addresses

AGAIN = 60.0
"""Seconds until the same that is waited for is worth another line."""


class Counts:
    """What became of messages here since a worker began, by campaign."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[Status]] = {}

    def count(self, campaign: str, status: Status) -> None:
        self.counts.setdefault(campaign, Counter())[status] += 1

    def counts_of(self, campaign: str) -> dict[str, int]:
        counts = self.counts.get(campaign, Counter())
        return {status.value: counts[status] for status in Status if counts[status]}

    def total(self) -> int:
        """How many were handed over."""
        return sum(counts[Status.SENT] for counts in self.counts.values())

    def data(self) -> dict[str, object]:
        """What --json says at the end."""
        return {"campaigns": {campaign: self.counts_of(campaign) for campaign in self.counts}, "sent": self.total()}


class Journal(Counts):
    """Watches a worker. `write` gets lines without their ends."""

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        several: bool = False,
    ) -> None:
        super().__init__()
        self._write = write
        self._clock = clock
        self._several = several
        self.relay: str | None = None
        self._said_at: dict[object, datetime] = {}

    def of(self, relay: str) -> Journal:
        """The same journal, for what one of several relays does: each line names it."""
        mine = copy.copy(self)
        mine.relay = relay if self._several else None
        return mine

    # -- what a worker tells

    def working(self) -> None:
        self.note("working")

    def began(self, campaign: str) -> None:
        self.note("campaign begun", campaign=campaign)

    def batch_begun(self, campaign: str, batch: int, messages: int) -> None:
        self.note("batch begun", campaign=campaign, batch=batch, messages=messages)

    def batch_ended(self, campaign: str, batch: int, again: float | None) -> None:
        self.note("batch ended", campaign=campaign, batch=batch, again_at=_time(again), counts=self.counts_of(campaign))

    def recorded(self, campaign: str, status: Status, outcome: Outcome) -> None:
        self.count(campaign, status)
        if outcome.verdict is Verdict.SENT:
            return
        self.note(
            "not sent",
            level="warning" if status in {Status.FAILED, Status.UNCERTAIN} else "info",
            campaign=campaign,
            status=status.value,
            reason=outcome.scope.value,
            phase=outcome.phase.value,
            reply=outcome.reply.code if outcome.reply else None,
            enhanced=outcome.reply.enhanced if outcome.reply else None,
        )

    def finished(self, campaign: str) -> None:
        self.note("campaign finished", campaign=campaign, counts=self.counts_of(campaign))

    def halted(self, campaign: str, reason: MailerError) -> None:
        self.note(
            "campaign halted", level="error", campaign=campaign, reason=code_of(reason), counts=self.counts_of(campaign)
        )

    def unfit(self, campaign: str, reason: MailerError) -> None:
        self._note_seldom("left to others", level="warning", campaign=campaign, reason=code_of(reason))

    def waiting(self, campaign: str, what: Quota | Hours | None, until: float) -> None:
        self._note_seldom("waiting", campaign=campaign, keeping_to=str(what) if what else None, until=_time(until))

    def reconnecting(self, _why: str, delay: float) -> None:
        self._note_seldom("reconnecting", level="warning", delay=round(delay, 1))

    def silent(self, seconds: float, patience: float) -> None:
        self.note("mail server silent", level="warning", seconds=round(seconds), patience=round(patience))

    def resting(self, _reason: MailerError, until: float, about: Scope) -> None:
        self.note("resting", level="error", reason=about.value, until=_time(until))

    def lost(self, error: MailerError, delay: float) -> None:
        self.note("ledger lost", level="error", reason=code_of(error), delay=round(delay, 1))

    # -- lines

    def say(self, event: str, _sentence: str, *, level: str = "info", **more: object) -> None:
        """Of the worker itself, before it works."""
        self.note(event, level=level, **more)  # type: ignore[arg-type]

    def told(self, sentence: str) -> str:
        """A sentence of ours to whoever ends the worker, as a line."""
        return self.line("ending", message=sentence)

    def end(self) -> None:
        self.note("ended", sent=self.total())

    def note(self, event: str, *, level: str = "info", campaign: str | None = None, **more: object) -> None:
        """Write one line."""
        self._write(self.line(event, level=level, campaign=campaign, **more))

    def line(self, event: str, *, level: str = "info", campaign: str | None = None, **more: object) -> str:
        """An event in one line. What is None is left out."""
        said = {"time": _stamp(self._clock()), "level": level, "event": event, **more}
        said["campaign"] = None if campaign is None else without_addresses(campaign)
        said["relay"] = self.relay
        return json.dumps({name: value for name, value in said.items() if value is not None})

    def _note_seldom(self, event: str, *, level: str = "info", **more: object) -> None:
        """Not more than once a minute about the same."""
        now, key = self._clock(), (event, self.relay, more.get("campaign"), more.get("keeping_to"))
        if key not in self._said_at or (now - self._said_at[key]).total_seconds() >= AGAIN:
            self._said_at[key] = now
            self.note(event, level=level, **more)  # type: ignore[arg-type]


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(at: float | None) -> str | None:
    return None if at is None else _stamp(datetime.fromtimestamp(at, UTC))
