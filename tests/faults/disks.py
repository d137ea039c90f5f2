"""The ledger cannot be written: the disk is full, a file may not grow, or everything is read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .programs import limited
from .registry import Trial, fault
from .stage import Skipped, is_root


@contextmanager
def small_disk(trial: Trial, size: int) -> Iterator[None]:
    """A file system of its own for the ledger, of so many bytes. Raises Skipped where none can be mounted."""
    place = trial.folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if not is_root() or subprocess.run(mount, capture_output=True).returncode != 0:
        raise Skipped("a small disk can be mounted by root only")
    trial.ledger = place / "mailer.db"
    trial.settings["MAILER_LEDGER"] = "sqlite:///disk/mailer.db"
    trial.at_end(lambda: subprocess.run(["umount", "-l", str(place)], capture_output=True))
    yield
    # somebody makes room
    subprocess.run(["mount", "-o", "remount,rw,size=32m", str(place)], check=True)


def stopped(trial: Trial, words: str = "ledger") -> bool:
    """Send; whether it ended for want of space, in plain words. A refusal before anything was sent is fine, too."""
    ended = trial.ended(trial.send())
    if ended.code in {0, 1}:
        return False
    if ended.code not in {2, 3} or words not in ended.said:
        trial.broken(f"ended with {ended.code}: {ended.said.strip()[-300:]}")
    trial.struck()
    return True


@fault("disk full (tmpfs of 1 MB)", short=4, long=30, ledger="file")
def full_disk(trial: Trial) -> None:
    with small_disk(trial, 1024 * 1024):
        filler = trial.folder / "disk" / "holiday.mp4"
        for _ in range(3):
            used = sum(path.stat().st_size for path in filler.parent.iterdir())
            room = trial.chance.randint(4, 160) * 1024
            filler.write_bytes(bytes(max(0, 1024 * 1024 - used - room)))
            ran_full = stopped(trial)
            filler.unlink()
            if not ran_full:
                return


@fault("file may not grow (RLIMIT_FSIZE)", short=4, long=30, ledger="file")
def file_limit(trial: Trial) -> None:
    for _ in range(3):
        limit = trial.chance.randint(60, 420) * 1024
        ended = trial.ended(trial.send(prepare=limited(file_size=limit)))
        if ended.code in {0, 1}:
            return
        if ended.code not in {2, 3}:
            trial.broken(f"ended with {ended.code}: {ended.said.strip()[-300:]}")
        trial.struck()


@fault("ledger read-only", short=3, long=12, ledger="file")
def read_only(trial: Trial) -> None:
    with small_disk(trial, 8 * 1024 * 1024):
        place = trial.folder / "disk"
        trial.kill_somewhere()
        # whoever has the ledger open keeps the disk from it
        trial.crew_has_left()
        before = trial.oracle.count()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        ended = trial.ended(trial.send())
        if ended.code not in {2, 3} or trial.oracle.count() != before:
            trial.broken(f"it sent without being able to write that down ({ended.code}): {ended.said.strip()[-200:]}")
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        trial.verdict.strikes += 1
