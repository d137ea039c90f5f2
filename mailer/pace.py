"""When the next transaction may start, so that no window of any length ever holds more messages than its quota.

The server counts a message somewhere between the start of its transaction and the reply; we do not know when. So a
message takes up its place from the moment it may start until `seconds` after its reply was read. If fewer than `count`
places are taken whenever one starts, no half-open window of `seconds` holds more than `count`, as the server sees it:
of the messages in such a window, take the one that started last; all others still held their places then.

All arithmetic is on the monotonic clock, which nobody can set. The wall clock only says how old the ledger's history is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from mailer.model import Quota

GRAIN = 0.001
"""Seconds by which a stored time of day may be rounded."""


EACH = "*"
"""The key of quotas that every domain without a key of its own gets, as in MAILER_DOMAIN_RATE="5/minute"."""


class _Window:
    """The places of one quota: those of transactions under way, and when the latest finished ones were answered."""

    __slots__ = ("finished", "quota", "under_way")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.under_way = 0
        self.finished: deque[float] = deque(maxlen=quota.count)

    def free_at(self) -> float:
        """When a place is free: minus infinity for always, infinity if that depends on a transaction under way."""
        free = self.quota.count - self.under_way
        if free <= 0:
            return math.inf
        oldest = len(self.finished) - free
        return self.finished[oldest] + self.quota.seconds if oldest >= 0 else -math.inf

    def finish(self, at: float) -> None:
        self.under_way -= 1
        # Out of order can only make us slower: the later time counts.
        self.finished.append(max(at, self.finished[-1]) if self.finished else at)


class Slot:
    """The right to start one transaction now. End it with `done` or `cancel`; what comes second changes nothing."""

    __slots__ = ("_pace", "_windows")

    def __init__(self, pace: Pace | None, windows: tuple[_Window, ...]) -> None:
        self._pace = pace
        self._windows = windows

    def done(self, at: float | None = None) -> None:
        """The reply was read, or will never come (`at`, by the pace's clock; default now). Refusals count too."""
        if self._pace is not None:
            pace, self._pace = self._pace, None
            now = pace.clock()
            for window in self._windows:
                window.finish(now if at is None else min(at, now))
            pace.wake()

    def cancel(self) -> None:
        """No transaction was begun, so the server has counted nothing."""
        if self._pace is not None:
            pace, self._pace = self._pace, None
            for window in self._windows:
                window.under_way -= 1
            pace.wake()


NO_LIMIT = Slot(None, ())
"""The slot of every transaction that no quota counts."""


class _Group:
    """The domains that share a quota (or have none of their own), and those waiting for one, first come first served."""

    __slots__ = ("own", "waiters", "windows")

    def __init__(self, shared: tuple[_Window, ...], own: tuple[_Window, ...] = ()) -> None:
        self.own = own
        self.windows = (*shared, *own)
        self.waiters: deque[tuple[int, asyncio.Future[Slot | None]]] = deque()

    def own_free_at(self) -> float:
        return max((window.free_at() for window in self.own), default=-math.inf)

    def free_at(self) -> float:
        latest = -math.inf
        for window in self.windows:
            latest = max(latest, window.free_at())
        return latest

    def first(self) -> tuple[int, asyncio.Future[Slot | None]] | None:
        """Who has waited longest; those who gave up are forgotten."""
        while self.waiters and self.waiters[0][1].done():
            self.waiters.popleft()
        return self.waiters[0] if self.waiters else None


class Pace:
    """The quotas of one account and of destination domains, kept at once.

    A key of `domains` stands for the domain and everything below it that has no key of its own, in any case. The key
    EACH gives every other domain the same quotas, each for itself.
    `clock` must never go back (seconds); `wall` is Unix time. One event loop only; no thread safety.
    """

    def __init__(
        self,
        account: Sequence[Quota],
        domains: Mapping[str, Sequence[Quota]] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.wall = wall
        shared = tuple(_Window(quota) for quota in account)
        self._others = _Group(shared)
        self._keyed = {
            key.lower().strip("."): _Group(shared, tuple(_Window(quota) for quota in quotas))
            for key, quotas in (domains or {}).items()
            if key != EACH
        }
        self._shared = shared
        self._each = tuple((domains or {}).get(EACH, ()))
        self._alone: dict[str, _Group] = {}
        self._by_domain: dict[str, _Group] = {}
        self._to_anybody: list[float] = []
        self._groups = (self._others, *self._keyed.values())
        # groups in which somebody waits; with EACH there are as many groups as domains
        self._queues: dict[_Group, None] = {}
        self._tickets = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self.unlimited = not (self._each or any(group.windows for group in self._groups))
        """Whether there are no quotas at all, so that nobody ever waits."""

    @property
    def longest_window(self) -> int:
        """Seconds of history that matter to `preload`; 0 without quotas."""
        seconds = [window.quota.seconds for group in self._groups for window in group.windows]
        return max((*seconds, *(quota.seconds for quota in self._each)), default=0)

    def preload(self, history: Iterable[tuple[float, str]], elsewhere: Iterable[tuple[float, str]] = ()) -> None:
        """Take over what was sent before, as (Unix time of the reply, domain) in any order.

        A time in the future counts as now: the wall clock was set back since. Without a domain it counts for every one.
        `elsewhere` went over other accounts, so that it counts for its domain only.
        """
        now, today = self.clock(), self.wall()
        history, elsewhere = list(history), list(elsewhere)
        # with EACH, a domain has its own group from its first message on
        groups = {*self._groups, *(self._group(domain) for _, domain in (*history, *elsewhere) if domain)}
        found: dict[_Window, list[float]] = {window: [] for group in groups for window in group.windows}
        everywhere, beside = tuple(found), tuple(window for group in groups for window in group.own)
        for entries, all_of_them, of_the_account in ((history, everywhere, True), (elsewhere, beside, False)):
            for at, domain in entries:
                ended = now - max(0.0, today - at - GRAIN)
                group = self._group(domain)
                for window in all_of_them if not domain else group.windows if of_the_account else group.own:
                    found[window].append(ended)
                if not domain:
                    self._to_anybody.append(ended)
        for window, times in found.items():
            window.finished = deque(sorted((*window.finished, *times)), maxlen=window.quota.count)

    def next_start(self, domain: str) -> float | None:
        """The earliest start by `clock`, not counting who waits already. None: a transaction must end first."""
        if self.unlimited:
            return self.clock()
        free_at = self._group(domain).free_at()
        return None if free_at == math.inf else max(free_at, self.clock())

    def own_start(self, domain: str) -> float:
        """As `next_start`, of the domain's own quotas only: minus infinity without any, infinity if all are in use."""
        if self.unlimited:
            return -math.inf
        group = self._group(domain)
        return -math.inf if group is self._others else group.own_free_at()

    def waiting_for(self, domain: str) -> tuple[Quota, float] | None:
        """The quota that holds a domain back and until when (Unix time, at the earliest), or None if nothing does."""
        windows = self._group(domain).windows
        now = self.clock()
        window = max(windows, key=_Window.free_at, default=None)
        if window is None or window.free_at() <= now:
            return None
        free_at = window.free_at()
        wait = window.quota.seconds if free_at == math.inf else free_at - now
        return window.quota, self.wall() + wait

    def try_reserve(self, domain: str) -> Slot | None:
        """A slot if a transaction to a domain may start this instant, and nobody waits who came before. None after `stop`."""
        if self._stopped:
            return None
        if self.unlimited:
            return NO_LIMIT
        group = self._group(domain)
        free = self._timer is None and not self._waiting() and group.free_at() <= self.clock()
        return self._take(group) if free else None

    async def reserve(self, domain: str) -> Slot | None:
        """Wait until a transaction to a domain may start. None after `stop`.

        Who came first goes first, except that nobody waits for a domain other than their own.
        """
        slot = self.try_reserve(domain)
        if slot or self._stopped:
            return slot
        group = self._group(domain)
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        group.waiters.append((self._tickets, waiter))
        self._queues[group] = None
        self.wake()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (slot := waiter.result()):
                slot.cancel()
            raise

    def stop(self) -> None:
        """Send everybody who waits away, and whoever comes later; slots given out stay valid."""
        self._stopped = True
        for group in self._queues:
            while first := group.first():
                first[1].set_result(None)
        self.wake()

    def wake(self) -> None:
        """Let everybody start who may, and set one timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting():
            return
        while True:
            now = self.clock()
            ready, earliest, loop = self._survey(now)
            if ready is None:
                break
            ready.waiters.popleft()[1].set_result(self._take(ready))
        if loop is not None and earliest < math.inf:
            self._timer = loop.call_later(earliest - now, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.wake()

    def _survey(self, now: float) -> tuple[_Group | None, float, asyncio.AbstractEventLoop | None]:
        """The group whose first waiter may start now and came earliest; else when the first may, and on which loop."""
        ready: tuple[int, _Group] | None = None
        earliest, loop = math.inf, None
        for group in list(self._queues):
            first = group.first()
            if first is None:
                del self._queues[group]
            else:
                ticket, waiter = first
                loop = waiter.get_loop()
                free_at = group.free_at()
                if free_at > now:
                    earliest = min(earliest, free_at)
                elif ready is None or ticket < ready[0]:
                    ready = ticket, group
        return (ready[1] if ready else None), earliest, loop

    def _waiting(self) -> bool:
        return bool(self._queues)

    def _take(self, group: _Group) -> Slot:
        for window in group.windows:
            window.under_way += 1
        return Slot(self, group.windows)

    def _group(self, domain: str) -> _Group:
        group = self._by_domain.get(domain)
        if group is None:
            name = domain.lower().strip(".")
            while name and name not in self._keyed:
                name = name.partition(".")[2]
            group = self._by_domain[domain] = self._keyed.get(name) or self._of_its_own(domain)
        return group

    def _of_its_own(self, domain: str) -> _Group:
        """What a domain without a key gets: nothing, or the quotas of EACH for itself alone."""
        if not self._each:
            return self._others
        name = domain.lower().strip(".")
        if name not in self._alone:
            group = self._alone[name] = _Group(self._shared, tuple(_Window(quota) for quota in self._each))
            for window in group.own:
                window.finished = deque(sorted(self._to_anybody), maxlen=window.quota.count)
        return self._alone[name]
