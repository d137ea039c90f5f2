"""The suppression list of an encrypted folder: it is taken over, handed on and erased, and no file tells who is on it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import Journey, beginning
from test_encryption import ODD, WORDS, encrypt, rows, told
from test_suppression_outlives import FORMAT_3

from mailer.ledger import Ledger, cipher
from mailer.model import Reason
from mailer.suppression import fingerprint


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """A campaign folder whose ledger and list are encrypted; the key lies outside of it."""
    with beginning(tmp_path / "campaign", rows=rows()) as begun:
        begun.key = {"MAILER_PASSPHRASE_FILE": str(tmp_path / "key.txt")}
        encrypt(begun)
        yield begun


def call(journey: Journey, *words: str, code: int = 0) -> str:
    ran = journey.call(*words, settings=journey.key)
    assert ran.code == code, ran
    assert told(journey.folder, ODD) == [], words
    return ran.said


@pytest.mark.thorough
def test_an_encrypted_ledger_of_an_earlier_format_is_taken_over_without_a_readable_copy(tmp_path: Path) -> None:
    """As format 3 was written: encrypted by SQLCipher itself, not by us."""
    path, plain = tmp_path / "mailer.db", sqlite3.connect(":memory:")
    plain.executescript(FORMAT_3.read_text(encoding="utf-8"))
    (version,) = plain.execute("PRAGMA user_version").fetchone()
    people = [key for (key,) in plain.execute("SELECT key FROM suppressions ORDER BY key")]
    key = cipher.new_key(WORDS)
    with contextlib.closing(cipher.connect(path, key, timeout=5)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.executescript("\n".join(plain.iterdump()))
        old.execute(f"PRAGMA user_version = {version}")
    plain.close()
    assert cipher.opener(path) is not None
    with Ledger(path, key=cipher.key_of(path, WORDS)) as ledger:
        assert sorted(one.entry or "" for one in ledger.suppression_rows()) == people
        (secret,) = ledger.suppression_secrets()
        assert all(one.hash == fingerprint(secret, one.entry or "") for one in ledger.suppression_rows())
        ledger.erase(["ada@example.org"])
        assert told(tmp_path, [person for person in people if not person.startswith("@")]) == []
    with Ledger(path, key=cipher.key_of(path, WORDS)) as again:
        held = again.suppressions("branches")
        assert [one.reason for one in again.suppression_rows() if one.entry is None] == [Reason.MANUAL]
        assert fingerprint(secret, "ada@example.org") in held.erased[secret]


def test_suppressions_come_in_go_out_and_are_erased_and_no_file_tells_who(journey: Journey, tmp_path: Path) -> None:
    outside = tmp_path / "left.csv"
    outside.write_text("".join(f"{odd}@example.org\n" for odd in ODD[:4]), encoding="ascii")
    said = call(journey, "suppress", "import", "../left.csv", "--reason", "unsubscribed")
    assert "4 addresses" in said
    # a list that lies in the folder, encrypted as the others are
    journey.write("also.csv", f"email\n{ODD[4]}@example.org\n")
    assert journey.call("encrypt", "also.csv", "--remove", settings=journey.key).code == 0
    assert "1 address" in call(journey, "suppress", "import", "also.csv.age")

    for words in (["out.csv"], ["out.csv", "--hashes"]):
        assert "Nothing was written" in call(journey, "suppress", "export", *words, code=2)
    call(journey, "suppress", "export", "../out.csv")
    assert told(tmp_path, [ODD[4]]) == ["out.csv"]
    call(journey, "suppress", "export", "../hashes.csv", "--hashes")
    assert told(tmp_path, ODD[:5]) == ["left.csv", "out.csv"]

    with Ledger(journey.folder / "mailer.db", key=unlocked(journey)) as ledger:
        ledger.erase([f"{ODD[0]}@example.org"])
    call(journey, "send", "appeal", "list.csv.age", "--yes")
    assert set(journey.accepted()) == {f"{odd}@example.org" for odd in ODD[5:]}
    assert "5" in call(journey, "status", "appeal--list")
    call(journey, "suppress", "export", "../after.csv")
    assert told(tmp_path, [ODD[0]]) == ["left.csv", "out.csv"]


def test_who_left_one_list_is_not_mailed_from_it_once_it_is_encrypted(tmp_path: Path) -> None:
    with beginning(tmp_path / "campaign", rows=rows()[:4]) as journey:
        journey.key = {"MAILER_PASSPHRASE_FILE": str(tmp_path / "key.txt")}
        assert journey.call("suppress", "add", f"{ODD[0]}@example.org", "--list", "list").code == 0
        encrypt(journey)
        call(journey, "suppress", "add", f"{ODD[1]}@example.org", "--list", "list.csv.age")
        call(journey, "send", "appeal", "list.csv.age", "--yes")
        assert set(journey.accepted()) == {f"{odd}@example.org" for odd in ODD[2:4]}


def test_killed_while_an_import_is_written_nothing_or_all_of_it_is_there_and_readable_to_nobody(
    journey: Journey, tmp_path: Path
) -> None:
    outside = tmp_path / "left.csv"
    outside.write_text("".join(f"{odd}@example.org\n" for odd in ODD), encoding="ascii")
    running = journey.start("suppress", "import", "../left.csv", settings=journey.key)
    while running.process.poll() is None:
        if (journey.folder / "mailer.db-wal").exists():
            running.process.kill()
    running.ended()
    assert told(journey.folder, ODD) == []
    with Ledger(journey.folder / "mailer.db", key=unlocked(journey)) as ledger:
        assert len(list(ledger.suppression_rows())) in {0, len(ODD)}
    call(journey, "suppress", "import", "../left.csv")
    with Ledger(journey.folder / "mailer.db", key=unlocked(journey)) as ledger:
        assert len(list(ledger.suppression_rows())) == len(ODD)


def unlocked(journey: Journey) -> cipher.LedgerKey:
    path = journey.folder / "mailer.db"
    lines = Path(journey.key["MAILER_PASSPHRASE_FILE"]).read_text("utf-8").splitlines()
    return cipher.key_of(path, next(line for line in lines if line.startswith("AGE-SECRET-KEY-")))
