"""The organiser's page in a real browser: from a list to a report, by mouse, by keyboard, in two tabs, through crashes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import browser, watched_page
from ledger_places import place_of, setting
from organiser import Office, office, people
from playwright.sync_api import Browser, Page, expect

MANY = 60


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(params=["file"])
def at_work(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    folder = tmp_path / "our office"
    with place_of(request, folder) as place, office(folder, MAILER_LEDGER=setting(place)) as made:
        yield made


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with watched_page(
        chromium,
        admitted=r"status of 4|ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED)|^Blocked script|violates the following",
    ) as made:
        yield made


def picture(page: Page, name: str) -> None:
    """For the README, by `make pictures`; else only to see that one can be made."""
    folder = Path(__file__).parent / "pictures"
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=folder / f"{name}.png" if os.environ.get("PICTURES") else None)


def received(at_work: Office) -> Counter[str]:
    return Counter(address for message in at_work.server.accepted for address in message.rcpt_to)


def exactly_once(at_work: Office, number: int) -> bool:
    return received(at_work) == Counter(people(number))


def prepared(page: Page, at_work: Office, number: int = MANY) -> None:
    """As far as the preview, with a list of so many."""
    name = at_work.write_list(people(number))
    page.goto(at_work.open())
    page.get_by_role("link", name="Begin a new campaign").click()
    page.get_by_label("A list in this folder").select_option(name)
    page.get_by_role("button", name="Read this list").click()
    page.get_by_role("button", name="Next: the letter").click()
    page.get_by_role("button", name="Open this letter").click()
    page.get_by_role("button", name="Keep, and see every message").click()
    expect(page.get_by_text(f"All messages are checked: {number}")).to_be_visible()


def approved(page: Page, name: str = "Ana") -> None:
    page.get_by_role("link", name="Approve").first.click()
    page.get_by_label("Name of whoever approves").fill(name)
    page.get_by_label("I looked at the messages").check()
    page.get_by_role("button", name="Approve, and go on").click()


def sent_off(page: Page, number: int = MANY) -> None:
    page.get_by_label("To send, type").fill(str(number))
    page.get_by_role("button", name="Send now").click()


def state(page: Page, word: str, seconds: float = 30) -> None:
    expect(page.locator("#state")).to_have_text(word, timeout=seconds * 1000)


def test_from_an_upload_to_a_report(page: Page, at_work: Office, tmp_path: Path) -> None:
    rows = [
        *(f"{address},Pat {at},North" for at, address in enumerate(people(5), start=1)),
        "broken@,Ana,South",
        ",Bo,South",
    ]
    given = tmp_path / "Our people.csv"
    given.write_text("\n".join(["E-mail,name,branch", *rows, f"{people(1)[0]},Twice,North", ""]), encoding="utf-8")
    page.goto(at_work.open())
    expect(page.get_by_text("Nothing was sent from this folder yet.")).to_be_visible()
    page.get_by_role("link", name="Begin a new campaign").click()
    file = page.get_by_label("or a file from this computer")
    # it is there for a reader once its script is
    expect(file).to_be_visible()
    file.set_input_files(given)
    expect(page.get_by_role("heading", name="2 rows cannot be mailed")).to_be_visible()
    assert [page.locator(".counts dd").nth(at).inner_text() for at in range(4)] == ["8", "5", "1", "2"]
    # mended at its place: one gets an address, the other is taken off
    page.get_by_label("Address in row 7").fill("p6@union.example")
    page.get_by_role("button", name="Keep the corrected list, and read it").click()
    expect(page.get_by_role("heading", name="cannot be mailed")).to_have_count(0)
    assert given.read_bytes() == (at_work.folder / "contacts" / "Our people.csv").read_bytes()
    page.get_by_role("button", name="Next: the letter").click()

    page.get_by_role("button", name="Open this letter").click()
    text = page.get_by_label("templates/appeal.md")
    text.fill(text.input_value().replace("please write to them today, for {{ branch }}.", "please write, {{ brunch }}"))
    expect(page.locator("#wrong")).to_contain_text("the field brunch is not known")
    text.fill(text.input_value().replace("{{ brunch }}", ""))
    text.press("Control+End")
    page.get_by_role("button", name="branch", exact=True).click()
    page.get_by_label("Subject").fill('Write "now", {{ name }}')
    look = page.frame_locator("#look").frame_locator("iframe")
    expect(look.get_by_text("North")).to_be_visible()
    expect(page.frame_locator("#look").get_by_role("heading", name='Write "now", Pat 1')).to_be_visible()
    picture(page, "letter")
    page.get_by_role("button", name="Keep, and see every message").click()

    expect(page.get_by_text("All messages are checked: 6")).to_be_visible()
    assert page.locator("#telling li").count() >= 2
    page.get_by_label("Search by name, address or row").fill("P3@ pat")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.get_by_role("button", name="Pat 3").click()
    expect(page.frame_locator("#message").get_by_role("heading", name='Write "now", Pat 3')).to_be_visible()
    page.get_by_role("link", name="Next: a test to yourself").click()

    page.get_by_role("button", name="Send the test to me").click()
    expect(page.get_by_role("status").first).to_contain_text("took 1 test for office@example.org")
    assert received(at_work) == Counter({"office@example.org": 1})
    at_work.server.accepted.clear()

    page.get_by_role("link", name="Next: approve").click()
    page.get_by_label("Name of whoever approves").fill("Ana")
    page.get_by_label("I looked at the messages").check()
    page.get_by_role("button", name="Approve; somebody else approves, too").click()
    expect(page.get_by_text(re.compile(r"^Ana, \d{4}-"))).to_be_visible()
    approved(page, "Bo")
    page.get_by_label("To send, type").fill("5")
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("not the number of messages")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    sent_off(page, 6)
    state(page, "finished")
    assert exactly_once(at_work, 6)
    page.get_by_role("link", name="Report").click()
    assert page.get_by_label("Count by").locator("option").all_inner_texts()[1:] == ["E-mail", "name", "branch"]
    made = page.frame_locator("#report iframe")
    expect(made.locator("svg").first).to_be_visible()
    for person in people(6):
        expect(made.get_by_text(person)).not_to_have_count(0)
    assert at_work.program.json("status", "appeal--Our people-corrected")["sent"] == 6


@pytest.mark.thorough
def test_whoever_goes_wrong_is_told_and_stays_where_they_were(page: Page, at_work: Office) -> None:
    name = at_work.write_list(people(3))
    page.goto(at_work.open())
    page.goto(f"{page.url}list?list={name}")
    page.get_by_label("The addresses stand in the column").select_option("branch")
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_role("heading", name="3 rows cannot be mailed")).to_be_visible()  # nobody is left to be mailed
    page.get_by_label("The addresses stand in the column").select_option("email")
    page.get_by_role("button", name="Read again").click()
    page.get_by_role("button", name="Next: the letter").click()

    page.get_by_label("or a new one, called").fill("May/June")
    page.get_by_role("button", name="Begin it").click()
    expect(page.get_by_text("made of letters, digits and hyphens")).to_be_visible()
    expect(page.get_by_role("navigation", name="Steps").locator("[aria-current]")).to_contain_text("Letter")
    page.get_by_role("link", name="Go back").click()
    page.get_by_label("or a new one, called").fill("now")
    page.get_by_role("button", name="Begin it").click()
    text = page.get_by_label("templates/now.md")
    expect(page.locator("#wrong")).to_be_hidden()
    text.fill("Dear {{ nmae }}")
    expect(page.locator("#wrong li")).to_have_text(["Line 1: the field nmae is not known. Did you mean name?"])
    page.get_by_role("button", name="Keep, and see every message").click()
    # told once and for all, until a file has changed: a page that asks again must not be what begins the check again
    expect(page.get_by_text("Not one message can be made.")).to_be_visible()
    page.get_by_role("link", name="To the letter").click()
    text.fill("Dear {{ name }}")
    page.get_by_role("button", name="Keep, and see every message").click()
    expect(page.get_by_text("All messages are checked: 3")).to_be_visible()
    page.get_by_role("link", name="Send").last.click()
    expect(page.get_by_text("Nobody has approved exactly these messages yet.")).to_be_visible()


@pytest.mark.thorough
def test_a_cell_that_the_letter_needs_is_filled_in_beside_the_preview(page: Page, at_work: Office) -> None:
    (at_work.folder / "templates" / "needy.md").write_text(
        "---\nsubject: For {{ branch }}\nlanguage: en\nrequired: [branch]\n---\nDear {{ name }}\n", encoding="utf-8"
    )
    path = at_work.folder / "contacts" / "people.csv"
    path.write_text("email,name,branch\na@union.example,Ana,North\nb@union.example,Bo,\n", encoding="utf-8")
    page.goto(at_work.open())
    page.goto(f"{page.url}preview?list=contacts/people.csv&letter=needy")
    page.get_by_label("Row 3, branch").fill("South")
    page.get_by_role("button", name="Keep the corrected list, and check again").click()
    expect(page.get_by_text("All messages are checked: 2")).to_be_visible()
    expect(page.get_by_role("heading", name="These rows get no message")).to_be_hidden()
    expect(page.get_by_label("Row 3, branch")).to_have_count(0)
    expect(page.locator("#rows tr").nth(1)).to_contain_text("For South")


def test_by_keyboard_alone(page: Page, at_work: Office) -> None:
    """No mouse, and no script of the test's own that clicks: Tab, letters, Space, Enter."""
    at_work.write_list(people(3))
    page.goto(at_work.open())

    def reach(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "() => { const e = document.activeElement; return (e.labels?.[0]?.innerText || e.getAttribute('aria-label') || e.innerText || '').trim() }"
            )
            if name in focused:
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
        raise AssertionError(f"no way to {name}")

    def press(name: str, key: str = "Enter") -> None:
        reach(name)
        with page.expect_navigation():
            page.keyboard.press(key)

    press("Begin a new campaign")
    press("Read this list")
    press("Next: the letter")
    press("Open this letter")
    press("Keep, and see every message")
    expect(page.get_by_text("All messages are checked: 3")).to_be_visible()
    press("Next: a test to yourself")
    press("Next: approve")
    reach("Name of whoever approves")
    page.keyboard.type("Ana")
    reach("I looked at the messages")
    page.keyboard.press("Space")
    press("Approve, and go on")
    reach("To send, type")
    page.keyboard.type("3")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    state(page, "finished")
    assert exactly_once(at_work, 3)


