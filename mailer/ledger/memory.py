"""What was previewed, so that a stale seal can be answered with the difference."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from mailer.ledger.store import Store, manifest_from, moment
from mailer.model import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What an earlier preview vouched for. `digests` maps a contact's key to a digest of its details."""

    manifest: Manifest
    made_at: datetime
    digests: Mapping[str, str] = field(default_factory=dict)


class Digests:
    """A digest of each contact's details by key, packed as they come: those of a million are never there at once."""

    def __init__(self, digests: Mapping[str, str] | None = None) -> None:
        self._packer = zlib.compressobj()
        self._parts = [self._packer.compress(b"{")]
        self._mark = b""
        for key, digest in (digests or {}).items():
            self.add(key, digest)

    def add(self, key: str, digest: str) -> None:
        # most calls only fill the packer's own memory, and give nothing
        if part := self._packer.compress(self._mark + f"{json.dumps(key)}:{json.dumps(digest)}".encode()):
            self._parts.append(part)
        self._mark = b","

    def packed(self) -> bytes:
        """All of them; nothing can be added then."""
        return b"".join([*self._parts, self._packer.compress(b"}"), self._packer.flush()])


class Memory(Store):
    """The previews of a ledger."""

    def keep_preview(self, manifest: Manifest, digests: Mapping[str, str] | Digests) -> None:
        """Remember what a seal vouches for."""
        packed = (digests if isinstance(digests, Digests) else Digests(digests)).packed()
        self._run(
            "INSERT INTO previews VALUES (?, ?, ?, ?) ON CONFLICT (seal) DO UPDATE SET made_at = excluded.made_at, digests = excluded.digests",
            manifest.seal,
            time.time(),
            json.dumps(asdict(manifest), ensure_ascii=False, sort_keys=True),
            packed,
        )

    def preview(self, seal: str) -> Preview | None:
        """What was previewed under this seal, if it was on this ledger."""
        rows = self._all("SELECT manifest, made_at, digests FROM previews WHERE seal = ?", seal)
        if not rows:
            return None
        manifest, made_at, packed = rows[0]
        return Preview(
            manifest=manifest_from(manifest),
            made_at=moment(made_at),
            digests=json.loads(zlib.decompress(packed)),
        )
