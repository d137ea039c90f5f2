"""Ledgers and lists that are encrypted: what opens them, and what must not be written beside them."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mailer import age
from mailer.age import Opener, Unlock
from mailer.cli import console
from mailer.errors import LockedError, SettingsError, UsageError, quoted

if TYPE_CHECKING:
    from mailer.ledger import Ledger, LedgerKey
    from mailer.model import LedgerPlace
    from mailer.settings import Settings


def open_ledger(settings: Settings, *, create: bool = True, reading: bool = False) -> Ledger:
    """The ledger of these settings, with its key if it is encrypted. Raises what Ledger raises, LockedError without a key.

    For `reading` one will do that cannot be written, which is said.
    """
    from mailer.ledger import Ledger  # noqa: PLC0415

    ledger = Ledger(settings.ledger_place, create=create, key=ledger_key(settings), reading=reading)
    if ledger.is_read_only:
        console.warn("The ledger can only be read here, so it cannot be told whether somebody sends from it just now.")
    return ledger


def ledger_key(settings: Settings) -> LedgerKey | None:
    """The key of the ledger; None if it is not encrypted. Raises LockedError, which names the ledger."""
    from mailer.ledger import cipher  # noqa: PLC0415
    from mailer.model import as_said, said  # noqa: PLC0415

    place = settings.ledger_place
    needed = cipher.opener(place)
    if needed is None:
        return None
    try:
        secret = secret_of(settings, needed)
    except LockedError as error:
        raise LockedError(
            said("{path}: {sentence}", path=place, sentence=as_said(error.message)), hint=error.hint
        ) from error
    return cipher.key_of(place, secret)


def unlocking(settings: Settings | None = None) -> Unlock:
    """Finds what opens a list, when one is met that is encrypted. Without `settings`, those of this folder are read then."""

    def unlock(needed: Opener) -> str:
        from mailer import settings as settings_module  # noqa: PLC0415 - imports pydantic

        return secret_of(settings or settings_module.load(), needed)

    return unlock


def secret_of(settings: Settings, needed: Opener) -> str:
    """The key or the passphrase: as set, else a key from the keyring, a passphrase asked in the terminal."""
    given = settings.passphrase.get_secret_value() if settings.passphrase else None
    if given is not None and age.opener_of(given) is needed:
        return given
    if needed is Opener.PASSPHRASE:
        return asked("Passphrase: ")
    if settings.kept_key is None:
        raise LockedError("It is encrypted, and its key is not in this computer's keyring.", hint=age.way_out(needed))
    return settings.kept_key


@cache
def asked(question: str) -> str:
    """What a person types, unseen; asked once in a command. Raises LockedError where nobody is there."""
    import getpass  # noqa: PLC0415

    if not sys.stdin or not sys.stdin.isatty():
        raise LockedError("It is encrypted, and nobody is there to type the passphrase.", hint=WAY_OUT)
    return getpass.getpass(question, stream=sys.stderr)


WAY_OUT = "run it in a terminal, or set MAILER_PASSPHRASE_FILE to a file with it, in another folder"


def is_encrypted(settings: Settings | None = None) -> bool:
    """Whether the ledger of these settings, or else of this folder, is encrypted."""
    from mailer import settings as settings_module  # noqa: PLC0415 - imports pydantic
    from mailer.ledger import cipher  # noqa: PLC0415

    place: LedgerPlace = Path("mailer.db")
    with suppress(SettingsError):  # a list can be looked at before the settings are right
        place = (settings or settings_module.load()).ledger_place
    return cipher.opener(place) is not None


def is_beside(path: Path) -> bool:
    """Whether it lies in the campaign's folder."""
    return path.resolve().is_relative_to(Path.cwd())


def keep_outside(path: Path | None, settings: Settings | None = None) -> None:
    """Raise UsageError if a file with addresses in it would come to lie, readable, beside the ledger that is encrypted."""
    from mailer.model import said  # noqa: PLC0415

    if path is not None and is_beside(path) and is_encrypted(settings):
        raise UsageError(
            "The ledger of this folder is encrypted, and what this would write here holds addresses that anybody could read."
            " Nothing was written.",
            hint=said(
                "name a place outside of this folder, best on an encrypted disk: {file}",
                file=quoted(Path("..") / path.name),
            ),
        )


def warn_of_readable_ledger(settings: Settings, contact_list: Path) -> None:
    """Say that an encrypted list protects little while its addresses stand in a ledger that is not."""
    from mailer.ledger import cipher  # noqa: PLC0415

    if contact_list.suffix.lower() == age.SUFFIX and cipher.opener(settings.ledger_place) is None:
        console.warn(
            "The list is encrypted, but the ledger, which gets its addresses, is not. To encrypt it: mailer encrypt"
        )
