"""What came back: read, understood, recorded, and only then put away; the same mail is never counted twice.

The order is what makes a crash harmless: who is to be suppressed is so first (again is the same), then the events are durable,
then the mails are moved, then the ledger notes how far it has read. Whatever is repeated changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from mailer import crashpoint
from mailer.inbox import Kind, Understood, events_of, is_ours, understand
from mailer.inbox.mailbox import Arrived
from mailer.ledger import Ledger
from mailer.model import BounceClass, CampaignRecord, Event, EventKind, Reason, Sent
from mailer.reaction import Complaints, judge_complaints, reason_to_suppress
from mailer.tokens import Purpose, Tokens

CHUNK = 50
"""Mails that are read, recorded and put away together."""

TOKEN = re.compile(r"(?<![a-z0-9])[a-z0-9]{21,120}(?![a-z0-9])", re.IGNORECASE)

SOURCE = "by e-mail"
"""What stands in the suppression list beside the reason: the road it came by."""


class Box(Protocol):
    """A mailbox as the intake needs it."""

    @property
    def validity(self) -> int: ...
    def newer_than(self, uid: int, since: float) -> list[int]: ...
    def fetch(self, uids: Sequence[int]) -> Iterable[Arrived]: ...
    def put_away(self, uids: Sequence[int]) -> int: ...


@dataclass(kw_only=True, slots=True)
class Intake:
    """What a look into the mailbox came to. `mails` counts them by what they are, `events` what was new by kind and class.

    `ours`: mails that are about our messages; `known` of what they tell was counted before; `moved` of them were put away;
    `strange`: bounces and complaints about no message of ours; `other`: mails about something else; `complained`: campaigns with new complaints.
    """

    read: int = 0
    mails: Counter[Kind] = field(default_factory=Counter)
    events: Counter[EventKind] = field(default_factory=Counter)
    bounces: Counter[BounceClass] = field(default_factory=Counter)
    ours: int = 0
    known: int = 0
    strange: int = 0
    other: int = 0
    suppressed: int = 0
    moved: int = 0
    complained: set[int] = field(default_factory=set)

    def add(self, other: Intake) -> None:
        """Take up another look's figures."""
        for name in ("read", "ours", "known", "strange", "other", "suppressed", "moved"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.complained |= other.complained
        self.mails += other.mails
        self.events += other.events
        self.bounces += other.bounces


class Traces:
    """What the ledger knows of the deliveries that some mails may be about, asked for all of them at once."""

    def __init__(self, ledger: Ledger, found: Iterable[Understood]) -> None:
        self._ledger = ledger
        self._tokens = Tokens(ledger.secret)
        names = set()
        for one in found:
            names |= {_left(message_id) for message_id in one.message_ids}
            names |= {
                name for purpose in (Purpose.BOUNCE, Purpose.UNSUBSCRIBE) for name in self._named(purpose, one.marks)
            }
        self._sent = ledger.by_name(sorted(names))

    def _named(self, purpose: Purpose, marks: Iterable[str]) -> Iterator[str]:
        """The deliveries for which there is a token, genuine and for this purpose, in these texts."""
        for mark in marks:
            for candidate in TOKEN.findall(unquote(mark[:2000])):
                if name := self._tokens.read(purpose, candidate):
                    yield name

    def _by_token(self, purpose: Purpose, marks: Sequence[str]) -> Sent | None:
        return next((self._sent[name] for name in self._named(purpose, marks) if name in self._sent), None)

    def by_bounce_token(self, marks: Sequence[str]) -> Sent | None:
        return self._by_token(Purpose.BOUNCE, marks)

    def by_leave_token(self, marks: Sequence[str]) -> Sent | None:
        return self._by_token(Purpose.UNSUBSCRIBE, marks)

    def by_message_id(self, message_ids: Sequence[str]) -> Sent | None:
        found = ((one, self._sent.get(_left(one))) for one in message_ids)
        return next((sent for one, sent in found if sent and sent.message_id == one), None)

    def by_key(self, key: str, *, since: float, until: float) -> list[Sent]:
        return self._ledger.by_key(key, since=since, until=until)

    def knows(self, key: str) -> bool:
        return self._ledger.knows(key)


def take_in(ledger: Ledger, box: Box, name: str) -> Iterator[Intake]:
    """Read what is new in a mailbox (`name` tells it from others), a chunk at a time; gives each chunk's figures.

    Raises LedgerError, and what the mailbox raises; what was recorded until then stays recorded.
    """
    validity = box.validity
    uids = box.newer_than(ledger.read_up_to(name, validity), ledger.first_start())
    for start in range(0, len(uids), CHUNK):
        chunk = uids[start : start + CHUNK]
        intake, done = _record(ledger, list(box.fetch(chunk)))
        crashpoint.pass_through("after-events")
        intake.moved = box.put_away(done)
        ledger.note_read(name, validity, chunk[-1])
        yield intake


def _record(ledger: Ledger, arrived: Sequence[Arrived]) -> tuple[Intake, list[int]]:
    """Understand mails and write down what they tell. Returns the figures, and which mails may be put away."""
    found = [(mail, understand(mail.content)) for mail in arrived]
    traces = Traces(ledger, (one for _, one in found))
    intake, done, events = Intake(read=len(found)), [], dict[str, Event]()
    moved = ledger.moved()
    for mail, one in found:
        told = events_of(one, mail.at, traces)
        events |= {event.source: event for event in told}
        intake.mails[one.kind] += 1
        intake.ours += bool(told)
        intake.strange += one.kind in {Kind.BOUNCE, Kind.COMPLAINT} and not told
        intake.other += one.kind in {Kind.OTHER, Kind.LEAVING, Kind.RECEIPT} and not told
        # the ledger in which a campaign goes on has to find it there, too
        elsewhere = any(event.campaign in moved for event in told)
        # what people wrote stays where they look for it
        if is_ours(one, traces) or (told and told[0].kind is not EventKind.REPLY and not elsewhere):
            done.append(mail.uid)
    known = ledger.known_sources(list(events))
    new = [event for source, event in events.items() if source not in known]
    intake.known = len(known)
    intake.suppressed = _suppress(ledger, new)
    ledger.add_events(new)
    intake.events.update(event.kind for event in new)
    intake.complained = {event.campaign for event in new if event.kind is EventKind.COMPLAINT and event.campaign}
    intake.bounces.update(event.bounce for event in new if event.bounce)
    return intake, done


def _suppress(ledger: Ledger, new: Sequence[Event]) -> int:
    """Take everybody out for whom what came back is reason enough; returns how many were not suppressed before."""
    found: dict[str, list[tuple[str, str]]] = {}
    for number, event in enumerate(new):
        soft: list[tuple[int, float]] = []
        if event.bounce is BounceClass.SOFT:
            together = (one for one in new[:number] if one.key == event.key and one.bounce is BounceClass.SOFT)
            soft = [*ledger.soft_bounces(event.key), *((one.campaign or 0, one.at) for one in together)]
        held = reason_to_suppress(
            event.kind, bounce=event.bounce, status=event.status, campaign=event.campaign, at=event.at, soft=soft
        )
        if held:
            found.setdefault(held.reason, []).append((event.key, held.note))
    return sum(ledger.suppress(entries, source=SOURCE, reason=Reason(why)) for why, entries in found.items())


def complained_of(ledger: Ledger, new: Collection[int]) -> list[tuple[CampaignRecord, Complaints, int, int]]:
    """The campaigns of which too many complain, if there are `new` complaints or somebody is still to be sent one.

    With each how bad it is, how many they are, and of how many.
    """
    found: list[tuple[CampaignRecord, Complaints, int, int]] = []
    for campaign in ledger.campaigns():
        complained, sent = ledger.complaints(campaign)
        verdict = judge_complaints(complained, sent)
        if verdict is not Complaints.FEW and (campaign.id in new or ledger.tally(campaign).work_left):
            found.append((campaign, verdict, complained, sent))
    return found


def _left(message_id: str) -> str:
    return message_id[1:].partition("@")[0]
