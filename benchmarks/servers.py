"""The processes that take the messages: Postfix's smtp-sink, a server that notes the time of each, and a slow line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .apart import HOST
from .measure import ROOT, Failed, Skipped, clean

PATIENCE = 20.0
"""Seconds until a server that was started takes connections, or has counted what it took."""

BACKLOG = "256"
SUPER_PATHS = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin")
"""Where Postfix's programs are; an ordinary user's PATH leaves these out."""


def program(name: str) -> str:
    """The path of one of Postfix's programs. Raises Skipped."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(SUPER_PATHS))
    if not found:
        raise Skipped(f"{name} is not here; it is part of Postfix (on Debian and Ubuntu: apt install postfix)")
    return found


def install_postfix() -> None:
    """Where its programs are missing, and it is allowed: Debian's package, which starts nothing by itself."""
    try:
        program("smtp-sink")
    except Skipped:
        apt = shutil.which("apt-get")
        if os.geteuid() != 0 or not apt:
            return
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (("update",), ("install", "--yes", "--no-install-recommends", "postfix")):
            subprocess.run([apt, "--quiet", *words], env=quietly, stdout=subprocess.DEVNULL, check=False)


@dataclass(frozen=True, kw_only=True)
class Sink:
    """A running smtp-sink."""

    port: int
    counters: Path

    def count(self) -> int:
        """How many messages it has taken."""
        size = self.counters.stat().st_size
        with self.counters.open("rb") as file:
            file.seek(max(0, size - 200))
            found = re.findall(rb"mesg=(\d+)", file.read())
        return int(found[-1]) if found else 0

    def expect(self, messages: int) -> None:
        """Raise Failed unless exactly so many messages were taken."""
        deadline = time.monotonic() + PATIENCE
        while (count := self.count()) < messages and time.monotonic() < deadline:
            time.sleep(0.01)
        if count != messages:
            raise Failed(f"{count:,} messages arrived instead of {messages:,}")


@contextlib.contextmanager
def smtp_sink(folder: Path) -> Iterator[Sink]:
    """Postfix's test server on a free port; takes every message and keeps nothing. Raises Skipped."""
    port = _free_port()
    counters = folder / "smtp-sink.txt"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with counters.open("wb") as file:
        command = [program("smtp-sink"), *user, "-c", f"{HOST}:{port}", BACKLOG]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield Sink(port=port, counters=counters)
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What the counting server noted: when each final dot came, by time.monotonic(), and how many bytes all had."""

    times: Sequence[float]
    size: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One connection over the slow line, as the client saw it, by time.monotonic(); no mail, no `first_mail`."""

    opened: float
    first_mail: float | None
    last_reply: float
    closed: float


class Apart:
    """A server of ours in a process of its own. It tells what it noted when it ends."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port
        self._noted: str | None = None

    def end(self) -> str:
        """End it, and return what it wrote last."""
        if self._noted is None:
            self._noted, _ = self._process.communicate(timeout=PATIENCE)
        return self._noted


class Counter(Apart):
    """A server that notes when each message came."""

    def noted(self) -> Noted:
        found = json.loads(self.end())
        return Noted(times=found["times"], size=found["size"])


class SlowLine(Apart):
    """A proxy that keeps each byte for a while."""

    def lines(self) -> list[Line]:
        """End it, and return every connection that carried mail."""
        lines = [Line(**one) for one in json.loads(self.end())]
        return [line for line in lines if line.first_mail is not None]

    def round_trip(self) -> float:
        """Seconds of a round trip as measured, half of them were shorter; smtp-sink's own share is in it."""
        with socket.create_connection((HOST, self.port)) as connection, connection.makefile("rb") as replies:
            replies.readline()
            times = []
            for _ in range(11):
                began = time.perf_counter()
                connection.sendall(b"NOOP\r\n")
                replies.readline()
                times.append(time.perf_counter() - began)
            connection.sendall(b"QUIT\r\n")
        return statistics.median(times)


@contextlib.contextmanager
def counter() -> Iterator[Counter]:
    """The counting server on a free port."""
    with _apart("benchmarks.counter") as process:
        yield Counter(process, _port_of(process))


@contextlib.contextmanager
def slow_line(port: int, *, delay: float) -> Iterator[SlowLine]:
    """A way to a port on which every byte takes `delay` seconds in each direction."""
    with _apart("benchmarks.proxy", "--to", str(port), "--delay", str(delay)) as process:
        yield SlowLine(process, _port_of(process))


@contextlib.contextmanager
def _apart(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a module that prints its port, and ends when its standard input does: also if this program is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=clean(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.01)
    raise Skipped("smtp-sink does not start")
