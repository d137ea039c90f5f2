"""A program that is forked is the same to itself and to others as one that is started (tests/starting.py)."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import starting
from fork_server import LIBRARIES

pytestmark = pytest.mark.skipif(not starting.POSSIBLE, reason="every program is started plainly here")

Start = Callable[..., "subprocess.Popen[Any]"]

LOOK = """
import json, os, signal, sys, threading
streams = [sys.stdin, sys.stdout, sys.stderr]
told = {
    "arguments": sys.argv, "words": sys.orig_argv, "path": sys.path, "flags": str(sys.flags), "folder": os.getcwd(),
    "environment": dict(os.environ), "umask": os.umask(0), "parent": os.getppid(), "user": os.getuid(),
    "group": os.getpgrp() == os.getpid() or os.getpgrp(), "session": os.getsid(0) == os.getpid() or os.getsid(0),
    "open": [number for number in sorted(map(int, os.listdir("/proc/self/fd"))) if os.path.exists(f"/proc/self/fd/{number}")],
    "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "streams": [[s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), s.fileno(), s.newlines]
                for s in streams],
    "layers": [[type(s).__name__, type(s.buffer).__name__, type(getattr(s.buffer, "raw", None)).__name__] for s in streams],
    "originals": [sys.__stdin__ is sys.stdin, sys.__stdout__ is sys.stdout, sys.__stderr__ is sys.stderr],
    "main": [__name__, __file__, __package__, str(__spec__ and __spec__.name), sys.modules["__main__"].__dict__ is globals()],
    "names": sorted(globals().keys() - {"__annotations__", "__cached__"}), "hooks": [sys.excepthook is sys.__excepthook__, str(sys.gettrace()), sys.getrecursionlimit()],
    "thread": [threading.current_thread().name, threading.active_count(), len(os.listdir("/proc/self/task"))],
    "ours": sorted(name for name in sys.modules if name.partition(".")[0] in {"mailer", "fork_server", "starting"}),
}
print(json.dumps(told))
"""

ENDS = {
    "nothing": "",
    "a number": "import sys; sys.exit(3)",
    "none": "import sys; sys.exit()",
    "no": "import sys; sys.exit(False)",
    "below zero": "import sys; sys.exit(-3)",
    "words": "import sys; sys.exit('that is all')",
    "an error": "def f(): raise ValueError('no')\nf()",
    "an interrupt": "raise KeyboardInterrupt",
    "at once": "import os; os._exit(7)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "ctrl-c": "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(30)",
    "words that wait": "import sys; sys.stdout.write('half a line'); sys.stderr.write('and'); sys.exit(1)",
    "last words": "import atexit, sys; atexit.register(print, 'bye'); sys.exit(2)",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()",
    "nobody listens": "import os; print('x'); os.close(1)",
    "a last error": "import atexit, sys; atexit.register(lambda: 1 / 0); sys.exit(4)",
    "a dropped object": "import sys\nclass Last:\n    def __del__(self): print('gone')\nlast = Last()\ndel last\nsys.exit(5)",
    "a copy": "import os, sys\nif os.fork() == 0: sys.exit(6)\nsys.exit(os.waitstatus_to_exitcode(os.wait()[1]))",
}


@pytest.fixture(scope="module")
def server() -> Iterator[starting.Server]:
    made = starting.Server(os.environ)
    if not made.useful:
        pytest.skip("libraries begin threads here")
    yield made
    made.close()


@pytest.fixture
def starts(server: starting.Server) -> tuple[Start, Start]:
    """Plainly, and by the server."""
    return subprocess.Popen, lambda words, **options: starting.Program(server, words, **options)


def script(folder: Path, text: str) -> list[str]:
    path = folder / "a program.py"
    path.write_text(text, encoding="utf-8")
    return [sys.executable, str(path), "one", "zwei drei", ""]


def ended(start: Start, words: list[str], **options: Any) -> tuple[int, bytes, bytes]:
    process = start(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("module", [False, True], ids=["a script", "a module"])
@pytest.mark.parametrize("apart", [False, True], ids=["in our session", "in its own"])
@pytest.mark.thorough
def test_it_finds_itself_as_a_started_one_does(
    starts: tuple[Start, Start], tmp_path: Path, *, module: bool, apart: bool
) -> None:
    words = script(tmp_path, LOOK)
    if module:
        (tmp_path / "look.py").write_text(LOOK, encoding="utf-8")
        words[1:2] = ["-m", "look"]
    environment = os.environ | {"TZ": "Asia/Karachi", "A=B": "", "ÄÖ\udcff": "\udc80", "MAILER_RATE": "1/second"}
    environment.pop("A=B")
    before = os.umask(0o027)
    try:
        plainly, forked = (
            ended(start, words, cwd=tmp_path, env=environment, start_new_session=apart) for start in starts
        )
    finally:
        os.umask(before)
    assert plainly[0] == forked[0] == 0, (plainly, forked)
    expected, found = json.loads(plainly[1]), json.loads(forked[1])
    assert found == expected
    assert (expected["umask"], expected["parent"], expected["open"]) == (0o027, os.getpid(), [0, 1, 2])


def test_at_a_terminal_its_streams_are_those_of_a_terminal(starts: tuple[Start, Start], tmp_path: Path) -> None:
    told = []
    for start in starts:
        ours, theirs = pty.openpty()
        process = start(
            script(tmp_path, LOOK), env=dict(os.environ), stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        with open(ours, encoding="utf-8") as screen:  # noqa: PTH123 - a descriptor
            told.append(json.loads(screen.readline()))
        assert process.wait(30) == 0
    assert told[0] == told[1]
    assert [stream[6] for stream in told[1]["streams"]] == [True, True, True]


@pytest.mark.parametrize("text", ENDS.values(), ids=list(ENDS))
@pytest.mark.thorough
def test_it_ends_as_a_started_one_does(starts: tuple[Start, Start], tmp_path: Path, text: str) -> None:
    plainly, forked = (ended(start, script(tmp_path, text)) for start in starts)
    assert forked[:2] == plainly[:2]
    assert forked[2].splitlines()[-1:] == plainly[2].splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP])
def test_signals_reach_it_and_its_end_is_heard_of(
    starts: tuple[Start, Start], tmp_path: Path, number: signal.Signals
) -> None:
    for start in starts:
        words = script(tmp_path, "print(flush=True); input()")
        process = start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout
        assert process.stdout.readline()
        assert process.poll() is None
        process.send_signal(number)
        if number == signal.SIGSTOP:
            assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
            process.kill()
        process.communicate(timeout=30)
        assert process.returncode == -(signal.SIGKILL if number == signal.SIGSTOP else number)


def test_what_one_does_to_a_library_the_next_one_does_not_see(starts: tuple[Start, Start], tmp_path: Path) -> None:
    words = script(
        tmp_path, "import os, pandas, random\nprint(hasattr(pandas, 'mine'), random.random())\npandas.mine = 1"
    )
    told = [ended(starts[1], words)[1].split() for _ in range(2)]
    assert [seen for seen, _ in told] == [b"False", b"False"]
    assert told[0][1] != told[1][1]


def test_many_at_once_each_get_their_own_answer(starts: tuple[Start, Start], tmp_path: Path) -> None:
    words = script(tmp_path, "import sys; print(sys.argv[1]); sys.exit(int(sys.argv[1]))")
    found: dict[int, tuple[int, bytes, bytes]] = {}

    def one(number: int) -> None:
        found[number] = ended(starts[1], [*words[:2], str(number)])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: (number, b"%d\n" % number, b"") for number in range(20)}


def test_a_folder_that_is_not_there_is_refused_here(starts: tuple[Start, Start], tmp_path: Path) -> None:
    for start in starts:
        with pytest.raises(FileNotFoundError):
            start(script(tmp_path, ""), cwd=tmp_path / "nowhere")


SEEN = """
import importlib, os, sys
seen = set()
class Seen(dict):
    def __getitem__(self, name):
        seen.add(name)
        return dict.__getitem__(self, name)
