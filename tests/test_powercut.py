"""Simulated power cuts: nothing acknowledged is lost, and the laboratory sees a loss where there is one.

More cuts: `python -m tests.powercut --cuts 300 --seed 7`.
"""

import os
import random

import pytest
from powercut import CannotRecord, Result, cut_power
from powercut.disk import SECTOR, Disk
from powercut.record import Entry

SEED = int(os.environ.get("POWERCUT_SEED", random.SystemRandom().randrange(10**6)))


def cut(cuts: int, **options: str) -> Result:
    try:
        result = cut_power(cuts, SEED, **options)
    except CannotRecord as error:
        if os.environ.get("CI"):
            pytest.fail(f"no power cut was simulated: {error}")
        pytest.skip(str(error))
    print(f"{result} (seed {SEED})")
    return result


def test_no_acknowledged_row_is_lost_when_the_power_goes() -> None:
    result = cut(40)
    assert result.cuts == 40
    assert result.acknowledged > 10_000
    assert result.sound, f"{result} (seed {SEED}): {[*result.damaged, *result.impossible][:5]}"


@pytest.mark.thorough
def test_with_less_syncing_the_same_laboratory_sees_people_mailed_twice() -> None:
    result = cut(30, synchronous="NORMAL")
    # what SQLite promises for NORMAL: whole, but not the newest
    assert not result.damaged
    assert not result.impossible
    assert result.with_loss >= result.cuts / 5, f"{result} (seed {SEED})"
    assert result.lost > 100
    assert result.again > 10


@pytest.mark.thorough
def test_without_any_syncing_the_same_laboratory_sees_damaged_ledgers() -> None:
    assert cut(30, synchronous="OFF").damaged


NEW = Entry("C", "a.db", 0, b"")
FOLDER_SYNC = [Entry("S", ".", 1, b""), Entry("E", ".", 1, b"")]
SYNC = [Entry("S", "a.db", 2, b""), Entry("E", "a.db", 2, b"")]


def write(offset: int, data: bytes) -> Entry:
    return Entry("W", "a.db", offset, data)


def found(entries: list[Entry], cuts: int = 300) -> set[bytes | None]:
    disk = Disk()
    disk.play(entries, len(entries))
    return {disk.after_cut(random.Random(n)).get("a.db") for n in range(cuts)}


def test_what_was_synced_is_there_after_every_cut() -> None:
    assert found([NEW, write(0, b"x" * 900), *SYNC, *FOLDER_SYNC]) == {b"x" * 900}


def test_a_sync_that_has_begun_promises_nothing_yet() -> None:
    assert b"" in found([NEW, *FOLDER_SYNC, write(0, b"x" * 900), SYNC[0]])


def test_what_is_written_during_a_sync_is_not_promised_by_it() -> None:
    states = found([NEW, *FOLDER_SYNC, write(0, b"x"), SYNC[0], write(1, b"y"), SYNC[1]])
    # the third: the size is known already, and the sector not yet what it will be
    assert states == {b"x", b"xy", b"x\0"}


def test_a_file_may_be_missing_until_its_folder_is_synced() -> None:
    states = found([NEW, write(0, b"x"), *SYNC])
    assert states == {None, b"x"}


def test_a_removed_file_may_be_back_until_its_folder_is_synced() -> None:
    removed = [NEW, write(0, b"x"), *SYNC, *FOLDER_SYNC, Entry("U", "a.db", 0, b"")]
    assert found(removed) == {None, b"x"}
    assert found([*removed, *FOLDER_SYNC]) == {None}


def test_a_write_may_be_torn_between_sectors_and_nowhere_else() -> None:
    size = 4 * SECTOR
    states = found([NEW, write(0, b"a" * size), *SYNC, *FOLDER_SYNC, write(0, b"b" * size)], cuts=2000)
    assert len(states) == 2**4
    assert all(len(set(state[n : n + SECTOR])) == 1 for state in states if state for n in range(0, size, SECTOR))


def test_a_later_write_may_survive_without_an_earlier_one() -> None:
    states = found([NEW, *FOLDER_SYNC, write(0, b"a" * SECTOR), write(SECTOR, b"b" * SECTOR)])
    assert bytes(SECTOR) + b"b" * SECTOR in states


def test_a_truncation_that_was_not_synced_may_not_have_happened() -> None:
    states = found([NEW, write(0, b"a" * 700), *SYNC, *FOLDER_SYNC, Entry("T", "a.db", 100, b"")])
    assert {b"a" * 700, b"a" * 100} <= states
