"""The list as a whole: every row accounted for, the same set the same fingerprint, and the demo's lists clean."""

from __future__ import annotations

import csv
import hashlib
import random
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer import contacts
from mailer.contacts.languages import language_tag
from mailer.errors import ListError, UsageError
from mailer.model import Contact, Lookup, Severity, SkippedRow

SAMPLES = Path(__file__).parent.parent / "contacts"
TEXT = (
    "name,email,city\n"
    "Ann,ann@example.org,Cork\n"
    "Bo,bo@,Rome\n"
    "Ann again,ANN@Example.org,Cork\n"
    "Cy,cy@example.org,\n"
    ",,\n"
    "Ann,Ann@example.org,Cork\n"
    "Di,di@example.org\n"
)


def read(folder, text=TEXT, **options):
    path = Path(folder) / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return contacts.read(path, **options)


def test_every_row_is_accounted_for(tmp_path):
    found = read(tmp_path)
    assert [contact.row for contact in found] == [2, 5]
    assert (found.rows, found.duplicates, found.blank) == (6, 2, 1)
    assert [row.row for row in found.bad_rows] == [3, 8]
    assert found.rows == len(found) + found.duplicates + len(found.bad_rows)
    assert {problem.severity for problem in found.problems} == {Severity.PROBLEM}


def test_the_first_of_two_rows_wins_and_a_difference_is_told(tmp_path):
    found = read(tmp_path)
    assert (found[0].name, found[0].address) == ("Ann", "ann@example.org")
    assert [(w.code, w.row, w.severity) for w in found.warnings] == [("duplicate-differs", 4, Severity.WARNING)]
    assert 'row 2 with another "name"' in found.warnings[0].message


def test_a_row_with_a_problem_does_not_stand_in_for_a_good_one(tmp_path):
    found = read(tmp_path, "name,email\n,ann@example.org\nAnn,ann@example.org\n", required=["name"])
    assert [(contact.row, contact.name) for contact in found] == [(3, "Ann")]
    assert (found.duplicates, len(found.bad_rows)) == (0, 1)


def test_a_skipped_row_keeps_its_address_reason_and_fields(tmp_path):
    row = read(tmp_path, "Name,email\n,Ann@Example.org\n", required=["name"]).bad_rows[0]
    assert (row.row, row.address) == (2, "Ann@example.org")
    assert row.reason == '"Name" is blank, but the letter requires it.'
    assert row.fields == {"Name": "", "name": "", "email": "Ann@Example.org"}


def test_a_list_is_a_sequence_of_contacts(tmp_path):
    found = read(tmp_path)
    assert isinstance(found, Sequence)
    assert isinstance(found[0], Contact)
    assert found[-1] == found[1] == list(found)[1]
    assert found[0:5] == list(found)
    assert found[0] in found
    with pytest.raises(IndexError):
        found[2]
    with pytest.raises(IndexError):
        found[-3]


def test_contacts_made_in_steps_are_all_there_in_order(tmp_path):
    lines = "".join(f"p{n}@example.org,{n}\n" for n in range(10_000))
    found = read(tmp_path, "email,n\n" + lines)
    assert [contact.fields["n"] for contact in found] == [str(n) for n in range(10_000)]
    assert found[9_999].row == 10_001


def test_another_order_of_rows_and_columns_is_the_same_list(tmp_path):
    rows = [[f"p{n}@example.org", f"N {n}", "x"] for n in range(50)]
    first = read(tmp_path, "email,name,city\n" + "".join(",".join(row) + "\n" for row in rows))
    random.Random(1).shuffle(rows)
    second = read(tmp_path, "\ncity;name;email\n" + "".join(";".join(reversed(row)) + "\n" for row in rows))
    assert first.fingerprint() == second.fingerprint()
    assert first.digests() == second.digests()
    assert [c.key for c in first] != [c.key for c in second]


def test_the_digests_show_what_changed(tmp_path):
    before = read(tmp_path, "email,name\na@x.test,A\nb@x.test,B\n")
    after = read(tmp_path, "email,name\nb@x.test,Bee\na@x.test,A\n")
    assert before.fingerprint() != after.fingerprint()
    assert {key for key in after.digests() if after.digests()[key] != before.digests()[key]} == {"b@x.test"}


CELLS = st.lists(st.text("ab \u00e9,", max_size=3).map(str.strip), min_size=2, max_size=2)


@settings(max_examples=60, deadline=None)
@given(one=st.lists(CELLS, min_size=1, max_size=4), two=st.lists(CELLS, min_size=1, max_size=4))
def test_two_lists_have_one_fingerprint_exactly_if_their_contacts_are_the_same(one, two):
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, rows in enumerate((one, two)):
            path = Path(folder) / f"{number}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["email", "x", "y"], *([f"p{n}@x.test", *r] for n, r in enumerate(rows))])
            found.append(contacts.read(path))
    assert (found[0].fingerprint() == found[1].fingerprint()) == (one == two)