@pytest.mark.thorough
@pytest.mark.parametrize("at_work", ["file", "server"], indirect=True)
def test_a_pause_on_the_page_is_gone_on_from_in_the_terminal_and_the_other_way_round(
    page: Page, at_work: Office
) -> None:
    at_work.server.on("accepted", delay=0.1)
    prepared(page, at_work)
    approved(page)
    sent_off(page)
    state(page, "sending")
    page.get_by_role("button", name="Pause").click()
    state(page, "paused")
    before = len(at_work.server.accepted)
    assert 0 < before < MANY
    assert at_work.program.json("status", "appeal--people")["state"] == "paused"
    # a run in the terminal is seen, and paused, by the page
    running = at_work.program.begin("send", "appeal", "contacts/people.csv", "--yes")
    state(page, "sending")
    page.get_by_role("button", name="Pause").click()
    assert running.wait(20) == 3
    state(page, "paused")
    assert before < len(at_work.server.accepted) < MANY
    at_work.server.rules.clear()
    page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    assert exactly_once(at_work, MANY)


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGINT, id="Ctrl-C"), pytest.param(signal.SIGKILL, id="kill -9")],
)
@pytest.mark.thorough
def test_a_page_that_ends_in_the_midst_of_sending_hurts_nobody(page: Page, at_work: Office, how: int) -> None:
    at_work.server.on("accepted", delay=0.1)
    prepared(page, at_work)
    approved(page)
    sent_off(page)
    state(page, "sending")
    at_work.end(how)
    expect(page.locator("#figures")).to_contain_text("The page does not answer")
    so_far = at_work.program.json("status", "appeal--people")
    assert so_far["state"] == ("paused" if how == signal.SIGINT else "sending")
    page.goto(at_work.open())
    page.get_by_role("link", name="appeal--people").click()
    if how == signal.SIGINT:
        page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    assert exactly_once(at_work, MANY)
    assert at_work.program.json("status", "appeal--people")["uncertain"] == 0


