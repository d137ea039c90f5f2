"""The senders that are compared: each a function that prepares its work in a folder and returns the command to run.

The scripts beside this file are loops over a library; they run in the peers' own virtual environment.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import contacts, letter
from benchmarks.apart import HOST
from benchmarks.measure import ROOT, Skipped, clean
from benchmarks.servers import program

LOOPS = Path(__file__).parent
CAMPAIGN_LIST = Path("contacts", "members.csv")


@dataclass(frozen=True, kw_only=True)
class Work:
    """So many messages to a port of this computer, from an empty folder."""

    folder: Path
    port: int
    messages: int
    connections: int = 8
    options: Sequence[str] = field(default=())


Command = list[str]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A sender. `share` of the work is enough for one that is slow."""

    name: str
    does: str
    command: Callable[[Work], Command]
    share: float = 1.0

    def messages(self, whole: int) -> int:
        return max(1, round(whole * self.share))


def mailer_program() -> Command:
    """`mailer` as it was installed beside this Python; what it runs is this folder's, see measure.clean."""
    found = shutil.which("mailer", path=str(Path(sys.executable).parent))
    return [found] if found else [sys.executable, "-m", "mailer"]


@functools.cache
def mailer_knows(option: str) -> bool:
    """Whether `mailer send` has such an option."""
    command = [*mailer_program(), "send", "--help"]
    ran = subprocess.run(command, cwd=ROOT, env=clean(), capture_output=True, encoding="utf-8", check=True)
    return option in ran.stdout


def mailer(work: Work) -> Command:
    """The real command, in a campaign folder of its own."""
    missing = [word for word in work.options if word.startswith("--") and not mailer_knows(word)]
    if missing:
        raise Skipped(f"this version of mailer has no {missing[0]}")
    letter.for_mailer(work.folder, work.port)
    contacts.make(work.folder / CAMPAIGN_LIST, work.messages)
    connections = ("--connections", str(work.connections))
    return [*mailer_program(), "send", letter.NAME, str(CAMPAIGN_LIST), "--yes", *connections, *work.options]


def smtp_source(work: Work) -> Command:
    """Postfix's load generator, over connections that stay."""
    numbers = ("-s", str(work.connections), "-l", str(letter.SIZE), "-m", str(work.messages))
    addresses = ("-M", "client.example", "-f", letter.SENDER, "-t", "comrade@example.org")
    return [program("smtp-source"), *numbers, "-d", *addresses, f"{HOST}:{work.port}"]


def loop(name: str, library: str | None = None, *, connections: int | None = None) -> Callable[[Work], Command]:
    """A loop over a library that sends the constant message."""

    def command(work: Work) -> Command:
        numbers = (str(work.port), str(connections or work.connections), str(work.messages))
        interpreter = python_with(library) if library else python()
        return [str(interpreter), str(LOOPS / name), *numbers, str(letter.constant(work.folder))]

    return command


def mailmerge(work: Work) -> Command:
    """The nearest tool, as its own guide says."""
    script = python_with("mailmerge").with_name("mailmerge")
    letter.for_mailmerge(work.folder, work.port)
    contacts.make(work.folder / "mailmerge_database.csv", work.messages)
    return [str(script), "--no-dry-run", "--no-limit"]


def redmail(work: Work) -> Command:
    """A library that renders and sends, over one connection."""
    people = contacts.make(work.folder / "people.csv", work.messages)
    return [
        str(python_with("redmail")),
        str(LOOPS / "redmail_loop.py"),
        str(work.port),
        str(people.path),
        str(letter.for_redmail(work.folder)),
    ]


PEERS_PYTHON = [ROOT / ".bench-venv" / "bin" / "python", ROOT / ".bench-venv" / "Scripts" / "python.exe"]


def python() -> Path:
    """The Python of the peers' own environment; without one, this Python with what it happens to have."""
    return next((path for path in PEERS_PYTHON if path.exists()), Path(sys.executable))


def python_with(library: str) -> Path:
    """Raise Skipped if it does not have the library."""
    if not version(library):
        raise Skipped(f"{library} is not installed; make bench does that")
    return python()


@functools.cache
def version(library: str) -> str | None:
    """The version of a library in the peers' environment."""
    code = (
        "import sys, importlib.metadata as m\ntry: print(m.version(sys.argv[1]))\nexcept m.PackageNotFoundError: pass"
    )
    ran = subprocess.run([python(), "-c", code, library], capture_output=True, encoding="utf-8", check=True)
    return ran.stdout.strip() or None


MAILER = "mailer send"

PEERS = (
    Peer(name=MAILER, does="list, merge, ledger", command=mailer),
    Peer(name="smtp-source (C)", does="constant message", command=smtp_source),
    Peer(name="aiosmtplib on uvloop", does="constant message", command=loop("aiosmtplib_loop.py", "aiosmtplib")),
    Peer(name="smtplib, 8 threads", does="constant message", command=loop("smtplib_loop.py")),
    Peer(name="smtplib, 1 connection", does="constant message", command=loop("smtplib_loop.py", connections=1)),
    Peer(name="redmail", does="list, merge", command=redmail, share=0.1),
    Peer(name="mailmerge", does="list, merge", command=mailmerge, share=0.025),
)
