"""Opens the file of a list, or says in plain words why it cannot be read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mailer import age
from mailer.age import Unlock
from mailer.contacts.sniff import FORMATS
from mailer.errors import ListError, LockedError, quoted


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal. Raises ListError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def content(path: Path, unlock: Unlock) -> bytes:
    """The file's bytes, of an encrypted one (age) what is in it. Raises ListError if it cannot be read, LockedError."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if age.opener(data) is None:
        if path.suffix.lower() == age.SUFFIX:
            raise ListError(f"{path} is not encrypted, or it is damaged.", hint="take the ending .age from its name")
        return data
    try:
        return age.decrypt(data, unlock)
    except LockedError as error:
        raise LockedError(f"{path}: {error.message}", hint=error.hint) from error


def _unreadable(path: Path, error: OSError | ValueError) -> ListError:
    if path.is_dir() and path.suffix.lower() == ".numbers":
        return ListError(f"{path} is an Apple Numbers file.", hint="In Numbers choose File, Export To, CSV or Excel.")
    if path.is_dir():
        return ListError(f"{path} is a folder, not a list.", hint=f"Name a file in it. Lists are {FORMATS} files.")
    if "\\" in str(path) and (meant := Path(str(path).replace("\\", "/"))).exists():
        return ListError(f"{path} does not exist.", hint=f"Write / instead of \\: {quoted(meant)}")
    if isinstance(error, FileNotFoundError):
        return ListError(f"{path} does not exist.", hint="Check the name and the folder you are in.")
    why = getattr(error, "strerror", None) or "its name is not a file name"
    return ListError(f"{path} cannot be read: {why}.", hint="Close it in other programs and check who may read it.")
