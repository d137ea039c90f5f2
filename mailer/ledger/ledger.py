"""The ledger as the steps use it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mailer.errors import CampaignError
from mailer.ledger.campaigns import Campaigns
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.database import Lock, Pen
from mailer.ledger.diary import Diary
from mailer.ledger.events import Events
from mailer.ledger.figures import Figures
from mailer.ledger.memory import Memory
from mailer.ledger.personal import Personal
from mailer.ledger.proofs import Proofs
from mailer.ledger.restoring import Restoring
from mailer.ledger.rounds import Rounds
from mailer.ledger.suppressions import Suppressions
from mailer.ledger.wishes import Wishes
from mailer.model import LedgerPlace, Lender, Server

if TYPE_CHECKING:
    from mailer.ledger.postgres.shared import Shared


def require_server(place: LedgerPlace) -> None:
    """Raise CampaignError where there can be no workers."""
    if not isinstance(place, Server):
        raise CampaignError(
            "Workers need a ledger that several computers can use at once, and this one is a file on this computer.",
            hint="keep it on PostgreSQL, see 'The ledger on PostgreSQL' in README.md; or send from here, without workers",
        )


class Ledger(Campaigns, Diary, Events, Figures, Memory, Personal, Proofs, Restoring, Rounds, Suppressions, Wishes):
    """A file, or a database on PostgreSQL. Reads and single decisions happen here; outcomes go through `Writer`.

    Raises CampaignError for a file from which everything was `moved`, unless that is what is being done.
    """

    def __init__(
        self,
        place: LedgerPlace,
        *,
        create: bool = True,
        key: LedgerKey | None = None,
        moved: bool = False,
        reading: bool = False,
    ) -> None:
        super().__init__(place, create=create, key=key, reading=reading)
        if not moved and isinstance(self.place, Path):
            try:
                self.refuse_moved()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def described(self) -> tuple[str, str, tuple[bytes, bytes] | None]:
        """In plain values, for another process of ours. There may be a password in it, or a key: it goes into no argument."""
        key = (self.key.salt, self.key.raw) if self.key else None
        if isinstance(self.place, Server):
            return "server", self.place.address, None
        return "file", str(self.place.resolve()), key

    @classmethod
    def from_description(cls, described: Sequence[Any]) -> Self:
        """The same ledger, opened in that process."""
        kind, where, parts = described
        key = LedgerKey(salt=parts[0], raw=parts[1]) if parts else None
        return cls(Server(address=where) if kind == "server" else Path(where), create=False, key=key)

    def lock(self, name: str, kind: str = "") -> Lock:
        """A lock of this name, for everybody who uses this ledger."""
        return self._db.lock(name, kind)

    def leave_trace(self) -> None:
        """Before mail is sent: have the loss of this ledger noticed. Raises LedgerError where nothing can be left."""
        self._db.leave_trace()

    def pen(self) -> Pen:
        """What a `Writer` writes with. Raises BrokenLedgerError for a copy that was put back: nothing is sent without a pen."""
        self.refuse_copy()
        with self._db.plain_errors():
            return self._db.pen()

    def lender(self) -> Lender | None:
        """Who leases the places of quotas to all who share this ledger; None if one sender at a time counts for itself."""
        return self._db.lender()

    @property
    def shares_quotas(self) -> bool:
        return self.lender() is not None

    @property
    def is_shared(self) -> bool:
        """Whether several computers may use it at once, so that there may be workers."""
        return isinstance(self.place, Server)

    @property
    def shared(self) -> Shared:
        """What workers share. Raises CampaignError for a ledger in a file, which has none."""
        require_server(self.place)
        from mailer.ledger.postgres.shared import Shared  # noqa: PLC0415 - a ledger in a file needs nothing of it

        return Shared(self._db)

    @property
    def secret(self) -> bytes:
        """Random bytes of this ledger: with them Message-IDs are stable, and tell nobody the address."""
        return bytes(self._one("SELECT value FROM meta WHERE key = 'secret'")[0])
