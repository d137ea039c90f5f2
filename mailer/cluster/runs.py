"""The campaigns that a worker works for just now: what its batches share of each, and until when."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from mailer.campaign.diary import Diarist
from mailer.campaign.pacing import Pacing, Throttling
from mailer.campaign.run import Run
from mailer.campaign.sealing import identity_of, signed_by, unlike
from mailer.campaign.thaw import renderer
from mailer.cluster.pacing import Share
from mailer.cluster.terms import Terms
from mailer.errors import CampaignError, MailerError
from mailer.hours import Hours
from mailer.ledger import Ledger, Writer
from mailer.ledger.database import Lock
from mailer.model import CampaignRecord, Delivery, Outcome, Quota, Scope, Status, said
from mailer.smtp import Connection, connect

WAIT = 1.0
"""Seconds: `status` holds a campaign's lock for an instant, to see whether it is held."""


@dataclass(kw_only=True, slots=True)
class Active:
    """A campaign that is being worked for. `users` are the batches of it that are under way here."""

    campaign: CampaignRecord
    run: Run
    lock: Lock
    share: Share
    told: bool = False
    """Whether it was stopped from without, so that its end is nobody's doing here."""
    users: int = 0
    idle_since: float = field(default_factory=time.monotonic)

    def stop(self, reason: MailerError) -> None:
        """Stop it since somebody said so."""
        self.told = self.told or not self.run.stopped
        self.run.stop(reason)


class Runs:
    """One run for each campaign of which a batch is under way here, with one writer and one pace for all of them."""

    def __init__(
        self, terms: Terms, ledger: Ledger, *, pace: Pacing, throttle: Throttling, writer: Writer, token: str
    ) -> None:
        self._terms = terms
        self._ledger = ledger
        self._pace = pace
        self._throttle = throttle
        self._writer = writer
        self._token = token
        self._active: dict[str, Active] = {}
        self._beginning = asyncio.Lock()
        self._over = False
        self._refused: set[str] = set()
        self.refused = asyncio.Event()
        """Set when an address was refused for good."""

    @property
    def names(self) -> Collection[str]:
        return self._active.keys()

    async def enter(self, name: str) -> Active | None:
        """The run of a campaign, for one more batch. None where somebody changes the campaign, or sends it alone, just now.

        Raises MailerError where this worker cannot work for it.
        """
        async with self._beginning:
            active = self._active.get(name)
            if active is None:
                lock = self._ledger.shared.working_on(name)
                # a group may be on its way over the session that takes it
                if not await asyncio.to_thread(lock.acquire, WAIT):
                    return None
                if self._over:
                    # whoever was to be stopped meanwhile was not among those that were
                    lock.release()
                    return None
                try:
                    active = self._begin(name, lock)
                except BaseException:
                    lock.release()
                    raise
            if active.run.stopped:
                return None
            active.users += 1
            return active

    def _begin(self, name: str, lock: Lock) -> Active:
        terms, campaign = self._terms, self._ledger.find(name)
        _refuse_another_face(terms, campaign)
        standing = self._ledger.shared.standing(campaign)
        share = Share(self._pace, self._note_wait)
        run = Run(
            ledger=self._ledger,
            campaign=campaign,
            relay=terms.relay,
            pace=share,
            throttle=self._throttle,
            render=renderer(self._ledger, campaign, terms.signer, terms.relay.name),
            # a batch is what one connection takes; refused addresses are counted over all workers (Shift)
            options=dataclasses.replace(
                terms.options, batch_size=standing.batch_size if standing else 1, bounce_failures=None
            ),
            observer=Diarist(_Watching(terms, name, self._note_refused), self._ledger, campaign),
            signer=terms.signer,
            writer=self._writer,
            token=self._token,
            opening=self._connect,
        )
        self._active[name] = active = Active(campaign=campaign, run=run, lock=lock, share=share)
        terms.reporter.began(name)
        return active

    def _note_refused(self, name: str) -> None:
        self._refused.add(name)
        self.refused.set()

    def take_refused(self, only: str | None = None) -> list[Active]:
        """Those of which addresses were refused for good since this was asked last, or one of them."""
        names = self._refused if only is None else self._refused & {only}
        self._refused = self._refused - names
        if not self._refused:
            self.refused.clear()
        return [self._active[name] for name in names if name in self._active]

    async def _connect(self) -> Connection | Outcome:
        result, vitals = await connect(self._terms.relay), self._terms.vitals
        if isinstance(result, Outcome):
            vitals.unconnected[result.phase] += 1
        else:
            vitals.connected += 1
        return result

    def _note_wait(self, seconds: float) -> None:
        self._terms.vitals.waited += seconds

    @property
    def connections(self) -> int:
        """How many are open just now."""
        return sum(active.run.connections for active in list(self._active.values()))

    @property
    def waiting(self) -> int:
        """How many messages wait for a place of a quota just now."""
        return sum(active.share.waiting for active in list(self._active.values()))

    def leave(self, active: Active) -> None:
        """A batch has ended."""
        active.users -= 1
        active.idle_since = time.monotonic()

    def stop(self, reason: MailerError, names: Collection[str] | None = None) -> None:
        """Begin nothing new for these campaigns, or for all of them and whatever else might come."""
        self._over = self._over or names is None
        for name, active in self._active.items():
            if names is None or name in names:
                active.stop(reason)

    async def let_go(self, after: float) -> None:
        """Let go of the campaigns without work for so long, and of those that were stopped."""
        now = time.monotonic()
        async with self._beginning:
            for name, active in list(self._active.items()):
                if not active.users and (active.run.stopped or now - active.idle_since >= after):
                    del self._active[name]
                    await asyncio.to_thread(active.lock.release)


