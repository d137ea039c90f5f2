"""The organiser's page in a language that is written from right to left, and names of one script inside pages of another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import catalogue
import pytest
from chromium import browser
from organiser import office, people
from playwright.sync_api import Browser, Page, expect
from pseudo import spoken
from test_web_journey import complaints
from web_server import served

from mailer.cli.web import means_of
from mailer.settings import load
from mailer.web.journey import create_app


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def hebrew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: Browser) -> Iterator[Page]:
    """The page over a folder in which a campaign was sent, as a reader of Hebrew has it."""
    with spoken(tmp_path / "languages"), office(tmp_path / "המשרד שלנו") as made:
        made.server.on("rcpt", address=people(3)[1], reply="550 5.1.1 No such user")
        name = made.write_list(people(3))
        listed = (made.folder / name).read_text("utf-8").replace("Pat 2", "منى (2)")
        (made.folder / name).write_text(listed + "broken@,Ana,East\n", encoding="utf-8")
        made.program.run("send", "appeal", name, "--yes", "--skip-problems")
        monkeypatch.chdir(made.folder)
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
        journey = create_app(means_of(load()))
        with served(journey.app) as port:
            context = chromium.new_context(viewport={"width": 320, "height": 800}, locale="he")
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}{journey.ticket()}")
            yield page
            context.close()
            journey.end()


UNISOLATED = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!/منى|@union\\.example/.test(node.data) || node.parentElement.closest("script, style, textarea, .unseen")) continue;
    if (!node.parentElement.closest("bdi, [dir=auto], .address") && !/^isolate|^plaintext/.test(getComputedStyle(node.parentElement).unicodeBidi)) found.push(node.parentElement.outerHTML.slice(0, 200));
  }
  return found;
}"""
"""Names and addresses that may turn the words around them."""


@cache
def english() -> frozenset[str]:
    """Every text of the page; to gather them takes a third of a second."""
    return frozenset(one.id for one in catalogue.extracted() if one.id and isinstance(one.id, str))


def looked_at(page: Page, place: str) -> list[str]:
    """What is wrong with a page: for axe, in its width, in its data, in what was not translated."""
    page.goto(base(page) + place)
    if folder := os.environ.get("SCREENS"):
        page.wait_for_timeout(1500)
        page.screenshot(
            path=Path(folder) / f"rtl-{re.sub('[^a-z]+', '-', place.partition('?')[0])}.png", full_page=True
        )
    assert page.locator("html").get_attribute("dir") == "rtl"
    if "/preview" in place:
        expect(page.locator("#sealed")).to_be_visible()
        expect(page.frame_locator("#message").locator("h1")).to_be_visible()
    if place.endswith("--people"):
        expect(page.locator("#lines li").nth(1)).to_be_visible()
    wrong = complaints(page) + [f"{place}: not isolated: {one}" for one in page.evaluate(UNISOLATED)]
    shown = {line.strip() for line in page.locator("body").inner_text().splitlines()}
    return wrong + [f"{place}: not translated: {one}" for one in english() & shown]


def base(page: Page) -> str:
    return "/".join(page.url.split("/")[:3])


@pytest.mark.thorough
def test_the_page_works_from_right_to_left(hebrew: Page) -> None:
    draft = "list=contacts/people.csv&letter=appeal&skip=1"
    places = ["/", *(f"/{step}?{draft}" for step in ("list", "letter", "preview", "test", "approve"))]
    campaign = "/campaign/appeal--people"
    places += ["/suppressed", "/inbox", "/account", campaign, f"{campaign}/uncertain", f"{campaign}/report"]
    found = [wrong for place in places for wrong in looked_at(hebrew, place)]
    assert not found, found
    hebrew.set_viewport_size({"width": 1280, "height": 900})
    hebrew.emulate_media(color_scheme="dark")
    assert looked_at(hebrew, f"/list?{draft}") == []
    steps = hebrew.locator(".steps li")
    first, second = steps.nth(0).bounding_box(), steps.nth(1).bounding_box()
    assert first
    assert second
    assert first["x"] > second["x"], "the steps go the way the language goes"
    assert looked_at(hebrew, campaign) == []
    progress = hebrew.locator("#progress")
    assert progress.evaluate("one => getComputedStyle(one).direction") == "rtl"
