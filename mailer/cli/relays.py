"""What `mailer status` says of each account that a campaign goes over, where there are several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailer.cli import console
from mailer.model import MAIN_RELAY, RelayFigures
from mailer.times import iso, local_time

if TYPE_CHECKING:
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord, Presence, Rest
    from mailer.settings import Settings

PACE_WINDOW = 600.0
NAMELESS: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """An account: who works over it, who keeps off it until when, and what a campaign handed to it."""

    relay: str
    account: str
    workers: tuple[Presence, ...]
    rests: tuple[Rest, ...]
    figures: RelayFigures | None
    now: float

    @property
    def per_minute(self) -> float:
        """Its pace over the last minutes, or since it began."""
        found = self.figures
        return found.recent * 60 / max(self.now - found.first, 1.0) if found and found.first is not None else 0.0

    @property
    def sent(self) -> int:
        return self.figures.sent if self.figures else 0


def names_in(settings: Settings) -> dict[str, str]:
    """What the accounts are called here."""
    return {one.account: name for name, one in settings.accounts.items() if one.smtp_host}


def standings(ledger: Ledger, campaign: CampaignRecord, names: Mapping[str, str] = NAMELESS) -> list[Standing]:
    """Each account, by name; nothing where there is one only, of which all the rest of a status tells.

    `names` are what accounts are called in the settings here.
    """
    present = ledger.shared.presences() if ledger.is_shared else []
    rests = ledger.shared.rests() if ledger.is_shared else []
    known = {one.account: one.relay for one in rests} | {one.account: one.relay for one in present} | dict(names)
    if len(known) < 2:
        return []
    now = time.time()
    found = {one.account: one for one in ledger.by_relay(campaign, now - PACE_WINDOW)}
    # an account that is set nowhere any more is known by its server only
    called = {account: known.get(account) or account.rpartition("@")[2] for account in (*known, *found)}
    return [
        Standing(
            relay=name,
            account=account,
            workers=tuple(one for one in present if one.account == account),
            rests=tuple(one for one in rests if one.account == account),
            figures=found.get(account),
            now=now,
        )
        for account, name in sorted(called.items(), key=lambda one: (one[1] != MAIN_RELAY, one[1], one[0]))
    ]


def as_data(found: Sequence[Standing]) -> list[dict[str, Any]]:
    """The same for --json."""
    return [
        {
            "relay": one.relay,
            "account": one.account,
            "workers": len(one.workers),
            "connections": sum(worker.lines for worker in one.workers),
            "sent": one.sent,
            "per_minute": round(one.per_minute, 1),
            "resting": [
                {"until": iso(rest.until), "reason": rest.reason, "only": rest.owner or None} for rest in one.rests
            ],
        }
        for one in found
    ]


def show(found: Sequence[Standing]) -> None:
    """The same for people."""
    for one in found:
        console.say(f"Relay {one.relay}: {', '.join(_facts(one))}", sentence=True)
        for rest in one.rests:
            console.say(f"  {in_words(rest)}", sentence=True)


def _facts(one: Standing) -> Iterator[str]:
    yield f"{one.sent:,} sent"
    if one.per_minute >= 1:
        yield f"{one.per_minute:.0f} a minute"
    if one.rests:
        yield "resting"
    elif one.workers:
        yield f"{sum(worker.lines for worker in one.workers):,} at a time"


def in_words(rest: Rest) -> str:
    """Until when, where, and why."""
    where = f" at {rest.owner}, and there only" if rest.owner else ""
    return f"rests until {local_time(rest.until)}{where}: {rest.reason}"
