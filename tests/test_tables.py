"""Tables in a terminal of ordinary width: what is long costs lines, never words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.cli import console
from mailer.cli.tables import widths

COLUMNS = ["campaign", "state", "sent", "left", "failed", "uncertain", "started"]
LONG = "aufruf-tarifrunde-herbst--Mitgliederliste Ortsverein 2026-11"


@pytest.fixture(autouse=True)
def _ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "80")
    console.rich_console.cache_clear()  # it asks for its width only once
    yield
    console.rich_console.cache_clear()


@pytest.mark.parametrize("name", [LONG, LONG + LONG])
def test_a_long_name_of_a_campaign_breaks_no_number_and_no_heading(name: str, capsys: pytest.CaptureFixture) -> None:
    rows = [[name, "paused", 27, 3, 0, 0, "2026-11-30 22:51"], ["b--c", "finished", 12345, 0, 0, 0, "2026-11-29 10:05"]]
    console.table(COLUMNS, rows)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "campaign",
        "  state      sent  left  failed  uncertain  started",
        name,
        "  paused       27     3       0          0  2026-11-30 22:51",
        "b--c",
        "  finished  12345     0       0          0  2026-11-29 10:05",
    ]


def test_short_names_stand_beside_their_figures(capsys: pytest.CaptureFixture) -> None:
    console.table(COLUMNS, [["b--c", "finished", 12345, 0, 0, 0, "2026-11-29 10:05"]])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "campaign  state      sent  left  failed  uncertain  started",
        "b--c      finished  12345     0       0          0  2026-11-29 10:05",
    ]


def test_a_long_address_leaves_the_reason_in_words(capsys: pytest.CaptureFixture) -> None:
    address = "the.office.of.the.branch.of.the.northern.region@branch-three.example"
    reason = "the address does not exist (5.1.1)"
    console.table(["address", "reason", "source"], [[address, reason, "link in campaign one--two"]])
    out = capsys.readouterr().out
    assert address in out
    assert reason in out


def test_where_not_even_the_figures_fit_each_has_a_line(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    console.rich_console.cache_clear()
    console.table(COLUMNS, [[LONG, "paused", 27, 3, 0, 0, "2026-11-30 22:51"]])
    assert f"{LONG}\n  state: paused\n  sent: 27\n" in capsys.readouterr().out


CELLS = st.text(alphabet="ab 1", max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4), st.integers(min_value=10, max_value=90))
def test_no_column_is_narrower_than_its_longest_word(rows: list[tuple[str, str, str]], room: int) -> None:
    names = ["name", "with problems", "n"]
    found = widths(names, rows, room, named=True)
    whole = sum(max(len(one) for one in column) for column in zip(names, *rows, strict=True)) + 4
    assert found is not None or whole > room
    for index, width in enumerate(found or []):
        column = [names[index], *(row[index] for row in rows)]
        assert all(len(word) <= width for cell in column for word in re.split(" ", cell))
        assert index or all(len(row[0]) <= width for row in rows)
