"""Sending with several processes: the run decides, paces and records; couriers make the messages and hand them over.

Each connection of a run lives in one of the couriers. What the promises rest on stays in one place: one backlog, one pace, one
writer of the ledger, one bounce brake. A courier that dies costs at most one uncertain delivery a connection, as a broken
connection does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import subprocess
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from mailer.campaign import apart
from mailer.campaign.frames import Event, Post, received
from mailer.errors import LetterError, Paused
from mailer.ledger import DeliveryRow, Ledger, delivery_of
from mailer.model import Action, CampaignRecord, Delivery, Outcome, Phase, Reply, Scope, Verdict
from mailer.outcome import lost
from mailer.smtp import FAREWELL, Farewell, Relay, signed_in

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

START_SECONDS = 60.0
"""For a courier to start: a slow laptop reads a lot of Python first."""

LEAVE_SECONDS = 5.0

WORD_SECONDS = 60.0
"""Beyond the time limits for the server: a courier that does not even say that it has run out of patience hangs."""

HEAR_SECONDS = 1.0
"""For what a courier said while this process stood still (a laptop that sleeps): uvloop looks at its clock before it reads."""

KEPT = 4000
"""Rows kept for those on their way; whoever waits longer is read again."""

GONE = "a sending process ended unexpectedly"

# A closed window or Ctrl-C is meant for the run, also while a courier is just starting.
APART: dict[str, Any] = {
    "start_new_session": True,
    "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Ticket(NamedTuple):
    """Stands for a message that a courier will make."""

    delivery: Delivery
    row: DeliveryRow


def outcome_from(values: tuple[Any, ...]) -> Outcome:
    """What `courier.told` said."""
    verdict, scope, phase, text, action, suppress, reply = values
    return Outcome(
        verdict=Verdict(verdict),
        scope=Scope(scope),
        phase=Phase(phase),
        text=text,
        action=Action(action),
        suppress=suppress,
        reply=Reply(code=reply[0], text=reply[1]) if reply else None,
    )


class Couriers:
    """The processes of one run, started when their first connection is wanted, and started anew if one dies."""

    def __init__(
        self, processes: int, ledger: Ledger, campaign: CampaignRecord, relay: Relay, signer: Signer | None = None
    ) -> None:
        self._ledger = ledger
        self._campaign = campaign
        self._relay = relay
        self._keys = signer.packed if signer else None
        self._crew: list[_Courier | None] = [None] * processes
        self._rows: OrderedDict[int, DeliveryRow] = OrderedDict()
        self._token = secrets.token_bytes(32)
        self._arriving: dict[int, asyncio.Future[Streams]] = {}
        self._starting = asyncio.Lock()
        self._numbers = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._arrived, "127.0.0.1", 0, limit=2**24)
        self._port = self._server.sockets[0].getsockname()[1]
        try:
            await asyncio.gather(*map(self._ensure, range(len(self._crew))))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*(courier.leave() for courier in self._crew if courier))

    # -- what a run asks for

    def load(self, ids: Collection[int]) -> list[Delivery]:
        """Deliveries by id, without the merge fields, which only couriers need."""
        rows = self._ledger.delivery_rows(ids)
        self._rows.update((row[0], row) for row in rows)
        while len(self._rows) > KEPT + len(ids):
            self._rows.popitem(last=False)
        return [delivery_of(row, with_fields=False) for row in rows]

    def ticket(self, delivery: Delivery) -> Ticket:
        """What to transmit for a delivery."""
        if row := self._rows.get(delivery.id):
            return Ticket(delivery, row)
        [row] = self._ledger.delivery_rows([delivery.id])
        return Ticket(delivery, row)

    async def connect(self) -> RemoteConnection | Outcome:
        """A connection in the courier that has the fewest."""
        async with self._starting:
            self._refuse_unfit()
            await asyncio.gather(*map(self._ensure, range(len(self._crew))))
        self._refuse_unfit()
        crew = [courier for courier in self._crew if courier and not courier.gone]
        if not crew:
            return lost(Phase.CONNECT, "no sending process could be started")
        courier = min(crew, key=lambda one: len(one.connections))

        async def opened(relay: Relay) -> RemoteConnection | Outcome:
            self._numbers += 1
            return await RemoteConnection(self._numbers, courier, relay).open()

        # tokens are the run's: a courier gets one for each login
        return await signed_in(self._relay, opened)

    def _refuse_unfit(self) -> None:
        """What one courier cannot read, none can. Raises Paused."""
        if unfit := next((courier.unfit for courier in self._crew if courier and courier.unfit), None):
            raise unfit

    # -- how they come

    async def _ensure(self, place: int) -> None:
        """Start the courier of this place, if there is none that lives."""
        courier = self._crew[place]
        if courier is None or courier.gone:
            with contextlib.suppress(OSError, TimeoutError):
                self._crew[place] = await self._start(place)

    async def _start(self, place: int) -> _Courier:
        arrival: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        self._arriving[place] = arrival
        process = await asyncio.create_subprocess_exec(
            *apart.command("mailer.campaign.courier", "begin"), stdin=asyncio.subprocess.PIPE, **APART
        )
        assert process.stdin
        with contextlib.suppress(RuntimeError):  # uvloop's, if it has ended already
            # not as an argument: other users of the machine can read those
            process.stdin.write(f"{self._port} {place} {self._token.hex()}\n".encode())
            process.stdin.close()
        ended = asyncio.ensure_future(process.wait())
        either: set[asyncio.Future[Any]] = {arrival, ended}
        try:
            await asyncio.wait(either, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            if not arrival.done():
                arrival.cancel()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if arrival.cancelled():
            raise TimeoutError
        courier = _Courier(process, *arrival.result())
        relay = self._relay
        described = {
            "host": relay.host,
            "port": relay.port,
            "security": relay.security.value,
            "username": relay.username,
            "auth": relay.auth,
            "timeout": relay.timeout,
            "final_timeout": relay.final_timeout,
            "pipelining": relay.pipelining.value,
            "proxy": asdict(relay.proxy) if relay.proxy else None,
            "name": relay.name,
        }
        courier.post("begin", described, self._ledger.described(), self._campaign.name, self._keys)
        return courier

    async def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await asyncio.wait_for(reader.readexactly(len(self._token) + 1), START_SECONDS)
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            said = b"\0"
        arrival = self._arriving.get(said[-1])
        if hmac.compare_digest(said[:-1], self._token) and arrival and not arrival.done():
            arrival.set_result((reader, writer))
        else:
            writer.close()


class _Courier:
    """One process, and the connections that live in it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.post = Post(writer)
        self.connections: dict[int, RemoteConnection] = {}
        self.gone = False
        self.unfit: Paused | None = None
        self._process = process
        self._reader = reader
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        while events := await received(self._reader):
            for what, number, *rest in events:
                if what == "unfit":
                    self.unfit = Paused(rest[0], hint=rest[1])
                elif connection := self.connections.get(number):
                    connection.hear((what, *rest))
        self.gone = True
        self.post.close()
        for connection in list(self.connections.values()):
            connection.hear(("lost",))

    def kill(self) -> None:
        """End it at once: its connections notice."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def leave(self) -> None:
        """Nothing is under way any more: the end of the conversation ends the process."""
        self.post.close()
        try:
            await asyncio.wait_for(self._process.wait(), LEAVE_SECONDS)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening


class RemoteConnection:
    """A `mailer.smtp.Connection` that lives in a courier; what it transmits are tickets."""

    def __init__(self, number: int, courier: _Courier, relay: Relay) -> None:
        self._number = number
        self._courier = courier
        self._relay = relay
        self._heard: deque[Event] = deque()
        self._ear: asyncio.Future[None] | None = None
        self._since = 0.0
        self._patience = relay.final_timeout + relay.timeout + WORD_SECONDS
        self.overlaps = False
        self.usable = False
        self.deaf = False
        self.transactions = 0
        self.begun: Ticket | None = None

    @property
    def ended(self) -> bool:
        return not self.usable

    @property
    def waiting(self) -> tuple[float, float] | None:
        return (self._since, self._relay.final_timeout) if self._ear else None

    async def open(self) -> RemoteConnection | Outcome:
        """Connect. An Outcome says why not. Raises Paused where the courier cannot do its work."""
        self._courier.connections[self._number] = self
        try:
            self._say("connect", self._relay.password)
            what, *rest = await self._word()
        except BaseException:
            self.abort()
            raise
        if what == "connected":
            self.usable, self.overlaps = True, rest[0]
            return self
        self._forget()
        if self._courier.unfit:
            raise self._courier.unfit
        return outcome_from(rest[0]) if what == "refused" else lost(Phase.CONNECT, GONE)

    async def transmit(
        self,
        message: Ticket,
        intent: Callable[[], Awaitable[bool]],
        following: Callable[[], Ticket | Farewell | None],
    ) -> Outcome | None:
        """As `Connection.transmit`. Raises LetterError or Paused where the courier cannot make the message."""
        begun, self.begun = self.begun is message, None
        phase = Phase.MAIL
        if not begun:
            self.transactions += 1
            self._say("send", message.row)
        while True:
            what, *rest = await self._word()
            if what == "ready":
                if not await self._cleared(intent):
                    return None
                if self._courier.gone:
                    # nobody is there who could end the message
                    self._forget()
                    return lost(Phase.CONTENT, GONE)
                # whether its envelope leaves, too, is known when the answer comes; until then the server may have it
                next_one = following() if self.overlaps else None
                self.begun = next_one if isinstance(next_one, Ticket) else None
                phase = Phase.FINAL_DOT
                self._say("go", self.begun and self.begun.row, next_one is FAREWELL)
            elif what == "outcome":
                values, self.usable, next_begun, self.deaf = rest
                if not next_begun:
                    self.begun = None
                self.transactions += next_begun
                if not self.usable:
                    self.abort()
                return outcome_from(values)
            elif what == "unmade":
                of_the_row, reason, hint = rest
                raise (LetterError if of_the_row else Paused)(reason, hint=hint)
            else:
                self._forget()
                return lost(phase, GONE)

    async def _cleared(self, intent: Callable[[], Awaitable[bool]]) -> bool:
        try:
            free = await intent()
        except BaseException:
            self.abort()
            raise
        if not free:
            self.abort()
        return free

    def abort(self) -> None:
        """Leave without a word."""
        if self._number in self._courier.connections:
            self._say("abort")
            self._forget()

    async def quit(self) -> None:
        """Take leave."""
        if self.usable and self.begun is None and not self._courier.gone:
            self._say("quit")
            await self._word()
            self._forget()
        else:
            self.abort()

    def hear(self, event: Event) -> None:
        self._heard.append(event)
        if self._ear and not self._ear.done():
            self._ear.set_result(None)

    def _say(self, what: str, *rest: Any) -> None:
        self._courier.post(what, self._number, *rest)

    async def _word(self) -> Event:
        if self._heard:
            return self._heard.popleft()
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._overdue = loop.call_later(self._patience, self._hear_once_more)
        try:
            while not self._heard:
                if self._courier.gone:
                    return ("lost",)
                self._ear = loop.create_future()
                await self._ear
        finally:
            self._ear = None
            self._overdue.cancel()
        return self._heard.popleft()

    def _hear_once_more(self) -> None:
        self._overdue = asyncio.get_running_loop().call_later(HEAR_SECONDS, self._courier.kill)

    def _forget(self) -> None:
        self.usable = False
        self._courier.connections.pop(self._number, None)
