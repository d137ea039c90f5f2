"""Every file format gives the same contacts, text for text."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import string
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from mailer import contacts
from mailer.contacts import marks
from mailer.errors import ListError

HEADER = ["Name", "E-mail Address", "Land", "Nr"]
ROWS = [
    ["Ann Lee", "ann@example.org", "NA", "007"],
    ["Bo, Jr.", "bo@example.net", "None", "null"],
    ['Cy "C" Öz', "cy@host.test", "nan", "1e5"],
    ["زینب", "z@x.example", "", "1.50"],
]


def write_csv(path, header, rows, separator=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([header, *rows])


def write_xlsx(path, header, rows):
    book = openpyxl.Workbook()
    for r, row in enumerate([header, *rows], start=1):
        for c, text in enumerate(row, start=1):
            cell = book.active.cell(r, c, text)
            cell.data_type = "s"  # otherwise the writer takes "=1" for a formula
    book.save(path)


def write_xls(path, header, rows):
    book = xlwt.Workbook()
    sheet = book.add_sheet("List")
    for r, row in enumerate([header, *rows]):
        for c, cell in enumerate(row):
            sheet.write(r, c, cell)
    book.save(str(path))


def write_ods(path, header, rows):
    document = OpenDocumentSpreadsheet()
    table = Table(name="List")
    for row in [header, *rows]:
        line = TableRow()
        for cell in row:
            box = TableCell(valuetype="string")
            box.addElement(P(text=cell))
            line.addElement(box)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    document.save(str(path))


def write_json(path, header, rows):
    records = [dict(zip(header, row, strict=True)) for row in rows]
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def write_json_lines(path, header, rows):
    lines = [json.dumps(dict(zip(header, row, strict=True))) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path, header, rows):
    columns = list(zip(*rows, strict=True)) or [[] for _ in header]
    pq.write_table(pa.table({name: pa.array(c, pa.string()) for name, c in zip(header, columns, strict=True)}), path)


WRITERS = {
    "list.csv": write_csv,
    "list.tsv": lambda path, header, rows: write_csv(path, header, rows, "\t"),
    "list.txt": lambda path, header, rows: write_csv(path, header, rows, ";"),
    "list.xlsx": write_xlsx,
    "list.xlsm": write_xlsx,
    "list.xls": write_xls,
    "list.ods": write_ods,
    "list.json": write_json,
    "lines.json": write_json_lines,
    "list.parquet": write_parquet,
}


def cells(found):
    return [[contact.fields[column.name] for column in found.columns] for contact in found]


@pytest.mark.parametrize("name", WRITERS)
def test_each_format_gives_every_cell_as_text(tmp_path, name):
    WRITERS[name](tmp_path / name, HEADER, ROWS)
    found = contacts.read(tmp_path / name)
    assert [column.original for column in found.columns] == HEADER
    assert cells(found) == ROWS
    assert [contact.row for contact in found] == [2, 3, 4, 5]
    assert (found.problems, found.warnings) == ((), ())


def test_the_fingerprint_is_the_same_in_every_format(tmp_path):
    prints = set()
    for name, write in WRITERS.items():
        write(tmp_path / name, HEADER, ROWS)
        prints.add(contacts.read(tmp_path / name).fingerprint())
    assert len(prints) == 1


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-16-le-sig", "utf-16-be-sig"]
)
def test_separators_and_encodings_are_told_apart(tmp_path, separator, encoding):
    path = tmp_path / "list.csv"
    text = io.StringIO()
    rows = [["Jürgen", "j@example.org", "Köln, Süd", "1"], ["Zoë", "z@example.org", "a;b", "2"]]
    csv.writer(text, delimiter=separator).writerows([HEADER, *rows])
    bom = {"utf-16-le-sig": b"\xff\xfe", "utf-16-be-sig": b"\xfe\xff"}.get(encoding, b"")
    codec = encoding.removesuffix("-sig") if bom else encoding
    path.write_bytes(bom + text.getvalue().encode(codec))
    assert cells(contacts.read(path)) == rows


def test_windows_1252_is_read_and_said_to_be_a_guess(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("name;email\r\nJürgen – “Jo”;j@example.org\r\n".encode("cp1252"))
    found = contacts.read(path)
    assert found[0].name == "Jürgen – “Jo”"
    assert [warning.code for warning in found.warnings] == ["assumed-encoding"]


def test_one_broken_byte_does_not_garble_the_other_names(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("name,email\nZoë,z@example.org\nÖz,o@example.org\nRen".encode() + b"\xe9,r@example.org\n")
    found = contacts.read(path)
    assert [contact.name for contact in found] == ["Zoë", "Öz", "Ren\ufffd"]
    assert [(warning.code, warning.row) for warning in found.warnings] == [("broken-characters", 4)]


def test_the_sep_line_of_excel_is_an_instruction_not_a_row(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("sep=;\r\nname;email\r\nAnn;ann@example.org\r\nBo;bo\r\n", encoding="utf-8", newline="")
    found = contacts.read(path)
    assert found[0].row == 2
    assert found.problems[0].row == 3


def test_typed_cells_become_what_a_person_reads(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["email", "count", "share", "since", "seen", "at", "agreed"])
    moment = dt.datetime(2026, 11, 2, 9, 30)  # noqa: DTZ001 - spreadsheets know no time zones
    day = dt.date(2026, 11, 2)
    book.active.append(["ann@example.org", 1234.0, 0.5, day, moment, dt.time(9, 30), True])
    book.save(tmp_path / "list.xlsx")
    fields = contacts.read(tmp_path / "list.xlsx")[0].fields
    assert [fields[name] for name in ("count", "share", "since", "seen", "at", "agreed")] == [
        "1234",
        "0.5",
        "2026-11-02",
        "2026-11-02 09:30:00",
        "09:30:00",
        "TRUE",
    ]


def test_numbers_and_nothing_in_json_and_parquet(tmp_path):
    (tmp_path / "list.json").write_text(
        '[{"email": "a@example.org", "n": 1.50, "id": 12345678901234567890, "x": null, "t": true},'
        ' {"email": "b@example.org", "more": ["x", 1]}]',
        encoding="utf-8",
    )
    found = contacts.read(tmp_path / "list.json")
    assert cells(found)[0] == ["a@example.org", "1.50", "12345678901234567890", "", "TRUE", ""]
    assert found[1].fields["more"] == '["x", "1"]'
    table = pa.table({"email": ["a@example.org"], "n": [1234.0], "none": pa.array([None], pa.float64()), "i": [7]})
    pq.write_table(table, tmp_path / "list.parquet")
    assert cells(contacts.read(tmp_path / "list.parquet")) == [["a@example.org", "1234", "", "7"]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_record_a_line_may_hold_what_only_looks_like_a_line_end(tmp_path, end):
    records = [{"email": f"p{n}@example.org", "note": f"one{odd}two"} for n, odd in enumerate("\u2028\u2029\x85 ")]
    text = end.join(json.dumps(record, ensure_ascii=False) for record in records)
    (tmp_path / "list.jsonl").write_text(text + end, encoding="utf-8", newline="")
    found = contacts.read(tmp_path / "list.jsonl")
    noted = [row.fields["note"] for row in (*found, *found.bad_rows)]
    assert sorted(noted) == sorted(record["note"] for record in records)


def test_the_sheet_that_holds_addresses_is_found(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    book.active["A1"] = "Our members, autumn"
    sheet = book.create_sheet("Members")
    for row in (["Members of the branch"], [], ["Name", "E-Mail"], ["Ann", "ann@example.org"], [], ["Bo", "bo@x"]):
        sheet.append(row)
    hidden = book.create_sheet("Old")
    hidden.append(["E-Mail"])
    hidden.append(["old@example.org"])
    hidden.sheet_state = "hidden"
    book.save(tmp_path / "list.xlsx")
    found = contacts.read(tmp_path / "list.xlsx")
    assert (found.sheet, found[0].row, found.problems[0].row, found.blank) == ("Members", 4, 6, 1)
    assert contacts.read(tmp_path / "list.xlsx", sheet="old")[0].address == "old@example.org"
    with pytest.raises(ListError, match=r'no sheet "New"'):
        contacts.read(tmp_path / "list.xlsx", sheet="New")


def test_two_sheets_with_addresses_are_both_named(tmp_path):
    book = openpyxl.Workbook()
    for title in ("North", "South"):
        sheet = book.create_sheet(title)
        sheet.append(["email"])
        sheet.append([f"{title}@example.org"])
    book.save(tmp_path / "list.xlsx")
    with pytest.raises(ListError, match=r'"North", "South"') as refusal:
        contacts.read(tmp_path / "list.xlsx")
    assert "--sheet" in refusal.value.hint
    assert contacts.read(tmp_path / "list.xlsx", sheet="South")[0].row == 2


MEMBERS = [
    ["Ortsverein Süd"],
    ["Stand: November"],
    [],
    ["Name", "E-Mail (privat)", "E-Mail (Betrieb)"],
    ["Ann", "ann@example.org", "ann@work.example"],
    ["Bo", "bo@example.org", ""],
]
LEFT = [["Name", "E-Mail"], ["Weg", "weg@example.org"]]


def write_book(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)


@pytest.mark.parametrize(
    ("members", "email_column"),
    [
        pytest.param(MEMBERS, None, id="several address columns"),
        pytest.param(MEMBERS, "Email", id="a column that only the other sheet has"),
        pytest.param(MEMBERS[4:], None, id="no header"),
        pytest.param([["Team"], *MEMBERS[4:]], None, id="a title only"),
        pytest.param(
            [["Kreis", "Wer"], ["Nord", "Ann <ann@example.org>"], ["Süd", "?"], ["West", "?"]], None, id="named"
        ),
    ],
)
def test_no_sheet_is_taken_while_another_one_holds_addresses(tmp_path, members, email_column):
    write_book(
        tmp_path / "list.xlsx", Mitglieder=members, Ausgetreten=LEFT, Notizen=[["Fragen an buero@example.org!"], ["x"]]
    )
    with pytest.raises(ListError, match=r'several sheets.*: "Mitglieder", "Ausgetreten"\.') as refusal:
        contacts.read(tmp_path / "list.xlsx", email_column=email_column)
    assert "--sheet Mitglieder" in refusal.value.hint
    assert contacts.read(tmp_path / "list.xlsx", sheet="Ausgetreten")[0].address == "weg@example.org"


def test_the_example_of_a_sheet_is_the_one_that_has_the_named_column_and_can_be_pasted(tmp_path):
    write_book(tmp_path / "list.xlsx", Ausgetreten=LEFT, **{"Die Mitglieder": MEMBERS})
    with pytest.raises(ListError, match="several sheets") as refusal:
        contacts.read(tmp_path / "list.xlsx", email_column="E-Mail (privat)")
    assert '--sheet "Die Mitglieder"' in refusal.value.hint


def test_rows_that_are_hidden_in_excel_are_told_by_their_number(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Notes & more"
    book.active["A1"] = "x"
    sheet = book.create_sheet("Members & friends")
    for row in (
        ["Members"],
        ["name", "email"],
        *([f"P{n}", f"p{n}@example.org"] for n in range(3, 9)),
        ["", ""],
        ["", ""],
    ):
        sheet.append(row)
    sheet.auto_filter.ref = "A2:B8"
    for row in (1, 4, 5, 7, 9, 30):  # a title, three people, a blank row, one below the list
        sheet.row_dimensions[row].hidden = True
    book.save(tmp_path / "list.xlsx")
    found = contacts.read(tmp_path / "list.xlsx")
    assert len(found) == 6
    assert [one.message for one in found.warnings] == [
        "3 rows are hidden in the spreadsheet, by a filter or by hand; they are mailed as well."
    ]


def test_rows_that_are_hidden_in_libreoffice_are_told_too(tmp_path):
    document = OpenDocumentSpreadsheet()
    for title, hidden in (("Old", range(9)), ("Members", (3, 4))):
        table = Table(name=title)
        for at, text in enumerate(["email", *(f"p{n}@example.org" for n in range(6))]):
            row = TableRow(**({"visibility": "filter"} if at in hidden else {}))
            cell = TableCell(valuetype="string")
            cell.addElement(P(text=text))
            row.addElement(cell)
            table.addElement(row)
        document.spreadsheet.addElement(table)
    document.save(tmp_path / "list.ods")
    found = contacts.read(tmp_path / "list.ods", sheet="Members")
    assert [one.code for one in found.warnings] == ["hidden-rows"]
    assert found.warnings[0].message.startswith("2 rows are hidden")


def test_errors_of_formulas_and_merged_cells_are_told_by_their_column(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    rows = [["Firm", "email", "Street\n(work)"], *([f"F{n}", f"p{n}@example.org", "High Street"] for n in range(2, 7))]
    for row in rows:
        sheet.append(row)
    sheet["C3"], sheet["C5"] = "#REF!", "#N/A"
    sheet["E9"] = "#N/A"  # beside the list
    sheet.merge_cells("A3:A4")
    sheet.merge_cells("A5:A6")
    book.save(tmp_path / "list.xlsx")
    found = contacts.read(tmp_path / "list.xlsx")
    assert [(contact.fields["firm"], contact.fields["street_work"]) for contact in found][1:4] == [
        ("F3", ""), ("", "High Street"), ("F5", ""),
    ]  # fmt: skip
    assert [(one.code, one.message) for one in found.warnings] == [
        (
            "error-cell",
            '2 cells of "Street (work)" show an error such as #N/A or #REF!, the first in row 3; they count as blank.',
        ),
        (
            "merged-cells",
            (
                'In "Firm" cells are merged over several rows in 2 places, the first from row 3;'
                " only the first row of each has the value."
            ),
        ),
    ]


@given(size=st.integers(min_value=1, max_value=60))
def test_what_a_sheet_says_is_found_wherever_a_piece_of_it_ends(size):
    sheet = (
        b'<sheetData><row r="2" hidden="1"><c r="A2" t="e"><v>#N/A</v></c></row><row r="3" spans="1:2"/>'
        b'<row hidden="true" r="44"/></sheetData><mergeCells><mergeCell ref="AB2:AB9"/></mergeCells>'
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(marks, "CHUNK", 60 + size)
        found = marks._marks(io.BytesIO(sheet))
    assert (found.hidden, found.errors, found.merged) == ({2, 44}, {(2, 0)}, {(2, 9, 27)})


@pytest.mark.parametrize("row", ["9" * 20, "9" * 5000])
def test_a_number_that_no_row_has_keeps_no_list_from_being_read(tmp_path, row):
    book, made = openpyxl.Workbook(), io.BytesIO()
    for text in ("email", "a@example.org", "b@example.org"):
        book.active.append([text])
    book.save(made)
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(tmp_path / "list.xlsx", "w") as odd:
        for name in source.namelist():
            odd.writestr(name, source.read(name).replace(b'<row r="3"', f'<row hidden="1" r="{row}"'.encode()))
    found = contacts.read(tmp_path / "list.xlsx")
    assert ([one.address for one in found], found.warnings) == (["a@example.org", "b@example.org"], [])
    sheet = (
        f'<table:table table:name="S"><table:table-row table:visibility="filter" table:number-rows-repeated="{row}"/>'
    )
    assert set(marks._hidden_in_ods(io.BytesIO(sheet.encode()), "S")) == {1}


def test_a_sheet_is_named_only_for_spreadsheets(tmp_path):
    write_csv(tmp_path / "list.csv", HEADER, ROWS)
    with pytest.raises(ListError, match="no sheets"):
        contacts.read(tmp_path / "list.csv", sheet="North")


def test_a_csv_file_called_xls_is_read_with_a_warning(tmp_path):
    write_csv(tmp_path / "export.xls", HEADER, ROWS, "\t")
    found = contacts.read(tmp_path / "export.xls")
    assert cells(found) == ROWS
    assert [warning.code for warning in found.warnings] == ["misnamed-file"]


def test_a_workbook_called_csv_is_read_with_a_warning(tmp_path):
    write_xlsx(tmp_path / "list.csv", HEADER, ROWS)
    found = contacts.read(tmp_path / "list.csv")
    assert cells(found) == ROWS
    assert [warning.code for warning in found.warnings] == ["misnamed-file"]


def numbers_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Index/Document.iwa", "x")


def zip_of_photos(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", "x")


def truncated_workbook(path):
    write_xlsx(path, HEADER, ROWS)
    path.write_bytes(path.read_bytes()[:-400])


def gutted_workbook(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook")


def protected_workbook(path):
    """An encrypted workbook is an OLE2 file with such a stream; nothing else in it can be read."""
    name = "EncryptedPackage".encode("utf-16-le")
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 1000 + name + b"\x00" * 1000)


def bytes_of(content):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("gone.csv", lambda _: None, "does not exist"),
        ("folder.csv", Path.mkdir, "is a folder"),
        ("empty.csv", bytes_of(b""), "is empty"),
        ("bom.csv", bytes_of(b"\xef\xbb\xbf\r\n\r\n"), "is empty"),
        ("blank.csv", bytes_of(b" \n , \n"), "is empty"),
        ("header.csv", bytes_of(b"name,email\n"), "no rows below"),
        ("blank-rows.csv", bytes_of(b"name,email\n,\n , \n"), "no rows below"),
        ("header.json", bytes_of(b"[]"), "no"),
        ("number.json", bytes_of(b"7"), "no records"),
        ("strings.json", bytes_of(b'["a@example.org"]'), "not a record"),
        ("torn.json", bytes_of(b'[{"email": "a@exam'), "not valid JSON at line 1"),
        ("torn-lines.json", bytes_of(b'{"email": "a@example.org"}\n{"email": \n'), "line 2"),
        ("deep.json", bytes_of(b"[" * 100_000), "not valid JSON"),
        ("list.numbers", numbers_file, "Apple Numbers"),
        ("list.xlsx", numbers_file, "Apple Numbers"),
        ("~$list.xlsx", bytes_of(bytes(165)), r"Excel keeps such a file beside one that is open"),
        ("people.csv", bytes_of(b"Ann,ann@example.org\nBo,bo@example.org\n"), r"first row of .*people\.csv holds"),
        ("photos.xlsx", zip_of_photos, "archive of other files"),
        ("torn.xlsx", truncated_workbook, "damaged"),
        ("gutted.xlsx", gutted_workbook, "damaged"),
        ("secret.xlsx", protected_workbook, "protected by a password"),
        ("broken.xls", bytes_of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000)), "damaged"),
        ("web.xls", bytes_of(b"\r\n<html><table><tr><td>email</td></tr></table>"), "web page"),
        ("xml.xls", bytes_of(b'<?xml version="1.0"?><Workbook/>'), "web page or XML"),
        ("list.parquet", bytes_of(b"email\na@example.org\n"), "not a Parquet file"),
        ("torn.parquet", bytes_of(b"PAR1 and nothing more"), "Parquet"),
        ("letter.pdf", bytes_of(b"%PDF-1.7"), "PDF"),
        ("list.docx", bytes_of(b"name,email\na,a@example.org\n"), "name ending"),
    ],
)
def test_what_holds_no_list_is_refused_with_the_way_out(tmp_path, name, make, said):
    make(tmp_path / name)
    with pytest.raises(ListError, match=said) as refusal:
        contacts.read(tmp_path / name)
    assert refusal.value.hint


def test_a_workbook_without_content_is_empty(tmp_path):
    openpyxl.Workbook().save(tmp_path / "list.xlsx")
    with pytest.raises(ListError, match="is empty"):
        contacts.read(tmp_path / "list.xlsx")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("cell", "refused"), [("XFD1048576", True), ("XFD9", False), ("A1048576", False), ("XFD9000", True)]
)
def test_a_stray_cell_far_away_ends_no_process(tmp_path, cell, refused):
    book = openpyxl.Workbook()
    for row in (["name", "email"], ["Ann", "ann@example.org"]):
        book.active.append(row)
    book.active[cell] = " "
    book.save(tmp_path / "list.xlsx")
    if refused:
        with pytest.raises(ListError, match="far away"):
            contacts.read(tmp_path / "list.xlsx")
    else:
        assert [contact.name for contact in contacts.read(tmp_path / "list.xlsx")] == ["Ann"]


def test_an_old_workbook_with_a_far_cell_ends_no_process(tmp_path):
    """One octet of a cell's column number is enough to ask the reader for a hundred gigabytes."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("List")
    for at, text in enumerate(["email", "ann@example.org"]):
        sheet.write(at, 0, text)
    sheet.write(65_535, 1, 7.25)
    book.save(str(tmp_path / "list.xls"))
    content = (tmp_path / "list.xls").read_bytes()
    number_record = b"\x03\x02\x0e\x00" if b"\x03\x02\x0e\x00\xff\xff\x01\x00" in content else b"\x7e\x02\x0a\x00"
    cell = number_record + b"\xff\xff\x01\x00"
    assert content.count(cell) == 1
    (tmp_path / "list.xls").write_bytes(content.replace(cell, cell[:6] + b"\xff\xff"))
    with pytest.raises(ListError, match=r"damaged|far away"):
        contacts.read(tmp_path / "list.xls")


