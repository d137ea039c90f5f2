"""A small campaign folder, its ledger, and one call to send it: what the tests of the sending engine share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smtp_server import ScriptedServer

from mailer.campaign.limits import Limits
from mailer.campaign.run import Run, RunOptions
from mailer.campaign.send import Result, conclude, freeze, make_run, prepare
from mailer.campaign.source import Source
from mailer.errors import MailerError
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Delivery, Identity, Mailbox, Outcome, Quota, Status
from mailer.smtp import Relay, Security

LETTER = """---
subject: "News for {{ name }}"
language: en
---
Dear {{ name }},

please write to them today.
"""

IDENTITY = Identity(
    sender=Mailbox(address="office@example.org", name="Union Office"),
    postal_address="1 Mill Lane, Leeds",
    unsubscribe_mailto="leave@example.org?subject=unsubscribe%20{token}",
)

AT_ONCE = (0.0, 0.0, 0.0, 0.0)
"""Delays between tries to connect, for tests that do not wait."""


def address(number: int, domain: str = "example.org") -> str:
    return f"p{number}@{domain}"


def write_list(folder: Path, addresses: Sequence[str], name: str = "people.csv", **columns: Sequence[str]) -> Path:
    """A list of these addresses, with names, and any further columns."""
    path = folder / name
    lines = [",".join(["email", "name", *columns])]
    for number, (one, *rest) in enumerate(zip(addresses, *columns.values(), strict=True), start=1):
        lines.append(",".join([one, f"Pat {number}", *rest]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path


def write_letter(folder: Path, text: str = LETTER) -> Path:
    path = folder / "templates" / "appeal.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def source(folder: Path, list_name: str = "people.csv", **other: str) -> Source:
    return Source(template="appeal", list_path=folder / list_name, folder=folder, campaign="appeal", **other)


def start(folder: Path, ledger: Ledger, addresses: Sequence[str]) -> CampaignRecord:
    """Write letter and list, and freeze the campaign."""
    write_letter(folder)
    write_list(folder, addresses)
    return freeze(prepare(source(folder), IDENTITY, ledger), ledger)


@dataclass
class Watcher:
    """Notes what a run tells, and passes it on to a test that wants to step in."""

    records: list[tuple[str, Status, Outcome]] = field(default_factory=list)
    waits: list[tuple[Quota | None, float]] = field(default_factory=list)
    reconnects: list[str] = field(default_factory=list)
    silences: list[tuple[float, float]] = field(default_factory=list)
    on_record: Callable[[], None] = lambda: None
    on_wait: Callable[[], None] = lambda: None

    def recorded(self, delivery: Delivery, status: Status, outcome: Outcome) -> None:
        self.records.append((delivery.contact.key, status, outcome))
        self.on_record()

    def waiting(self, what: Quota | None, until: float) -> None:
        self.waits.append((what, until))
        self.on_wait()

    def reconnecting(self, why: str, _delay: float) -> None:
        self.reconnects.append(why)

    def silent(self, seconds: float, patience: float) -> None:
        self.silences.append((seconds, patience))

    def statuses(self, key: str) -> list[Status]:
        return [status for one, status, _ in self.records if one == key]


def relay_to(server: ScriptedServer, **other: object) -> Relay:
    given = {"host": server.host, "port": server.port, "security": Security.NONE, "timeout": 5.0, "final_timeout": 5.0}
    return Relay(**{**given, **other})


def run_of(
    ledger: Ledger,
    campaign: CampaignRecord,
    relay: Relay,
    watcher: Watcher | None = None,
    *,
    account: Sequence[Quota] = (),
    domains: Mapping[str, Sequence[Quota]] | None = None,
    **options: object,
) -> Run:
    return make_run(
        ledger,
        campaign,
        relay=relay,
        limits=Limits(account=account, domains=domains or {}),
        options=RunOptions(**{"reconnect_delays": AT_ONCE, **options}),
        observer=watcher or Watcher(),
    )


async def send(
    ledger: Ledger, campaign: CampaignRecord, server: ScriptedServer, watcher: Watcher | None = None, **given: object
) -> Result:
    """One run against a server, summed up. A run that hangs fails the test instead of stopping all of them."""
    relay = given.pop("relay", None) or relay_to(server)
    run = run_of(ledger, campaign, relay, watcher, **given)
    reason: MailerError | None = await asyncio.wait_for(run.run(), 20)
    return conclude(ledger, ledger.find(campaign.name), reason)


def statuses(ledger: Ledger, campaign: CampaignRecord) -> dict[str, Status]:
    """Where everybody with an address stands."""
    return {contact.key: status for contact, status in ledger.contacts(campaign)}


def received(server: ScriptedServer) -> Counter[str]:
    """How many messages each recipient was accepted for."""
    return Counter(message.rcpt_to[0] for message in server.accepted)


def once_each(addresses: Sequence[str]) -> Counter[str]:
    return Counter(addresses)


def make_due(ledger: Ledger) -> None:
    """Let the hours pass until every deferred delivery is due."""
    ledger._db.execute("UPDATE deliveries SET next_attempt_at = ? WHERE status = 'deferred'", (time.time() - 1,))
