"""A layer of settings: plain texts that remember where they were written, so that a problem can point there."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mailer.model import Problem, Severity, as_said, said

PREFIX = "MAILER_"
NOT_SETTINGS = ("crash_at", "test_", "testing", "json_parts")
"""Names after the prefix that belong to tests and to the page's own commands, not to people."""

SECRETS = ("smtp_password", "imap_password", "passphrase", "proxy", "ledger")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a setting was written, and how its name is spelled there."""

    spelling: str
    place: str
    file: str | None = None
    line: int | None = None

    def example(self, value: str) -> str:
        """The setting as it could be written there."""
        if self.place == "mailer.toml":
            bare = value.isdigit() or value in {"true", "false"}
            section, _, name = self.spelling.rpartition(".")
            written = f"{name} = {value if bare else json.dumps(value, ensure_ascii=False)}"
            return said("{written} below [{section}]", written=written, section=section) if section else written
        return f'{self.spelling} "{value}"' if self.spelling.startswith("--") else f"{self.spelling}={value}"

    def problem(self, code: str, sentence: str, *, severity: Severity = Severity.PROBLEM) -> Problem:
        message = said(
            "{name} (from {place}): {sentence}", name=self.spelling, place=self.place, sentence=as_said(sentence)
        )
        return Problem(code=code, message=message, file=self.file, row=self.line, severity=severity)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One setting as text. Its text may be a password, so it is left out of the representation."""

    text: str = field(repr=False)
    origin: Origin
    path: Path | None = None
    """The file that holds it, if the setting only names one."""


@dataclass(kw_only=True, slots=True)
class Layer:
    """What one source says: known settings by their lower-case names, and what is wrong with the rest."""

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    relays: dict[str, Layer] = field(default_factory=dict)
    """What it says of each relay, by its lower-case name."""

    def add(self, name: str, text: str, origin: Origin, known: Collection[str]) -> None:
        """Take up a setting. An empty one counts as not set; an unknown one is a problem, likely a typing error."""
        if name in known:
            if text.strip():
                self.entries[name] = Entry(text=text, origin=origin)
        elif not name.startswith(NOT_SETTINGS):
            self.problems.append(unknown(name, origin, known))


def unknown(name: str, origin: Origin, known: Collection[str]) -> Problem:
    meant = get_close_matches(name.lower().removeprefix(PREFIX.lower()), known, n=1, cutoff=0.6)
    sentence = said("there is no such setting")
    if meant:
        above = "" if origin.place == "mailer.toml" else origin.spelling.upper().removesuffix(name.upper())
        spelling = meant[0] if origin.place == "mailer.toml" else (above or PREFIX) + meant[0].upper()
        sentence = said("there is no such setting; did you mean {name}?", name=spelling)
    # Something else on the computer may use the prefix, so only a likely typing error stops a command there.
    mild = origin.place == "the environment" and not meant
    return origin.problem("unknown-setting", sentence, severity=Severity.WARNING if mild else Severity.PROBLEM)


def plain(value: Any) -> str | None:
    """A TOML value as the text that the environment would have; a list of texts is joined with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and abs(value) < 10**9:
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return None
