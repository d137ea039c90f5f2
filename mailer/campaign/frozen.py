"""The files behind a letter, recorded as they are read, and given back from the ledger when it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mailer import merge
from mailer.errors import LetterError
from mailer.model import said


class Recorded(merge.Folder):
    """A campaign folder that remembers the digest of each file read. Contents are not kept: there may be gigabytes."""

    def __init__(self, root: Path, *, admitted: Iterable[Path] = ()) -> None:
        self._admitted = tuple(admitted)
        super().__init__(root, admitted=self._admitted)
        self.digests: dict[str, str] = {}
        self._readers: dict[str, Recorded] = {}

    def admitting(self, folder: Path) -> Recorded:
        """As this one, for a letter outside of the campaign folder; what either reads, both remember."""
        wider = Recorded(self.root, admitted=(*self._admitted, folder))
        wider.digests, wider._readers = self.digests, self._readers
        return wider

    def read(self, path: str) -> bytes:
        path = str(path)  # what a template fills in may be more than a text
        content = super().read(path)
        self.digests[path] = hashlib.sha256(content).hexdigest()
        self._readers[path] = self
        return content

    @property
    def is_whole(self) -> bool:
        """Whether everything was read through this folder, and nothing through a wider one."""
        return all(reader is self for reader in self._readers.values())

    def note(self, digests: Mapping[str, str]) -> bool:
        """Remember what another process read through the same folder. False if it read something else than this one."""
        if any(self.digests.get(path, digest) != digest for path, digest in digests.items()):
            return False
        for path, digest in digests.items():
            self.digests[path] = digest
            self._readers.setdefault(path, self)
        return True

    def content(self, path: str) -> bytes:
        """The file once more. Raises LetterError if it is no longer what was rendered."""
        expected = self.digests[path]
        content = self._readers[path].read(path)
        if self.digests[path] != expected:
            raise LetterError(
                said("{path} was changed while the messages were being checked.", path=path),
                hint="run the command again",
            )
        return content


class Frozen:
    """The files of a campaign as the ledger keeps them: nothing is read from the campaign folder."""

    def __init__(self, digests: Mapping[str, str], blob: Callable[[str], bytes]) -> None:
        self._digests = digests
        self._blob = lru_cache(maxsize=256)(blob)

    def read(self, path: str) -> bytes:
        if path not in self._digests:
            raise FileNotFoundError(path)
        return self._blob(self._digests[path])

    def exists(self, path: str) -> bool:
        return path in self._digests

    def names(self, folder: str) -> list[str]:
        parent = PurePosixPath(folder)
        return sorted(PurePosixPath(path).name for path in self._digests if PurePosixPath(path).parent == parent)
