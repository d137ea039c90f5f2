"""Exim and OpenSMTPD for tests, each in a root of its own: neither can be installed beside Postfix.

Their packages are unpacked, not installed (`dpkg -x`; see `.ci/run`), into `UNPACKED`; installed ones will do, too. A server
runs in a folder that holds the program, its libraries and its users, and nothing of this machine is touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import real_servers

UNPACKED = Path("/opt/mail-servers")
"""Where `.ci/run` unpacks the packages."""

SEARCH = os.pathsep.join([str(UNPACKED / "usr/sbin"), os.environ.get("PATH", ""), "/usr/sbin"])

EXIM_CONF = """\
primary_hostname = relay.test
spool_directory = /spool
log_file_path = /log/%slog
pid_file_path = /exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
host_lookup =
tls_advertise_hosts =
keep_environment =
queue_only = true
smtp_accept_max = 0
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny recipients = {refused}
       message = Unknown user
  accept
begin routers
nowhere:
  driver = redirect
  data = :blackhole:
"""

# What it takes stays in its queue, since nobody answers at the port of its relay.
SMTPD_CONF = """\
listen on 127.0.0.1 port {port} hostname relay.test
action "keep" relay host smtp://127.0.0.1:1
match from any for rcpt-to {{ {refused} }} reject
match from any for any action "keep"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooted:
    """A server whose queue can be looked into."""

    port: int
    queue: Path
    files: str
    recipient: re.Pattern[str]

    def received(self) -> Counter[str]:
        """For whom there are messages in the queue, and how many."""
        found: Counter[str] = Counter()
        for path in self.queue.rglob(self.files):
            if path.is_file():
                found.update(self.recipient.findall(path.read_text("utf-8", "replace")))
        return found


def require(program: str) -> None:
    real_servers.require(program, path=SEARCH)


def lay_out(root: Path, program: str, users: Sequence[str]) -> Path:
    """A root with a program, what it links to, and its users. Where the program is in there."""
    found = shutil.which(program, path=SEARCH)
    assert found, program
    libraries = os.pathsep.join(map(str, UNPACKED.glob("usr/lib/*")))
    listed = subprocess.run(
        ["ldd", found], env=os.environ | {"LD_LIBRARY_PATH": libraries}, capture_output=True, text=True, check=True
    ).stdout
    assert "not found" not in listed, listed
    inside = Path("/usr/sbin", program)
    # where the loader looks: those that are unpacked too lie where they would be installed
    linked = {
        path: Path("/", path.removeprefix(str(UNPACKED)).lstrip("/")) for path in re.findall(r"(/\S+) \(0x", listed)
    }
    copies = {found: inside, **linked}
    for path, at in copies.items():
        target = root / at.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name in ("etc", "dev", "tmp"):
        (root / name).mkdir()
    (root / "dev/null").touch()
    numbered = dict(enumerate(["root", *users]))
    passwd = [f"{name}:x:{number}:{number}::/:/bin/false\n" for number, name in numbered.items()]
    (root / "etc/passwd").write_text("".join(passwd), encoding="ascii")
    (root / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for number, name in numbered.items()), "ascii")
    (root / "etc/mailname").write_text("relay.test\n", encoding="ascii")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")
    return inside


@contextlib.contextmanager
def exim(root: Path, refused: Sequence[str]) -> Iterator[Rooted]:
    """Exim, which keeps all it takes in its spool and knows none of the `refused`."""
    port = real_servers.free_port()
    inside = lay_out(root, "exim4", ["Debian-exim"])
    for name in ("spool", "log"):
        (root / name).mkdir()
        os.chown(root / name, 1, 1)
    configuration = EXIM_CONF.format(port=port, refused=" : ".join(refused))
    (root / "etc/exim.conf").write_text(configuration, encoding="ascii")
    with real_servers.running(
        ["chroot", str(root), str(inside), "-C", "/etc/exim.conf", "-bdf"], log=root / "said"
    ) as process:
        real_servers.when_ready(port, process)
        yield Rooted(
            port=port, queue=root / "spool/input", files="*-H", recipient=re.compile(r"^(\S+@\S+)$", re.MULTILINE)
        )


@contextlib.contextmanager
def opensmtpd(root: Path, refused: Sequence[str]) -> Iterator[Rooted]:
    """OpenSMTPD, which keeps all it takes in its queue and knows none of the `refused`."""
    port = real_servers.free_port()
    inside = lay_out(root, "smtpd", ["opensmtpd", "opensmtpq"])
    for name in ("var/run", "var/lib/opensmtpd/empty", "var/spool/smtpd", "usr/libexec/opensmtpd"):
        (root / name).mkdir(parents=True)
    (root / "var/spool/smtpd").chmod(0o711)
    configuration = SMTPD_CONF.format(port=port, refused=", ".join(f'"{address}"' for address in refused))
    (root / "etc/smtpd.conf").write_text(configuration, encoding="ascii")
    with real_servers.running(
        ["chroot", str(root), str(inside), "-d", "-f", "/etc/smtpd.conf"], log=root / "said"
    ) as process:
        real_servers.when_ready(port, process)
        queue = root / "var/spool/smtpd/queue"
        yield Rooted(port=port, queue=queue, files="*", recipient=re.compile(r"^rcpt: (\S+@\S+)$", re.MULTILINE))
