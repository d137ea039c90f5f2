"""The quotas of an account and of destination domains, and who keeps them: this sender alone, or all that share the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from mailer.ledger import AccountLock, DomainsLock, Ledger
from mailer.model import Quota
from mailer.pace import OwnThrottle, Pace, SharedPace, SharedThrottle
from mailer.smtp import Relay


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Quotas of the account and of destination domains."""

    account: Sequence[Quota] = ()
    domains: Mapping[str, Sequence[Quota]] = field(default_factory=dict)


@contextmanager
def alone(ledger: Ledger, relay: Relay, limits: Limits) -> Iterator[None]:
    """Keep other senders off the account while its quotas are counted here, and off the domains while theirs are.

    Nobody is kept off where the ledger counts for all of them. Raises CampaignError if another sender has it.
    """
    with ExitStack() as locks:
        if not relay.is_local:
            ledger.leave_trace()
        if not ledger.shares_quotas:
            if limits.account or limits.domains:
                locks.enter_context(AccountLock(ledger, relay.account))
            if limits.domains:
                locks.enter_context(DomainsLock(ledger))
        yield


def make_pace(ledger: Ledger, relay: Relay, limits: Limits) -> Pace | SharedPace:
    """What keeps the quotas: over all senders where the ledger leases places, else of this one, which must be `alone`."""
    lender = ledger.lender()
    if lender:
        return SharedPace(lender, relay.account, limits.account, limits.domains)
    pace = Pace(limits.account, limits.domains)
    _preload(pace, ledger, relay)
    return pace


def make_throttle(ledger: Ledger, relay: Relay) -> OwnThrottle | SharedThrottle:
    """What keeps to the pace that a relay teaches by its storms: over all senders, where the ledger is shared."""
    lender = ledger.lender()
    return SharedThrottle(lender, relay.account) if lender else OwnThrottle()


def _preload(pace: Pace, ledger: Ledger, relay: Relay) -> None:
    """Count what this ledger's senders have handed over already, as far back as the quotas look."""
    now = time.time()
    (seconds, newest), (longest, newest_each) = pace.account_reach, pace.domain_reach
    account = ledger.transactions(relay.account, now - seconds, newest) if seconds else []
    domains = ledger.transactions_to_domains(now - longest, newest_each) if longest else []
    pace.preload(elsewhere=domains, of_account=(at for at, _ in account))
