"""The places of quotas on a real PostgreSQL: leased once, given back, free again in time, also those of the dead."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from mailer.ledger import Ledger
from mailer.ledger.postgres import fitting, opening
from mailer.ledger.postgres.history import History
from mailer.ledger.postgres.places import LEASE
from mailer.model import Ask, PlaceKey, Quota, Return, Server
from mailer.pace import SharedPace

MINUTE = PlaceKey("ana", "", 3, 60, 60.06)
HOUR = PlaceKey("ana", "", 5, 3600, 3603.6)


@pytest.fixture
def ledger(postgres):
    with postgres.database() as name, Ledger(Server(address=postgres.address(name))) as opened:
        yield opened


@pytest.fixture
def ask(ledger):
    """Ask as several senders, each by its name."""
    loop = asyncio.new_event_loop()
    lenders = {}

    def asked(sender, keys, want, returns=()):
        lender = lenders.setdefault(sender, ledger.lender())
        asks = [Ask(tuple(keys), want)] if keys else []
        return loop.run_until_complete(lender.exchange(asks, returns, time.perf_counter))

    yield asked
    for lender in lenders.values():
        loop.run_until_complete(lender.close())
    loop.close()


def numbers(leased):
    return [place.number for together in leased.places[0] for place in together]


def test_no_place_is_leased_twice(ask):
    first, second = ask("one", [MINUTE], 2), ask("two", [MINUTE], 2)
    assert len(numbers(first)) == 2
    assert len(numbers(second)) == 1
    assert sorted(numbers(first) + numbers(second)) == [0, 1, 2]
    assert numbers(ask("three", [MINUTE], 1)) == []


def test_a_place_that_served_is_leased_again_for_the_time_at_which_it_is_free(ask):
    leased = ask("one", [MINUTE], 3)
    assert leased.next_free == [float("inf")]
    [[first], [second], [third]] = leased.places[0]
    later = ask(
        "one",
        [MINUTE],
        0,
        [Return(first, leased.look.now + 50), Return(second, leased.look.now + 40), Return(third, None)],
    )
    assert later.next_free == [third.free_at]
    again = ask("two", [MINUTE], 3)
    assert [place.free_at for [place] in again.places[0]] == [third.free_at, leased.look.now + 40, leased.look.now + 50]


def test_of_several_quotas_a_message_gets_all_its_places_or_none(ask):
    assert len(ask("one", [HOUR], 4).places[0]) == 4
    both = ask("two", [MINUTE, HOUR], 3)
    assert [[place.key for place in together] for together in both.places[0]] == [[MINUTE, HOUR]]
    # the other two of the minute were given back at once
    assert len(numbers(ask("three", [MINUTE], 3))) == 2


def test_who_stands_still_while_it_looks_how_many_places_there_are_holds_up_nobody(ledger, monkeypatch):
    monkeypatch.setattr(opening, "STILL_MS", 300)
    still, other = ledger.lender(), ledger.lender()
    connection = still._begin()
    with pytest.raises(psycopg.Error), connection.transaction():  # noqa: PT012 - its session is lost in between
        fitting.fit_within(connection, still._holder, MINUTE, History(connection).of(MINUTE))
        assert len(numbers(other._exchange([Ask((MINUTE,), 3)], [], time.perf_counter))) == 3
        connection.execute("SELECT 1")
    still._hang_up()
    other._hang_up()


def test_places_of_a_window_of_seconds_are_free_one_after_the_other(ask):
    """So that no sender has more to do in one part of each window than in the others; also of those that come on top."""
    second = PlaceKey("ana", "", 4, 1, 1.001)
    leased = ask("one", [second], 4)
    times = [place.free_at for [place] in leased.places[0]]
    assert leased.look.now - 5 < times[0] <= leased.look.now
    assert [at - times[0] for at in times] == pytest.approx([0, 0.25, 0.5, 0.75], abs=1e-6)
    more = ask("two", [second._replace(places=6)], 2)
    first, last = (place.free_at for [place] in more.places[0])
    assert times[0] < first <= more.look.now
    assert last - first == pytest.approx(1 / 6, abs=1e-6)
    # of a minute, all at once
    assert {place.free_at for [place] in ask("one", [MINUTE], 3).places[0]} == {0}


def test_only_who_has_a_place_can_give_it_back(ask):
    [[place]] = ask("one", [MINUTE], 1).places[0]
    ask("two", [], 0, [Return(place, None)])
    assert len(numbers(ask("two", [MINUTE], 3))) == 2


def first_sender_s_session_ends(postgres):
    [database] = [row[0] for row in postgres.query("SELECT datname FROM pg_database WHERE datname LIKE 'mailer_%'")]
    held = postgres.query(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 ORDER BY pid", database
    )
    postgres.query(f"SELECT pg_terminate_backend({held[0][0]})", database)


def place_of_the_dead(ask):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        noticed = ask("two", [MINUTE], 1)
        if noticed.places[0]:
            return noticed
    raise AssertionError("nobody noticed")


def test_places_of_a_sender_that_died_are_free_a_window_after_it_was_noticed(ask, postgres):
    ask("one", [MINUTE], 3)
    assert numbers(ask("two", [MINUTE], 1)) == []
    first_sender_s_session_ends(postgres)
    noticed = place_of_the_dead(ask)
    [[place]] = noticed.places[0]
    assert noticed.look.now + 55 < place.free_at <= noticed.look.now + 60.07
    # a sender that only waits keeps its places
    assert len(numbers(ask("three", [MINUTE], 3))) == 2


def test_places_that_the_dead_held_for_later_are_free_a_window_after_that(ask, postgres):
    """Only its session may have died: then it uses them when their time has come."""
    leased = ask("one", [MINUTE], 3)
    later = leased.look.now + 40
    ask("one", [], 0, [Return(place, later) for [place] in leased.places[0]])
    assert len(numbers(ask("one", [MINUTE], 3))) == 3
    assert numbers(ask("two", [MINUTE], 1)) == []
    first_sender_s_session_ends(postgres)
    [[place]] = place_of_the_dead(ask).places[0]
    assert later + 60 <= place.free_at <= later + 60.07


def test_a_quota_that_became_smaller_is_so_as_soon_as_others_give_back_what_they_hold(ask):
    less = MINUTE._replace(places=1)
    leased = ask("one", [MINUTE], 3)
    assert numbers(ask("two", [less], 3)) == []
    ask("one", [], 0, [Return(place, leased.look.now) for [place] in leased.places[0]])
    assert len(numbers(ask("two", [less], 3))) == 1


def test_a_quota_that_was_changed_keeps_what_was_sent(ask):
    leased = ask("one", [MINUTE], 3)
    ask("one", [], 0, [Return(place, leased.look.now + 10 * (at + 1)) for at, [place] in enumerate(leased.places[0])])
    less = ask("two", [MINUTE._replace(places=1)], 5)
    assert [round(place.free_at - leased.look.now) for [place] in less.places[0]] == [30]
    more = ask("three", [MINUTE._replace(places=4)], 5)
    assert [place.free_at for [place] in more.places[0]] == [0, 0, 0]


@pytest.fixture
def attempted(postgres, ledger):
    """Note a message that was handed over without a place; without an end, one that is under way."""
    database = ledger.place.address.rpartition("/")[2].partition("?")[0]

    def write(account, domain, ended):
        at = "NULL" if ended is None else repr(ended)
        postgres.query(
            f"INSERT INTO attempts (account, domain, started_at, finished_at) VALUES ('{account}', '{domain}', 0, {at})"
            " RETURNING id",
            database,
        )

    return write


def free_at(leased):
    return sorted(place.free_at for [place] in leased.places[0])


def sent_at(leased):
    """When a quota's messages ended, as its places tell it; of those that are free nothing."""
    now = leased.look.now
    return [place.free_at - place.key.span for [place] in leased.places[0] if place.free_at > now]