def test_problem_rows_are_written_as_they_were_with_row_and_reason(tmp_path):
    text = 'Name;E-Mail;Note\nAnn;ann@example.org;x\n" Bo";bo@;=1+1\nCy;cy@example.org\nDi;di@;b;c;d\n'
    found = read(tmp_path, text)
    assert found.write_problems(tmp_path / "problems.csv") == 3
    content = (tmp_path / "problems.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    written = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    assert written[0] == ["Name", "E-Mail", "Note", "", "", "row", "problem"]
    assert [row[:-1] for row in written[1:]] == [
        [" Bo", "bo@", "=1+1", "", "", "3"],
        ["Cy", "cy@example.org", "", "", "", "4"],
        ["Di", "di@", "b", "c", "d", "5"],
    ]
    assert written[1][-1] == "The e-mail address has nothing after the @ sign."


def test_rows_that_fail_later_are_written_too_in_their_place_with_their_own_cells(tmp_path):
    found = read(tmp_path, "name,email,note\nAnn,ann@example.org,x\nBo,bo@,y\nCy,Cy@Example.ORG,=1+1\n")
    later = [SkippedRow(row=row, address=None, reason=f"Too large {row}.") for row in (4, 2)]
    assert found.write_problems(tmp_path / "problems.csv", later) == 3
    written = list(csv.reader((tmp_path / "problems.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [[*row[:4]] for row in written[1:]] == [
        ["Ann", "ann@example.org", "x", "2"],
        ["Bo", "bo@", "y", "3"],
        ["Cy", "Cy@Example.ORG", "=1+1", "4"],
    ]
    assert [row[-1] for row in written[1::2]] == ["Too large 2.", "Too large 4."]


def test_mended_problem_rows_are_a_list_again(tmp_path):
    found = read(tmp_path)
    found.write_problems(tmp_path / "problems.csv")
    mended = (tmp_path / "problems.csv").read_text(encoding="utf-8-sig").replace("bo@,", "bo@example.org,")
    again = read(tmp_path, mended)
    assert [contact.name for contact in again] == ["Bo", "Di"]


def test_no_words_of_ours_become_a_formula(tmp_path):
    found = read(tmp_path, "=cmd,email\n,ann@example.org\n", required=["=cmd"])
    found.write_problems(tmp_path / "problems.csv")
    for row in csv.reader((tmp_path / "problems.csv").read_text(encoding="utf-8-sig").splitlines()[1:]):
        assert not row[-1].startswith(("=", "+", "-", "@"))


def test_problems_are_written_as_csv_only(tmp_path):
    with pytest.raises(UsageError, match=r"as CSV, not as \.xlsx"):
        read(tmp_path).write_problems(tmp_path / "problems.xlsx")
    with pytest.raises(UsageError, match="cannot be written"):
        read(tmp_path).write_problems(tmp_path / "nowhere" / "problems.csv")


def test_a_list_without_problems_writes_only_the_header(tmp_path):
    assert read(tmp_path, "email\na@x.test\n").write_problems(tmp_path / "problems.csv") == 0
    assert (tmp_path / "problems.csv").read_bytes() == b"\xef\xbb\xbfemail,row,problem\r\n"


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert contacts.file_digest(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(ListError, match="does not exist"):
        contacts.file_digest(tmp_path / "gone")


@pytest.mark.skipif(sys.platform == "win32", reason="there such a path is right")
def test_a_path_as_windows_writes_it_is_told_apart_from_a_missing_list(tmp_path):
    (tmp_path / "contacts").mkdir()
    (tmp_path / "contacts" / "x.csv").write_bytes(b"email\na@x.test\n")
    with pytest.raises(ListError, match="does not exist") as refused:
        contacts.read(Path(f"{tmp_path}\\contacts\\x.csv"))
    assert refused.value.hint == f"Write / instead of \\: {tmp_path}/contacts/x.csv"
    with pytest.raises(ListError, match="does not exist") as refused:
        contacts.read(Path(f"{tmp_path}\\contacts\\y.csv"))
    assert "instead of" not in refused.value.hint


@pytest.mark.parametrize(("name", "size"), [("supporters.csv", 16), ("branches.csv", 14)])
def test_the_sample_lists_are_clean(name, size):
    found = contacts.read(
        SAMPLES / name,
        required=["name" if name == "supporters.csv" else "branch", "country", "language", "embassy.email"],
        lookups={"embassy": Lookup(table="contacts/embassies.csv", on="country")},
        lookup_folders=[SAMPLES.parent],
        today=date(2026, 11, 30),
    )
    assert (len(found), found.problems, found.warnings, found.duplicates) == (size, (), (), 0)
    assert {contact.language for contact in found} <= {"en", "de", "fr", "es", "it", "ur"}
    assert all(contact.name and contact.fields["consent"] == "yes" for contact in found)
    reserved = ("example.org", "example.net", ".example", ".test")
    assert all(contact.domain.endswith(reserved) for contact in found)
    assert all(contact.fields["embassy"]["email"].endswith("@placeholder.example") for contact in found)


def test_the_sample_supporters_write_in_every_language_of_the_letters():
    found = contacts.read(SAMPLES / "supporters.csv")
    assert {contact.language for contact in found} == {"en", "de", "fr", "es", "it", "ur"}
    assert all(language_tag(contact.fields["language"]) for contact in found)


def test_pandas_has_one_door():
    """Nothing outside this package loads pandas: it costs half a second at every start."""
    assert "pandas" in sys.modules
    package = Path(contacts.__file__).parent
    for path in package.parent.rglob("*.py"):
        if package not in path.parents:
            assert "import pandas" not in path.read_text(encoding="utf-8"), path
