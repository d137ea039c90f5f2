# ruff: noqa: F811 - the fixtures are those of another module
"""What comes after "send" on the organiser's page: the log, what holds a campaign, what comes back, the report."""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import real_servers
import returned_mails as samples
from organiser import Office, people
from playwright.sync_api import Page, expect
from test_ledger import contact, start
from test_web_journey import at_work, chromium, complaints, page, picture, state  # noqa: F401 - fixtures

from mailer.campaign.diary import Diarist, note_begin, note_end
from mailer.cli.inbox import orphaned
from mailer.errors import RelayStopped
from mailer.ledger import Ledger
from mailer.model import Event, EventKind, Happening, Quota
from mailer.settings import load
from mailer.web.journey.watching import Watching

CAMPAIGN = "appeal--people"
GONE, LATER, LOST = people(5)[1], people(5)[2], people(5)[3]


def eventful(at_work: Office, number: int = 5) -> None:
    """A campaign that was sent from the terminal: one refused, one put off, one in doubt."""
    at_work.server.on("rcpt", address=GONE, reply="550 5.1.1 <p2@union.example> No such user here")
    at_work.server.on("rcpt", address=LATER, reply="450 4.2.1 Greylisted, come back later")
    at_work.server.on("accepted", address=LOST, drop=True)
    name = at_work.write_list(people(number))
    at_work.program.json("send", "appeal", name, "--yes", code=3)


def opened(page: Page, at_work: Office) -> str:
    """The campaign's page; comes to the address of the page as a whole."""
    page.goto(at_work.open())
    base = page.url.rstrip("/")
    page.get_by_role("link", name=CAMPAIGN).click()
    expect(page.locator("#lines li").first).to_be_visible()
    return base


def lines(page: Page) -> list[str]:
    return page.locator("#lines li > div > p:not(.who)").all_inner_texts()


@pytest.mark.thorough
def test_the_log_tells_in_plain_words_what_happened_in_the_terminal_and_after_a_restart(
    page: Page, at_work: Office
) -> None:
    eventful(at_work)
    page.goto(at_work.open())
    expect(page.get_by_role("row", name=re.compile(CAMPAIGN))).to_contain_text(
        "2 of 5 sent, 1 refused, 1 in doubt, 1 to be tried again"
    )
    at_work.end()
    base = opened(page, at_work)
    told = lines(page)
    # with the day, where that is tomorrow
    assert re.fullmatch(r"Nobody can be tried just now. Those to be tried again are due at .*\d\d:\d\d:\d\d.*", told[0])
    assert told[-1] == "Sending begins."
    refused = page.locator("#lines li", has_text=GONE)
    expect(refused).to_contain_text("Refused for good. This address does not exist (any more), says its mail server.")
    expect(refused.get_by_text("550 5.1.1")).to_be_hidden()
    refused.get_by_text("In detail").click()
    expect(refused.get_by_text("550 5.1.1")).to_be_visible()
    expect(page.locator("#lines li", has_text=LATER)).to_contain_text(re.compile(r"tried again from .*\d\d:\d\d:\d\d"))
    expect(page.locator("#lines li", has_text=LOST)).to_contain_text("In doubt.")
    expect(page.locator("#now")).to_contain_text("Those to be tried again are due at")
    refused.get_by_text("In detail").click()
    picture(page, "campaign")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("searchbox").fill(GONE)
    expect(page.locator("#lines li")).to_have_count(1)
    page.get_by_role("searchbox").fill("nobody like this")
    expect(page.get_by_text("Nothing is found by these words.")).to_be_visible()
    assert asked
    assert not [one for one in asked if "union" in one or "%40" in one]
    # what a person decides is told as well
    page.goto(f"{base}/campaign/{CAMPAIGN}/uncertain")
    page.get_by_label("What became of row 5").select_option("it arrived")
    page.get_by_role("button", name="Write this down").click()
    expect(page.locator("#lines li").first).to_contain_text("1 that was in doubt arrived")


