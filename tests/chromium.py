"""A real Chromium for the tests of pages; skipped where there is none, unless the tests run in CI."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def executable() -> str:
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found, and in CI the pages must be tested")
        pytest.skip("no Chromium found on this computer")
    return found


@contextmanager
def browser(*more: str) -> Iterator[Browser]:
    """Chromium, with more arguments of its command line."""
    with sync_playwright() as playwright:
        # Chromium refuses its own sandbox to root; the walls under test are the pages' own.
        arguments = [
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            *more,
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            arguments.append("--no-sandbox")
        running = playwright.chromium.launch(executable_path=executable(), args=arguments)
        yield running
        running.close()


@contextmanager
def watched_page(chromium: Browser, *, admitted: str) -> Iterator[Page]:
    """A page at which nothing goes wrong but what is admitted (a pattern), and that fetches from this computer only."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    made, wrong = context.new_page(), []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    made.set_default_timeout(10_000)
    requests = Requests(made, "http://127.0.0.1:", "data:", "blob:")
    yield made
    wrong += requests.left()
    context.close()
    assert [one for one in wrong if not re.search(admitted, one)] == []


class Requests:
    """What a page tried to fetch from beyond itself. A request that its policy blocks is announced sometimes, too, and is none."""

    def __init__(self, page: Page, *allowed: str) -> None:
        self._page = page
        self._seen: list[Request] = []
        page.on("request", lambda request: None if request.url.startswith(allowed) else self._seen.append(request))

    def left(self) -> list[str]:
        """Their addresses, without those that were blocked."""
        for _ in range(20):
            if all(request.failure for request in self._seen):
                break
            self._page.wait_for_timeout(50)  # what becomes of one is told a moment later
        return [request.url for request in self._seen if request.failure != "csp"]


def take_picture(
    index: Path,
    picture: Path,
    *,
    message: int | None = None,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
) -> Path:
    """A picture of a gallery for the README: the overview, or one message opened. Needs Chromium, writes a PNG."""
    with browser() as chromium:
        page = chromium.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2
        )
        page.goto(index.as_uri() + (f"#{message}" if message else ""))
        if message:
            letter(page).locator("body").wait_for()
        page.screenshot(path=picture)
    return picture


def message(page: Page):
    """The frame with the chosen message's page."""
    return page.frame_locator("#frame")


def letter(page: Page):
    """The sandboxed frame with the letter itself."""
    return message(page).frame_locator("iframe")
