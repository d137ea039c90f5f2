"""What a server has accepted, written down: the secret in the keyring or a file, everything else in `.env`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailer.account.description import Account
from mailer.account.login import NOTHING_CHANGED
from mailer.errors import SettingsError, UsageError
from mailer.model import MAIN_RELAY, said

if TYPE_CHECKING:
    from mailer.model import Problem, RelayFacts
    from mailer.preflight import Check
    from mailer.settings import Settings

HEADING = "Written by mailer setup. What stands here goes before mailer.toml."
SECRET_FILE = "smtp-password.txt"  # noqa: S105  the name of a file
NO_KEYRING = "This computer has no keyring that could keep the password."
NO_ANSWER = "No answer, so nothing was changed."
FILE_QUESTION = said("Keep it in the file {file} here, which only you can read?", file=SECRET_FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the secret is kept: in a file, or in the keyring if that is None. `made` is whether setup writes the file."""

    file: Path | None = None
    made: bool = False


def secret_file(settings: Settings) -> str:
    """The file of our own for an account's secret, where there is no keyring."""
    return SECRET_FILE if settings.relay == MAIN_RELAY else f"{settings.relay}-password.txt"


def file_question(settings: Settings) -> str:
    """What is asked before the secret is written there."""
    return FILE_QUESTION.replaced(SECRET_FILE, secret_file(settings))


def refuse_overruled(settings: Settings) -> None:
    """Raise SettingsError if something elsewhere would go before what is written to `.env` and the keyring."""
    written = ("host", "port", "security", "username", "auth", "password", "oauth_client_id", "oauth_client_secret")
    if found := overruled(settings, (*(f"smtp_{one}" for one in written), "sender"), "smtp_password"):
        raise SettingsError(
            said("Something else decides about the account. {unchanged}", unchanged=NOTHING_CHANGED),
            problems=found,
        )


def overruled(settings: Settings, names: Iterable[str], password: str) -> list[Problem]:
    """What stands in the environment of these, and the password in mailer.toml: the keyring comes after both."""
    found = []
    for name in names:
        origin = settings.origin(name)
        if origin and origin.place == "the environment":
            sentence = "it goes before what setup writes; take it out of the environment, or change it there yourself"
            found.append(origin.problem("overruled", sentence))
        elif origin and origin.place == "mailer.toml" and name == password:
            found.append(origin.problem("overruled", "setup keeps the password elsewhere; take this line out"))
    return found


def keep_in_keyring(account: Account, secret: str) -> bool:
    """Whether this computer's keyring has taken it, or there is nothing to keep."""
    from mailer.settings import passwords  # noqa: PLC0415

    return account.username is None or passwords.keep(account.username, account.host, secret)


def new_file(settings: Settings, folder: Path) -> Place:
    """The file of our own for the secret, where there is no keyring. Raises UsageError if another one stands there."""
    ours, name = settings.origin("smtp_password"), secret_file(settings)
    if (folder / name).exists() and not (ours and ours.spelling.upper().endswith("_FILE")):
        raise UsageError(
            said("There is a {file} already. {unchanged}", file=name, unchanged=NOTHING_CHANGED),
            hint="rename it, then run it again",
        )
    return Place(file=Path(name), made=True)


def keep(account: Account, settings: Settings, secret: str, place: Place, folder: Path) -> None:
    """Write the settings, and the secret where it is to be. Raises SettingsError."""
    from mailer.settings import dotenv_file, passwords  # noqa: PLC0415
    from mailer.settings.layers import PREFIX  # noqa: PLC0415

    values = _values_of(account, settings)
    file = place.file.as_posix() if place.file else None
    values |= {"smtp_password": None, "smtp_password_file": file}
    if "imap_host" in values and values["imap_auth"] != "xoauth2":
        values |= {"imap_password": None, "imap_password_file": file}
        if not file and account.username:
            passwords.keep(account.username, str(values["imap_host"]), secret)
    if place.made:
        dotenv_file.write_private(folder / secret_file(settings), f"{secret}\n")
    write(folder, {settings.variable(name).removeprefix(PREFIX).lower(): value for name, value in values.items()})


def write(folder: Path, values: Mapping[str, str | None]) -> None:
    """Settings into `.env`, at once or not at all. Raises SettingsError."""
    from mailer.settings import dotenv_file  # noqa: PLC0415

    dotenv_file.change(folder / ".env", values, HEADING)


def _values_of(account: Account, settings: Settings) -> dict[str, str | None]:
    """The settings to write, by their lower-case names; None takes one out."""
    from mailer.settings import Auth  # noqa: PLC0415

    login, preset = account.login, account.preset
    found: dict[str, str | None] = {
        "smtp_host": account.host,
        "smtp_port": str(account.port),
        "smtp_security": account.security.value,
        "smtp_username": account.username,
        "smtp_auth": login.auth.value,
        "smtp_oauth_client_id": login.client_id,
        "smtp_oauth_client_secret": login.client_secret,
    }
    if account.sender:
        name, address = account.sender.name, account.sender.address
        found["sender"] = f"{name} <{address}>" if name else address
    # Microsoft's mailboxes take no passwords at all any more
    readable = preset and (login.auth is Auth.XOAUTH2 or preset.oauth != "microsoft")
    before = settings.origin("imap_host")
    # answers come to one mailbox, that of the main account
    if (
        settings.relay == MAIN_RELAY
        and preset
        and preset.imap
        and account.username
        and readable
        and (before is None or before.place == ".env")
    ):
        imap = {"host": preset.imap, "username": account.username, "auth": login.auth.value}
        found |= {f"imap_{name}": value for name, value in imap.items()}
    return found


def checks_of(account: Account, facts: RelayFacts, settings: Settings) -> list[Check]:
    """What to look at, of the provider's limits and the server's answers; `settings` as they are now."""
    import time  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from mailer import preflight  # noqa: PLC0415

    known = preflight.Account(
        host=settings.smtp_host or account.host,
        port=settings.smtp_port,
        sender_domains=(settings.sender.domain,) if settings.sender else (),
        auth=settings.smtp_auth.value,
        logs_in=account.username is not None,
        rate=settings.rate,
        rate_is_chosen=not settings.rate_is_default,
    )
    found = [
        *preflight.account.settings(known, datetime.now(UTC).date()),
        *preflight.account.relay(known, facts, now=time.time()),
    ]
    return [check for check in found if check.level is not preflight.Level.OK]
