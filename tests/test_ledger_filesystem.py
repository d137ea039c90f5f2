"""A ledger on another computer's disk is refused, one in a synced folder warned about; anything else is let through."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import CampaignError
from mailer.ledger import Ledger, filesystem
from mailer.ledger.filesystem import from_mount_output, from_mountinfo, is_unc, mount_of, synced_by, synced_warning
from mailer.model import Severity

MOUNTINFO = r"""22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
31 28 0:27 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64
96 28 259:1 / /boot/efi rw,relatime shared:49 - vfat /dev/nvme0n1p1 rw,fmask=0077,dmask=0077
101 28 0:45 / /home/union rw,relatime shared:55 - autofs /etc/auto.home rw,fd=6,pgrp=1,timeout=300
102 101 0:51 / /home/union rw,relatime shared:56 - nfs4 files.example.org:/export/union rw,vers=4.2,hard,proto=tcp
103 28 0:52 / /mnt/nas rw,relatime shared:57 - cifs //nas.example.org/office rw,vers=3.1.1,username=ana
104 28 0:53 / /mnt/My\040Share rw,relatime - smb3 //nas.example.org/my\040share rw
105 28 0:54 / /home/ana/remote rw,nosuid,nodev,relatime - fuse.sshfs ana@host.example.org:/home/ana rw,user_id=1000
106 28 0:55 / /home/ana/dav rw,nosuid,nodev,relatime - fuse https://cloud.example.org/dav/ rw,user_id=1000
107 28 0:56 / /media/stick rw,nosuid,nodev,relatime - fuseblk /dev/sdb1 rw,user_id=0
108 28 0:57 / /home/ana/vault rw,nosuid,nodev,relatime - fuse.gocryptfs /home/ana/.vault rw,user_id=1000
109 28 0:58 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs;path=C:\;uid=1000
110 103 259:3 / /mnt/nas/local rw,relatime - xfs /dev/sdc1 rw
111 28 0:59 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw,lowerdir=/a,upperdir=/b
112 28 0:60 / /srv/new rw,relatime - somethingfs none rw
"""

MACOS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//ana@nas._smb._tcp.local/office on /Volumes/office (smbfs, nodev, nosuid, mounted by ana)
files.example.org:/export on /Volumes/union files (nfs, nodev, nosuid, mounted by ana)
ana@host.example.org:/home/ana on /Volumes/far (macfuse, nodev, nosuid, synchronous, mounted by ana)
https://dav.example.org/ on /Volumes/dav (webdav, nodev, noexec, nosuid, mounted by ana)
/dev/disk4s1 on /Volumes/STICK (1) (msdos, local, nodev, nosuid, noowners)
"""


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/home/ana/campaign", "ext4", False),
        ("/dev/shm", "tmpfs", False),
        ("/home/union/campaign", "nfs4", True),
        ("/home/unions", "ext4", False),
        ("/mnt/nas/a/b", "cifs", True),
        ("/mnt/nas/local/a", "xfs", False),
        ("/mnt/My Share", "smb3", True),
        ("/home/ana/remote/x", "fuse.sshfs", True),
        ("/home/ana/dav", "fuse", True),
        ("/media/stick", "fuseblk", False),
        ("/home/ana/vault", "fuse.gocryptfs", False),
        ("/mnt/c/Users", "9p", True),
        ("/var/lib/docker/overlay2/1/merged/x", "overlay", False),
        ("/srv/new", "somethingfs", False),
    ],
)
def test_linux_tells_what_a_folder_is_on(path, kind, remote):
    mount = mount_of(path, from_mountinfo(MOUNTINFO))
    assert mount is not None
    assert (mount.kind, mount.remote) == (kind, remote)


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/Users/ana/campaign", "apfs", False),
        ("/System/Volumes/Data/Users/ana", "apfs", False),
        ("/Volumes/office/campaign", "smbfs", True),
        ("/Volumes/union files/x", "nfs", True),
        ("/Volumes/far", "macfuse", True),
        ("/Volumes/dav", "webdav", True),
        ("/Volumes/STICK (1)/x", "msdos", False),
    ],
)
def test_macos_tells_what_a_folder_is_on(path, kind, remote):
    mount = mount_of(path, from_mount_output(MACOS))
    assert mount is not None
    assert (mount.kind, mount.remote) == (kind, remote)