@pytest.mark.thorough
def test_two_tabs_do_not_write_over_each_other_nor_send_twice(page: Page, at_work: Office) -> None:
    at_work.server.on("accepted", delay=0.02)
    prepared(page, at_work, 20)
    other = page.context.new_page()
    letter = page.url.replace("/preview", "/letter")
    for tab in (page, other):
        tab.goto(letter)
    page.get_by_label("Subject").fill("First")
    page.get_by_label("templates/appeal.md").fill("From the first tab, {{ name }} {{ branch }}.\n")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("The letter was kept.")).to_be_visible()
    other.get_by_label("Subject").fill("Second")
    other.get_by_label("templates/appeal.md").fill("From the second tab.\n")
    other.get_by_role("button", name="Keep", exact=True).click()
    # among the hidden ones of a page that is just being read
    expect(other.get_by_role("alert").filter(has_text="changed elsewhere")).to_be_visible()
    assert "From the second tab." in other.get_by_label("templates/appeal.md").input_value()
    assert "From the first tab" in (at_work.folder / "templates" / "appeal.md").read_text("utf-8")
    # what one tab approves is not what the other one has changed meanwhile
    page.goto(letter.replace("/letter", "/preview"))
    expect(page.get_by_text("All messages are checked: 20")).to_be_visible()
    expect(page.locator("#changes")).to_contain_text("The letter changed")
    page.goto(letter.replace("/letter", "/approve"))
    other.get_by_role("button", name="Keep", exact=True).click()
    expect(other.get_by_text("The letter was kept.")).to_be_visible()
    page.get_by_label("Name of whoever approves").fill("Ana")
    page.get_by_label("I looked at the messages").check()
    page.get_by_role("button", name="Approve, and go on").click()
    expect(page.get_by_role("heading", name="Every message, before anything is sent")).to_be_visible()
    expect(page.get_by_text("All messages are checked: 20")).to_be_visible()
    approved(page)
    send = page.url
    other.goto(send)
    for tab in (page, other):
        tab.get_by_label("To send, type").fill("20")
    page.get_by_role("button", name="Send now").click()
    other.get_by_role("button", name="Send now").click()
    state(page, "finished")
    time.sleep(1)
    assert exactly_once(at_work, 20)
    assert all(b"Subject: Second" in message.content for message in at_work.server.accepted)


