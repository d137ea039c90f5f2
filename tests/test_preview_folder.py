"""A preview that cannot be written says why: no room, a disk that is read-only, or a file in use."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from journey import Journey, people

from mailer.errors import Refused
from mailer.preview.folder import replaced
from mailer.report.table import replacing

FULL = "the disk, or your share of it, is full."
READ_ONLY = "that disk is read-only."

# A disk of its own for one program, which no other sees: it needs no rights beyond a user's where that is allowed.
MOUNTED = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


TRIED = "mount -t tmpfs tmpfs /mnt"


class OnWindows(OSError):
    """An error as Windows numbers it."""

    def __init__(self, number: int, winerror: int, words: str) -> None:
        super().__init__(number, words)
        self.winerror = winerror


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL, "Make room there"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), FULL, "Make room there"),
        (OnWindows(errno.EINVAL, 39, "The disk is full"), FULL, "Make room there"),
        (OnWindows(errno.ENOSPC, 112, "There is not enough space on the disk"), FULL, "Make room there"),
        (OSError(errno.EROFS, "Read-only file system"), READ_ONLY, "Choose a folder on another disk"),
        (OnWindows(errno.EACCES, 19, "The media is write protected"), READ_ONLY, "Choose a folder on another disk"),
        (
            OnWindows(errno.EACCES, 32, "It is used by another process"),
            "used by another process.",
            "Close what is open",
        ),
    ],
)
def test_the_reason_and_the_way_out_fit_the_error(tmp_path: Path, error: OSError, reason: str, hint: str) -> None:
    with pytest.raises(Refused) as refused, replaced(tmp_path / "preview"):
        raise error
    assert refused.value.message.endswith(reason)
    assert refused.value.hint
    assert refused.value.hint.startswith(hint)
    assert list(tmp_path.iterdir()) == []


def can_mount() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*MOUNTED, TRIED], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no disk can be mounted here")
@pytest.mark.parametrize(
    ("options", "reason", "hint"),
    [
        ("size=64k", FULL, "Hint: Make room there, or choose a folder on another disk with --out."),
        ("ro", READ_ONLY, "Hint: Choose a folder on another disk with --out."),
    ],
)
def test_a_disk_without_room_or_read_only_is_told_from_a_file_in_use(
    tmp_path: Path, options: str, reason: str, hint: str
) -> None:
    journey = Journey(tmp_path / "my campaign", port=9, rows=people(40))
    (journey.folder / "disk").mkdir()
    preview = f'"{sys.executable}" -m mailer preview appeal list.csv --out disk/preview'
    done = subprocess.run(
        [*MOUNTED, f"mount -t tmpfs -o {options} tmpfs disk && exec {preview}"],
        cwd=journey.folder,
        env=journey.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"The preview cannot be written to disk/preview: {reason}", hint]


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL, "Make room there, then run the same command again"),
        (OSError(errno.EROFS, "Read-only file system"), READ_ONLY, "Name a file on another disk"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied.", "Close the file"),
    ],
)
def test_a_report_says_as_well_why_it_cannot_be_written(tmp_path: Path, error: OSError, reason: str, hint: str) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(Refused) as refused, replacing(path, encoding="utf-8", newline="\n"):
        raise error
    assert refused.value.message == f"The report cannot be written to {path}: {reason}"
    assert str(refused.value.hint).startswith(hint)
    assert list(tmp_path.iterdir()) == []