def test_a_machine_that_has_nothing_but_9p_may_keep_its_ledger_there():
    mount = mount_of("/home/ana", from_mountinfo("1 0 0:1 / / rw - 9p none rw\n"))
    assert mount is not None
    assert not mount.remote


@pytest.mark.parametrize(
    ("path", "unc"),
    [
        (r"\\server\share\mailer.db", True),
        ("//server/share/mailer.db", True),
        (r"\\?\UNC\server\share\mailer.db", True),
        (r"\\wsl$\Debian\home", True),
        (r"\\?\C:\campaign\mailer.db", False),
        (r"\\.\C:\campaign", False),
        (r"C:\campaign\mailer.db", False),
        ("mailer.db", False),
        ("", False),
    ],
)
def test_a_shared_folder_of_windows_is_known_by_its_path(path, unc):
    assert is_unc(path) is unc


@given(st.text(), st.text())
def test_what_cannot_be_read_is_never_an_error(table, path):
    for mounts in (from_mountinfo(table), from_mount_output(table)):
        mount_of(path, mounts)
    is_unc(path)
    synced_by(PurePosixPath(path.replace("\x00", "")))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has mountinfo")
def test_a_ledger_on_a_network_drive_is_refused_in_plain_words(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    ext4 = "28 1 259:2 / / rw - ext4 /dev/sda1 rw\n"
    monkeypatch.setattr(filesystem, "MOUNTINFO", table)
    table.write_text(ext4, encoding="utf-8")
    Ledger(tmp_path / "mailer.db").close()
    escaped = str(tmp_path).replace(" ", r"\040")
    table.write_text(f"{ext4}99 28 0:51 / {escaped} rw - nfs4 files.example.org:/x rw\n", encoding="utf-8")
    for name in ("mailer.db", "new.db"):
        with pytest.raises(CampaignError) as caught:
            Ledger(tmp_path / name)
        assert caught.value.exit_code == 2
        assert "network drive (nfs4)" in caught.value.message
        assert "MAILER_LEDGER" in (caught.value.hint or "")
    assert not (tmp_path / "new.db").exists()
    table.unlink()
    Ledger(tmp_path / "mailer.db").close()


@pytest.mark.parametrize(
    ("path", "service"),
    [
        (PureWindowsPath(r"C:\Users\ana\OneDrive - Union of Bakers\campaign\mailer.db"), "OneDrive"),
        (PureWindowsPath(r"C:\Users\ana\iCloudDrive\mailer.db"), "iCloud"),
        (PurePosixPath("/Users/ana/Library/Mobile Documents/com~apple~CloudDocs/mailer.db"), "iCloud"),
        (PurePosixPath("/Users/ana/Library/CloudStorage/Something/mailer.db"), "a cloud service"),
        (PurePosixPath("/home/ana/Dropbox/mailer.db"), "Dropbox"),
        (PurePosixPath("/home/ana/Dropbox (Union)/x/mailer.db"), "Dropbox"),
        (PurePosixPath("/home/ana/Nextcloud2/mailer.db"), "Nextcloud"),
        (PureWindowsPath(r"G:\My Drive\mailer.db"), "Google Drive"),
        (PurePosixPath("/home/ana/campaign/Dropbox"), None),
        (PurePosixPath("/home/ana/dropbox-leaflets/mailer.db"), None),
        (PurePosixPath("mailer.db"), None),
    ],
)
def test_a_folder_that_is_copied_elsewhere_is_known_by_its_name(path, service):
    assert synced_by(path) == service


def test_a_ledger_in_a_synced_folder_is_warned_about(tmp_path: Path):
    assert synced_warning(tmp_path / "mailer.db") is None
    problem = synced_warning(tmp_path / "Dropbox" / "mailer.db")
    assert problem is not None
    assert problem.severity is Severity.WARNING
    assert "Dropbox" in problem.message


def test_a_commit_reaches_the_disk_itself_on_macos(tmp_path: Path):
    with Ledger(tmp_path / "mailer.db") as ledger:
        for pragma in ("fullfsync", "checkpoint_fullfsync"):
            assert ledger._db.execute(f"PRAGMA {pragma}").fetchone() == (1,)
