"""The small modules that everything stands on: text without addresses, harmless cells and names, this computer, times."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.harmless import FORMULA, cell, is_device
from mailer.loopback import is_loopback
from mailer.privacy import without_addresses
from mailer.times import iso


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("550 <rosa@example.org>: User unknown", "550 (address): User unknown"),
        ("to=rosa.l+x@mail.example.org, relay=x", "(address), relay=x"),
        ("bounces-rosa=example.org@list.example is spam", "(address) is spam"),
        ("'o'brien@example.org' (ada@\u0645\u062b\u0627\u0644.example)", "'(address)' ((address))"),
        ('"rosa luxemburg"@example.org rosa@[192.0.2.1]', "(address) (address)"),
        ("a@@b mailto:rosa@example.org;x", "(address) mailto:(address);x"),
        ("@dataclass at 12 @ home, <none>", "@dataclass at 12 @ home, <none>"),
    ],
)
def test_addresses_are_taken_out_and_the_rest_stays(text: str, left: str) -> None:
    assert without_addresses(text) == left


@given(st.text(max_size=40), st.from_regex(r"[\w.+=/~!#$%&*-]{1,20}@[a-z-]{1,10}(\.[a-z]{2,5}){1,2}", fullmatch=True))
def test_no_address_is_left_whatever_stands_before_it(before: str, address: str) -> None:
    assert address not in without_addresses(f"{before} {address} after", "")


@pytest.mark.parametrize(
    "text", ["x" * 50_000, "a@" * 25_000, "<" * 50_000 + "@", '"' * 50_000 + "@", "o'" * 25_000 + "@"]
)
def test_text_of_somebody_elses_making_does_not_make_it_slow(text: str) -> None:
    began = time.process_time()
    without_addresses(text)
    assert time.process_time() - began < 2


@given(st.one_of(st.text(), st.tuples(st.sampled_from(FORMULA), st.text()).map("".join)))
def test_no_cell_begins_like_a_formula_and_no_text_is_lost(text: str) -> None:
    assert not cell(text).startswith(FORMULA)
    assert cell(text).removeprefix("'") == text.replace("\0", "").removeprefix("'")


@pytest.mark.parametrize("name", ["con", "NUL.txt", "Aux .pdf", "COM1", "lpt\u00b9.a.b", "conout$"])
def test_a_device_of_windows_is_known_in_any_spelling(name: str) -> None:
    assert is_device(name)


@pytest.mark.parametrize("name", ["contact.pdf", "com", "null", "a con", "lpt10.txt", ""])
def test_an_honest_name_is_no_device(name: str) -> None:
    assert not is_device(name)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_computer_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example", "smtp.example.org", "192.168.0.1", "0.0.0.0"])
def test_another_computer_is_not_this_one(host: str | None) -> None:
    assert not is_loopback(host)


def test_a_time_is_told_in_utc_to_the_second() -> None:
    moment = datetime(2026, 11, 23, 12, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert iso(moment) == iso(moment.timestamp()) == "2026-11-23T10:30:15+00:00"
    assert iso(datetime.fromtimestamp(0, UTC)) == iso(0.0) == "1970-01-01T00:00:00+00:00"
    assert iso(None) is None
