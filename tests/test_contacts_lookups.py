"""Look-up tables: each contact's embassy, found by its country."""

from __future__ import annotations

from datetime import date

import openpyxl
import pytest

from mailer import contacts
from mailer.errors import ListError
from mailer.model import Lookup

TODAY = date(2026, 11, 23)
PEOPLE = "name,email,Country\nAnn,ann@example.org,Ireland\nBo,bo@example.org, iReLand \nCy,cy@example.org,Österreich\n"
TABLE = (
    "country,post,e-mail,checked_on\n"
    "Ireland,Embassy,ireland@placeholder.example,2026-11-01\n"
    "O\u0308sterreich,Botschaft,austria@placeholder.example,2026-11-02\n"
    "Kenya,High Commission,kenya@placeholder.example,2019-01-01\n"
)


def join(tmp_path, people=PEOPLE, table=TABLE, required=(), **options):
    folder = tmp_path / "campaign"
    (folder / "contacts").mkdir(parents=True, exist_ok=True)
    (folder / "list.csv").write_text(people, encoding="utf-8", newline="")
    (folder / "contacts" / "embassies.csv").write_text(table, encoding="utf-8", newline="")
    lookup = Lookup(**({"table": "contacts/embassies.csv", "on": "country"} | options))
    return read_with(tmp_path, lookup, required)


def read_with(tmp_path, lookup, required=()):
    folder = tmp_path / "campaign"
    return contacts.read(
        folder / "list.csv", lookups={"embassy": lookup}, lookup_folders=[folder], required=required, today=TODAY
    )


def test_each_contact_gets_its_row_whatever_capitals_spaces_or_accents(tmp_path):
    found = join(tmp_path)
    assert [contact.fields["embassy"]["email"] for contact in found] == [
        "ireland@placeholder.example",
        "ireland@placeholder.example",
        "austria@placeholder.example",
    ]
    assert found[0].fields["embassy"]["e-mail"] == "ireland@placeholder.example"
    assert (found.problems, found.warnings) == ((), ())


def test_a_value_without_a_match_is_a_problem_with_a_guess(tmp_path):
    found = join(tmp_path, PEOPLE + "Di,di@example.org,Irland\nEd,ed@example.org,Freedonia\nFay,fay@example.org,\n")
    assert [(problem.row, problem.code) for problem in found.problems] == [(n, "no-lookup-match") for n in (5, 6, 7)]
    assert found.problems[0].hint.endswith('Did you mean "Ireland"?')
    assert found.problems[1].message == "no embassy for country 'Freedonia' in contacts/embassies.csv"
    assert "is blank" in found.problems[2].message
    assert found.rows == len(found) + found.duplicates + len(found.bad_rows)


def test_an_address_in_the_join_column_is_not_repeated(tmp_path):
    found = join(tmp_path, "name,email,Country\nAnn,ann@example.org,bo@example.org\n")
    assert "@" not in found.problems[0].message + found.problems[0].hint


def test_a_key_that_stands_twice_is_refused_with_both_rows(tmp_path):
    with pytest.raises(ListError, match="rows 2 and 6"):
        join(tmp_path, table=TABLE + "\nIRELAND,Embassy,x@placeholder.example,2026-11-01\n")


def test_a_stale_row_is_warned_about_once_and_only_if_used(tmp_path):
    kenya = PEOPLE + "Di,di@example.org,Kenya\nEd,ed@example.org,Kenya\n"
    assert join(tmp_path).warnings == ()
    found = join(tmp_path, kenya)
    assert [(w.code, w.file, w.row) for w in found.warnings] == [("stale-lookup", "contacts/embassies.csv", 4)]
    assert "2019-01-01" in found.warnings[0].message
    assert len(found) == 5
    assert join(tmp_path, kenya, max_age_days=4000).warnings == ()


@pytest.mark.parametrize(
    ("written", "warned"), [("2025-11-23", 0), ("2025-11-22", 1), ("1.11.2026", 0), ("soon", 1), ("", 1)]
)
def test_the_age_of_a_row_counts_in_days(tmp_path, written, warned):
    found = join(tmp_path, table=TABLE.replace("2026-11-01", written))
    assert len(found.warnings) == warned


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("x y@placeholder.example", "malformed-address"),
        ("a@x.example; b@x.example", "two-addresses"),
        ('"a@x.example\r\nBcc: b@x.example"', "control-character"),
        ("a@localhost", "malformed-address"),
    ],
)
def test_a_table_row_with_a_bad_address_stops_the_rows_that_use_it(tmp_path, cell, code):
    found = join(tmp_path, table=TABLE.replace("ireland@placeholder.example", cell))
    assert [(problem.row, problem.code) for problem in found.problems] == [(2, code), (3, code)]
    assert "contacts/embassies.csv, row 2" in found.problems[0].message
    assert [contact.name for contact in found] == ["Cy"]


