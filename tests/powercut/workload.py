"""What is running when the power goes: two campaigns, five connections, a person who suppresses and changes a list.

Started by `record.py` in a process of its own. Before each transaction it marks what the transaction does, and after it that
it was acknowledged; so every delivery has a known sequence of states, and each is told from the others by its time of
change or its reason.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import itertools
import json
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import mailer.ledger.embedded
from mailer.ledger import Intent, Ledger, LedgerKey, Record, Row, Start, Writer
from mailer.model import CampaignRecord, Contact, Manifest, Outcome, Phase, Reply, Scope, Status, Verdict

PEOPLE = 1200
OTHERS = 60
CONNECTIONS = 5
LETTER = b"Dear {{ name }}"

ANSWERS = {
    Verdict.SENT: (Status.SENT, 82),
    Verdict.DEFERRED: (Status.DEFERRED, 6),
    Verdict.FAILED: (Status.FAILED, 5),
    Verdict.UNCERTAIN: (Status.UNCERTAIN, 3),
    Verdict.REQUEUED: (Status.QUEUED, 4),
}


class Change(NamedTuple):
    """What a transaction does to one delivery, and how that is recognised: by time of change, or by reason."""

    key: str
    status: str
    at: float | None = None
    reason: str | None = None
    attempt: str | None = None
    """'' begins an attempt, a verdict ends it, '+' and a verdict does both."""
    suppress: bool = False


def _silent(_: bytes) -> None:
    """Without the shim there is nobody to tell."""


_mark = getattr(ctypes.CDLL(None), "powercut_mark", _silent)
_numbers = itertools.count(1)


@contextmanager
def transaction(*changes: Change, **more: object) -> Iterator[None]:
    """Mark that it is about to be asked for, and then that it was acknowledged."""
    number = next(_numbers)
    _mark(json.dumps({"begin": number, "changes": changes, **more}).encode())
    yield
    _mark(json.dumps({"done": number}).encode())


def use(synchronous: str) -> None:
    """For the control experiment: the ledger's connections with another level of syncing than the real one."""
    real = mailer.ledger.embedded.connect

    def connect(path: Path, *, create: bool = True, key: LedgerKey | None = None) -> sqlite3.Connection:
        connection = real(path, create=create, key=key)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        return connection

    mailer.ledger.embedded.connect = connect


def person(number: int, domain: str = "example.org") -> Contact:
    key = f"p{number}@{domain}"
    return Contact(address=key, key=key, row=number + 1, name=f"Pat {number}", fields={"city": "Leeds " * (number % 9)})


def start_of(name: str, people: list[Contact], messages: str = "m") -> Start:
    manifest = Manifest(
        template="appeal", list_name=name, letter={"templates/appeal.md": "0" * 64}, attachments={},
        contacts="c" * 64, list_file="f" * 64, settings={}, messages=messages * 64,
    )  # fmt: skip
    rows = [Row(contact=contact, message_id=f"<{contact.key}>") for contact in people]
    return Start(campaign=name, manifest=manifest, rows=rows, content=lambda _: LETTER)


def outcome_of(verdict: Verdict) -> Outcome:
    return Outcome(
        verdict=verdict, scope=Scope.RECIPIENT, phase=Phase.FINAL_DOT, text=f"it is {verdict}", reply=Reply(code=250, text="x")
    )  # fmt: skip


class Sender:
    """One connection, as `mailer.campaign.line` does it: an outcome waits for the next intent, and both are one commit."""

    def __init__(self, writer: Writer, chance: random.Random, clock: Iterator[int]) -> None:
        self._writer = writer
        self._chance = chance
        self._clock = clock
        self._unwritten: list[tuple[Record, Change]] = []

    async def send(self, todo: list[tuple[int, str]], *, die_after: int | None = None) -> None:
        for count in itertools.count():
            if not todo:
                break
            delivery, key = todo.pop()
            refused = self._chance.random() < 0.04
            token, at = f"token {next(self._clock)}", float(next(self._clock))
            if not refused:
                changes = [change for _, change in self._unwritten]
                with transaction(*changes, Change(key, "sending", at=at, attempt="")):
                    intent = Intent(delivery=delivery, token=token, account="a", domain="example.org", at=at)
                    assert await self._writer.write(records=self._records(), intent=intent)
                if count == die_after:
                    return
            if status := self._answer(delivery, key, token, intended=not refused):
                await self.flush()
                if status is Status.QUEUED:
                    todo.insert(0, (delivery, key))
        await self.flush()

    def _answer(self, delivery: int, key: str, token: str, *, intended: bool) -> Status | None:
        """Returns the status if it has to be durable before anything else is done."""
        weights = [weight for _, weight in ANSWERS.values()]
        verdict = self._chance.choices(list(ANSWERS), weights)[0] if intended else Verdict.FAILED
        status = ANSWERS[verdict][0]
        at, suppress = float(next(self._clock)), status is Status.FAILED and self._chance.random() < 0.5
        record = Record(
            delivery=delivery, token=token, account="a", domain="example.org", started_at=at, finished_at=at,
            outcome=outcome_of(verdict), status=status, intended=intended, reason=f"it is {verdict}",
            next_attempt_at=1.0 if status is Status.DEFERRED else None, suppress=suppress,
        )  # fmt: skip
        attempt = verdict.value if intended else f"+{verdict}"
        self._unwritten.append((record, Change(key, status.value, at=at, attempt=attempt, suppress=suppress)))
        return status if status is Status.QUEUED or not intended else None

    def _records(self) -> list[Record]:
        records, self._unwritten = [record for record, _ in self._unwritten], []
        return records

    async def flush(self) -> None:
        if self._unwritten:
            with transaction(*(change for _, change in self._unwritten)):
                await self._writer.write(records=self._records())