os.environ._data = Seen(os.environ._data)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*(name.decode() for name in seen if isinstance(name, bytes)), sep="\\n")
"""

DATE = re.compile(rb"^Date: .*$", re.MULTILINE)
HARMLESS = {"_PYTHON_PROJECT_BASE", "_PYTHON_SYSCONFIGDATA_NAME", "PYPARSINGENABLEALLWARNINGS", "CI", "PATH"}


@pytest.mark.thorough
def test_a_library_imported_early_looks_only_at_what_makes_servers_differ() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN, *LIBRARIES], capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    looked = set(done.stdout.split())
    assert "HOME" in looked
    assert not looked & starting.READ_LATER
    assert {name for name in looked if not name.startswith(starting.SHAPING)} <= HARMLESS


@pytest.mark.thorough
def test_the_seal_and_the_message_do_not_hang_on_the_order_of_sets(tmp_path: Path) -> None:
    """Forked programs share the seed of their hashes, started ones do not: here are two that differ in it."""
    from program import Program, copy_samples

    copy_samples(tmp_path)
    seals = set()
    for seed in ("1", "2"):
        program = Program(
            folder=tmp_path, settings={"PYTHONHASHSEED": seed, "MAILER_SENDER": "Union Office <office@example.org>"}
        )
        out = tmp_path / seed
        told = program.json("preview", "solidarity-appeal", "contacts/branches.csv", "--out", out)
        seals.add(told["seal"])
    assert len(seals) == 1
    one, two = (
        {path.name: DATE.sub(b"", path.read_bytes()) for path in (tmp_path / seed).rglob("*.eml")} for seed in "12"
    )
    assert len(one) == 14
    assert one == two
