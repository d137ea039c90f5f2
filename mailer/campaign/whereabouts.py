"""In which files of a campaign's folder somebody's address stands: lists, previews, reports, mails. Files are only read.

It is looked for as text, in capitals or not, in the usual encodings; workbooks and documents are looked through part by part. What is
encrypted, and what cannot be read, is told apart, since nobody knows what is in there.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mailer import age
from mailer.archives import UNREADABLE
from mailer.ledger import cipher

CHUNK = 1 << 20

MOST_OCTETS = 2_000_000_000
"""Of an archive's parts, unpacked: more is no workbook."""

OPAQUE = frozenset({".pdf", ".parquet", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".numbers"})
"""Formats that hold text packed, so that not to find it means nothing."""

ARCHIVES = frozenset({".zip", ".xlsx", ".xlsm", ".ods", ".odt", ".docx"})
"""What is looked through, but not where it stands within another archive."""

ENCODINGS = ("utf-8", "cp1252", "utf-16-le", "utf-16-be")
AROUND = dict.fromkeys(("utf-8", "cp1252"), (rb"(?<![a-z0-9._+-])", rb"(?![a-z0-9-]|\.[a-z0-9])"))
"""What may stand neither before nor after an address."""

LONGEST = 2048
"""Octets: more than any address has in any encoding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whereabouts:
    """Files that name an address, and those of which that cannot be told; both by their path within the folder."""

    found: Sequence[Path]
    closed: Sequence[Path]


def whereabouts(folder: Path, keys: Iterable[str], *, ledger: Path | None = None) -> Whereabouts:
    """Look through a folder and those in it, but for hidden ones and links. `ledger` is asked by itself, and left out here."""
    wanted = _Wanted(dict(spelling for key in keys for spelling in _spellings(key)))
    found, closed = [], []
    for path in _files(folder, ledger):
        place = path.relative_to(folder)
        try:
            if _holds(path, wanted):
                found.append(place)
                continue
        except UNREADABLE:
            closed.append(place)
            continue
        if path.suffix.lower() in OPAQUE or path.suffix.lower() == age.SUFFIX:
            closed.append(place)
    return Whereabouts(found=found, closed=closed)


def _files(folder: Path, ledger: Path | None) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for path in (Path(top) / name for name in sorted(names)):
            if not path.is_symlink() and path.is_file() and not (ledger and _is_of_ledger(path, ledger)):
                yield path


def _is_of_ledger(path: Path, ledger: Path) -> bool:
    mine = path.name == ledger.name or path.name.startswith(f"{ledger.name}-")
    return mine and path.parent.resolve() == ledger.parent.resolve()


class _Wanted:
    """Addresses as they may stand in a file, each with a pattern that does not find it in a longer one."""

    def __init__(self, spellings: Mapping[bytes, bytes]) -> None:
        self._words = tuple(spellings)
        self._pattern = re.compile(b"|".join(spellings.values()))

    def is_in(self, text: bytes) -> bool:
        # a pattern of many looks at each octet for each of them; most files hold none
        return any(word in text for word in self._words) and self._pattern.search(text) is not None


def _spellings(key: str) -> Iterator[tuple[bytes, bytes]]:
    """An address in lower case, as each encoding has it, and the pattern for it."""
    local, _, domain = key.rpartition("@")
    texts = {key}
    if "xn--" in domain:
        with suppress(UnicodeError):
            texts.add(f"{local}@{domain.encode('ascii').decode('idna')}")
    for text in sorted(texts):
        for encoding in ENCODINGS:
            with suppress(UnicodeError):
                before, after = AROUND.get(encoding, (b"", b""))
                yield (word := text.encode(encoding)), before + re.escape(word) + after
        if not text.isascii():
            # as XML and JSON may write it
            for word in (text.encode("ascii", "xmlcharrefreplace"), json.dumps(text)[1:-1].encode()):
                yield word, re.escape(word)


def _holds(path: Path, wanted: _Wanted) -> bool:
    with path.open("rb") as file:
        if file.read(cipher.SALT).startswith(tuple(cipher.MARKS.values())):
            raise EOFError  # a copy of an encrypted ledger
        file.seek(0)
        if _in_stream(file, wanted):
            return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > MOST_OCTETS:
            raise EOFError
        for part in archive.infolist():
            with archive.open(part) as content:
                if _in_stream(content, wanted):
                    return True
        if any(Path(name).suffix.lower() in OPAQUE | ARCHIVES for name in archive.namelist()):
            raise EOFError
    return False


def _in_stream(stream: IO[bytes], wanted: _Wanted) -> bool:
    """Piece by piece, each with the end of the one before, in which an address may begin."""
    before = b""
    while chunk := stream.read(CHUNK):
        # ASCII letters only, whatever the encoding
        text = before + chunk.lower()
        if wanted.is_in(text):
            return True
        before = text[-LONGEST:]
    return False
