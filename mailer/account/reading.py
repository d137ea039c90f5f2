"""The mailbox that is read for what comes back: tried at its server, and only then written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mailer.account.keeping import overruled, write
from mailer.account.login import NOTHING_CHANGED
from mailer.errors import SettingsError
from mailer.loopback import is_loopback
from mailer.model import said, words_of

if TYPE_CHECKING:
    from mailer.inbox.mailbox import Access
    from mailer.settings import Settings

FIELDS = ("imap_host", "imap_username", "imap_port", "imap_security")
SECRET_FILE = "imap-password.txt"  # noqa: S105  the name of a file
PATIENCE = 30.0
"""Seconds for each answer of the server."""


def refuse_overruled_reading(settings: Settings) -> None:
    """Raise SettingsError if something elsewhere would go before what is written to `.env` and the keyring."""
    if found := overruled(settings, (*FIELDS, "imap_auth", "imap_password"), "imap_password"):
        raise SettingsError(
            said("Something else decides about the mailbox. {unchanged}", unchanged=NOTHING_CHANGED),
            problems=found,
        )


def wrong_fields(texts: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, a sentence for each name; port and encryption may be blank."""
    from mailer.settings import check  # noqa: PLC0415 - imports pydantic

    wrong: dict[str, str] = {}
    for name in FIELDS:
        text = texts.get(name, "")
        try:
            if text:
                check(name, text)
            elif name in {"imap_host", "imap_username"}:
                raise ValueError(said("it is still missing"))  # noqa: TRY301 - told as any other
        except ValueError as error:
            wrong[name] = words_of(error)
    if texts.get("imap_security") == "none" and not is_loopback(texts.get("imap_host")):
        wrong["imap_security"] = said("without encryption everyone on the way could read the password")
    return wrong


def access(texts: Mapping[str, str], secret: str, settings: Settings) -> Access:
    """How to get in, with what is usual where nothing was said."""
    from mailer.inbox.mailbox import Access  # noqa: PLC0415 - imports imap_tools
    from mailer.model import Security  # noqa: PLC0415

    port = texts.get("imap_port", "")
    security = Security(texts.get("imap_security") or ("starttls" if port == "143" else "tls"))
    usual = 993 if security is Security.TLS else 143
    return Access(
        host=texts["imap_host"],
        port=int(port or usual),
        security=security,
        username=texts["imap_username"],
        password=secret,
        folder=settings.imap_folder,
        done=settings.imap_done_folder,
        timeout=PATIENCE,
        proxy=settings.way,
    )


def set_up_reading(
    folder: Path, texts: Mapping[str, str], secret: str, settings: Settings, *, in_file: bool
) -> str | None:
    """Open the mailbox, then keep the password and write the rest: the name of the file with the password, None for the keyring.

    `in_file` is whether a file will do where there is no keyring. Raises SettingsError, RelayStopped, Paused.
    """
    from mailer.inbox.mailbox import OpenMailbox  # noqa: PLC0415 - imports imap_tools
    from mailer.settings import dotenv_file, passwords  # noqa: PLC0415

    with OpenMailbox(access(texts, secret, settings)):
        pass
    file = None
    if not passwords.keep(texts["imap_username"], texts["imap_host"], secret):
        if not in_file:
            raise SettingsError(
                said(
                    "This computer has no keyring that could keep the password. {unchanged}",
                    unchanged=NOTHING_CHANGED,
                ),
                hint=said("say below that it may stand in the file {file}", file=SECRET_FILE),
            )
        file = SECRET_FILE
        dotenv_file.write_private(folder / file, f"{secret}\n")
    values: dict[str, str | None] = {name: texts.get(name) or None for name in FIELDS}
    write(folder, {**values, "imap_auth": "password", "imap_password": None, "imap_password_file": file})
    return file
