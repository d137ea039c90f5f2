"""Addresses: what is accepted, how it is normalised, and what is said about the rest."""

from __future__ import annotations

import csv
import string
import tempfile
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from email_validator import validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer import contacts
from mailer.contacts.address import Checked, Fault, check
from mailer.contacts.screen import screen
from mailer.contacts.typos import GOOD, PROVIDERS, suggestion


@pytest.mark.parametrize(
    ("cell", "address", "key"),
    [
        ("Ann.Lee+x@Example.ORG", "Ann.Lee+x@example.org", "ann.lee+x@example.org"),
        ("o'brien@host.test", "o'brien@host.test", "o'brien@host.test"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("JÖRG@example.org", "JÖRG@example.org", "jörg@example.org"),
        ("jo\u0308rg@example.org", "jörg@example.org", "jörg@example.org"),
        ("Info@b.example", "Info@b.example", "info@b.example"),
        ("Info@bü.example", "Info@xn--b-eha.example", "info@xn--b-eha.example"),
        ("a@sub.example.net", "a@sub.example.net", "a@sub.example.net"),
    ],
)
def test_an_address_is_brought_to_its_normal_form(cell, address, key):
    assert check(cell) == Checked(address=address, key=key)


@pytest.mark.parametrize(
    "cell",
    [
        "mailto:ann@example.org",
        "MAILTO:ann@example.org?subject=Hello",
        "<ann@example.org>",
        '"ann@example.org"',
        "'ann@example.org'",
        "“ann@example.org”",
        "Ann Lee <ann@example.org>",
        '"Lee, Ann" <ann@example.org>',
        "ann@example.org <ann@example.org>",
        "Ann <mailto:ann@example.org>",
        "ann@example.org;",
        "ann@example.org.",
        "\u200bann@example.org",
        "ann\u200b@example.org",
        "\u202aann@example.org\u202c",
        "\ufeffann@example.org",
    ],
)
def test_what_is_pasted_around_an_address_is_taken_off_with_a_warning(tmp_path, cell):
    path = tmp_path / "list.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["name", "email"], ["Ann", cell]])
    found = contacts.read(path, email_column="email")
    assert [(contact.address, contact.fields["email"]) for contact in found] == [("ann@example.org", "ann@example.org")]
    assert [(warning.code, warning.row) for warning in found.warnings] == [("cleaned-address", 2)]


def test_an_address_that_only_exchange_knows_is_told_with_the_way_to_the_real_one(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,email\nAnn,/o=ExchangeLabs/ou=Union/cn=Recipients/cn=ann\nBo,bo@example.org\n", "utf-8")
    found = contacts.read(path)
    [problem] = found.problems
    assert (problem.code, problem.row) == ("exchange-address", 2)
    assert str(problem.message).startswith("The e-mail address is an internal one of Exchange")
    assert "PrimarySmtpAddress" in problem.hint


@pytest.mark.parametrize("cell", [" ann@example.org ", "\u00a0ann@example.org\u00a0", "ann@example.org\n"])
def test_outer_white_space_needs_no_warning(cell):
    assert check(cell) == Checked(address="ann@example.org", key="ann@example.org")


@pytest.mark.parametrize(
    ("cell", "code", "reason"),
    [
        ("", "missing-address", "missing"),
        ("\u200b", "missing-address", "missing"),
        (
            "/o=ExchangeLabs/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=1a2b-Ann",
            "exchange-address",
            "Exchange",
        ),
        ("EX:/O=UNION/OU=LEEDS/CN=RECIPIENTS/CN=ANN", "exchange-address", "Exchange"),
        ("X500:/o=Union/cn=Recipients/cn=ann", "exchange-address", "Exchange"),
        ("Ann Lee </o=Union/ou=Leeds/cn=Recipients/cn=ann>", "exchange-address", "Exchange"),
        ("'/O=Union/OU=Süd/cn=Recipients/cn=ann'", "exchange-address", "Exchange"),
        (
            "IMCEAEX-_o=ExchangeLabs_ou=Exchange+20Administrative+20Group_cn=Recipients_cn=ann@eu.example.com",
            "exchange-address",
            "Exchange",
        ),
        ("n/o=yes", "malformed-address", "no @ sign"),
        ("''", "missing-address", "missing"),
        ("a@x.test, b@x.test", "two-addresses", "several"),
        ("a@x.test;b@x.test", "two-addresses", "several"),
        ("a@x.test b@x.test", "two-addresses", "several"),
        ("a@x.test/b@x.test", "two-addresses", "several"),
        ("a@x.test und b@x.test", "two-addresses", "several"),
        ("Ann <a@x.test>, Bo <b@x.test>", "two-addresses", "several"),
        ("b@x.test <a@x.test>", "two-addresses", "several"),
        ("\uff20ann@x.test", "malformed-address", "only looks like @"),
        ("ann\uff20x.test", "malformed-address", "only looks like @"),
        ("ann\uff0cbob@x.test", "malformed-address", "only looks like @"),
        ("ann\ufe64bob@x.test", "malformed-address", "only looks like @"),
        ("a@x.test\nb@x.test", "control-character", "line break"),
        ("a@x.test\r\nBcc: b@x.test", "control-character", "line break"),
        ("a\x00@x.test", "control-character", "control character"),
        ("ann", "malformed-address", "no @ sign"),
        ("ann at x.test", "malformed-address", "no @ sign"),
        ("a@b@x.test", "malformed-address", "more than one @"),
        ("@x.test", "malformed-address", "nothing before"),
        ("ann@", "malformed-address", "nothing after"),
        ("ann lee@x.test", "malformed-address", "space"),
        ("ann@localhost", "malformed-address", "no dot"),
        ("ann@test", "malformed-address", "no dot"),
        ("ann@[192.0.2.1]", "malformed-address", "by its number"),
        ("ann@192.0.2.1", "malformed-address", "by its number"),
        ("ann@[IPv6:2001:db8::1]", "malformed-address", "by its number"),
        ("ann@x..test", "malformed-address", "two dots"),
        (".ann@x.test", "malformed-address", "dot at the start"),
        ("ann@printer.local", "malformed-address", "no mail server"),
        ("ann@x.invalid", "malformed-address", "no mail server"),
        ("a" * 65 + "@x.test", "malformed-address", "too long"),
        ("a@" + "b." * 130 + "test", "malformed-address", "too long"),
        ("ann@-x.test", "malformed-address", "cannot have"),
        ("ann@x_y.test", "malformed-address", "cannot have"),
        ("ann(at)x.test", "malformed-address", "no @ sign"),
    ],
)
def test_what_is_no_address_is_told_in_plain_words(cell, code, reason):
    result = check(cell)
    assert isinstance(result, Fault)
    assert result.code == code
    assert reason in result.reason


@settings(max_examples=300, deadline=None)
@given(st.text("aB.@-_+ ,;<>\"'\u00e9\u0130\u200b\u0308\u1e9e1[]:/\n\x00", max_size=24))
def test_any_cell_is_checked_and_what_passes_passes_again(cell):
    result = check(cell)
    if isinstance(result, Checked):
        assert check(result.address) == Checked(address=result.address, key=result.key)
        assert result.key == unicodedata.normalize("NFC", result.key)
        assert not set(result.address) & set(' ,;<>"\n\r\x00')
        assert result.address.count("@") == 1


PART = st.text(string.ascii_letters + string.digits + "-_+.", min_size=1, max_size=12)
ENDING = st.sampled_from(
    ["org", "test", "local", "LOCALHOST", "invalid", "com", "a", "x1", "xn--p1ai", "arpa", "onion"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(st.tuples(PART, PART, ENDING).map(lambda p: f"{p[0]}@{p[1]}.{p[2]}"), st.just("")), max_size=6)
)
def test_addresses_passed_in_bulk_are_those_that_pass_one_by_one(cells):
    rows = pd.Index(range(2, 2 + len(cells)), dtype="int64")
    found = screen(pd.Series(cells, dtype="str", index=rows), file="list.csv", column="email")
    one_by_one = [check(cell) for cell in cells]
    assert found.address.to_pylist() == [r.address if isinstance(r, Checked) else "" for r in one_by_one]
    assert found.key.to_pylist() == [r.key if isinstance(r, Checked) else "" for r in one_by_one]
    for address in filter(None, found.address.to_pylist()):
        assert (
            validate_email(address, check_deliverability=False, test_environment=True).ascii_email.lower()
            == address.lower()
        )


def test_letters_before_the_at_sign_that_need_smtputf8_are_warned_about(tmp_path):
    (tmp_path / "list.csv").write_text("email\njörg@example.org\nann@bücher.example\n", encoding="utf-8")
    found = contacts.read(tmp_path / "list.csv")
    assert len(found) == 2
    assert [(warning.code, warning.row) for warning in found.warnings] == [("needs-smtputf8", 2)]


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmai.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.cm", "gmail.com"),
        ("gmailcom", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("yahooo.com", "yahoo.com"),
        ("outlok.com", "outlook.com"),
        ("gmx.ed", "gmx.de"),
        ("web.dee", "web.de"),
        ("live.con", "live.com"),
    ],
)
def test_likely_typing_mistakes_of_big_providers_are_known(domain, meant):
    assert suggestion(domain) == meant


@pytest.mark.parametrize(
    "domain",
    [
        *sorted(GOOD),
        "example.org",
        "mail.example",
        "gml.de",
        "wed.de",
        "union.example",
        "maily.org",
        "live.org",
        "gmx.pl",
    ],
)
def test_honest_domains_are_no_typing_mistakes(domain):
    assert suggestion(domain) is None


@given(st.sampled_from(PROVIDERS), st.text(string.ascii_lowercase, min_size=2, max_size=2), st.integers(0, 20))
def test_what_is_called_a_mistake_is_at_most_one_slip_away(provider, letters, at):
    changed = provider[:at] + letters + provider[at + 1 :]
    meant = suggestion(changed)
    assert meant is None or slips(changed, meant) <= 2


def slips(a, b):
    """Edit distance, where swapped neighbours count as two."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def test_a_typing_mistake_is_a_warning_with_its_row():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_text("email\nann@gmail.com\nbo@gmial.com\ncy@GMIAL.com\n", encoding="utf-8")
        found = contacts.read(path)
    assert len(found) == 3
    assert [(w.row, w.code) for w in found.warnings] == [(3, "likely-typo"), (4, "likely-typo")]
    assert "gmail.com" in found.warnings[0].message


@pytest.mark.parametrize(
    "cell",
    [
        "=?utf-8?b?DQpCY2M6IHNweUBldmlsLnRlc3Q=?=p35@example.org",
        "=?utf-8?q?a=0D=0ABcc:?=@example.org",
        "a=?b@example.org",
    ],
)
def test_an_address_that_some_programs_would_decode_is_refused(cell):
    found = check(cell)
    assert isinstance(found, Fault)
    assert "=?" in found.reason
