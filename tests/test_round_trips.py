"""How often the two sides wait for each other: counted by a proxy between mailer and a server, not timed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest
from campaigns import address, run_of, start
from smtp_server import ScriptedServer

from mailer.ledger import Ledger
from mailer.model import Pipelining, Tally
from mailer.smtp import Relay, Security

EVERYBODY = 12
MODES = [(Pipelining.AUTO, 1), (Pipelining.MESSAGE, 2), (Pipelining.OFF, 4)]


class CountingProxy:
    """Passes everything on, and notes who spoke: one entry for as long as one side goes on."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.turns: list[list[tuple[str, bytes]]] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns: list[tuple[str, bytes]] = []
        self.turns.append(turns)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(
            self._pass_on("C", reader, far_writer, turns), self._pass_on("S", far_reader, writer, turns)
        )
        await asyncio.gather(*(one.wait_closed() for one in (writer, far_writer)), return_exceptions=True)

    async def _pass_on(
        self, side: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, turns: list[tuple[str, bytes]]
    ) -> None:
        while data := await reader.read(65536):
            if turns and turns[-1][0] == side:
                turns[-1] = (side, turns[-1][1] + data)
            else:
                turns.append((side, data))
            writer.write(data)
        writer.close()

    def round_trips(self) -> int:
        """From the first MAIL on, and without the leave-taking: how often the client waited for the server."""
        count = 0
        for turns in self.turns:
            said = [data for side, data in turns if side == "C"]
            first = next(number for number, data in enumerate(said) if data.startswith(b"MAIL"))
            count += len([data for data in said[first:] if data != b"QUIT\r\n"])
        return count


@pytest.fixture
def ledger(campaign_folder: Path) -> Iterator[Ledger]:
    with Ledger(campaign_folder / "mailer.db") as opened:
        yield opened


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize(("mode", "each"), MODES)
async def test_a_message_costs_one_round_trip_or_two_or_four(
    campaign_folder: Path, ledger: Ledger, mode: Pipelining, each: int, offered: bool
) -> None:
    campaign = start(campaign_folder, ledger, [address(number) for number in range(EVERYBODY)])
    async with AsyncExitStack() as stack:
        server = stack.enter_context(ScriptedServer(pipelining=offered))
        proxy = await stack.enter_async_context(CountingProxy(server.port))
        relay = Relay(host="127.0.0.1", port=proxy.port, security=Security.NONE, timeout=10.0, pipelining=mode)
        await asyncio.wait_for(run_of(ledger, campaign, relay, batch_size=5).run(), 20)
    assert ledger.tally(campaign) == Tally(sent=EVERYBODY)
    assert len(proxy.turns) == 3
    # of each connection, the first envelope has no message to leave with
    each, more = (each, len(proxy.turns) if mode is Pipelining.AUTO else 0) if offered else (4, 0)
    assert proxy.round_trips() == each * EVERYBODY + more
    # two batches are full, and the last of their messages takes leave, too
    farewells = [data for turns in proxy.turns for side, data in turns if side == "C" and data == b"QUIT\r\n"]
    assert len(farewells) == (1 if more else 3)
    assert not server.violations