def served(ask, key, *ends):
    """Send with a place of the quota."""
    leased = ask("one", [key], len(ends))
    returns = [Return(place, ended + key.span) for [place], ended in zip(leased.places[0], ends, strict=True)]
    ask("one", [], 0, returns)


def test_what_was_sent_before_anybody_leased_counts(ask, attempted):
    now = time.time()
    for account, domain, ended in [
        ("ana", "a.example", now - 10),
        ("ana", "b.example", now - 70),
        ("bo", "mx.a.example", now - 5),
        ("bo", "googlemail.com", now - 7),
    ]:
        attempted(account, domain, ended)
    mine = [place.free_at for [place] in ask("one", [MINUTE], 3).places[0]]
    assert mine == [0, 0, pytest.approx(now - 10 + 60.06)]
    to_a = PlaceKey("", "a.example", 3, 60, 60.06)
    its = [place.free_at for [place] in ask("one", [to_a], 3).places[0]]
    assert its == [0, pytest.approx(now - 10 + 60.06), pytest.approx(now - 5 + 60.06)]
    to_google = PlaceKey("", "gmail.com", 1, 60, 60.06)
    assert [place.free_at for [place] in ask("one", [to_google], 1).places[0]] == [pytest.approx(now - 7 + 60.06)]


TO_A = HOUR._replace(account="", domain="a.example")


