"""Whether a file lies on this computer's own disk: a ledger on a network drive or in a synced folder can be lost.

SQLite's locks and its shared memory hold on one computer only: two senders on two computers would each believe that they
alone have the campaign (https://www.sqlite.org/wal.html). What cannot be told is allowed.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from mailer.errors import CampaignError
from mailer.model import LedgerPlace, Problem, Severity, said

PLATFORM: str = sys.platform
MOUNTINFO = Path("/proc/self/mountinfo")
DRIVE_REMOTE = 4
"""What GetDriveTypeW answers for a network drive."""

NETWORK = re.compile(
    r"nfs[34]?|cifs|smb[23]?|smbfs|ncpfs|afs|afpfs|auristorfs|coda|9p|ceph|glusterfs|lustre|gpfs|beegfs|pvfs2|orangefs|"
    r"ocfs2|gfs2?|webdav|davfs2?|ftp|vboxsf|vmhgfs|fuse\.(sshfs|rclone|davfs2?|gvfsd-fuse|gvfs-fuse-daemon|smbnetfs|"
    r"curlftpfs|s3fs|goofys|gcsfuse|blobfuse2?|glusterfs|ceph|cephfs|lizardfs|mfs|moosefs|juicefs|seaweedfs|"
    r"vmhgfs-fuse|onedriver|google-drive-ocamlfuse|kio-fuse)"
)
ELSEWHERE = re.compile(r"(https?|ftps?|sftp|davs?|smb)://|//|[^/:\s]+:(/|$)")
"""A mount's source that names another computer; FUSE file systems often say no more of themselves."""

SYNCED = (
    (re.compile(r"onedrive( - .*)?"), "OneDrive"),
    (re.compile(r"dropbox( \(.*\))?"), "Dropbox"),
    (re.compile(r"icloud ?drive|mobile documents|com~apple~clouddocs"), "iCloud"),
    (re.compile(r"nextcloud\d*|owncloud\d*"), "Nextcloud"),
    (re.compile(r"google ?drive(-.*)?|my drive"), "Google Drive"),
    (re.compile(r"cloudstorage|pclouddrive|pcloud drive|box sync|megasync|seadrive|magentacloud"), "a cloud service"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """Where a file system begins, its kind and where it comes from."""

    point: str
    kind: str
    source: str

    @property
    def remote(self) -> bool:
        # a sandbox may have nothing but 9p; whoever is in it has no other disk to go to
        if self.kind == "9p" and self.point == "/":
            return False
        is_fuse = self.kind.startswith(("fuse", "macfuse", "osxfuse"))
        return NETWORK.fullmatch(self.kind) is not None or (is_fuse and ELSEWHERE.match(self.source) is not None)


def from_mountinfo(text: str) -> list[Mount]:
    """Read Linux's /proc/self/mountinfo (proc(5)); lines that do not fit are left out."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if separator and len(fields) > 4 and rest:
            source = _unescaped(rest[1]) if len(rest) > 1 else ""
            mounts.append(Mount(point=_unescaped(fields[4]), kind=rest[0], source=source))
    return mounts


def from_mount_output(text: str) -> list[Mount]:
    """Read what `mount` prints on macOS: `source on /point (kind, option, ...)`."""
    found = (re.fullmatch(r"(.*) on (/.*) \(([^(),]+)[^()]*\)", line) for line in text.splitlines())
    return [Mount(point=match[2], kind=match[3].strip(), source=match[1]) for match in found if match]


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The file system that an absolute path is on: the longest mount point above it, the last of the same."""
    parts, best = PurePosixPath(path).parts, None
    for mount in mounts:
        point = PurePosixPath(mount.point).parts
        if parts[: len(point)] == point and (best is None or len(point) >= len(PurePosixPath(best.point).parts)):
            best = mount
    return best


def is_unc(path: str) -> bool:
    r"""Whether a Windows path names another computer: `\\server\share`, but not `\\?\C:\` or `\\.\`."""
    text = path.replace("/", "\\")
    if text[:8].upper() == "\\\\?\\UNC\\":
        return True
    return text.startswith("\\\\") and text[2:4] not in {"?\\", ".\\"}


def refuse_network(path: Path) -> None:
    """Raises CampaignError if a ledger would lie on another computer's disk."""
    kind = _network_kind(path)
    if kind is None:
        return
    raise CampaignError(
        said(
            "The ledger {path} lies on a network drive ({kind}). There it cannot be kept safe that "
            "nobody is mailed twice.",
            path=path,
            kind=kind,
        ),
        hint=said(
            "set MAILER_LEDGER to a file on this computer's own disk, e.g. sqlite:///{file}; "
            "if the campaign has begun, move the ledger there first, with nothing running",
            file=_own_disk(path),
        ),
    )


def lies_elsewhere(path: Path) -> bool:
    """Whether a file is on another computer's disk, as far as can be told."""
    return _network_kind(path) is not None


def _own_disk(path: Path) -> str:
    return (Path.home() / path.name).as_posix()


def _network_kind(path: Path) -> str | None:
    try:
        folder = path.resolve().parent
        folder.exists()  # an automatic mount is only made when somebody looks
        if PLATFORM == "win32":
            return _windows_kind(folder)
        mounts = _mounts()
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError):
        return None
    mount = mount_of(folder.as_posix(), mounts)
    return mount.kind if mount and mount.remote else None


def _mounts() -> list[Mount]:
    if PLATFORM == "darwin":
        done = subprocess.run(["/sbin/mount"], capture_output=True, timeout=5, check=True)
        return from_mount_output(done.stdout.decode("utf-8", "replace"))
    return from_mountinfo(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))


def _windows_kind(folder: Path) -> str | None:
    if is_unc(str(folder)):
        return "a shared folder"
    windows = getattr(ctypes, "windll", None)  # exists on Windows only
    if windows is None or not folder.drive:
        return None
    return "a network drive" if windows.kernel32.GetDriveTypeW(f"{folder.drive}\\") == DRIVE_REMOTE else None


def _unescaped(text: str) -> str:
    """Spaces, tabs, line ends and backslashes stand as octal numbers there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def synced_by(path: PurePath) -> str | None:
    """The service that copies the path's folder to other computers, by the name of the folder; None if none is known."""
    folded = [part.casefold() for part in path.parent.parts]
    return next((name for part in folded for pattern, name in SYNCED if pattern.fullmatch(part)), None)


def synced_warning(path: LedgerPlace) -> Problem | None:
    """What to tell about a ledger in a folder that is copied to other computers while it is written."""
    if not isinstance(path, Path):
        return None
    service = synced_by(path.resolve())
    if service is None:
        return None
    return Problem(
        code="synced-ledger",
        message=said(
            "The ledger lies in a folder that {service} copies to other computers. A copy made in "
            "the middle of a campaign may be damaged, and two computers could mail the same people.",
            service=service,
        ),
        file=str(path),
        hint=said(
            "Set MAILER_LEDGER to a file outside of it, e.g. sqlite:///{file}; move it with nothing running.",
            file=_own_disk(path),
        ),
        severity=Severity.WARNING,
    )
