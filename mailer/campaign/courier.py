"""A courier: a process of its own that makes messages and hands them over, and decides nothing.

The run tells it over which connections to send what. Before every final dot it asks, and if nobody is there any more to answer,
it leaves without one: a courier that outlives its run delivers nothing.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mailer.campaign.frames import Event, Post, received
from mailer.campaign.thaw import renderer
from mailer.errors import LetterError, MailerError
from mailer.ledger import Ledger, delivery_of
from mailer.model import Delivery, Message, Outcome, Pipelining, Security
from mailer.smtp import Connection, Relay, connect


def relay_from(values: Mapping[str, Any]) -> Relay:
    """The relay that the run described."""
    return Relay(
        **{
            **values,
            "security": Security(values["security"]),
            "pipelining": Pipelining(values["pipelining"]),
        }
    )


def told(outcome: Outcome) -> tuple[Any, ...]:
    """An outcome as plain values; see `couriers.outcome_from`."""
    reply = (outcome.reply.code, outcome.reply.text) if outcome.reply else None
    words = (outcome.verdict.value, outcome.scope.value, outcome.phase.value, outcome.text, outcome.action.value)
    return (*words, outcome.suppress, reply)


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
                self._post("unmade", self._number, isinstance(error, LetterError), error.message, error.hint)
                return True
        outcome = await connection.transmit(message, self._intent, self._following)
        if outcome is None:
            return False
        begun = connection.begun is not None and not connection.ended
        self._post("outcome", self._number, told(outcome), begun or connection.usable, begun, connection.deaf)
        return not connection.ended

    async def _intent(self) -> bool:
        self._post("ready", self._number)
        what, *rest = await self._word()
        if what != "go":
            return False
        if rest[0] is not None:
            try:
                self._next = self._render(delivery_of(rest[0]))
            except MailerError:
                self._next = None  # its turn comes, and the reason with it
        return True

    def _following(self) -> Message | None:
        return self._next


class Courier:
    """Listens to the run, and does its errands."""

    def __init__(self, reader: asyncio.StreamReader, post: Post) -> None:
        self._reader = reader
        self._post = post
        self._errands: dict[int, tuple[Errand, asyncio.Task[None]]] = {}

    async def serve(self) -> None:
        """Until the run has nothing more to say, or is gone."""
        [(_, relay, path, campaign)] = await received(self._reader)
        with Ledger(Path(path), create=False) as ledger:
            render = renderer(ledger, ledger.find(campaign))
            while events := await received(self._reader):
                for what, number, *rest in events:
                    if what == "connect":
                        self._begin(number, Errand(number, relay_from(relay), render, self._post))
                    elif number not in self._errands:
                        continue  # it has ended by itself meanwhile
                    elif what == "abort":
                        self._errands[number][1].cancel()
                    else:
                        self._errands[number][0].hear((what, *rest))
            tasks = [task for _, task in self._errands.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, number: int, errand: Errand) -> None:
        task = asyncio.ensure_future(errand.run())
        self._errands[number] = errand, task
        task.add_done_callback(lambda _: self._errands.pop(number))


async def main(port: int, place: int, token: bytes) -> None:
    """Go to the run that listens at this port of the loopback interface, which keeps a place for us."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(token + bytes([place]))
    post = Post(writer)
    await Courier(reader, post).serve()
    writer.close()


def start() -> None:
    """What a courier's process runs: it reads from its input where to go."""
    # Ctrl-C reaches the whole group of processes; the run alone decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    where, number, secret = sys.stdin.readline().split()
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        from uvloop import new_event_loop  # noqa: PLC0415  # not to be had on Windows

        factory = new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(int(where), int(number), bytes.fromhex(secret)))