async def send_all(
    ledger: Ledger, campaign: CampaignRecord, chance: random.Random, clock: Iterator[int], *, limit: int | None = None
) -> None:
    """With a `limit`, end as if killed: every connection with an intent that never gets its outcome."""
    due = ledger.due(campaign, 2.0)[:limit]
    keys = [delivery.contact.key for delivery in ledger.deliveries(due)]
    todo = list(zip(due, keys, strict=True))
    async with Writer(ledger) as writer:
        shares = [todo[number::CONNECTIONS] for number in range(CONNECTIONS)]
        die_after = None if limit is None else limit // CONNECTIONS - 4
        senders = (Sender(writer, random.Random(chance.random()), clock) for _ in shares)
        await asyncio.gather(
            *(sender.send(share, die_after=die_after) for sender, share in zip(senders, shares, strict=True))
        )


def meddle(path: Path) -> None:
    """A person at another terminal: suppresses some of the second campaign, then changes its list."""
    with Ledger(path) as ledger:
        for number in range(0, OTHERS, 3):
            key = person(number, "example.net").key
            with transaction(Change(key, "suppressed", reason="asked", suppress=True)):
                ledger.suppress([(key, "asked")], source="by hand")
        rest = [person(number, "example.net") for number in range(OTHERS) if number % 3 == 1]
        gone = [person(number, "example.net").key for number in range(OTHERS) if number % 3 == 2]
        changes = [Change(key, "skipped", reason="no longer in the list") for key in gone]
        with transaction(*changes, revision=2):
            ledger.revise(ledger.find("two"), start_of("two", rest, "n"))


async def first_run(path: Path, chance: random.Random, clock: Iterator[int]) -> None:
    with Ledger(path) as ledger:
        people = [person(number) for number in range(PEOPLE)]
        others = [person(number, "example.net") for number in range(OTHERS)]
        with transaction(*(Change(contact.key, "queued", reason="") for contact in people)):
            campaign = ledger.start(start_of("one", people))
        with transaction(*(Change(contact.key, "queued", reason="") for contact in others), revision=1):
            ledger.start(start_of("two", others))
        meddling = asyncio.to_thread(meddle, path)
        await asyncio.gather(meddling, send_all(ledger, campaign, chance, clock, limit=PEOPLE // 2))


async def second_run(path: Path, chance: random.Random, clock: Iterator[int]) -> None:
    """After a crash: what was on the wire becomes uncertain, a person decides, the rest is sent."""
    ledger = Ledger(path)
    campaign = ledger.find("one")
    sending = [record.address for record in ledger.records(campaign, Status.SENDING)]
    why = "the program ended between the message and the server's answer"
    with transaction(*(Change(key, "uncertain", reason=why) for key in sending)):
        ledger.mark_interrupted(campaign)
    uncertain = [record.address for record in ledger.records(campaign, Status.UNCERTAIN)]
    for status, keys, reason in (
        (Status.SENT, uncertain[::2], "decided by hand: it arrived"),
        (Status.QUEUED, uncertain[1::2], "decided by hand: send it again"),
    ):
        with transaction(*(Change(key, status.value, reason=reason) for key in keys)):
            ledger.resolve(campaign, status, keys)
    await send_all(ledger, campaign, chance, clock)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--synchronous")
    options = parser.parse_args()
    if options.synchronous:
        use(options.synchronous)
    chance, clock = random.Random(options.seed), itertools.count(1000)
    asyncio.run(first_run(options.ledger, chance, clock))
    asyncio.run(second_run(options.ledger, chance, clock))
    # without goodbye: closing the last connection would tidy up what a cut is to find
    os._exit(0)


if __name__ == "__main__":
    main()
