# ruff: noqa: F811 - the fixtures are those of another module
"""A letter that is written while the page is closed, or that is loaded anew, is not lost; and it does not stay in the browser either."""

from __future__ import annotations

import pytest
from organiser import Office, people
from playwright.sync_api import Page, expect
from test_web_journey import at_work, chromium, page  # noqa: F401 - fixtures

TYPED = "Dear {{ name }}, this took me an hour to write.\n"
REMEMBERED = "Object.values(sessionStorage)"


def writing(page: Page, at_work: Office) -> None:
    """In the middle of a letter."""
    name = at_work.write_list(people(3))
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(at_work.open())
    page.goto(f"{page.url}letter?list={name}&letter=appeal")
    expect(page.frame_locator("#look").get_by_role("heading", name="Please write, Pat 1")).to_be_visible()
    page.get_by_label("Subject").fill("Typed, {{ name }}")
    page.get_by_label("templates/appeal.md").fill(TYPED)


def opened_again(page: Page, at_work: Office) -> None:
    """In another tab, as mailer web does it."""
    port = at_work.port
    at_work.end()
    tab = page.context.new_page()
    tab.goto(at_work.open(port))
    expect(tab.get_by_role("heading", name="Campaigns")).to_be_visible()
    tab.close()


def kept(at_work: Office) -> str:
    return (at_work.folder / "templates" / "appeal.md").read_text("utf-8")


@pytest.mark.thorough
def test_what_is_typed_while_the_page_is_closed_is_kept_once_it_is_open_again(page: Page, at_work: Office) -> None:
    writing(page, at_work)
    page.context.clear_cookies()
    page.get_by_label("templates/appeal.md").press("Control+End")
    page.keyboard.type("And another minute.")
    expect(page.get_by_role("alert").filter(has_text="nothing is lost")).to_be_visible()
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="nothing is lost")).to_be_visible()
    assert "This took" not in kept(at_work)
    opened_again(page, at_work)
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("The letter was kept.")).to_be_visible()
    assert kept(at_work).endswith(f"{TYPED}And another minute.")
    assert 'subject: "Typed, {{ name }}"' in kept(at_work)
    assert page.evaluate(REMEMBERED) == []


@pytest.mark.thorough
def test_what_is_typed_outlives_a_closed_page_that_is_loaded_anew(page: Page, at_work: Office) -> None:
    writing(page, at_work)
    assert page.evaluate(REMEMBERED) == []  # not while it is on the page
    page.context.clear_cookies()
    page.reload()
    expect(page.get_by_role("heading", name="This page is closed")).to_be_visible()
    opened_again(page, at_work)
    page.reload()
    expect(page.get_by_text("What you had typed here, and not kept, is back.")).to_be_visible()
    expect(page.get_by_label("Subject")).to_have_value("Typed, {{ name }}")
    expect(page.get_by_label("templates/appeal.md")).to_have_value(TYPED)
    expect(page.frame_locator("#look").get_by_role("heading", name="Typed, Pat 1")).to_be_visible()
    assert page.evaluate(REMEMBERED) == []
    # the letter as it was kept is a click away
    page.get_by_role("button", name="Show the letter as it was kept").click()
    expect(page.get_by_label("Subject")).to_have_value("Please write, {{ name }}")
    expect(page.get_by_text("is back.")).to_be_hidden()


@pytest.mark.thorough
def test_whoever_leaves_without_keeping_leaves_nothing_in_the_browser(page: Page, at_work: Office) -> None:
    writing(page, at_work)
    page.get_by_role("link", name="our office", exact=True).click()
    expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    assert page.evaluate(REMEMBERED) == []
    page.go_back()
    expect(page.get_by_label("Subject")).to_have_value("Please write, {{ name }}")


@pytest.mark.thorough
def test_a_letter_that_somebody_else_kept_meanwhile_is_not_written_over_by_what_is_back(
    page: Page, at_work: Office
) -> None:
    writing(page, at_work)
    letter = at_work.folder / "templates" / "appeal.md"
    letter.write_text(letter.read_text("utf-8") + "\nFrom elsewhere.\n", encoding="utf-8")
    page.reload()
    expect(page.get_by_text("What you had typed here, and not kept, is back.")).to_be_visible()
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="changed elsewhere")).to_be_visible()
    assert "From elsewhere." in kept(at_work)
