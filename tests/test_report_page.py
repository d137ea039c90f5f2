"""The report's page in a real browser: for everybody, on every screen and on paper, and nothing beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import browser
from made_up_campaigns import crowd, made_up
from playwright.sync_api import Browser, Page

from mailer.campaign.report import make_report
from mailer.ledger import Ledger
from mailer.model import Status
from mailer.report import Report, Spread, counts_only, write_html

HOSTILE = (
    "W" * 300,
    "The Amalgamated Union of Very Long Names and Even Longer Sub-Branches of the North East",
    "پاکستان ٹریڈ یونین فیڈریشن کی شاخ لاہور اور گرد و نواح کے تمام اضلاع",
    "<script>console.error(1)</script>",
    "\u202egnp.exe \0\x1b[31m",
    "MMMM WWWW " * 9,
    "",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    with Ledger(tmp_path_factory.mktemp("ledger") / "mailer.db") as ledger:
        return make_report(ledger, made_up(ledger, crowd(400)))


@pytest.fixture(scope="module")
def pages(report: Report, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    write_html(folder / "full.html", report)
    write_html(folder / "counts.html", counts_only(report))
    groups = {text: Counter({Status.SENT: 9}) for text in HOSTILE}
    write_html(folder / "hostile.html", replace(report, fields={HOSTILE[0]: Spread(groups=groups)}))
    # axe takes its time for each row
    write_html(folder / "short.html", replace(report, attention=report.attention[:20], listed=report.listed[:30]))
    return {path.stem: path.as_uri() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


def opened(chromium: Browser, url: str, **options) -> tuple[Page, list[str]]:
    """The page, and what the browser had to say against it."""
    page = chromium.new_page(**options)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if request.url != url else None)
    page.goto(url)
    return page, said


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [
        ("short", "dark", 320),
        pytest.param("short", "light", 1280, marks=pytest.mark.thorough),
        pytest.param("counts", "dark", 1280, marks=pytest.mark.thorough),
    ],
)
def test_axe_finds_nothing(chromium: Browser, pages: dict[str, str], name: str, scheme: str, width: int) -> None:
    page, said = opened(chromium, pages[name], viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = Axe().run(page)
    assert [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in found.response["violations"]] == []
    assert said == []
    page.close()


@pytest.mark.parametrize("width", [320, *(pytest.param(one, marks=pytest.mark.thorough) for one in (700, 1280))])
def test_nothing_is_wider_than_the_screen_and_each_picture_is_there_once(
    chromium: Browser, pages: dict[str, str], width: int
) -> None:
    page, _ = opened(chromium, pages["full"], viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for card in page.query_selector_all(".card"):
        shown = [svg for svg in card.query_selector_all("svg") if svg.is_visible()]
        assert len(shown) == 1
        # as large as the words of a picture are on the screen, whichever font draws them
        texts = shown[0].evaluate(
            "svg => [...svg.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)"
        )
        assert min(texts) >= 10
    page.close()


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("name", ["full", "hostile"])
@pytest.mark.thorough
def test_no_words_of_a_picture_touch_each_other_or_leave_it(
    chromium: Browser, pages: dict[str, str], width: int, name: str
) -> None:
    page, said = opened(chromium, pages[name], viewport={"width": width, "height": 900})
    assert said == []
    overlaps = """() => {
      const found = [];
      for (const svg of document.querySelectorAll(".card svg")) {
        const frame = svg.getBoundingClientRect();
        if (!frame.width) continue;
        const boxes = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
        boxes.forEach(([a, x], i) => {
          if (x.left < frame.left - 14 || x.right > frame.right + 14) found.push(`${a} leaves`);
          for (const [b, y] of boxes.slice(i + 1))
            if (x.left < y.right && y.left < x.right && x.top + 4 < y.bottom && y.top + 4 < x.bottom) found.push(`${a} | ${b}`);
        });
      }
      return found;
    }"""
    assert page.evaluate(overlaps) == []
    page.close()


def test_a_picture_says_in_words_what_it_shows(chromium: Browser, pages: dict[str, str], report: Report) -> None:
    page, _ = opened(chromium, pages["full"])
    outcomes = page.get_by_role("img", name="Outcomes")
    said = outcomes.locator("desc").text_content() or ""
    for number in (report.tally.sent, report.tally.failed):
        assert f"{number:,}" in said
    assert page.get_by_role("img").count() == len(page.query_selector_all(".card"))
    page.close()


def test_rows_are_found_by_typing_and_the_keyboard_leads_everywhere(
    chromium: Browser, pages: dict[str, str], report: Report
) -> None:
    page, _ = opened(chromium, pages["full"])
    page.locator("#all-find").focus()
    page.keyboard.type("GMAIL fail")
    rows = page.locator("#all-rows tbody tr:visible")
    expected = sum(r.status == "failed" and "gmail" in f"{r.address} {r.server_words}" for r in report.listed)
    assert rows.count() == expected > 0
    assert page.locator("section:has(#all) output").text_content() == f"{expected} of 400 rows"
    page.keyboard.press("Escape")
    assert rows.count() == 400
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll"
    page.keyboard.type("x")
    page.locator("#all-find").fill("ثناء")
    assert 0 < rows.count() < 400
    page.close()


@pytest.mark.thorough
def test_without_the_script_the_tables_are_whole(chromium: Browser, pages: dict[str, str]) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["full"])
    assert not page.locator("#all-find").is_visible()
    assert page.locator("#all-rows tbody tr").count() == 400
    context.close()


@pytest.mark.thorough
def test_on_paper_it_is_light_fits_and_leaves_the_long_list_out(chromium: Browser, pages: dict[str, str]) -> None:
    page, _ = opened(chromium, pages["full"], viewport={"width": 680, "height": 900}, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert not page.locator("#all-rows").is_visible()
    assert not page.locator("#attention-find").is_visible()
    for card in page.query_selector_all(".card"):
        assert sum(svg.is_visible() for svg in card.query_selector_all("svg")) == 1
    page.close()


def test_on_a_telephone_the_reason_stands_whole_under_the_name(chromium: Browser, pages: dict[str, str]) -> None:
    page, _ = opened(chromium, pages["full"], viewport={"width": 390, "height": 800})
    assert "All times are UTC." in page.inner_text("body")
    row = page.locator("#attention-rows tbody tr").first
    name, why = row.locator("td[dir]").bounding_box(), row.locator("td.why").bounding_box()
    assert why["y"] > name["y"]
    assert why["x"] + why["width"] <= 390
    page.close()


def test_the_pages_are_files_of_a_size_to_be_sent(report: Report, tmp_path: Path) -> None:
    write_html(tmp_path / "counts.html", counts_only(report))
    assert (tmp_path / "counts.html").stat().st_size < 300_000
