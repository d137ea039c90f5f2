"""Files that come from the browser: each the body of a request, its name in a header, kept under a name that is safe everywhere."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mailer.errors import UsageError
from mailer.web.journey.words import gettext as _

Kept = TypeVar("Kept")

LONGEST = 180
"""Octets of a name: with what is put behind a corrected list's it is below 255."""


def plain_name(request: Request) -> Path:
    """The name that the browser gave, without folders, and without what some computer would refuse or take for more than a name."""
    given = unquote(request.headers.get("x-filename", ""))
    plain = re.split(r"[/\\]", given)[-1]
    return Path(short(re.sub(r"[^\w .()+-]", "_", plain).strip(" .")))


def short(name: str) -> str:
    """The beginning of a name that is long, and its end, which says what it is. File systems count octets."""
    begun, kind = re.fullmatch(r"(.*?)((?:\.\w{1,8}){0,2})", name, re.DOTALL).groups()  # type: ignore[union-attr]  # it always does
    room = LONGEST - len(kind.encode())
    return name if len(begun.encode()) <= room else begun.encode()[:room].decode(errors="ignore").rstrip(" .") + kind


async def received(request: Request, place: Path, largest: int, keep: Callable[[Path], Kept]) -> Kept:
    """What `keep` makes of the file, which is gone afterwards unless it was moved. Raises UsageError."""
    try:
        place.mkdir(exist_ok=True)  # noqa: ASYNC240 - one call, and nobody waits for it
        part = place / f".upload-{os.urandom(8).hex()}"
        try:
            await _written(request, part, largest)
            return await run_in_threadpool(keep, part)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            _("The file cannot be kept: {reason}.").format(reason=error.strerror), hint=_("Make room on the disk.")
        ) from error


async def _written(request: Request, part: Path, largest: int) -> None:
    size = 0
    with part.open("xb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > largest:
                raise UsageError(
                    _("The file is larger than {limit} MB.").format(limit=largest // 1_000_000),
                    hint=_("Make it smaller in the program it came from."),
                )
            file.write(chunk)
    if not size:
        raise UsageError(_("The file is empty."), hint=_("Save it once more in the program it came from."))


def same_content(one: Path, other: Path) -> bool:
    return other.is_file() and other.stat().st_size == one.stat().st_size and other.read_bytes() == one.read_bytes()


def settled(part: Path, wanted: Path) -> Path:
    """Give it its name; another one where that is taken by a file with other contents."""
    target, number = wanted, 1
    while target.exists() or target.is_symlink():
        if same_content(part, target):
            return target
        number += 1
        target = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    part.rename(target)
    return target


def is_taken(part: Path, wanted: Path) -> bool:
    """Whether another file has its name, with other contents."""
    return (wanted.exists() or wanted.is_symlink()) and not same_content(part, wanted)


def replaced(part: Path, wanted: Path) -> Path:
    """Put it in the place of the file that has its name, which is kept beside it under a name that is no list's."""
    if not is_taken(part, wanted):
        return settled(part, wanted)
    if wanted.is_symlink() or not wanted.is_file():
        raise UsageError(
            _("{name} is no ordinary file, so it was not replaced.").format(name=wanted.name),
            hint=_("Keep both, or rename your file."),
        )
    shutil.copy2(wanted, backup_of(wanted))
    part.replace(wanted)
    return wanted


def backup_of(wanted: Path) -> Path:
    """A name for the old one that nothing has."""
    numbers = ("", *(f".{number}" for number in range(2, 10_000)))
    names = (wanted.with_name(f"{wanted.name}{number}.bak") for number in numbers)
    return next(name for name in names if not name.exists() and not name.is_symlink())
