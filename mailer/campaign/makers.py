"""Messages made by other processes, shortly before they leave: this one then only hands them over, and records what came of it.

A maker reads deliveries in the ledger, makes their messages as this process would, and decides nothing. Whatever it does not bring in
time, for whatever reason, is made here: a maker that dies costs a little time, and nobody a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import struct
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from mailer import __version__
from mailer.campaign import apart
from mailer.campaign.stock import BLOCK, BLOCKS, Asked, Made, Stock, Upcoming
from mailer.model import MAIN_RELAY, Delivery, Message

if TYPE_CHECKING:
    from mailer.ledger import Ledger
    from mailer.mime.dkim import Signer
    from mailer.model import CampaignRecord

LONG = 64_000
"""Octets. Messages longer than this, on an average, take longer to get here than to be made."""

LONG_BLOCKS = 2
"""Blocks of long messages after which makers are done without: one may have a single large attachment."""

FEW = 5000
"""For fewer messages, if they are signed, a process takes longer to start than it saves."""

UNSIGNED = 6
"""Times as many where they are only made."""

SLOW = 500
"""Messages a second: this process has time to make so many."""

SAMPLE = 250
"""Messages over which it is told how fast they leave."""

MOST = 8

LENGTH = struct.Struct("!I")

APART: dict[str, Any] = {
    # on Windows Ctrl-C, which is meant for the run, does not get there, and the priority is set here, since there is no nice(). Elsewhere a maker
    # sees to both itself; in a session of its own, whose share of the processor Linux weighs first, it would not stand back behind the run
    "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
}


class Recipe:
    """What a maker must know to make a campaign's messages."""

    def __init__(
        self, ledger: Ledger, campaign: CampaignRecord, relay: str = MAIN_RELAY, signer: Signer | None = None
    ) -> None:
        self._ledger, self._campaign, self._relay, self._signer = ledger, campaign, relay, signer

    @property
    def is_signed(self) -> bool:
        return self._signer is not None

    def described(self) -> tuple[Any, ...]:
        """In plain values. There may be a password in it, and keys: it goes into no argument."""
        keys = self._signer.packed if self._signer else None
        return __version__, self._ledger.described(), self._campaign.name, self._relay, keys


class Makers:
    """The makers for one backlog: `number` of them from the beginning, or, if None, as many as are worth it once they are."""

    def __init__(self, recipe: Recipe, backlog: Upcoming, number: int | None = None) -> None:
        self._recipe = recipe
        self._backlog = backlog
        self._number = number
        self._stock = Stock(backlog)
        self._begun: list[_Maker] = []
        self._crew: list[_Maker] = []
        """Those of whom something may be asked."""
        self._starting: asyncio.Task[None] | None = None
        self._over = False
        self._long = 0
        self._seen, self._since = 0, 0.0

    async def __aenter__(self) -> Self:
        if self._number:
            # none for whom there would be no block to make
            await self._begin(min(self._number, -(-len(self._backlog) // BLOCK)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        try:
            if self._starting:
                await self._starting
        finally:
            await asyncio.gather(*(maker.end() for maker in self._begun), return_exceptions=True)

    def __contains__(self, number: int) -> bool:
        """Whether the message of the delivery with this id is here or on its way."""
        return number in self._stock

    def take(self, delivery: Delivery) -> Message | None:
        """The message of a delivery that leaves now, if it is here. Has those made that come after it."""
        if not self._begun:
            self._consider()
            return None
        message = self._stock.take(delivery)
        if self._crew and self._stock.is_short(len(self._crew)):
            maker = min(self._crew, key=lambda one: one.owes)
            if maker.owes < BLOCKS and (wanted := self._stock.to_ask()):
                maker.ask(wanted)
        return message

    # -- whether it is worth it

    def _consider(self) -> None:
        """Begin once messages leave so fast that it pays."""
        if self._starting or self._number is not None:
            return
        self._seen += 1
        if self._seen % SAMPLE:
            return
        before, self._since = self._since, time.monotonic()
        signed = self._recipe.is_signed
        if self._since - before < SAMPLE / SLOW and len(self._backlog) >= FEW * (1 if signed else UNSIGNED):
            # one makes more than can be handed over, unless it signs them, too
            number = min(apart.cores() - 1, MOST if signed else 1)
            self._starting = asyncio.ensure_future(self._begin(number))

    async def _begin(self, number: int) -> None:
        # whatever keeps another from beginning: those that there are, or this process, do its work
        with contextlib.suppress(Exception):
            while len(self._begun) < number and not self._over and apart.is_possible():
                process = await asyncio.create_subprocess_exec(
                    *apart.command("mailer.campaign.maker", "main"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    limit=2**22,
                    **APART,
                )
                maker = _Maker(self, process)
                self._begun.append(maker)
                self._crew.append(maker)
                maker.say(self._recipe.described())

    # -- what they bring

    def brought(self, asked: Mapping[int, Asked], found: Sequence[Made]) -> None:
        """A maker has done what it was asked for."""
        self._stock.bring(asked, found)
        too_long = sum(len(made.content) for made in found) > LONG * len(asked)
        self._long = self._long + 1 if too_long else 0
        if self._long >= LONG_BLOCKS:
            for maker in self._crew:
                maker.kill()
            self._crew.clear()

    def lost(self, maker: _Maker, owed: Sequence[Mapping[int, Asked]]) -> None:
        """A maker has ended. The others do its work, or this process does."""
        for asked in owed:
            self._stock.forget(asked)
        if maker in self._crew:
            self._crew.remove(maker)


class _Maker:
    """One process, and what it is told and says."""

    def __init__(self, makers: Makers, process: asyncio.subprocess.Process) -> None:
        self._makers = makers
        self._process = process
        self._owed: deque[Mapping[int, Asked]] = deque()
        self._listening = asyncio.ensure_future(self._listen())

    @property
    def owes(self) -> int:
        """How many blocks it was asked for that are not here yet."""
        return len(self._owed)

    def ask(self, wanted: Mapping[int, Asked]) -> None:
        self._owed.append(wanted)
        self.say([*wanted])

    def say(self, what: Any) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError, RuntimeError):  # it has ended, as is heard in a moment
            self._process.stdin.write(marshal.dumps(what))

    async def _listen(self) -> None:
        heard = self._process.stdout
        assert heard
        try:
            while True:
                head = await heard.readexactly(LENGTH.size)
                found = marshal.loads(await heard.readexactly(LENGTH.unpack(head)[0]))  # noqa: S302 - our own process
                self._makers.brought(self._owed[0], [Made(*values) for values in found])
                self._owed.popleft()
        except Exception:  # noqa: BLE001 - whatever it said, or did not say any more: it is done without
            self.kill()
        finally:
            self._makers.lost(self, self._owed)

    def kill(self) -> None:
        """It holds nothing that could be lost."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """End it, and wait until it has ended."""
        self.kill()
        await self._listening
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()
