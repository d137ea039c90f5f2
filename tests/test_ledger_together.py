"""Groups written together leave the ledger as if they had been written one by one."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from postgres_server import PostgresServer

import mailer.ledger.together
from mailer.ledger import Intent, Ledger, Record, together
from mailer.ledger.attempts import write_one
from mailer.ledger.diary import IN_TROUBLE
from mailer.ledger.embedded import EmbeddedPen
from mailer.ledger.postgres import group as postgres_group
from mailer.ledger.postgres.database import Postgres, PostgresPen
from mailer.ledger.together import Unusual, sorted_out, write_together
from mailer.model import Outcome, Reply, Scope, Server, Status, Verdict
from mailer.model import Phase as SmtpPhase

ME, OTHER = "me", "other"
Item = tuple[Sequence[Record], Intent | None]


@dataclass(frozen=True)
class Row:
    """A delivery as it may stand when a group comes, and the attempts at it: token, and whether it is open."""

    status: str
    token: str | None
    first: float | None
    attempts: tuple[tuple[str, bool], ...]


rows = st.builds(
    Row,
    status=st.sampled_from(["queued", "sending", "sent", "deferred", "uncertain", "suppressed"]),
    token=st.sampled_from([None, ME, ME, OTHER]),
    first=st.sampled_from([None, 5.0]),
    attempts=st.lists(st.tuples(st.sampled_from([ME, OTHER]), st.booleans()), max_size=3).map(tuple),
)


def record(delivery: int, words: str, *, status: Status = Status.SENT, intended: bool = True) -> Record:
    outcome = Outcome(
        verdict=Verdict.SENT,
        scope=Scope.MESSAGE,
        phase=SmtpPhase.FINAL_DOT,
        text=words,
        reply=Reply(code=250, text=words),
    )
    return Record(delivery, ME, "@relay", "example.org", 10.25, 11.5, outcome, status, intended=intended)


@st.composite
def groups(draw: st.DrawFn, size: int) -> list[Item]:
    free = draw(st.permutations(range(1, size + 1)))
    group: list[Item] = []
    while len(free) > 1 and draw(st.booleans()):
        intent = Intent(free.pop(), ME, "@relay", "d.example", 12.0) if draw(st.booleans()) else None
        many = draw(st.integers(0, min(2, len(free))))
        words = st.sampled_from(["2.0.0 Ok: queued as 4FxZ", 'ümlaut " \\ \x01 ☃', ""])
        status = st.sampled_from([Status.SENT] * 9 + [Status.FAILED])
        records = [record(free.pop(), draw(words), status=draw(status)) for _ in range(many)]
        group.append((records, intent))
    return group


cases = st.lists(rows, min_size=2, max_size=7).flatmap(lambda found: st.tuples(st.just(found), groups(len(found))))


SCHEMA = files("mailer.ledger").joinpath("schema.sql").read_text(encoding="utf-8")


def ledger_with(found: Sequence[Row]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    return filled(connection, found)


def filled(connection: Any, found: Sequence[Row]) -> Any:
    connection.execute("INSERT INTO campaigns (name, started_at) VALUES ('c', 0)")
    for number, row in enumerate(found, start=1):
        connection.execute(
            "INSERT INTO deliveries (campaign_id, revision, listed_in, row, address, key, name, fields, message_id, digest,"
            " status, token, first_attempt_at, updated_at) VALUES (1, 1, 1, ?, ?, ?, '', '{}', '', 0, ?, ?, ?, 0)",
            (number, f"p{number}@d.example", f"p{number}@d.example", row.status, row.token, row.first),
        )
        connection.executemany(
            "INSERT INTO attempts (delivery_id, token, account, domain, started_at, verdict) VALUES (?, ?, '', '', 0, ?)",
            [(number, token, None if opened else "deferred") for token, opened in row.attempts],
        )
    return connection


def contents(connection: Any) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for table in ("deliveries", "attempts")
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")
    ]


def compare(found: Sequence[Row], group: Sequence[Item]) -> bool:
    """Whether the group was written together. Raises AssertionError if that made a difference."""
    together, one = ledger_with(found), ledger_with(found)
    before = contents(together)
    together.execute("BEGIN")
    try:
        written = all(write_together(together, group))
        together.execute("COMMIT")
    except Unusual:
        written = False
        together.execute("ROLLBACK")
    granted = [write_one(one, *item) for item in group]
    assert contents(together) == (contents(one) if written else before)
    if written:
        assert all(granted), "an intent was granted that is somebody else's"
    together.close()
    one.close()
    return written


def compare_over_there(there: Postgres, pen: PostgresPen, found: Sequence[Row], group: Sequence[Item]) -> bool:
    """Whether the group was as usual. Raises AssertionError if PostgreSQL then holds something else than SQLite, row by row."""
    there.native("TRUNCATE campaigns, deliveries, attempts, revisions, events RESTART IDENTITY CASCADE")
    filled(there, found)
    one = ledger_with(found)
    try:
        sorted_out(group)
        usual = True
    except Unusual:
        usual = False
    assert pen.write(group) == [write_one(one, *item) for item in group]
    assert contents(there) == contents(one)
    one.close()
    return usual


@pytest.fixture
def there(postgres: PostgresServer) -> Iterator[tuple[Postgres, PostgresPen]]:
    """A ledger on PostgreSQL, and what writes to it."""
    with postgres.database() as name:
        database = Postgres(Server(address=postgres.address(name)))
        pen = database.pen()
        yield database, pen
        pen.close()
        database.close()


@pytest.mark.thorough
def test_a_group_written_on_postgresql_is_as_if_written_one_by_one_in_a_file(
    there: tuple[Postgres, PostgresPen],
) -> None:
    written = []

    @settings(max_examples=150, deadline=None)
    @given(cases)
    def check(case: tuple[list[Row], list[Item]]) -> None:
        written.append(compare_over_there(*there, *case) and bool(case[1]))

    check()
    assert sum(written) > 15, "hardly a group was as usual"


def test_a_group_is_one_statement_in_which_nobody_can_stand_still_with_its_locks(
    there: tuple[Postgres, PostgresPen], tmp_path: Path
) -> None:
    """Stopped between two statements, even of a pipeline, a worker would keep what the first has locked from all others."""
    _, pen = there
    with (tmp_path / "trace").open("w") as trace:
        pen.connection.pgconn.trace(trace.fileno())
        pen.write([([record(1, "Ok")], Intent(2, ME, "@relay", "example.org", 12.0))])
        pen.connection.pgconn.untrace()
    lines = [line.split("\t") for line in (tmp_path / "trace").read_text(encoding="utf-8").splitlines()]
    sent = [line[3] for line in lines if line[1] == "F"]
    assert [sent.count(message) for message in ("Execute", "Sync", "Query")] == [1, 1, 0]


SEEDED_THERE = {
    "record of anybody": (
        "AND d.token = n.token AND d.status || '' IN ('sending', 'uncertain')",
        "AND d.status || '' IN ('sending', 'uncertain')",
    ),
    "record against a decision": (" AND d.status || '' IN ('sending', 'uncertain')", ""),
    "record only in time": ("('sending', 'uncertain')", "('sending')"),
    "answer to anybody's attempt": ("AND b.token = w.token", ""),
    "answer to an attempt that is closed": ("AND b.verdict IS NULL", ""),
    "answer to the first attempt": ("ORDER BY b.id DESC", "ORDER BY b.id"),
    "tries are not counted": ("attempts = d.attempts + 1", "attempts = d.attempts"),
    "intent without looking at the status": (" AND d.status || '' IN ('queued', 'deferred')", ""),
    "intent forgets whose it is": ("'sending', token = n.token", "'sending', token = coalesce(d.token, n.token)"),
    "intent forgets when it began": ("first_attempt_at = coalesce(d.first_attempt_at, n.at)", "updated_at = n.at"),
    "all intents are granted": ("SELECT delivery FROM intended", "SELECT unnest($12::bigint[])"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("bug", SEEDED_THERE)
def test_a_seeded_bug_in_the_statement_of_postgresql_is_noticed(bug: str, there: tuple[Postgres, PostgresPen]) -> None:
    old, new = SEEDED_THERE[bug]
    assert old in postgres_group.TOGETHER
    if "updated_at = n.at" in new:
        old = f"updated_at = n.at,\n        {old}"
    there[0].native(postgres_group.FUNCTION.replace(old, new))

    @settings(max_examples=500, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases)
    def check(case: tuple[list[Row], list[Item]]) -> None:
        compare_over_there(*there, *case)

    with pytest.raises(AssertionError):
        check()


def test_a_group_written_together_is_as_if_written_one_by_one() -> None:
    written = []

    @settings(max_examples=300, deadline=None)
    @given(cases)
    def check(case: tuple[list[Row], list[Item]]) -> None:
        written.append(compare(*case) and bool(case[1]))

    check()
    assert sum(written) > 30, "hardly a group was as usual"


SEEDED = {
    "record of anybody": ("_SENT", "AND token = ? AND status IN", "AND ? <> '' AND status IN"),
    "record against a decision": ("_SENT", " AND status IN ('sending', 'uncertain')", ""),
    "record only in time": ("_SENT", "('sending', 'uncertain')", "('sending')"),
    "answer to anybody's attempt": ("_ANSWERED", "AND token = ?", "AND ? <> ''"),
    "answer to an attempt that is closed": ("_ANSWERED", " AND verdict IS NULL", ""),
    "answer to the first attempt": ("_ANSWERED", "DESC", "ASC"),
    "tries are not counted": ("_SENT", "attempts = attempts + 1", "attempts = attempts"),
    "intent without looking at the status": ("_INTENDED", "id = ? AND status IN ('queued', 'deferred')", "id = ?"),
    "intent forgets whose it is": ("_INTENDED", "'sending', token = ?,", "'sending', token = coalesce(token, ?),"),
    "intent forgets when it began": ("_INTENDED", "coalesce(first_attempt_at, ?)", "iif(?, first_attempt_at, NULL)"),
}


@pytest.mark.parametrize("bug", SEEDED)
@pytest.mark.thorough
def test_a_seeded_bug_in_the_statement_is_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, old, new = SEEDED[bug]
    statement = getattr(mailer.ledger.together, name)
    assert old in statement
    monkeypatch.setattr(mailer.ledger.together, name, statement.replace(old, new))

    @settings(max_examples=500, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases)
    def check(case: tuple[list[Row], list[Item]]) -> None:
        compare(*case)

    with pytest.raises(AssertionError):
        check()


def test_a_group_with_a_delivery_twice_is_written_one_by_one() -> None:
    free = Row("queued", None, None, ())
    mine = Intent(1, ME, "@relay", "d.example", 1.0)
    assert not compare([free, free], [((), mine), ((), mine)])
    assert compare([free, free], [((), mine), ((), mine._replace(delivery=2))])
    assert compare([free, free], [((), mine), ((), mine._replace(delivery=2, token=OTHER))])


def test_no_row_costs_a_look_into_a_list_that_is_built_for_it(tmp_path: Path) -> None:
    """An index or a check over a list of words makes SQLite build that list for every row: a sixth of what writing it takes."""
    with Ledger(tmp_path / "mailer.db") as ledger:
        pen = ledger.pen()
        assert isinstance(pen, EmbeddedPen)
        for statement in (together._SENT, together._ANSWERED, together._INTENDED, together._BEGUN):
            program = pen._connection.execute(f"EXPLAIN {statement}", (None,) * statement.count("?")).fetchall()
            assert {"OpenEphemeral", "OpenAutoindex"}.isdisjoint(step[1] for step in program)
        pen.close()


def test_what_went_wrong_is_found_by_its_own_index(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mailer.db") as ledger:
        plan = ledger._all(f"EXPLAIN QUERY PLAN SELECT count(*) FROM attempts a WHERE {IN_TROUBLE}")
    assert "attempts_in_trouble" in plan[0][-1]
