"""Files encrypted with age (age-encryption.org/v1): the only place that imports pyrage. Everything stays in memory."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from mailer.errors import LockedError, SettingsError
from mailer.model import said

SUFFIX = ".age"
INSTALL = "python -m pip install sqlcipher3 pyrage"
"""What the extra `encryption` installs."""

ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
VERSION = b"age-encryption.org/v1"
KEY = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{58}", re.IGNORECASE)
"""An X25519 identity, as `age-keygen` and `mailer encrypt` make it."""


class Opener(StrEnum):
    """What opens something that is encrypted: a key that a program made, or a passphrase that a person chose."""

    KEY = "key"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind


Unlock = Callable[[Opener], str]
"""Gives the key or the passphrase, asking for it if need be. Raises LockedError if there is none."""


def no_key(_: Opener) -> str:
    """Where nobody can be asked."""
    raise LockedError("It is encrypted, and there is no key for it here.", hint="use a copy that is not encrypted")


OPENS_NOT = {
    Opener.KEY: said("It is encrypted, and the key does not open it; or it is damaged."),
    Opener.PASSPHRASE: said("It is encrypted, and the passphrase does not open it; or it is damaged."),
}


def opener_of(secret: str) -> Opener:
    """What a secret is."""
    return Opener.KEY if KEY.fullmatch(secret) else Opener.PASSPHRASE


def canonical(secret: str) -> str:
    """The same for every way in which systems write the same letters (a Mac's keyboard gives é in two parts)."""
    return secret.upper() if opener_of(secret) is Opener.KEY else unicodedata.normalize("NFC", secret)


def opener(data: bytes) -> Opener | None:
    """What a file of these bytes is encrypted to; None if it is no age file."""
    if data.startswith(ARMOR):
        try:
            data = base64.b64decode(data[len(ARMOR) : 400].strip().partition(b"\n")[0])
        except (binascii.Error, ValueError):
            return None
    if not data.startswith(VERSION):
        return None
    return Opener.PASSPHRASE if data[len(VERSION) :].lstrip(b"\r\n").startswith(b"-> scrypt ") else Opener.KEY


def plain_name(path: Path) -> Path:
    """The name of what an encrypted file holds; of any other, its own."""
    return path.with_suffix("") if path.suffix.lower() == SUFFIX else path


def new_key() -> str:
    """A random key, as the text in which it is kept. Raises SettingsError without the library."""
    return str(_pyrage().x25519.Identity.generate())


def encrypt(data: bytes, secret: str) -> bytes:
    """Raises LockedError for a key that is mistyped, SettingsError without the library."""
    pyrage, secret = _pyrage(), canonical(secret)
    if opener_of(secret) is Opener.PASSPHRASE:
        return bytes(pyrage.passphrase.encrypt(data, secret))
    return bytes(pyrage.encrypt(data, [_identity(pyrage, secret).to_public()]))


def decrypt(data: bytes, unlock: Unlock) -> bytes:
    """What an age file holds. Raises LockedError if the key does not open it, SettingsError without the library."""
    pyrage, needed = _pyrage(), opener(data)
    assert needed is not None
    secret = canonical(unlock(needed))
    try:
        if opener_of(secret) is Opener.PASSPHRASE:
            return bytes(pyrage.passphrase.decrypt(data, secret))
        return bytes(pyrage.decrypt(data, [_identity(pyrage, secret)]))
    except pyrage.DecryptError as error:
        raise LockedError(
            OPENS_NOT[needed],
            hint=way_out(needed),
        ) from error


def way_out(needed: Opener) -> str:
    """What to do where the key or the passphrase is missing or wrong."""
    if needed is Opener.PASSPHRASE:
        return "type the passphrase that it was encrypted with, or set MAILER_PASSPHRASE_FILE to a file that holds it"
    return "set MAILER_PASSPHRASE_FILE to the file with the key that was saved when it was encrypted"


def _identity(pyrage: Any, secret: str) -> Any:
    try:
        return pyrage.x25519.Identity.from_str(secret)
    except pyrage.IdentityError as error:
        raise LockedError("The key is mistyped: a letter of it is wrong.", hint=way_out(Opener.KEY)) from error


def _pyrage() -> Any:
    try:
        import pyrage  # noqa: PLC0415 - optional, and seldom needed
        import pyrage.passphrase  # noqa: PLC0415
        import pyrage.x25519  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("Encrypted files need a library that is not installed.", hint=INSTALL) from error
    return pyrage
