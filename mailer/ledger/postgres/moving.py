"""From a ledger in a file to one on PostgreSQL: a campaign with all that belongs to it, or everything, and never both go on.

The file is marked as moved before the server's transaction ends. Killed in between, nobody can send from either, and the same
command carries on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from mailer import crashpoint
from mailer.errors import CampaignError, LedgerError
from mailer.ledger.leaving import LEAVE
from mailer.ledger.ledger import Ledger
from mailer.ledger.lock import SenderLock, mark_interrupted
from mailer.ledger.personal import LONGEST_WINDOW
from mailer.ledger.postgres.database import Postgres
from mailer.model import CampaignRecord, said

LINK = "link of delivery "
"""How an event's source begins that names a delivery of the ledger (`Suppressions.unsubscribe`)."""

ERASED_SOURCE = "erased "
"""And one of somebody who was erased, with the event's own number (`Personal.erase`)."""

Row = list[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What was moved: the names of the campaigns, and how many rows of which table."""

    campaigns: Sequence[str]
    rows: dict[str, int] = field(default_factory=dict)


def move(source: Ledger, target: Ledger, name: str | None = None) -> Moved:
    """Move one campaign, or all and whatever else the ledger knows. What is there already stays as it is.

    Raises CampaignError if one is being sent, if there is none of this name, if another of its name is there, or if the other ledger has a
    secret of its own.
    """
    moving = [source.campaign(name) or source.find(name)] if name else source.campaigns()
    with ExitStack() as locks:
        for campaign in moving:
            locks.enter_context(SenderLock(source, campaign.name, moved=True))
            mark_interrupted(source, campaign)
        there = {campaign.name for campaign in target.campaigns()}
        gone = source.moved()
        _refuse_another([campaign for campaign in moving if campaign.id not in gone], there)
        left = [campaign for campaign in moving if campaign.name not in there]
        removal = _Removal(source, target)
        removal.adopt_secret(is_new=not there)
        with target._db.large_transaction():  # noqa: SLF001 - the two sides of one and the same step
            with source._db.transaction():  # noqa: SLF001
                removal.carry(left, whole=name is None)
                removal.compare(left)
                removal.leave_out()
                source.mark_moved(name)
            crashpoint.pass_through("before-arrival")
    return Moved(campaigns=[campaign.name for campaign in left], rows=removal.rows)


def _refuse_another(moving: Sequence[CampaignRecord], there: Collection[str]) -> None:
    """What was not moved yet, and is there under its name, is another one, which does not know who has the letter."""
    for campaign in moving:
        if campaign.name in there:
            raise CampaignError(
                said(
                    "The ledger on PostgreSQL has another campaign called {name!r}, which was begun there and does not know who was mailed"
                    " from the file. Nothing was moved.",
                    name=campaign.name,
                ),
                hint="do not send the one there before you have compared whom each of them has mailed (mailer report NAME --csv FILE)",
            )


class _Removal:
    """Reads here, writes there."""

    def __init__(self, source: Ledger, target: Ledger) -> None:
        database = target._db  # noqa: SLF001 - the two sides of one and the same module
        assert isinstance(database, Postgres)
        self._there = database
        self._here = source._db  # noqa: SLF001
        self._source = source
        self._target = target
        self._offsets: dict[str, int] = {}
        self.rows: dict[str, int] = {}

    def adopt_secret(self, *, is_new: bool) -> None:
        """The other ledger goes on with this one's secrets: Message-IDs, links in mails, and who was erased depend on them."""
        if self._source.secret == self._target.secret:
            return
        if not is_new or self._target.suppression_rows():
            raise CampaignError(
                "The ledger on PostgreSQL has campaigns of its own, from another ledger. The two cannot be put together:"
                " links in mails that were sent would lead nowhere. Nothing was moved.",
                hint="move into a database of its own, see 'The ledger on PostgreSQL' in README.md",
            )
        own = self._source.suppression_secrets()[0]
        with self._there.transaction():
            self._there.execute("UPDATE meta SET value = ? WHERE key = 'secret'", (self._source.secret,))
            self._there.execute("UPDATE suppression_secrets SET secret = ? WHERE id = 1", (own,))

    def carry(self, campaigns: Sequence[CampaignRecord], *, whole: bool) -> None:
        for table in ("campaigns", "deliveries", "attempts", "events", "diary"):
            [[self._offsets[table]]] = self._there.native(
                f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))"
            ).fetchall()
        for campaign in campaigns:
            self._carry_campaign(campaign)
        self._carry_attempts_of_others(campaigns, whole=whole)
        self._carry_suppressions()
        if whole:
            self._add("blobs", "TRUE")
            self._add("previews", "TRUE")
            self._add("approvals", "TRUE")
            self._add("mailboxes", "TRUE")
            self._copy("events", "delivery_id IS NULL AND campaign_id IS NULL", (), self._event)
        for table in self._offsets:
            self._there.native(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(max(id), $1)) FROM {table}",
                (self._offsets[table],),
            )

    def _carry_campaign(self, campaign: CampaignRecord) -> None:
        of_it = (campaign.id,)
        self._copy("campaigns", "id = ?", of_it, self._campaign)
        self._copy("revisions", "campaign_id = ?", of_it, self._shifted(campaign_id="campaigns"))
        for number in range(1, campaign.revision + 1):
            manifest = self._source.manifest(campaign, number)
            for digest in {*manifest.letter.values(), *manifest.attachments.values()}:
                self._add("blobs", "digest = ?", digest)
            self._add("previews", "seal = ?", manifest.seal)
        self._add("approvals", "campaign = ?", campaign.name)
        self._copy("deliveries", "campaign_id = ?", of_it, self._shifted(id="deliveries", campaign_id="campaigns"))
        ours = "delivery_id IN (SELECT id FROM deliveries WHERE campaign_id = ?)"
        self._copy("attempts", ours, of_it, self._shifted(id="attempts", delivery_id="deliveries"))
        self._copy("events", f"campaign_id = ? OR {ours}", of_it * 2, self._event)
        self._copy("diary", "campaign_id = ?", of_it, self._shifted(id="diary", campaign_id="campaigns"))

    def _carry_attempts_of_others(self, campaigns: Sequence[CampaignRecord], *, whole: bool) -> None:
        """What was sent over the account counts towards its quota, whatever campaign it was for."""
        ours = " UNION ".join(f"SELECT id FROM deliveries WHERE campaign_id = {one.id:d}" for one in campaigns)
        others = f"(delivery_id IS NULL OR delivery_id NOT IN ({ours}))" if ours else "delivery_id IS NULL"
        # other campaigns' attempts go along without their deliveries
        since = 0.0 if whole else time.time() - LONGEST_WINDOW

        def nobodys(row: dict[str, Any]) -> Row:
            return list((row | {"id": row["id"] + self._offsets["attempts"], "delivery_id": None}).values())

        if campaigns:
            self._copy("attempts", f"{others} AND coalesce(finished_at, started_at) > ?", (since,), nobodys)

    def _carry_suppressions(self) -> None:
        self._add("suppression_secrets", "id > 1", without=("id",))
        numbers = dict(self._here.execute("SELECT id, secret FROM suppression_secrets").fetchall())
        theirs = {
            bytes(secret): number
            for number, secret in self._there.execute("SELECT id, secret FROM suppression_secrets")
        }

        def under_its_secret(row: dict[str, Any]) -> Row:
            return list((row | {"secret_id": theirs[bytes(numbers[row["secret_id"]])]}).values())

        self._add("suppressions", "TRUE", change=under_its_secret)

    # -- single rows, with the numbers that they have there

    def _campaign(self, row: dict[str, Any]) -> Row:
        return list((row | {"id": row["id"] + self._offsets["campaigns"], "owner": None, "boot": None}).values())

    def _event(self, row: dict[str, Any]) -> Row:
        source = row["source"]
        if source.startswith(LINK):
            source = f"{LINK}{int(source.removeprefix(LINK)) + self._offsets['deliveries']}"
        elif source.startswith(ERASED_SOURCE):
            source = f"{ERASED_SOURCE}{row['id'] + self._offsets['events']}"
        shifted = self._shifted(id="events", delivery_id="deliveries", campaign_id="campaigns")
        return shifted(row | {"source": source})

    def _shifted(self, **columns: str) -> Callable[[dict[str, Any]], Row]:
        offsets = {column: self._offsets[table] for column, table in columns.items()}

        def shift(row: dict[str, Any]) -> Row:
            for column, offset in offsets.items():
                if row[column] is not None:
                    row[column] += offset
            return list(row.values())

        return shift

    # -- many rows

    def _read(self, table: str, where: str, values: Sequence[object]) -> tuple[list[str], Iterator[dict[str, Any]]]:
        columns = [name for (name,) in self._here.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        rows = self._here.each(f"SELECT {', '.join(columns)} FROM {table} WHERE {where}", values)
        return columns, (dict(zip(columns, row, strict=True)) for row in rows)

    def _copy(self, table: str, where: str, values: Sequence[object], change: Callable[[dict[str, Any]], Row]) -> None:
        """Rows that cannot be there yet."""
        columns, rows = self._read(table, where, values)
        count = self._there.pour(table, columns, map(change, rows))
        self.rows[table] = self.rows.get(table, 0) + count

    def _add(
        self,
        table: str,
        where: str,
        *values: object,
        change: Callable[[dict[str, Any]], Row] = lambda row: list(row.values()),
        without: Sequence[str] = (),
    ) -> None:
        """Rows that may be there; then that one stays."""
        columns, rows = self._read(table, where, values)
        columns = [name for name in columns if name not in without]
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        kept = ({name: row[name] for name in columns} for row in rows)
        added = self._there.executemany(statement, map(change, kept)).rowcount
        self.rows[table] = self.rows.get(table, 0) + max(added, 0)

    def compare(self, campaigns: Sequence[CampaignRecord]) -> None:
        """Count both once more before the file is left. Raises LedgerError."""
        for campaign in campaigns:
            moved = self._target.find(campaign.name)
            tried = self._source.handed_over(campaign, 0), self._target.handed_over(moved, 0)
            same = self._source.tally(campaign) == self._target.tally(moved)
            if not same or tried[0] != tried[1] or self._source.returned(campaign) != self._target.returned(moved):
                raise LedgerError(
                    said("Campaign {name!r} did not arrive as it was. Nothing was moved.", name=campaign.name),
                    hint="run it again",
                )

    def leave_out(self) -> None:
        """Whoever is not to be mailed by either ledger is taken out of the queues of both: of what arrives, and of what was there."""
        self._there.execute(LEAVE, (time.time(),))