def test_a_column_without_header_is_kept_if_it_holds_something(tmp_path):
    book = openpyxl.Workbook()
    for row in (["name", None, "email", None], ["Ann", None, "ann@example.org", "x"]):
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    found = contacts.read(tmp_path / "list.xlsx")
    assert [column.name for column in found.columns] == ["name", "email", "column_3"]
    assert found[0].fields == {"name": "Ann", "email": "ann@example.org", "column_3": "x"}


def test_repeated_rows_of_an_open_document_count(tmp_path):
    document = OpenDocumentSpreadsheet()
    table = Table(name="List")
    for cells, times in (
        (["email"], 1),
        (["ann@example.org"], 1),
        ([""], 3),
        (["bo@example.org"], 1),
        ([""], 1_000_000),
    ):
        line = TableRow(numberrowsrepeated=times)
        for cell in cells:
            box = TableCell(valuetype="string") if cell else TableCell()
            if cell:
                box.addElement(P(text=cell))
            line.addElement(box)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    document.save(str(tmp_path / "list.ods"))
    found = contacts.read(tmp_path / "list.ods")
    assert ([contact.row for contact in found], found.blank) == ([2, 6], 3)


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffd\ufeff\ufffe\uffff"),
    max_size=12,
).map(str.strip)
LOCALS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    people = draw(st.lists(LOCALS, min_size=1, max_size=8, unique=True))
    header = ["email", *(f"Spalte {n}" for n in range(width))]
    return header, [
        [f"{person}@example.org", *draw(st.lists(TEXTS, min_size=width, max_size=width))] for person in people
    ]


