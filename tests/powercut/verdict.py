"""The ledger that is found after a cut, held against what had been acknowledged before it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailer.errors import MailerError
from mailer.ledger import Ledger

from .record import Entry
from .workload import Change


@dataclass(frozen=True)
class Step:
    """One transaction's change of one delivery."""

    transaction: int
    change: Change


@dataclass
class History:
    """What was asked for and what was acknowledged before a cut, in order."""

    chains: dict[str, list[Step]] = field(default_factory=dict)
    acknowledged: dict[int, int] = field(default_factory=dict)
    """Transaction -> its place in the record."""
    begun: dict[int, int] = field(default_factory=dict)
    revisions: list[tuple[int, int]] = field(default_factory=list)

    _place: int = 0

    def play(self, entries: Sequence[Entry], until: int) -> None:
        """Take in the marks before this place of the record."""
        for place in range(self._place, until):
            if entries[place].operation == "M":
                self._take(place, json.loads(entries[place].data))
        self._place = until

    def _take(self, place: int, mark: dict[str, Any]) -> None:
        if "done" in mark:
            self.acknowledged[mark["done"]] = place
            return
        number = mark["begin"]
        self.begun[number] = place
        for change in mark["changes"]:
            self.chains.setdefault(change[0], []).append(Step(number, Change(*change)))
        if "revision" in mark:
            self.revisions.append((number, mark["revision"]))


@dataclass
class Verdict:
    """`lost` counts acknowledged changes that are gone, `again` the people who would be mailed twice for it.

    `damage` and `impossible` say in words what else is wrong.
    """

    lost: int = 0
    again: int = 0
    damage: str = ""
    impossible: list[str] = field(default_factory=list)


def judge(folder: Path, history: History) -> Verdict:
    """Open the ledger as mailer does after a crash, and look at everybody."""
    verdict = Verdict()
    try:
        with Ledger(folder / "mailer.db") as ledger:
            database = ledger._db
            # it has been opened: what is written from here on needs no real disk
            database.execute("PRAGMA synchronous = OFF")
            health = database.execute("PRAGMA integrity_check").fetchall()
            if health != [("ok",)] or database.execute("PRAGMA foreign_key_check").fetchall():
                verdict.damage = f"integrity check: {health[:3]}"
                return verdict
            applied = _compare(database, history, verdict)
            _whole(history, applied, verdict)
            _continue(ledger, history, verdict)
    except (MailerError, sqlite3.DatabaseError) as error:
        verdict.damage = str(error)
    return verdict


def _compare(database: sqlite3.Connection, history: History, verdict: Verdict) -> dict[str, int]:
    """How many steps of each delivery are in the ledger; counts those that are lost."""
    query = "SELECT key, status, updated_at, reason FROM deliveries"
    found = {key: rest for key, *rest in database.execute(query)}
    attempts: dict[str, list[str | None]] = {}
    for key, answer in database.execute(
        "SELECT d.key, a.verdict FROM attempts a JOIN deliveries d ON d.id = a.delivery_id ORDER BY a.id"
    ):
        attempts.setdefault(key, []).append(answer)
    suppressed = {key for (key,) in database.execute("SELECT entry FROM suppressions")}
    applied = {}
    for key, chain in history.chains.items():
        count = _reached(chain, found.get(key))
        if count is None:
            verdict.impossible.append(f"{key} is {found[key]}, which it never was")
            continue
        applied[key] = count
        verdict.lost += sum(step.transaction in history.acknowledged for step in chain[count:])
        done = [step.change for step in chain[:count]]
        if attempts.get(key, []) != _attempts(done):
            verdict.impossible.append(f"{key}: attempts {attempts.get(key)} instead of {_attempts(done)}")
        if (key in suppressed) != any(change.suppress for change in done):
            verdict.impossible.append(f"{key}: suppressed is {key in suppressed}")
    if strangers := found.keys() - history.chains.keys():
        verdict.impossible.append(f"{len(strangers)} deliveries that nobody asked for")
    revisions = [0, *(number for _, number in history.revisions)]
    last = max([number for transaction, number in history.revisions if transaction in history.acknowledged], default=0)
    there = database.execute("SELECT max(revision) FROM campaigns WHERE name = 'two'").fetchone()[0] or 0
    if there not in revisions:
        verdict.impossible.append(f"revision {there}")
    verdict.lost += there < last
    return applied


def _reached(chain: Sequence[Step], found: list[object] | None) -> int | None:
    if found is None:
        return 0
    status, at, reason = found
    for count in range(len(chain), 0, -1):
        change = chain[count - 1].change
        if (
            change.status == status
            and change.at in {None, at}
            and change.reason in {None, reason}
        ):  # fmt: skip
            return count
    return None


def _attempts(changes: Iterable[Change]) -> list[str | None]:
    verdicts: list[str | None] = []
    for change in changes:
        if change.attempt == "":
            verdicts.append(None)
        elif change.attempt and change.attempt.startswith("+"):
            verdicts.append(change.attempt[1:])
        elif change.attempt:
            verdicts[-1] = change.attempt
    return verdicts


def _whole(history: History, applied: dict[str, int], verdict: Verdict) -> None:
    """A transaction is there whole or not at all, and nothing is there without what had been acknowledged before it began."""
    there: dict[int, set[bool]] = {}
    for key, count in applied.items():
        for place, step in enumerate(history.chains[key]):
            there.setdefault(step.transaction, set()).add(place < count)
    for number, parts in there.items():
        if len(parts) > 1:
            verdict.impossible.append(f"transaction {number} is there in part")
    newest = max((history.begun[number] for number, parts in there.items() if True in parts), default=-1)
    for number, parts in there.items():
        if False in parts and history.acknowledged.get(number, newest) < newest:
            verdict.impossible.append(f"transaction {number} is gone, though a later one is there")


def _continue(ledger: Ledger, history: History, verdict: Verdict) -> None:
    """What the next `mailer send` would do: who would be mailed although their message may have left already."""
    campaign = ledger.campaign("one")
    if campaign is None:
        return
    ledger.mark_interrupted(campaign)
    for delivery in ledger.deliveries(ledger.due(campaign, 2.0)):
        chain = history.chains[delivery.contact.key]
        # the dot leaves once an intent was acknowledged; what came after that may or may not have reached the disk
        known = max(place for place, step in enumerate(chain) if step.transaction in history.acknowledged)
        later = {step.change.status for step in chain[known:]}
        verdict.again += not later & {"queued", "deferred"}
