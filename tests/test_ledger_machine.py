"""The ledger against a model of it, through any order of events; and seeded bugs, each of which the model must notice.

The machine plays two senders with their connections, a mail server that knows what it accepted, and people who suppress,
decide, retry and change lists, over a real SQLite file. A sender may be stopped for hours and then go on (a zombie), or be
killed at any moment with messages on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shutil
import sqlite3
import tempfile
import textwrap
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from examples import share
from hashed import keep_as_hash
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from postgres_server import PostgresServer

import mailer.ledger.attempts
import mailer.ledger.campaigns
import mailer.ledger.deliveries
import mailer.ledger.embedded
import mailer.ledger.suppressions
import mailer.ledger.together
from mailer.age import new_key as new_secret
from mailer.ledger import Intent, Ledger, LedgerKey, Record, Row, Start, Writer
from mailer.ledger.campaigns import Campaigns
from mailer.ledger.cipher import new_key
from mailer.ledger.deliveries import Deliveries
from mailer.ledger.embedded import EmbeddedPen
from mailer.ledger.suppressions import Suppressions
from mailer.ledger.together import write_each
from mailer.model import (
    OPEN,
    CampaignRecord,
    Contact,
    LedgerPlace,
    Manifest,
    Outcome,
    Reply,
    Scope,
    Server,
    Status,
    Verdict,
)
from mailer.model import Phase as SmtpPhase
from mailer.suppression import found_among

EVERYBODY = ("ada@example.org", "ben@example.org", "cem@example.net", "dov@example.net")
SUPPRESSIBLE = (*EVERYBODY, "@example.net")
CAMPAIGNS = ("appeal", "reminder")
REACHED = {Status.SENDING, Status.UNCERTAIN, Status.SENT}

lists = st.lists(st.sampled_from(EVERYBODY), unique=True, min_size=1)
names = st.sampled_from((*CAMPAIGNS[:1] * 3, *CAMPAIGNS))
STORIES = (
    "new",
    "wire",
    "interrupted",
    "halfway",
    "decided",
    "late",
    "answered",
    "later",
    "updated",
    "suppressed",
    "erased",
    "two",
    "both",
)
MEMORY = Path("/dev/shm")
counters = {"steps": 0, "examples": 0}


@dataclass
class Duty:
    """What the model knows of one delivery. `decisions` counts how often a person said: send it again."""

    status: Status
    token: str = ""
    tried: bool = False
    due: float = 0.0
    decisions: int = 0
    accepted: Counter[int] = field(default_factory=Counter)
    """How often the server took the message, by the number of decisions at the time of the intent."""
    said_to_have_arrived: bool = False
    listed: bool = True


@dataclass
class Model:
    """A campaign."""

    duties: dict[str, Duty]
    nameless: int = 0
    """Rows without a usable address."""

    @property
    def tried(self) -> bool:
        return any(duty.tried for duty in self.duties.values())


@dataclass
class Try:
    """A message on the wire, from the intent until the sender has its outcome."""

    campaign: str
    key: str
    delivery: int
    decisions: int
    accepted: bool = False


@dataclass
class Sender:
    token: str
    writer: Writer
    claimed: list[tuple[str, str, int]] = field(default_factory=list)
    wire: list[Try] = field(default_factory=list)
    unwritten: list[Record] = field(default_factory=list)
    told: dict[tuple[str, str], list[str | None]] = field(default_factory=dict)
    """The verdicts of its attempts as they should stand in the ledger; None for those that have no answer yet."""
    crowded: bool = False


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        counters["examples"] += 1
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-machine-", dir=MEMORY if MEMORY.is_dir() else None))
        self.cleaning = contextlib.ExitStack()
        self.place = self.cleaning.enter_context(a_copy(self.folder))
        self.runner = asyncio.Runner()
        self.ledger = Ledger(self.place, key=template_key())
        self.now = time.time()
        self.models: dict[str, Model] = {}
        self.suppressed: set[str] = set()
        self.erased: set[str] = set()
        self.senders: list[Sender] = []
        self.orphans: list[Try] = []
        """On the wire when their sender was killed: the server may still take them."""
        self.tokens = 0

    def teardown(self) -> None:
        for sender in self.senders:
            self.runner.run(sender.writer.__aexit__())
        self.runner.close()
        self.ledger.close()
        self.cleaning.close()
        shutil.rmtree(self.folder)

    # -- what the machine needs to know

    def campaign(self, name: str) -> CampaignRecord:
        return self.ledger.find(name)

    def duty(self, attempt: Try) -> Duty:
        return self.models[attempt.campaign].duties[attempt.key]

    def is_suppressed(self, key: str) -> bool:
        return key in self.suppressed or key[key.index("@") :] in self.suppressed

    def take_out(self) -> None:
        """Who is suppressed, or left the list, waits in no queue."""
        for model in self.models.values():
            for key, duty in model.duties.items():
                if duty.status in OPEN and self.is_suppressed(key):
                    duty.status = Status.SUPPRESSED
                elif duty.status in OPEN and not duty.listed:
                    duty.status = Status.SKIPPED

    def ids(self, name: str) -> dict[str, int]:
        query = "SELECT key, id FROM deliveries WHERE campaign_id = ? AND key IS NOT NULL"
        return dict(self.ledger._all(query, self.campaign(name).id))

    # -- a person at the terminal

    def start_of(self, name: str, people: Sequence[str], nameless: int, letter: str) -> Start:
        now = self.ledger.suppressions("people")
        known = {key: held.words for key, held in {**found_among(people, now), **now.entries}.items()}
        rows = []
        for number, key in enumerate(people, start=2):
            contact = Contact(address=key, key=key, row=number, name=key[:3])
            reason = known.get(key, known.get(key[key.index("@") :]))
            status = Status.QUEUED if reason is None else Status.SUPPRESSED
            rows.append(Row(contact=contact, message_id=f"<{name}.{key}>", status=status, reason=reason or ""))
        for number in range(nameless):
            contact = Contact(address="?", key="", row=50 + number)
            skipped = Row(contact=contact, message_id="", status=Status.SKIPPED, reason="?", usable_address=False)
            rows.append(skipped)
        manifest = Manifest(
            template=letter, list_name="people.csv", letter={"a.md": "0" * 64}, attachments={}, contacts="c" * 64,
            list_file="f" * 64, settings={}, messages="m" * 64,
        )  # fmt: skip
        return Start(campaign=name, manifest=manifest, rows=rows, content=lambda _: b"Dear")

    @rule(
        name=names,
        people=lists,
        nameless=st.integers(0, 2),
        meanwhile=st.sets(st.sampled_from(SUPPRESSIBLE), max_size=1),
    )
    def start(self, name: str, people: list[str], nameless: int, meanwhile: set[str]) -> None:
        prepared = self.start_of(name, people, nameless, "appeal")
        if meanwhile:
            # at another terminal, while this one is still asking whether to send
            self.suppress(meanwhile)
        self.ledger.start(prepared)
        model = self.models.get(name)
        if model is None or not model.tried:
            self.models[name] = Model({key: Duty(Status.QUEUED) for key in people}, nameless)
            self.take_out()
            for sender in self.senders:
                # the attempts of the earlier one stay, but nobody's any more
                sender.told = {who: verdicts for who, verdicts in sender.told.items() if who[0] != name}

    @precondition(lambda self: any(model.tried for model in self.models.values()))
    @rule(
        data=st.data(),
        people=lists,
        nameless=st.integers(0, 2),
        meanwhile=st.sets(st.sampled_from(SUPPRESSIBLE), max_size=1),
    )
    def update(self, data: st.DataObject, people: list[str], nameless: int, meanwhile: set[str]) -> None:
        name = data.draw(st.sampled_from([name for name, model in self.models.items() if model.tried]))
        self.update_to(name, people, nameless, meanwhile)

    def update_to(self, name: str, people: Sequence[str], nameless: int, meanwhile: set[str]) -> None:
        model = self.models[name]
        prepared = self.start_of(name, people, nameless, "changed")
        if meanwhile:
            self.suppress(meanwhile)
        self.interrupt(name)
        self.ledger.revise(self.campaign(name), prepared)
        model.nameless = nameless
        for key in people:
            duty = model.duties.setdefault(key, Duty(Status.QUEUED))
            if duty.status is Status.SKIPPED:
                duty.status = Status.QUEUED
        for key, duty in model.duties.items():
            duty.listed = key in people
        self.take_out()

    stories = STORIES

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """From the middle of a campaign: from its beginning, chance alone takes long to get there."""
        story = data.draw(st.sampled_from(self.stories), label="story")
        self.start("appeal", list(EVERYBODY), 1, set())
        self.sender_comes()
        self.sender_comes()
        if story == "new":
            return
        if story == "two":
            self.start("reminder", list(EVERYBODY), 0, set())
        first, second = self.senders
        for sender in self.senders:
            self.claim_of(sender, "appeal")
        for _ in range(data.draw(st.integers(1, 2), label="on the wire")):
            self.hand_to(first, 0)
        if story == "both":
            self.start("reminder", list(EVERYBODY), 0, set())
            self.claim_of(second, "reminder")
            self.hand_to(second, 0)
        if story == "suppressed":
            self.suppress({EVERYBODY[0]})
        if story in {"interrupted", "erased", "halfway", "decided", "late", "both"}:
            self.interrupt("appeal")
        if story == "erased":
            self.suppress({EVERYBODY[0]})
            keep_as_hash(self.ledger, EVERYBODY[0])
            self.erased.add(EVERYBODY[0])
        if story == "halfway":
            self.hand_to(second, -1)
            decision = data.draw(st.sampled_from([Status.QUEUED, Status.SENT]), label="decision")
            self.decide("appeal", decision, data.draw(st.lists(st.sampled_from(EVERYBODY), unique=True), label="for"))
        if story in {"decided", "late"}:
            self.decide("appeal", Status.QUEUED, None)
            self.claim_of(second, "appeal")
            self.hand_to(second, -1)  # who kept a place comes last
        self.come_back(story, data)

    def come_back(self, story: str, data: st.DataObject) -> None:
        """The first sender gets its answers, however late."""
        first, second = self.senders
        if story in {"late", "answered", "later", "updated", "suppressed", "two"}:
            verdict = data.draw(st.sampled_from([Verdict.DEFERRED, Verdict.REQUEUED, Verdict.FAILED]))
            while first.wire:
                self.keep(first, first.wire.pop(), verdict, suppress=story == "two", intended=True)
            self.flush(first)
        if story == "later":
            self.time_passes(10)
            self.claim_of(second, "appeal")
            self.hand_to(second, -1)
            self.answer_one(second, data, suppress=False, flush=True)
        if story == "updated":
            meanwhile = data.draw(st.sets(st.just(EVERYBODY[2])), label="suppressed meanwhile")
            self.update(data, list(EVERYBODY[:3]), 1, meanwhile)
            if data.draw(st.booleans(), label="who left the list is on it again, but does not want to be"):
                self.update(data, list(EVERYBODY), 1, {EVERYBODY[3]})

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def take_over(self, data: st.DataObject) -> None:
        """The next run of the command; whoever sent before is dead, or stopped."""
        self.interrupt(data.draw(st.sampled_from(sorted(self.models))))

    def interrupt(self, name: str) -> None:
        self.ledger.mark_interrupted(self.campaign(name))
        for duty in self.models[name].duties.values():
            if duty.status is Status.SENDING:
                duty.status = Status.UNCERTAIN

    @precondition(lambda self: self.somebody_is(Status.UNCERTAIN))
    @rule(data=st.data(), decision=st.sampled_from([Status.QUEUED, Status.SENT]), everybody=st.booleans())
    def resolve(self, data: st.DataObject, decision: Status, everybody: bool) -> None:
        name = data.draw(st.sampled_from(self.somebody_is(Status.UNCERTAIN)))
        duties = self.models[name].duties
        keys = None if everybody else data.draw(st.lists(st.sampled_from(sorted(duties)), unique=True))
        self.decide(name, decision, keys)

    def decide(self, name: str, decision: Status, keys: list[str] | None) -> None:
        duties = self.models[name].duties
        moved = [key for key in (duties if keys is None else keys) if duties[key].status is Status.UNCERTAIN]
        done = self.ledger.resolve(self.campaign(name), decision, keys)
        for key in moved:
            duties[key].status, duties[key].token = decision, ""
            if decision is Status.QUEUED:
                duties[key].decisions += 1
                duties[key].due = 0
            else:
                duties[key].said_to_have_arrived = True
        self.take_out()
        out, gone = (
            sum(duties[key].status is status for key in moved) for status in (Status.SUPPRESSED, Status.SKIPPED)
        )
        assert (done.moved, done.suppressed, done.unlisted) == (len(moved) - out - gone, out, gone)

    @precondition(lambda self: self.somebody_is(Status.FAILED))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.somebody_is(Status.FAILED)))
        self.ledger.requeue_failed(self.campaign(name))
        for key, duty in self.models[name].duties.items():
            if duty.status in {Status.FAILED, Status.SUPPRESSED} and duty.listed and not self.is_suppressed(key):
                duty.status, duty.token = Status.QUEUED, ""

    def somebody_is(self, status: Status) -> list[str]:
        return [
            name for name, model in self.models.items() if any(duty.status is status for duty in model.duties.values())
        ]

    @rule(keys=st.sets(st.sampled_from(SUPPRESSIBLE), min_size=1, max_size=2))
    def suppress(self, keys: set[str]) -> None:
        added = self.ledger.suppress([(key, "asked") for key in sorted(keys)], source="by hand")
        assert added == len(keys - self.suppressed)
        self.suppressed |= keys
        self.take_out()

    @precondition(lambda self: self.suppressed)
    @rule()
    def unsuppress(self) -> None:
        assert self.ledger.unsuppress(sorted(self.suppressed)) == len(self.suppressed)
        self.suppressed.clear()
        self.erased.clear()

    @precondition(lambda self: self.suppressed - self.erased)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """Who is known by a hash only stays suppressed; a domain is nobody."""
        keys = data.draw(st.sets(st.sampled_from(sorted(self.suppressed)), min_size=1), label="erased")
        people = {key for key in keys - self.erased if not key.startswith("@")}
        for key in sorted(people):
            keep_as_hash(self.ledger, key)
        self.erased |= people

    @rule(minutes=st.sampled_from([1, 10, 100]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * 60
        self.ledger.close()
        self.ledger = Ledger(self.place, key=template_key())

    # -- senders

    @precondition(lambda self: len(self.senders) < 2 and self.models)
    @rule()
    def sender_comes(self) -> None:
        self.tokens += 1
        writer = Writer(self.ledger)
        self.runner.run(writer.__aenter__())
        self.senders.append(Sender(f"run {self.tokens}", writer))

    @precondition(lambda self: self.senders and self.models)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self.claim_for(data.draw(st.sampled_from(self.senders), label="sender"), data)

    def claim_for(self, sender: Sender, data: st.DataObject) -> None:
        self.claim_of(sender, data.draw(st.sampled_from(sorted(self.models)), label="campaign"))

    def claim_of(self, sender: Sender, name: str) -> None:
        due = self.ledger.due(self.campaign(name), self.now)
        claimed = self.ledger.deliveries(due)
        expected = {
            key
            for key, duty in self.models[name].duties.items()
            if duty.status is Status.QUEUED or (duty.status is Status.DEFERRED and duty.due <= self.now)
        }
        assert [delivery.id for delivery in claimed] == due
        assert {delivery.contact.key for delivery in claimed} == expected
        sender.claimed = [(name, delivery.contact.key, delivery.id) for delivery in claimed]

    @precondition(lambda self: self.senders and self.models)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        """Outcomes so far and the next intent in one commit; then the final dot."""
        sender = data.draw(st.sampled_from(self.senders), label="sender")
        if not sender.claimed:
            self.claim_for(sender, data)
            if not sender.claimed:
                return
        self.hand_to(sender, data.draw(st.integers(0, len(sender.claimed) - 1)))

    def hand_to(self, sender: Sender, number: int) -> None:
        name, key, delivery = sender.claimed.pop(number)
        if any((attempt.campaign, attempt.key) == (name, key) for attempt in sender.wire):
            return
        self.will_write(sender)
        model = self.models[name]
        stale = self.ids(name).get(key) != delivery
        duty = model.duties.get(key)
        free = not stale and duty is not None and duty.status in OPEN
        records, sender.unwritten = sender.unwritten, []
        intent = Intent(delivery=delivery, token=sender.token, account=sender.token, domain="example.org", at=self.now)
        granted = self.runner.run(written(sender.writer, records, intent))
        assert granted == free, f"{key} was {'granted' if granted else 'refused'}"
        if granted and duty is not None:
            assert not self.is_suppressed(key), "who is suppressed was handed over"
            duty.status, duty.token, duty.tried = Status.SENDING, sender.token, True
            sender.wire.append(Try(name, key, delivery, duty.decisions))
            sender.told.setdefault((name, key), []).append(None)

    @precondition(lambda self: any(sender.claimed for sender in self.senders))
    @rule(
        data=st.data(),
        verdict=st.sampled_from([Verdict.FAILED, Verdict.DEFERRED, Verdict.REQUEUED]),
        suppress=st.booleans(),
    )
    def refuse_before_the_dot(self, data: st.DataObject, verdict: Verdict, suppress: bool) -> None:
        sender = data.draw(st.sampled_from([sender for sender in self.senders if sender.claimed]), label="sender")
        name, key, delivery = sender.claimed.pop(0)
        if self.ids(name).get(key) == delivery and all(attempt.key != key for attempt in sender.wire):
            self.keep(sender, Try(name, key, delivery, 0), verdict, suppress=suppress, intended=False)
            sender.crowded |= bool(data.draw(st.booleans(), label="held back"))
            if not sender.crowded:
                self.flush(sender)

    # Most of what happens is sending: without this the machine would mostly change its lists.

    @precondition(lambda self: self.senders and self.models)
    @rule(data=st.data())
    def send_some(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, 3), label="messages")):
            self.hand_over(data)
            self.the_promises_hold()

    @precondition(lambda self: any(sender.wire for sender in self.senders))
    @rule(data=st.data(), flush=st.booleans())
    def answer_all(self, data: st.DataObject, flush: bool) -> None:
        for sender in self.senders:
            while sender.wire:
                self.answer_one(sender, data, suppress=False, flush=flush)

    @precondition(lambda self: any(sender.wire for sender in self.senders))
    @rule(data=st.data(), name=st.sampled_from(CAMPAIGNS), then=st.sampled_from(["", "queued", "sent", "crash"]))
    def stand_still(self, data: st.DataObject, name: str, then: str) -> None:
        """The sender stops for hours with messages on the wire; another takes over, and a person may decide."""
        if name not in self.models:
            return
        self.interrupt(name)
        if then == "crash":
            self.crash(data)
        elif then and name in self.somebody_is(Status.UNCERTAIN):
            self.decide(name, Status(then), None)
            if then == "queued":
                self.send_some(data)

    @property
    def on_the_wire(self) -> list[Try]:
        return [attempt for sender in self.senders for attempt in sender.wire] + self.orphans

    @precondition(lambda self: any(not attempt.accepted for attempt in self.on_the_wire))
    @rule(data=st.data())
    def server_accepts(self, data: st.DataObject) -> None:
        """Written down by the server before it answers; the answer may never arrive."""
        attempt = data.draw(st.sampled_from([attempt for attempt in self.on_the_wire if not attempt.accepted]))
        attempt.accepted = True
        self.duty(attempt).accepted[attempt.decisions] += 1

    @precondition(lambda self: any(sender.wire for sender in self.senders))
    @rule(data=st.data(), suppress=st.booleans(), flush=st.booleans())
    def answer(self, data: st.DataObject, suppress: bool, flush: bool) -> None:
        """The answers of several connections come in any order."""
        sender = data.draw(st.sampled_from([sender for sender in self.senders if sender.wire]), label="sender")
        self.answer_one(sender, data, suppress=suppress, flush=flush)

    def answer_one(self, sender: Sender, data: st.DataObject, *, suppress: bool, flush: bool) -> None:
        attempt = sender.wire.pop(data.draw(st.integers(0, len(sender.wire) - 1)))
        possible = [Verdict.SENT, Verdict.SENT, Verdict.UNCERTAIN]
        if not attempt.accepted:
            possible += [Verdict.DEFERRED, Verdict.FAILED, Verdict.REQUEUED]
        verdict = data.draw(st.sampled_from(possible), label="verdict")
        if verdict is Verdict.SENT and not attempt.accepted:
            self.duty(attempt).accepted[attempt.decisions] += 1
        self.keep(sender, attempt, verdict, suppress=suppress and verdict is Verdict.FAILED, intended=True)
        if flush:
            self.flush(sender)

    @precondition(lambda self: any(sender.unwritten for sender in self.senders))
    @rule(data=st.data())
    def write_down(self, data: st.DataObject) -> None:
        self.flush(data.draw(st.sampled_from([sender for sender in self.senders if sender.unwritten])))

    @precondition(lambda self: self.senders)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """What was not written is gone, and what is on the wire arrives or does not."""
        sender = self.senders.pop(data.draw(st.integers(0, len(self.senders) - 1)))
        self.orphans += sender.wire
        self.runner.run(sender.writer.__aexit__())

    def keep(self, sender: Sender, attempt: Try, verdict: Verdict, *, suppress: bool, intended: bool) -> None:
        status = Status.QUEUED if verdict is Verdict.REQUEUED else Status(verdict.value)
        outcome = Outcome(
            verdict=verdict, scope=Scope.RECIPIENT, phase=SmtpPhase.FINAL_DOT, text=verdict, reply=Reply(code=250, text="")
        )  # fmt: skip
        sender.unwritten.append(
            Record(
                delivery=attempt.delivery, token=sender.token, account=sender.token, domain="example.org",
                started_at=self.now, finished_at=self.now, outcome=outcome, status=status, intended=intended,
                next_attempt_at=self.now + 360 if status is Status.DEFERRED else None,
                suppress=suppress and verdict is Verdict.FAILED, reason=f"{attempt.campaign} {attempt.key}",
            )
        )  # fmt: skip

    def flush(self, sender: Sender) -> None:
        self.will_write(sender)
        records, sender.unwritten = sender.unwritten, []
        self.runner.run(written(sender.writer, records))

    def will_write(self, sender: Sender) -> None:
        """What the records that a sender holds are to change, in their order."""
        for record in sender.unwritten:
            name, key = record.reason.split(" ")
            duty = self.models[name].duties.get(key)
            if duty is None or self.ids(name).get(key) != record.delivery:
                continue
            held = duty.status in {Status.SENDING, Status.UNCERTAIN} and duty.token == sender.token
            if held if record.intended else duty.status in OPEN:
                duty.status = record.status
                duty.due = record.next_attempt_at or 0
                duty.tried |= record.status is not Status.QUEUED
            verdicts = sender.told.setdefault((name, key), [])
            if record.intended:
                verdicts[verdicts.index(None)] = record.outcome.verdict
            else:
                verdicts.append(record.outcome.verdict)
            if record.suppress:
                self.suppressed.add(key)
            self.take_out()
        sender.crowded = False

    # -- what must be true at any moment

    @invariant()
    def the_promises_hold(self) -> None:
        counters["steps"] += 1
        for name, model in self.models.items():
            campaign = self.campaign(name)
            found = {contact.key: status for contact, status in self.ledger.contacts(campaign)}
            self.nobody_vanishes_and_everybody_counts_once(campaign, model, found)
            for key, status in found.items():
                duty = model.duties[key]
                # who has the message is not sent it again unless a person decided so
                assert all(count <= 1 for count in duty.accepted.values()), f"{key} got it twice"
                assert not duty.accepted[duty.decisions] or status in REACHED, f"{key} has it and is {status}"
                # `sent` means accepted
                took = duty.accepted.total() or duty.said_to_have_arrived
                assert took or status is not Status.SENT, f"{key} is sent and never got it"
                # who is suppressed waits in no queue
                assert status not in OPEN or not self.is_suppressed(key), f"{key} is suppressed and {status}"
            assert found == {key: duty.status for key, duty in model.duties.items()}
        now = self.ledger.suppressions()
        assert set(now.entries) == self.suppressed - self.erased
        assert set(found_among(EVERYBODY, now)) == self.erased
        self.an_answer_stands_beside_its_own_attempt()

    def nobody_vanishes_and_everybody_counts_once(
        self, campaign: CampaignRecord, model: Model, found: Mapping[str, Status]
    ) -> None:
        assert sorted(found) == sorted(model.duties)
        tally = self.ledger.tally(campaign)
        assert tally.total == len(model.duties) + model.nameless
        assert tally.skipped == model.nameless + sum(status is Status.SKIPPED for status in found.values())

    def an_answer_stands_beside_its_own_attempt(self) -> None:
        query = (
            "SELECT a.token, c.name, d.key, verdict FROM attempts a JOIN deliveries d ON d.id = delivery_id"
            " JOIN campaigns c ON c.id = campaign_id WHERE verdict IS NOT NULL"
        )
        found: dict[tuple[str, str, str], list[str]] = {}
        for token, name, key, verdict in self.ledger._all(query):
            found.setdefault((token, name, key), []).append(verdict)
        for sender in self.senders:
            for who, verdicts in sender.told.items():
                known = found.get((sender.token, *who), [])
                assert Counter(known) == Counter(filter(None, verdicts)), f"{known} instead of {verdicts}"


_TEMPLATE: list[tuple[Path | tuple[PostgresServer, str], LedgerKey | None]] = []


@contextlib.contextmanager
def a_copy(folder: Path) -> Iterator[LedgerPlace]:
    """A new ledger, like the one that was made once: a file, or a database on a server."""
    template = _TEMPLATE[0][0]
    if isinstance(template, Path):
        yield Path(shutil.copyfile(template, folder / "mailer.db"))
    else:
        server, name = template
        with server.database(name) as copy:
            place = Server(address=server.address(copy))
            with Ledger(place) as ledger:
                ledger.settle_in()
            yield place


def template_key() -> LedgerKey | None:
    return _TEMPLATE[0][1]


@pytest.fixture(scope="module")
def empty_ledgers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, LedgerKey | None]]:
    folder = tmp_path_factory.mktemp("template")
    keys = {"plain": None, "encrypted": new_key(new_secret())}
    for name, key in keys.items():
        Ledger(folder / name, key=key).close()
    return {name: (folder / name, key) for name, key in keys.items()}


@pytest.fixture(autouse=True, params=["plain"])
def kept(request: pytest.FixtureRequest, empty_ledgers: dict[str, tuple[Path, LedgerKey | None]]) -> Iterator[None]:
    """How the ledger is kept: every test has it in a plain file, and those that name this fixture as they say."""
    if request.param != "server":
        _TEMPLATE[:] = [empty_ledgers[request.param]]
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as name:
        Ledger(Server(address=server.address(name))).close()
        _TEMPLATE[:] = [((server, name), None)]
        yield


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves is another test's matter (test_powercut); without syncing this one tries ten times as much."""
    real = mailer.ledger.embedded.connect

    def connect(path: Path, *, create: bool = True, key: LedgerKey | None = None) -> sqlite3.Connection:
        connection = real(path, create=create, key=key)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    monkeypatch.setattr(mailer.ledger.embedded, "connect", connect)


