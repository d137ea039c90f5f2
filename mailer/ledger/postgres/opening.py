"""Opening a connection to PostgreSQL: what it must promise before anything is written through it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.types.string import StrDumperUnknown

from mailer.errors import BrokenLedgerError, CampaignError, SettingsError
from mailer.ledger.postgres.words import in_words
from mailer.loopback import is_loopback
from mailer.model import Server, said

OLDEST = 14
PATIENCE_MS = 60_000
"""How long another program may hold the ledger: while it starts a large campaign."""

HABITS: dict[str, str | int] = {
    "application_name": "mailer",
    "connect_timeout": 10,
    # a server that is gone is noticed within a minute, and a router does not forget the connection meanwhile
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Where the address says nothing else."""

SESSION = f"""
SELECT set_config('lock_timeout', '{PATIENCE_MS}', false), set_config('statement_timeout', '0', false),
    set_config('idle_session_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false),
    set_config('default_transaction_isolation', 'read committed', false), set_config('client_min_messages', 'warning', false),
    set_config('client_encoding', 'UTF8', false),
    set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'remote_apply'
        THEN 'remote_apply' ELSE 'on' END, false);
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding'), pg_backend_pid(),
    current_schema()
"""
STILL_MS = 15_000
"""Whoever stands still for so long in the middle of a short transaction loses its session, and what it holds there is others' again.

A start of a campaign, which may read long files, has no such limit.
"""

# tcp_keepalives: the server, too, is to notice within a minute that this computer has lost its power: until then it keeps our locks.
# synchronous_commit: 'on' at least, whatever the server's habit. An intent that a power cut takes back is a person mailed twice.


class _WithoutNul(StrDumperUnknown):
    """PostgreSQL's text holds every character but NUL, which a mail server's answer may."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def connect(server: Server) -> psycopg.Connection[Any]:
    """A connection that is fit for a ledger. Raises LedgerError, CampaignError, or SettingsError for an address that is none."""
    try:
        connection = psycopg.connect(
            address_of(server),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=3,
        )
    except psycopg.ProgrammingError:
        raise _no_address() from None
    except psycopg.Error as error:
        raise in_words(error, opening=True) from None
    try:
        _make_fit(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def hold_up_nobody(connection: psycopg.Connection[Any]) -> None:
    """For a session with short transactions only: a laptop that goes to sleep in one would have all others wait until it wakes."""
    connection.execute(
        "SELECT set_config('idle_in_transaction_session_timeout', CAST($1 AS text), false)", (str(STILL_MS),)
    )


def address_of(server: Server) -> str:
    """Where and how to connect, with our habits where the address says nothing else. Raises SettingsError for one that is none."""
    try:
        given = conninfo.conninfo_to_dict(server.address)
        return conninfo.make_conninfo(server.address, **{n: v for n, v in HABITS.items() if n not in given})
    except psycopg.Error:
        raise _no_address() from None


def _make_fit(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < OLDEST * 10_000:
        raise BrokenLedgerError(
            said("The ledger's PostgreSQL is older than {oldest}.", oldest=OLDEST),
            hint=said("use a server with PostgreSQL {oldest} or newer", oldest=OLDEST),
        )
    connection.adapters.register_dumper(str, _WithoutNul)
    _refuse_open_wire(connection)
    try:
        rows = connection.execute(SESSION)
        rows.nextset()
        [(fsync, pages, encoding, process, schema)] = rows.fetchall()
    except psycopg.Error as error:
        raise in_words(error, opening=True) from None
    if fsync != "on" or pages != "on":
        setting = "fsync" if fsync != "on" else "full_page_writes"
        raise CampaignError(
            said(
                "The ledger's PostgreSQL is set not to keep what it has written through a power cut "
                "({setting} = off). There it cannot be kept safe that nobody is mailed twice.",
                setting=setting,
            ),
            hint=said("set {setting} = on in the server's postgresql.conf", setting=setting),
        )
    if encoding != "UTF8":
        raise CampaignError(
            "The ledger's database does not keep every letter of every language.",
            hint="create it with ENCODING 'UTF8', see 'The ledger on PostgreSQL' in README.md",
        )
    if process != connection.info.backend_pid:
        raise CampaignError(
            "Between mailer and the ledger's PostgreSQL stands a pooler (such as PgBouncer). Behind it mailer cannot see to it"
            " that a campaign has one sender.",
            hint="give the address and the port of the server itself in MAILER_LEDGER",
        )
    if schema is None:
        raise BrokenLedgerError(
            "The ledger on PostgreSQL has no schema that this user may use.",
            hint="see 'The ledger on PostgreSQL' in README.md, or set search_path for the user",
        )


def _refuse_open_wire(connection: psycopg.Connection[Any]) -> None:
    """Addresses travel over it: beyond this computer only encrypted, unless somebody decided otherwise."""
    info = connection.info
    here = not info.host or info.host.startswith(("/", "@")) or is_loopback(info.hostaddr or info.host)
    if here or connection.pgconn.ssl_in_use or info.get_parameters().get("sslmode") in {"disable", "allow"}:
        return
    raise CampaignError(
        "The connection to the ledger's PostgreSQL is not encrypted, and addresses would travel over it.",
        hint="switch TLS on at the server; where the network is yours alone, add ?sslmode=disable to MAILER_LEDGER",
    )


def _no_address() -> SettingsError:
    return SettingsError(
        "MAILER_LEDGER is not an address that PostgreSQL understands.",
        hint="e.g. postgresql://mailer@db.example.org/mailer; write other characters than letters and digits of a password as"
        " in links, e.g. %40 for @",
    )
