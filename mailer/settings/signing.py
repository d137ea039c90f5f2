"""The keys that sign messages (DKIM), read from the files that the settings name."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mailer.errors import SettingsError, quoted
from mailer.model import Problem, Severity, said, words_of
from mailer.settings.layers import Entry

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer
    from mailer.mime.keys import Key

MAIN = ("dkim_selector", "dkim_key_file")
SECOND = ("dkim_ed25519_selector", "dkim_ed25519_key_file")
NAMES = (*MAIN, "dkim_domain", *SECOND)

KINDS = {MAIN: "rsa-sha256", SECOND: "ed25519-sha256"}
MISPLACED = {
    MAIN: said(
        "it is an Ed25519 key, which many receivers cannot use yet; put an RSA key here, and this one into "
        "dkim_ed25519_key_file with a selector of its own"
    ),
    SECOND: said("it is an RSA key; it belongs into dkim_key_file"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """What signs the messages, if anything does, and what is odd about its keys without being wrong."""

    signer: Signer | None = None
    warnings: tuple[Problem, ...] = ()


@dataclass(kw_only=True, slots=True)
class _Reading:
    """The keys read so far. A problem is told by the setting that names the file, never by what is in it."""

    folder: Path
    entries: Mapping[str, Entry]
    domain: str
    found: list[Problem] = field(default_factory=list)

    def key(self, names: tuple[str, str]) -> Key | None:
        from mailer.mime.keys import BadKeyError, read_key  # noqa: PLC0415 - imports cryptography

        selector, pointer = self.entries[names[0]].text.strip().lower(), self.entries[names[1]]
        try:
            path = self.folder / Path(pointer.text.strip()).expanduser()
            text = path.read_bytes()
        except (OSError, ValueError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or said("that is no name of a file")
            sentence = said("the file cannot be read: {why}; see the README on how to make a key", why=why)
            self._say(names[1], sentence)
            return None
        try:
            key = read_key(text, domain=self.domain, selector=selector)
        except BadKeyError as error:
            self._say(names[1], words_of(error))
            return None
        if key.algorithm != KINDS[names]:
            self._say(names[1], MISPLACED[names])
            return None
        if key.is_short:
            sentence = said(
                "the key has {bits} bits only; some receivers distrust less than 2048, so make a new one", bits=key.bits
            )
            self._say(names[1], sentence, Severity.WARNING)
        if _read_by_all(path):
            sentence = said(
                "everybody on this computer can read the private key; close it: chmod 600 {path}", path=quoted(path)
            )
            self._say(names[1], sentence, Severity.WARNING)
        return key

    def _say(self, name: str, sentence: str, severity: Severity = Severity.PROBLEM) -> None:
        self.found.append(self.entries[name].origin.problem("dkim", sentence, severity=severity))


def read_signing(folder: Path, entries: Mapping[str, Entry], domain: str) -> Signing:
    """Read the keys that `entries` name, relative to the campaign folder. Raises SettingsError with every problem."""
    from mailer.mime.dkim import Signer  # noqa: PLC0415 - imports cryptography

    reading = _Reading(folder=folder, entries=entries, domain=domain)
    pairs = [MAIN, SECOND] if SECOND[0] in entries else [MAIN]
    keys = [key for key in map(reading.key, pairs) if key]
    if len({key.selector for key in keys}) < len(keys):
        sentence = "each key has a selector of its own, as one record in the DNS holds one key"
        reading.found.append(entries[SECOND[0]].origin.problem("dkim", sentence))
    if problems := [problem for problem in reading.found if problem.severity is Severity.PROBLEM]:
        raise SettingsError(
            "Messages cannot be signed (DKIM) with these settings. Nothing was sent.",
            hint="Without the dkim_ lines in the settings nothing is signed here; most providers sign for you.",
            problems=problems,
        )
    return Signing(signer=Signer(keys), warnings=tuple(reading.found))


def _read_by_all(path: Path) -> bool:
    """Whether other users of this computer may read a file; Windows does not tell."""
    return os.name == "posix" and bool(path.stat().st_mode & stat.S_IROTH)