@pytest.mark.parametrize("key", [HOUR, TO_A], ids=["account", "domain"])
def test_what_was_sent_while_a_quota_was_taken_away_counts_when_it_is_set_again(ask, attempted, key):
    now = time.time()
    served(ask, key, now - 101, now - 100)
    for ended in (now - 101, now - 100, now - 30, now - 20):
        attempted("ana", "a.example", ended)
    # the two that had places, those that had none, and one that is free
    again = ask("two", [key], 5)
    assert sent_at(again) == pytest.approx([now - 101, now - 100, now - 30, now - 20], abs=0.01)
    assert len(again.places[0]) == 5


@pytest.mark.parametrize("key", [HOUR, TO_A], ids=["account", "domain"])
def test_a_quota_that_was_smaller_for_a_while_counts_everything_when_it_is_raised(ask, attempted, key):
    now = time.time()
    ends = [now - 50, now - 40, now - 30, now - 20, now - 10]
    served(ask, key, *ends)
    for ended in ends:
        attempted("ana", "a.example", ended)
    assert sent_at(ask("two", [key._replace(places=2)], 0)) == []
    again = ask("three", [key._replace(places=6)], 6)
    assert sent_at(again) == pytest.approx(ends, abs=0.01)
    assert len(again.places[0]) == 6


def test_of_more_than_a_quota_allows_the_newest_count(ask, attempted):
    now = time.time()
    served(ask, HOUR, now - 3000)
    for age in range(10, 100, 10):
        attempted("ana", "a.example", now - age)
    assert sent_at(ask("two", [HOUR], 9)) == pytest.approx([now - age for age in (50, 40, 30, 20, 10)], abs=0.01)


def test_no_place_is_free_earlier_for_what_the_attempts_tell(ask, attempted):
    now = time.time()
    served(ask, HOUR, now - 6, now - 5)
    for ended in (now - 3000, now - 1):
        attempted("ana", "a.example", ended)
    assert sent_at(ask("two", [HOUR], 5)) == pytest.approx([now - 6, now - 1], abs=0.01)


def test_what_had_places_is_not_counted_once_more(ask, attempted):
    now = time.time()
    served(ask, HOUR, now - 100, now - 50)
    for ended in (now - 100.3, now - 50.3):
        attempted("ana", "a.example", ended)
    assert sent_at(ask("two", [HOUR], 5)) == pytest.approx([now - 100, now - 50], abs=0.01)


def test_a_message_without_an_answer_counts_as_of_now_unless_somebody_holds_a_place_for_it(ask, attempted):
    [[place]] = ask("one", [HOUR], 1).places[0]
    attempted("ana", "a.example", None)
    assert len(ask("two", [HOUR], 0).places[0]) == 0
    ask("one", [], 0, [Return(place, None)])
    assert sent_at(ask("two", [HOUR], 5)) == []
    attempted("ana", "b.example", None)
    ask("two", [], 0)
    again = ask("three", [TO_A], 5)
    assert sent_at(again) == pytest.approx([again.look.now], abs=0.5)


def test_what_nobody_knows_the_domain_of_counts_towards_each(ask, attempted):
    now = time.time()
    attempted("ana", "", now - 10)
    attempted("bo", "mx.a.example", now - 20)
    assert sent_at(ask("one", [TO_A], 5)) == pytest.approx([now - 20, now - 10], abs=0.01)


def test_a_clock_that_is_ahead_holds_nobody_up_for_longer_than_a_window(ask, attempted):
    served(ask, MINUTE, time.time() - 70)
    for _ in range(3):
        attempted("ana", "a.example", time.time() + 1000)
    again = ask("two", [MINUTE], 3)
    assert sent_at(again) == pytest.approx([again.look.now] * 3, abs=5)
    assert max(free_at(again)) <= again.look.now + 60.06


def test_places_held_by_others_stay_theirs_when_what_was_sent_is_counted(ask, attempted):
    now = time.time()
    leased = ask("one", [HOUR], 2)
    for age in (10, 20, 30, 40):
        attempted("ana", "a.example", now - age)
    assert sent_at(ask("two", [HOUR], 5)) == pytest.approx([now - 30, now - 20, now - 10], abs=0.01)
    ask("one", [], 0, [Return(place, None) for [place] in leased.places[0]])
    assert sorted(numbers(ask("one", [HOUR], 5))) == sorted(numbers(leased))


def test_of_a_window_of_seconds_only_what_was_not_used_is_free_one_after_the_other(ask, attempted):
    now = time.time()
    key = PlaceKey("ana", "", 4, 20, 20.02)
    attempted("ana", "a.example", now - 1)
    leased = ask("one", [key], 4)
    first, *others, last = free_at(leased)
    assert last == pytest.approx(now - 1 + 20.02, abs=0.01)
    assert [at - first for at in others] == pytest.approx([5, 10], abs=1e-6)