@pytest.mark.thorough
def test_what_comes_back_is_seen_at_once_whoever_wrote_it(page: Page, at_work: Office) -> None:
    eventful(at_work)
    base = opened(page, at_work)
    report = page.context.new_page()
    report.goto(f"{base}/campaign/{CAMPAIGN}/report?by=branch")
    made = report.frame_locator("#report iframe:not([hidden])")
    expect(made.get_by_role("heading", name="By branch").first).to_be_visible()
    # another program: say `mailer inbox` in the terminal, or the page that takes unsubscribes
    with Ledger(at_work.folder / "mailer.db") as ledger:
        campaign = ledger.find(CAMPAIGN)
        [(number,)] = ledger._all("SELECT id FROM deliveries WHERE key = ?", people(1)[0])
        event = Event(
            kind=EventKind.COMPLAINT,
            delivery=number,
            campaign=campaign.id,
            key=people(1)[0],
            at=time.time(),
            source="s",
        )
        assert ledger.add_events([event]) == 1
    expect(page.locator("#returned")).to_contain_text("reported it as spam")
    first = page.locator("#lines li").first
    expect(first).to_contain_text("Reported as spam. This person is not mailed again.")
    expect(first).to_contain_text(people(1)[0])
    expect(made.get_by_role("heading", name="What came back, in numbers")).to_be_visible(timeout=20_000)
    report.get_by_label("Counts only").check()
    report.get_by_role("button", name="Show").click()
    expect(report.frame_locator("#report iframe:not([hidden])").get_by_text("This report names nobody")).to_be_visible()
    for name in ("Keep as one file (HTML)", "Table (CSV)"):
        with report.expect_download() as kept:
            report.get_by_role("link", name=name).click()
        content = kept.value.path().read_text("utf-8-sig")
        assert "5" in content
        assert "@union.example" not in content


@pytest.mark.thorough
def test_a_limit_is_told_with_the_time_at_which_it_goes_on(page: Page, at_work: Office) -> None:
    toml = at_work.folder / "mailer.toml"
    toml.write_text(toml.read_text("utf-8").replace("1000/second", "2/hour"), encoding="utf-8")
    name = at_work.write_list(people(5))
    under_way = at_work.program.begin("send", "appeal", name, "--yes")
    at_work.server.wait_for(2, 40)
    opened(page, at_work)
    expect(page.locator("#now")).to_contain_text(
        re.compile(r"The limit of 2 an hour is reached. It goes on by itself at .*\d\d:\d\d")
    )
    expect(page.locator("#used")).to_contain_text("of 2 an hour, 2 used")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"2 of 5 .*(hours|minutes) left · done at about"))
    expect(page.locator("#lines")).to_contain_text("The limit of 2 an hour is reached. Sending goes on by itself at")
    page.get_by_role("button", name="Pause").click()
    state(page, "paused")
    assert under_way.wait(30) == 3
    expect(page.locator("#lines li").first).to_contain_text("Paused at your request.")


@pytest.mark.thorough
def test_a_campaign_held_after_the_first_says_so_and_goes_on(page: Page, at_work: Office) -> None:
    name = at_work.write_list(people(5))
    at_work.program.json("send", "appeal", name, "--yes", "--hold-after", "2", code=3)
    opened(page, at_work)
    expect(page.locator("#error")).to_contain_text("Held after the first 2, as you asked.")
    page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    expect(page.locator("#lines li").first).to_contain_text("Finished: nobody is left to be mailed.")
    told = lines(page)
    assert told[-1] == "Sending begins."
    assert "Sending goes on." in told
    assert "Held after the first 2, to see how they fare." in told


@pytest.fixture
def mailbox() -> Iterator[real_servers.Mailbox]:
    """A real Dovecot with an empty INBOX."""
    real_servers.require("dovecot")
    with real_servers.server_folder() as folder:
        for name in ("", "cur", "new", "tmp"):
            (folder / "mail" / name).mkdir(exist_ok=True)
            shutil.chown(folder / "mail" / name, *real_servers.nobody())
        with real_servers.dovecot(folder, folder / "mail") as found:
            yield found


@pytest.mark.thorough
def test_a_bounce_that_arrives_while_the_page_is_open(
    page: Page,
    at_work: Office,
    mailbox: real_servers.Mailbox,
) -> None:
    name = at_work.write_list(people(3))
    at_work.program.json("send", "appeal", name, "--yes")
    page.goto(at_work.open())
    page.get_by_role("link", name="What came back").click()
    expect(page.get_by_role("heading", name="The mailbox is not set up yet")).to_be_visible()
    with (at_work.folder / "mailer.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'imap_host = "127.0.0.1"\nimap_port = {mailbox.port}\nimap_security = "none"\nimap_username = "reader"\n'
            'imap_password = "sample"\n'
        )
    page.reload()
    page.get_by_role("button", name="Look into the mailbox").click()
    expect(page.locator("#doing")).to_have_text("Nothing new in the mailbox.", timeout=20_000)
    page.get_by_role("button", name="Keep looking").click()
    expect(page.locator("#doing")).to_contain_text("Watching INBOX", timeout=20_000)
    with contextlib.closing(sqlite3.connect(at_work.folder / "mailer.db")) as ledger:
        [(sent,)] = ledger.execute("SELECT message_id FROM deliveries WHERE key = ?", (GONE,))
    bounce = samples.mail(
        samples.POSTFIX, to="office@example.org", address=GONE, action="failed", status="5.1.1",
        words="550 5.1.1 No such user", id=sent,
    )  # fmt: skip
    with imaplib.IMAP4("127.0.0.1", mailbox.port, timeout=30) as client:
        client.login("reader", "sample")
        client.append("INBOX", None, None, bounce)
    expect(page.locator("#lines li").first).to_contain_text("the address does not exist", timeout=20_000)
    expect(page.locator("#lines li").first).to_contain_text(GONE)
    assert complaints(page) == []
    page.get_by_role("button", name="Stop looking").click()
    expect(page.get_by_role("button", name="Keep looking")).to_be_visible()
    assert [one["address"] for one in at_work.program.json("suppress", "list")["suppressions"]] == [GONE]


