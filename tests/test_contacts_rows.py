"""Row numbers as a spreadsheet shows them, and what becomes of rows that are not like the others."""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer import contacts
from mailer.contacts import delimited
from mailer.contacts.table import Wanted
from mailer.contacts.vocabulary import is_email_header
from mailer.errors import ListError


def read(tmp_path, text, **options):
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return contacts.read(path, **options)


def told(found):
    return [(problem.row, problem.code) for problem in found.problems]


def test_a_blank_row_is_ignored_and_counted_and_later_numbers_hold(tmp_path):
    found = read(tmp_path, "name,email\nAnn,ann@example.org\n\n , \n,\nBo,bo\nCy,cy@example.org\n")
    assert (found.blank, found.rows) == (3, 3)
    assert [contact.row for contact in found] == [2, 7]
    assert told(found) == [(6, "malformed-address")]


def test_titles_and_blank_lines_above_the_header_count_as_rows(tmp_path):
    found = read(tmp_path, '\nMembers of the branch\n"As of\nNovember"\n\nname;email\nAnn;ann@example.org\nBo;bo\n')
    assert [contact.row for contact in found] == [6]
    assert told(found) == [(7, "malformed-address")]


def test_an_address_to_ask_above_the_header_is_no_person(tmp_path):
    found = read(tmp_path, "Questions: office@example.org\n\nName,E-Mail\nAnn,ann@example.org\n")
    assert [(contact.row, contact.name) for contact in found] == [(4, "Ann")]


def test_a_list_of_bare_addresses_loses_nobody(tmp_path):
    with pytest.raises(ListError, match=r"first row of .* holds an address"):
        read(tmp_path, "ann@example.org\nbo\ncy@example.org\n")


def test_two_addresses_in_a_list_of_one_column_are_two_addresses(tmp_path):
    found = read(tmp_path, "email\nann@example.org\nbo@example.org, cy@example.org\n")
    assert told(found) == [(3, "two-addresses")]


def test_a_cell_of_several_lines_is_one_row(tmp_path):
    found = read(tmp_path, 'email,notes\nann@example.org,"one\r\ntwo\n\nfour"\nbo,x\n')
    assert found[0].fields["notes"] == "one\ntwo\n\nfour"
    assert told(found) == [(3, "malformed-address")]


def test_a_ragged_row_is_a_problem_and_shifts_nothing(tmp_path):
    text = "name,email,city\nAnn,ann@example.org,Rome\nBo,bo@example.org\nCy,cy@example.org,Oslo,x\nDi,di@example.org,Cork,,\n"
    found = read(tmp_path, text)
    assert told(found) == [(3, "ragged-row"), (4, "ragged-row")]
    assert [(contact.row, contact.fields["city"]) for contact in found] == [(2, "Rome"), (5, "Cork")]
    assert [(row.row, row.address) for row in found.bad_rows] == [(3, "bo@example.org"), (4, "cy@example.org")]


def test_a_first_row_that_is_ragged_does_not_set_the_width(tmp_path):
    found = read(tmp_path, "name,email\nann@example.org\nBo,bo@example.org\n")
    assert told(found) == [(2, "ragged-row")]
    assert [contact.name for contact in found] == ["Bo"]


def test_a_list_of_ragged_rows_only_is_still_a_list(tmp_path):
    found = read(tmp_path, "name,email\nann@example.org\n")
    assert (len(found), found.rows, told(found)) == (0, 1, [(2, "ragged-row")])


def test_separators_at_the_end_of_every_row_are_no_column(tmp_path):
    found = read(tmp_path, "name;email;;\nAnn;ann@example.org;;\nBo;bo@example.org;;\n")
    assert [column.name for column in found.columns] == ["name", "email"]
    assert len(found) == 2


def test_a_quotation_mark_that_is_never_closed_is_named_by_row(tmp_path):
    with pytest.raises(ListError, match="row 3"):
        read(tmp_path, 'name,email\nAnn,ann@example.org\n"Bo,bo@example.org\nCy,cy@example.org\n')


def test_a_quotation_mark_that_swallows_a_row_is_a_problem(tmp_path):
    found = read(tmp_path, 'city,email\n"Cork,ann@example.org\n"Rome,bo@example.org\nOslo,cy@example.org\n')
    assert told(found) == [(2, "open-quote")]
    assert [contact.address for contact in found] == ["cy@example.org"]


def test_a_note_that_mentions_an_address_is_no_swallowed_row(tmp_path):
    found = read(tmp_path, 'email,city,notes\nann@example.org,Cork,"Met in May, asks for\nnews to bo@example.org"\n')
    assert found.problems == ()


