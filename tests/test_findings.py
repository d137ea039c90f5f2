"""Problems by the million: the same as one by one, in a fraction of the memory."""

from __future__ import annotations

import random
import tracemalloc
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer import contacts
from mailer.model import NUMBER, Findings, Problem, Severity

PROBLEMS = st.lists(
    st.builds(
        Problem,
        code=st.sampled_from(["a", "b"]),
        message=st.sampled_from(["It is blank.", "It is long."]),
        file=st.sampled_from([None, "a.csv", "b.md"]),
        row=st.none() | st.integers(2, 9),
        column=st.sampled_from([None, "name"]),
        hint=st.sampled_from([None, "Fill it in.", "Shorten it."]),
        severity=st.sampled_from(Severity),
    ),
    max_size=30,
)


@given(PROBLEMS, PROBLEMS)
def test_findings_are_the_problems_that_they_were_made_of(one: list[Problem], two: list[Problem]) -> None:
    found = Findings(one)
    found.extend(Findings(two))
    both = [*one, *two]
    assert list(found) == both
    assert found == both
    assert found[1:7] == tuple(both[1:7])
    assert [found[at] for at in range(-len(both), len(both))] == [both[at] for at in range(-len(both), len(both))]
    assert list(found.sentences()) == [(problem.row or 0, problem.message) for problem in both]
    assert found.without_row() == [problem for problem in both if problem.row is None]
    assert found.hints() == list(dict.fromkeys(problem.hint for problem in both if problem.hint))


@given(PROBLEMS)
def test_they_come_in_the_order_of_rows_and_of_files(problems: list[Problem]) -> None:
    found = Findings(problems)
    assert list(found.by_row()) == sorted(dict.fromkeys(problems), key=lambda problem: problem.row or 0)
    assert list(found.by_place()) == sorted(problems, key=lambda problem: (problem.file or "", problem.row or 0))


def test_a_sentence_may_have_a_number_of_its_own_for_every_row() -> None:
    found = Findings()
    found.spread(Problem(code="x", message=f"It was in row {NUMBER} already."), array("q", [5, 4]), array("q", [2, 3]))
    assert [(one.row, one.message) for one in found.by_row()] == [
        (4, "It was in row 3 already."),
        (5, "It was in row 2 already."),
    ]


@pytest.mark.thorough
def test_a_list_in_which_every_row_is_bad_costs_little_more_than_the_list(tmp_path: Path) -> None:
    def peak(count: int) -> float:
        path = tmp_path / f"{count}.csv"
        rows = (f"Pat {number},p{number}.example.org,{random.choice('abc')}\n" for number in range(count))
        path.write_text("name,email,city\n" + "".join(rows), encoding="utf-8")
        tracemalloc.start()
        people = contacts.read(path)
        assert len(people.problems) == len(people.bad_rows) == count
        assert sum(1 for row in people.bad_rows if row.reason == "The e-mail address has no @ sign.") == count
        assert people.write_problems(tmp_path / "out.csv") == count
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2000)
    # what Python itself holds: blocks of cells, and some dozen octets a row
    assert peak(60_000) - peak(30_000) < 30_000 * 250
