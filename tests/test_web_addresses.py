"""Addresses of the page: whatever a campaign is called its pages are told apart, and no number is too long to be refused plainly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_campaigns import crowd, made_up
from organiser import Office, Stranger, office, people

from mailer.ledger import Ledger
from mailer.web.journey.addresses import CampaignName, Count, campaign_url
from mailer.web.journey.ways import parts

NAMES = [
    "x",
    "x/events",
    "x/report",
    "x/report.csv",
    "a/b/uncertain",
    "/",
    "..",
    ".",
    "../..",
    "x%2Fevents",
    "ü ?&#;=+",
    "a\\b",
    "-x",
]


@given(st.one_of(st.text(min_size=1), st.text(alphabet="./%2Feventsr\\", min_size=1)))
def test_a_name_of_any_kind_is_one_step_of_an_address_and_comes_back_from_it(name: str) -> None:
    name = name.encode("utf-8", "ignore").decode() or "x"
    path = urlsplit(f"http://127.0.0.1{campaign_url(name)}").path
    step = unquote(path.removeprefix("/campaign/"))
    assert path == campaign_url(name)
    assert "/" not in path.removeprefix("/campaign/")
    assert step not in {".", ".."}  # which a browser would take
    assert re.fullmatch(CampaignName.regex, step)
    assert CampaignName().convert(step) == name
    assert f"/campaign/{CampaignName().to_string(name)}" == campaign_url(name)


def test_usual_names_stand_in_the_address_as_they_are() -> None:
    assert campaign_url("appeal--2026.people") == "/campaign/appeal--2026.people"
    assert list(parts('mailer report "x/events"'))[1][1] == "/campaign/x%252Fevents/report"


def test_a_number_has_at_most_nine_digits() -> None:
    assert not re.fullmatch(Count.regex, "1" * 10)
    assert (Count().convert("0012"), Count().to_string(12)) == (12, "12")


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office(tmp_path_factory.mktemp("office")) as made:
        made.write_list(people(3))
        with Ledger(made.folder / "mailer.db") as ledger:
            for number, name in enumerate(NAMES, start=1):
                made_up(ledger, crowd(number), name=name)
        made.open()
        yield made


@pytest.fixture(scope="module")
def member(at_work: Office) -> tuple[Stranger, str]:
    inside = Stranger(at_work.port)
    return inside, inside.enter(at_work.page)


@pytest.mark.parametrize("name", NAMES)
def test_each_page_of_a_campaign_is_its_own_whatever_it_is_called(member: tuple[Stranger, str], name: str) -> None:
    inside, token = member
    here = campaign_url(name)
    for path in (here, f"{here}/report", f"{here}/uncertain"):
        answer, text = inside.ask("GET", path)
        assert answer.status == 200, (path, answer.getheader("Location"))
        # what it links to and posts to is its own
        own = re.findall(r'(?:href|action|data-events)="(/campaign/[^"]*)"', text)
        assert own
        assert {one.replace(here, "", 1).partition("/")[0] for one in own} == {""}
    table = inside.ask("GET", f"{here}/report.csv")[1]
    assert len(table.strip().splitlines()) == 1 + 1 + NAMES.index(name)
    assert inside.post(f"{here}/pause", csrf=token)[0].getheader("Location") == here


@pytest.mark.parametrize(
    "path", ["/preview/message/{}", "/preview/message/{}/message.eml", "/preview/message/3/attachments/{}"]
)
def test_a_number_of_thousands_of_digits_leads_nowhere(member: tuple[Stranger, str], path: str) -> None:
    address = path.format("9" * 5000) + "?list=contacts/people.csv&letter=appeal"
    assert member[0].ask("GET", address)[0].status == 404
    assert member[0].ask("GET", address, Accept="text/html")[0].getheader("Location") == "/?nowhere=1"


@pytest.mark.parametrize(
    "path", ["/suppressed", "/approve", "/send", "/letter/save", "/account/setup/try", "/practice"]
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_what_is_no_form_is_refused_plainly_also_with_the_token(
    member: tuple[Stranger, str], at_work: Office, path: str, kind: str
) -> None:
    inside, token = member
    answer, text = inside.ask("POST", path, b'{"entry": "x"}', Content_Type=kind, X_CSRF=token)
    assert answer.status == 415
    assert "Nothing was changed." in text
    assert not list(at_work.folder.glob("mailer-bug*"))
