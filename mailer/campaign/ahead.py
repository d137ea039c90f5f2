"""Messages made some at a time, shortly before they leave: work of one kind in a row takes half the time of the same work in turns.

Where makers, other processes, bring a message in time, it is theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mailer.campaign.freshness import Moment, is_fresh, now
from mailer.campaign.makers import Makers
from mailer.campaign.stock import Upcoming
from mailer.model import Delivery, Message

MOST = 16
"""Messages made in a row: more gain nothing."""

OCTETS = 1_000_000
"""No more than about this much is kept ready, however large the attachments are."""


class _Ready(NamedTuple):
    delivery: Delivery
    message: Message
    made_at: Moment


class Ahead:
    """Renders a delivery and, if they are taken fast enough, those that come after it.

    `backlog` gives the deliveries that are likely to be next. What is wrong with one of them is told when its turn comes.
    """

    def __init__(self, render: Callable[[Delivery], Message], backlog: Upcoming, makers: Makers | None = None) -> None:
        self._render = render
        self._backlog = backlog
        self._makers = makers
        self._ready: dict[int, _Ready] = {}
        self._size = 1

    def __call__(self, delivery: Delivery) -> Message:
        """Its message. Raises what `render` raises."""
        if self._makers and (message := self._makers.take(delivery)):
            return message
        ready = self._ready.pop(delivery.id, None)
        if ready and ready.delivery is delivery and is_fresh(ready.made_at):
            return ready.message
        message = self._render(delivery)
        self._make_ahead(len(message.content))
        return message

    def _make_ahead(self, octets: int) -> None:
        moment = now()
        stale = [number for number, ready in self._ready.items() if not is_fresh(ready.made_at)]
        for number in stale:
            del self._ready[number]
        # in vain: fewer; used up: more
        self._size = 1 if stale else min(MOST, 2 * self._size)
        room = self._size - 1 - len(self._ready)
        for delivery in self._backlog.upcoming(self._size) if room > 0 else ():
            if delivery.id in self._ready or (self._makers and delivery.id in self._makers):
                continue
            if room <= 0 or octets > OCTETS:
                break
            try:
                message = self._render(delivery)
            except Exception:  # noqa: BLE001 - its turn comes, and the reason with it
                break
            room -= 1
            octets += len(message.content)
            self._ready[delivery.id] = _Ready(delivery, message, moment)
