"""Keys that sign messages: a private one as its owner keeps it, and the DNS record that tells its public half."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mailer.model import Signature, said

LEAST_BITS, SAFE_BITS, MOST_BITS = 1024, 2048, 4096
"""RFC 8301, section 3.2: receivers take no signature of a shorter RSA key, and need not take one of a longer."""

PKCS1, SHA256 = padding.PKCS1v15(), hashes.SHA256()

Private = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class BadKeyError(ValueError):
    """Why something is no key to sign with, as the rest of a sentence that names where it stands."""


class Algorithm(StrEnum):
    """How a signature is made (the tag a=)."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A private key, and the name under which its public half stands in the DNS. It never shows in a representation."""

    domain: str
    selector: str
    private: Private = field(repr=False)

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.RSA if isinstance(self.private, rsa.RSAPrivateKey) else Algorithm.ED25519

    @property
    def bits(self) -> int:
        """The length of an RSA key; 256 for the other kind, which has one length."""
        return self.private.key_size if isinstance(self.private, rsa.RSAPrivateKey) else 256

    @property
    def is_short(self) -> bool:
        """Whether receivers may distrust it, although they take it."""
        return self.algorithm is Algorithm.RSA and self.bits < SAFE_BITS

    @property
    def public(self) -> bytes:
        """The public half as the record holds it: an RSA key as DER (RFC 6376, 3.6.1), the other bare (RFC 8463, 4)."""
        half = self.private.public_key()
        if isinstance(half, ed25519.Ed25519PublicKey):
            return half.public_bytes_raw()
        return half.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def signature(self) -> Signature:
        """What may be told about it."""
        return Signature(self.domain, self.selector, hashlib.sha256(self.public).hexdigest()[:16])

    @property
    def packed(self) -> tuple[str, str, bytes]:
        """All of it, for another process of the same run; see `unpacked`."""
        private = self.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self.domain, self.selector, private

    def signing(self) -> Callable[[bytes], bytes]:
        """What makes a signature of canonical headers."""
        private = self.private
        if isinstance(private, ed25519.Ed25519PrivateKey):
            # RFC 8463, section 3: what is signed is the hash
            return lambda data: private.sign(hashlib.sha256(data).digest())
        return lambda data: private.sign(data, PKCS1, SHA256)


def unpacked(domain: str, selector: str, private: bytes) -> Key:
    """The key that `Key.packed` gave."""
    return Key(domain=domain, selector=selector, private=_usable(serialization.load_der_private_key(private, None)))


def read_key(text: bytes, *, domain: str, selector: str) -> Key:
    """A private key in PEM form, as `openssl` and `opendkim-genkey` write them. Raises BadKeyError."""
    if b"PRIVATE KEY-----" not in text:
        what = said("a public key or a certificate") if b"-----BEGIN " in text else said("something else")
        raise BadKeyError(said("it holds {what}, but no private key, as openssl genrsa writes it", what=what))
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in text:
        raise BadKeyError("it holds a key for SSH; make one of its own for signing")
    try:
        private = serialization.load_pem_private_key(text, None)
    except TypeError:
        raise BadKeyError(
            "it is encrypted with a passphrase; write it without one, in a file that only you can read: "
            "openssl pkey -in ENCRYPTED -out PLAIN"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError("its private key is damaged, shorter than 1024 bits or of an unknown kind") from None
    return Key(domain=domain, selector=selector, private=_usable(private))


def _usable(private: object) -> Private:
    if not isinstance(private, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise BadKeyError("it is neither an RSA nor an Ed25519 key, and DKIM knows no other kind")
    if isinstance(private, rsa.RSAPrivateKey) and not LEAST_BITS <= private.key_size <= MOST_BITS:
        raise BadKeyError(
            said(
                "it has {bits} bits; receivers take signatures of {least} to {most}, and {usual} is what you want",
                bits=private.key_size,
                least=LEAST_BITS,
                most=MOST_BITS,
                usual=SAFE_BITS,
            )
        )
    return private


def dns_record(key: Key) -> tuple[str, str]:
    """The name and the value of the TXT record to publish (RFC 6376, 3.6.1).

    The value is longer than the 255 octets of one string in the DNS; web forms of providers split it by themselves.
    """
    kind = "rsa" if key.algorithm is Algorithm.RSA else "ed25519"
    value = f"v=DKIM1; k={kind}; p={base64.b64encode(key.public).decode()}"
    return f"{key.selector}._domainkey.{key.domain}", value
