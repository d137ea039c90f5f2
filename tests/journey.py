"""A campaign as its organiser lives it: a folder, the real command, and a server that knows what it accepted.

    with beginning(folder) as journey:
        ran = journey.run("send", *journey.campaign, "--yes")      # a process of its own
        assert ran.code == 0
        assert journey.settled() == {"sent": 200}                  # nobody lost, nobody twice, or it fails here

Every command is checked for a traceback, a bug file and the exit codes of DESIGN section 6.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import IO, Any

import starting
from smtp_server import ScriptedServer

from mailer.__main__ import main

COUNT = 200
PATIENCE = 40.0
"""Seconds before a command that should have ended is given up; less than the minute that a connection may take."""

LETTER = """---
subject: Freedom for our comrades, {{ name }}
to_name: "{{ name }}"
required: [name, city]
---
Dear {{ name }} of {{ city }},

an injury to one is an injury to all.
"""
COLUMNS = ("name", "email", "city")
NO_FILES: Mapping[str, str | bytes] = {}
NOTHING_SET: Mapping[str, str | None] = {}


def people(count: int = COUNT) -> list[dict[str, str]]:
    """Invented people; the one in row N of the list is at pN@example.org."""
    return [{"name": f"Pat {row}", "email": f"p{row}@example.org", "city": "Utrecht"} for row in range(2, count + 2)]


def as_csv(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on standard output. Fails if there is anything else."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    def step(self, label: str) -> list[str]:
        """The words of the command that the screen gives after this label, to be pasted."""
        found = re.search(rf"{re.escape(label)}\s+mailer (.+)$", self.out, re.MULTILINE)
        assert found, self.said
        return shlex.split(found[1])

    def codes(self) -> set[str]:
        return {problem["code"] for problem in self.data["problems"]}


class Running:
    """A command under way in a process of its own; what it says can be waited for."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int | None = None) -> None:
        self.process = process
        self._texts = {"out": bytearray(), "err": bytearray()}
        self._news = threading.Condition()
        self._threads = []
        self.terminal = terminal
        if terminal is not None:
            self._follow("out", open(terminal, "rb", buffering=0))  # noqa: SIM115, PTH123 - a descriptor, closed below
        for name, stream in (("out", process.stdout), ("err", process.stderr)):
            if stream is not None:
                self._follow(name, stream)

    def _follow(self, name: str, stream: IO[bytes]) -> None:
        thread = threading.Thread(target=self._read, args=(name, stream), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, name: str, stream: IO[bytes]) -> None:
        # A terminal whose program has ended answers with an error instead of an end.
        with contextlib.suppress(OSError), stream:
            while data := os.read(stream.fileno(), 65536):
                with self._news:
                    self._texts[name] += data
                    self._news.notify_all()

    def wait_for(self, words: str) -> None:
        """Until it has said this. Raises TimeoutError."""
        wanted = words.encode()
        with self._news:
            if not self._news.wait_for(lambda: any(wanted in text for text in self._texts.values()), PATIENCE):
                raise TimeoutError(f"never said {words!r}, but {self._texts}")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def ended(self) -> Ran:
        """Wait for its end."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for thread in self._threads:
            thread.join(PATIENCE)
        texts = {name: text.decode("utf-8", "replace").replace("\r\n", "\n") for name, text in self._texts.items()}
        return Ran(code=code, out=texts["out"], err=texts["err"])


class Journey:
    """A campaign folder and its server. Without a server (or with one that is gone) give a `port`."""

    def __init__(
        self,
        folder: Path,
        server: ScriptedServer | None = None,
        *,
        port: int = 0,
        letter: str = LETTER,
        rows: Sequence[Mapping[str, str]] | None = None,
        files: Mapping[str, str | bytes] = NO_FILES,
    ) -> None:
        self.folder, self.server = folder, server
        self.port = server.port if server else port
        self.rows = people() if rows is None else rows
        self.begun: list[Running] = []
        self.key: Mapping[str, str] = {}
        """What tells a command where the key is, if the ledger is encrypted."""
        self.temporary = folder / "temporary files"
        self.temporary.mkdir(parents=True)
        self.write("templates/appeal.md", letter)
        self.write("list.csv", as_csv(self.rows))
        for path, content in files.items():
            self.write(path, content)
        self.list = "list.csv"

    @property
    def campaign(self) -> tuple[str, str]:
        return "appeal", self.list

    @property
    def name(self) -> str:
        return f"appeal--{Path(self.list).stem}"

    def write(self, path: str, content: str | bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    # -- the command

    def environment(self, changes: Mapping[str, str | None] = NOTHING_SET) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("MAILER_")}
        own: dict[str, str | None] = {
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(self.port),
            "MAILER_SENDER": "Solidarity Campaign <campaign@example.org>",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "PYTHONUTF8": "0",
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "120",
            "TERM": "xterm",
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.temporary)),
            **changes,
        }
        return {**inherited, **{name: value for name, value in own.items() if value is not None}}

    def start(self, *arguments: str, settings: Mapping[str, str | None] = NOTHING_SET) -> Running:
        """Begin a command with nobody at the keyboard."""
        process = starting.start(
            [sys.executable, "-m", "mailer", *arguments],
            cwd=self.folder,
            env=self.environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.begun.append(Running(process))
        return self.begun[-1]

    def run(self, *arguments: str, settings: Mapping[str, str | None] = NOTHING_SET) -> Ran:
        """A command in a process of its own, from start to end."""
        return self.calm(self.start(*arguments, settings=settings).ended())

    def sit(self, *arguments: str, typed: str = "") -> Running:
        """Begin a command in a terminal (POSIX only), with this typed ahead."""
        import pty

        ours, theirs = pty.openpty()
        os.write(ours, typed.encode())
        process = starting.start(
            [sys.executable, "-m", "mailer", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.begun.append(Running(process, ours))
        return self.begun[-1]

    def end(self) -> None:
        """Leave no command behind, whatever became of the test."""
        for running in self.begun:
            if running.process.poll() is None:
                running.process.kill()
            running.ended()

    def call(self, *arguments: str, settings: Mapping[str, str | None] = NOTHING_SET) -> Ran:
        """The same command in this process: a second faster, where a process of its own shows nothing more."""
        out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
        temporary, typed = tempfile.tempdir, sys.argv
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                os.environ.clear()
                os.environ.update(self.environment(settings))
                tempfile.tempdir = str(self.temporary)
                sys.argv = ["mailer", *arguments]
                code = main(arguments)
            finally:
                tempfile.tempdir, sys.argv = temporary, typed
                os.environ.clear()
                os.environ.update(before)
        return self.calm(Ran(code=code, out=out.getvalue(), err=err.getvalue()))

    def calm(self, ran: Ran) -> Ran:
        """No traceback, no bug, no other exit code than the documented ones."""
        assert "Traceback" not in ran.said, ran.said
        bugs = [path.read_text("utf-8") for path in self.folder.rglob("mailer-bug*")]
        assert not bugs, bugs[0]
        assert ran.code in {0, 1, 2, 3, 4}, ran
        return ran

    # -- what is true afterwards

    def accepted(self) -> Counter[str]:
        """How often the server accepted a message for each address; each message was for one person."""
        assert self.server is not None
        messages = list(self.server.accepted)
        assert all(len(message.rcpt_to) == 1 for message in messages)
        return Counter(message.rcpt_to[0] for message in messages)

    def nothing_sent(self) -> bool:
        """Whether the server never even heard of a message."""
        assert self.server is not None
        return not self.server.accepted and not any(
            line.startswith("C: MAIL") for transcript in self.server.transcripts for line in transcript
        )

    def status(self) -> dict[str, Any]:
        ran = self.call("status", self.name, "--json")
        assert ran.code == 0, ran
        return ran.data

    def report(self) -> list[dict[str, str]]:
        file = self.folder / "report.csv"
        ran = self.call("report", self.name, "--csv", str(file))
        assert ran.code == 0, ran
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))

    def settled(self, addresses: Sequence[str] | None = None) -> dict[str, int]:
        """How many deliveries stand where, after comparing list, server, `status` and `report` person by person."""
        assert self.server is not None
        told = self.report()
        expected = [row["email"] for row in self.rows] if addresses is None else addresses
        assert sorted(row["address"] for row in told) == sorted(expected), "the report is not the list"
        found = {status: {row["address"] for row in told if row["status"] == status} for status in statuses(told)}
        accepted = self.accepted()
        twice = [address for address, times in accepted.items() if times > 1]
        assert not twice, f"{len(twice)} people were mailed twice"
        certain, unsure = found.get("sent", set()), found.get("uncertain", set()) | found.get("sending", set())
        assert certain <= set(accepted), "sent, says the ledger; the server never accepted it"
        assert set(accepted) <= certain | unsure, "the server accepted it; the ledger does not know"
        assert not self.server.violations
        self._check_headers({row["message_id"] for row in told if row["status"] == "sent"})
        status = self.status()
        counted = {name: status[name] for name in found}
        assert counted == dict(statuses(told))
        assert sum(counted.values()) == status["total"] == len(told)
        return counted

    def _check_headers(self, identifiers: set[str]) -> None:
        assert self.server is not None
        for message in list(self.server.accepted):
            headers = BytesHeaderParser().parsebytes(message.content)
            assert message.rcpt_to[0] in headers["To"]
            assert headers.get_all("To") == [headers["To"]]
            assert not set(headers) & {"Bcc", "Cc"}
        assert identifiers <= {message.message_id for message in self.server.accepted}


def statuses(rows: Sequence[Mapping[str, str]]) -> Counter[str]:
    return Counter(row["status"] for row in rows)


def lines_of(screen: str) -> list[str]:
    """What a terminal shows in the end: without colours, and with only the last state of a line that was rewritten."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    return [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]


@contextlib.contextmanager
def beginning(folder: Path, **options: Any) -> Iterator[Journey]:
    """A journey with a server of its own."""
    with ScriptedServer() as server:
        journey = Journey(folder, server, **options)
        try:
            yield journey
        finally:
            journey.end()