async def written(writer: Writer, records: Sequence[Record], intent: Intent | None = None) -> bool:
    return await writer.write(records=records, intent=intent)


def play(examples: int, steps: int, *, shrink: bool = True, derandomize: bool = False) -> None:
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, phases=phases, deadline=None, database=None,
            derandomize=derandomize, report_multiple_bugs=shrink, print_blob=True, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "statements"),
    [
        ("plain", "together"),
        ("plain", "one by one"),
        ("encrypted", "together"),
        pytest.param("server", "together", marks=pytest.mark.thorough),
    ],
    indirect=["kept"],
)
def test_no_order_of_events_breaks_a_promise(statements: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if statements == "one by one":
        monkeypatch.setattr(mailer.ledger.embedded, "write_together", write_each)
    before = dict(counters)
    on_server = isinstance(_TEMPLATE[0][0], tuple)
    play(20 if on_server else share(60), 30)
    steps, examples = (counters[what] - before[what] for what in ("steps", "examples"))
    print(f"{examples} campaigns, {steps} steps")
    assert steps > 10 * examples > 100


@pytest.mark.thorough
def test_the_examples_that_notice_seeded_bugs_find_none_in_the_ledger_itself() -> None:
    play(100, 20, shrink=False, derandomize=True)


# -- seeded bugs


@dataclass(frozen=True)
class Mutant:
    """`old` is replaced by `new` in the source of a function, or in a statement of SQL."""

    name: str
    where: types.ModuleType | type
    what: str
    old: str
    new: str
    stories: tuple[str, ...] = STORIES
    """Where to look for it first; everywhere would take minutes."""

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = inspect.getattr_static(self.where, self.what)
        text = found if isinstance(found, str) else textwrap.dedent(inspect.getsource(found))
        assert self.old in text, f"{self.what} has changed: bring this mutant up to date"
        text = text.replace(self.old, self.new)
        made = text if isinstance(found, str) else self._made(text)
        monkeypatch.setattr(self.where, self.what, made)
        for user in (mailer.ledger.embedded, mailer.ledger.together):
            if hasattr(user, self.what):  # where it is used, under a name of its own
                monkeypatch.setattr(user, self.what, made)

    def _made(self, source: str) -> object:
        module = inspect.getmodule(self.where)
        made: dict[str, object] = {}
        exec(compile(f"from __future__ import annotations\n{source}", self.name, "exec"), vars(module), made)
        return made[self.what]


campaigns, deliveries, suppressions, writer, together = (
    mailer.ledger.campaigns, mailer.ledger.deliveries, mailer.ledger.suppressions, mailer.ledger.attempts, mailer.ledger.together
)  # fmt: skip
FREE = " AND status IN ('queued', 'deferred')"
LEAVES_MEMORY = "status IN ('queued', 'deferred')"
DUE_ONES = "status IN ('queued', 'deferred') AND (status = 'queued'"

MUTANTS = [
    Mutant("intent without looking at the status", writer, "write_intent", FREE, "", ("wire",)),
    Mutant("intent takes what is in doubt", writer, "write_intent", "'deferred')", "'deferred', 'uncertain')", ("interrupted",)),
    Mutant("intent takes what is being sent", writer, "write_intent", "'deferred')", "'deferred', 'sending')", ("wire",)),
    Mutant("intent forgets whose it is", writer, "write_intent", "token = ?,", "token = coalesce(token, ?),", ("later",)),
    Mutant("intent is granted though refused", writer, "write_intent", "return False", "return True", ("wire",)),
    Mutant("record of anybody", writer, "_MOVE_OWN", "token = :token AND", "", ("late",)),
    Mutant("record against a decision", writer, "_MOVE_OWN", "token = :token AND status IN ('sending', 'uncertain')", "1", ("late",)),
    Mutant("record only in time", writer, "_MOVE_OWN", "('sending', 'uncertain')", "('sending')", ("interrupted",)),
    Mutant("refusal of what others hold", writer, "_MOVE_FREE", "status IN ('queued', 'deferred')", "1", ("wire",)),
    Mutant("answer to anybody's attempt", writer, "_COMPLETE", "AND token = :token", "", ("late",)),
    Mutant("bounce is kept from the other campaigns", writer, "LEAVE_ADDRESS", "key = (SELECT key FROM deliveries WHERE id = ?)", "id = ?", ("two",)),
    Mutant("suppressed while on the wire, and back", writer, "write_record", "if record.suppress or record.status in OPEN:", "if record.suppress:", ("suppressed",)),
    Mutant("dead address is not remembered", writer, "write_record", "if record.suppress:\n        suppress_dead(", "if False:\n        suppress_dead(", ("two",)),
    Mutant("outcomes are lost with a refused intent", writer, "write_one", "for record in records:", "for record in records if not intent or write_intent(connection, intent) else ():"),
    Mutant("only the first outcome of a group", writer, "write_one", "in records:", "in records[:1]:", ("wire",)),
    Mutant("together: intent without looking at the status", together, "_INTENDED", "? AND status IN ('queued', 'deferred')", "?", ("wire",)),
    Mutant("together: intent takes what is in doubt", together, "_INTENDED", "('queued', 'deferred')", "('queued', 'deferred', 'uncertain')", ("interrupted",)),
    Mutant("together: intent forgets whose it is", together, "_INTENDED", "'sending', token = ?,", "'sending', token = coalesce(token, ?),", ("later",)),
    Mutant("together: who is taken is granted", together, "write_together", ".rowcount != len(intended)", ".rowcount > len(intended)", ("wire",)),
    Mutant("together: record only in time", together, "_SENT", "('sending', 'uncertain')", "('sending')", ("interrupted",)),
    Mutant("together: the outcomes without the intents", together, "write_together", "connection.executemany(_BEGUN, begun)", "pass"),
    Mutant("acknowledged and taken back", EmbeddedPen, "_written", 'connection.execute("COMMIT")', 'connection.execute("ROLLBACK")'),
    Mutant("interrupted goes back into the queue", Deliveries, "mark_interrupted", "SET status = 'uncertain'", "SET status = 'queued'"),
    Mutant("interrupted counts as sent", Deliveries, "mark_interrupted", "SET status = 'uncertain'", "SET status = 'sent'"),
    Mutant("interrupted in every campaign", Deliveries, "mark_interrupted", "WHERE campaign_id = ? AND status", "WHERE ? AND status", ("both",)),
    Mutant("resolve moves everybody", Deliveries, "_move", "AND (CAST(? AS TEXT) IS NULL OR key = ?)", "AND (CAST(? AS TEXT) IS NULL OR ? IS NOT NULL)", ("halfway",)),
    Mutant("resolve moves what is being sent", Deliveries, "_move", "AND status = ?", "AND status IN (?, 'sending')", ("halfway",)),
    Mutant("retry of the uncertain", Deliveries, "requeue_failed", "IN ('failed', 'suppressed')", "IN ('failed', 'uncertain')", ("answered",)),
    Mutant("retry revives the suppressed", Deliveries, "requeue_failed", "AND NOT {IS_SUPPRESSED} AND NOT", "AND NOT", ("two",)),
    Mutant("resolve revives the suppressed", Deliveries, "_move", 'self._db.execute(f"{LEAVE} AND campaign_id = ?", here).rowcount', "0", ("interrupted",)),
    Mutant("due before its time", deliveries, "DUE", "next_attempt_at <= ?", "next_attempt_at <= ? + 1e9", ("answered",)),
    Mutant("due though uncertain", deliveries, "DUE", DUE_ONES, "status IN ('queued', 'deferred', 'uncertain') AND (status IN ('queued', 'uncertain')", ("interrupted",)),
    Mutant("deferred is never due", deliveries, "DUE", DUE_ONES, "status IN ('queued', 'failed') AND (status = 'queued'", ("later",)),
    Mutant("start forgets who was tried", Campaigns, "start", "if existing and self.tried(existing):", "if existing and False:", ("wire",)),
    Mutant("start keeps what was never tried", Campaigns, "start", "if existing and self.tried(existing):", "if existing:", ("new",)),
    Mutant("tried is who got no place back", Campaigns, "tried", "first_attempt_at IS NOT NULL", "0", ("answered",)),
    Mutant("start with a list of the suppressed that is old", Campaigns, "start", "self._db.execute(LEAVE, (now,))", "pass", ("new",)),
    Mutant("update with a list of the suppressed that is old", Campaigns, "revise", "self._db.execute(LEAVE, (now,))", "pass", ("updated",)),
    Mutant("update resets the sent", Campaigns, "_enqueue", "'skipped', 'failed')", "'skipped', 'failed', 'sent')", ("wire",)),
    Mutant("update resets the uncertain", Campaigns, "_enqueue", "'skipped', 'failed')", "'skipped', 'failed', 'uncertain')", ("interrupted",)),
    Mutant("update tries the deferred at once", Campaigns, "_enqueue", "THEN 'deferred'", "THEN 'queued'", ("updated",)),
    Mutant("update forgets those who came back", Campaigns, "_enqueue", "'deferred', 'skipped', 'failed')", "'deferred', 'failed')", ("updated",)),
    Mutant("update still mails who left the list", Campaigns, "revise", "self._db.execute(UNLIST, (now,))", "pass", ("updated",)),
    Mutant("update skips what is in doubt", campaigns, "UNLIST", "('queued', 'deferred')", "('queued', 'deferred', 'uncertain')", ("interrupted",)),
    Mutant("update takes those in doubt for gone", Campaigns, "revise", "SET listed_in = ?", "SET listed_in = listed_in + 0 * ?", ("interrupted",)),
    Mutant("update queues the failed again", Campaigns, "_enqueue", "WHEN deliveries.status = 'failed' THEN 'failed'", "", ("answered",)),
    Mutant("who left the list comes back by a decision", Deliveries, "_move", 'self._db.execute(f"{UNLIST} AND campaign_id = ?", here).rowcount', "0", ("interrupted",)),
    Mutant("update drops who left the list", Campaigns, "revise", "AND key IS NULL", "AND (key IS NULL OR status = 'queued')", ("wire",)),
    Mutant("update counts rows without an address twice", Campaigns, "revise", "AND key IS NULL", "AND key = ''"),
    Mutant("suppression waits for the next start", Suppressions, "_leave_out", "self._take_out(keys)", "pass", ("new",)),
    Mutant("suppression hides what is on the wire", suppressions, "LEAVE_KEY", LEAVES_MEMORY, "status IN ('queued', 'deferred', 'sending')", ("wire",)),
    Mutant("suppression hides what is in doubt", suppressions, "LEAVE_KEY", LEAVES_MEMORY, "status IN ('queued', 'deferred', 'uncertain')", ("interrupted",)),
    Mutant("suppression forgets the deferred", suppressions, "LEAVE_KEY", LEAVES_MEMORY, "status IN ('queued')", ("answered",)),
    Mutant("suppression of a domain hides what is in doubt", suppressions, "LEAVE", LEAVES_MEMORY, "status IN ('queued', 'deferred', 'uncertain')", ("interrupted",)),
    Mutant("suppression knows no domains", suppressions, "LEAVE", "s.entry >= '@' AND", "s.entry > 'z' AND"),
    Mutant("whoever is known by a hash is forgotten", Suppressions, "_add", "return bool(", "return one.entry is None or bool("),
    Mutant("who is erased may come back by a decision", deliveries, "LEAVE", "SELECT secret_id FROM suppressions", "SELECT NULL FROM suppressions", ("erased",)),
    Mutant("who is erased is mailed after a retry", deliveries, "IS_SUPPRESSED", "SELECT secret_id FROM suppressions", "SELECT NULL FROM suppressions"),
    Mutant("who is erased cannot be allowed again", Suppressions, "unsuppress", "WHERE hash IN (SELECT fingerprint(secret, ?1) FROM suppression_secrets)", "WHERE entry = ?1"),
    Mutant("unsuppress revives", Suppressions, "unsuppress", "with self._transaction():", "self._run(\"UPDATE deliveries SET status = 'queued' WHERE status = 'suppressed'\")\n    with self._transaction():"),
]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    if mutant.where is not together:
        # a group that is as usual would never come to the statements for one
        monkeypatch.setattr(mailer.ledger.embedded, "write_together", write_each)
    mutant.apply(monkeypatch)
    monkeypatch.setattr(LedgerMachine, "stories", mutant.stories)
    before = counters["steps"]
    with pytest.raises(AssertionError) as noticed:
        play(300, 20, shrink=False, derandomize=True)
    print(f"noticed after {counters['steps'] - before} steps: {str(noticed.value)[:100]!r}")


# -- bugs that the machine found, each as short as it can be


def at_once(*events: Callable[[LedgerMachine], object]) -> None:
    machine = LedgerMachine()
    try:
        machine.start("appeal", list(EVERYBODY), 0, set())
        machine.sender_comes()
        for event in events:
            event(machine)
            machine.the_promises_hold()
    finally:
        machine.teardown()


def give(machine: LedgerMachine, number: int = 0) -> None:
    """An intent for one of those who are due."""
    sender = machine.senders[0]
    if not sender.claimed:
        campaign = machine.campaign("appeal")
        for delivery in machine.ledger.deliveries(machine.ledger.due(campaign, machine.now)):
            sender.claimed.append(("appeal", delivery.contact.key, delivery.id))
    machine.hand_to(sender, number)


@pytest.mark.parametrize("verdict", [Verdict.DEFERRED, Verdict.REQUEUED])
def test_who_is_suppressed_while_the_message_is_on_the_wire_does_not_come_back(verdict: Verdict) -> None:
    def refused(machine: LedgerMachine) -> None:
        sender = machine.senders[0]
        machine.keep(sender, sender.wire.pop(), verdict, suppress=False, intended=True)
        machine.flush(sender)

    at_once(give, lambda machine: machine.suppress({EVERYBODY[0]}), refused)
    at_once(give, lambda machine: machine.suppress({"@example.org"}), refused)


@pytest.mark.parametrize("verdict", [Verdict.DEFERRED, Verdict.REQUEUED])
def test_who_left_the_list_while_the_message_was_on_the_wire_does_not_come_back(verdict: Verdict) -> None:
    def refused(machine: LedgerMachine) -> None:
        sender = machine.senders[0]
        machine.keep(sender, sender.wire.pop(), verdict, suppress=False, intended=True)
        machine.flush(sender)

    at_once(give, lambda machine: machine.update_to("appeal", EVERYBODY[1:], 0, set()), refused)


def test_who_is_suppressed_while_a_campaign_is_being_started_is_not_mailed() -> None:
    at_once(lambda machine: machine.start("reminder", list(EVERYBODY), 0, {EVERYBODY[1]}))


def test_a_sender_that_stood_still_does_not_take_another_ones_delivery_for_its_own() -> None:
    def claim(machine: LedgerMachine) -> None:
        for number, delivery in enumerate(machine.ids("appeal").values()):
            machine.senders[0].claimed.append(("appeal", EVERYBODY[number], delivery))

    at_once(claim, lambda machine: machine.start("appeal", [*EVERYBODY[::-1]], 0, set()), give)
