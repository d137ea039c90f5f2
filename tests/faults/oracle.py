"""The one oracle: the scripted server as a process of its own, which writes down what it accepts before it says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smtp_script import Rule, parse_rule
from smtp_server import Accepted, Certificate, ScriptedServer
from smtp_session import Session

HOST = "127.0.0.1"

# Below the ports that the system gives to clients: while the server is down, none may connect to itself.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A message that the server took responsibility for. `at` is monotonic, the same for all processes."""

    at: float
    message_id: str
    recipients: tuple[str, ...]


class Allowance(Rule):
    """Takes only so many messages in so many seconds and tells nobody: 451 for the rest."""

    def counts(self, phase: str, connection: int, address: str | None) -> bool:
        if phase != self.phase:
            return False
        since = time.monotonic() - self.delay
        recent = sum(message.at > since for message in self.server.accepted)
        return recent >= (self.nth or 1)

    server: Any = None


class Script:
    """Rules of tests/smtp_script.py, and two more words: `drip=SECONDS` a byte, `allow n=NUMBER seconds=SECONDS`."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.rules: list[Rule] = []
        self.drips: dict[int, float] = {}
        for text in texts:
            words = text.split()
            if words[0] == "allow":
                number, seconds = (word.partition("=")[2] for word in words[1:3])
                self.rules.append(
                    Allowance(phase="rcpt", nth=int(number), delay=float(seconds), reply="451 4.7.1 Please try later")
                )
                continue
            drip = next((float(word[5:]) for word in words if word.startswith("drip=")), 0.0)
            rule = parse_rule(" ".join(word for word in words if not word.startswith("drip=")) if drip else text)
            if drip:
                self.drips[id(rule)] = drip
            self.rules.append(rule)


class LabSession(Session):
    """A session that notes when it misbehaves, and can answer a byte at a time."""

    server: LabServer

    async def play(self, rule: Rule, default: str) -> str:
        drip = self.server.script.drips.get(id(rule))
        if isinstance(rule, Allowance):
            self.say(rule.reply or "")
            return rule.reply or ""
        if drip or rule.reply or rule.raw or rule.drop or rule.reset or rule.silence:
            self.server.note(rule)
        if not drip:
            return await super().play(rule, default)
        lines = (rule.reply or default).split("\n")
        code = lines[0][:3]
        for position, line in enumerate(lines):
            text = f"{code}{' ' if position == len(lines) - 1 else '-'}{line[4:]}\r\n"
            for byte in text.encode():
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(drip)
        return rule.reply or default


class LabServer(ScriptedServer):
    """The scripted server, with a note of each time it misbehaved and, if asked, every message as a file."""

    def __init__(self, *, script: Script, faults: Path, keep: Path | None = None, **given: Any) -> None:
        super().__init__(host=HOST, **given)
        self.script = script
        self.rules = script.rules
        for rule in self.rules:
            if isinstance(rule, Allowance):
                rule.server = self
                rule.delay = rule.delay or 1.0
        self._faults = faults.open("a", encoding="utf-8", newline="\n")
        self._keep = keep

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transcript: list[str] = []
        self.transcripts.append(transcript)
        task = asyncio.ensure_future(LabSession(self, reader, writer, len(self.transcripts), transcript).run())
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def note(self, rule: Rule) -> None:
        self._faults.write(f"{time.monotonic():.6f}\t{rule.phase}\n")
        self._faults.flush()

    def record(self, message: Accepted) -> None:
        if self._keep:
            (self._keep / f"{len(self.accepted):06}-{os.getpid()}.eml").write_bytes(message.content)
        super().record(message)


class Oracle:
    """Starts, crashes and restarts the server on one port, and reads what it wrote."""

    def __init__(
        self,
        folder: Path,
        rules: Sequence[str] = (),
        *,
        users: dict[str, str] | None = None,
        security: Literal["none", "starttls"] = "none",
        keep: Path | None = None,
    ) -> None:
        self._accepted, self._faults = folder / "accepted.txt", folder / "faults.txt"
        self.rules, self.users, self.security, self._keep = rules, users, security, keep
        self.certificate = Certificate.make(folder) if security == "starttls" else None
        self.port = 0
        self._pid = 0
        self._size = 0
        self._seen = 0

    def start(self) -> None:
        """Until connections are taken. A restarted server counts for its rules from one again."""
        for _ in range(50):
            port = self.port or _free_port()
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reading)
                self._serve(port, writing)
            os.close(writing)
            ready = os.read(reading, 1)
            os.close(reading)
            if ready:
                self.port, self._pid = port, pid
                return
            os.waitpid(pid, 0)
            time.sleep(0.05)
        raise RuntimeError("the scripted server could not be started")

    def _serve(self, port: int, ready: int) -> None:
        """In the forked process; does not return."""
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            context = self.certificate.server_context() if self.certificate else None
            server = LabServer(
                script=Script(self.rules),
                faults=self._faults,
                keep=self._keep,
                port=port,
                oracle=self._accepted,
                users=self.users,
                security=self.security,
                context=context,
            )
            with server:
                os.write(ready, b"!")
                os.close(ready)
                while True:
                    time.sleep(3600)
        except OSError:
            os._exit(1)
        except BaseException as error:  # noqa: BLE001 - seen in the laboratory's own output
            print(f"the scripted server failed: {error!r}", file=sys.stderr)
            os._exit(2)

    def crash(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    stop = crash

    def accepted(self) -> list[Taken]:
        """Everything accepted so far, in this order. A line that a crash cut off was not answered."""
        if not self._accepted.exists():
            return []
        taken = []
        for line in self._accepted.read_text(encoding="utf-8").splitlines(keepends=True):
            fields = line.rstrip("\n").split("\t")
            if line.endswith("\n") and len(fields) == 5:
                taken.append(Taken(at=float(fields[0]), message_id=fields[1], recipients=tuple(fields[3].split(","))))
        return taken

    def count(self) -> int:
        """How many were accepted; cheap enough to ask a thousand times a second."""
        with contextlib.suppress(FileNotFoundError), self._accepted.open("rb") as file:
            file.seek(self._size)
            new = file.read()
            self._size += len(new)
            self._seen += new.count(b"\n")
        return self._seen

    def faults(self) -> list[tuple[float, str]]:
        """When (monotonic) the server misbehaved, and in which phase."""
        if not self._faults.exists():
            return []
        lines = self._faults.read_text(encoding="utf-8").splitlines()
        return [(float(at), phase) for at, _, phase in (line.partition("\t") for line in lines)]


def _free_port() -> int:
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
