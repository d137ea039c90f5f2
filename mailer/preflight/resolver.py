"""Asking DNS: the one door to dnspython, and what takes its place in tests."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from mailer.proxy import Proxy

PATIENCE = 3.0
"""Seconds for one question, retries included: whoever waits at the terminal asks some twenty of them, most at once."""


class DnsSilentError(Exception):
    """DNS gave no answer: no network, a server that is down, or one that failed. It says nothing about the name."""


class NoSuchNameError(Exception):
    """DNS answered that there is no such name at all (NXDOMAIN, RFC 8020)."""


class Resolver(Protocol):
    """Who answers questions about names."""

    async def ask(self, name: str, kind: str) -> list[str]:
        """The records of this kind (`TXT`, `MX`, `A`, `AAAA`, `NS`), empty if the name has none.

        A TXT record is one text, its strings joined (RFC 7208, 3.3); an MX record is `10 mail.example.org`, a null MX `0 .`.
        Raises NoSuchNameError, DnsSilentError.
        """
        ...


class NetworkResolver:
    """Asks the servers that this computer is set up with, or another one: its address and port.

    With a proxy it is asked through that, and only another one than this computer's, which would go its own way.
    """

    def __init__(
        self, *, patience: float = PATIENCE, server: tuple[str, int] | None = None, proxy: Proxy | None = None
    ) -> None:
        from dns.asyncresolver import Resolver as Library  # noqa: PLC0415 - 100 ms that most commands need not wait
        from dns.exception import DNSException  # noqa: PLC0415

        self._patience = patience
        self._library: Library | None = None
        with suppress(DNSException, OSError):  # no resolv.conf, say in a small container
            self._library = Library(configure=not (server or proxy))
            self._library.lifetime = patience
            if server and proxy:
                from mailer.preflight.proxied import ProxiedServer  # noqa: PLC0415

                self._library.nameservers = [ProxiedServer(*server, proxy)]
            elif server:
                address, self._library.port = server
                self._library.nameservers = [address]

    async def ask(self, name: str, kind: str) -> list[str]:
        """As Resolver.ask."""
        from dns.exception import DNSException  # noqa: PLC0415
        from dns.name import from_text  # noqa: PLC0415
        from dns.resolver import NXDOMAIN  # noqa: PLC0415

        if self._library is None:
            raise DnsSilentError(name)
        try:
            # an absolute name: otherwise the computer's own search domains would be tried, too
            question = from_text(name.rstrip(".") + ".")
        except DNSException:  # it cannot be written in a question (RFC 1035, 2.3.4)
            raise NoSuchNameError(name) from None
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._library.resolve(question, kind, raise_on_no_answer=False)
        except NXDOMAIN:
            raise NoSuchNameError(name) from None
        except (DNSException, OSError, TimeoutError, EOFError) as error:
            raise DnsSilentError(name) from error
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]
