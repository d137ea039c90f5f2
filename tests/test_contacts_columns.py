"""Headers become field names, and the columns that matter are found by name and content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer import contacts
from mailer.contacts.naming import RESERVED, columns_of
from mailer.errors import ListError


def read(tmp_path, text, **options):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return contacts.read(path, **options)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("E-mail Address", "email_address"),
        ("e-Mail", "email"),
        ("Straße", "strasse"),
        ("Prénom", "prenom"),
        ("Größe (cm)", "grosse_cm"),
        ("Imię i nazwisko", "imie_i_nazwisko"),
        ("  Two   words ", "two_words"),
        ("نام", "نام"),
        ("Имя", "имя"),
        ("名前", "名前"),
        ("2024 dues", "field_2024_dues"),
        ("case", "case_field"),
        ("Sender", "sender_field"),
        ("mailto", "mailto_field"),
        ("loop", "loop_field"),
        ("not", "not_field"),
        ("Class", "class_field"),
        ("items", "items_field"),
        ("", "column_1"),
        ("???", "column_1"),
        ("__init__", "init"),
    ],
)
def test_a_header_becomes_a_field_name(header, name):
    assert columns_of([header])[0].name == name


def test_names_that_come_twice_are_numbered_from_left_to_right():
    names = [column.name for column in columns_of(["Name", "name", "name_2", "NAME", ""])]
    assert names == ["name", "name_2", "name_2_2", "name_3", "column_5"]


@given(st.lists(st.text(max_size=15), max_size=8))
def test_any_headers_get_distinct_names_that_a_letter_can_use(headers):
    names = [column.name for column in columns_of(headers)]
    assert len(set(names)) == len(headers)
    assert all(name.isidentifier() and not name.startswith("_") and name not in RESERVED for name in names)
    assert names == [column.name for column in columns_of(headers)]


def test_the_original_header_stays_a_second_key(tmp_path):
    fields = read(tmp_path, "E-mail Address,Straße,city\nann@example.org,Weg 1,Köln\n")[0].fields
    assert fields["Straße"] == fields["strasse"] == "Weg 1"
    assert set(fields) == {"E-mail Address", "email_address", "Straße", "strasse", "city"}


HEADERS = """E-mail|EMAIL|Mail|E-Mail-Adresse|Mailadresse|Courriel|Adresse électronique|Adresse e-mail|Correo electrónico
Correo|Dirección de correo electrónico|Posta elettronica|Indirizzo e-mail|ای میل|ایمیل|ای میل ایڈریس|E-mailadres|Endereço de e-mail
Correio eletrônico|Adres e-mail|Poczta elektroniczna|E-posta|E-posta adresi|البريد الإلكتروني|بريد إلكتروني|Электронная почта
Эл. почта|E-postadress|E-post|E-postadresse|Epost|Sähköposti|email_address|Email (private)|Contact e-mail""".replace(
    "\n", "|"
)


@pytest.mark.parametrize("header", HEADERS.split("|"))
def test_the_address_column_is_known_in_many_languages(tmp_path, header):
    found = read(tmp_path, f"x,{header},y\n1,ann@example.org,2\n3,bo@example.org,4\n")
    assert (found.email_column.original, found.warnings, len(found)) == (header, (), 2)


def test_a_column_called_email_without_addresses_is_not_believed(tmp_path):
    found = read(tmp_path, "Email,Kontakt\nyes,ann@example.org\nno,bo@example.org\n")
    assert found.email_column.original == "Kontakt"
    assert [warning.code for warning in found.warnings] == ["guessed-column"]


def test_a_column_without_a_known_name_is_taken_with_a_warning(tmp_path):
    found = read(tmp_path, "who,reach\nAnn,ann@example.org\nBo,bo@example.org\nCy,\n")
    assert found.email_column.name == "reach"
    assert [warning.code for warning in found.warnings] == ["guessed-column"]
    assert [problem.code for problem in found.problems] == ["missing-address"]


def test_several_address_columns_are_listed_and_one_can_be_named(tmp_path):
    text = "Work e-mail,Private e-mail\nann@work.example,ann@home.example\n"
    with pytest.raises(ListError, match='"Work e-mail", "Private e-mail"') as refusal:
        read(tmp_path, text)
    assert "--email-column" in refusal.value.hint
    for name in ("Private e-mail", "private_email", "PRIVATE EMAIL", " private e-mail "):
        assert read(tmp_path, text, email_column=name)[0].address == "ann@home.example"


def test_the_plain_name_wins_over_a_longer_one(tmp_path):
    found = read(tmp_path, "embassy email,email\ne@placeholder.example,ann@example.org\n")
    assert found[0].address == "ann@example.org"


def test_a_wrong_column_name_is_refused_with_a_guess(tmp_path):
    with pytest.raises(ListError, match='no column "emial"') as refusal:
        read(tmp_path, "name,email\nAnn,ann@example.org\n", email_column="emial")
    assert 'Did you mean "email"?' in refusal.value.hint


def test_a_list_without_addresses_is_refused_with_its_columns(tmp_path):
    with pytest.raises(ListError, match='"name", "city"'):
        read(tmp_path, "name,city\nAnn,Cork\n")


def test_a_list_without_column_names_is_refused(tmp_path):
    with pytest.raises(ListError, match=r"first row of .* holds an address"):
        read(tmp_path, "Ann,ann@example.org\nBo,bo@example.org\n")


def test_a_list_whose_addresses_are_all_wrong_is_still_a_list(tmp_path):
    found = read(tmp_path, "name,email\nAnn,ann at example.org\nBo,\n")
    assert [problem.code for problem in found.problems] == ["malformed-address", "missing-address"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("email,Name\na@x.test,Ann Lee\nb@x.test,\n", ["Ann Lee", ""]),
        ("email,First name,Last name\na@x.test,Ann,Lee\nb@x.test,,Ray\nc@x.test,Cy,\n", ["Ann Lee", "Ray", "Cy"]),
        ("email,Vorname,Name\na@x.test,Ann,Lee\n", ["Ann Lee"]),
        ("email,Prénom,Nom\na@x.test,Ann,Lee\n", ["Ann Lee"]),
        ("email,First name,Name\na@x.test,Ann,Ann Lee\n", ["Ann Lee"]),
        ("email,Branch\na@x.test,Rail 12\n", ["Rail 12"]),
        ("email,contact name,branch\na@x.test,Ann,Rail 12\nb@x.test,,Rail 13\n", ["Ann", "Rail 13"]),
        ("email,نام\na@x.test,زینب\n", ["زینب"]),
        ("email,city\na@x.test,Cork\n", [""]),
    ],
)
def test_the_name_to_show_beside_the_address(tmp_path, text, names):
    assert [contact.name for contact in read(tmp_path, text)] == names


@pytest.mark.parametrize(
    "header", ["language", "Lang", "Sprache", "Langue", "Idioma", "Lingua", "زبان", "Język", "språk"]
)
def test_the_language_column_is_known_in_many_languages(tmp_path, header):
    assert read(tmp_path, f"email,{header}\na@x.test,ur\n")[0].language == "ur"


@pytest.mark.parametrize(
    ("written", "tag"),
    [("de", "de"), ("DE", "de"), ("pt_BR", "pt-br"), ("pt-BR", "pt-br"), ("German", "de"), ("Deutsch", "de"),
     ("français", "fr"), ("Urdu", "ur"), ("اردو", "ur"), ("zh-Hant-TW", "zh-hant-tw"), ("bal", "bal"), ("ger", "de"), ("", None)],
)  # fmt: skip
def test_languages_are_written_in_many_ways(tmp_path, written, tag):
    found = read(tmp_path, f"email,language\na@x.test,{written}\n")
    assert (found[0].language, found.warnings) == (tag, ())


@pytest.mark.parametrize("written", ["klingon", "xx", "english and french", "-", "qqq", "d"])
def test_an_unknown_language_is_a_warning(tmp_path, written):
    found = read(tmp_path, f"email,language\na@x.test,{written}\n")
    assert found[0].language is None
    assert [(warning.code, warning.row) for warning in found.warnings] == [("unknown-language", 2)]


def test_consent_columns_are_fields_like_others(tmp_path):
    fields = read(tmp_path, "email,consent,consent_source,consent_at\na@x.test,yes,form,2026-11-01\n")[0].fields
    assert (fields["consent"], fields["consent_source"], fields["consent_at"]) == ("yes", "form", "2026-11-01")
