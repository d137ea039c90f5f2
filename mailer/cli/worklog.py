"""What `mailer worker` says while it works: calm lines for people."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable

from mailer.cli import console
from mailer.cli.progress import CHANGING, in_words
from mailer.cli.standing import WORDS
from mailer.cluster.journal import Counts
from mailer.errors import MailerError, quoted
from mailer.hours import Hours
from mailer.model import Outcome, Quota, Scope, Status
from mailer.privacy import without_addresses
from mailer.times import local_time

TELL_SECONDS = 30.0
"""From one line with counts to the next."""

WORTH_SAYING = 5.0


class Log(Counts):
    """A few calm lines on standard error; no addresses. Where there are several relays, each line that is about one names it."""

    def __init__(self, *, several: bool = False) -> None:
        super().__init__()
        self._several = several
        self.about = ""
        self._told: dict[str, int] = {}
        self._tell_at = [time.monotonic() + TELL_SECONDS]
        self._said: set[str] = set()

    def of(self, relay: str) -> Log:
        """The same log, for what is about this relay."""
        mine = copy.copy(self)
        mine.about = f"Relay {relay}: " if self._several else ""
        return mine

    # -- what a worker tells

    def working(self) -> None: ...

    def batch_begun(self, campaign: str, batch: int, messages: int) -> None: ...

    def batch_ended(self, campaign: str, batch: int, again: float | None) -> None: ...

    def began(self, campaign: str) -> None:
        if campaign not in self.counts:
            self.counts[campaign] = Counter()
            self._say(f"Campaign {campaign}: working for it.")

    def recorded(self, campaign: str, status: Status, _outcome: Outcome) -> None:
        self.count(campaign, status)
        self._said.clear()
        if time.monotonic() >= self._tell_at[0]:
            self.tell()

    def finished(self, campaign: str) -> None:
        self.tell()
        self._say(f"Campaign {campaign}: finished. The report: mailer report {quoted(campaign)}")

    def halted(self, campaign: str, reason: MailerError) -> None:
        self.tell()
        self._say(f"Campaign {campaign}: no worker works for it any more. {reason.message}")
        self._say(f"To look at it:  mailer status {quoted(campaign)}")

    def unfit(self, campaign: str, reason: MailerError) -> None:
        self._say_once(f"{self.about}Campaign {campaign}: left to other workers. {reason.message}")
        if reason.hint:
            self._say_once(f"Way out: {reason.hint}")

    def waiting(self, campaign: str, what: Quota | Hours | None, until: float) -> None:
        if what and until - time.time() >= WORTH_SAYING:
            self._say_once(f"{self.about}Campaign {campaign}: keeping to {what}; waiting where it must.")

    def reconnecting(self, why: str, delay: float) -> None:
        if delay >= WORTH_SAYING:
            reason = without_addresses(" ".join(console.harmless(why).split())).rstrip(".")
            self._say_once(f"{self.about}{CHANGING.sub('', reason)}; trying again.")

    def silent(self, seconds: float, patience: float) -> None:
        silence = f"The mail server has not answered for {in_words(seconds)}; waiting up to {in_words(patience)}."
        self._say(f"{self.about}{silence}")

    def resting(self, reason: MailerError, until: float, _about: Scope) -> None:
        self.tell()
        others = " The others go on." if self._several else ""
        self._say(f"{self.about}{reason.message} Resting until {local_time(until)}, and then going on.{others}")

    def lost(self, error: MailerError, delay: float) -> None:
        self._say_once(f"{error.message} Trying again in {in_words(delay)}, and then again and again.")

    # -- lines

    told: Callable[[str], str] | None = None
    """Sentences are lines as they are."""

    def say(self, _event: str, sentence: str, *, level: str = "info", **_more: object) -> None:
        """Of the worker itself, before it works."""
        console.note(sentence, style="bold yellow" if level == "warning" else None)

    def end(self) -> None:
        self.tell()

    def tell(self) -> None:
        """How far each campaign is, where that has changed."""
        self._tell_at[0] = time.monotonic() + TELL_SECONDS
        for campaign, counts in self.counts.items():
            if counts.total() != self._told.get(campaign, 0):
                self._told[campaign] = counts.total()
                parts = [
                    f"{counts[status]:,} {words.partition(':')[0]}" for status, words in WORDS.items() if counts[status]
                ]
                self._say(f"Campaign {campaign}: {', '.join(parts)}.")

    def _say(self, sentence: str) -> None:
        console.note(f"{time.strftime('%H:%M:%S')}  {sentence}")

    def _say_once(self, sentence: str) -> None:
        """Until a message has gone through again."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)