def test_inner_quotation_marks_are_read_as_excel_reads_them(tmp_path):
    found = read(tmp_path, 'email,name\nann@example.org,"Ann" Lee\nbo@example.org,5" Bo\n')
    assert [contact.name for contact in found] == ["Ann Lee", '5" Bo']


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "end"])
def test_every_line_end_separates_rows(tmp_path, line_end, last):
    text = line_end.join(["name,email", "Ann,ann@example.org", "", "Bo,bo@example.org"]) + (line_end if last else "")
    assert [contact.row for contact in read(tmp_path, text)] == [2, 4]


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u009d"])
def test_control_characters_are_problems_wherever_they_are(tmp_path, character):
    text = f"name,email,notes\nA{character}B,a@example.org,\nBo,b{character}o@example.org,\nCy,cy@example.org,x{character}y\n"
    rows = [row for row, code in told(read(tmp_path, text)) if code == "control-character"]
    assert rows == ([2, 3] if character == "\x85" else [2, 3, 4])


def test_a_line_break_is_a_problem_in_names_and_addresses_but_not_in_notes(tmp_path):
    text = (
        'name,email,organisation,notes\n"Ann\r\nBcc: x",ann@example.org,,\nBo,"bo@example.org\nBcc: y",,\n'
        'Cy,cy@example.org,"a\tb",\nDi,di@example.org,,"one\ntwo\tthree"\n'
    )
    found = read(tmp_path, text)
    assert told(found) == [(2, "control-character"), (3, "control-character"), (4, "control-character")]
    assert found[0].fields["notes"] == "one\ntwo\tthree"


def test_a_blank_required_field_is_a_problem(tmp_path):
    text = "name,E-mail,First Name\nAnn,ann@example.org,A\n,bo@example.org,\nCy,cy@example.org,C\n"
    found = read(tmp_path, text, required=["first_name", "NAME", "First Name"])
    assert told(found) == [(3, "blank-required"), (3, "blank-required")]
    assert found.rows == len(found) + len(found.bad_rows)


def test_a_required_field_that_is_no_column_is_refused_with_a_guess(tmp_path):
    with pytest.raises(ListError, match="brnch_id") as refusal:
        read(tmp_path, "branch_id,email\n1,ann@example.org\n", required=["brnch_id"])
    assert 'Did you mean "branch_id"?' in refusal.value.hint


def test_nothing_said_about_a_row_holds_an_address(tmp_path):
    text = (
        "name,email,city\nA,ann@example.org bo@example.org,\nB,x y@example.org,\nC,@example.org,\nD,d@gmial.com,\n"
        "D2,d@gmial.com,x\nE,jörg@example.org,\nF,f@localhost\n"
    )
    found = read(tmp_path, text, required=["city"])
    assert len(found.problems) > 5
    for problem in (*found.problems, *found.warnings):
        assert "@" not in (problem.message + (problem.hint or "")).replace("@ sign", "")
        assert problem.row


def test_the_index_of_a_large_list_is_its_row_numbers(tmp_path):
    """Past the engine's block size, with the odd row at the end."""
    lines = [f"p{n}@example.org,{'x' * 60},{n}" for n in range(30_000)]
    found = read(tmp_path, "\n".join(["email,x,n", *lines, "broken,,"]))
    assert told(found) == [(30_002, "malformed-address")]
    assert all(contact.row == int(contact.fields["n"]) + 2 for contact in found)
    multiline = read(tmp_path, "\n".join(["email,x,n", *lines, 'q@example.org,"a\nb",30000', "broken,,"]))
    assert told(multiline) == [(30_003, "malformed-address")]
    assert all(contact.row == int(contact.fields["n"]) + 2 for contact in multiline)


CELL = st.text("ab \"é;'.", max_size=5)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=12), quoted=st.booleans())
def test_the_fast_way_and_the_careful_way_read_the_same(rows, quoted):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write("email,x,y,z\n")
            quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
            csv.writer(file, quoting=quoting).writerows([f"p{n}@example.org", *row] for n, row in enumerate(rows))
        text = path.read_text(encoding="utf-8")
    layout = delimited._layout(path, text, 0, ",", Wanted(is_header=is_email_header))
    fast = delimited._read_regular(text[layout.body :].encode(), layout)
    careful = delimited._read_careful(path, text, layout, ())
    assert fast is not None
    pd.testing.assert_frame_equal(delimited._checked(fast, layout, ()).frame, careful.frame, check_index_type=False)


def test_a_cell_without_end_takes_no_time(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("[" * 400_000 + "\n", encoding="utf-8")
    began = time.process_time()
    with pytest.raises(ListError):
        contacts.read(path)
    # seconds of work; looking for an address once from every character took minutes
    assert time.process_time() - began < 10
