"""Connecting to the relay: TLS where it is due, and login."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import cast

import aiosmtplib

from mailer.model import Outcome, Phase, Reply, Security
from mailer.outcome import NO_ENCRYPTION, classify, lost
from mailer.smtp.connection import Connection, Extensions
from mailer.smtp.dialogue import Dialogue

# The name in EHLO must say nothing about this machine (RFC 5321, 4.1.3 allows an address literal).
EHLO_NAME = "[127.0.0.1]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """The SMTP account that messages are handed to. Timeouts in seconds."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    auth: str = "password"
    timeout: float = 300.0
    final_timeout: float = 600.0
    tls_context: ssl.SSLContext | None = None

    @property
    def account(self) -> str:
        """What a quota of the account is counted under: the same account behind another port has no second quota."""
        account = f"{self.username or ''}@{self.host}".casefold()
        return f"{account}:{self.port}" if self.is_local else account

    @property
    def is_local(self) -> bool:
        """Whether nothing that is said to it leaves this machine."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


async def connect(relay: Relay) -> Connection | Outcome:
    """Connect, secure and log in. What goes wrong is an Outcome of phase CONNECT, TLS or AUTH."""
    client = aiosmtplib.SMTP(
        hostname=relay.host.strip("[]"),
        port=relay.port,
        local_hostname=EHLO_NAME,
        timeout=min(relay.timeout, 60.0),
        use_tls=relay.security is Security.TLS,
        start_tls=False,
        tls_context=relay.tls_context,
    )
    phase = Phase.CONNECT
    try:
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
        return lost(_phase_of(error, phase), _in_words(error, relay))
    except asyncio.CancelledError:
        client.close()
        raise
    dialogue = Dialogue(cast("asyncio.Transport", client.transport))
    return Connection(dialogue, _extensions(client), timeout=relay.timeout, final_timeout=relay.final_timeout)


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


def _in_words(error: Exception, relay: Relay) -> str:
    cause = error.__cause__ or error
    where = f"{relay.host} port {relay.port}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not valid for it ({cause.verify_message})"
    if isinstance(cause, ssl.SSLError):
        return f"{where} does not speak TLS as configured; check SMTP_SECURITY and SMTP_PORT"
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return f"{where} did not answer in time"
    if isinstance(error, aiosmtplib.SMTPConnectError | OSError):
        return f"no connection to {where}"
    return str(error).rstrip(".") or type(error).__name__
