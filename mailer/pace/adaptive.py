"""The pace that a relay teaches us by its storms (`throttle`), of one sender, or of all that share a ledger.

What all share stands with whoever keeps it, a database, by whose clock turns are given out: so many a second, to whoever asks. Each
sender watches only how its own messages fare, and says when it sees a storm or a good stretch. A storm is known by its number: of
several senders that see one only the first halves the pace, and what was begun before anybody heard of it proves no further one.

While nothing is held back nobody asks for turns; each sender looks once a second whether another one has seen a storm.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, Self

from mailer.model import Learned, Lesson
from mailer.throttle import Allowance, Barometer, Sign, Throttle

LOOK_SECONDS = 1.0
"""From one look at what others have learned to the next."""

AHEAD_SECONDS = 0.2
MOST_AHEAD = 10
"""Turns that are asked for beyond those that somebody waits for: as many as are used in so many seconds."""

RELIEF = 1.0
"""Seconds after a storm for which what is put off proves no further one: a relay that counts by the second has not forgotten yet."""

Tell = Callable[[float], None]
"""Called with the messages a second that are left after a storm."""


class Teacher(Protocol):
    """Whoever keeps what all senders of an account have learned."""

    async def learn(self, account: str, lesson: Lesson) -> Learned:
        """Tell what happened here, and hear what holds. Raises LedgerError."""
        ...

    async def close(self) -> None: ...


class OwnThrottle:
    """Of one sender."""

    def __init__(self) -> None:
        self._throttle = Throttle()
        self._relieved_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing: what was learned goes with the sender."""

    @property
    def rate(self) -> float | None:
        """Messages a second, or None while nothing is held back."""
        return self._throttle.rate

    async def turn(self) -> float:
        """Seconds until the next transaction may start; it counts as started then."""
        return self._throttle.wait(time.monotonic())

    def count(self) -> None:
        """Note a transaction that starts at once, as nothing is held back."""
        self._throttle.wait(time.monotonic())

    def observe(self, *, put_off: bool, begun_at: float, tell: Tell) -> None:
        """Note how a transaction ended that began at that time (Unix). `tell` hears of a storm."""
        if put_off and begun_at < self._relieved_at:
            return
        if self._throttle.observe(put_off=put_off):
            self._relieved_at = time.time() + RELIEF
            tell(self._throttle.rate or 0.0)


class SharedThrottle:
    """Of all that send over an account. Used as `OwnThrottle`, within one event loop; whoever waits when the ledger fails gets its error."""

    def __init__(self, teacher: Teacher, account: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._teacher = teacher
        self._account = account
        self._clock = clock
        self._barometer = Barometer()
        self._allowed = Allowance()
        self._storms: int | None = None
        """How many there were, as far as it is known here."""
        self._relieved_at = 0.0
        self._storm = False
        self._stretches = 0
        self._tell: Tell = lambda _rate: None
        self._turns: deque[float] = deque()
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._news = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def __aenter__(self) -> Self:
        self._serving = asyncio.ensure_future(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._serving:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving
        await self._teacher.close()

    @property
    def rate(self) -> float | None:
        return self._allowed.rate

    async def turn(self) -> float:
        if self._failure:
            raise self._failure
        if self._storms is not None and self._allowed.rate is None:
            return 0.0
        if not self._turns:
            waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            self._news.set()
            return max(0.0, await waiter - self._clock())
        return max(0.0, self._turns.popleft() - self._clock())

    def count(self) -> None:
        """Nothing: the ledger counts."""

    def observe(self, *, put_off: bool, begun_at: float, tell: Tell) -> None:
        if put_off and begun_at < self._relieved_at:
            return
        sign = self._barometer.observe(put_off=put_off)
        if sign is Sign.STORM:
            self._storm, self._tell = True, tell
            self._news.set()
        elif sign is Sign.STRETCH and self._allowed.rate is not None:
            # it is told with the next question for turns, or the next look
            self._stretches += 1

    # -- with whoever keeps it

    async def _serve(self) -> None:
        try:
            while True:
                self._news.clear()
                await self._exchange()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
        except Exception as error:  # noqa: BLE001 - everybody who waits is to hear it
            self._failure = error
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(error)
            self._waiting.clear()

    async def _exchange(self) -> None:
        ahead = min(MOST_AHEAD, int((self._allowed.rate or 0.0) * AHEAD_SECONDS)) if self._waiting else 0
        lesson = Lesson(
            storms=self._storms or 0, storm=self._storm, stretches=self._stretches, turns=len(self._waiting) + ahead
        )
        self._storm, self._stretches = False, 0
        learned = await self._teacher.learn(self._account, lesson)
        if learned.storms != self._storms:
            self._heed_storm(learned, told_here=lesson.storm)
        self._allowed = Allowance(rate=learned.rate)
        # heard of a little later than it was said: so each turn comes later rather than sooner
        heard = self._clock()
        self._turns.extend(heard + turn for turn in learned.turns)
        if learned.rate is None:
            self._turns.clear()
        self._hand_out()

    def _heed_storm(self, learned: Learned, *, told_here: bool) -> None:
        news, self._storms = self._storms is not None, learned.storms
        self._turns.clear()
        self._barometer.reset()
        self._stretches = 0
        if news:
            self._relieved_at = time.time() + RELIEF
        if told_here and learned.rate is not None:
            self._tell(learned.rate)

    def _hand_out(self) -> None:
        while self._waiting and (self._turns or self._allowed.rate is None):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(self._turns.popleft() if self._turns else self._clock())
