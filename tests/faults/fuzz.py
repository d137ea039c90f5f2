"""Bad lists, letters and cells by the hundred: no traceback, no hang, bounded memory, and nothing that gets in."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import fuzz_letters, fuzz_lists, injection
from .oracle import Oracle
from .programs import Ended, limited, start

SECONDS = 30.0
MEMORY = 1 << 30
"""What one input may cost: on the clock, and in bytes at its peak."""

ADDRESSES = 6 << 30
"""So that a letter which would take all memory does not take this machine's. Allocators reserve address space by the gigabyte."""

HEADS = (
    "bad input",
    "tried",
    "refused in words",
    "taken",
    "tracebacks",
    "hangs or floods",
    "injected headers, recipients",
)
BATCH = 25
BOMBS = "letters that would never end"


@dataclass(kw_only=True)
class Counts:
    tried: int = 0
    refused: int = 0
    taken: int = 0
    tracebacks: int = 0
    hangs: int = 0
    injected: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        for name in ("tried", "refused", "taken", "tracebacks", "hangs", "injected"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.broken += other.broken


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some inputs of one kind, the same for the same seed."""

    kind: str
    number: int
    seed: int
    keep: Path | None = None


def batches(given: Namespace) -> list[Batch]:
    found = []
    for kind, (_, short, many) in KINDS.items():
        count = many if given.long else short
        if given.most is not None:
            count = min(count, given.most)
        if given.tiny:
            count = int(kind != BOMBS)
        found += [Batch(kind=kind, number=number, seed=given.seed, keep=given.keep) for number in range(count)]
    return found


def run(batch: Batch) -> Counts:
    chance = random.Random(f"{batch.seed} {batch.kind} {batch.number}")
    folder = Path(tempfile.mkdtemp(prefix="mailer fuzz "))
    counts = Counts()
    try:
        KINDS[batch.kind][0](folder, chance, batch, counts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return counts


def command(folder: Path, *arguments: str, port: int = 25) -> Ended:
    output = folder / "said.txt"
    environment = {
        "MAILER_SMTP_HOST": "127.0.0.1",
        "MAILER_SMTP_PORT": str(port),
        "MAILER_SMTP_SECURITY": "none",
        "MAILER_SENDER": "Union Office <office@example.org>",
        "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
        "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
        "MAILER_RATE": "100000/second",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PYTHONUTF8": "1",
        "TMPDIR": str(folder),
    }
    prepare = limited(memory=ADDRESSES, cpu=int(SECONDS))
    program = start(arguments, folder=folder, output=output, environment=environment, prepare=prepare)
    return program.wait(2 * SECONDS)


def judge(counts: Counts, ended: Ended, folder: Path, batch: Batch, what: Path) -> None:
    """Refused in plain words, or taken; anything else is broken, and the input can be kept."""
    counts.tried += 1
    before = len(counts.broken)
    if ended.hung or ended.code == -24:
        counts.hangs += 1
        counts.broken.append(f"took longer than {SECONDS:g} seconds of work: {ended.said.strip()[-200:]}")
    elif ended.peak > MEMORY:
        counts.hangs += 1
        counts.broken.append(f"took {ended.peak >> 20:,} MiB of memory: {ended.said.strip()[-200:]}")
    elif ended.traceback or ended.code not in {0, 1, 2}:
        counts.tracebacks += 1
        bugs = " ".join(path.read_text(encoding="utf-8") for path in folder.glob("mailer-bug-*"))
        counts.broken.append(f"ended with {ended.code}: {ended.said.strip()[-300:]} {bugs[-700:]}")
    else:
        counts.taken += ended.code == 0
        counts.refused += ended.code != 0
    for path in folder.glob("mailer-bug-*"):
        path.unlink()
    if len(counts.broken) > before and batch.keep:
        batch.keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(what, batch.keep / f"{batch.kind} {batch.seed} {batch.number} {counts.tried}{what.suffix}")


def lists(folder: Path, chance: random.Random, batch: Batch, counts: Counts) -> None:
    for _ in range(BATCH):
        name, content = fuzz_lists.make(chance)
        (folder / name).write_bytes(content)
        ended = command(folder, "check", name, "--json")
        judge(counts, ended, folder, batch, folder / name)
        if ended.code in {0, 1, 2} and not _is_json(ended.said):
            counts.broken.append(f"check --json said no JSON: {ended.said[:200]}")


def _is_json(said: str) -> bool:
    """Whether there is one object among what was said; notes for people stand on other lines."""
    for line in said.splitlines():
        if line.startswith("{"):
            try:
                json.loads(line)
            except ValueError:
                continue
            return True
    return False


def letters(folder: Path, chance: random.Random, batch: Batch, counts: Counts) -> None:
    _try_letters(folder, (fuzz_letters.make(chance) for _ in range(BATCH)), batch, counts)


def bombs(folder: Path, chance: random.Random, batch: Batch, counts: Counts) -> None:
    every = fuzz_letters.bombs()
    _try_letters(folder, iter(every[batch.number :: KINDS[BOMBS][1]]), batch, counts)


def _try_letters(folder: Path, contents: Iterator[bytes], batch: Batch, counts: Counts) -> None:
    (folder / "templates").mkdir()
    people = "name,email,city\nPat,p1@example.org,Leeds\nAna,p2@example.org,Zürich\n"
    (folder / "people.csv").write_text(people, encoding="utf-8", newline="\n")
    letter = folder / "templates" / "appeal.md"
    for content in contents:
        letter.write_bytes(content)
        ended = command(folder, "preview", "appeal", "people.csv", "--out", "preview", "--json")
        judge(counts, ended, folder, batch, letter)
        shutil.rmtree(folder / "preview", ignore_errors=True)


def injections(folder: Path, chance: random.Random, batch: Batch, counts: Counts) -> None:
    messages = folder / "messages"
    messages.mkdir()
    people = 60
    known = injection.write(folder, chance, people, attachments=batch.number % 4 == 3)
    oracle = Oracle(folder, keep=messages)
    oracle.start()
    try:
        ended = command(
            folder, "send", "appeal", "people.json", "--yes", "--skip-problems", "--connections", "2", port=oracle.port
        )
        judge(counts, ended, folder, batch, folder / "people.json")
        accepted, found = injection.judge(oracle, messages, known)
    finally:
        oracle.stop()
    if not accepted:
        found.append(f"nothing was sent: {ended.said.strip()[-300:]}")
    counts.tried += people - 1
    counts.taken += accepted - (ended.code == 0)
    counts.refused += people - accepted - (ended.code in {1, 2})
    counts.injected += len(found)
    counts.broken += found


Kind = Callable[[Path, random.Random, Batch, Counts], None]
KINDS: dict[str, tuple[Kind, int, int]] = {
    "lists (encodings, NUL, ragged, half a file)": (lists, 12, 200),
    "letters (syntax, front matter, encodings)": (letters, 12, 200),
    BOMBS: (bombs, 4, 4),
    "cells with headers and recipients in them": (injections, 4, 60),
}


def cells(kind: str, counts: Counts) -> tuple[str, ...]:
    numbers = (counts.tried, counts.refused, counts.taken, counts.tracebacks, counts.hangs, counts.injected)
    return (kind, *(f"{number:,}" for number in numbers))
