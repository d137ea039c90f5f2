"""Whom a group of the ledger waits for, and what whoever goes on after it has heard, on uvloop and on asyncio's own loop."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_ledger import contact, intent, start

import mailer.ledger.embedded
from mailer.cli.send import loop_factory
from mailer.ledger import Ledger, Writer
from mailer.ledger.together import Item

Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "mailer.db") as made:
        made.start(start([contact(number) for number in range(1, 4)]))
        yield made


@pytest.fixture(params=[None, loop_factory()], ids=["asyncio", "the loop of mailer send"])
def loop(request: pytest.FixtureRequest) -> Loop | None:
    factory: Loop | None = request.param
    return factory


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were written in each commit."""
    write, sizes = mailer.ledger.embedded.write_together, list[int]()

    def counted(connection: Any, group: Sequence[Item]) -> list[bool]:
        sizes.append(len(group))
        return write(connection, group)

    monkeypatch.setattr(mailer.ledger.embedded, "write_together", counted)
    return sizes


def run(loop: Loop | None, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


class Heard(asyncio.Protocol):
    """Wakes up who waits for the first word on a connection, as a dialogue does."""

    def __init__(self) -> None:
        self.word: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.word.set_result(data)


async def connected() -> tuple[socket.socket, Heard, asyncio.BaseTransport]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport, heard = await asyncio.get_running_loop().create_connection(Heard, sock=theirs)
    return ours, heard, transport


def test_who_waits_for_an_answer_that_has_come_already_is_written_with_the_others(
    ledger: Ledger, loop: Loop | None, groups: list[int]
) -> None:
    async def main() -> None:
        server, heard, transport = await connected()
        async with Writer(ledger, senders=3) as writer:

            async def answered() -> bool:
                await heard.word
                return await writer.write(intent=intent(2))

            waiting = asyncio.ensure_future(answered())
            await asyncio.sleep(0)
            first = writer.write(intent=intent(1))
            server.sendall(b"250 Ok\r\n")
            assert await asyncio.gather(first, waiting) == [True, True]
        transport.close()
        server.close()

    run(loop, main())
    assert groups == [2]


def test_who_goes_on_after_a_commit_has_heard_what_came_while_the_disk_worked(
    ledger: Ledger, loop: Loop | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = mailer.ledger.embedded.write_together

    async def main() -> None:
        server, heard, transport = await connected()

        def slow(connection: Any, group: Sequence[Item]) -> list[bool]:
            server.sendall(b"421 closing\r\n")
            return write(connection, group)

        monkeypatch.setattr(mailer.ledger.embedded, "write_together", slow)
        async with Writer(ledger) as writer:
            assert await writer.write(intent=intent(1))
            assert heard.word.done()
        transport.close()
        server.close()

    run(loop, main())
