"""What turns a ledger of an earlier format into one of the next."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable

from mailer.ledger.database import Connection
from mailer.ledger.leaving import LEAVE
from mailer.model import Reason
from mailer.suppression import is_named_anew, list_name

SCHEMA_VERSION = 10

EVENTS = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY,"
    " kind TEXT NOT NULL CHECK (kind IN ('bounce', 'complaint', 'unsubscribe', 'reply')),"
    " delivery_id INTEGER REFERENCES deliveries ON DELETE SET NULL,"
    " campaign_id INTEGER REFERENCES campaigns ON DELETE SET NULL, at REAL NOT NULL,"
    " class TEXT CHECK (class IN ('hard', 'soft', 'other')), status TEXT NOT NULL DEFAULT '',"
    " text TEXT NOT NULL DEFAULT '', source TEXT NOT NULL UNIQUE) STRICT"
)
MAILBOXES = (
    "CREATE TABLE mailboxes (name TEXT PRIMARY KEY, validity INTEGER NOT NULL, last_uid INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID"
)
SECRETS = "CREATE TABLE suppression_secrets (id INTEGER PRIMARY KEY, secret BLOB NOT NULL UNIQUE) STRICT"
SUPPRESSIONS = (
    "CREATE TABLE suppressions (hash BLOB NOT NULL, scope TEXT NOT NULL DEFAULT '',"
    " secret_id INTEGER NOT NULL REFERENCES suppression_secrets, entry TEXT,"
    " reason TEXT NOT NULL CHECK (reason IN ('unsubscribed', 'complaint', 'bounce', 'manual', 'imported')),"
    " note TEXT NOT NULL DEFAULT '', source TEXT NOT NULL, created_at REAL NOT NULL, PRIMARY KEY (hash, scope))"
    " STRICT, WITHOUT ROWID"
)

APPROVALS = (
    "CREATE TABLE approvals (campaign TEXT NOT NULL, seal TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL,"
    " PRIMARY KEY (campaign, seal, name)) STRICT, WITHOUT ROWID"
)

DIARY = (
    "CREATE TABLE diary (id INTEGER PRIMARY KEY, campaign_id INTEGER NOT NULL REFERENCES campaigns, at REAL NOT NULL,"
    " kind TEXT NOT NULL, until REAL, number INTEGER NOT NULL DEFAULT 0, text TEXT NOT NULL DEFAULT '') STRICT"
)

SAID_BY_THE_REASON = {"unsubscribed", "unsubscribed by e-mail", "reported a message as spam", "imported"}
"""What format 3 wrote by itself, and a reason says now."""


def make_secret(connection: Connection) -> None:
    """The ledger's own, made once. Nothing that leaves the ledger shows it, but for an export of hashes."""
    connection.execute("INSERT INTO suppression_secrets (id, secret) VALUES (1, ?)", (secrets.token_bytes(32),))


def _count_attempts_by_their_end(connection: Connection) -> None:
    connection.execute("DROP INDEX attempts_by_time")
    connection.execute("CREATE INDEX attempts_by_end ON attempts (account, finished_at)")


def _keep_events(connection: Connection) -> None:
    connection.execute(EVENTS)
    connection.execute("CREATE INDEX events_by_delivery ON events (delivery_id)")
    connection.execute("CREATE INDEX events_by_campaign ON events (campaign_id, kind)")
    connection.execute(MAILBOXES)


def _suppress_by_hash(connection: Connection) -> None:
    connection.execute("ALTER TABLE campaigns ADD COLUMN list TEXT NOT NULL DEFAULT ''")
    _name_lists(connection)
    before = connection.execute("SELECT key, reason, source, created_at FROM suppressions").fetchall()
    connection.execute("DROP TABLE suppressions")
    connection.execute(SECRETS)
    connection.execute(SUPPRESSIONS)
    connection.execute("CREATE INDEX suppressions_by_entry ON suppressions (entry)")
    make_secret(connection)
    connection.executemany(
        "INSERT INTO suppressions (hash, secret_id, entry, reason, note, source, created_at)"
        " SELECT fingerprint(secret, ?1), id, ?1, ?2, ?3, ?4, ?5 FROM suppression_secrets WHERE id = 1",
        ((key, *_reason_of(reason, source), at) for key, reason, source, at in before),
    )