@pytest.mark.thorough
def test_a_cookie_that_has_expired_leads_to_words_not_to_a_loss(page: Page, at_work: Office) -> None:
    prepared(page, at_work, 3)
    page.context.clear_cookies()
    page.reload()
    expect(page.get_by_role("heading", name="This page is closed")).to_be_visible()
    assert received(at_work) == Counter()


@pytest.mark.thorough
def test_whom_the_server_loses_is_decided_on_the_page(page: Page, at_work: Office) -> None:
    at_work.server.on("accepted", address=people(3)[1], drop=True)
    prepared(page, at_work, 3)
    approved(page)
    sent_off(page, 3)
    state(page, "finished")
    page.get_by_role("link", name="Decide what is in doubt").click()
    page.get_by_label("What became of row 3").select_option("it did not: send it again")
    page.get_by_role("button", name="Write this down").click()
    at_work.server.rules.clear()
    page.get_by_role("button", name="Go on sending").click()
    state(page, "finished")
    assert at_work.program.json("status", "appeal--people")["sent"] == 3


def test_who_is_suppressed_on_the_page_is_mailed_by_nobody(page: Page, at_work: Office) -> None:
    page.goto(at_work.open())
    page.get_by_role("link", name="Never mailed").click()
    page.get_by_label("An address, or").fill("P2@Union.Example")
    page.get_by_label("Why, in your own words").fill("asked by phone")
    page.get_by_role("button", name="Never mail again").click()
    expect(page.get_by_role("rowheader", name="p2@union.example")).to_be_visible()
    [kept] = at_work.program.json("suppress", "list")["suppressions"]
    assert "p2@union.example" in kept.values()
    assert "union" not in page.url
    page.get_by_role("searchbox").fill("nobody")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nobody.")).to_be_visible()
    assert "nobody" not in page.url
    page.get_by_role("link", name="Never mailed").click()
    page.get_by_role("button", name="Allow p2@union.example again").click()
    assert at_work.program.json("suppress", "list")["suppressions"] == []


