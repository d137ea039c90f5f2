"""Message-IDs that never change on retry, so that a receiver or an operator can recognise a repeat."""

from __future__ import annotations

import base64
import hmac

from mailer.mime.addresses import ascii_domain
from mailer.mime.flaw import ComposeError, Flaw

PURPOSE = b"mailer message-id 1\0"
"""Keeps these tokens apart from any other that the same secret may sign."""


def message_id(secret: bytes, campaign: str, key: str, domain: str) -> str:
    """`<token@domain>` for the one delivery of a campaign to an address (RFC 5322, section 3.6.4).

    The token is 160 bits of HMAC-SHA256 in base32: it tells nobody without the secret who the message is for. Raises
    ComposeError if the domain cannot be one.
    """
    name = campaign.encode(errors="surrogatepass")
    # The length in front keeps ("ab", "c") and ("a", "bc") apart.
    text = PURPOSE + len(name).to_bytes(8, "big") + name + key.encode(errors="surrogatepass")
    token = base64.b32encode(hmac.digest(secret, text, "sha256")[:20]).decode().lower()
    try:
        return f"<{token}@{ascii_domain(domain, 'The From address').lower()}>"
    except Flaw as flaw:
        raise ComposeError.of([flaw]) from None
