"""Which delivery comes next, so that a domain at its limit never holds up the others."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING

from mailer.model import OPEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mailer.model import Delivery

CHUNK = 500


class Backlog:
    """The deliveries that are due, in the list's order, loaded in chunks.

    `ready_at(domain)` tells when a domain's own quota lets the next message through (0 if now). Deliveries to a domain
    that must wait are set aside and come back first, in their order, as soon as it may go on. From `until` on (Unix time) nobody
    is to be taken any more.
    """

    def __init__(
        self,
        due: Collection[int],
        load: Callable[[Collection[int]], list[Delivery]],
        ready_at: Callable[[str], float],
        until: float = math.inf,
    ) -> None:
        self.until = until
        self._due = deque(due)
        self._load = load
        self._ready_at = ready_at
        self._loaded: deque[Delivery] = deque()
        self._aside: dict[str, deque[Delivery]] = {}
        # by when each domain in `_aside` may go on, as it was last asked; infinity: when one on its way has ended
        self._asked: dict[str, float] = {}
        self._later: list[tuple[float, str]] = []
        self._under_way: set[str] = set()

    def __len__(self) -> int:
        return len(self._due) + len(self._loaded) + sum(map(len, self._aside.values()))

    @property
    def is_over(self) -> bool:
        """Whether others are due by now than these: somebody's office hours have begun or ended."""
        return time.time() >= self.until

    def take(self, now: float) -> Delivery | None:
        """The next delivery. If every domain left must wait, the one that may go first; None when all are taken."""
        if self._aside and (delivery := self._waited_for(now)):
            return delivery
        while delivery := self._next():
            domain = delivery.domain
            at = self._ready_at(domain)
            if domain in self._aside:
                self._aside[domain].append(delivery)
                if at <= now:
                    return self._pop(domain)
            elif at <= now:
                return delivery
            else:
                self._aside[domain] = deque([delivery])
                self._file(domain, at)
        # whoever takes it waits anyway, so that all may be asked: a slot given back lets a domain go on sooner
        return self._pop(min(self._aside, key=self._ready_at)) if self._aside else None

    def upcoming(self, number: int) -> Iterable[Delivery]:
        """So many that will probably be taken next, or those that there are."""
        while len(self._loaded) < number and self._due:
            self._load_more()
        return islice(self._loaded, number)

    def put_back(self, delivery: Delivery) -> None:
        """Return a delivery that was taken and not tried; it keeps its place."""
        # behind it are those of its domain that were set aside; among the others it is the first
        self._aside.get(delivery.domain, self._loaded).appendleft(delivery)

    def look_again(self) -> None:
        """Load everybody anew who was loaded: in the ledger, some may be out of the queue by now."""
        loaded = [delivery.id for queue in (*self._aside.values(), self._loaded) for delivery in queue]
        self._aside.clear()
        self._asked.clear()
        self._later.clear()
        self._under_way.clear()
        self._loaded.clear()
        self._due.extendleft(reversed(loaded))

    def _waited_for(self, now: float) -> Delivery | None:
        # with all places in use, some are on their way: at most as many domains as there are connections
        for domain in list(self._under_way):
            self._file(domain, self._ready_at(domain))
        while self._later and self._later[0][0] <= now:
            at, domain = heappop(self._later)
            if self._asked.get(domain) != at:
                continue
            if (at := self._ready_at(domain)) <= now:
                return self._pop(domain)
            self._file(domain, at)
        return None

    def _file(self, domain: str, at: float) -> None:
        if self._asked.get(domain) != at:
            self._asked[domain] = at
            if at == math.inf:
                self._under_way.add(domain)
            else:
                self._under_way.discard(domain)
                heappush(self._later, (at, domain))

    def _next(self) -> Delivery | None:
        while not self._loaded and self._due:
            self._load_more()
        return self._loaded.popleft() if self._loaded else None

    def _load_more(self) -> None:
        ids = list(islice(self._due, CHUNK))
        self._loaded.extend(delivery for delivery in self._load(ids) if delivery.state in OPEN)
        # only now: where the ledger cannot be read, nobody has lost their place
        for _ in ids:
            self._due.popleft()

    def _pop(self, domain: str) -> Delivery:
        waiting = self._aside[domain]
        delivery = waiting.popleft()
        self._asked.pop(domain, None)
        self._under_way.discard(domain)
        if waiting:
            self._file(domain, self._ready_at(domain))
        else:
            del self._aside[domain]
        return delivery
