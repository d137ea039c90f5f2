"""Where a letter's files are looked for, and why merged data cannot point outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path, PurePosixPath

from mailer.errors import LetterError
from mailer.harmless import is_device
from mailer.merge.complaints import Origin, refuse
from mailer.model import Files, said

PACKAGED = "mailer:"
"""Prefix of files that come with the program; frozen with a campaign like any other, so that an update of the program
changes no letter that was already previewed."""

UNPORTABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
PRIVATE = re.compile(r"\.(?!\.?$).*|mailer\.toml|.*(\.db|\.lock|\.[^.]+-(wal|shm|journal))", re.IGNORECASE | re.DOTALL)
"""Passwords stand in .env and mailer.toml, everybody's addresses in the ledger: no letter has a use for them."""
SQLITE = b"SQLite format 3\x00"
"""A ledger may have any name."""
NOT_FOR_LETTERS = said("names a hidden file, the settings or a ledger, which no letter may hold")


class Folder(Files):
    """A campaign folder on disk. Relative paths never leave it, absolute ones only reach the folders admitted."""

    def __init__(self, root: Path, *, admitted: Iterable[Path] = ()) -> None:
        self.root = root
        self._inside = (root.resolve(), *(folder.resolve() for folder in admitted))

    def admitting(self, folder: Path) -> Folder:
        """The same folder, which also lets files be read that lie beside a letter outside of it."""
        return Folder(self.root, admitted=(*self._inside[1:], folder))

    def read(self, path: str) -> bytes:
        if path.startswith(PACKAGED):
            return packaged(path)
        target = self._locate(path)
        try:
            return _public(target.read_bytes(), path)
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(path) from error
        except PermissionError as error:
            if target.is_dir():
                raise FileNotFoundError(path) from error
            raise LetterError(said("{path} cannot be read: permission denied.", path=path)) from error
        except (ValueError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise FileNotFoundError(path) from error

    def exists(self, path: str) -> bool:
        if path.startswith(PACKAGED):
            return resources.files("mailer.merge").joinpath(path.removeprefix(PACKAGED)).is_file()
        try:
            return self._locate(path).is_file()
        except (LetterError, OSError, ValueError):
            return False

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(entry.name for entry in self._locate(folder).iterdir() if entry.is_file())
        except (LetterError, OSError, ValueError):
            return []

    def _locate(self, path: str) -> Path:
        """Follow links before comparing: a link inside the folder may point out of it."""
        target = Path(path) if Path(path).is_absolute() else self.root / path
        try:
            resolved = target.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise FileNotFoundError(path) from error
        if not any(resolved.is_relative_to(base) for base in self._inside):
            raise LetterError(
                said("{path} lies outside the campaign folder.", path=path),
                hint="Copy the file into the campaign folder and name it from there.",
            )
        if any(is_private(str(inside)) for inside in self._relative(resolved, target)):
            raise LetterError(said("{path} {reason}.", path=path, reason=NOT_FOR_LETTERS))
        return target

    def _relative(self, *paths: Path) -> Iterator[Path]:
        """The paths without the folders that hold them, which may well be hidden ones."""
        for path in paths:
            for base in (self.root, *self._inside):
                if path.is_relative_to(base):
                    yield path.relative_to(base)

    def holds(self, folder: str, path: str) -> bool:
        """Whether a path is still in a folder when all links are followed."""
        return (self.root / path).resolve().is_relative_to((self.root / folder).resolve())


class Recorder(Files):
    """Files that remembers which were read: they shape the letter, so they belong to its seal."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._content: dict[str, bytes] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self._content))

    def read(self, path: str) -> bytes:
        if path not in self._content:
            self._content[path] = self._from_source(path)
        return self._content[path]

    def _from_source(self, path: str) -> bytes:
        if path.startswith(PACKAGED) and not self._files.exists(path):
            return packaged(path)
        return self._files.read(path)

    def exists(self, path: str) -> bool:
        return path in self._content or self._files.exists(path)

    def names(self, folder: str) -> list[str]:
        return self._files.names(folder)

    def holds(self, folder: str, path: str) -> bool:
        """Whether a path is still in a folder when all links are followed; what is not on a disk has none."""
        return not isinstance(self._files, Folder) or self._files.holds(folder, path)

    def peek(self, path: str) -> bytes:
        """Read without keeping: for files of one row among many."""
        return self._content.get(path) or self._files.read(path)


def _public(content: bytes, path: str) -> bytes:
    if content.startswith(SQLITE):
        raise LetterError(said("{path} is a database, which no letter may hold.", path=path))
    return content


def is_private(path: str) -> bool:
    """Whether a path names something that must not be mailed, by any of its parts."""
    return any(PRIVATE.fullmatch(part) for part in re.split(r"[/\\]", path))


def packaged(path: str) -> bytes:
    return resources.files("mailer.merge").joinpath(path.removeprefix(PACKAGED)).read_bytes()


def text_of(files: Files, path: str) -> str:
    """A letter's file as text. UTF-8 with or without BOM, UTF-16 with BOM; line ends become LF."""
    content = files.read(path)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise refuse(
            "letter-encoding",
            "there is a character that is not UTF-8 text.",
            at=Origin(file=path, line=line),
            hint="Save the file again with the encoding UTF-8 (in most editors: Save as, Encoding).",
        ) from error
    if "\x00" in text:
        raise refuse("letter-encoding", "this is not a text file.", at=Origin(file=path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def unsafe_reason(path: str) -> str | None:
    """Why a path that holds merged data may not be opened; None if it may. A cell could say ../../etc/passwd."""
    parts = path.split("/")
    if not path or path.startswith("/") or "\\" in path or (len(path) > 1 and path[1] == ":"):
        return said("must be a path inside the letter's folder or the campaign folder")
    if ".." in parts or "." in parts or "" in parts:
        return said("must not go up to other folders or hold empty parts")
    if any(is_device(part) or UNPORTABLE.search(part) or part.endswith((".", " ")) for part in parts):
        return said("holds characters or a name that cannot be a file name on every computer")
    if any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
        return said("is too long for a file name")
    return NOT_FOR_LETTERS if is_private(path) else None


def written_reason(path: str) -> str | None:
    """Why a path in a letter's front matter cannot be meant; None if it can."""
    if not path.strip():
        return said("is empty")
    if "\\" in path:
        return said("must be written with / between folders, also on Windows")
    if path.startswith("/") or (len(path) > 1 and path[1] == ":") or ".." in PurePosixPath(path).parts:
        return said("must lie inside the letter's folder or the campaign folder")
    return NOT_FOR_LETTERS if is_private(path) else None


def find(files: Files, path: str, folders: Iterable[str]) -> str | None:
    """The first of the folders that has the file, as a path to read."""
    return next((key for folder in folders if files.exists(key := join(folder, path))), None)
