"""Nobody on the suppression list is mailed, and everybody else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.contacts.address import Checked, check
from mailer.model import Contact
from mailer.suppression import normalise, screen


def contact(key, row=2):
    return Contact(address=key, key=key, row=row)


def reasons(keys, suppressed):
    return [reason for _, reason in screen([contact(key) for key in keys], suppressed)]


def test_an_address_on_the_list_is_held_back_with_its_reason():
    assert reasons(["ada@example.org", "bo@example.org"], {"bo@example.org": "unsubscribed"}) == [None, "unsubscribed"]


def test_a_domain_on_the_list_stands_for_its_addresses_but_not_for_sub_domains_or_look_alikes():
    keys = ["ada@example.org", "ada@mail.example.org", "ada@notexample.org", "example.org@example.net"]
    assert reasons(keys, {"@example.org": "asked by phone"}) == ["asked by phone", None, None, None]


def test_the_address_gives_the_reason_before_its_domain_even_if_that_is_empty():
    assert reasons(["ada@example.org"], {"ada@example.org": "", "@example.org": "domain"}) == [""]


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (" Ada@Example.ORG ", "ada@example.org"),
        ("example.org", "@example.org"),
        ("@Example.org", "@example.org"),
        ("jo\u0308rg@example.org", "j\u00f6rg@example.org"),
        ("Ada@B\u00dcCHER.example", "ada@xn--bcher-kva.example"),
        ("@bu\u0308cher.example.", "@xn--bcher-kva.example"),
        ("b\u00fccher\u3002example", "@xn--bcher-kva.example"),
        ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
        ("ada@\u200b", "ada@\u200b"),
        ("\u00fc" * 300 + ".example", "@" + "\u00fc" * 300 + ".example"),
    ],
)
def test_an_entry_is_kept_in_one_form(entry, kept):
    assert normalise(entry) == kept


@pytest.mark.parametrize("entry", ["ada@b\u00fccher.example", "b\u00fccher.example", "Ada@XN--BCHER-KVA.example"])
def test_an_international_domain_on_the_list_is_found_however_it_is_written(entry):
    checked = check("ada@B\u00fccher.example")
    assert isinstance(checked, Checked)
    assert reasons([checked.key], {normalise(entry): "unsubscribed"}) == ["unsubscribed"]


LETTERS = st.text("aA\u00e4\u00c4\u00df\u03c3\u03c2\u03a3\u0130\u00efz-9", min_size=1, max_size=8)


@given(LETTERS, LETTERS)
def test_an_entry_and_a_row_with_the_same_address_have_the_same_key(local, label):
    written = f"{local}@{label}.example"
    checked = check(written)
    if isinstance(checked, Checked):
        assert normalise(written) == normalise(checked.address) == checked.key


@given(st.text())
def test_keeping_an_entry_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


@given(st.lists(st.sampled_from(["a@example.org", "b@example.org", "c@example.net", "d@x.test"])), st.data())
def test_every_contact_comes_out_once_in_order(keys, data):
    entries = ["a@example.org", "@example.net", "z@example.org"]
    suppressed = data.draw(st.dictionaries(st.sampled_from(entries), st.just("why")))
    screened = list(screen([contact(key, row) for row, key in enumerate(keys)], suppressed))
    assert [each.row for each, _ in screened] == list(range(len(keys)))
    for each, reason in screened:
        assert (reason is not None) == (each.key in suppressed or "@" + each.domain in suppressed)
