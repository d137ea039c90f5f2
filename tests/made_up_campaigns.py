"""Campaigns of any size in a ledger as they would stand there days later: sent, refused, in doubt, come back. Invented people."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from mailer import explanations
from mailer.ledger import Ledger, Record, Row, Start
from mailer.ledger.attempts import write_record
from mailer.model import (
    BounceClass,
    CampaignRecord,
    Event,
    EventKind,
    Manifest,
    Outcome,
    PackedContact,
    Phase,
    Reply,
    Scope,
    Status,
    Verdict,
)

LETTER = b"Dear friend"
BEGIN = 1_793_260_800.0
"""29 October 2026, 08:00 UTC."""

DOMAINS = (
    *("gmail.com",) * 9, *("outlook.com", "hotmail.co.uk", "live.fr") * 2, "yahoo.com", "gmx.de", "web.de", "icloud.com",
    "proton.me", "orange.fr", "libero.it", "harbour-workers.example", "teachers.example", "nurses.example", "rail.example",
)  # fmt: skip
COUNTRIES = (
    *("United Kingdom",) * 8, *("Ireland",) * 3, *("Germany", "France", "Italy") * 2, "Kenya", "Pakistan", "پاکستان",
    "Türkiye", "Canada", "Norge", "日本",
)  # fmt: skip
REASONS = (
    (explanations.DEAD, "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"),
    (explanations.DEAD, "550-5.1.1 The email account that you tried to reach does not exist. {queue}@mx.example"),
    (explanations.GONE, "550 No such user here"),
    (explanations.FULL, "452 4.2.2 The recipient's inbox is out of storage space {queue}"),
    (explanations.POLICY, "550 5.7.26 This mail is unauthenticated, which poses a security risk {queue}"),
    ("Given up after 5 tries, since the time for it is used up.", "451 4.7.1 Greylisted, please try again later"),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One row of a made-up list and what becomes of it. Times are seconds after BEGIN."""

    address: str
    status: Status
    at: float = 0.0
    reason: str = ""
    words: str = ""
    name: str = "Pat"
    language: str | None = "en"
    fields: dict[str, object] = field(default_factory=dict)
    events: tuple[tuple[EventKind, float], ...] = ()


def made_up(ledger: Ledger, people: Iterable[Person], *, name: str = "appeal--branches") -> CampaignRecord:
    """Write it all, by the ledger's own statements, at the times of the people."""
    everybody = list(people)
    manifest = Manifest(
        template="appeal",
        list_name="contacts/branches.xlsx",
        letter={"templates/appeal.md": hashlib.sha256(LETTER).hexdigest()},
        attachments={},
        contacts="0" * 64,
        list_file="f",
        settings={"sender": "Solidarity Centre <appeals@solidarity.example>"},
        messages="1" * 64,
        duplicates=3,
    )
    rows = (_row(number, person) for number, person in enumerate(everybody, start=2))
    campaign = ledger.start(Start(campaign=name, manifest=manifest, rows=rows, content=lambda _: LETTER))
    database = ledger._db
    with ledger._transaction():
        database.execute("UPDATE campaigns SET started_at = ? WHERE id = ?", (BEGIN, campaign.id))
        query = "SELECT min(id) FROM deliveries WHERE campaign_id = ?"
        first = database.execute(query, (campaign.id,)).fetchone()[0] or 0
        for delivery, person in enumerate(everybody, start=first):
            _record(database, delivery, person)
    ledger.add_events(
        Event(
            kind=kind,
            delivery=delivery,
            campaign=campaign.id,
            key=person.address,
            at=BEGIN + at,
            source=f"{name} {delivery} {number}",
            bounce=BounceClass.HARD if kind is EventKind.BOUNCE else None,
            status="5.1.1" if kind is EventKind.BOUNCE else "",
        )
        for delivery, person in enumerate(everybody, start=first)
        for number, (kind, at) in enumerate(person.events)
    )
    return ledger.find(name)