def _keep_approvals(connection: Connection) -> None:
    connection.execute(APPROVALS)


def _keep_a_diary(connection: Connection) -> None:
    connection.execute(DIARY)
    connection.execute("CREATE INDEX diary_by_campaign ON diary (campaign_id)")
    connection.execute(
        "CREATE INDEX attempts_in_trouble ON attempts (finished_at)"
        " WHERE verdict IN ('deferred', 'failed', 'uncertain', 'requeued')"
    )


def _tell_trouble_cheaply(connection: Connection) -> None:
    connection.execute("DROP INDEX attempts_in_trouble")
    connection.execute("CREATE INDEX attempts_in_trouble ON attempts (finished_at) WHERE verdict <> 'sent'")


def _name_lists(connection: Connection) -> None:
    """What each campaign's list is called, by the file that its newest revision names."""
    newest = (
        "SELECT r.manifest, c.id FROM campaigns c JOIN revisions r ON r.campaign_id = c.id AND r.number = c.revision"
    )
    named = [(list_name(json.loads(manifest)["list_name"]), number) for manifest, number in connection.execute(newest)]
    connection.executemany("UPDATE campaigns SET list = ? WHERE id = ?", named)


def _name_encrypted_lists_as_before(connection: Connection) -> None:
    """A list had another name once it was encrypted: whoever was suppressed for it alone would have been mailed.

    A suppression is taken over under the name of now and kept under the one before, which may be that of `members.age.csv`: nobody gets
    out of any of them.
    """
    _name_lists(connection)
    names = connection.execute("SELECT DISTINCT scope FROM suppressions").fetchall()
    for (before,) in names:
        if is_named_anew(before):
            connection.execute(
                "INSERT INTO suppressions (hash, scope, secret_id, entry, reason, note, source, created_at)"
                " SELECT hash, CAST(? AS TEXT), secret_id, entry, reason, note, source, created_at FROM suppressions s"
                " WHERE scope = ? AND NOT EXISTS (SELECT 1 FROM suppressions o WHERE o.hash = s.hash AND o.scope = ?)",
                (list_name(before), before, list_name(before)),
            )
    connection.execute(LEAVE, (time.time(),))


def _only_on_postgres(_: Connection) -> None:
    """What changes stands in mailer/ledger/postgres/formats.py."""


def _keep_hours(connection: Connection) -> None:
    connection.execute("ALTER TABLE campaigns ADD COLUMN hours TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE campaigns ADD COLUMN zone TEXT")
    connection.execute("ALTER TABLE deliveries ADD COLUMN zone TEXT")


def _reason_of(reason: str, source: str) -> tuple[Reason, str, str]:
    """Reason, note and source of what format 3 kept as a reason in free words and a source."""
    note = "" if reason in SAID_BY_THE_REASON else reason
    if source.startswith("link in campaign "):
        return Reason.UNSUBSCRIBED, note, source
    if source.startswith("imported from "):
        return Reason.IMPORTED, note, source
    if source == "refused":
        return Reason.BOUNCE, note, source
    by_mail = {"unsubscribed": Reason.UNSUBSCRIBED, "complained": Reason.COMPLAINT, "bounced": Reason.BOUNCE}
    return (by_mail[source], note, "by e-mail") if source in by_mail else (Reason.MANUAL, note, source)


MIGRATIONS: dict[int, Callable[[Connection], None]] = {
    1: _count_attempts_by_their_end,
    2: _keep_events,
    3: _suppress_by_hash,
    4: _keep_approvals,
    5: _keep_a_diary,
    6: _keep_hours,
    7: _only_on_postgres,
    8: _tell_trouble_cheaply,
    9: _name_encrypted_lists_as_before,
}
"""By the format that each begins with. They run within one transaction.

From format 5 on they run on PostgreSQL too, where definitions of tables are read as mailer/ledger/postgres/formats.py says.
"""
