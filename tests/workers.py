"""Workers in the test's own process, and what they tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from campaigns import AT_ONCE, relay_to
from smtp_server import ScriptedServer

from mailer.campaign.run import RunOptions
from mailer.cluster.engine import Jobs
from mailer.cluster.rhythm import Rhythm
from mailer.cluster.terms import Terms
from mailer.cluster.worker import Crew
from mailer.errors import MailerError
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Outcome, Quota, Scope, Server, Status

QUICK = Rhythm(
    round=0.05, reconcile=0.1, strays=0.2, polling=0.05, heartbeat=0.2, stalled=1.0, pause=0.1, idle=0.1, overview=0.1,
    patience=1.0, unreachable=(0.2,), ledger=(0.1,), account=(0.5,),
)  # fmt: skip


@dataclass
class Told:
    """What a worker told."""

    records: Counter[Status] = field(default_factory=Counter)
    said: list[tuple[str, str]] = field(default_factory=list)
    on_record: Callable[[], None] = lambda: None

    def began(self, campaign: str) -> None:
        self.said.append(("began", campaign))

    def working(self) -> None:
        self.said.append(("working", ""))

    def batch_begun(self, campaign: str, _batch: int, _messages: int) -> None:
        self.said.append(("batch begun", campaign))

    def batch_ended(self, campaign: str, _batch: int, _again: float | None) -> None:
        self.said.append(("batch ended", campaign))

    def recorded(self, _campaign: str, status: Status, _outcome: Outcome) -> None:
        self.records[status] += 1
        self.on_record()

    def finished(self, campaign: str) -> None:
        self.said.append(("finished", campaign))

    def halted(self, _campaign: str, reason: MailerError) -> None:
        self.said.append(("halted", reason.message))

    def unfit(self, _campaign: str, reason: MailerError) -> None:
        self.said.append(("unfit", reason.message))

    def waiting(self, _campaign: str, what: Quota | None, _until: float) -> None:
        self.said.append(("waiting", str(what)))

    def reconnecting(self, why: str, _delay: float) -> None:
        self.said.append(("reconnecting", why))

    def silent(self, _seconds: float, _patience: float) -> None:
        self.said.append(("silent", ""))

    def resting(self, reason: MailerError, _until: float, _about: Scope) -> None:
        self.said.append(("resting", reason.message))

    def lost(self, error: MailerError, _delay: float) -> None:
        self.said.append(("lost", error.message))

    def words(self, kind: str) -> list[str]:
        return [words for one, words in self.said if one == kind]


def leave(ledger: Ledger, campaign: CampaignRecord, batch_size: int = 5, *, not_before: float | None = None) -> int:
    """Leave a campaign to workers, as `mailer send --detach` does."""
    shared = ledger.shared
    jobs = Jobs(shared)
    jobs.prepare()
    with shared.leaving():
        return shared.leave(campaign.id, jobs, name="mailer", batch_size=batch_size, not_before=not_before)


def terms_for(
    place: Server, server: ScriptedServer, told: Told | None = None, *, lines: int = 2, **given: Any
) -> Terms:
    """What a worker gets to send over a server, in the rhythm of tests."""
    options = given.pop("options", {})
    return Terms(
        open_ledger=lambda: Ledger(place, create=False),
        relay=given.pop("relay", None) or relay_to(server),
        reporter=told or Told(),
        options=RunOptions(connections=lines, reconnect_delays=AT_ONCE, **options),
        **{"rhythm": QUICK, **given},
    )


@asynccontextmanager
async def working(
    place: Server, server: ScriptedServer, told: Told | None = None, *, lines: int = 2, **given: Any
) -> AsyncIterator[Crew]:
    """A worker that works meanwhile, and ends tidily."""
    async with crew_of(terms_for(place, server, told, lines=lines, **given)) as worker:
        yield worker


@asynccontextmanager
async def crew_of(*terms: Terms) -> AsyncIterator[Crew]:
    """The workers of one program that sends over several accounts, likewise."""
    crew = Crew(terms)
    task = asyncio.ensure_future(crew.run())
    try:
        yield crew
    finally:
        crew.stop()
        await asyncio.wait_for(task, 20)


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