def _refuse_another_face(terms: Terms, campaign: CampaignRecord) -> None:
    """Raise CampaignError where what leaves over this relay would not be what was previewed."""
    relay = terms.relay.name
    frozen = identity_of(campaign.manifest.settings).over(relay)
    if signed_by(terms.signer.signatures if terms.signer else ()) != signed_by(frozen.signatures):
        raise CampaignError(
            said(
                "Campaign {name!r} was checked to be signed (DKIM) otherwise than this worker would sign it.",
                name=campaign.name,
            ),
            hint="give the worker the same dkim_ settings as the computer from which it was left to workers",
        )
    if terms.face and (other := unlike(frozen, terms.face)):
        raise CampaignError(
            said(
                "Campaign {name!r} was checked with another identity for relay {relay} than it has here ({other}).",
                name=campaign.name,
                relay=relay,
                other=other,
            ),
            hint=said(
                "give [relays.{relay}] the same settings here as where it was left to workers, or look at a new preview"
                " and leave the campaign to workers again, with --update",
                relay=relay,
            ),
        )


class _Watching:
    """Passes on what a run tells."""

    def __init__(self, terms: Terms, campaign: str, refused: Callable[[str], None]) -> None:
        self._reporter = terms.reporter
        self._vitals = terms.vitals
        self._campaign = campaign
        self._refused = refused

    def recorded(self, _delivery: Delivery, status: Status, outcome: Outcome) -> None:
        self._vitals.recorded(self._campaign, status, outcome)
        if status is Status.FAILED and outcome.scope is Scope.RECIPIENT:
            self._refused(self._campaign)
        self._reporter.recorded(self._campaign, status, outcome)

    def waiting(self, what: Quota | Hours | None, until: float) -> None:
        self._reporter.waiting(self._campaign, what, until)

    def reconnecting(self, why: str, delay: float) -> None:
        self._reporter.reconnecting(why, delay)

    def silent(self, seconds: float, patience: float) -> None:
        self._reporter.silent(seconds, patience)
