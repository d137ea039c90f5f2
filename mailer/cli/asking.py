"""Questions to whoever sits at the terminal; where an option answers one, it is not asked."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from mailer.account import NO_ANSWER
from mailer.cli import console
from mailer.errors import UsageError

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interview:
    """Gets each answer from its option, from a person if `asks`, or else takes what is usual. Raises UsageError for none."""

    asks: bool
    example: str

    def answer(
        self, option: str, given: str | None, question: str, check: Callable[[str], Kind], usual: str = ""
    ) -> Kind:
        """`check` makes the answer of the text, or raises ValueError with a sentence."""
        if given is None and self.asks:
            return ask(question, check, usual)
        if given is None and not usual:
            raise UsageError(f"{option} is missing. Nothing was changed.", hint=f"for example: {self.example}")
        try:
            return check(usual if given is None else given)
        except ValueError as error:
            raise UsageError(f"{option}: {error}. Nothing was changed.", hint=f"for example: {self.example}") from error

    def note(self, text: str) -> None:
        console.note(text)

    def unasked(self) -> Interview:
        return replace(self, asks=False)


def require_somebody(example: str) -> None:
    """Raise UsageError where nobody can answer."""
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            "Nobody is there to answer questions. Nothing was changed.",
            hint=f"run it in a terminal, or give the answers as options: {example}",
        )


def ask(question: str, check: Callable[[str], Kind], usual: str = "") -> Kind:
    """Until the answer is a good one; nothing but Enter means what is usual. Raises UsageError at the end of the input."""
    while True:
        prompt = f"{question} [{usual}]: " if usual else f"{question}: "
        console.err().print(console.harmless(prompt), end="", soft_wrap=True)
        try:
            line = sys.stdin.readline()
            if not line:
                raise UsageError(NO_ANSWER)
            return check(line.strip() or usual)
        except UnicodeDecodeError:
            console.note("  That cannot be read; please type it again.", style="yellow")
        except ValueError as error:
            console.note(f"  Not so: {error}.", style="yellow")


def ask_secret(question: str) -> str:
    """Without showing what is typed; nothing but Enter gives up. Raises UsageError."""
    try:
        typed = getpass.getpass(f"{question}: ")
    except EOFError:
        typed = ""
    if not typed:
        raise UsageError(NO_ANSWER)
    return typed


def yes(text: str) -> bool:
    """Raises ValueError for anything but yes and no."""
    if text.lower() in {"y", "yes"}:
        return True
    if text.lower() in {"n", "no"}:
        return False
    raise ValueError("write yes or no")
