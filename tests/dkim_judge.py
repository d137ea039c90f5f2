"""Keys made for the tests, and dkimpy as the judge of what was signed with them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mailer.mime.dkim import Signer
from mailer.mime.keys import read_key

DOMAIN = "union.example"


def as_pem(private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, passphrase: bytes = b"") -> bytes:
    kept = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept)


@cache
def rsa_pem(name: str = "", bits: int = 2048) -> bytes:
    """A private RSA key, another for each name."""
    return as_pem(rsa.generate_private_key(65537, bits))


@cache
def ed25519_pem() -> bytes:
    return as_pem(ed25519.Ed25519PrivateKey.generate())


def signer(domain: str = DOMAIN) -> Signer:
    """Both kinds of keys."""
    return Signer(
        [
            read_key(rsa_pem(), domain=domain, selector="mail2026"),
            read_key(ed25519_pem(), domain=domain, selector="mail2026e"),
        ]
    )


def settings(folder: Path, domain: str = DOMAIN, *, both: bool = True) -> dict[str, str]:
    """The settings for the same keys, which are written into a folder."""
    named = {"": rsa_pem(), "_ED25519": ed25519_pem()} if both else {"": rsa_pem()}
    given = {"MAILER_DKIM_DOMAIN": domain}
    for infix, pem in named.items():
        path = folder / f"dkim{infix.lower()}.pem"
        path.write_bytes(pem)
        path.chmod(0o600)
        given[f"MAILER_DKIM{infix}_SELECTOR"] = "mail2026e" if infix else "mail2026"
        given[f"MAILER_DKIM{infix}_KEY_FILE"] = str(path)
    return given


def verdicts(content: bytes, records: dict[str, str]) -> list[bool]:
    """Whether each signature of a message holds, if these are the TXT records of the world."""

    def answer(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode().rstrip(".")].encode()

    head = content.partition(b"\r\n\r\n")[0].lower()
    count = (b"\r\n" + head).count(b"\r\ndkim-signature:")
    return [_verdict(content, number, answer) for number in range(count)]


def _verdict(content: bytes, number: int, answer: object) -> bool:
    try:
        return bool(dkim.DKIM(content).verify(idx=number, dnsfunc=answer))
    except dkim.ValidationError:  # what is so odd that dkimpy does not look further
        return False
