"""Connecting to the relay: TLS where it is due, and login."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import aiosmtplib

from mailer.authorities import doubt
from mailer.errors import Paused, RelayStopped
from mailer.loopback import is_loopback
from mailer.model import (
    MAIN_RELAY,
    Action,
    Outcome,
    Phase,
    Pipelining,
    Reply,
    Said,
    Scope,
    Security,
    Tokens,
    Verdict,
    said,
)
from mailer.outcome import NO_ENCRYPTION, NO_TLS, SIGN_IN, classify, lost
from mailer.proxy import Proxy, ProxyError
from mailer.smtp.connection import Connection, Extensions
from mailer.smtp.dialogue import Dialogue

# The name in EHLO must say nothing about this machine (RFC 5321, 4.1.3 allows an address literal).
EHLO_NAME = "[127.0.0.1]"

CONNECT_TIMEOUT = 30.0
"""Seconds for everything before the first message, per try: whoever mistook the port must not wait for minutes."""

TLS_PORT = 465
TLS_PORT_TIMEOUT = 10.0
"""Seconds for a greeting where none will come: this port waits for us to begin TLS (RFC 8314, 3.3)."""

PLAIN_ANSWER = {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
"""What OpenSSL calls it when the other side greets in plain text."""

PORTS = said("587 goes with starttls, 465 with tls")

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """The SMTP account that messages are handed to, by its `name` in the settings. Timeouts in seconds.

    With `tokens` each login takes an access token from there, else `password` is what it says; with `auth` xoauth2 that is a
    token, too.
    """

    host: str
    port: int
    security: Security = Security.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    auth: str = "password"
    tokens: Tokens | None = field(default=None, repr=False, compare=False)
    timeout: float = 300.0
    final_timeout: float = 600.0
    tls_context: ssl.SSLContext | None = None
    pipelining: Pipelining = Pipelining.AUTO
    proxy: Proxy | None = None
    name: str = MAIN_RELAY

    @property
    def account(self) -> str:
        """What a quota of the account is counted under: the same account behind another port has no second quota."""
        account = f"{self.username or ''}@{self.host}".casefold()
        return f"{account}:{self.port}" if self.is_local else account

    @property
    def patience(self) -> float:
        """How long one try to connect may take, login and all."""
        mistaken = self.port == TLS_PORT and self.security is not Security.TLS
        return min(self.timeout, TLS_PORT_TIMEOUT if mistaken else CONNECT_TIMEOUT)

    @property
    def is_local(self) -> bool:
        """Whether nothing that is said to it leaves this machine."""
        return is_loopback(self.host)


async def connect(relay: Relay) -> Connection | Outcome:
    """Connect, secure and log in. What goes wrong is an Outcome of phase CONNECT, TLS or AUTH."""
    return await signed_in(relay, _connect)


async def signed_in(relay: Relay, attempt: Callable[[Relay], Awaitable[Made | Outcome]]) -> Made | Outcome:
    """What `attempt` makes of the relay with a password or token to log in with; a refused token is replaced once.

    A server may take a token for expired before its time, and a run outlives many.
    """
    if relay.tokens is None:
        return await attempt(relay)
    token: str | None = None
    for _ in range(2):
        try:
            token = await asyncio.to_thread(relay.tokens, token)
        except RelayStopped as error:
            text = f"{SIGN_IN}: {error.message}"
            return Outcome(verdict=Verdict.REQUEUED, scope=Scope.AUTH, phase=Phase.AUTH, text=text, action=Action.STOP)
        except Paused as error:
            return lost(Phase.CONNECT, error.message)
        made = await attempt(replace(relay, password=token, tokens=None))
        if not (isinstance(made, Outcome) and made.scope is Scope.AUTH and made.action is Action.STOP):
            break
    return made


async def _connect(relay: Relay) -> Connection | Outcome:
    try:
        way = await _way_through_the_proxy(relay)
    except ProxyError as error:
        return lost(Phase.CONNECT, str(error))
    client = aiosmtplib.SMTP(
        hostname=relay.host.strip("[]"),
        port=None if way else relay.port,
        sock=way,
        local_hostname=EHLO_NAME,
        timeout=relay.patience,
        use_tls=relay.security is Security.TLS,
        start_tls=False,
        tls_context=relay.tls_context,
    )
    phase = Phase.CONNECT
    try:
        async with asyncio.timeout(relay.patience):
            await client.connect()
            await client.ehlo()
            if relay.security is Security.STARTTLS:
                phase = Phase.TLS
                if not client.supports_extension("starttls"):
                    client.close()
                    return lost(phase, NO_ENCRYPTION)
                await client.starttls(tls_context=relay.tls_context)
                await client.ehlo()
            phase = Phase.AUTH
            await _login(client, relay)
    except aiosmtplib.SMTPResponseException as error:
        client.close()
        return classify(phase, Reply(code=error.code, text=_text(error.message)))
    except (aiosmtplib.SMTPException, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        client.close()
        phase = _phase_of(error, phase)
        return lost(phase, _in_words(error, relay, phase))
    except asyncio.CancelledError:
        client.close()
        raise
    dialogue = Dialogue(cast("asyncio.Transport", client.transport))
    return Connection(
        dialogue,
        _extensions(client),
        timeout=relay.timeout,
        final_timeout=relay.final_timeout,
        pipelining=relay.pipelining,
    )


async def _way_through_the_proxy(relay: Relay) -> socket.socket | None:
    """None where there is none to go through. There is no other way where there is: it ends with the ProxyError."""
    if relay.proxy is None or relay.is_local:
        return None
    return await relay.proxy.open(relay.host.strip("[]"), relay.port, relay.patience)


async def _login(client: aiosmtplib.SMTP, relay: Relay) -> None:
    if not relay.username:
        return
    if relay.security is Security.NONE and not relay.is_local:
        raise aiosmtplib.SMTPException("a password is only sent over an encrypted connection")
    secret = relay.password or ""
    if relay.auth == "xoauth2":
        await client.auth_xoauth2(relay.username, secret)
    elif "plain" in client.server_auth_methods or not client.server_auth_methods:
        await client.auth_plain(relay.username, secret)
    else:
        await client.auth_login(relay.username, secret)


def _extensions(client: aiosmtplib.SMTP) -> Extensions:
    size = client.esmtp_extensions.get("size", "")
    return Extensions(
        pipelining=client.supports_extension("pipelining"),
        smtputf8=client.supports_extension("smtputf8"),
        size=int(size) if size.isdigit() and int(size) else None,
    )


def _text(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode("utf-8", "replace")


def _phase_of(error: Exception, phase: Phase) -> Phase:
    # with implicit TLS the handshake is part of connecting
    return Phase.TLS if isinstance(error.__cause__ or error, ssl.SSLError) else phase


def _in_words(error: Exception, relay: Relay, phase: Phase) -> Said:
    cause = error.__cause__ or error
    where = said("{host} port {port}", host=relay.host, port=relay.port)
    if isinstance(cause, ssl.SSLError):
        return _tls_in_words(cause, where)
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        if phase is Phase.CONNECT:
            return said("{where} did not answer in time; is the port right? {ports}", where=where, ports=PORTS)
        return said("{where} did not answer in time", where=where)
    if isinstance(error, aiosmtplib.SMTPConnectError | OSError):
        return _unreached(cause, where, relay)
    return Said(str(error).rstrip(".") or type(error).__name__)


def _tls_in_words(cause: ssl.SSLError, where: Said) -> Said:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return said("the certificate of {where} is not valid for it ({why})", where=where, why=doubt(cause))
    if cause.reason in PLAIN_ANSWER:
        return said("{where} {no_tls}; is the port right? {ports}", where=where, no_tls=NO_TLS, ports=PORTS)
    return said("{where} does not speak TLS as configured; check SMTP_SECURITY and SMTP_PORT", where=where)


def _unreached(cause: BaseException, where: Said, relay: Relay) -> Said:
    if isinstance(cause, socket.gaierror):
        return said(
            "no connection to {where}: no such name was found; is it written right, and is this computer online?",
            where=where,
        )
    if isinstance(cause, ConnectionRefusedError):
        if relay.is_local:
            return said("no connection to {where}: nothing answers at that port", where=where)
        return said("no connection to {where}: nothing answers at that port; {ports}", where=where, ports=PORTS)
    return said("no connection to {where}", where=where)
