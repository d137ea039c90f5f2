# ruff: noqa: F811 - the fixtures are those of another module
"""Whoever is to be tried again is tried again by the page: by itself, when they are due, and without holding up other campaigns."""

from __future__ import annotations

import contextlib
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_places import over_both, place_of
from organiser import Office, people
from playwright.sync_api import Page, expect
from test_ledger import contact, start
from test_web_journey import (  # noqa: F401 - fixtures
    approved,
    at_work,
    chromium,
    exactly_once,
    page,
    prepared,
    received,
    sent_off,
    state,
)

from mailer.campaign.diary import note_begin, note_end
from mailer.campaign.pausing import Asked, pause
from mailer.campaign.resuming import Next, next_step
from mailer.errors import Paused
from mailer.ledger import Ledger, SenderLock, taken_at, turn

CAMPAIGN = "appeal--people"
LATE = people(3)[1]
GREY = "451 4.7.1 Greylisted, try again later"


def greylisted(page: Page, at_work: Office) -> None:
    """A campaign to three, of whom one is asked to come back later; the page waits for that."""
    at_work.server.on("rcpt", nth=2, reply=GREY)
    prepared(page, at_work, 3)
    approved(page)
    sent_off(page, 3)
    state(page, "paused, goes on by itself")


def make_due(at_work: Office) -> None:
    """As if the six minutes were over."""
    with contextlib.closing(sqlite3.connect(at_work.folder / "mailer.db")) as ledger, ledger:
        ledger.execute("UPDATE deliveries SET next_attempt_at = ? WHERE status = 'deferred'", (time.time() + 1,))


def status(at_work: Office, name: str = CAMPAIGN) -> dict[str, object]:
    return at_work.program.json("status", name)


def goes_on(at_work: Office) -> list[str]:
    with Ledger(at_work.folder / "mailer.db") as ledger:
        return list(ledger.wishes())


@pytest.mark.thorough
def test_who_is_asked_to_come_back_later_needs_nobody_at_the_page_and_holds_up_no_other_campaign(
    page: Page, at_work: Office
) -> None:
    greylisted(page, at_work)
    expect(page.locator("#now")).to_contain_text(re.compile(r"happens by itself at .*\d\d:\d\d"))
    expect(page.locator("#lines li").first).to_contain_text("Those to be tried again are due at")
    expect(page.get_by_role("button", name="Go on sending")).to_be_hidden()
    base = page.url.partition("/campaign")[0]
    page.goto(f"{base}/")
    expect(page.get_by_role("row", name=re.compile(CAMPAIGN))).to_contain_text("paused, goes on by itself")
    # the account is free meanwhile: another campaign goes out over it, and it is limited
    at_work.write_list([f"other{number}@union.example" for number in range(3)], "others.csv")
    ran = at_work.program.json("send", "appeal", "contacts/others.csv", "--yes")
    assert ran["sent"] == 3
    assert status(at_work)["state"] == "paused"  # nobody has its lock
    # the page is closed, and opened again: it knows what it was to do, and says so
    at_work.end()
    make_due(at_work)
    page.goto(at_work.open())
    page.get_by_role("link", name=CAMPAIGN).click()
    state(page, "finished")
    assert received(at_work)[LATE] == 1
    assert status(at_work)["sent"] == 3
    assert goes_on(at_work) == []
    assert f"Campaign {CAMPAIGN} goes on by itself" in at_work.end()


@pytest.mark.thorough
def test_a_campaign_whose_account_is_in_use_when_it_is_due_goes_on_once_it_is_free(page: Page, at_work: Office) -> None:
    greylisted(page, at_work)
    at_work.server.on("accepted", address="other0@union.example", delay=6)
    at_work.write_list([f"other{number}@union.example" for number in range(2)], "others.csv")
    other = at_work.program.begin("send", "appeal", "contacts/others.csv", "--yes")
    at_work.server.wait_for(3, 40)
    make_due(at_work)
    page.reload()
    expect(page.locator("#now")).to_contain_text(
        "Its account is in use just now, by the campaign appeal--others.", timeout=20_000
    )
    expect(page.locator("#error")).to_be_hidden()
    state(page, "finished", 60)
    assert other.wait(30) == 0
    assert received(at_work)[LATE] == 1


