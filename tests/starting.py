"""Starts programs in Python as `subprocess` does; the same ones over and over, on Linux, without importing everything anew.

Such a program is forked by a server that has imported the libraries (tests/fork_server.py), and is then a child of this
process like any other: with the folder, environment, streams, session and umask asked for, and the same exit code and signals.
What the tests are about must not depend on it: whatever looks at imports, memory or the first moments of a program uses
`subprocess` itself, and PLAIN_STARTS=1 makes all of them do so.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

POSSIBLE = sys.platform == "linux" and not os.environ.get("PLAIN_STARTS")
"""Only Linux lets a process adopt what another one leaves behind; macOS warns of forks of whatever has loaded its frameworks."""

SHAPING = (
    "PYTHON",
    "LC_",
    "LANG",
    "TYPER_",
    "_TYPER_",
    "PYDANTIC_",
    "PSYCOPG_",
    "PANDAS_",
    "NPY_",
    "NUMPY_",
    "OPENBLAS_",
)
SHAPING += (
    "HOME",
    "XDG_",
    "MPL",
    "MATPLOTLIB",
    "PILLOW_",
    "SSL_CERT_",
    "FORCE_COLOR",
    "PY_COLORS",
    "TERMINAL_WIDTH",
    "GITHUB_ACTIONS",
    "ARROW_",
    "LD_",
    "MALLOC_",
)
"""How names of variables begin that the interpreter or a library reads when it starts: each setting of theirs has its server."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Keeps libraries from beginning threads when they are imported, which a fork would not take along."""

READ_LATER = {"PYTHON_KEYRING_BACKEND"}
"""Begins so, too, but is read by what no server imports."""

WORTH_IT = 2
"""How often the same surroundings are asked for before a server is begun for them: it takes as long as two plain starts."""

MOST = 4
PR_SET_CHILD_SUBREAPER = 36


class Server:
    """One fork server, for programs in the same surroundings."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(theirs.fileno())],
                env={**environment, **ONE_THREAD}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                cwd="/", pass_fds=[theirs.fileno()],
            )  # fmt: skip
        self.useful = self._control.recv(20) == b"ready"
        atexit.register(self.close)

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Start a program; comes to the number of its process, which is a child of this one."""
        with self._lock, adopting():
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
            return int(self._control.recv(20))

    def close(self) -> None:
        self._control.close()
        self._process.wait(30)


@contextlib.contextmanager
def adopting() -> Any:
    """Meanwhile processes whose parent ends become children of this one; before and after, of the system's first."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, ctypes.get_errno()
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


Surroundings = frozenset[tuple[str, str]]
_servers: dict[Surroundings, Server] = {}
_asked: Counter[Surroundings] = Counter()
_lock = threading.Lock()


def server_for(environment: Mapping[str, str]) -> Server | None:
    """The server for these surroundings, if there is one, or it is time for one."""
    surroundings = frozenset(
        item for item in environment.items() if item[0].startswith(SHAPING) and item[0] not in READ_LATER
    )
    with _lock:
        _asked[surroundings] += 1
        if surroundings not in _servers and _asked[surroundings] >= WORTH_IT and len(_servers) < MOST:
            _servers[surroundings] = Server(environment)
        found = _servers.get(surroundings)
    return found if found and found.useful else None


class Program(subprocess.Popen[Any]):
    """`subprocess.Popen`, for which the fork server does what fork and exec do there."""

    def __init__(self, server: Server, words: Sequence[str], **options: Any) -> None:
        self._server = server
        super().__init__(words, **options)

    def _execute_child(self, *given: Any) -> None:
        parent: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]
        asked = inspect.signature(parent).bind(self, *given).arguments
        folder = os.fspath(asked["cwd"] or Path.cwd())
        os.stat(folder)  # noqa: PTH116 - as there: FileNotFoundError here, not in the child
        request = {
            "words": [os.fspath(word) for word in asked["args"][1:]],
            "folder": os.path.abspath(folder),  # noqa: PTH100 - a link stays one
            "environment": dict(asked["env"] if asked["env"] is not None else os.environ),
            "umask": current_umask(),
            "new_session": bool(asked["start_new_session"]),
        }
        theirs = [
            standard if descriptor == -1 else descriptor
            for standard, descriptor in enumerate((asked["p2cread"], asked["c2pwrite"], asked["errwrite"]))
        ]
        try:
            self.pid = self._server.fork(request, theirs)
            self._child_created = True
        finally:
            ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(asked[name] for name in ends))  # type: ignore[attr-defined]


def current_umask() -> int:
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("\nUmask:")[2].split()[0], 8)


FORKABLE = {"cwd", "env", "stdin", "stdout", "stderr", "encoding", "errors", "text", "bufsize", "start_new_session"}


def start(words: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """`subprocess.Popen(words, **options)`, only quicker where it can be."""
    texts = [os.fspath(word) for word in words]
    in_python = texts[0] == sys.executable and (texts[1] == "-m" or texts[1].endswith(".py"))
    if POSSIBLE and in_python and options.keys() <= FORKABLE:
        environment = options.get("env")
        server = server_for(os.environ if environment is None else environment)
        if server:
            return Program(server, texts, **options)
    return subprocess.Popen(texts, **options)


def run(
    words: Sequence[str | Path], *, timeout: float, capture_output: bool = False, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run(words, **options)`, only quicker where it can be."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(words, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done
