"""Opens the file of a list, or says in plain words why it cannot be read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mailer import age
from mailer.age import Unlock
from mailer.contacts.sniff import FORMATS
from mailer.errors import ListError, LockedError, quoted
from mailer.model import as_said, said

OPEN_ELSEWHERE = "~$"
"""How a file is called in which Excel notes who has the list open; on Windows it cannot even be read."""


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal. Raises ListError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def content(path: Path, unlock: Unlock) -> bytes:
    """The file's bytes, of an encrypted one (age) what is in it. Raises ListError if it cannot be read, LockedError."""
    if path.name.startswith(OPEN_ELSEWHERE):
        raise ListError(
            said("{path} is no list: Excel keeps such a file beside one that is open.", path=path),
            hint=said(
                "Name the list itself, {name}, and save it in Excel before.",
                name=path.name.removeprefix(OPEN_ELSEWHERE),
            ),
        )
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if age.opener(data) is None:
        if path.suffix.lower() == age.SUFFIX:
            raise ListError(
                said("{path} is not encrypted, or it is damaged.", path=path), hint="take the ending .age from its name"
            )
        return data
    try:
        return age.decrypt(data, unlock)
    except LockedError as error:
        raise LockedError(
            said("{path}: {sentence}", path=path, sentence=as_said(error.message)), hint=error.hint
        ) from error


def _unreadable(path: Path, error: OSError | ValueError) -> ListError:
    if path.is_dir() and path.suffix.lower() == ".numbers":
        return ListError(
            said("{path} is an Apple Numbers file.", path=path), hint="In Numbers choose File, Export To, CSV or Excel."
        )
    if path.is_dir():
        return ListError(
            said("{path} is a folder, not a list.", path=path),
            hint=said("Name a file in it. Lists are {formats} files.", formats=FORMATS),
        )
    if "\\" in str(path) and (meant := Path(str(path).replace("\\", "/"))).exists():
        return ListError(
            said("{path} does not exist.", path=path), hint=said("Write / instead of \\: {meant}", meant=quoted(meant))
        )
    if isinstance(error, FileNotFoundError):
        return ListError(said("{path} does not exist.", path=path), hint="Check the name and the folder you are in.")
    why = getattr(error, "strerror", None) or said("its name is not a file name")
    return ListError(
        said("{path} cannot be read: {why}.", path=path, why=why),
        hint="Close it in other programs and check who may read it.",
    )
