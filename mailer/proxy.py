"""The way through a SOCKS5 proxy (RFC 1928), and the one door to python_socks: names are looked up beyond it, never here.

A server on this computer is not asked for through it: a proxy elsewhere would take 127.0.0.1 for itself, and nothing that
could show where we are leaves the computer. Everything else goes through the proxy that is set, or nowhere.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from mailer.model import Said, said

if TYPE_CHECKING:
    from python_socks.async_.asyncio import Proxy as AsyncioDoor
    from python_socks.sync import Proxy as SyncDoor

Door = TypeVar("Door", "AsyncioDoor", "SyncDoor")

SAID = {
    1: said("has a problem of its own"),
    2: said("does not allow it"),
    3: said("has no network"),
    4: said("did not find it"),
    5: said("was turned away there"),
    6: said("got no answer from there in time"),
}
"""What a proxy says of the way beyond it (RFC 1928, 6)."""

BY_PROXY = "the proxy "
"""How every reason begins that is the proxy's own, and not that of the way beyond it."""


class ProxyError(OSError):
    """No connection through the proxy. `str()` is the reason in plain words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """A SOCKS5 proxy, with user name and password if it wants them (RFC 1929)."""

    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    async def open(self, host: str, port: int, timeout: float) -> socket.socket:
        """A socket that is connected to host and port, not blocking. `timeout` in seconds. Raises ProxyError."""
        from python_socks.async_.asyncio import Proxy as Library  # noqa: PLC0415 - few have a proxy

        with self._in_words(f"{host} port {port}"):
            return await self._door(Library).connect(host, port, timeout=timeout)

    def open_and_wait(self, host: str, port: int, timeout: float) -> socket.socket:
        """The same for code that waits; `timeout` stays that of the socket. Raises ProxyError."""
        from python_socks.sync import Proxy as Library  # noqa: PLC0415 - few have a proxy

        with self._in_words(f"{host} port {port}"):
            return self._door(Library).connect(host, port, timeout=timeout)

    def _door(self, kind: type[Door]) -> Door:
        from python_socks import ProxyType  # noqa: PLC0415

        # rdns: the proxy gets the name and looks it up, since a look-up here would tell the network where we go
        return kind(ProxyType.SOCKS5, self.host, self.port, self.username, self.password, rdns=True)

    @contextmanager
    def _in_words(self, beyond: str) -> Iterator[None]:
        import python_socks as library  # noqa: PLC0415

        where = said("the proxy at {host} port {port}", host=self.host, port=self.port)
        try:
            yield
        except library.ProxyConnectionError as error:
            raise ProxyError(said("{where} does not answer (is it running?)", where=where)) from error
        except library.ProxyTimeoutError as error:
            raise ProxyError(
                said("{beyond} was not reached in time through {where}", beyond=beyond, where=where)
            ) from error
        except library.ProxyError as error:
            if why := SAID.get(error.error_code or 0):
                raise ProxyError(
                    said("{beyond} was not reached: {where} {why}", beyond=beyond, where=where, why=why)
                ) from error
            raise ProxyError(
                said("{where} did not let us in: {refusal}", where=where, refusal=_refusal(str(error)))
            ) from error
        except (OSError, ValueError) as error:
            raise ProxyError(said("{where} broke off, or speaks no SOCKS5", where=where)) from error


def _refusal(answer: str) -> Said:
    """Why a proxy does not even take the question."""
    answer = answer.lower()
    if "authentication fail" in answer:
        return said("it refused the user name or password")
    return (
        said("it wants a user name and password") if "authentication methods" in answer else said("it speaks no SOCKS5")
    )
