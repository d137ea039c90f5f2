"""What may be on a disk after the power went: everything that was synced, and any part of what was not.

The rules, from what POSIX promises and what kernels and disks do:
- What was written to a file before a sync of it began is there once the sync has ended. The same for a folder's entries.
- Of later writes any subset survives, in any order, in pieces of a sector (512 bytes). A sector holds what it held at
  one moment: what was synced, or what it was after any write since.
- A file's size is what it was at one moment since its sync, too. What was never written within it reads as zeros.
- A file that was created may be missing, one that was removed may be back, until the folder is synced.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .record import Entry

SECTOR = 512

MODES = ("nothing", "everything", "beginning", "writes", "pages", "sectors")
"""What survives: by whole writes, by 4096 bytes as a kernel writes them back, by sectors as a disk tears them."""


@dataclass
class File:
    """What of a file is surely on the disk, and what was done to it since, oldest first."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Entry]] = field(default_factory=list)

    def settle(self, before: int) -> None:
        """A sync that began at this place of the record has ended."""
        for place, entry in self.pending:
            if place < before:
                apply(self.durable, entry)
        self.pending = [(place, entry) for place, entry in self.pending if place >= before]


class Disk:
    """Plays a record forward. `after_cut` does not change it, so that one record serves many cuts."""

    def __init__(self) -> None:
        self._files: list[File] = []
        self._now: dict[str, int] = {}
        self._durable: dict[str, int] = {}
        self._entries: list[tuple[int, dict[str, int]]] = []
        """The folder's entries after each change since it was last synced, with the change's place in the record."""
        self._began: dict[int, tuple[int, int]] = {}
        self._place = 0

    def play(self, entries: Sequence[Entry], until: int) -> None:
        """Everything before this place of the record has been done."""
        while self._place < until:
            self._do(self._place, entries[self._place])
            self._place += 1

    def _do(self, place: int, entry: Entry) -> None:
        match entry.operation:
            case "W" | "T":
                self._files[self._now[entry.name]].pending.append((place, entry))
            case "C":
                self._files.append(File())
                self._now[entry.name] = len(self._files) - 1
                self._entries.append((place, dict(self._now)))
            case "U":
                del self._now[entry.name]
                self._entries.append((place, dict(self._now)))
            case "R":
                self._now[entry.data.decode()] = self._now.pop(entry.name)
                self._entries.append((place, dict(self._now)))
            case "S":
                self._began[entry.number] = (place, -1 if entry.name == "." else self._now[entry.name])
            case "E":
                began, number = self._began.pop(entry.number)
                if number < 0:
                    self._settle_folder(began)
                else:
                    self._files[number].settle(began)

    def _settle_folder(self, before: int) -> None:
        for place, names in self._entries:
            if place < before:
                self._durable = names
        self._entries = [(place, names) for place, names in self._entries if place >= before]

    def after_cut(self, chance: random.Random) -> dict[str, bytes]:
        """The files that are found when the power is back."""
        mode, share = chance.choice(MODES), chance.random()
        names = self._names(mode, chance)
        return {name: self._content(self._files[number], mode, share, chance) for name, number in names.items()}

    def _names(self, mode: str, chance: random.Random) -> Mapping[str, int]:
        """Creations and removals are independent of each other: a file may be back while an older one is not."""
        if mode == "everything":
            return self._now
        if mode == "nothing":
            return self._durable
        states = [self._durable, *(names for _, names in self._entries)]
        found: dict[str, int] = {}
        for name in sorted({name for state in states for name in state}):
            number = chance.choice(states).get(name)
            if number is not None:
                found[name] = number
        return found

    @staticmethod
    def _content(file: File, mode: str, share: float, chance: random.Random) -> bytes:
        pending = [entry for _, entry in file.pending]
        if mode == "nothing" or not pending:
            return bytes(file.durable)
        if mode in {"everything", "beginning"}:
            count = len(pending) if mode == "everything" else round(share * len(pending))
            content = bytearray(file.durable)
            for entry in pending[:count]:
                apply(content, entry)
            return bytes(content)
        return _torn(file.durable, pending, mode, share, chance)


def apply(content: bytearray, entry: Entry) -> None:
    """Do to a file's content what was done."""
    if entry.operation == "T":
        del content[entry.number :]
        content.extend(bytes(entry.number - len(content)))
        return
    content.extend(bytes(max(0, entry.number - len(content))))
    content[entry.number : entry.number + len(entry.data)] = entry.data


def _torn(durable: bytearray, pending: Sequence[Entry], mode: str, share: float, chance: random.Random) -> bytes:
    """Each sector as it was after one of the writes to it, and the size as it was at one moment."""
    now, before = bytearray(durable), bytes(durable)
    sizes = [len(durable)]
    survivors: dict[int, bytes] = {}
    pages: dict[int, list[bool]] = {}
    for entry in pending:
        apply(now, entry)
        sizes.append(len(now))
        whole = chance.random() < share
        for sector in _sectors(entry, sizes):
            if mode == "writes":
                survives = whole
            elif mode == "pages":
                # a page is written back as a whole: its sectors share their luck
                luck = pages.setdefault(sector // 8, [])
                if sector % 8 == 0 or not luck:
                    luck.append(chance.random() < share)
                survives = luck[-1]
            else:
                survives = chance.random() < share
            if survives:
                survivors[sector] = bytes(now[sector * SECTOR : (sector + 1) * SECTOR])
    size = chance.choice(sizes) if mode != "writes" or chance.random() < 0.3 else sizes[-1]
    found = bytearray(max([size, len(before), *((sector + 1) * SECTOR for sector in survivors)]))
    found[: len(before)] = before
    for sector, content in survivors.items():
        found[sector * SECTOR : (sector + 1) * SECTOR] = content.ljust(SECTOR, b"\0")
    return bytes(found[:size])


def _sectors(entry: Entry, sizes: Sequence[int]) -> Iterable[int]:
    """The sectors that an entry changes; a truncation clears those that it takes away."""
    if entry.operation == "T":
        first, last = sorted((entry.number, sizes[-2]))
    else:
        first, last = entry.number, entry.number + len(entry.data)
    return range(first // SECTOR, (last + SECTOR - 1) // SECTOR)
