"""The folder of a gallery: built beside its place and moved there whole, so that no page of an earlier one remains."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailer.errors import Refused
from mailer.harmless import is_device
from mailer.model import said

MARKER = ".mailer-preview"
MARKER_TEXT = "A preview written by mailer. This folder is replaced by the next preview.\n"


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give an empty folder to write into; when the block ends well it takes the place of `out`.

    If the block fails, `out` stays as it was. Raises Refused if `out` holds anything but an earlier preview.
    """
    place = out.resolve()
    _refuse_unless_free(place, out)
    building = place.with_name(f".{place.name}.{secrets.token_hex(4)}.new")
    try:
        building.mkdir(parents=True)
        (building / MARKER).write_text(MARKER_TEXT, encoding="utf-8", newline="\n")
        yield building
        _move(building, place)
    except OSError as error:
        reason, hint = _in_words(error)
        raise Refused(
            said("The preview cannot be written to {out}: {reason}.", out=out, reason=reason), hint=hint
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
FULL_WINDOWS = frozenset({39, 112, 1295})
"""ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL and ERROR_DISK_QUOTA_EXCEEDED; Python has an errno for the second only."""

READ_ONLY_WINDOWS = 19
"""ERROR_WRITE_PROTECT"""


def _in_words(error: OSError) -> tuple[str, str]:
    """The reason, and the way out."""
    windows = getattr(error, "winerror", None)
    if error.errno in FULL or windows in FULL_WINDOWS:
        return (
            "the disk, or your share of it, is full",
            "Make room there, or choose a folder on another disk with --out.",
        )
    if error.errno == errno.EROFS or windows == READ_ONLY_WINDOWS:
        return "that disk is read-only", "Choose a folder on another disk with --out."
    words = error.strerror or str(error)
    return words, "Close what is open from an earlier preview, or choose another folder with --out."


def _refuse_unless_free(place: Path, out: Path) -> None:
    if not place.exists():
        return
    if not place.is_dir():
        raise Refused(
            said("{out} is a file; the preview needs a folder.", out=out), hint="Choose another name with --out."
        )
    if (place / MARKER).is_file() or not any(place.iterdir()):
        return
    raise Refused(
        said("The folder {out} is not empty and holds no earlier preview, so it is left alone.", out=out),
        hint="Choose another folder with --out.",
    )


def _move(building: Path, place: Path) -> None:
    if not place.exists():
        building.replace(place)
        return
    old = place.with_name(f"{building.name.removesuffix('.new')}.old")
    place.replace(old)
    try:
        building.replace(place)
    except OSError:
        old.replace(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def link_name(filename: str) -> str:
    """A name that is safe as a file's on every system, and that no browser runs when it is opened."""
    kept = "".join(char if char.isalnum() or char in "-_. " else "_" for char in os.path.basename(filename))  # noqa: PTH119
    stem, dot, suffix = kept.strip(" .").rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    stem = stem.strip(" .")[:80] or "file"
    if is_device(stem):
        stem = f"_{stem}"
    name = f"{stem}.{suffix[:12]}" if suffix else stem
    return name if suffix.lower() in INERT else f"{name}.download"


INERT = frozenset({
    "bmp", "csv", "doc", "docx", "gif", "ics", "jpeg", "jpg", "md", "odp", "ods", "odt", "pdf", "png", "ppt", "pptx",
    "rtf", "txt", "vcf", "webp", "xls", "xlsx", "zip",
})  # fmt: skip