def _row(number: int, person: Person) -> Row:
    usable = "@" in person.address
    contact = PackedContact(
        person.address,
        person.address,
        number,
        person.name,
        person.language,
        json.dumps(person.fields, ensure_ascii=False),
    )
    early = person.status in {Status.SUPPRESSED, Status.SKIPPED}
    status = person.status if early else Status.QUEUED
    return Row(contact, f"<{number}@solidarity.example>", status, person.reason, usable_address=usable)


OUTCOMES = {
    Status.SENT: (Verdict.SENT, Scope.MESSAGE, Phase.FINAL_DOT),
    Status.FAILED: (Verdict.FAILED, Scope.RECIPIENT, Phase.RCPT),
    Status.DEFERRED: (Verdict.DEFERRED, Scope.RECIPIENT, Phase.RCPT),
    Status.UNCERTAIN: (Verdict.UNCERTAIN, Scope.CONNECTION, Phase.FINAL_DOT),
}


def _record(database, delivery: int, person: Person) -> None:
    if person.status not in OUTCOMES:
        return
    verdict, scope, phase = OUTCOMES[person.status]
    code = person.words[:3]
    reply = Reply(code=int(code), text=person.words[4:]) if code.isdigit() else None
    at = BEGIN + person.at
    write_record(
        database,
        Record(
            delivery,
            "made up",
            "u@smtp.example",
            person.address.rpartition("@")[2],
            at - 1,
            at,
            Outcome(verdict=verdict, scope=scope, phase=phase, reply=reply, text=person.words),
            person.status,
            intended=False,
            reason=person.reason,
            next_attempt_at=at + 3600 if person.status is Status.DEFERRED else None,
        ),
    )


def crowd(count: int, *, seed: int = 7) -> list[Person]:
    """So many people over two days of sending with a night between, and three weeks of answers; always the same."""
    chance = random.Random(seed)
    people = []
    for number in range(count):
        domain = chance.choice(DOMAINS)
        address = f"person{number}@{domain}"
        share = number / count
        at = share * 2 * 32_400 + (86_400 - 32_400 if share > 0.5 else 0)
        status = chance.choices(
            [Status.SENT, Status.FAILED, Status.DEFERRED, Status.UNCERTAIN, Status.SUPPRESSED, Status.SKIPPED],
            [940, 30, 8, 0.6, 12, 3],
        )[0]
        reason, words = "", "250 2.0.0 Ok: queued"
        if status in {Status.FAILED, Status.DEFERRED}:
            reason, words = chance.choices(REASONS, [9, 5, 3, 4, 2, 2])[0]
            words = words.format(address=address, queue=f"{chance.getrandbits(60):x}-gsmtp")
        elif status is Status.UNCERTAIN:
            reason, words = "connection lost after the final dot", ""
        elif status in {Status.SUPPRESSED, Status.SKIPPED}:
            reason = "unsubscribed" if status is Status.SUPPRESSED else "row has no name"
        events = []
        if status is Status.SENT:
            if chance.random() < 0.014:
                events.append((EventKind.BOUNCE, at + chance.expovariate(1 / 20_000)))
            if chance.random() < 0.011:
                events.append((EventKind.UNSUBSCRIBE, at + chance.expovariate(1 / 300_000)))
            if chance.random() < 0.0008:
                events.append((EventKind.COMPLAINT, at + chance.expovariate(1 / 200_000)))
            if chance.random() < 0.03:
                events.append((EventKind.REPLY, at + chance.expovariate(1 / 200_000)))
        people.append(
            Person(
                address=address,
                status=status,
                at=at,
                reason=reason,
                words=words,
                name=chance.choice(("Maeve Doyle", "Tom Ashworth", "Grace Achieng", "ثناء خان", "O'Brien, Pat")),
                language=chance.choice(("en", "en", "en", "fr", "ur", None)),
                fields={
                    "name": "x",
                    "country": chance.choice(COUNTRIES),
                    "branch": f"Branch {int(chance.triangular(1, 40, 4))}",
                },
                events=tuple(events),
            )
        )
    return people
