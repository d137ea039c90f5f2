"""The messages that makers were asked for, and those that are here: enough for the next moments, and none that is not the one it stands for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from mailer.campaign.freshness import SECONDS, Moment, is_fresh, now
from mailer.model import Delivery, Envelope, Message

BLOCK = 24
"""Messages that are asked for at a time: no more than a pipe takes at once, so that a maker goes on while the run is busy."""

BLOCKS = 5
"""Blocks that a maker has before it, so that it need not wait for the next."""

OCTETS = 4_000_000
"""No more than about this much is kept ready."""

FARTHEST = 1000
"""Deliveries before the first that is asked for, however late messages are."""

CLEANING = 0.25
"""Seconds from one look for messages that have become too old to the next, and over which is counted how many leave."""


class Upcoming(Protocol):
    """The deliveries that are still to be sent, in their order."""

    def __len__(self) -> int: ...
    def upcoming(self, number: int) -> Iterable[Delivery]: ...


class Made(NamedTuple):
    """A message as a maker gives it, and by what it is known to be the one that was asked for."""

    delivery: int
    digest: int
    mail_from: str
    rcpt_to: str
    message_id: str
    content: bytes
    needs_smtputf8: bool

    @classmethod
    def of(cls, delivery: Delivery, message: Message) -> Made:
        envelope, message_id, content, needs_smtputf8 = message
        return cls(delivery.id, delivery.digest, *envelope, message_id, content, needs_smtputf8)

    def is_for(self, delivery: Delivery) -> bool:
        """A maker reads the ledger by its own way, which might lead to another one: a copy that was put back, another server."""
        return self.message_id == delivery.message_id and self.digest == delivery.digest

    @property
    def message(self) -> Message:
        return Message(Envelope(self.mail_from, self.rcpt_to), self.message_id, self.content, self.needs_smtputf8)


class Asked(NamedTuple):
    delivery: Delivery
    at: Moment


class _Ready(NamedTuple):
    delivery: Delivery
    message: Message
    asked_at: Moment


class Stock:
    """What is on its way to the head of a backlog."""

    def __init__(self, backlog: Upcoming) -> None:
        self._backlog = backlog
        self._asked: dict[int, Asked] = {}
        self._ready: dict[int, _Ready] = {}
        self._octets = 0
        self._late = self._lead = 0
        self._looked_at = time.monotonic()
        self._taken = 0
        self._deep = BLOCKS * BLOCK

    def __contains__(self, number: int) -> bool:
        """Whether the message of the delivery with this id is here or on its way."""
        return number in self._ready or number in self._asked

    def take(self, delivery: Delivery) -> Message | None:
        """The message of a delivery that leaves now, if it is here."""
        self._taken += 1
        if delivery.id in self._asked:
            del self._asked[delivery.id]
            self._late += 1
        ready = self._ready.pop(delivery.id, None)
        if ready is None:
            return None
        self._octets -= len(ready.message.content)
        return ready.message if ready.delivery is delivery and is_fresh(ready.asked_at) else None

    def is_short(self, makers: int) -> bool:
        """Whether one of so many makers may be asked for a block."""
        if (at := time.monotonic()) - self._looked_at > CLEANING:
            self._clean(at)
        depth = min((BLOCKS + 1) * BLOCK * makers, self._deep)
        return len(self._asked) + len(self._ready) + BLOCK <= depth and self._octets <= OCTETS

    def to_ask(self) -> Mapping[int, Asked]:
        """What a maker is to be asked for now, by the ids of the deliveries."""
        self._find_lead()
        moment = now()
        wanted = {delivery.id: Asked(delivery, moment) for delivery in islice(self._not_asked(), BLOCK)}
        self._asked.update(wanted)
        return wanted

    def _clean(self, at: float) -> None:
        """Forget messages that would be too old, and see how many leave in half the time that one may wait."""
        self._deep = max(BLOCKS * BLOCK, int(self._taken / (at - self._looked_at) * SECONDS / 2))
        self._taken, self._looked_at = 0, at
        for number in [number for number, ready in self._ready.items() if not is_fresh(ready.asked_at)]:
            self._octets -= len(self._ready.pop(number).message.content)

    def _not_asked(self) -> Iterator[Delivery]:
        reach = self._lead + len(self._asked) + len(self._ready) + BLOCK
        for delivery in islice(self._backlog.upcoming(reach), self._lead, None):
            if delivery.id not in self:
                yield delivery

    def _find_lead(self) -> None:
        """How many will have left before a message that is asked for now is here; found by trying, as that depends on everything."""
        if self._late:
            self._lead, self._late = min(self._lead + self._late, FARTHEST), 0
        elif self._lead:
            self._lead -= 1 + self._lead // 8

    def bring(self, asked: Mapping[int, Asked], found: Sequence[Made]) -> None:
        """What came of a block. What was taken without it and then asked for again does not come with this one."""
        for made in found:
            of = asked[made.delivery]
            if self._asked.get(made.delivery) is of and made.is_for(of.delivery):
                self._ready[made.delivery] = _Ready(of.delivery, made.message, of.at)
                self._octets += len(made.content)
        self.forget(asked)

    def forget(self, asked: Mapping[int, Asked]) -> None:
        """Of a block nothing more will come."""
        for number, of in asked.items():
            if self._asked.get(number) is of:
                del self._asked[number]
