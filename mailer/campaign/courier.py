"""A courier: a process of its own that makes messages and hands them over, and decides nothing.

The run tells it over which connections to send what. Before every final dot it asks, and if nobody is there any more to answer,
it leaves without one: a courier that outlives its run delivers nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mailer.campaign.frames import Event, Post, received
from mailer.campaign.thaw import renderer
from mailer.errors import LetterError, MailerError
from mailer.ledger import Ledger, delivery_of
from mailer.model import Delivery, Message, Outcome, Pipelining, Security
from mailer.proxy import Proxy
from mailer.smtp import FAREWELL, Connection, Farewell, Relay, connect

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

RUN = os.getppid()
"""The run that started this process. Whoever loses their parent gets another one (not on Windows)."""


def relay_from(values: Mapping[str, Any]) -> Relay:
    """The relay that the run described."""
    return Relay(
        **{
            **values,
            "security": Security(values["security"]),
            "pipelining": Pipelining(values["pipelining"]),
            "proxy": Proxy(**values["proxy"]) if values["proxy"] else None,
        }
    )


def signer_from(keys: list[tuple[str, str, bytes]] | None) -> Signer | None:
    """What signs the messages, if anything does, as the run described it."""
    if keys is None:
        return None
    from mailer.mime.dkim import Signer  # noqa: PLC0415 - imports cryptography

    return Signer.unpacked(keys)


def told(outcome: Outcome) -> tuple[Any, ...]:
    """An outcome as plain values; see `couriers.outcome_from`."""
    reply = (outcome.reply.code, outcome.reply.text) if outcome.reply else None
    words = (outcome.verdict.value, outcome.scope.value, outcome.phase.value, outcome.text, outcome.action.value)
    return (*words, outcome.suppress, reply)


def _words(error: MailerError) -> tuple[str, str | None]:
    """What it says, as plain texts: what a sentence was made of does not go through marshal."""
    return str(error.message), error.hint and str(error.hint)


class Errand:
    """One connection's work: what the run says comes in by `hear`, what there is to tell goes out by `post`."""

    def __init__(self, number: int, relay: Relay, render: Callable[[Delivery], Message], post: Post) -> None:
        self._number = number
        self._relay = relay
        self._render = render
        self._post = post
        self._heard: deque[Event] = deque()
        self._ear: asyncio.Future[None] | None = None
        self._next: Message | None = None
        self._leaves = False

    def hear(self, event: Event) -> None:
        self._heard.append(event)
        if self._ear and not self._ear.done():
            self._ear.set_result(None)

    async def _word(self) -> Event:
        while not self._heard:
            self._ear = asyncio.get_running_loop().create_future()
            await self._ear
        return self._heard.popleft()

    async def run(self) -> None:
        """Connect, then send what comes until the run says otherwise."""
        try:
            connection = await connect(self._relay)
            if isinstance(connection, Outcome):
                self._post("refused", self._number, told(connection))
                return
            self._post("connected", self._number, connection.overlaps)
            try:
                while await self._send(connection):
                    pass
            finally:
                connection.abort()
        except Exception:
            # the run must not wait for ever, whatever went wrong here
            self._post("lost", self._number)
            raise

    async def _send(self, connection: Connection) -> bool:
        message, self._next = self._next, None
        if message is None or connection.begun is not message:
            what, *rest = await self._word()
            if what == "quit":
                await connection.quit()
                self._post("gone", self._number)
            if what != "send":
                return False
            try:
                message = self._render(delivery_of(rest[0]))
            except MailerError as error:
                self._post("unmade", self._number, isinstance(error, LetterError), *_words(error))
                return True
        outcome = await connection.transmit(message, self._intent, self._following)
        if outcome is None:
            return False
        begun = connection.begun is not None
        usable = not connection.ended if begun else connection.usable
        self._post("outcome", self._number, told(outcome), usable, begun, connection.deaf)
        return not connection.ended

    async def _intent(self) -> bool:
        self._post("ready", self._number)
        what, *rest = await self._word()
        # a word that came before this process was stopped (SIGSTOP) may be read when the run has long been replaced
        if what != "go" or os.getppid() != RUN:
            return False
        row, self._leaves = rest
        if row is not None:
            try:
                self._next = self._render(delivery_of(row))
            except Exception:  # noqa: BLE001
                self._next = None  # its turn comes, and the reason with it
            await asyncio.sleep(0)  # hear what the server said while it was made
        return True

    def _following(self) -> Message | Farewell | None:
        return FAREWELL if self._leaves else self._next


class Courier:
    """Listens to the run, and does its errands."""

    def __init__(self, reader: asyncio.StreamReader, post: Post) -> None:
        self._reader = reader
        self._post = post
        self._errands: dict[int, tuple[Errand, asyncio.Task[None]]] = {}

    async def serve(self) -> None:
        """Until the run has nothing more to say, or is gone."""
        for _, relay, described, campaign, keys in await received(self._reader):
            with Ledger.from_description(described) as ledger:
                over = relay_from(relay)
                render = renderer(ledger, ledger.find(campaign), signer_from(keys), over.name)
                await self._serve(over, render)

    async def _serve(self, relay: Relay, render: Callable[[Delivery], Message]) -> None:
        while events := await received(self._reader):
            for what, number, *rest in events:
                if what == "connect":
                    self._begin(number, Errand(number, replace(relay, password=rest[0]), render, self._post))
                elif number in self._errands:  # or it has ended by itself meanwhile
                    errand, task = self._errands[number]
                    errand.hear((what, *rest))
                    if what == "abort":
                        task.cancel()
        tasks = [task for _, task in self._errands.values()]
        for errand, task in self._errands.values():
            # also said, since wait_for() of Python 3.11 swallows one that comes just as the connection is made
            errand.hear(("abort",))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, number: int, errand: Errand) -> None:
        task = asyncio.ensure_future(errand.run())
        self._errands[number] = errand, task
        task.add_done_callback(lambda _: self._errands.pop(number))


async def main(port: int, place: int, token: bytes) -> None:
    """Go to the run that listens at this port of the loopback interface, which keeps a place for us."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    except OSError:
        return  # it has ended meanwhile
    writer.write(token + bytes([place]))
    post = Post(writer)
    try:
        await Courier(reader, post).serve()
    except MailerError as error:
        post("unfit", 0, *_words(error))
    post.close()


def begin() -> None:
    """Begin the process: where to go stands in the first line of standard input."""
    # the run alone decides what Ctrl-C, a closed window or the end of a session mean: without it we leave by ourselves
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        from uvloop import new_event_loop  # noqa: PLC0415
    except ImportError:
        new_event_loop = None  # type: ignore[assignment]
    words = sys.stdin.readline().split()
    if len(words) == 3:  # or the run ended before it said them
        port, place, token = words
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main(int(port), int(place), bytes.fromhex(token)))
