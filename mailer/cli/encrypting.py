"""`mailer encrypt` and `mailer decrypt`: the ledger and lists, readable only with a key, or by everybody again."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer import age
from mailer.cli import console
from mailer.cli.confirming import have_typed
from mailer.cli.options import JsonOption, settings_here
from mailer.cli.unlocking import asked, is_beside, ledger_key, open_ledger, secret_of, unlocking
from mailer.errors import ListError, LockedError, SettingsError, UsageError, quoted
from mailer.model import Server

if TYPE_CHECKING:
    from mailer.settings import Settings

SHORTEST = 12
"""Characters of a passphrase: whoever has the file can try as many as they like."""

LISTS = {".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".xls", ".ods", ".json", ".jsonl", ".ndjson", ".parquet", ".eml"}
SHOWN = 10

LOST = """Encrypted, they are opened only by {what}.
If it is lost, they are lost: the list, who was mailed and who must not be. Nobody can bring them back, we neither."""
DISK = (
    "What lay there readable until now may still be found in parts on the disk, in a backup or in a cloud service; encrypt the"
    " disk as well."
)

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[LIST]...", help="Lists; without any, the ledger.", show_default=False),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def encrypt(
    lists: FilesArgument = None,
    *,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Use a passphrase that you choose, instead of a key in the keyring.")
    ] = False,
    save_key: Annotated[
        Path | None, typer.Option("--save-key", metavar="FILE", help="Save the key to this file, in another place.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete the readable lists when they are encrypted.")
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encrypt the ledger, or lists, so that nobody reads them without the key.

    A list becomes LIST.age, which every command takes in its place. The key is made once and kept in the system keyring. Save it
    in a safe place as well: without it nothing can be read again.

    \b
    Example:
      mailer encrypt --save-key /media/usb/mailer-key.txt
      mailer encrypt contacts/members.xlsx --remove
    """  # noqa: D301
    settings = settings_here()
    if not lists:
        file_of(settings)
    if save_key:
        refuse_key_file(save_key)
    for path in lists or []:
        refuse_as_list(path)
    secret, made = chosen(settings, passphrase=passphrase, yes=yes, save_key=save_key)
    done = [encrypt_list(path, secret, remove=remove) for path in lists] if lists else encrypt_ledger(settings, secret)
    if as_json:
        console.emit({"encrypted": [str(path) for path in done], "key_file": save_key and str(save_key)})
    for path in done:
        tell(f"Encrypted: {path}", as_json=as_json)
    if not done:
        tell("The ledger is encrypted already.", as_json=as_json)
    elif not lists or remove:
        console.note(DISK)
    show_key(secret, made=made, save_key=save_key)
    show_readable([] if remove else lists or [], whole_folder=not lists)


