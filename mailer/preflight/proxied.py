"""A DNS server that is asked through the proxy: by TCP (RFC 7766), which is all that SOCKS5 carries well."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from dns.message import Message, QueryMessage, from_wire
from dns.nameserver import AddressAndPortNameserver
from dns.query import BadResponse

from mailer.proxy import Proxy

LENGTH = struct.Struct("!H")


class ProxiedServer(AddressAndPortNameserver):
    """Asked over a connection of its own for each question, so that none waits for another's answer."""

    def __init__(self, address: str, port: int, proxy: Proxy) -> None:
        super().__init__(address, port)
        self._proxy = proxy

    def kind(self) -> str:
        """How the library names it in its errors."""
        return "TCP by proxy"

    def is_always_max_size(self) -> bool:
        """TCP cuts nothing off."""
        return True

    async def async_query(self, request: QueryMessage, timeout: float, *_: Any, **__: Any) -> Message:
        """Ask. `timeout` in seconds. Raises ProxyError, TimeoutError, and what the library raises for a wrong answer."""
        async with asyncio.timeout(timeout):
            way = await self._proxy.open(self.address, self.port, timeout)
            reader, writer = await asyncio.open_connection(sock=way)
            try:
                question = request.to_wire()
                writer.write(LENGTH.pack(len(question)) + question)
                answer = await reader.readexactly(LENGTH.unpack(await reader.readexactly(LENGTH.size))[0])
            finally:
                writer.close()
        response = from_wire(answer)
        if not request.is_response(response):
            raise BadResponse
        return response