@pytest.mark.thorough
def test_a_pause_ends_the_waiting_for_good(page: Page, at_work: Office) -> None:
    greylisted(page, at_work)
    page.get_by_role("button", name="Pause").click()
    state(page, "paused")
    expect(page.get_by_text("Those to be tried again are due at").first).to_be_visible()
    assert goes_on(at_work) == []
    make_due(at_work)
    at_work.end()
    page.goto(at_work.open())
    page.get_by_role("link", name=CAMPAIGN).click()
    state(page, "paused")
    page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    assert exactly_once(at_work, 3)


@pytest.mark.thorough
def test_what_could_not_begin_since_the_account_was_in_use_is_one_click_away(page: Page, at_work: Office) -> None:
    prepared(page, at_work, 3)
    approved(page)
    at_work.server.on("accepted", address="other0@union.example", delay=12)
    at_work.write_list([f"other{number}@union.example" for number in range(2)], "others.csv")
    other = at_work.program.begin("send", "appeal", "contacts/others.csv", "--yes")
    at_work.server.wait_for(1, 40)
    sent_off(page, 3)
    state(page, "not begun")
    expect(page.locator("#error")).to_contain_text(
        "This mail account is sending just now, for campaign 'appeal--others'"
    )
    assert other.wait(60) == 0
    page.get_by_role("link", name="Begin again").click()
    sent_off(page, 3)
    state(page, "finished")
    expect(page.get_by_role("link", name="Begin again")).to_be_hidden()
    assert received(at_work) == Counter([*people(3), "other0@union.example", "other1@union.example"])


@pytest.mark.thorough
def test_two_pages_over_one_folder_begin_a_campaign_once_between_them(page: Page, at_work: Office) -> None:
    greylisted(page, at_work)
    second = Office.__new__(Office)
    second.__dict__.update(at_work.__dict__, process=None)
    try:
        second.open()
        make_due(at_work)
        state(page, "finished", 60)
    finally:
        said = second.end()
    assert "Traceback" not in said
    assert exactly_once(at_work, 3)
    with Ledger(at_work.folder / "mailer.db") as ledger:
        began = [one for one in ledger.diary(ledger.find(CAMPAIGN)) if one.kind.value == "begun"]
    assert len(began) == 2


@pytest.mark.thorough
def test_a_campaign_of_the_terminal_is_not_gone_on_with_unasked(page: Page, at_work: Office) -> None:
    at_work.server.on("rcpt", nth=2, reply=GREY)
    name = at_work.write_list(people(3))
    at_work.program.json("send", "appeal", name, "--yes", code=3)
    make_due(at_work)
    page.goto(at_work.open())
    page.get_by_role("link", name=CAMPAIGN).click()
    state(page, "paused")
    page.wait_for_timeout(3000)  # longer than it would take
    state(page, "paused")
    assert LATE not in received(at_work)
    # asked for, it goes on, and from then on by itself
    page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    assert exactly_once(at_work, 3)


@pytest.mark.thorough
def test_a_page_that_is_killed_while_it_sends_is_followed_by_one_that_goes_on(page: Page, at_work: Office) -> None:
    at_work.server.on("rcpt", nth=2, reply=GREY)
    at_work.server.on("accepted", address=people(3)[2], delay=2)
    prepared(page, at_work, 3)
    approved(page)
    sent_off(page, 3)
    at_work.server.wait_for(1)
    at_work.end(signal.SIGKILL)
    while status(at_work)["state"] == "sending":
        time.sleep(0.2)
    assert goes_on(at_work) == [CAMPAIGN]
    with contextlib.closing(sqlite3.connect(at_work.folder / "mailer.db")) as ledger, ledger:
        ledger.execute("UPDATE meta SET value = X'' WHERE key LIKE 'goes-on:%'")  # as after the minute that a page has
    make_due(at_work)
    page.goto(at_work.open())
    page.get_by_role("link", name=CAMPAIGN).click()
    state(page, "finished")
    assert exactly_once(at_work, 3)