def decrypt(
    lists: FilesArgument = None,
    *,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write the one list.")] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the ledger, or lists, readable for everybody again.

    A list is written beside its encrypted file, say to correct it in a spreadsheet. Encrypt it again afterwards: mailer encrypt
    LIST --remove

    \b
    Example:
      mailer decrypt contacts/members.xlsx.age
    """  # noqa: D301
    if out and len(lists or []) != 1:
        raise UsageError("--out names the file for one list.", hint="mailer decrypt LIST.age --out FILE")
    if lists:
        done = [decrypt_list(path, out or age.plain_name(path)) for path in lists]
    else:
        done = decrypt_ledger(settings_here(), yes=yes)
    if as_json:
        console.emit({"decrypted": [str(path) for path in done]})
    for path in done:
        tell(f"Readable for everybody who has this folder: {path}", as_json=as_json)
    if not done:
        tell("The ledger is not encrypted.", as_json=as_json)


def tell(text: str, *, as_json: bool) -> None:
    """A result, for people."""
    if not as_json:
        console.say(text)


# -- the key


def chosen(settings: Settings, *, passphrase: bool, yes: bool, save_key: Path | None) -> tuple[str, bool]:
    """What to encrypt with: what opens the ledger, if that is encrypted; else as set, as typed, as kept, or a new key.

    And whether it was made now. Raises SettingsError, LockedError, UsageError.
    """
    from mailer.ledger import cipher  # noqa: PLC0415

    if needed := cipher.opener(settings.ledger_place):
        secret = secret_of(settings, needed)
        open_ledger(settings, create=False).close()  # is it the right one?
        return secret, False
    if settings.passphrase:
        warn_of_loss("what MAILER_PASSPHRASE says", yes=True)
        return long_enough(settings.passphrase.get_secret_value()), False
    if passphrase:
        warn_of_loss("the passphrase", yes=yes)
        return typed_twice(), False
    if settings.kept_key:
        warn_of_loss("the key in this computer's keyring", yes=True)
        return settings.kept_key, False
    warn_of_loss("the key that is made now", yes=yes)
    return made_key(save_key), True


def warn_of_loss(what: str, *, yes: bool) -> None:
    """Say what it means to lose it, and have it confirmed. Raises UsageError."""
    console.note(LOST.format(what=what))
    if not yes:
        have_typed(
            "yes", "Type yes to encrypt", nobody="Nobody is there to confirm.", otherwise="Nothing was encrypted."
        )


def typed_twice() -> str:
    """A new passphrase. Raises UsageError if it is too short, or mistyped."""
    first = long_enough(asked("New passphrase: "))
    if asked("The same once more: ") != first:
        raise UsageError("The two are not the same. Nothing was encrypted.", hint="run the same command again")
    return first


def long_enough(secret: str) -> str:
    """Raises UsageError for a passphrase that is soon guessed."""
    if len(secret) < SHORTEST:
        raise UsageError(
            f"The passphrase has fewer than {SHORTEST} characters. Nothing was encrypted.",
            hint="take four or five words that have nothing to do with each other",
        )
    return secret


def made_key(save_key: Path | None) -> str:
    """A new key, kept in the keyring or in a file before anything is encrypted with it. Raises SettingsError, UsageError."""
    from mailer.settings import passwords  # noqa: PLC0415

    key = age.new_key()
    if save_key:
        write_key(save_key, key)
    if passwords.keep_key(key):
        return key
    if save_key is None:
        raise SettingsError(
            "This computer has no keyring that would keep the key. Nothing was encrypted.",
            hint="choose a passphrase: mailer encrypt --passphrase\n"
            "      or keep the key in a file elsewhere: mailer encrypt --save-key FILE",
        )
    console.warn("This computer has no keyring: from now on the commands need to know where the key is.")
    console.note(f"  set MAILER_PASSPHRASE_FILE to {save_key.resolve()}, in the environment or in .env")
    return key


def refuse_key_file(path: Path) -> None:
    """Raise UsageError for a key beside what it opens, or in the place of another file."""
    if is_beside(path):
        raise UsageError(
            "The key would lie in the folder that it is to protect. Nothing was encrypted.",
            hint=f"name a place outside of it, say on a memory stick: {quoted(Path('..') / path.name)}",
        )
    if path.exists():
        raise UsageError(f"{path} is already there. Nothing was changed.", hint="Choose another name.")


def write_key(path: Path, key: str) -> None:
    """Raises UsageError if it cannot be written."""
    try:
        write_new(
            path,
            f"# The key of encrypted mailer ledgers and lists. Keep it safe, and not beside them.\n{key}\n".encode(),
        )
    except OSError as error:
        why = error.strerror or "it cannot be written"
        raise UsageError(
            f"{path} cannot be written: {why}. Nothing was encrypted.", hint="Choose another place."
        ) from error


def show_key(secret: str, *, made: bool, save_key: Path | None) -> None:
    """A new key, once; or where it was saved."""
    if save_key:
        if not made:
            write_key(save_key, secret)
        console.note(f"The key is in {save_key}. Keep it where the encrypted files are not.")
    elif made:
        console.note("The key, which this computer's keyring keeps. Write it down, or save it in a password manager:")
        console.note(f"  {secret}")
        console.note("To use it on another computer, put it into a file, and set MAILER_PASSPHRASE_FILE to that.")


# -- the ledger


def file_of(settings: Settings) -> Path:
    """The ledger's file. Raises UsageError for a ledger that is in none."""
    place = settings.ledger_place
    if isinstance(place, Server):
        raise UsageError(
            "The ledger is on PostgreSQL, and mailer encrypts only one in a file. Nothing was changed.",
            hint="have the server's disk encrypted, and its backups; lists can be encrypted: mailer encrypt LIST",
        )
    return place


def encrypt_ledger(settings: Settings, secret: str) -> list[Path]:
    """Its path; none if it was encrypted already."""
    from mailer.ledger import Ledger, cipher  # noqa: PLC0415
    from mailer.ledger.conversion import convert  # noqa: PLC0415

    path = file_of(settings)
    if cipher.opener(path):
        return []
    key = cipher.new_key(secret)
    if path.is_file() and path.stat().st_size:
        convert(path, old=None, new=key)
    else:
        Ledger(path, key=key).close()
    return [path]


def decrypt_ledger(settings: Settings, *, yes: bool) -> list[Path]:
    """Its path; none if it was not encrypted."""
    from mailer.ledger.conversion import convert  # noqa: PLC0415

    path = file_of(settings)
    key = ledger_key(settings)
    if key is None:
        return []
    if not yes:
        console.note("Everybody who has this folder will be able to read whom you mail.")
        have_typed(
            "yes", "Type yes to decrypt", nobody="Nobody is there to confirm.", otherwise="Nothing was decrypted."
        )
    convert(path, old=key, new=None)
    return [path]


# -- lists


def refuse_as_list(path: Path) -> None:
    """Raises ListError for what is encrypted already, or is not there."""
    if not path.is_file():
        raise ListError(f"{path} does not exist.", hint="Check the name and the folder you are in.")
    if age.opener(path.read_bytes()[:400]):
        raise ListError(f"{path} is encrypted already. Nothing was changed.", hint=f"mailer check {quoted(path)}")


def encrypt_list(path: Path, secret: str, *, remove: bool) -> Path:
    """Write LIST.age, over an earlier one that the same secret opens. Raises ListError, LockedError."""
    target = path.with_name(path.name + age.SUFFIX)
    try:
        if target.exists():
            refuse_strange(target, secret)
        content = age.encrypt(path.read_bytes(), secret)
        building = target.with_name(f"{target.name}.new")
        building.unlink(missing_ok=True)
        write_new(building, content)
        building.replace(target)
        if remove:
            erase(path)
    except OSError as error:
        raise ListError(f"{path} cannot be encrypted: {error.strerror}.", hint="Close it in other programs.") from error
    return target


def refuse_strange(target: Path, secret: str) -> None:
    """Raise ListError for a file that is not an earlier version of the same list: nobody else's is replaced."""
    data = target.read_bytes()
    with suppress(LockedError):
        if age.opener(data):
            age.decrypt(data, lambda _: secret)
            return
    raise ListError(
        f"{target} is already there, and your key does not open it. Nothing was changed.",
        hint="move it away, then run the same command again",
    )


def decrypt_list(path: Path, target: Path) -> Path:
    """Write what an encrypted list holds, where no file is yet. Raises ListError, LockedError."""
    from mailer.contacts.opening import content  # noqa: PLC0415

    if target == path:
        raise ListError(f"{path} has not the ending .age.", hint=f"mailer decrypt {quoted(path)} --out FILE")
    if target.exists():
        raise ListError(f"{target} is already there. Nothing was changed.", hint="move it away, or use --out FILE")
    data = content(path, unlocking())
    try:
        write_new(target, data)
    except OSError as error:
        raise ListError(f"{target} cannot be written: {error.strerror}.", hint="Choose another place.") from error
    return target


def show_readable(lists: list[Path], *, whole_folder: bool) -> None:
    """What is still there to be read beside what is encrypted now."""
    left = lists
    if whole_folder:
        found = (path for path in Path().rglob("*") if path.suffix.lower() in LISTS and not hidden(path))
        left = sorted({path.parent if path.suffix.lower() == ".eml" else path for path in found})
    if not left:
        return
    console.note("Still readable for everybody who has this folder:")
    for path in left[:SHOWN]:
        console.note(f"  {path}")
    if len(left) > SHOWN:
        console.note(f"  and {len(left) - SHOWN} more")
    if any(path.suffix.lower() in LISTS for path in left):
        console.note("To encrypt a list and delete the readable one: mailer encrypt LIST --remove")


def hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


# -- files


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, for its owner only, and have it on the disk before anything else goes."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def erase(path: Path) -> None:
    """Overwrite and delete a file."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
