"""The makers of a trial: which processes they are, what they have brought, and what they hold, by what the system says of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

MAKER = "mailer.campaign.maker"
PROC = Path("/proc")

BLOCK = 2**15
"""Octets, fewer than those of the first messages that a maker is asked for; its start writes next to nothing."""


class Crew:
    """The makers of one campaign folder, whichever run started them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._seen: set[int] = set()

    def of(self, run: int) -> list[int]:
        """Those that live and were started by this run."""
        children = PROC / str(run) / "task" / str(run) / "children"
        try:
            found = [int(pid) for pid in children.read_text(encoding="ascii").split() if _is_maker(PROC / pid)]
        except OSError:
            found = [pid for pid, parent, _ in _listed() if parent == run]
        self._seen.update(found)
        return found

    def left(self) -> list[int]:
        """Those that live, also if their run is gone."""
        return [pid for pid, _, folder in _listed() if folder == self._folder or pid in self._seen]


def is_at_work(maker: int) -> bool:
    """Whether it has brought messages by now; where the system does not tell, it may have."""
    try:
        said = (PROC / str(maker) / "io").read_text(encoding="ascii")
    except OSError:
        return not (PROC / "self" / "io").exists()
    return int(said.partition("wchar:")[2].split()[0]) >= BLOCK


def is_connected(maker: int, port: int) -> bool:
    """Whether it holds a connection to this port, on Linux."""
    try:
        held = {str(one.readlink()) for one in (PROC / str(maker) / "fd").iterdir()}
        lines = [line.split() for name in ("tcp", "tcp6") for line in (PROC / "net" / name).read_text().splitlines()]
    except OSError:
        return False  # it has ended meanwhile
    return any(there.endswith(f":{port:04X}") and f"socket:[{line[9]}]" in held for line in lines if (there := line[2]))


def _listed() -> Iterator[tuple[int, int, Path | None]]:
    """Every maker on this computer: its number, its parent's, and the folder it works in where the system says so."""
    if (PROC / "self" / "stat").exists():
        for place in PROC.glob("[0-9]*"):
            try:
                if _is_maker(place):
                    parent = int((place / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
                    yield int(place.name), parent, (place / "cwd").readlink()
            except OSError:
                continue  # it has ended meanwhile
        return
    said = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, encoding="utf-8", check=True).stdout
    for pid, parent, what in (line.split(None, 2) for line in said.splitlines() if MAKER in line):
        if MAKER in what:
            yield int(pid), int(parent), None


def _is_maker(place: Path) -> bool:
    """Not so of one that has ended and waits for its parent to notice: its command line is empty."""
    try:
        return MAKER.encode() in (place / "cmdline").read_bytes()
    except OSError:
        return False