def test_a_quota_of_many_places_is_compared_with_many_messages_in_no_time(ask, postgres, ledger, attempted):
    """Also before the server has analyzed its tables. Each of 10,000 with each took six seconds, and a million of them weeks."""
    attempted("ana", "a.example", time.time() - 3700)
    ledger._db.native(
        "INSERT INTO attempts (account, domain, started_at, finished_at) SELECT 'ana', 'd' || n % 100 || '.example', 0, $1 - n * 0.03"
        " FROM generate_series(1, 100000) AS n",
        (time.time(),),
    )
    many = HOUR._replace(places=10_000)
    for key in (many, many._replace(account="", domain="d7.example")):
        for places in (10_000, 5_000, 10_000):
            began = time.monotonic()
            leased = ask(str(places), [key._replace(places=places)], 1)
            assert time.monotonic() - began < 3, "a quarter of a second where nothing else runs"
            assert numbers(leased)
        ledger._db.native("UPDATE places SET free_at = 0")
        began = time.monotonic()
        ask("last", [key], 0)
        assert time.monotonic() - began < 3
        counts = "SELECT count(*) FROM places WHERE account = $1 AND free_at > extract(epoch FROM now())"
        [(count,)] = ledger._db.native(counts, (key.account,)).fetchall()
        plan = ledger._db.native(f"EXPLAIN {LEASE}", (1, *key[:2], key.seconds, 10)).fetchall()
        assert not any("Join Filter" in line for [line] in plan), plan
        # three are held by the others
        assert count == (9997 if key.account else 1000)


def test_two_who_come_at_once_count_what_was_sent_once(ledger, attempted):
    now = time.time()
    for age in (10, 20, 30):
        attempted("ana", "a.example", now - age)
    lenders = [ledger.lender() for _ in range(4)]

    async def at_once():
        asks = [Ask((HOUR, TO_A), 2)]
        return await asyncio.gather(*(one.exchange(asks, [], time.perf_counter) for one in lenders))

    async def all_of_it():
        leased = await at_once()
        for one in lenders:
            await one.close()
        return leased

    together = [places for leased in asyncio.run(all_of_it()) for places in leased.places[0]]
    assert len(together) == 5
    for which in (0, 1):
        taken = sorted(places[which].free_at for places in together)
        assert taken == pytest.approx([0, 0, *(now - age + 3603.6 for age in (30, 20, 10))], abs=0.01)


def test_who_stands_still_while_places_count_what_was_sent_holds_up_nobody(ledger, ask, attempted, monkeypatch):
    monkeypatch.setattr(opening, "STILL_MS", 300)
    served(ask, MINUTE, time.time() - 70)
    attempted("ana", "a.example", time.time() - 10)
    still = ledger.lender()
    connection = still._begin()
    with pytest.raises(psycopg.Error), connection.transaction():  # noqa: PT012 - its session is lost in between
        fitting.fit_within(connection, still._holder, MINUTE, History(connection).of(MINUTE))
        # who knows the quota already gets what is not being looked at, and does not wait
        began = time.monotonic()
        ask("one", [MINUTE], 1)
        assert time.monotonic() - began < 0.25
        assert len(sent_at(ask("three", [MINUTE], 3))) == 1
        connection.execute("SELECT 1")
    still._hang_up()


def test_a_server_that_goes_away_is_told_in_words(ask, postgres, ledger):
    from mailer.errors import LedgerError

    ask("one", [MINUTE], 1)
    [database] = [row[0] for row in postgres.query("SELECT datname FROM pg_database WHERE datname LIKE 'mailer_%'")]
    postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", database)
    with pytest.raises(LedgerError):
        ask("one", [MINUTE], 1)


def test_four_senders_in_real_time_stay_below_the_quota_and_use_it(postgres, ledger):
    """Each end is taken where the reply was read, which is the latest moment; so is each start."""
    quota, seconds = Quota(count=40, seconds=1), 3.0
    spans: list[tuple[float, float]] = []

    async def sender(until):
        clock = time.perf_counter
        async with SharedPace(ledger.lender(), "ana", [quota]) as pace:

            async def line():
                while clock() < until:
                    lease = pace.try_reserve("a.example") or await pace.reserve("a.example")
                    began = clock()
                    await asyncio.sleep(0.002)
                    spans.append((began, clock()))
                    lease.done()

            await asyncio.gather(line(), line())

    async def crew():
        until = time.perf_counter() + seconds
        await asyncio.gather(*(sender(until) for _ in range(4)))

    asyncio.run(crew())
    most = max(sum(1 for start, end in spans if start < at + 1 and end >= at) for _, at in spans)
    assert most <= 40
    # a busy machine wakes late; what it may use at least is three windows, less what it overslept
    assert len(spans) > 80