@pytest.mark.thorough
def test_a_page_that_ends_while_it_tries_people_again_leaves_the_rest_to_the_next_page(
    page: Page, at_work: Office
) -> None:
    for nth in (2, 3):
        at_work.server.on("rcpt", nth=nth, reply=GREY)
    prepared(page, at_work, 4)
    approved(page)
    sent_off(page, 4)
    state(page, "paused, goes on by itself")
    at_work.server.on("accepted", address=LATE, delay=4)
    make_due(at_work)
    state(page, "sending")
    at_work.server.wait_for(3)
    at_work.end()
    assert status(at_work)["deferred"] == 1
    assert goes_on(at_work) == [CAMPAIGN]
    page.goto(at_work.open())
    page.get_by_role("link", name=CAMPAIGN).click()
    state(page, "finished")
    assert exactly_once(at_work, 4)


# -- what stands in the ledger


@pytest.fixture(params=["file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with place_of(request, tmp_path) as place, Ledger(place) as made:
        yield made


@over_both
def test_of_two_pages_that_see_the_same_mark_one_takes_the_turn(ledger: Ledger) -> None:
    ledger.wish("one")
    ledger.wish("ünï/two")
    seen = ledger.wishes()
    assert seen == {"one": b"", "ünï/two": b""}
    first, second = turn(5.5), turn(5.5)
    assert [ledger.take_turn("one", seen["one"], mark) for mark in (first, second)] == [True, False]
    assert ledger.wishes()["one"] == first
    assert [taken_at(mark) for mark in (first, b"", b"nonsense")] == [5.5, 0, 0]
    assert [ledger.forget_wish("one", second), ledger.forget_wish("one", first), ledger.forget_wish("one")] == [
        False,
        True,
        False,
    ]
    assert list(ledger.wishes()) == ["ünï/two"]
    assert not ledger.take_turn("one", b"", first)


def test_what_ended_a_run_says_whether_it_may_go_on(ledger: Ledger) -> None:
    campaign = ledger.start(start([contact(1), contact(2)]))
    now = time.time()

    def after(reason: Paused | None, **statuses: str) -> Next:
        for key, status in statuses.items():
            due = now + 60 if status == "deferred" else None
            ledger._run("UPDATE deliveries SET status = ?, next_attempt_at = ? WHERE id = ?", status, due, int(key[1:]))
        note_begin(ledger, campaign)
        note_end(ledger, campaign, reason, work_left=True)
        return next_step(ledger, campaign, now).next

    assert next_step(ledger, campaign, now).next is Next.NOTHING  # nobody began it
    assert after(None, r1="sent", r2="deferred") is Next.LATER
    assert next_step(ledger, campaign, now + 61).next is Next.NOW
    assert after(None, r1="queued") is Next.NOTHING  # left out on purpose
    note_begin(ledger, campaign)  # and killed
    assert next_step(ledger, campaign, now).next is Next.NOW
    with SenderLock(ledger, campaign.name):
        assert next_step(ledger, campaign, now).next is Next.SENT
    ledger.wish(campaign.name)
    assert pause(ledger, campaign) is Asked.PAGE
    assert pause(ledger, campaign) is Asked.NOBODY


@over_both
def test_what_a_campaign_was_prepared_with_is_known_once_it_has_begun(ledger: Ledger) -> None:
    first = start([contact(1), contact(2)])
    ledger.approve(first.campaign, "seal", "Ana")
    ledger.keep_prepared(first.campaign, "list=a.csv&column=home")
    assert [one.campaign for one in ledger.prepared()] == [first.campaign]
    assert ledger.draft(first.campaign) == ""
    campaign = ledger.start(first)
    assert ledger.prepared() == []
    assert ledger.draft(first.campaign) == "list=a.csv&column=home"
    # the terminal sends the rest, and then the page with another column
    campaign = ledger.revise(campaign, first)
    assert ledger.draft(first.campaign) == "list=a.csv&column=home"
    ledger.keep_prepared(first.campaign, "list=a.csv&column=work")
    ledger.revise(campaign, first)
    assert ledger.draft(first.campaign) == "list=a.csv&column=work"
    assert ledger.prepared() == []
