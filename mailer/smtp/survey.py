"""A look at the relay that mails nobody: connect, log in, note what it offers, take leave."""

from __future__ import annotations

import ssl

from mailer.model import Outcome, RelayFacts
from mailer.smtp.relay import Relay, connect


async def survey(relay: Relay) -> RelayFacts | Outcome:
    """What the relay says of itself, or what keeps us from asking: an Outcome of phase CONNECT, TLS or AUTH."""
    connection = await connect(relay)
    if isinstance(connection, Outcome):
        return connection
    try:
        tls, ends = connection.encryption
        offered = connection.extensions
        return RelayFacts(
            logged_in=bool(relay.username),
            tls=tls,
            certificate_ends=ssl.cert_time_to_seconds(ends) if ends else None,
            size=offered.size,
            pipelining=offered.pipelining,
            smtputf8=offered.smtputf8,
        )
    finally:
        await connection.quit()
