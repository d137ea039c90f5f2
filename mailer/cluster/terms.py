"""What a worker is given to work with, for one account, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mailer.campaign.limits import Limits
from mailer.campaign.run import RunOptions
from mailer.cluster.rhythm import Rhythm
from mailer.cluster.vitals import Vitals
from mailer.errors import MailerError
from mailer.hours import Hours
from mailer.ledger import Ledger
from mailer.model import Identity, Outcome, Quota, Scope, Status
from mailer.smtp import Relay

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

QUEUE = "mailer"
"""The queue of campaigns and workers that name none."""


class Reporter(Protocol):
    """Who watches a worker. Calls must return at once."""

    def began(self, campaign: str) -> None: ...
    def working(self) -> None:
        """The ledger is there, and batches are fetched from now on."""
        ...

    def batch_begun(self, campaign: str, batch: int, messages: int) -> None: ...
    def batch_ended(self, campaign: str, batch: int, again: float | None) -> None:
        """What is left of it is to be tried again at a time (Unix time), if anything is."""
        ...

    def recorded(self, campaign: str, status: Status, outcome: Outcome) -> None: ...
    def finished(self, campaign: str) -> None: ...
    def halted(self, campaign: str, reason: MailerError) -> None:
        """No worker works for it any more, until a person lets it go on."""
        ...

    def unfit(self, campaign: str, reason: MailerError) -> None:
        """Others perhaps can work for it, but not the worker here."""
        ...

    def waiting(self, campaign: str, what: Quota | Hours | None, until: float) -> None: ...
    def reconnecting(self, why: str, delay: float) -> None: ...
    def silent(self, seconds: float, patience: float) -> None: ...
    def resting(self, reason: MailerError, until: float, about: Scope) -> None:
        """The worker sends nothing before `until` (Unix time), and then goes on by itself."""
        ...

    def lost(self, error: MailerError, delay: float) -> None:
        """The ledger is out of reach; the worker tries again by itself after so many seconds."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a worker works with. `open_ledger` opens the ledger anew, each time it is called."""

    open_ledger: Callable[[], Ledger]
    relay: Relay
    reporter: Reporter
    limits: Limits = field(default_factory=Limits)
    options: RunOptions = field(default_factory=RunOptions)
    queues: tuple[str, ...] = (QUEUE,)
    signer: Signer | None = None
    face: Identity | None = None
    """Who speaks over this relay, as the settings here say; None where a campaign's own identity does, whoever that is."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    vitals: Vitals = field(default_factory=Vitals)

    @property
    def lines(self) -> int:
        return self.options.connections
