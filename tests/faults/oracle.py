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
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smtp_script import Rule
from smtp_server import Accepted, Certificate, ScriptedServer
from smtp_session import Session

from .script import AFTER_CONTENT, TIMEOUT, Allowance, Script, withholds

HOST = "127.0.0.1"

ENVELOPE = frozenset({"mail", "rcpt", "data"})

# Below the ports that the system gives to clients: while the server is down, none may connect to itself.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A message that the server took responsibility for. `at` is monotonic, the same for all processes."""

    at: float
    message_id: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Misdeed:
    """A moment (monotonic) at which the server misbehaved. `doubts` is the one recipient whom this may leave in doubt."""

    at: float
    phase: str
    doubts: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A transaction as a server may count it for a quota: from DATA on, or from a recipient that it did not take."""

    at: float
    recipient: str


class LabSession(Session):
    """A session that notes when it misbehaves and what it begins, and can answer a byte at a time."""

    server: LabServer
    recipient = before = ""
    early = False

    async def line(self) -> str:
        self.early = self.early and b"\n" in self.buffer
        return await super().line()

    async def content(self) -> bytes:
        found = await super().content()
        self.before, self.early = self.recipient, bool(self.buffer)
        if self.early and self.server.throws_away():
            self.buffer.clear()
        return found

    async def answer(self, phase: str, default: str, address: str | None = None) -> str:
        self.server.script.early = self.early and phase in ENVELOPE
        return await super().answer(phase, default, address)

    async def rcpt(self, rest: str) -> None:
        at, taken = time.monotonic(), len(self.rcpt_to)
        self.recipient = rest.partition("<")[2].partition(">")[0]
        try:
            await super().rcpt(rest)
        finally:
            if len(self.rcpt_to) == taken:
                self.server.begins(at, self.recipient)

    async def data(self) -> None:
        if self.rcpt_to:
            self.server.begins(time.monotonic(), self.recipient)
        await super().data()

    async def play(self, rule: Rule, default: str) -> str:
        drip = self.server.script.drips.get(id(rule), 0.0)
        if isinstance(rule, Allowance):
            self.say(rule.reply or "")
            return rule.reply or ""
        if drip or rule.reply or rule.raw or rule.drop or rule.reset or rule.silence or rule.delay > TIMEOUT:
            self.server.note(rule.phase, self.in_doubt(rule, default, drip))
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

    def in_doubt(self, rule: Rule, default: str, drip: float) -> str:
        """Whose answer is lost with what a rule does, if anybody's."""
        if rule.phase in AFTER_CONTENT:
            return self.recipient if withholds(rule, default, drip) else ""
        # a reset takes along what was said before and not read yet: the answer to the message that came with this
        return self.before if rule.reset and self.early else ""


class LabServer(ScriptedServer):
    """The scripted server, with a note of all it began and each time it misbehaved; if asked, every message as a file."""

    def __init__(
        self, *, script: Script, faults: Path, begun: Path, failed: Path, keep: Path | None = None, **given: Any
    ) -> None:
        super().__init__(host=HOST, **given)
        self.script = script
        self.rules = script.rules
        for rule in self.rules:
            if isinstance(rule, Allowance):
                rule.server = self
                rule.delay = rule.delay or 1.0
        self._ends = 0
        self._faults = faults.open("a", encoding="utf-8", newline="\n")
        self._begun = begun.open("a", encoding="utf-8", newline="\n")
        self._failed = failed
        self._keep = keep

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._faults.close()
        self._begun.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transcript: list[str] = []
        self.transcripts.append(transcript)
        task = asyncio.ensure_future(LabSession(self, reader, writer, len(self.transcripts), transcript).run())
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        try:
            await task
        except asyncio.CancelledError:
            pass
        except Exception:  # noqa: BLE001 - or the program would be blamed for it
            with self._failed.open("a", encoding="utf-8", newline="\n") as file:
                file.write(traceback.format_exc())

    def note(self, phase: str, doubts: str) -> None:
        self._faults.write(f"{time.monotonic():.6f}\t{phase}\t{doubts}\n")
        self._faults.flush()

    def throws_away(self) -> bool:
        """Whether what came together with the end of this message is not heard."""
        self._ends += 1
        deaf = self.script.deaf > 0 and self._ends % self.script.deaf == 0
        if deaf:
            self.note("deaf", "")
        return deaf

    def begins(self, at: float, recipient: str) -> None:
        self._begun.write(f"{at:.6f}\t{recipient}\n")
        self._begun.flush()

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
        self._begun, self._failed = folder / "begun.txt", folder / "failed.txt"
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

    def server(self, port: int = 0) -> LabServer:
        """The server itself, for whoever wants it in a thread instead."""
        return LabServer(
            script=Script(self.rules),
            faults=self._faults,
            begun=self._begun,
            failed=self._failed,
            keep=self._keep,
            port=port,
            oracle=self._accepted,
            users=self.users,
            security=self.security,
            context=self.certificate.server_context() if self.certificate else None,
        )

    def _serve(self, port: int, ready: int) -> None:
        """In the forked process; does not return."""
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            server = self.server(port)
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
        return [
            Taken(at=float(at), message_id=message_id, recipients=tuple(recipients.split(",")))
            for at, message_id, _, recipients, _ in _lines(self._accepted, 5)
        ]

    def count(self) -> int:
        """How many were accepted; cheap enough to ask a thousand times a second."""
        with contextlib.suppress(FileNotFoundError), self._accepted.open("rb") as file:
            file.seek(self._size)
            new = file.read()
            self._size += len(new)
            self._seen += new.count(b"\n")
        return self._seen

    def faults(self) -> list[Misdeed]:
        """Each time the server misbehaved."""
        return [Misdeed(at=float(at), phase=phase, doubts=doubts) for at, phase, doubts in _lines(self._faults, 3)]

    def begun(self) -> list[Begun]:
        """Every transaction that a server may count, whatever became of it."""
        return [Begun(at=float(at), recipient=recipient) for at, recipient in _lines(self._begun, 2)]

    def failures(self) -> str:
        """What went wrong in the server itself; nothing, as a rule."""
        return self._failed.read_text(encoding="utf-8") if self._failed.exists() else ""


def _lines(path: Path, fields: int) -> Iterator[list[str]]:
    """The whole lines of a table, which a crash may have cut off."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.splitlines(keepends=True):
        found = line.removesuffix("\n").split("\t")
        if line.endswith("\n") and len(found) == fields:
            yield found


def _free_port() -> int:
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
