"""The program `mailer`: runs a command and ends it calmly, whatever happens."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

try:
    from mailer import cli
    from mailer.cli import console
    from mailer.errors import MailerError, Paused
    from mailer.signals import STOPS
except KeyboardInterrupt:  # in the first moments there is nothing to stop, and nobody to say it nicely
    sys.stderr.write("Stopped. Nothing was sent.\n")
    sys.exit(3)

INTERRUPTED = 130
"""What typer returns after Ctrl-C, following the shells."""

STOPPED = {
    "send": "Interrupted. Nothing is lost: the same command continues where it stopped.",
    "check": "Stopped. Nothing was sent; run it again to start over.",
    "preview": "Stopped. Nothing was sent; run it again to start over.",
    "setup": "Stopped. Nothing was changed.",
    "test": "Stopped. The list was not mailed.",
}
"""What Ctrl-C means for a command."""

NO_MEMORY = "This computer has no memory left for this. Nothing is lost: what was sent is noted."
ROOM = "Close other programs and run the same command again; a very long list can be split into several files."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default the program's own) and return the exit code (DESIGN section 6)."""
    if arguments is None:
        speak_at_all()
        speak_utf_8()
        look_for_garbage_seldom()
    given = [readable(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    if arguments is None:
        sys.argv[1:] = given  # commands to be pasted are made of it
    console.prepare()
    with private_files(), quiet_interrupts(), signals_settled(for_good=arguments is None):
        try:
            return ended(given)
        except KeyboardInterrupt:  # once more, while the first one was being answered
            return Paused.exit_code


def speak_at_all() -> None:
    """Without a console (pythonw, a service of Windows), or with a closed descriptor, Python has no streams: words then go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  it must stay open


def speak_utf_8() -> None:
    """Start again in UTF-8 mode (PEP 540) where the locale says ASCII: names of people and files need more."""
    if os.name == "posix" and sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode and sys.executable:
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this program


def look_for_garbage_seldom() -> None:
    """A command takes some ten thousand objects to start, all of which stay: looking through them at every 700 finds nothing."""
    gc.set_threshold(50_000, 20, 100)


def readable(word: str) -> str:
    """An argument as text: bytes that were not text in this locale are taken for UTF-8, whatever is left becomes a mark."""
    try:
        return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # half a character, as Windows lets a name have
        return word.encode("utf-8", "replace").decode("utf-8")


@contextmanager
def private_files() -> Iterator[None]:
    """Who is on a list may tell their opinions or their union: what is written is for its owner's eyes only."""
    if os.name != "posix":  # elsewhere a file is as private as its folder
        yield
        return
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def signals_settled(*, for_good: bool) -> Iterator[None]:
    """Give back the signals that sending keeps (cli/stopping.py) to a program that calls this one.

    `for_good`: the program itself ends, and has said everything. A signal could only take its exit code away.
    """
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, signal.SIG_IGN if for_good else handler)


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Ctrl-C may come while Python clears something away, where nobody can catch it: no traceback for that either."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def ended(given: list[str]) -> int:
    """Run a command; however it ends, an exit code."""
    try:
        code = run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return abandoned()
    except MailerError as error:
        return failed(error, given)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except MemoryError:
        return failed(MailerError(NO_MEMORY, hint=ROOM), given)
    except Exception as error:  # noqa: BLE001  whatever it is, no traceback on the terminal
        from mailer.cli.bugs import bug  # noqa: PLC0415 - hopefully never needed

        return failed(bug(error), given)
    if code == INTERRUPTED:
        if sys.stderr.isatty():
            console.note()  # after the ^C
        return failed(Paused(STOPPED.get(next(iter(given), ""), "Stopped. Run it again to start over.")), given)
    return code


def failed(error: MailerError, given: list[str]) -> int:
    console.show_error(error, as_json="--json" in given)
    return error.exit_code


def run(arguments: list[str]) -> int:
    try:
        return cli.run(arguments or ["--help"])
    except SystemExit as stop:
        # typer turns a broken pipe into an exit.
        if isinstance(stop.__context__, OSError):
            raise BrokenPipeError from stop
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1


def abandoned() -> int:
    """Whoever read our output went away (`mailer report | head`); it was cut short, so the work may be, too."""
    # The interpreter flushes once more at the end; give it somewhere to flush to.
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  it must stay open
    return Paused.exit_code


if __name__ == "__main__":
    sys.exit(main())
