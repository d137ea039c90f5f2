"""What workers share in the ledger: batches that never overlap, jobs that are never two, and dead workers that leave nothing behind."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import pytest
from campaigns import address, start, statuses
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import PostgresServer

from mailer.cluster.engine import Jobs
from mailer.cluster.rhythm import Rhythm
from mailer.errors import BrokenLedgerError, CampaignError, LedgerError, Paused
from mailer.ledger import Intent, Ledger, SenderLock, settle
from mailer.ledger.postgres.batches import CLEAR, DUE, STRAYS, WHEN, ZONES
from mailer.ledger.postgres.senders import LONGEST_REST
from mailer.model import CampaignRecord, Server, Status
from mailer.retry import DAY

PEOPLE = [address(number) for number in range(1, 11)]


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        Jobs(opened.shared).prepare()
        yield opened


@pytest.fixture
def campaign(campaign_folder: Path, ledger: Ledger) -> CampaignRecord:
    return start(campaign_folder, ledger, PEOPLE)


def leave(ledger: Ledger, campaign: CampaignRecord, batch_size: int = 4) -> int:
    shared = ledger.shared
    with shared.leaving():
        return shared.leave(campaign.id, Jobs(shared), name="mailer", batch_size=batch_size)


def batches(ledger: Ledger) -> list[tuple[int, int, int]]:
    return ledger._db.native("SELECT id, first_id, last_id FROM batches ORDER BY first_id").fetchall()


def jobs(ledger: Ledger) -> list[int]:
    return sorted(
        row[0] for row in ledger._db.native("SELECT CAST(args ->> 'batch' AS bigint) FROM procrastinate_jobs")
    )


def set_status(ledger: Ledger, ids: list[int], status: Status, **columns: object) -> None:
    named = "".join(f", {name} = ?" for name in columns)
    ledger._db.executemany(
        f"UPDATE deliveries SET status = ?{named} WHERE id = ?", [(status, *columns.values(), number) for number in ids]
    )


def test_a_campaign_is_left_to_workers_in_batches_each_with_one_job(ledger: Ledger, campaign: CampaignRecord) -> None:
    assert leave(ledger, campaign) == 3
    due = [ledger.shared.due(ledger.shared.claim(number, "me"), time.time()) for number, _, _ in batches(ledger)]
    assert [len(ids) for ids in due] == [4, 4, 2]
    assert list(chain.from_iterable(due)) == ledger.due(campaign, time.time())
    before = batches(ledger), jobs(ledger)
    assert leave(ledger, campaign) == 3
    assert (batches(ledger), jobs(ledger)) == before
    held = ledger._db.native("SELECT DISTINCT args - 'batch', queueing_lock LIKE 'batch %' FROM procrastinate_jobs")
    assert held.fetchall() == [({}, True)], "nothing of a person stands in the queue"


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (STRAYS, (1,)),
        (WHEN, ([1, 2], 0.0, 1.0)),
        (CLEAR, ([1, 2],)),
        (DUE, (1, 0.0, 1.0, None, "UTC")),
        (ZONES, (1, "UTC")),
    ],
)
def test_a_batch_looks_at_its_own_deliveries_however_many_millions_there_are(
    statement: str, values: tuple[object, ...], ledger: Ledger, campaign: CampaignRecord
) -> None:
    assert campaign.id == 1
    # what the planner takes when it thinks little of the way by the numbers, as it does once they are millions
    with contextlib.suppress(LedgerError), ledger._transaction():
        ledger._db.native("ALTER TABLE deliveries DROP CONSTRAINT deliveries_pkey CASCADE")
        ledger._db.native("SET LOCAL enable_seqscan = off")
        plan = [line for (line,) in ledger._db.native(f"EXPLAIN {statement}", values)]
        raise LedgerError("nothing of this stays")
    by_status = [line for line in plan if "Index Cond" in line and "status" in line]
    assert [line for line in by_status if not re.search(r"campaign_id = '?1\b", line)] == []


def test_a_campaign_left_again_for_another_queue_and_time_is_there_and_then_only(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    shared, tomorrow = ledger.shared, time.time() + 86400
    with shared.leaving():
        shared.leave(campaign.id, Jobs(shared), name="night", batch_size=4, not_before=tomorrow)
    found = "SELECT queue_name, CAST(extract(epoch FROM scheduled_at) AS float8) FROM procrastinate_jobs"
    assert ledger._db.native(found).fetchall() == [("night", pytest.approx(tomorrow, abs=1))] * 3
    running, *_ = jobs(ledger)
    ledger._db.native("UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock = $1", (f"batch {running}",))
    leave(ledger, campaign)
    waiting = ledger._db.native(f"{found} WHERE status = 'todo'").fetchall()
    assert waiting == [("mailer", pytest.approx(time.time(), abs=5))] * 2, "who has begun goes on"


def test_jobs_of_batches_that_are_gone_are_taken_back(ledger: Ledger, campaign: CampaignRecord) -> None:
    leave(ledger, campaign)
    assert ledger.shared.take_back(campaign)
    ledger.shared.reconcile(Jobs(ledger.shared), strays=False)
    assert jobs(ledger) == []


def test_batches_and_jobs_come_with_the_start_or_not_at_all(ledger: Ledger, campaign_folder: Path) -> None:
    shared = ledger.shared

    def leave_and_die(campaign: int) -> None:
        shared.leave(campaign, Jobs(shared), name="mailer", batch_size=4)
        raise LedgerError("the end")

    from campaigns import IDENTITY, source, write_letter, write_list

    from mailer.campaign.send import freeze, prepare

    write_letter(campaign_folder)
    write_list(campaign_folder, PEOPLE)
    prepared = prepare(source(campaign_folder), IDENTITY, ledger)
    with pytest.raises(LedgerError, match="the end"):
        freeze(prepared, ledger, and_then=leave_and_die)
    assert (ledger.campaigns(), batches(ledger), jobs(ledger)) == ([], [], [])
    freeze(prepared, ledger, and_then=lambda number: shared.leave(number, Jobs(shared), name="mailer", batch_size=4))
    assert len(batches(ledger)) == len(jobs(ledger)) == 3


def test_a_batch_comes_back_when_its_next_delivery_is_due_and_goes_when_nothing_is_left(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    leave(ledger, campaign)
    shared, now = ledger.shared, time.time()
    [first, second, third] = [shared.claim(number, "me") for number, _, _ in batches(ledger)]
    ids = shared.due(first, now)
    set_status(ledger, ids[:2], Status.SENT)
    set_status(ledger, ids[2:3], Status.DEFERRED, next_attempt_at=now + 600.0)
    set_status(ledger, ids[3:], Status.DEFERRED, next_attempt_at=now + 300.0)
    assert shared.due(first, now) == []
    assert shared.release(first, "me") == pytest.approx(now + 300)
    assert shared.release(second, "me") <= time.time(), "at once: everybody in it is still queued"
    set_status(ledger, shared.due(third, now), Status.FAILED)
    assert shared.release(third, "me") is None
    assert [row[0] for row in batches(ledger)] == [first.id, second.id]


def test_a_batch_that_another_worker_took_is_that_ones_to_give_back(ledger: Ledger, campaign: CampaignRecord) -> None:
    leave(ledger, campaign)
    shared = ledger.shared
    batch = shared.claim(batches(ledger)[0][0], "stands still")
    assert shared.claim(batch.id, "another")
    assert shared.release(batch, "stands still") is None
    assert shared.release(batch, "another") is not None


def test_who_comes_back_into_the_queue_gets_a_batch_that_overlaps_no_other(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    leave(ledger, campaign)
    shared = ledger.shared
    [one, *others] = [shared.claim(number, "me") for number, _, _ in batches(ledger)]
    everybody = shared.due(one, time.time())
    set_status(ledger, everybody, Status.FAILED)
    for batch in (one, *others):
        shared.release(batch, "me")
    assert len(batches(ledger)) == 2
    ledger.requeue_failed(campaign)
    assert shared.reconcile(Jobs(shared), strays=False) == []
    assert len(batches(ledger)) == 2
    shared.reconcile(Jobs(shared), strays=True)
    [new] = [row for row in batches(ledger) if row[0] not in {batch.id for batch in others}]
    assert new[1:] == (everybody[0], everybody[-1])
    assert new[0] in jobs(ledger)


def test_a_campaign_ends_once_when_nothing_is_left_to_try(ledger: Ledger, campaign: CampaignRecord) -> None:
    leave(ledger, campaign)
    shared = ledger.shared
    set_status(ledger, ledger.due(campaign, time.time()), Status.SENT)
    for number, _, _ in batches(ledger):
        assert shared.release(shared.claim(number, "me"), "me") is None
    assert shared.reconcile(Jobs(shared), strays=False) == ["appeal"]
    assert [shared.conclude("appeal"), shared.conclude("appeal")] == [True, False]
    assert ledger.find("appeal").finished_at
    assert shared.standing(campaign) is None


def test_a_campaign_that_was_halted_is_worked_for_by_nobody_until_it_is_left_again(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    leave(ledger, campaign)
    shared = ledger.shared
    first, second, _ = (number for number, _, _ in batches(ledger))
    batch = shared.claim(first, "me")
    assert shared.halt(campaign, Paused("Paused at your request.", hint="go on"))
    assert not shared.halt(campaign, Paused("Another reason."))
    halt = shared.standing(campaign).halt
    assert (halt.reason, halt.hint, halt.exit_code) == ("Paused at your request.", "go on", 3)
    assert shared.halted(["appeal", "another"]) == {"appeal": halt}
    assert shared.claim(second, "me") is None
    assert shared.release(batch, "me") is None
    ledger._db.native("DELETE FROM procrastinate_jobs")
    assert shared.reconcile(Jobs(shared), strays=True) == []
    assert jobs(ledger) == []
    assert leave(ledger, campaign) == 3
    assert len(jobs(ledger)) == 3
    assert shared.standing(campaign).halt is None


def test_what_a_dead_worker_had_on_the_wire_is_uncertain_and_its_batches_are_free(
    ledger: Ledger, campaign: CampaignRecord, place: Server, postgres: PostgresServer
) -> None:
    leave(ledger, campaign)
    shared = ledger.shared
    with Ledger(place) as dead, Ledger(place) as living:
        for who, token, number in ((dead, "dead", 0), (living, "living", 1)):
            who.shared.join(token, account="office", lines=2, queues=["mailer"])
            who.shared.note_engine(token, 70 + number)
            batch = who.shared.claim(batches(ledger)[number][0], token)
            pen = who.pen()
            intent = Intent(who.shared.due(batch, time.time())[0], token, "office", "example.org", time.time())
            assert pen.write([([], intent)]) == [True]
        assert [one.token for one in shared.presences()] == ["dead", "living"]
        assert (shared.presences()[0].batches, shared.presences()[0].campaigns) == (1, ("appeal",))
        assert shared.bury() == [], "both are alive"
        process = dead._db._session.connection.info.backend_pid
        postgres.query(f"SELECT pg_terminate_backend({process})")
        deadline = time.monotonic() + 10
        while not (buried := shared.bury()):
            assert time.monotonic() < deadline
        assert buried == [70]
        assert shared.bury() == []
        with pytest.raises(LedgerError):
            dead.pen().write([([], intent)])
    found = Counter(statuses(ledger, campaign).values())
    assert found == {Status.UNCERTAIN: 1, Status.SENDING: 1, Status.QUEUED: 8}
    # what it may have begun besides, one a connection
    ended = [at for at, _ in ledger.transactions("office", 0)]
    assert len(ended) == 1 + 2 + 1
    tokens = [row[0] for row in ledger._db.native("SELECT token FROM batches ORDER BY id")]
    assert tokens == [None, "living", None]


def test_a_worker_that_took_leave_left_nothing_to_count(ledger: Ledger, place: Server) -> None:
    with Ledger(place) as worker:
        lock = worker.shared.join("tidy", account="office", lines=5, queues=["mailer"])
        worker.shared.part("tidy")
        lock.release()
    assert ledger.shared.bury() == []
    assert ledger.transactions("office", 0) == []


def test_workers_share_a_campaign_and_whoever_sends_it_alone_shares_it_with_nobody(
    ledger: Ledger, campaign: CampaignRecord, place: Server
) -> None:
    with Ledger(place) as one, Ledger(place) as another:
        locks = [worker.shared.working_on("appeal") for worker in (one, another)]
        assert [lock.acquire(0) for lock in locks] == [True, True]
        with pytest.raises(CampaignError, match="is being sent just now"), SenderLock(ledger, "appeal"):
            pass
        settle(ledger, campaign)  # leaves what is on its way alone
        for lock in locks:
            lock.release()
        with SenderLock(ledger, "appeal"):
            assert not locks[0].acquire(0)
            assert ledger.shared.take_back(campaign) is False
    assert not SenderLock(ledger, "appeal").is_held()


def test_a_batch_that_was_fetched_just_before_its_campaign_was_put_off_is_not_taken(
    ledger: Ledger, campaign: CampaignRecord
) -> None:
    leave(ledger, campaign)
    shared = ledger.shared
    first, second, _ = (number for number, _, _ in batches(ledger))
    assert shared.claim(first, "me")
    assert shared.halted(["appeal"]) == {}
    later = time.time() + 100
    ledger._db.native("UPDATE detached SET not_before = $1", (later,))
    assert shared.claim(second, "me") is None
    assert list(shared.halted(["appeal", "another"])) == ["appeal"]
    ledger._db.native("UPDATE detached SET not_before = $1", (time.time() - 1,))
    assert shared.claim(second, "me")
    assert shared.halted(["appeal"]) == {}


def test_an_account_rests_longer_each_time_it_is_sent_away_again(ledger: Ledger) -> None:
    shared, pauses = ledger.shared, (10.0, 20.0)
    assert shared.resting("office") is None
    first = shared.rest("office", pauses, "the login was refused")
    assert first.until == pytest.approx(time.time() + 10, abs=2)
    assert shared.rest("office", pauses, "said by another worker").until == first.until
    assert shared.resting("office").reason == "said by another worker"
    for times, pause in ((2, 20), (3, 20)):
        ledger._db.native("UPDATE rests SET until = $1", (time.time() - 1,))
        assert shared.resting("office") is None
        again = shared.rest("office", pauses, "still")
        assert (again.times, again.until) == (times, pytest.approx(time.time() + pause, abs=2))
    shared.wake("office")
    assert shared.rests() == []


@pytest.mark.parametrize("days", [-365, 365])
def test_a_worker_with_a_wrong_clock_puts_an_account_to_rest_for_no_longer_and_sees_who_rests(
    ledger: Ledger, place: Server, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    real = time.time
    with Ledger(place) as wrong, monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + days * DAY)
        put = wrong.shared.rest("office", (900.0,), "a limit is reached")
        here = wrong.shared.rest_here("backup", 60.0, "out of reach")
        assert (put.left, here.left) == (pytest.approx(900, abs=5), pytest.approx(60, abs=5))
        assert wrong.shared.resting("office")
    assert [(rest.account, rest.left) for rest in ledger.shared.rests()] == [
        ("backup", pytest.approx(60, abs=5)),
        ("office", pytest.approx(900, abs=5)),
    ]
    assert put.until == pytest.approx(time.time() + 900, abs=5)


@pytest.mark.parametrize("days", [-365, 365])
def test_a_worker_with_a_wrong_clock_gives_batches_to_the_queue_for_now(
    ledger: Ledger, campaign: CampaignRecord, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    leave(ledger, campaign)
    ledger._db.native("DELETE FROM procrastinate_jobs")
    shared, real = ledger.shared, time.time
    [number, *_] = (number for number, _, _ in batches(ledger))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + days * DAY)
        shared.reconcile(Jobs(shared), strays=False)
        batch = shared.claim(number, "me")
        assert shared.release(batch, "me") == pytest.approx(real(), abs=5)
        batch = shared.claim(number, "me")
        assert shared.release(batch, "me", 60.0) == pytest.approx(real() + 60, abs=5)
    ahead = "SELECT extract(epoch FROM scheduled_at - now())::float8 FROM procrastinate_jobs"
    assert [row[0] for row in ledger._db.native(ahead)] == [pytest.approx(0, abs=5)] * 3


def test_a_rest_that_a_wrong_clock_has_written_holds_nobody_up(ledger: Ledger) -> None:
    shared = ledger.shared
    longest = max(*Rhythm().account, *Rhythm().unreachable)
    assert longest < LONGEST_REST
    assert shared.rest("office", (longest,), "a limit is reached").until == shared.resting("office").until
    shared.rest_here("office", 60.0, "out of reach")
    ledger._db.native("UPDATE rests SET until = until + $1", (365 * DAY,))
    assert shared.resting("office") is None
    assert shared.rests() == []
    assert shared.rest("office", (900.0,), "again").left == pytest.approx(900, abs=5)
    assert [rest.account for rest in shared.rests()] == ["office"]
    shared.rest_here("backup", 60.0, "out of reach")
    assert ledger._db.native("SELECT count(*) FROM rests").fetchone() == (2,), "what holds nobody up is cleared away"


def test_tables_of_another_queue_or_a_newer_one_are_left_alone(ledger: Ledger, place: Server) -> None:
    ledger._db.native("UPDATE meta SET value = '99.00.00_01_pre.sql' WHERE key = 'queue'")
    with pytest.raises(BrokenLedgerError, match="newer mailer"):
        Jobs(ledger.shared).prepare()
    ledger._db.native("DELETE FROM meta WHERE key = 'queue'")
    with pytest.raises(BrokenLedgerError, match="another program"):
        Jobs(ledger.shared).prepare()


def test_a_queue_of_an_earlier_version_is_brought_up_to_date(ledger: Ledger) -> None:
    native = ledger._db.native
    triggers = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'procrastinate%' ORDER BY 1"
    before = native(triggers).fetchall()
    native("DROP TRIGGER procrastinate_trigger_status_events_update_v1 ON procrastinate_jobs")
    native(
        "UPDATE meta SET value = convert_to('03.04.00_01_pre_add_retry_failed_job_procedure.sql', 'UTF8') WHERE key = 'queue'"
    )
    Jobs(ledger.shared).prepare()
    assert native(triggers).fetchall() == before
    Jobs(ledger.shared).prepare()


def test_a_ledger_in_a_file_has_no_workers(tmp_path: Path) -> None:
    with Ledger(tmp_path / "mailer.db") as ledger, pytest.raises(CampaignError, match="a file on this computer"):
        _ = ledger.shared


class Story:
    """Workers that come, work, die and are looked after, in any order; after each step what must always be so is so."""

    def __init__(self, place: Server, campaign: CampaignRecord, seed: int) -> None:
        self.chance = random.Random(seed)
        self.place, self.campaign = place, campaign
        self.ledger = Ledger(place)
        self.shared = self.ledger.shared
        self.jobs = Jobs(self.shared)
        self.held: dict[int, str] = {}
        self.workers: dict[str, Ledger] = {}

    def step(self) -> None:
        self.chance.choice(
            (
                self.come,
                self.take,
                self.take,
                self.outcomes,
                self.give_back,
                self.die,
                self.look,
                self.lose_a_job,
                self.retry,
            )
        )()
        self.check()

    def come(self) -> None:
        if len(self.workers) < 3:
            token = f"worker {self.chance.random()}"
            self.workers[token] = Ledger(self.place)
            self.workers[token].shared.join(token, account="office", lines=1, queues=["mailer"])

    def take(self) -> None:
        waiting = self.ledger._db.native(
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT min(id) FROM procrastinate_jobs"
            " WHERE status = 'todo') RETURNING CAST(args ->> 'batch' AS bigint)"
        )
        if self.workers and (row := waiting.fetchone()):
            token = self.chance.choice(list(self.workers))
            if batch := self.shared.claim(row[0], token):
                self.held[batch.id] = token
                for number in self.shared.due(batch, time.time())[:1]:
                    set_status(self.ledger, [number], Status.SENDING, token=token)
            else:
                self.end_job(row[0])

    def outcomes(self) -> None:
        for batch, token in self.held.items():
            rows = self.ledger._db.native(
                "SELECT d.id FROM deliveries d JOIN batches b ON d.id BETWEEN b.first_id AND b.last_id WHERE b.id = $1"
                " AND (d.status = 'queued' OR d.status = 'sending' AND d.token = $2)",
                (batch, token),
            )
            for (number,) in rows.fetchall():
                status = self.chance.choice((Status.SENT, Status.SENT, Status.DEFERRED, Status.FAILED, Status.QUEUED))
                later = time.time() + self.chance.choice((-1, 60)) if status is Status.DEFERRED else None
                set_status(self.ledger, [number], status, next_attempt_at=later)

    def give_back(self) -> None:
        self.outcomes()
        for number, token in list(self.held.items()):
            batch = self.shared.claim(number, token)
            if batch and self.shared.release(batch, token) is None:
                self.end_job(number)
            else:
                self.ledger._db.native(
                    "UPDATE procrastinate_jobs SET status = 'todo' WHERE CAST(args ->> 'batch' AS bigint) = $1",
                    (number,),
                )
            del self.held[number]

    def end_job(self, batch: int) -> None:
        self.ledger._db.native("DELETE FROM procrastinate_jobs WHERE CAST(args ->> 'batch' AS bigint) = $1", (batch,))

    def die(self) -> None:
        if self.workers:
            token, worker = self.workers.popitem()
            worker.close()
            for number in [number for number, holder in self.held.items() if holder == token]:
                del self.held[number]
                self.end_job(number)  # as the reaper of stalled jobs might do, or nobody

    def lose_a_job(self) -> None:
        self.ledger._db.native("DELETE FROM procrastinate_jobs WHERE id = (SELECT min(id) FROM procrastinate_jobs)")

    def retry(self) -> None:
        self.ledger.requeue_failed(self.campaign)

    def look(self) -> None:
        deadline = time.monotonic() + 5
        while len(self.shared.presences()) > len(self.workers) and time.monotonic() < deadline:
            pass  # a session takes a moment to end
        self.shared.bury()
        self.shared.reconcile(self.jobs, strays=True)
        open_ones = set(self.ledger.due(self.campaign, time.time() + 3600))
        covered = set()
        for _, first, last in batches(self.ledger):
            covered |= {number for number in open_ones if first <= number <= last}
        assert covered == open_ones, "nobody is missed"
        free = {row[0] for row in self.ledger._db.native("SELECT id FROM batches WHERE token IS NULL")}
        assert free <= self.jobs.live(), "no batch is forgotten"

    def check(self) -> None:
        places = [row[1:] for row in batches(self.ledger)]
        assert all(before[1] < after[0] for before, after in pairwise(places)), "no overlap"
        assert max(Counter(jobs(self.ledger)).values(), default=1) == 1, "one job a batch"

    def close(self) -> None:
        for worker in (*self.workers.values(), self.ledger):
            worker.close()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8)
def test_whatever_workers_do_no_delivery_is_without_a_batch_and_no_batch_without_a_job(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    with postgres.database() as name:
        place = Server(address=postgres.address(name))
        with Ledger(place) as ledger:
            Jobs(ledger.shared).prepare()
            campaign = start(tmp_path_factory.mktemp("campaign"), ledger, PEOPLE)
            leave(ledger, campaign, batch_size=3)
        story = Story(place, campaign, seed)
        try:
            for _ in range(25):
                story.step()
            story.look()
        finally:
            story.close()
