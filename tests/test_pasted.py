"""Several addresses at once, as they are copied from a spreadsheet or a mail program, are all kept out, and what cannot be read is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from organiser import Office, office
from test_web_steps import entered

from mailer.__main__ import main
from mailer.campaign.pasted import read_pasted
from mailer.ledger import Ledger


def kept(folder: Path) -> set[str | None]:
    with Ledger(folder / "mailer.db") as ledger:
        return {one.entry for one in ledger.suppression_rows()}


@pytest.mark.parametrize(
    ("pasted", "keys"),
    [
        ("Ana <a@example.org>, b@example.org; Cy <c@example.org>", "a b c"),
        ("Berg, Ana <a@example.org>; Otto, Bo, Dr. <b@example.org>", "a b"),
        ("Berg, Ana <a@example.org>, Otto, Bo <b@example.org>", "a b"),
        ('"Berg, Ana; Leeds" <a@example.org>,b@example.org,', "a b"),
        ("a@example.org\nb@example.org\r\n\r\n c@example.org \n", "a b c"),
        ("a@example.org b@example.org", "a b"),
        ("Ana <a@example.org> Bo <b@example.org>", "a b"),
        ("<a@example.org> b@example.org", "a b"),
        ("Berg, Ana\ta@example.org\tLeeds\nOtto, Bo\tB@Example.ORG\tCork", "a b"),
        ("mailto:a@example.org; A@example.org;'b@example.org'", "a b"),
        ("a@example.org <a@example.org>; @example.org", "a @"),
        ("example.org", "@"),
        ("a@example.org\nexample.org", "a @"),
        ("Pat O'Brien <a@example.org>, Kim O'Neill <b@example.org>", "a b"),
    ],
)
def test_several_addresses_are_read_as_they_are_copied(pasted: str, keys: str) -> None:
    found = read_pasted([pasted])
    assert found.unread == ()
    assert found.keys == tuple(f"{key.strip('@')}@example.org" for key in keys.split())


@pytest.mark.parametrize(
    ("pasted", "places"),
    [
        ("a@example.org, nobody, b@example.org", [2]),
        ("a@example.org; Amazon.example; b@", [2, 3]),
        ("nobody, Ana <a@", [1, 2]),
        ("Name\tE-Mail\nAna\ta@example.org", [1]),
        ("one\ntwo@\na@example.org", [1, 2]),
        ("pat berg@example.org", [1]),
        ("Ana a@example.org Bo b@example.org", [1]),
        ("Ana, a@example.org", [1]),
        ("one, two, three, Ana <a@example.org>", [1]),
    ],
)
def test_what_cannot_be_read_is_told_by_its_place(pasted: str, places: list[int]) -> None:
    found = read_pasted([pasted])
    assert [one.number for one in found.unread] == places
    for one in found.unread:
        assert re.match(rf"Entry {one.number} ", one.sentence)
        assert one.text not in one.sentence


def test_an_address_of_exchange_is_told_as_such() -> None:
    [unread] = read_pasted(["Ana </o=ExchangeLabs/ou=Union/cn=Recipients/cn=ana>; b@example.org"]).unread
    assert unread.sentence == (
        "Entry 1 cannot be read: the address is an internal one of Exchange, to which no other mail server can deliver."
    )


NAMES = st.sampled_from(["", "Ana", "Berg, Ana", "O'Brien, Pat", '"Otto; Bo"', "Müller, Jo, Dr."])


@given(st.lists(NAMES, min_size=1, max_size=8), st.sampled_from(["; ", ";", "\n", ",", ", ", "\r\n"]))
def test_nobody_of_a_copied_list_is_missed(names: list[str], between: str) -> None:
    addresses = [f"p{at}@example.org" for at in range(len(names))]
    written = [f"{name} <{one}>" if name else one for name, one in zip(names, addresses, strict=True)]
    found = read_pasted([between.join(written)])
    assert (list(found.keys), found.unread) == (addresses, ())


@given(st.text("ab@.<>\"',; \t\n\u00e4\u200b", max_size=60))
def test_whatever_is_pasted_is_read_or_told(text: str) -> None:
    found = read_pasted([text])
    assert [one.number for one in found.unread] == sorted({one.number for one in found.unread})
    told = "".join(one.text for one in found.unread)
    for line in text.splitlines():
        if "@" not in line:  # nothing in it is a name beside an address, so every word of it is told, or is a domain
            assert found.keys or all(word in told for word in re.findall(r"[ab\u00e4]+", line))
    if not re.search(r"[^\s,;]", text):
        assert (found.keys, found.unread) == ((), ())


def test_the_command_takes_all_it_can_read_and_tells_the_others(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suppress", "add", "Berg, Ana <a@example.org>; b@example.org", "c@, d@example.org"]) == 2
    said = capsys.readouterr()
    assert "3 addresses" in said.out
    assert "Entry 3 cannot be read: the address has nothing after the @ sign." in said.err
    assert kept(campaign_folder) == {"a@example.org", "b@example.org", "d@example.org"}
    assert main(["suppress", "add", "e@example.org\nf@example.org"]) == 0
    # who may be mailed again is decided for all of them or none
    assert main(["suppress", "remove", "a@example.org, nobody"]) == 2
    assert "Entry 2 is neither an address nor a domain. Nothing was changed." in capsys.readouterr().err
    assert len(kept(campaign_folder)) == 5
    assert main(["suppress", "remove", "a@example.org, b@example.org; d@example.org"]) == 0
    assert kept(campaign_folder) == {"e@example.org", "f@example.org"}


def test_nothing_is_changed_where_nothing_can_be_read(
    campaign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suppress", "add", "nobody, x@"]) == 2
    said = capsys.readouterr().err
    assert "Some entries cannot be read. Nothing was changed." in said
    assert "Entry 1 is neither" in said
    assert "Entry 2 cannot be read" in said
    assert main(["suppress", "add", " , "]) == 2
    assert "No address was named." in capsys.readouterr().err


# -- the page


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        yield made


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_several_are_added_on_the_page_and_what_cannot_be_read_stays_in_the_field(at_work: Office) -> None:
    inside, csrf = entered(at_work)
    pasted = "Ana\ta@example.org\r\nBo <b@example.org>; nobody, kim@\r\n@left.example"
    answer, page = inside.post("/suppressed/add", csrf=csrf, entry=pasted, note="asked by phone")
    assert answer.status == 200
    assert "3 were added: from now on they are never mailed from this folder." in text(page)
    assert "nobody at left.example is mailed" in text(page)
    assert "Entry 3 is neither an address nor a domain." in page
    assert "Entry 4 cannot be read: the address has nothing after the @ sign." in page
    assert re.search(r"<textarea[^>]*>\nnobody\nkim@</textarea>", page)
    assert 'value="asked by phone"' in page
    assert kept(at_work.folder) == {"a@example.org", "b@example.org", "@left.example"}
    answer, page = inside.post("/suppressed/add", csrf=csrf, entry="a@example.org, c@example.org")
    assert "1 was added" in text(page)
    assert "1 was there already." in text(page)
    answer, page = inside.post("/suppressed/add", csrf=csrf, entry="nobody")
    assert (answer.status, "Nothing was changed." in page, "Entry 1 is neither" in page) == (422, True, True)
    answer, page = inside.post("/suppressed/add", csrf=csrf, entry=" ")
    assert (answer.status, "No address was named." in page) == (422, True)
