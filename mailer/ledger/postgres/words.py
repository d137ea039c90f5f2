"""What a PostgreSQL server says, as what an organiser can act on.

Nothing of its own words is repeated: there may be an address, a host or a piece of a password in them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from psycopg import Error

from mailer.errors import BrokenLedgerError, LedgerError
from mailer.model import as_said, said

AGAIN = "run the same command again; it goes on where it stopped"
ROLES = "the one who looks after the database can give it, see 'The ledger on PostgreSQL' in README.md"


class Words(NamedTuple):
    """The end of a sentence that begins 'The ledger on PostgreSQL', and the way out."""

    what: str
    hint: str
    lasting: bool = False
    """Whether the same command would only meet it again."""


UNREACHABLE = Words(
    "cannot be reached.",
    "check that the server runs, and its name and port in MAILER_LEDGER; then run the same command again",
)
REFUSED = Words(
    "does not let this user in.",
    "check user, password and database in MAILER_LEDGER; a password may also stand in ~/.pgpass or in PGPASSWORD",
    lasting=True,
)
LOST = Words("was lost: the connection to its server broke.", AGAIN)
LATER = Words("is just starting or stopping.", "wait a moment, then run the same command again")

BY_STATE = {
    "28": REFUSED,
    "3D": Words(
        "does not exist: the server has no database of this name.",
        said("create it, {roles}", roles=ROLES),
        lasting=True,
    ),
    "42501": Words("does not give this user the rights that are needed.", ROLES, lasting=True),
    "53100": Words(
        "cannot be written: the server's disk is full.",
        said("make room on the server's disk, then {again}", again=AGAIN),
    ),
    "53200": Words("cannot be used: the server is out of memory.", AGAIN),
    "53300": Words(
        "takes no more connections.",
        "close what else uses the server, or allow more (max_connections); then run it again",
    ),
    "53": Words("cannot be used: the server lacks resources.", AGAIN),
    "25006": Words(
        "is read-only: the server is a copy, or was set so.",
        "name the server that takes changes in MAILER_LEDGER (for several: target_session_attrs=read-write)",
        lasting=True,
    ),
    "55P03": Words("is in use by another program that does not let go of it.", AGAIN),
    "57P01": LOST,
    "57P02": LOST,
    "57P03": LATER,
    "57P05": LOST,
    "08": LOST,
    "58": Words(
        "cannot be used: the server cannot read or write its files.",
        "look into the server's log; do not send again before you know who was mailed",
    ),
    "XX": Words(
        "is damaged, or its server is.",
        "look into the server's log; do not send again before you know who was mailed",
    ),
}
"""By SQLSTATE, or its first letters."""

# Of a connection that was never made libpq keeps only a text (in the server's language, which is nearly always English).
BY_TEXT = (
    (re.compile(r"authentication failed|no password supplied|no pg_hba.conf entry|role .* does not exist"), REFUSED),
    (re.compile(r"database .* does not exist"), BY_STATE["3D"]),
    (re.compile(r"too many (clients|connections)|remaining connection slots"), BY_STATE["53300"]),
    (re.compile(r"permission denied for database"), BY_STATE["42501"]),
    (re.compile(r"the database system is|starting up|shutting down|in recovery mode"), LATER),
    (
        re.compile(r"SSL|certificate|sslmode", re.IGNORECASE),
        Words(
            "was not opened: the server's encryption (TLS) is missing, or not the one that was asked for.",
            "check sslmode and sslrootcert in MAILER_LEDGER",
            lasting=True,
        ),
    ),
    (
        re.compile(r"session is read-only|not in hot standby|recovery"),
        BY_STATE["25006"],
    ),
)


def in_words(error: Error, *, opening: bool = False) -> LedgerError:
    """To be raised `from None`: what psycopg says may hold more than may be told."""
    found = _found(error, opening=opening)
    kind = BrokenLedgerError if opening and found.lasting else LedgerError
    return kind(said("The ledger on PostgreSQL {what}", what=as_said(found.what)), hint=found.hint)


def _found(error: Error, *, opening: bool) -> Words:
    state = error.sqlstate or ""
    for length in (5, 2):
        if words := BY_STATE.get(state[:length]):
            return words
    if opening and not state:
        text = str(error)
        return next((words for pattern, words in BY_TEXT if pattern.search(text)), UNREACHABLE)
    if not state:
        return LOST if is_lost(error) else Words(said("cannot be used ({name}).", name=type(error).__name__), AGAIN)
    return Words(said("cannot be used ({name}, {state}).", name=type(error).__name__, state=state), AGAIN)


def is_lost(error: Error) -> bool:
    """Whether the connection is gone. What was under way then is unknown."""
    from psycopg import OperationalError  # noqa: PLC0415 - beside the only question about it

    return isinstance(error, OperationalError) and error.sqlstate is None
