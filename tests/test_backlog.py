"""The backlog hands out everybody once, in the list's order within each domain, and asks little to know who may go on."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.campaign.backlog import CHUNK, Backlog
from mailer.errors import LedgerError
from mailer.model import Delivery

DOMAINS = ("a.example", "b.example", "c.example")


def delivery(number: int, domain: str) -> Delivery:
    key = f"p{number}@{domain}"
    return Delivery(number, number, key, key, message_id=f"<{number}@x>")


def backlog_of(domains: list[str], ready_at: Callable[[str], float]) -> Backlog:
    people = {number: delivery(number, domain) for number, domain in enumerate(domains)}
    return Backlog(list(people), lambda ids: [people[one] for one in ids], ready_at)


@given(st.lists(st.sampled_from(DOMAINS), max_size=40), st.data())
def test_everybody_comes_once_and_in_order_within_a_domain(domains: list[str], data: st.DataObject) -> None:
    ready = dict.fromkeys(DOMAINS, -math.inf)
    backlog = backlog_of(domains, ready.__getitem__)
    taken: dict[str, list[int]] = defaultdict(list)
    for moment in range(10 * len(domains) + 1):
        before = len(backlog)
        found = backlog.take(float(moment))
        if found is None:
            break
        domain = found.contact.domain
        may_go = [one for one in DOMAINS if ready[one] <= moment]
        if ready[domain] > moment:
            # nobody who is left may go now
            left = domains.count(domain) - len(taken[domain])
            assert left
            assert all(domains.count(one) == len(taken[one]) for one in may_go)
        if data.draw(st.integers(0, 3)) == 0:
            backlog.put_back(found)
            assert len(backlog) == before
        else:
            taken[domain].append(found.id)
        changing = data.draw(st.sampled_from(DOMAINS))
        ready[changing] = data.draw(st.sampled_from([-math.inf, moment + 1.5, moment + 7.0, math.inf]))
    for one in DOMAINS:
        ready[one] = -math.inf
    while found := backlog.take(1e9):
        taken[found.contact.domain].append(found.id)
    assert {one: found for one, found in taken.items() if found} == {
        one: [n for n, other in enumerate(domains) if other == one] for one in set(domains)
    }
    assert len(backlog) == 0


def test_a_thousand_waiting_domains_are_not_asked_for_every_message() -> None:
    asked = 0

    def ready_at(domain: str) -> float:
        nonlocal asked
        asked += 1
        return -math.inf if domain == "free.example" else 100.0

    waiting = [f"d{number}.example" for number in range(1000)]
    backlog = backlog_of([*waiting, *["free.example"] * 500], ready_at)
    for _ in range(500):
        found = backlog.take(0.0)
        assert found is not None
        assert found.contact.domain == "free.example"
    assert asked < 2000
    assert sum(backlog.take(200.0) is not None for _ in range(1001)) == 1000


def test_as_many_are_upcoming_as_are_asked_for_however_few_are_loaded() -> None:
    backlog = backlog_of([DOMAINS[0]] * (2 * CHUNK + 10), lambda _: -math.inf)
    assert [one.id for one in backlog.upcoming(3)] == [0, 1, 2]
    assert [one.id for one in backlog.upcoming(CHUNK + 5)] == list(range(CHUNK + 5))
    for number in range(CHUNK - 1):
        taken = backlog.take(0.0)
        assert taken
        assert taken.id == number
    assert [one.id for one in backlog.upcoming(20)] == list(range(CHUNK - 1, CHUNK + 19))
    assert len(list(backlog.upcoming(5 * CHUNK))) == len(backlog) == CHUNK + 11


def test_no_more_are_loaded_than_are_asked_for() -> None:
    loaded: list[int] = []

    def load(ids: Collection[int]) -> list[Delivery]:
        loaded.extend(ids)
        return [delivery(one, DOMAINS[0]) for one in ids]

    backlog = Backlog(range(3 * CHUNK), load, lambda _: -math.inf)
    assert len(list(backlog.upcoming(CHUNK))) == CHUNK
    assert len(loaded) == CHUNK
    backlog.upcoming(CHUNK + 1)
    assert loaded == list(range(2 * CHUNK))


def test_who_cannot_be_loaded_ahead_keeps_their_place() -> None:
    is_there = False

    def load(ids: Collection[int]) -> list[Delivery]:
        if not is_there:
            raise LedgerError("The ledger cannot be reached.")
        return [delivery(one, DOMAINS[0]) for one in ids]

    backlog = Backlog(range(10), load, lambda _: -math.inf)
    with pytest.raises(LedgerError):
        backlog.upcoming(5)
    is_there = True
    assert len(backlog) == 10
    assert [one.id for one in backlog.upcoming(20)] == list(range(10))