def test_the_diary_notes_what_is_worth_it_and_never_holds_up_a_run(tmp_path: Path) -> None:
    """A wait by the minute is no news, nor is the same trouble again; while another program writes, it waits its turn."""
    with Ledger(tmp_path / "mailer.db") as ledger:
        campaign = ledger.start(start([contact(1)]))
        note_begin(ledger, campaign)
        diarist = Diarist(Silent(), ledger, campaign)
        now, hourly = time.time(), Quota(count=500, seconds=3600)
        diarist.waiting(Quota(count=20, seconds=60), now + 40)
        diarist.waiting(hourly, now + 900)
        diarist.waiting(hourly, now + 900.5)
        with contextlib.closing(sqlite3.connect(tmp_path / "mailer.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            diarist.reconnecting("pat@example.org: connection lost", 2.0)
            diarist.reconnecting("pat@example.org: connection lost", 4.0)
            assert time.monotonic() - began < 2
            assert [one.kind for one in ledger.diary(campaign)] == [Happening.WAITING, Happening.BEGUN]
        diarist.silent(15.0, 60.0)
        note_end(ledger, campaign, RelayStopped("Too many.", hint="look"), work_left=True)
        note_end(ledger, campaign, None, work_left=False)
        entries = list(ledger.diary(campaign))
    assert [one.kind for one in reversed(entries)] == [
        Happening.BEGUN, Happening.WAITING, Happening.RECONNECTING, Happening.SILENT, Happening.STOPPED,
    ]  # fmt: skip
    assert entries[0].text == "Too many.\nlook"
    assert entries[3].text == "500/hour"
    assert "example.org" not in entries[2].text


class Silent:
    """An observer that nothing is shown by."""

    def recorded(self, *_: object) -> None: ...
    def waiting(self, *_: object) -> None: ...
    def reconnecting(self, *_: object) -> None: ...
    def silent(self, *_: object) -> None: ...


def test_who_gets_no_letter_is_not_done_when_the_first_one_leaves(tmp_path: Path) -> None:
    given: Any = SimpleNamespace(
        ledger=lambda _: Ledger(tmp_path / "mailer.db"), settings=lambda: load(tmp_path), practice_of=None
    )
    with Ledger(tmp_path / "mailer.db") as ledger:
        campaign = ledger.start(start([contact(number) for number in range(1, 6)]))
        ledger.suppress([(contact(1).key, "")], source="a test")
        watching = Watching(given, cast("Any", None), lambda _: None)
        state = watching._state(campaign.name)
        assert state
        assert [state[key] for key in ("total", "mailed", "done", "left")] == [5, 4, 0, 4]


def test_a_watch_ends_with_the_page_that_began_it() -> None:
    assert not orphaned(None)
    assert not orphaned(os.getppid())
    assert orphaned(os.getppid() + 1)


@pytest.mark.thorough
def test_many_tabs_leave_a_line_to_the_server_for_the_next(page: Page, at_work: Office) -> None:
    """A browser keeps six lines to a server; a tab in the background is told where things stand once it is looked at."""
    eventful(at_work)
    base = opened(page, at_work)
    tabs = [page.context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.add_init_script(
            "Object.defineProperty(document, 'hidden', { get: () => window.away ?? false, configurable: true })"
        )
        tab.goto(f"{base}/campaign/{CAMPAIGN}", timeout=5000)
        expect(tab.locator("#lines li").first).to_be_visible()
        tab.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
    first = tabs[0]
    with first.expect_response(lambda answer: answer.url.endswith("/events")):
        first.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