def test_a_control_character_anywhere_in_a_table_row_stops_it(tmp_path):
    found = join(tmp_path, table=TABLE.replace("Botschaft", "Bot\x00schaft"))
    assert [(problem.row, problem.code) for problem in found.problems] == [(4, "control-character")]


def test_addresses_of_a_table_are_normalised(tmp_path):
    found = join(tmp_path, table=TABLE.replace("ireland@placeholder.example", "<Info@BÜRO.example>"))
    assert found[0].fields["embassy"]["email"] == "Info@xn--bro-hoa.example"


def test_a_column_of_a_table_can_be_required(tmp_path):
    found = join(tmp_path, table=TABLE.replace("Botschaft", ""), required=["embassy.post"])
    assert [(problem.row, problem.code) for problem in found.problems] == [(4, "blank-required")]
    with pytest.raises(ListError, match="no column"):
        join(tmp_path, required=["embassy.phone"])


def test_the_table_can_be_a_spreadsheet_with_another_key_name(tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["Embassies, to be checked"],
        [],
        ["Land", "email"],
        ["Ireland", "i@x.example"],
        ["Österreich", "o@x.example"],
    ):
        book.active.append(row)
    (tmp_path / "campaign").mkdir()
    (tmp_path / "campaign" / "list.csv").write_text(PEOPLE, encoding="utf-8")
    book.save(tmp_path / "campaign" / "table.xlsx")
    found = read_with(tmp_path, Lookup(table="table.xlsx", on="country", key="Land"))
    assert found[2].fields["embassy"]["email"] == "o@x.example"


def test_a_missing_table_is_refused_with_the_places_looked_at(tmp_path):
    (tmp_path / "list.csv").write_text(PEOPLE, encoding="utf-8")
    lookups = {"embassy": Lookup(table="gone.csv", on="country")}
    with pytest.raises(ListError, match=r"gone\.csv is not there") as refusal:
        contacts.read(tmp_path / "list.csv", lookups=lookups, lookup_folders=[tmp_path / "a", tmp_path / "b"])
    assert str(tmp_path / "a" / "gone.csv") in str(refusal.value)
    assert str(tmp_path / "b" / "gone.csv") in str(refusal.value)


def test_the_first_folder_that_has_the_table_wins(tmp_path):
    for name, post in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text(f"country,post\nIreland,{post}\n", encoding="utf-8")
    (tmp_path / "list.csv").write_text("email,country\nann@example.org,Ireland\n", encoding="utf-8")
    found = contacts.read(
        tmp_path / "list.csv",
        lookups={"embassy": Lookup(table="t.csv", on="country")},
        lookup_folders=[tmp_path / "none", tmp_path / "a", tmp_path / "b"],
    )
    assert found[0].fields["embassy"]["post"] == "first"


def test_columns_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ListError, match='no column "land"'):
        join(tmp_path, on="land")
    with pytest.raises(ListError, match='no column "land"'):
        join(tmp_path, key="land")


def test_a_lookup_called_like_a_column_is_refused(tmp_path):
    with pytest.raises(ListError, match='called "embassy"'):
        join(tmp_path, "email,country,Embassy\nann@example.org,Ireland,x\n")


def test_a_table_keyed_by_address_repeats_none(tmp_path):
    table = "email,post,checked_on\nann@example.org,A,2001-01-01\nbob@example.org,B,2001-01-01\n"
    found = join(tmp_path, "email\nann@example.org\nbo@example.org\n", table, on="email")
    assert [(problem.row, problem.code) for problem in found.problems] == [(3, "no-lookup-match")]
    assert [warning.code for warning in found.warnings] == ["stale-lookup"]
    for said in (*found.problems, *found.warnings):
        assert "@" not in said.message + said.hint


def test_a_torn_table_row_is_refused(tmp_path):
    with pytest.raises(ListError, match="row 5"):
        join(tmp_path, table=TABLE + "Peru,Embassy\n")


def test_another_address_in_the_table_is_another_fingerprint(tmp_path):
    before = join(tmp_path)
    after = join(tmp_path, table=TABLE.replace("austria@", "vienna@"))
    assert before.fingerprint() != after.fingerprint()
    changed = {key for key, digest in after.digests().items() if before.digests()[key] != digest}
    assert changed == {"cy@example.org"}
    unused = join(tmp_path, table=TABLE.replace("kenya@", "nairobi@"))
    assert before.fingerprint() == unused.fingerprint()
