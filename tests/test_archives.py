"""A workbook that is damaged anywhere trips up nobody who looks into archives: for marks, for addresses, for traces of its makers."""

from __future__ import annotations

import contextlib
import io
from functools import cache
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer import traces
from mailer.campaign.whereabouts import whereabouts
from mailer.contacts.marks import marks_of

WHO = "p1@example.org"


@cache
def workbook() -> bytes:
    book, whole = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append(["email"])
    book.active.append([WHO])
    book.save(whole)
    return whole.getvalue()


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_anywhere_in_an_archive_is_no_error_of_ours(
    tmp_path: Path, place: int, damage: bytes, ends: bool
) -> None:
    whole = workbook()
    at = place % len(whole)
    spoilt = whole[:at] + damage + (b"" if ends else whole[at + len(damage) :])
    (tmp_path / "list.xlsx").write_bytes(spoilt)
    found = whereabouts(tmp_path, [WHO])
    assert {*found.found, *found.closed} <= {Path("list.xlsx")}
    marks_of(spoilt, "Sheet")
    with contextlib.suppress(traces.TracesStayError):
        traces.found(spoilt)
    with contextlib.suppress(traces.TracesStayError):
        traces.without(spoilt)


@pytest.mark.parametrize(("at", "flag"), [(6, 0x01), (8, 0x63)])
def test_a_part_that_is_locked_or_packed_in_an_unknown_way_is_told_as_closed(
    tmp_path: Path, at: int, flag: int
) -> None:
    spoilt = bytearray(workbook())
    central = spoilt.index(b"PK\x01\x02")
    while central >= 0:  # in each entry of the directory, which is what is believed
        spoilt[central + at + 2] = flag
        central = spoilt.find(b"PK\x01\x02", central + 4)
    (tmp_path / "list.xlsx").write_bytes(spoilt)
    assert whereabouts(tmp_path, [WHO]).closed == [Path("list.xlsx")]
    assert not marks_of(bytes(spoilt), "Sheet").hidden
    with pytest.raises(traces.TracesStayError):
        traces.without(bytes(spoilt))
