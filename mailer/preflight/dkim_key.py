"""The public half of a DKIM key, as DNS has it (RFC 6376, 3.6.1): what kind it is, and how long."""

from __future__ import annotations

import base64
import binascii

from mailer.preflight.dmarc import parse

ED25519_BYTES = 32
SEQUENCE, INTEGER, BIT_STRING = 0x30, 0x02, 0x03


class KeyUnreadableError(ValueError):
    """What stands in DNS is no key. `str()` says why, in a few plain words."""


def bits(record: str) -> int | None:
    """How many bits an RSA key has; None for an Ed25519 key (RFC 8463). Raises KeyUnreadableError."""
    kind, number = key(record)
    return number.bit_length() if kind == "rsa" else None


def key(record: str) -> tuple[str, int]:
    """The kind of a key and the number it comes down to, however it is written. Raises KeyUnreadableError."""
    tags = parse(record)
    text = "".join(tags.get("p", "").split())
    if tags.get("v", "DKIM1") != "DKIM1" or "p" not in tags:
        raise KeyUnreadableError("it is not a DKIM record")
    if not text:
        raise KeyUnreadableError("the key was withdrawn (its p= is blank)")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyUnreadableError("a part of the key is missing or mistyped") from None
    if tags.get("k", "rsa").lower() == "ed25519":
        if len(raw) != ED25519_BYTES:
            raise KeyUnreadableError("an Ed25519 key has 32 bytes, and this one has not")
        return "ed25519", int.from_bytes(raw)
    try:
        return "rsa", _modulus(raw)
    except (IndexError, ValueError):
        raise KeyUnreadableError("a part of the key is missing or mistyped") from None


def _modulus(der: bytes) -> int:
    """The modulus of a SubjectPublicKeyInfo, or of a bare RSAPublicKey, which some publish (RFC 8017, A.1.1)."""
    content = _element(der, SEQUENCE)[0]
    if content[0] == SEQUENCE:
        _, rest = _element(content, SEQUENCE)
        content = _element(_element(rest, BIT_STRING)[0][1:], SEQUENCE)[0]
    number, _ = _element(content, INTEGER)
    return int.from_bytes(number)


def _element(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which must be of this kind, and what follows (X.690, 8.1)."""
    if der[0] != tag:
        raise ValueError("another kind of element")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    if len(der) < start + length:
        raise ValueError("cut off")
    return der[start : start + length], der[start + length :]
