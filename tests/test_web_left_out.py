"""Nobody is left out unnoticed on the page: who is allowed again, whose list is gone, and what an approval does not reach."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from organiser import Office, Stranger, office, people
from test_web_steps import entered, ready

from mailer.ledger import Ledger
from mailer.model import Entry, Happening


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        yield made


def begun(at_work: Office, number: int) -> str:
    """A campaign to so many of which one is sent; comes to its list."""
    name = at_work.write_list(people(number))
    at_work.program.json("send", "appeal", name, "--yes", "--limit", "1", code=3)
    return name


def digest_of(page: str) -> str:
    return page.partition('name="hash" value="')[2].partition('"')[0]


@pytest.mark.thorough
def test_whoever_is_allowed_again_can_be_queued_again_where_they_were_left_out(at_work: Office) -> None:
    begun(at_work, 3)
    inside, csrf = entered(at_work)
    _, page = inside.post("/suppressed/add", csrf=csrf, entry="union.example")
    _, page = inside.post("/suppressed/allow", csrf=csrf, hash=digest_of(page))
    assert "These campaigns go on without" in page
    assert 'action="/campaign/appeal--people/retry"' in page
    answer, _ = inside.post("/campaign/appeal--people/retry", csrf=csrf)
    assert answer.status == 303
    with Ledger(at_work.folder / "mailer.db") as ledger:
        tally = ledger.tally(ledger.find("appeal--people"))
    assert (tally.sent, tally.queued, tally.suppressed) == (1, 2, 0)


def test_nothing_is_said_of_campaigns_where_nobody_was_left_out(at_work: Office) -> None:
    inside, csrf = entered(at_work)
    _, page = inside.post("/suppressed/add", csrf=csrf, entry=people(1)[0])
    assert "nobody mails this address" in page
    _, page = inside.post("/suppressed/allow", csrf=csrf, hash=digest_of(page))
    assert "may be mailed again" in page
    assert "These campaigns" not in page


@pytest.mark.parametrize("entry", ["union.example", "@union.example"])
def test_that_a_whole_domain_is_suppressed_is_said(at_work: Office, entry: str) -> None:
    inside, csrf = entered(at_work)
    for said in ("nobody at <bdi>union.example</bdi> is mailed", "This domain was there already."):
        _, page = inside.post("/suppressed/add", csrf=csrf, entry=entry)
        assert said in page
        assert "nobody mails this address" not in page


def test_whoever_is_suppressed_is_told_of_the_campaigns_that_do_not_hear_of_it(at_work: Office) -> None:
    begun(at_work, 3)
    inside, csrf = entered(at_work)
    told = "Campaigns that go on in PostgreSQL do not hear of this:"
    _, page = inside.post("/suppressed/add", csrf=csrf, entry=people(2)[1])
    assert told not in page
    with Ledger(at_work.folder / "mailer.db") as ledger:
        ledger.mark_moved("appeal--people")
    for entry in (people(3)[2], people(3)[2]):
        _, page = inside.post("/suppressed/add", csrf=csrf, entry=entry)
        assert told in page
        assert "<li><bdi>appeal--people</bdi></li>" in page
        assert "MAILER_LEDGER" in page
    _, page = inside.post("/suppressed/add", csrf=csrf, entry="nobody at all")
    assert told not in page
    assert told not in inside.ask("GET", "/suppressed")[1]


@pytest.mark.parametrize("button", ["go-on", "rest"])
def test_a_campaign_whose_list_is_gone_says_so(at_work: Office, button: str) -> None:
    (at_work.folder / begun(at_work, 3)).unlink()
    inside, csrf = entered(at_work)
    address = f"/campaign/appeal--people/{button}"
    answer, _ = inside.post(address, csrf=csrf) if button == "go-on" else inside.ask("GET", address)
    assert answer.status == 303
    _, page = inside.ask("GET", answer.getheader("Location") or "")
    assert (
        "<bdi>contacts/people.csv</bdi>, the list of the campaign <bdi>appeal--people</bdi>, is not in this folder"
        in page
    )


def test_whoever_approves_reads_how_many_of_the_list_get_nothing(at_work: Office) -> None:
    draft = {"list": at_work.write_list([*people(2), "nobody"]), "letter": "appeal", "skip": "1"}
    inside, _ = entered(at_work)
    ready(inside, **draft)
    _, page = inside.ask("GET", f"/approve?{urlencode(draft)}")
    assert "3 rows in the list: 2 get the letter, 1 has a problem." in page


def test_a_campaign_whose_rest_was_suppressed_while_it_was_paused_is_not_called_paused(at_work: Office) -> None:
    begun(at_work, 2)
    with Ledger(at_work.folder / "mailer.db") as ledger:
        paused = Entry(at=time.time(), kind=Happening.PAUSED, text="Paused at your request.")
        ledger.write_diary(ledger.find("appeal--people"), [paused])
    inside, csrf = entered(at_work)
    assert "Paused at your request." in events(inside)
    inside.post("/suppressed/add", csrf=csrf, entry=people(2)[1])
    assert '"state": "finished"' in (now := events(inside))
    assert "Paused at your request." not in now


def test_a_campaign_that_the_mail_server_stopped_is_called_stopped_by_page_and_terminal(at_work: Office) -> None:
    name = at_work.write_list(people(4))
    at_work.server.on("mail", reply="550 5.4.5 Daily user sending limit exceeded")
    at_work.program.json("send", "appeal", name, "--yes", code=4)
    told = at_work.program.json("status", "appeal--people")
    inside, _ = entered(at_work)
    now = json.loads(events(inside).removeprefix("data: "))
    assert (told["state"], now["state"], now["last"]["kind"]) == ("stopped", "stopped", "stopped")
    reason = now["last"]["said"][0]
    assert reason in " ".join(at_work.program.run("status", "appeal--people").stdout.split())
    _, page = inside.ask("GET", "/campaign/appeal--people")
    assert re.search(r'<span class="state stopped" id="state"[^>]*>stopped</span>', page)
    assert re.search(r'id="go-on"(?! hidden)', page)
    assert '<span class="state stopped">stopped</span>' in inside.ask("GET", "/")[1]
    assert inside.ask("GET", "/?sort=state")[0].status == 200
    # what a person paused is called paused by both
    at_work.server.rules.clear()
    at_work.program.json("send", "appeal", name, "--yes", "--limit", "1", code=3)
    assert at_work.program.json("status", "appeal--people")["state"] == "paused"
    assert json.loads(events(inside).removeprefix("data: "))["state"] == "paused"


def events(inside: Stranger) -> str:
    """The first thing that a campaign's page hears."""
    connection = HTTPConnection("127.0.0.1", inside.port, timeout=30)
    connection.request("GET", "/campaign/appeal--people/events", headers={"Cookie": inside.cookie})
    try:
        return connection.getresponse().readline().decode()
    finally:
        connection.close()


def test_an_upload_that_the_settings_stop_names_the_line_to_mend(at_work: Office) -> None:
    inside, csrf = entered(at_work)
    with (at_work.folder / "mailer.toml").open("a", encoding="utf-8") as settings:
        settings.write("max_burst = 1\n")
    headers = {"X-CSRF": csrf, "X-Filename": "new.csv", "Content-Type": "text/csv"}
    answer, said = inside.ask("POST", "/list/upload", b"email\na@union.example\n", **headers)
    assert answer.status == 422
    assert "mailer.toml" in said
    assert "max_burst" in said
