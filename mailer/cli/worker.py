"""`mailer worker`: sends what was left to workers, until it is told to end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.detaching import installed
from mailer.cli.options import (
    JsonOption,
    RateOption,
    joined,
    limits_of,
    overrides,
    relay_of,
    settings_here,
    signer_of,
)
from mailer.cli.progress import CHANGING, in_words
from mailer.cli.send import loop_factory
from mailer.cli.standing import QUEUE, WORDS
from mailer.cli.stopping import stopping
from mailer.cli.unlocking import open_ledger
from mailer.errors import MailerError, quoted
from mailer.hours import Hours
from mailer.model import Quota, Status
from mailer.privacy import without_addresses
from mailer.times import local_time

if TYPE_CHECKING:
    from mailer.cluster.terms import Terms
    from mailer.cluster.worker import Worker
    from mailer.settings import Settings

TELL_SECONDS = 30.0
"""From one line with counts to the next."""

WORTH_SAYING = 5.0


def worker(
    *,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", metavar="NAME", help="Take from this queue only (mailer); may be given twice."),
    ] = None,
    rate: RateOption = None,
    connections: Annotated[
        int | None, typer.Option("--connections", metavar="N", help="Connections at the same time (1).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send what was left to workers (mailer send --detach), until Ctrl-C.

    Start one on each computer that sends, as often as you like: they share the work, and look after each other. It needs a
    ledger on PostgreSQL, and this computer's own mail account. Ctrl-C, or SIGTERM from a service, ends it tidily.

    \b
    Example:
      mailer worker --connections 4
    """  # noqa: D301
    from mailer.ledger import require_server  # noqa: PLC0415

    settings = settings_here(overrides(rate=joined(rate), connections=connections), to_send=True)
    log = Log()
    with installed():
        from mailer.cluster.worker import Worker  # noqa: PLC0415 - optional
    # not opened here: a server that is just starting is waited for
    require_server(settings.ledger_place)
    terms = terms_of(settings, tuple(queue or [QUEUE]), log)
    queues = "" if terms.queues == (QUEUE,) else f", queue {', '.join(terms.queues)}"
    console.note(
        f"Working for the campaigns that are left to workers{queues}: up to {terms.lines} at a time over"
        f" {settings.smtp_host}. Ctrl-C ends it tidily."
    )

    async def main(stops: stopping) -> None:
        working = Worker(terms)
        stops.attach(Ending(working))
        await working.run()

    with (
        stopping(as_json=as_json, what="Ending") as stops,
        asyncio.Runner(loop_factory=loop_factory() or asyncio.SelectorEventLoop) as runner,
    ):
        runner.run(main(stops))
    log.tell()
    if as_json:
        console.emit(log.data())
    else:
        console.say(f"Ended. {log.total():,} messages were handed over from here." if log.total() else "Ended.")


class Ending:
    """What Ctrl-C stops."""

    def __init__(self, working: Worker) -> None:
        self._working = working

    def stop(self, _reason: MailerError) -> None:
        self._working.stop()


def terms_of(settings: Settings, queues: tuple[str, ...], log: Log) -> Terms:
    """What the settings of this computer give a worker. Raises SettingsError for what is missing."""
    from mailer.campaign.run import RunOptions  # noqa: PLC0415
    from mailer.cluster.terms import Terms  # noqa: PLC0415

    failures, percent = settings.bounce_brake or (None, 100.0)
    complaints, complaint_percent = settings.complaint_brake or (None, 100.0)
    return Terms(
        open_ledger=lambda: open_ledger(settings),
        relay=relay_of(settings),
        reporter=log,
        limits=limits_of(settings),
        options=RunOptions(
            batch_pause=settings.batch_pause,
            connections=settings.connections,
            bounce_failures=failures,
            bounce_percent=percent,
            complaints=complaints,
            complaint_percent=complaint_percent,
        ),
        queues=queues,
        signer=signer_of(settings),
    )


class Log:
    """A few calm lines on standard error; no addresses."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[Status]] = {}
        self._told: dict[str, int] = {}
        self._tell_at = time.monotonic() + TELL_SECONDS
        self._said: set[str] = set()

    # -- what a worker tells

    def began(self, campaign: str) -> None:
        if campaign not in self._counts:
            self._counts[campaign] = Counter()
            self._say(f"Campaign {campaign}: working for it.")

    def recorded(self, campaign: str, status: Status) -> None:
        self._counts[campaign][status] += 1
        self._said.clear()
        if time.monotonic() >= self._tell_at:
            self.tell()

    def finished(self, campaign: str) -> None:
        self.tell()
        self._say(f"Campaign {campaign}: finished. The report: mailer report {quoted(campaign)}")

    def halted(self, campaign: str, reason: MailerError) -> None:
        self.tell()
        self._say(f"Campaign {campaign}: no worker works for it any more. {reason.message}")
        self._say(f"To look at it:  mailer status {quoted(campaign)}")

    def unfit(self, campaign: str, reason: MailerError) -> None:
        self._say_once(f"Campaign {campaign}: left to other workers. {reason.message}")
        if reason.hint:
            self._say_once(f"Way out: {reason.hint}")

    def waiting(self, campaign: str, what: Quota | Hours | None, until: float) -> None:
        if what and until - time.time() >= WORTH_SAYING:
            self._say_once(f"Campaign {campaign}: keeping to {what}; waiting where it must.")

    def reconnecting(self, why: str, delay: float) -> None:
        if delay >= WORTH_SAYING:
            reason = without_addresses(" ".join(console.harmless(why).split())).rstrip(".")
            self._say_once(f"{CHANGING.sub('', reason)}; trying again.")

    def silent(self, seconds: float, patience: float) -> None:
        self._say(f"The mail server has not answered for {in_words(seconds)}; waiting up to {in_words(patience)}.")

    def resting(self, reason: MailerError, until: float) -> None:
        self.tell()
        self._say(f"{reason.message} Resting until {local_time(until)}, and then going on.")

    def lost(self, error: MailerError, delay: float) -> None:
        self._say_once(f"{error.message} Trying again in {in_words(delay)}, and then again and again.")

    # -- lines

    def tell(self) -> None:
        """How far each campaign is, where that has changed."""
        self._tell_at = time.monotonic() + TELL_SECONDS
        for campaign, counts in self._counts.items():
            if counts.total() != self._told.get(campaign, 0):
                self._told[campaign] = counts.total()
                parts = [
                    f"{counts[status]:,} {words.partition(':')[0]}" for status, words in WORDS.items() if counts[status]
                ]
                self._say(f"Campaign {campaign}: {', '.join(parts)}.")

    def total(self) -> int:
        return sum(counts[Status.SENT] for counts in self._counts.values())

    def data(self) -> dict[str, object]:
        """What --json says at the end."""
        return {
            "campaigns": {
                campaign: {status.value: counts[status] for status in Status if counts[status]}
                for campaign, counts in self._counts.items()
            },
            "sent": self.total(),
        }

    def _say(self, sentence: str) -> None:
        console.note(f"{time.strftime('%H:%M:%S')}  {sentence}")

    def _say_once(self, sentence: str) -> None:
        """Until a message has gone through again."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)
