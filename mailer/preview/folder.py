"""The folder of a gallery: built beside its place and moved there whole, so that no page of an earlier one remains."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailer.disk import Cause, cause_of, reason_of
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
        sentence = said("The preview cannot be written to {out}: {reason}.", out=out, reason=reason_of(error))
        raise Refused(sentence, hint=WAYS_OUT[cause_of(error)]) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


WAYS_OUT = {
    Cause.FULL: said("Make room there, or choose a folder on another disk with --out."),
    Cause.READ_ONLY: said("Choose a folder on another disk with --out."),
    Cause.OTHER: said("Close what is open from an earlier preview, or choose another folder with --out."),
}


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
