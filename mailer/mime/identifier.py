"""Message-IDs that never change on retry, so that a receiver or an operator can recognise a repeat."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from mailer.mime.addresses import ascii_domain
from mailer.mime.flaw import ComposeError, Flaw
from mailer.model import said

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

PURPOSE = b"mailer message-id 1\0"
"""Keeps these tokens apart from any other that the same secret may sign."""


def message_id(secret: bytes, campaign: str, key: str, domain: str) -> str:
    """`<token@domain>` for the one delivery of a campaign to an address (RFC 5322, section 3.6.4).

    The token is 160 bits of HMAC-SHA256 in base32: it tells nobody without the secret who the message is for. Raises
    ComposeError if the domain cannot be one.
    """
    return message_id_of(delivery_token(secret, campaign, key), domain)


def message_id_of(delivery: str, domain: str) -> str:
    """The same for a delivery whose name is known (`delivery_token`)."""
    try:
        return f"<{delivery}@{_domain(domain)}>"
    except Flaw as flaw:
        raise ComposeError.of([flaw]) from None


def delivery_token(secret: bytes, campaign: str, key: str) -> str:
    """The left part of the Message-ID, which is the delivery's name wherever it is told."""
    begun, whole = _keyed(secret, campaign)
    inner, outer = begun.copy(), whole.copy()
    inner.update(key.encode("utf-8", "surrogatepass"))
    outer.update(inner.digest())
    bits = int.from_bytes(outer.digest()[:20], "big")
    for keep, shift, move in SPREAD:
        bits = bits & keep | bits << shift & move
    return bits.to_bytes(32, "big").translate(ALPHABET).decode()


@lru_cache(maxsize=16)
def _keyed(secret: bytes, campaign: str) -> tuple[Hash, Hash]:
    """HMAC (RFC 2104) with everything hashed that is the same for all contacts of a campaign."""
    name = campaign.encode(errors="surrogatepass")
    block = (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    # The length in front keeps ("ab", "c") and ("a", "bc") apart.
    inner.update(PURPOSE + len(name).to_bytes(8, "big") + name)
    return inner, outer


@lru_cache(maxsize=256)
def _domain(domain: str) -> str:
    return ascii_domain(domain, said("The From address")).lower()


def _spread() -> tuple[tuple[int, int, int], ...]:
    """How 160 bits in a row become 32 bytes of five bits each, halving in every step: what stays, how far, what moves."""
    steps = []
    size, slot, count = 160, 256, 1
    while size > 5:
        size, slot = size // 2, slot // 2
        keep = sum((2**size - 1) << 2 * slot * number for number in range(count))
        steps.append((keep, slot - size, keep << slot))
        count *= 2
    return tuple(steps)


SPREAD = _spread()
ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""Base32 (RFC 4648, section 6) in lower case, for each value of a byte."""
