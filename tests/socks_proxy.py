"""A SOCKS5 proxy for tests (RFC 1928, RFC 1929): it notes what it was asked for, and knows where that is.

    with SocksProxy({("smtp.union.example", 587): server.port}) as proxy:
        ... connect through proxy.url ...
        assert proxy.asked == [("name", "smtp.union.example", 587)]

A name among what it was asked for was looked up by nobody before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import Mapping
from typing import Self


class SocksProxy:
    """In a thread with its own event loop. `ports` says which port of this computer stands for which host and port.

    With `login` it wants a user name and password. `reply` is what it answers in place of success, `silent` makes it accept
    a connection and say nothing, `hostile` is what it says in place of SOCKS.
    """

    def __init__(
        self,
        ports: Mapping[tuple[str, int], int] | None = None,
        *,
        login: tuple[str, str] | None = None,
        reply: int = 0,
        hostile: bytes | None = None,
    ) -> None:
        self.ports = dict(ports or {})
        self.login, self.reply, self.hostile = login, reply, hostile
        self.asked: list[tuple[str, str, int]] = []
        self.logins: list[tuple[str, str]] = []
        self.carried: list[bytearray] = []
        """What the clients said beyond the proxy, each connection's in one piece."""
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="socks", daemon=True)

    @property
    def url(self) -> str:
        return f"socks5://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.ensure_future(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            _, count = await reader.readexactly(2)
            methods = await reader.readexactly(count)
            if self.hostile is not None:
                writer.write(self.hostile)
                return
            method = 2 if self.login else 0
            if method not in methods:
                writer.write(b"\5\xff")
                return
            writer.write(bytes([5, method]))
            if self.login and not await self._lets_in(reader, writer):
                return
            target = await self._target(reader)
            self.asked.append(target)
            port = self.ports.get(target[1:])
            reply = self.reply or (4 if port is None else 0)
            if reply:
                writer.write(bytes([5, reply, 0, 1]) + bytes(6))
                return
            further = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes([5, 0, 0, 1]) + bytes(6))
            with contextlib.closing(further[1]):
                self.carried.append(bytearray())
                await asyncio.gather(
                    carry(reader, further[1], self.carried[-1]), carry(further[0], writer, bytearray())
                )

    async def _lets_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(1)
        words = [(await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii") for _ in range(2)]
        self.logins.append((words[0], words[1]))
        good = self.logins[-1] == self.login
        writer.write(bytes([1, 0 if good else 1]))
        return good

    async def _target(self, reader: asyncio.StreamReader) -> tuple[str, str, int]:
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        return ("name" if kind == 3 else "address", host, int.from_bytes(await reader.readexactly(2), "big"))


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, copy: bytearray) -> None:
    """From one side to the other until it ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            copy += data
            writer.write(data)
            await writer.drain()
        writer.write_eof()
