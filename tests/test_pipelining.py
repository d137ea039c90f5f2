"""One round trip a message: whatever a server answers, where and in what pieces, nobody is missed and nobody mailed twice."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smtp_raw import NORMAL, Fault, RawServer
from smtp_server import Certificate, ScriptedServer
from test_ledger import contact, intent, start

import mailer.ledger.embedded
from mailer.cli.send import loop_factory
from mailer.errors import LedgerError
from mailer.ledger import Ledger, Writer
from mailer.ledger.together import Item
from mailer.model import Envelope, Granted, Message, Outcome, Phase, Pipelining, Told, Verdict
from mailer.smtp import FAREWELL, Connection, Relay, Security, connect

MODES = tuple(Pipelining)
PATIENT, IMPATIENT = 10.0, 0.3

# What may happen at each command. A 5xx here condemns no address for ever, so that the same person can be tried again.
BROKEN = {
    "closes": Fault(end="close"),
    "resets": Fault(end="reset"),
    "talks nonsense": Fault(raw=b"garbage\r\n"),
    "says 421 and closes": Fault(reply="421 4.3.2 closing", end="close"),
    "says 421 and stays": Fault(reply="421 4.3.2 closing"),
}
REFUSED = {
    "refuses for now": Fault(reply="451 4.3.0 try later"),
    "refuses": Fault(reply="554 5.5.9 not this one"),
    "does not know the command": Fault(reply="500 5.5.2 what?"),
}
SILENT = {"falls silent": Fault(silent=True)}
TOO_MANY, TOO_FEW = {"answers twice": Fault(extra=True)}, {"does not answer": Fault(mute=True)}

COMMAND = BROKEN | REFUSED | SILENT | TOO_MANY | TOO_FEW
FAULTS: dict[str, dict[str, Fault]] = {
    "mail": COMMAND
    | {"agrees and closes": Fault(reply="250 2.1.0 Ok", end="close")}
    | {"agrees and resets": Fault(reply="250 2.1.0 Ok", end="reset")},
    "rcpt": COMMAND
    | {"agrees and closes": Fault(reply="250 2.1.5 Ok", end="close")}
    | {"agrees and resets": Fault(reply="250 2.1.5 Ok", end="reset")},
    "data": COMMAND
    | {"agrees and closes": Fault(reply="354 End data with <CR><LF>.<CR><LF>", end="close")}
    | {"agrees and resets": Fault(reply="354 End data with <CR><LF>.<CR><LF>", end="reset")},
    "content": {
        "closes": Fault(end="close"),
        "resets": Fault(end="reset"),
        "has had enough": Fault(reply="552 5.3.4 too much", end="close"),
    },
    "dot": BROKEN
    | REFUSED
    | SILENT
    | TOO_MANY
    | TOO_FEW
    | {
        "finds it too large": Fault(reply="552 5.3.4 too large"),
        "takes it and closes": Fault(taken=True, end="close"),
        "takes it and resets": Fault(taken=True, end="reset"),
        "takes it and talks nonsense": Fault(taken=True, raw=b"garbage\r\n"),
        "takes it and falls silent": Fault(taken=True, silent=True),
        "takes it, says so and closes": Fault(taken=True, reply="250 2.0.0 Ok", end="close"),
        "takes it, says so and resets": Fault(taken=True, reply="250 2.0.0 Ok", end="reset"),
        "takes it and throws away what follows": Fault(discard=0),
        "takes it and throws away a part of what follows": Fault(discard=20),
    },
}
EVERY_FAULT = [(phase, what) for phase, faults in FAULTS.items() for what in faults]
TO_NOBODY = ("503 5.5.1 need RCPT command", "554 5.5.1 No valid recipients", "354 End data with <CR><LF>.<CR><LF>")


def person(number: int) -> str:
    return f"p{number}@example.org"


def message(number: int, *, size: int = 0) -> Message:
    to = person(number)
    head = f"Message-ID: <{number}@example.org>\r\nTo: <{to}>\r\nSubject: x\r\n\r\n".encode()
    body = b"Body\r\n" + b"0123456789012345678901234567890123456789012345678901234567890123\r\n" * (size // 66)
    return Message(
        envelope=Envelope(mail_from="office@example.org", rcpt_to=to),
        message_id=f"<{number}@example.org>",
        content=head + body,
    )


def relay(server: RawServer, mode: Pipelining = Pipelining.AUTO, patience: float = PATIENT) -> Relay:
    return Relay(
        host=server.host, port=server.port, security=Security.NONE, timeout=patience, final_timeout=patience,
        pipelining=mode,
    )  # fmt: skip


async def opened(where: Relay) -> Connection:
    for _ in range(
        5
    ):  # a relay that is given little time for its answers may need more than that to start on a busy machine
        connection = await connect(where)
        if isinstance(connection, Connection):
            return connection
    raise AssertionError(connection)


async def yes() -> bool:
    return True


def patience_for(*faults: Fault) -> float:
    """Short where waiting is all there is to do: for a server that owes an answer."""
    owes = any(fault.silent or fault.mute or fault.discard is not None for fault in faults)
    return IMPATIENT if owes else PATIENT


# -- one sender, as the campaign's line is one, without a ledger


class Sender:
    """Hands over messages; who keeps a place is tried again. `in_stride`: whatever may go so does."""

    def __init__(self, messages: Sequence[Message], *, in_stride: bool, tries: int) -> None:
        self.queue = deque(messages)
        self.told = {one.envelope.rcpt_to: list[Outcome]() for one in messages}
        self.overlaps = True
        self.strides = 0
        self._in_stride = in_stride
        self._tries = tries
        self._current: Message | None = None
        self._offered: Message | None = None

    async def deliver(self, where: Relay) -> None:
        connection, ahead = None, None
        while self.queue or ahead:
            if ahead is None and (connection is None or not connection.usable):
                if connection:
                    await connection.quit()
                connection = await opened(where)
            assert connection is not None
            self._current, ahead, self._offered = ahead or self.queue.popleft(), None, None
            outcome = await connection.transmit(self._current, yes, self._following, self._onward)
            assert outcome is not None
            self._note(outcome)
            self.overlaps = self.overlaps and not connection.deaf
            offered = self._offered
            if offered and connection.begun is offered and not connection.ended:
                ahead = offered
            elif offered:
                connection.abort()
                self.queue.appendleft(offered)
            if outcome.verdict is Verdict.REQUEUED:
                self.queue.append(self._current)
        if connection:
            await connection.quit()

    def _note(self, outcome: Outcome) -> None:
        assert self._current is not None
        outcomes = self.told[self._current.envelope.rcpt_to]
        outcomes.append(outcome)
        assert len(outcomes) <= self._tries

    def _following(self) -> Message | None:
        self._offered = self.queue.popleft() if self.queue and self.overlaps else None
        return self._offered

    def _onward(self, outcome: Outcome, tell: Told) -> bool:
        if not self._in_stride or self._offered is None:
            return False
        self._note(outcome)
        self.strides += 1
        self._current, self._offered = self._offered, None
        asyncio.get_running_loop().call_soon(tell, True)
        return True


async def deliver(
    where: Relay, messages: Sequence[Message], *, tries: int = 12, in_stride: bool = False
) -> dict[str, list[Outcome]]:
    """Hand over all messages. What was said of everybody, in order."""
    sender = Sender(messages, in_stride=in_stride, tries=tries)
    await sender.deliver(where)
    return sender.told


def check(server: RawServer, told: dict[str, list[Outcome]]) -> None:
    """What is said about everybody is true, and the server has seen nothing that may not be."""
    doubtful = {recipient for _, recipient in server.in_doubt}
    for who, outcomes in told.items():
        verdict, count = outcomes[-1].verdict, server.accepted[who]
        assert count <= 1, f"{who} accepted {count} times: {outcomes}"
        if verdict is Verdict.SENT:
            assert count == 1, f"{who} was called sent: {outcomes}"
        elif verdict is Verdict.UNCERTAIN:
            assert who in doubtful, f"{who} is in doubt for no reason: {outcomes}"
        else:
            assert count == 0, f"{who} was accepted and called {verdict}: {outcomes}"
    check_server(server)


def check_server(server: RawServer) -> None:
    assert not server.mixed, "somebody got the message of somebody else"
    assert not server.violations
    connections = [number for number, _ in server.in_doubt]
    assert len(connections) == len(set(connections)), "more than one in doubt on a connection"


@pytest.mark.parametrize(("phase", "what"), EVERY_FAULT)
async def test_every_fault_in_every_place_is_told_as_it_was(phase: str, what: str) -> None:
    fault = FAULTS[phase][what]

    async def one(
        position: int, mode: Pipelining, to_nobody: str, pieces: list[int] | None, *, names_ids: bool, in_stride: bool
    ) -> None:
        async with RawServer(
            faults={(position, phase): fault}, to_nobody=to_nobody, pieces=pieces, names_ids=names_ids
        ) as server:
            messages = [message(number) for number in range(1, 6)]
            told = await deliver(relay(server, mode, patience_for(fault)), messages, in_stride=in_stride)
            check(server, told)
            wronged = [who for who, outcomes in told.items() if outcomes[-1].verdict is not Verdict.SENT]
            assert len(wronged) <= 1, f"one fault, and {wronged} pay for it"
            if not (fault.reply or phase in {"dot", "content", "data"}):
                assert not wronged

    variants = TO_NOBODY if phase == "rcpt" and fault.reply else TO_NOBODY[:1]
    await asyncio.gather(
        *(
            one(position, mode, to_nobody, pieces, names_ids=names_ids, in_stride=in_stride)
            for position in (1, 2, 3, 4)
            for mode in MODES
            for to_nobody in variants
            for pieces in (None, [1])
            for names_ids in ((False, True) if phase in {"content", "dot"} else (False,))
            for in_stride in ((False, True) if mode is Pipelining.AUTO and not (pieces or names_ids) else (False,))
        )
    )


async def test_no_message_follows_another_ones_envelope() -> None:
    async with RawServer() as server:
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(1), yes, lambda: message(2))
        assert outcome is not None
        assert outcome.verdict is Verdict.SENT
        outcome = await connection.transmit(message(3), yes)
        assert outcome is not None
        assert (outcome.verdict, connection.usable) == (Verdict.REQUEUED, False)
    assert server.accepted == {person(1): 1}
    check_server(server)


# -- in stride, where something comes between two messages


class Halting:
    """Goes on in stride, and does something before the second intent is told of."""

    def __init__(self, granted: Granted, before: Callable[[], Awaitable[None]] | None = None) -> None:
        self._granted = granted
        self._before = before
        self.outcomes: list[Outcome] = []
        self._task: asyncio.Task[None] | None = None

    def __call__(self, outcome: Outcome, tell: Told) -> bool:
        self.outcomes.append(outcome)
        self._task = asyncio.ensure_future(self._answer(tell))
        return True

    async def _answer(self, tell: Told) -> None:
        if self._before:
            await self._before()
        tell(self._granted)

    async def send(self, connection: Connection) -> Outcome | None:
        """Two, of which the second goes on in stride, since it is known then how the server accepts a message."""
        first, second, *others = (message(number) for number in (1, 2, 3, 4))
        await connection.transmit(first, yes, lambda: second)
        following = iter(others)
        return await connection.transmit(second, yes, lambda: next(following, None), self)


async def test_in_stride_too_nothing_is_sent_whose_delivery_somebody_else_has() -> None:
    async with RawServer() as server:
        halting, connection = Halting(granted=False), await opened(relay(server))
        assert await halting.send(connection) is None
        assert (connection.ended, len(halting.outcomes)) == (True, 1)
        await server.hung_up()
    assert server.accepted == {person(1): 1, person(2): 1}
    check_server(server)


async def test_in_stride_too_nothing_is_sent_that_the_ledger_does_not_know() -> None:
    async with RawServer() as server:
        halting, connection = Halting(LedgerError("the disk is full")), await opened(relay(server))
        with pytest.raises(LedgerError, match="the disk is full"):
            await halting.send(connection)
        assert connection.ended
        await server.hung_up()
    assert server.accepted == {person(1): 1, person(2): 1}
    check_server(server)


async def test_what_goes_wrong_while_an_outcome_is_noted_in_stride_is_heard_by_whoever_sends() -> None:
    def broken(_outcome: Outcome, _tell: Told) -> bool:
        raise RuntimeError("whoever watches has failed")

    async with RawServer() as server:
        connection = await opened(relay(server))
        second = message(2)
        await connection.transmit(message(1), yes, lambda: second)
        with pytest.raises(RuntimeError, match="has failed"):
            await connection.transmit(second, yes, lambda: message(3), broken)
        assert connection.ended
        await server.hung_up()
    assert server.accepted == {person(1): 1, person(2): 1}


async def test_a_server_that_goes_while_an_intent_is_written_in_stride_leaves_no_doubt() -> None:
    async with RawServer() as server:

        async def gone() -> None:
            server.hang_up()
            while not connection.ended:
                await asyncio.sleep(0)

        connection = await opened(relay(server))
        halting = Halting(granted=True, before=gone)
        outcome = await halting.send(connection)
    assert outcome is not None
    assert (outcome.verdict, outcome.phase) == (Verdict.REQUEUED, Phase.CONTENT)
    assert server.accepted == {person(1): 1, person(2): 1}
    check_server(server)


async def impatiently_sent(meanwhile: Callable[[Connection], Awaitable[None]]) -> None:
    """All goes well, whatever happens while the intent in stride is written."""
    async with RawServer() as server:
        connection = await opened(relay(server, patience=IMPATIENT))
        halting = Halting(granted=True, before=lambda: meanwhile(connection))
        outcome = await halting.send(connection)
    assert outcome is not None
    assert outcome.verdict is Verdict.SENT
    assert server.accepted[person(3)] == 1


async def test_while_an_intent_is_written_in_stride_the_server_owes_nothing() -> None:
    seen = []

    async def look(connection: Connection) -> None:
        seen.append(connection.waiting)
        # longer than the server would be given
        await asyncio.sleep(2 * IMPATIENT)
        seen.append(connection.ended)

    await impatiently_sent(look)
    assert seen[:2] == [None, False]


async def test_what_else_happens_while_an_intent_is_written_in_stride_leaves_the_server_its_time() -> None:
    seen = []

    async def look(connection: Connection) -> None:
        for _ in range(4):
            # as it happens when a full connection takes more again
            connection._dialogue.resume_writing()
            await asyncio.sleep(IMPATIENT / 2)
        seen.extend([connection.waiting, connection.ended])

    await impatiently_sent(look)
    assert seen[:2] == [None, False]


async def test_after_a_long_commit_in_stride_a_silent_server_is_given_its_time_and_no_more() -> None:
    async def long_commit() -> None:
        connection._dialogue.resume_writing()
        await asyncio.sleep(2 * IMPATIENT)

    async with RawServer(faults={(3, "dot"): SILENT["falls silent"]}) as server:
        connection = await opened(relay(server, patience=IMPATIENT))
        halting = Halting(granted=True, before=long_commit)
        outcome = await halting.send(connection)
        assert outcome is not None
        assert (outcome.verdict, outcome.phase) == (Verdict.UNCERTAIN, Phase.FINAL_DOT)


async def test_answers_are_read_in_whatever_kind_of_bytes_an_event_loop_brings_them() -> None:
    """Early versions of Python 3.11 gave a bytearray on Windows."""
    async with RawServer() as server:
        connection = await opened(relay(server))
        connection._dialogue.data_received(bytearray(b"250 2.0.0 Ok\r\n"))
        assert not connection.usable  # something was said that nobody asked for
        connection.abort()


# -- anything at all, in pieces of any size

HONEST = [
    (phase, what)
    for phase, what in EVERY_FAULT
    if not (FAULTS[phase][what].silent or FAULTS[phase][what].extra or patience_for(FAULTS[phase][what]) < PATIENT)
]
OUT_OF_STEP = [(phase, what) for phase, what in EVERY_FAULT if FAULTS[phase][what].extra]


def fault_at(position: int, named: tuple[str, str]) -> tuple[tuple[int, str], Fault]:
    phase, what = named
    return (position, phase), FAULTS[phase][what]


# A server that is once out of step with itself, and refuses a message as well, can deceive anybody; so one or the other.
SCRIPTS = st.one_of(
    st.lists(st.builds(fault_at, st.integers(1, 8), st.sampled_from(HONEST)), max_size=6).map(dict),
    st.lists(st.builds(fault_at, st.integers(1, 8), st.sampled_from(OUT_OF_STEP)), min_size=1, max_size=1).map(dict),
)
PIECES = st.one_of(
    st.none(), st.lists(st.sampled_from([0, 1, 2, 3, 5, 8, 21, 60, 200]), min_size=1, max_size=6).filter(any)
)
LOOPS = st.sampled_from([None, loop_factory()])
SIZES = st.lists(st.sampled_from([0, 0, 3000, 70_000, 200_000]), min_size=6, max_size=6)


@settings(max_examples=60, deadline=None)
@given(faults=SCRIPTS, pieces=PIECES, wordy=st.booleans(), to_nobody=st.sampled_from(TO_NOBODY),
       mode=st.sampled_from(MODES), offered=st.booleans(), names_ids=st.booleans(), in_stride=st.booleans(),
       sizes=SIZES, loop=LOOPS)  # fmt: skip
def test_whatever_a_server_says_in_whatever_pieces_the_truth_is_told(
    *,
    faults: dict[tuple[int, str], Fault],
    pieces: list[int] | None,
    wordy: bool,
    to_nobody: str,
    mode: Pipelining,
    offered: bool,
    names_ids: bool,
    in_stride: bool,
    sizes: list[int],
    loop: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    async def run() -> None:
        async with RawServer(
            faults=faults, pipelining=offered, pieces=pieces, wordy=wordy, to_nobody=to_nobody, names_ids=names_ids
        ) as server:
            messages = [message(number, size=size) for number, size in enumerate(sizes, start=1)]
            told = await asyncio.wait_for(deliver(relay(server, mode), messages, in_stride=in_stride), 30)
            check(server, told)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


# -- what goes over the wire, and when


def envelope(number: int) -> bytes:
    return f"MAIL FROM:<office@example.org>\r\nRCPT TO:<{person(number)}>\r\nDATA\r\n".encode()


def ended(number: int) -> bytes:
    return message(number).content + b".\r\n"


def one_by_one(number: int) -> list[bytes]:
    return [*envelope(number).splitlines(keepends=True), ended(number)]


HELLO, BYE = b"EHLO [127.0.0.1]\r\n", b"QUIT\r\n"
TRANSCRIPTS = [
    (Pipelining.AUTO, True, [envelope(1), ended(1) + envelope(2), ended(2) + envelope(3), ended(3)]),
    (Pipelining.MESSAGE, True, [envelope(1), ended(1), envelope(2), ended(2), envelope(3), ended(3)]),
    (Pipelining.OFF, True, [*one_by_one(1), *one_by_one(2), *one_by_one(3)]),
    (Pipelining.AUTO, False, [*one_by_one(1), *one_by_one(2), *one_by_one(3)]),
    (Pipelining.MESSAGE, False, [*one_by_one(1), *one_by_one(2), *one_by_one(3)]),
]


@pytest.mark.parametrize("in_stride", [False, True], ids=["step by step", "in stride"])
@pytest.mark.parametrize(("mode", "offered", "spoken"), TRANSCRIPTS)
async def test_what_leaves_together_and_what_waits(
    mode: Pipelining, offered: bool, spoken: list[bytes], in_stride: bool
) -> None:
    async with RawServer(pipelining=offered) as server:
        sender = Sender([message(number) for number in (1, 2, 3)], in_stride=in_stride, tries=1)
        await sender.deliver(relay(server, mode))
    assert sender.strides == (1 if in_stride and offered and mode is Pipelining.AUTO else 0)
    assert [data for side, data in server.turns() if side == "C"] == [HELLO, *spoken, BYE]
    assert [data for _, side, data in server.log if side == "C"] == [HELLO, *spoken, BYE], "each of them in one write"


@pytest.mark.parametrize(
    ("names_ids", "size", "ahead"), [(True, 0, True), (False, 0, False), (False, 20_000, True), (True, 20_000, True)]
)
async def test_the_content_waits_for_its_intent_where_leaving_before_would_be_of_no_use(
    *, names_ids: bool, size: int, ahead: bool
) -> None:
    first, second = message(1), message(2, size=size)
    began = first.content, second.content[:60]
    came = asyncio.Event()

    def look(_: bytes) -> None:
        if second.content in server.heard():
            came.set()

    async def taken_by_somebody_else() -> bool:
        if ahead:
            await asyncio.wait_for(came.wait(), PATIENT)
        return False

    async with RawServer(names_ids=names_ids, on_data=look) as server:
        connection = await opened(relay(server))
        await connection.transmit(first, yes, lambda: second)
        assert await connection.transmit(second, taken_by_somebody_else) is None
        # all that will ever come from there has come when the server hears the end
        await server.hung_up()
        heard = server.heard()
    assert [part in heard for part in began] == [True, ahead]
    assert heard.count(b"\r\n.\r\n") == 1


@pytest.mark.parametrize("size", [0, 200_000])
async def test_neither_dot_nor_next_envelope_leaves_before_the_intent_says_so(size: int) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def intent() -> bool:
        asked.set()
        await go.wait()
        return True

    async with RawServer() as server:
        connection = await opened(relay(server))
        sending = asyncio.ensure_future(connection.transmit(message(1, size=size), intent, lambda: message(2)))
        await asked.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        assert b"\r\n.\r\n" not in server.heard()
        assert server.mails == 1
        go.set()
        outcome = await sending
        assert outcome is not None
        assert outcome.verdict is Verdict.SENT
        assert server.heard().endswith(b"\r\n.\r\n" + envelope(2))
        connection.abort()


async def test_an_address_that_may_not_be_said_does_not_leave_early() -> None:
    evil = Message(
        envelope=Envelope(mail_from="office@example.org", rcpt_to="p2@example.org>\r\nRCPT TO:<eve@example.org"),
        message_id="<2@example.org>",
        content=b"Subject: x\r\n\r\nx\r\n",
    )
    async with RawServer() as server:
        connection = await opened(relay(server))
        await connection.transmit(message(1), yes, lambda: evil)
        assert connection.begun is None
        assert server.heard().endswith(ended(1))
        connection.abort()


async def test_after_an_early_envelope_was_refused_the_next_begins_with_a_reset() -> None:
    async with RawServer(faults={(2, "rcpt"): Fault(reply="550 5.1.1 User unknown")}) as server:
        told = await deliver(relay(server), [message(number) for number in (1, 2, 3)])
    assert [outcomes[-1].verdict for outcomes in told.values()] == [Verdict.SENT, Verdict.FAILED, Verdict.SENT]
    spoken = [envelope(1), ended(1) + envelope(2), b"RSET\r\n" + envelope(3), ended(3)]
    assert [data for side, data in server.turns() if side == "C"] == [HELLO, *spoken, BYE]


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
async def test_a_server_that_waits_for_content_to_nobody_is_left_at_once(phase: str) -> None:
    to_nobody = NORMAL["data"]
    faults = {(2, phase): Fault(reply="550 5.1.1 User unknown")}
    async with RawServer(faults=faults, to_nobody=to_nobody) as server:
        connection = await opened(relay(server))
        second = message(2)
        await connection.transmit(message(1), yes, lambda: second)
        outcome = await connection.transmit(second, yes)
        assert outcome is not None
        assert outcome.phase is Phase(phase)
        # nobody was taken only where there was a sender
        assert connection.usable is (phase == "mail")
        connection.abort()


@pytest.mark.parametrize("fault", [Fault(), Fault(silent=True)])
async def test_an_envelope_begun_early_is_left_without_a_word(fault: Fault) -> None:
    async with RawServer(faults={(2, "mail"): fault}) as server:
        connection = await opened(relay(server))
        await connection.transmit(message(1), yes, lambda: message(2))
        await connection.quit()
        for _ in range(50):
            await asyncio.sleep(0)
    assert not server.heard().endswith(BYE), "the server would take it for the message"
    assert server.accepted == {person(1): 1}


def takes_one_and_goes(listener: socket.socket, gone: threading.Event) -> None:
    """A server that takes one message, answers and closes, with what came early unread: so the end comes as a reset."""
    client, _ = listener.accept()
    with listener, client:
        client.sendall(b"220 raw.test\r\n")
        client.recv(100)
        client.sendall(b"250-raw.test\r\n250 PIPELINING\r\n")
        while not client.recv(1000).endswith(b"DATA\r\n"):
            pass
        client.sendall(b"250 Ok\r\n250 Ok\r\n354 go on\r\n")
        client.recv(len(ended(1)), socket.MSG_WAITALL)
        client.sendall(b"250 Ok\r\n")
    gone.set()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forgets what came before a reset; then nobody knows")
@pytest.mark.parametrize("loop", [None, loop_factory()])
def test_an_end_that_comes_with_the_answer_hides_neither_it_nor_its_meaning(
    loop: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    listener, gone = socket.create_server(("127.0.0.1", 0)), threading.Event()
    port = listener.getsockname()[1]
    second = message(2)

    def following() -> Message:
        # the loop looks again when all is over, the answer and the end
        asyncio.get_running_loop().call_soon(gone.wait, 10)
        return second

    async def run() -> None:
        connection = await opened(Relay(host="127.0.0.1", port=port, security=Security.NONE, timeout=PATIENT))
        outcome = await connection.transmit(message(1), yes, following)
        assert outcome is not None
        assert outcome.verdict is Verdict.SENT
        await connection.transmit(second, yes)
        assert connection.deaf

    server = threading.Thread(target=takes_one_and_goes, args=(listener, gone))
    server.start()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
    server.join()


@pytest.mark.parametrize("loop", [None, loop_factory()])
def test_an_end_that_comes_in_one_piece_with_the_answer_is_understood_at_once(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    """With TLS both may be in one packet; then nobody asks for the next answer, and the end is all there is to go by."""
    certificate = Certificate.make(tmp_path)
    with ScriptedServer(context=certificate.server_context(), security="tls") as server:
        server.on("accepted", reply="250 2.0.0 Ok", drop=True)

        def over() -> None:
            while server._sessions:
                pass

        def following() -> Message:
            asyncio.get_running_loop().call_soon(over)
            return message(2)

        async def run() -> None:
            connection = await opened(
                Relay(host="localhost", port=server.port, security=Security.TLS, timeout=PATIENT,
                      tls_context=certificate.client_context())
            )  # fmt: skip
            outcome = await connection.transmit(message(1), yes, following)
            assert outcome is not None
            assert outcome.verdict is Verdict.SENT
            assert (connection.ended, connection.deaf) == (True, True)
            connection.abort()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(run())
    assert len(server.accepted) == 1


@pytest.mark.parametrize("loop", [None, loop_factory()])
def test_a_server_that_went_while_the_ledger_kept_the_loop_busy_gets_no_final_dot(
    loop: Callable[[], asyncio.AbstractEventLoop] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = mailer.ledger.embedded.write_together
    with ScriptedServer() as server, Ledger(tmp_path / "mailer.db") as ledger:
        ledger.start(start([contact(1)]))
        server.on("content", after=50, drop=True)

        def slow(connection: sqlite3.Connection, group: Sequence[Item]) -> list[bool]:
            while server._sessions:
                pass
            return write(connection, group)

        monkeypatch.setattr(mailer.ledger.embedded, "write_together", slow)

        async def run() -> None:
            async with Writer(ledger) as writer:
                connection = await opened(
                    Relay(host=server.host, port=server.port, security=Security.NONE, timeout=PATIENT)
                )
                outcome = await connection.transmit(message(1), lambda: writer.write(intent=intent(1)))
                assert outcome is not None
                assert (outcome.verdict, outcome.phase) == (Verdict.REQUEUED, Phase.CONTENT)

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(run())


@pytest.mark.parametrize("early", [True, False], ids=["with the dot", "after it"])
async def test_a_farewell_that_is_thrown_away_is_noticed(early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailer.smtp.connection.QUIT_TIMEOUT", IMPATIENT)
    async with RawServer(always={"dot": Fault(discard=0)} if early else {}) as server:
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(1), yes, lambda: FAREWELL if early else None)
        await connection.quit()
    assert outcome is not None
    assert outcome.verdict is Verdict.SENT
    assert connection.deaf is early
