"""Signed opaque tokens that never expire: they name a delivery to the one ledger that made them, and tell nobody else anything.

One is `delivery` followed by a signature of 80 bits: only lower-case letters and digits, since some servers change the case
of a local part and some mail programs that of a link. With the 32 characters of a Message-ID's token it has 52, so that
`unsubscribe+TOKEN` fits into a local part of 64 octets (RFC 5321, section 4.5.3.1.1).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

SIGNATURE = 20
"""Hexadecimal digits. Whoever guesses has to ask our own page, or send a mail, for each of 2**80 guesses."""

DELIVERY = re.compile(r"[a-z0-9]{1,100}", re.ASCII)


class Purpose(StrEnum):
    """What a token may be used for: each has a key of its own, so that a token of one is none of another."""

    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    PREVIEW = "preview"
    """In place of the others in what is only looked at: nobody is unsubscribed who never got the message."""


class _Short(SigningAlgorithm):
    """HMAC-SHA256, cut to 80 bits (RFC 2104, section 5, allows no fewer)."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return _signature(key, value).encode()


def _signature(key: bytes, value: bytes) -> str:
    return hmac.digest(key, value, "sha256").hex()[:SIGNATURE]


class Tokens:
    """Signs and reads the tokens of one ledger, by its secret."""

    def __init__(self, secret: bytes) -> None:
        self._signs = _Short()
        self._keys = {
            purpose: Signer(
                secret, salt=f"mailer token 1 {purpose.value}", key_derivation="hmac", digest_method=hashlib.sha256
            ).derive_key()
            for purpose in Purpose
        }

    def sign(self, purpose: Purpose, delivery: str) -> str:
        """A token for a delivery, named by the left part of its Message-ID (`mailer.mime.message_id`)."""
        return delivery + _signature(self._keys[purpose], delivery.encode())

    def read(self, purpose: Purpose, token: str) -> str | None:
        """The delivery that was signed for this purpose, or None for whatever else: forged, altered or cut off."""
        lowered = token.lower()
        delivery, signature = lowered[:-SIGNATURE], lowered[-SIGNATURE:]
        if not DELIVERY.fullmatch(delivery) or not signature.isascii():
            return None
        good = self._signs.verify_signature(self._keys[purpose], delivery.encode(), signature.encode())
        return delivery if good else None
