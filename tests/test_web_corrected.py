# ruff: noqa: F811 - the fixtures are those of another module
"""A campaign that has begun, and whose letter or list is corrected on the page: the rest gets it, and nobody gets it twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from organiser import Office, people
from playwright.sync_api import Page, expect
from test_web_continuing import GREY, make_due
from test_web_journey import (  # noqa: F401 - fixtures
    approved,
    at_work,
    chromium,
    complaints,
    page,
    picture,
    prepared,
    received,
    sent_off,
    state,
)

from mailer.model import as_said
from mailer.web.journey.ways import CORRECTED, in_words
from mailer.web.journey.words import catalogue, languages, speak

REST = "Send the rest with the corrected"


def begun(page: Page, at_work: Office, number: int = 6, held: int = 3) -> None:
    """A campaign to so many, held after the first few."""
    prepared(page, at_work, number)
    approved(page)
    page.get_by_text("First only a few").click()
    page.get_by_label("Hold once after so many").fill(str(held))
    sent_off(page, number)
    state(page, "paused")


def through_the_steps(page: Page) -> None:
    """From the preview to the last step."""
    expect(page.locator("#sealed")).to_be_visible()
    approved(page)


def correct_letter(at_work: Office) -> None:
    path = at_work.folder / "templates" / "appeal.md"
    path.write_text(path.read_text("utf-8").replace("write to them today", "write to them by Friday"), encoding="utf-8")


def bodies(at_work: Office) -> Counter[str]:
    return Counter("Friday" if b"by Friday" in one.content else "today" for one in at_work.server.accepted)


@pytest.mark.thorough
def test_a_letter_that_is_corrected_in_mid_campaign_goes_to_the_rest(page: Page, at_work: Office) -> None:
    begun(page, at_work)
    expect(page.get_by_role("link", name="Correct the letter or the list")).to_be_visible()
    correct_letter(at_work)
    page.get_by_role("button", name="Go on sending").click()
    # nothing was sent: the way leads through the steps
    expect(page.get_by_text("no longer the one that this campaign began with")).to_be_visible()
    rest = page.locator("#rest")
    expect(rest.get_by_role("heading")).to_have_text(f"{REST} letter")
    expect(rest).to_contain_text("This campaign has begun: 3 get the letter now, 3 have it already.")
    expect(rest).to_contain_text("The letter changed: templates/appeal.md edited.")
    through_the_steps(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{REST} letter")
    expect(page.get_by_text("3 messages of the campaign appeal--people will be sent now.")).to_be_visible()
    assert "--" not in page.locator("main").inner_text().replace("appeal--people", "")
    page.get_by_label("To send, type").fill("6")
    page.get_by_role("button", name=f"{REST} letter").click()
    expect(page.get_by_text("not the number of messages")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    page.get_by_label("To send, type the number of messages: 3").fill("3")
    page.get_by_role("button", name=f"{REST} letter").click()
    state(page, "finished")
    assert received(at_work) == Counter(people(6))
    assert bodies(at_work) == Counter(today=3, Friday=3)


@pytest.mark.thorough
def test_a_list_that_is_corrected_in_mid_campaign_is_told_by_its_numbers(page: Page, at_work: Office) -> None:
    begun(page, at_work)
    now = [*people(4), "p5@corrected.example", "new@union.example"]
    at_work.write_list(now)
    page.reload()
    expect(page.locator("#corrected")).to_contain_text("contacts/people.csv")
    page.get_by_role("link", name="Send the rest with the corrected letter or list").click()
    rest = page.locator("#rest")
    expect(rest).to_contain_text("3 get the letter now, 3 have it already")
    expect(rest).to_contain_text("The list changed: 2 new, 2 gone.")
    through_the_steps(page)
    expect(page.locator(".rest")).to_contain_text("The list changed: 2 new, 2 gone.")
    page.get_by_label("To send, type the number of messages: 3").fill("3")
    page.get_by_role("button", name=f"{REST} list").click()
    state(page, "finished")
    assert received(at_work) == Counter(now)


@pytest.mark.thorough
def test_a_list_without_most_of_those_who_wait_is_asked_about(page: Page, at_work: Office) -> None:
    begun(page, at_work, 7, held=3)
    at_work.write_list([*people(4), "new@union.example"])
    page.get_by_role("button", name="Go on sending").click()
    expect(page.locator("#rest")).to_contain_text("3 who wait for the letter are no longer in the list, and get none.")
    through_the_steps(page)
    page.get_by_label("To send, type the number of messages: 2").fill("2")
    page.evaluate("document.querySelector('[name=fewer]').required = false")
    page.get_by_role("button", name=f"{REST} list").click()
    expect(page.get_by_text("Most of those who wait for the letter are not in this list.")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    page.get_by_label("This is the right list, although 3 people of the campaign are not in it.").check()
    page.get_by_label("To send, type the number of messages: 2").fill("2")
    assert complaints(page) == []
    page.get_by_role("button", name=f"{REST} list").click()
    state(page, "finished")
    assert received(at_work) == Counter([*people(4), "new@union.example"])


@pytest.mark.thorough
def test_the_number_to_type_is_that_of_the_messages_that_leave_now(page: Page, at_work: Office) -> None:
    at_work.server.on("rcpt", nth=1, reply=GREY)
    at_work.server.on("rcpt", nth=2, reply="550 5.1.1 No such user")
    begun(page, at_work, 6, held=4)
    page.get_by_role("link", name="Correct the letter or the list").click()
    page.get_by_role("button", name="Keep, and see every message").click()
    expect(page.locator("#rest")).to_contain_text(
        "2 get the letter now, 2 have it already, 1 is to be tried again from "
    )
    expect(page.locator("#rest")).to_contain_text("1 was refused")
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Send").click()
    page.get_by_label("To send, type the number of messages: 2").fill("2")
    page.get_by_role("button", name="Send the rest").click()
    state(page, "paused, goes on by itself")
    make_due(at_work)
    state(page, "finished")
    assert received(at_work) == Counter(address for address in people(6) if address != people(6)[1])


@pytest.mark.thorough
def test_a_campaign_that_is_being_sent_or_done_offers_no_number_to_type(page: Page, at_work: Office) -> None:
    at_work.server.on("accepted", address=people(3)[2], delay=8)
    prepared(page, at_work, 3)
    approved(page)
    send = page.url
    sent_off(page, 3)
    state(page, "sending")
    other = page.context.new_page()
    other.goto(send)
    expect(other.get_by_text("This campaign is being sent just now.")).to_be_visible()
    expect(other.get_by_label("To send, type")).to_have_count(0)
    state(page, "finished")
    other.reload()
    expect(other.get_by_text("Nobody of this campaign is left to be mailed.")).to_be_visible()
    expect(other.get_by_label("To send, type")).to_have_count(0)


@pytest.mark.thorough
def test_who_has_the_letter_from_another_campaign_is_told_before_it_is_approved(page: Page, at_work: Office) -> None:
    begun(page, at_work)
    at_work.write_list([*people(6), "new@union.example"], "people-new.csv")
    base = page.url.partition("/campaign")[0]
    page.goto(f"{base}/preview?list=contacts/people-new.csv&letter=appeal")
    rest = page.locator("#rest")
    expect(rest).to_contain_text("3 of these 7 people have this letter already, from the campaign appeal--people.")
    page.get_by_role("link", name="Send only to those who do not have it").click()
    expect(rest).to_contain_text("4 get the letter now, 3 have it already")
    through_the_steps(page)
    page.get_by_label("To send, type the number of messages: 4").fill("4")
    page.get_by_role("button", name=f"{REST} list").click()
    state(page, "finished")
    assert received(at_work) == Counter([*people(6), "new@union.example"])
    # whoever means it may send it once more
    page.goto(f"{base}/preview?list=contacts/people-new.csv&letter=appeal")
    expect(rest).to_contain_text("7 of these 7 people have this letter already")
    through_the_steps(page)
    page.get_by_label("7 people are to get this letter once more").check()
    sent_off(page, 7)
    state(page, "finished")
    assert set(received(at_work).values()) == {2}


@pytest.mark.thorough
def test_a_campaign_with_columns_of_its_own_goes_on_with_them(page: Page, at_work: Office) -> None:
    rows = [f"{address},Pat,North,p{at}@other.example" for at, address in enumerate(people(4), start=1)]
    path = at_work.folder / "contacts" / "people.csv"
    path.write_text("\n".join(["home,name,branch,work", *rows, "broken@,Bo,South,", ""]), encoding="utf-8")
    page.goto(at_work.open())
    page.goto(f"{page.url}preview?list=contacts/people.csv&letter=appeal&column=home&skip=1")
    through_the_steps(page)
    page.get_by_text("First only a few").click()
    page.get_by_label("Hold once after so many").fill("2")
    sent_off(page, 4)
    state(page, "paused")
    page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    assert received(at_work) == Counter(people(4))


# -- the corrected list comes from the computer


def upload(page: Page, path: Path, addresses: list[str]) -> None:
    path.write_text("\n".join(["email,name,branch", *(f"{one},Pat,North" for one in addresses), ""]), encoding="utf-8")
    file = page.get_by_label("or a file from this computer")
    expect(file).to_be_visible()
    file.set_input_files(path)


@pytest.mark.thorough
def test_a_list_that_is_uploaded_again_replaces_the_old_one_and_the_rest_gets_the_letter(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    begun(page, at_work)
    old = (at_work.folder / "contacts" / "people.csv").read_bytes()
    base = page.url.partition("/campaign")[0]
    page.goto(f"{base}/list")
    upload(page, tmp_path / "people.csv", [*people(6), "new@union.example"])
    asked = page.get_by_role("group", name="There is a list people.csv here already")
    expect(asked).to_contain_text("The old one is then kept beside it, as people.csv.bak.")
    expect(page.locator("#asked")).to_be_focused()
    assert complaints(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Next: the letter").click()
    assert (at_work.folder / "contacts" / "people.csv.bak").read_bytes() == old
    page.get_by_role("button", name="Open this letter").click()
    page.get_by_role("button", name="Keep, and see every message").click()
    expect(page.locator("#rest")).to_contain_text("4 get the letter now, 3 have it already")
    through_the_steps(page)
    page.get_by_label("To send, type the number of messages: 4").fill("4")
    page.get_by_role("button", name=f"{REST} list").click()
    state(page, "finished")
    assert received(at_work) == Counter([*people(6), "new@union.example"])


@pytest.mark.thorough
def test_a_list_from_which_a_campaign_is_being_sent_is_not_replaced(
    page: Page, at_work: Office, tmp_path: Path
) -> None:
    at_work.server.on("accepted", address=people(3)[1], delay=10)
    prepared(page, at_work, 3)
    approved(page)
    sent_off(page, 3)
    state(page, "sending")
    other = page.context.new_page()
    other.goto(f"{page.url.partition('/campaign')[0]}/list")
    before = (at_work.folder / "contacts" / "people.csv").read_bytes()
    upload(other, tmp_path / "people.csv", people(4))
    other.get_by_role("button", name="Replace it").click()
    expect(other.get_by_text("is being sent from this list just now, so the list was not replaced.")).to_be_visible()
    assert (at_work.folder / "contacts" / "people.csv").read_bytes() == before
    upload(other, tmp_path / "people.csv", people(4))
    other.get_by_role("button", name="Keep both").click()
    expect(other.get_by_role("heading", name="What was found")).to_be_visible()
    assert (at_work.folder / "contacts" / "people-2.csv").is_file()
    state(page, "finished")


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), pytest.param(1280, "light")])
@pytest.mark.thorough
def test_axe_finds_nothing_in_the_steps_of_a_correction(
    page: Page, at_work: Office, width: int, scheme: str, tmp_path: Path
) -> None:
    begun(page, at_work)
    at_work.write_list([*people(5), "new@union.example"])
    correct_letter(at_work)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.reload()
    found = complaints(page)
    picture(page, f"corrected-{width}-campaign")
    page.get_by_role("link", name="Send the rest with the corrected letter or list").click()
    expect(page.locator("#sealed")).to_be_visible()
    expect(page.frame_locator("#message").locator("h1")).to_be_visible()
    found += complaints(page)
    picture(page, f"corrected-{width}-preview")
    page.get_by_role("link", name="Approve").first.click()
    found += complaints(page)
    picture(page, f"corrected-{width}-approve")
    approved(page)
    found += complaints(page)
    picture(page, f"corrected-{width}-send")
    assert found == []


# -- the failed, once more


@pytest.mark.thorough
def test_queueing_the_failed_once_more_says_what_it_did_and_why_nothing(page: Page, at_work: Office) -> None:
    for nth in (2, 3):
        at_work.server.on("rcpt", nth=nth, reply="550 5.1.1 No such user")
    prepared(page, at_work, 3)
    approved(page)
    sent_off(page, 3)
    state(page, "finished")
    page.get_by_role("button", name="Queue the failed once more").click()
    told = page.locator(".note[role=status]")
    expect(told).to_contain_text("2 are not queued, since they are suppressed")
    expect(told).not_to_contain_text("queued again")
    assert complaints(page) == []
    at_work.program.json("suppress", "remove", people(3)[2])
    page.get_by_role("button", name="Queue the failed once more").click()
    expect(told).to_contain_text("1 is queued again. Nothing was sent yet.")
    expect(told).to_contain_text("1 is not queued, since it is suppressed")
    told.get_by_role("link", name="See who is never mailed").click()
    expect(page.get_by_role("rowheader", name=people(3)[1])).to_be_visible()


# -- what leads nowhere, and what is refused in any case


def unset(at_work: Office, *settings: str) -> None:
    path = at_work.folder / "mailer.toml"
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith(settings)]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


@pytest.mark.thorough
def test_what_is_refused_for_want_of_a_way_out_is_told_before_it_is_approved(page: Page, at_work: Office) -> None:
    unset(at_work, "unsubscribe_mailto", "postal_address")
    prepared(page, at_work, 60)
    expect(page.locator("#refusal")).to_contain_text("does not tell them how to get no more letters")
    expect(page.locator("#warnings")).to_contain_text("no postal address")
    assert complaints(page) == []
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Approve").click()
    expect(page.locator("#refusal")).to_be_visible()  # nobody approves what is refused
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Test").click()
    expect(page.get_by_role("button", name="Send the test to me")).to_be_visible()
    # to a few it may go, and the page says what it lacks, as the terminal does
    at_work.write_list(people(30))
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Preview").click()
    expect(page.get_by_text("All messages are checked: 30")).to_be_visible()
    expect(page.locator("#refusal")).to_be_hidden()
    expect(page.locator("#warnings")).to_contain_text("no postal address")
    expect(page.locator("#warnings")).to_contain_text("no more")
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Approve").click()
    expect(page.get_by_label("Name of whoever approves")).to_be_visible()


@pytest.mark.thorough
def test_an_approval_that_no_longer_counts_is_said_to(page: Page, at_work: Office) -> None:
    prepared(page, at_work, 3)
    approved(page)
    at_work.write_list(people(4))
    page.reload()
    expect(page.get_by_text("All messages are checked: 4")).to_be_visible()
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Approve").click()
    expect(page.get_by_text("What was approved before no longer counts")).to_be_visible()


def test_an_address_that_leads_nowhere_says_so(page: Page, at_work: Office) -> None:
    at_work.write_list(people(2))
    page.goto(at_work.open())
    base = page.url.rstrip("/")
    page.goto(f"{base}/campaign/nobody--knows")
    expect(page.get_by_text("At that address there is nothing.")).to_be_visible()
    page.goto(f"{base}/list?list=contacts/gone.csv")
    expect(page.get_by_text("This folder has no list contacts/gone.csv.")).to_be_visible()
    assert complaints(page) == []


@pytest.mark.thorough
def test_what_only_the_letter_can_mend_does_not_lead_to_the_list(page: Page, at_work: Office) -> None:
    (at_work.folder / "templates" / "files.md").write_text(
        "---\nsubject: For {{ name }}\nlanguage: en\nattachments: ['leaflets/{{ name }}.pdf']\n---\nDear {{ name }}\n",
        "utf-8",
    )
    (at_work.folder / "leaflets").mkdir()
    (at_work.folder / "leaflets" / "Pat 1.pdf").write_bytes(b"%PDF-1.4 leaflet")
    name = at_work.write_list(people(2))
    page.goto(at_work.open())
    page.goto(f"{page.url}preview?list={name}&letter=files")
    expect(page.locator("#problems")).to_contain_text("Pat 2.pdf")
    expect(page.get_by_role("link", name="Mend them in the list")).to_be_hidden()
    expect(page.locator("#problems").get_by_role("link", name="To the letter")).to_be_visible()


@pytest.mark.parametrize("language", languages())
def test_no_words_of_the_command_line_stand_in_what_the_page_says_of_a_correction(language: str) -> None:
    assert CORRECTED in catalogue("de")  # as it is gathered from where it is said
    speak(language)
    try:
        told = in_words(as_said(CORRECTED))
    finally:
        speak("en")
    assert "--" not in told
    assert told != CORRECTED