@pytest.mark.parametrize(
    "name", ["list.csv", "list.tsv", "list.txt", "list.xlsx", "list.json", "lines.json", "list.parquet"]
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(table=tables())
def test_any_table_of_text_comes_back_cell_for_cell(name, table):
    header, rows = table
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS[name](path, header, rows)
        found = contacts.read(path, email_column="email")
    assert found.problems == ()
    assert cells(found) == rows


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(st.text("ab,;\t\"'| \n\r@.é", max_size=6), min_size=1, max_size=4), max_size=8))
def test_csv_cells_with_separators_quotes_and_line_ends_stay_in_their_rows(rows):
    """Compared with the standard library's reader, whichever of our two ways the file takes."""
    rows = [[f"p{n}@example.org", *row[1:], *[""] * (4 - len(row))] for n, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        write_csv(path, ["email", "x", "y", "z"], [["q@example.org", "", "", ""], *rows])
        found = contacts.read(path)
    assert found.rows == len(rows) + 1
    expected = [[cell.strip().replace("\r\n", "\n") for cell in row] for row in rows]
    good = {contact.row: contact for contact in found}
    assert [good[n].fields["x"] for n in range(3, 3 + len(rows)) if n in good] == [
        row[1] for n, row in enumerate(expected, start=3) if n in good
    ]


MAGIC = st.sampled_from(
    [b"", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xff\xfe", b"sep=;\n", b"[{", b"email\n"]
)
PIECES = st.sampled_from(
    [b",", b'"', b"\n", b"\r", b"\x00", b"email", b"a@example.org", b"\xe9", b"\xc3\xa9", b";", b"{", b"}", b":"]
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["a.csv", "a.tsv", "a.txt", "a.xlsx", "a.xls", "a.ods", "a.json", "a.parquet"]),
    content=st.tuples(MAGIC, st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=60).map(b"".join))).map(
        b"".join
    ),
)
def test_junk_is_refused_or_read_and_never_more_than_that(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            found = contacts.read(path)
        except ListError as refusal:
            assert "@" not in str(refusal)  # noqa: PT017 - some junk is a list
        else:
            assert found.rows == len(found) + found.duplicates + len(found.bad_rows)
            assert len(list(found)) == len(found.digests())


def test_damage_that_the_reader_of_cells_bears_is_borne_by_the_reader_of_hidden_rows(tmp_path):
    path = tmp_path / "list.xlsx"
    WRITERS[path.name](path, HEADER, ROWS)
    content = path.read_bytes()
    # the name in front of the part; that in the directory at the end stays
    path.write_bytes(content.replace(b"xl/workbook.xml", b"xl/workbOok.xml", 1))
    assert len(contacts.read(path)) == len(ROWS)


DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(damage=DAMAGE, name=st.sampled_from(["list.xlsx", "list.xls", "list.ods", "list.parquet", "list.json"]))
def test_a_damaged_file_is_refused_or_read_and_never_more_than_that(damage, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS[name](path, HEADER, ROWS)
        content = bytearray(path.read_bytes())
        for where, octet in damage:
            content[int(where * len(content))] = octet
        path.write_bytes(content)
        try:
            found = contacts.read(path)
        except ListError as refusal:
            assert refusal.hint  # noqa: PT017 - some damage does not matter
        else:
            assert found.rows == len(found) + found.duplicates + len(found.bad_rows)


@pytest.mark.parametrize(
    "part", ["xl/worksheets/sheet1.xml", pytest.param("xl/sharedStrings.xml", marks=pytest.mark.thorough)]
)
def test_a_workbook_that_unfolds_to_hundreds_of_megabytes_is_refused_before_it_fills_the_memory(
    tmp_path: Path, part: str
) -> None:
    path = tmp_path / "people.xlsx"
    workbook = openpyxl.Workbook()
    workbook.active.append(["email"])
    workbook.save(tmp_path / "plain.xlsx")
    with zipfile.ZipFile(tmp_path / "plain.xlsx") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as trap:
        for name in plain.namelist():
            if name != part:
                trap.writestr(name, plain.read(name))
        with trap.open(part, "w") as file:
            for _ in range(300):
                file.write(b"a" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(ListError, match="unpacks to far more than any list holds"):
        contacts.read(path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
