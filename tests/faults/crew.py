"""The couriers of a trial: which processes they are, by what the system says of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

COURIER = "mailer.campaign.courier"
PROC = Path("/proc")


class Crew:
    """The sending processes of one campaign folder, whichever run started them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._seen: set[int] = set()

    def of(self, run: int) -> list[int]:
        """Those that live and were started by this run."""
        children = PROC / str(run) / "task" / str(run) / "children"
        try:
            found = [int(pid) for pid in children.read_text(encoding="ascii").split() if _is_courier(PROC / pid)]
        except OSError:
            found = [pid for pid, parent, _ in _listed() if parent == run]
        self._seen.update(found)
        return found

    def left(self) -> list[int]:
        """Those that live, also if their run is gone."""
        return [pid for pid, _, folder in _listed() if folder == self._folder or pid in self._seen]


def _listed() -> Iterator[tuple[int, int, Path | None]]:
    """Every courier on this computer: its number, its parent's, and the folder it works in where the system says so."""
    if (PROC / "self" / "stat").exists():
        for place in PROC.glob("[0-9]*"):
            try:
                if _is_courier(place):
                    parent = int((place / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
                    yield int(place.name), parent, (place / "cwd").readlink()
            except OSError:
                continue  # it has ended meanwhile
        return
    said = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, encoding="utf-8", check=True).stdout
    for pid, parent, what in (line.split(None, 2) for line in said.splitlines() if COURIER in line):
        if COURIER in what:
            yield int(pid), int(parent), None


def _is_courier(place: Path) -> bool:
    """Not so of one that has ended and waits for its parent to notice: its command line is empty."""
    try:
        return COURIER.encode() in (place / "cmdline").read_bytes()
    except OSError:
        return False