def test_a_letter_can_neither_script_nor_fetch(page: Page, at_work: Office) -> None:
    hostile = (
        "<script>top.document.title='owned'</script><img src=x onerror=\"top.document.title='owned'\">"
        "<img src=https://tracker.example/p.png><iframe src=https://tracker.example/></iframe><b>Dear</b> {{ name }} {{ branch }}"
    )
    folder = at_work.folder / "templates" / "hostile"
    folder.mkdir()
    (folder / "letter.html").write_text(hostile, encoding="utf-8")
    (folder / "letter.md").write_text('---\nsubject: "</title><script>alert(1)</script>"\n---\n', encoding="utf-8")
    name = at_work.write_list(["a@union.example"])
    (at_work.folder / name).write_text(
        "email,name,branch\na@union.example,<script>alert(1)</script>,<b>\n", encoding="utf-8"
    )
    page.goto(at_work.open())
    page.goto(page.url + f"preview?list={name}&letter=hostile")
    expect(page.get_by_text("All messages are checked: 1")).to_be_visible()
    expect(page.frame_locator("#message").frame_locator("iframe").get_by_text("Dear")).to_be_visible()
    assert "owned" not in page.title()
    assert page.locator("main script").count() == 0


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        pytest.param(1280, "light", marks=pytest.mark.thorough),
        pytest.param(320, "light", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.thorough
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    page: Page, at_work: Office, width: int, scheme: str
) -> None:
    prepared(page, at_work, 12)
    query = page.url.partition("?")[2]
    (at_work.folder / "contacts" / "odd.csv").write_text(
        "email,name,branch\nx@,A,B\nok@union.example,C,D\n", encoding="utf-8"
    )
    at_work.program.json("suppress", "add", "p1@union.example")
    page.goto(f"{page.url.partition('/preview')[0]}/approve?{query}")
    approved(page)
    at_work.server.on("accepted", address=people(3)[2], drop=True)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    base = page.url.partition("/send")[0]
    places = [
        "/",
        "/list",
        "/list?list=contacts/odd.csv",
        *(f"/{step}?{query}" for step in ("list", "letter", "preview", "test", "approve", "send")),
    ]
    places += ["/suppressed", "/account"]
    found = [complaint for place in places for complaint in looked_at(page, base + place)]
    page.goto(f"{base}/send?{query}")
    sent_off(page, 11)
    state(page, "finished")
    found += complaints(page)
    found += looked_at(page, base + "/campaign/appeal--people/uncertain")
    assert found == []


def test_an_error_of_our_own_is_told_calmly(page: Page, at_work: Office, tmp_path: Path) -> None:
    at_work.settings["TMPDIR"] = str(tmp_path)
    page.goto(at_work.open())
    (at_work.folder / "templates").rename(at_work.folder / "away")
    (at_work.folder / "templates").symlink_to("templates")  # a loop, which is_dir() raises for
    answer = page.goto(page.url + "letter")
    assert answer
    assert answer.status in {200, 422, 500}
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    said = at_work.end()
    assert "Traceback" not in said


def looked_at(page: Page, url: str) -> list[str]:
    answer = page.goto(url)
    assert answer
    assert answer.status == 200, url
    if "/preview" in url:
        expect(page.locator("#sealed")).to_be_visible()
        expect(page.frame_locator("#message").locator("h1")).to_be_visible()
    if "/letter?" in url:
        expect(page.frame_locator("#look").locator("h1")).to_be_visible()
    return complaints(page)


def complaints(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    said = [f"{page.url}: {one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in found]
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return said + [f"{page.url}: {wide} pixels too wide"] * (wide > 0)
