"""What was previewed and approved, so that a stale seal can be answered with the difference."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from mailer.ledger.store import Store, manifest_from, moment
from mailer.model import Manifest

PREPARED, BEGUN = "prepared:", "begun:"
"""Before the name of a campaign that was approved and has not begun, and of one that has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What an earlier preview vouched for. `digests` maps a contact's key to a digest of its details."""

    manifest: Manifest
    made_at: datetime
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A campaign that somebody approved last, and that has not begun; `draft` is what its steps are called with."""

    campaign: str
    draft: str
    by: str
    at: datetime


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
    """The previews of a ledger, and who approved them."""

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

    def last_preview(self, template: str, list_name: str, *, but: str = "") -> Preview | None:
        """The newest preview of a letter and a list, other than the one under a seal."""
        query = (
            "SELECT seal FROM previews WHERE seal <> ? AND json_extract(manifest, '$.template') = ?"
            " AND json_extract(manifest, '$.list_name') = ? ORDER BY made_at DESC LIMIT 1"
        )
        found = self._all(query, but, template, list_name)
        return self.preview(found[0][0]) if found else None

    def approve(self, campaign: str, seal: str, name: str) -> None:
        """Note that somebody looked at what stands under this seal; once for each name."""
        self._run("INSERT INTO approvals VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", campaign, seal, name, time.time())

    def approvals(self, campaign: str, seal: str) -> list[tuple[str, datetime]]:
        """Who approved it, and when; the first one first."""
        query = "SELECT name, at FROM approvals WHERE campaign = ? AND seal = ? ORDER BY at, name"
        return [(name, moment(at)) for name, at in self._all(query, campaign, seal)]

    def is_approved(self, campaign: str) -> bool:
        """Whether somebody has approved it, under whatever seal."""
        return bool(self._all("SELECT 1 FROM approvals WHERE campaign = ? LIMIT 1", campaign))

    def keep_prepared(self, campaign: str, draft: str) -> None:
        """Remember a campaign that was approved on the page, with the address of its steps, until it begins."""
        statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self._run(statement, PREPARED + campaign, draft.encode())

    def draft(self, campaign: str) -> str:
        """The address of the steps that a campaign was prepared with on the page before it began, or went on; else empty."""
        rows = self._all("SELECT value FROM meta WHERE key = ?", BEGUN + campaign)
        return bytes(rows[0][0]).decode() if rows else ""

    def prepared(self) -> list[Prepared]:
        """The campaigns that were approved and have not begun, the latest first."""
        found = []
        begun = {name for (name,) in self._all("SELECT name FROM campaigns")}
        rows = self._all("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", len(PREPARED), PREPARED)
        for key, draft in rows:
            name = key.removeprefix(PREPARED)
            query = "SELECT name, at FROM approvals WHERE campaign = ? ORDER BY at DESC, name LIMIT 1"
            approved = self._all(query, name)
            if approved and name not in begun:
                by, at = approved[0]
                found.append(Prepared(campaign=name, draft=bytes(draft).decode(), by=by, at=moment(at)))
        return sorted(found, key=lambda one: one.at, reverse=True)

    def forget_prepared(self, campaign: str) -> None:
        """Leave it out from now on. That it was approved stays on record."""
        self._run("DELETE FROM meta WHERE key = ?", PREPARED + campaign)
