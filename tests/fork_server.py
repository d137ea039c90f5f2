"""A process that has imported the libraries once and becomes a program when asked: python tests/fork_server.py DESCRIPTOR.

Of `mailer` it imports nothing: each program does so itself, as ever, with its own environment and in its own order.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import socket
import sys
import threading
import time
import types
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

LIBRARIES = (
    "aiosmtplib", "aiosmtpd.smtp", "asyncio", "concurrent.futures.thread", "css_inline", "cryptography.x509",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.serialization", "dns.resolver", "docxtpl", "email.policy", "email_validator", "filelock",
    "fpdf", "idna",
    "imap_tools", "itsdangerous", "jinja2.sandbox", "markdown_it", "matplotlib.backends.backend_svg", "pandas", "psycopg",
    "pyarrow.csv", "pydantic_settings", "python_calamine", "python_socks", "rich.console", "rich.progress", "rich.table", "sqlite3",
    "starlette.applications", "typer", "typer.rich_utils", "uvicorn", "uvloop", "yaml",
)  # fmt: skip
"""What many commands import. A library that keeps what it finds in HOME or in a temporary folder has no place here."""

LARGEST = 1 << 20
"""Bytes of a request, at most."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The program that is asked for; its standard input, output and errors come beside it."""

    words: list[str]
    """As for the interpreter, without its own name: ["-m", MODULE, ...] or [SCRIPT, ...]."""
    folder: str
    environment: dict[str, str]
    umask: int
    new_session: bool


def serve(control: socket.socket) -> Request:
    """Answer each request with the number of the new process; comes back in that process only."""
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, LARGEST, 3)
        if not said:  # nobody is there any more
            os._exit(0)
        if forked(control):
            settle(descriptors)
            return Request(**json.loads(said))
        for number in descriptors:
            os.close(number)


def forked(control: socket.socket) -> bool:
    """Fork a process whose parent is that of this one, as if it had been started there. Whether this is the new process.

    It is forked by a process in between, which ends at once: whoever asked has offered to adopt what it leaves behind.
    """
    number, told = os.pipe()
    waiting, begin = os.pipe()
    between = os.fork()
    if between == 0:
        if os.fork():
            os._exit(0)
        os.write(told, str(os.getpid()).encode())
        os.close(begin)
        os.read(waiting, 1)
        for descriptor in (number, told, waiting, control.fileno()):
            os.close(descriptor)
        return True
    os.waitpid(between, 0)
    found = os.read(number, 20)
    control.sendall(found)
    for descriptor in (number, told, waiting, begin):  # the last one lets it go
        os.close(descriptor)
    return False


def settle(descriptors: list[int]) -> None:
    """What was passed becomes standard input, output and errors, and nothing else stays open."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)  # those passed are higher: this process has all three itself
        os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        stream = reopened(getattr(sys, name))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def reopened(own: TextIO) -> TextIO:
    """A standard stream made anew as the interpreter makes it: a terminal is written to line by line, a file is not."""
    number, writes, unbuffered = own.fileno(), own.fileno() > 0, bool(getattr(own, "write_through", False))
    binary: Any = open(number, "wb" if writes else "rb", buffering=0 if writes and unbuffered else -1, closefd=False)  # noqa: SIM115
    getattr(binary, "raw", binary).name = own.name
    line_by_line = not unbuffered and (number == 2 or binary.isatty())
    text: Any = io.TextIOWrapper(
        binary, own.encoding, own.errors, newline="\n", line_buffering=line_by_line, write_through=unbuffered
    )
    text.mode = "w" if writes else "r"
    return text


def become(request: Request) -> NoReturn:
    """Be the program, to its end."""
    if request.new_session:
        os.setsid()
    os.umask(request.umask)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    sys.orig_argv[1:] = request.words
    try:
        run(request.words, request.folder)
    except SystemExit as end:
        leave(end.code)
        raise
    sys.exit()


def run(words: list[str], folder: str) -> None:
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if words[0] == "-m":
        sys.path[0] = folder
        sys.argv[:] = ["-m", *words[2:]]
        runpy._run_module_as_main(words[1])  # what the interpreter itself does with -m
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))  # noqa: PTH100, PTH120
        sys.argv[:] = words
        main.__file__ = words[0]
        with io.open_code(words[0]) as file:
            code = compile(file.read(), words[0], "exec")
        exec(code, main.__dict__)


def leave(code: object) -> None:
    """End as the interpreter does, but for taking all modules apart: the libraries' are shared until somebody writes to them.

    Comes back where there is something to say, which is the interpreter's business.
    """
    if code is not None and not isinstance(code, int):
        return
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


def threads() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208


def main(descriptor: int) -> None:
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # A fork takes one thread along; what others held would be held for ever.
    control.sendall(b"ready" if threads() == 1 else b"threads")
    become(serve(control))


if __name__ == "__main__":
    main(int(sys.argv[1]))
