"""How a local page is served, whatever is on it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from mailer.web import serving


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_small_answers_leave_at_once(host: str) -> None:
    """With Nagle's algorithm each answer on a connection that stays open would wait 40 ms for an acknowledgement."""
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def arrived(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    listening = serving._listen(host, 0, anywhere=False)
    async with await asyncio.start_server(arrived, sock=listening):
        reader, writer = await asyncio.open_connection(host, listening.getsockname()[1])
        assert await told
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
