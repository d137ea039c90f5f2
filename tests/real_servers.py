"""Real mail servers for tests, each in a folder of its own and on loopback only: Postfix, Dovecot, smtp-sink.

    with postfix(folder) as relay, dovecot(folder, relay.maildir) as mailbox:
        ... send to relay.port; then mailbox.messages()

They need root, as Postfix does. Where they cannot run, `require` skips the test, and fails it under CI.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

# The names the servers give themselves, so that nothing of this machine is in what they write.
RELAY_NAME = "relay.test"
INBOX = "inbox"
READY_SECONDS = 60.0

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
meta_directory = /etc/postfix
mail_owner = postfix
myhostname = {name}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_rate_limit = 0
mydestination =
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:{inbox}/
virtual_mailbox_base = {folder}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
# Every command of the client is in the log.
debug_peer_list = 127.0.0.1
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60   1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 300  1 qmgr
rewrite   unix  - - n -    - trivial-rewrite
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
verify    unix  - - n -    1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -    - proxymap
error     unix  - - n -    - error
retry     unix  - - n -    - error
discard   unix  - - n -    - discard
showq     unix  n - n -    - showq
virtual   unix  - n n -    - virtual
smtp      unix  - - n -    - smtp
anvil     unix  - - n -    1 anvil
scache    unix  - - n -    1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

DOVECOT_CONF = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{maildir}
passdb {{
  driver = static
  args = password=sample
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  chroot =
}}
# A wrong password is answered at once.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


def require(*programs: str, path: str | None = None) -> None:
    """Skip the test where these servers cannot run; under CI they must."""
    where = path or os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    reasons = [f"{program} is not installed" for program in programs if not shutil.which(program, path=where)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        reasons.append("only root can start them")
    if not reasons:
        return
    missing(f"The real mail servers cannot run here: {', '.join(reasons)}")


def missing(sentence: str) -> NoReturn:
    """Skip the test for want of a program; under CI there is none."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    assert found, name
    return found


@contextlib.contextmanager
def server_folder() -> Iterator[Path]:
    """A folder the servers' own users can enter, with a path short enough for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="mail-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def nobody() -> tuple[int, int]:
    """User and group of the mailbox."""
    import pwd

    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def when_ready(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when the server takes connections. Another program's readiness can only be asked for."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            if connection.recv(1):
                return
        if process and process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}: {(process.stderr or b'')!r}")
        assert time.monotonic() < deadline, f"no server at port {port} after {READY_SECONDS} seconds"
        os.sched_yield()


def when_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """The same for a server that waits until it is spoken to."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"the server ended with {process.returncode}"
        assert time.monotonic() < deadline, f"no server at port {port} after {READY_SECONDS} seconds"
        os.sched_yield()


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """A Postfix that puts every message to anybody into one Maildir, and writes every command of its clients to a log."""

    port: int
    folder: Path

    @property
    def maildir(self) -> Path:
        return self.folder / "mail" / INBOX

    def log(self) -> str:
        return (self.folder / "log" / "mail.log").read_text("utf-8", errors="replace")

    def commands(self) -> list[str]:
        """What the clients said, in order."""
        return [
            line.partition("]: ")[2] for line in (part.partition(" < ")[2] for part in self.log().splitlines()) if line
        ]


@contextlib.contextmanager
def postfix(folder: Path, *, further: str = "") -> Iterator[Relay]:
    """Postfix beside the system's own. `further`: lines of its main.cf, the last of a name counts."""
    relay = Relay(port=free_port(), folder=folder)
    uid, gid = nobody()
    for name in ("config", "queue", "data", "mail", "log"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "mail", uid, gid)
    config = folder / "config"
    values = {"folder": folder, "name": RELAY_NAME, "inbox": INBOX, "uid": uid, "gid": gid, "port": relay.port}
    (config / "main.cf").write_text(MAIN_CF.format(**values) + further, encoding="ascii")
    (config / "master.cf").write_text(MASTER_CF.format(**values), encoding="ascii")
    command = [program("postfix"), "-c", str(config)]
    started = subprocess.run([*command, "start"], capture_output=True, text=True, timeout=60)
    assert started.returncode == 0, started.stderr + (relay.log() if (folder / "log/mail.log").exists() else "")
    try:
        yield relay
    finally:
        subprocess.run([*command, "stop"], capture_output=True, timeout=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """What a person's mail program would fetch."""

    port: int

    def messages(self, count: int) -> list[bytes]:
        """All messages over IMAP, once there are so many; Postfix answers before it delivers."""
        deadline = time.monotonic() + READY_SECONDS
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=30) as client:
            client.login("reader", "sample")
            found = int(client.select("INBOX", readonly=True)[1][0] or 0)
            while found < count and time.monotonic() < deadline:
                client.noop()
                found = int(client.select("INBOX", readonly=True)[1][0] or 0)
            if not found:
                return []
            answers = client.fetch("1:*", "(BODY.PEEK[])")[1]
            return [answer[1] for answer in answers if isinstance(answer, tuple)]


@contextlib.contextmanager
def dovecot(folder: Path, maildir: Path, *, further: str = "") -> Iterator[Mailbox]:
    """Dovecot, with the Maildir as everybody's INBOX. `further`: lines of its configuration."""
    own = folder / "dovecot"
    (own / "home").mkdir(parents=True)
    uid, gid = nobody()
    shutil.chown(own / "home", uid, gid)
    port = free_port()
    config = own / "dovecot.conf"
    values = {"folder": own, "maildir": maildir, "uid": uid, "gid": gid, "port": port}
    config.write_text(DOVECOT_CONF.format(**values) + further, encoding="ascii")
    with running([program("dovecot"), "-F", "-c", str(config)]) as process:
        when_ready(port, process)
        yield Mailbox(port=port)


@contextlib.contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """Postfix's own test server with these options; its port."""
    port = free_port()
    with running([program("smtp-sink"), "-u", "nobody", *options, f"127.0.0.1:{port}", "256"]) as process:
        when_ready(port, process)
        yield port


@contextlib.contextmanager
def running(command: list[str], *, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, ended with the block. One that has much to say needs a `log`: nobody reads the pipe."""
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("wb")) if log else subprocess.PIPE
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
