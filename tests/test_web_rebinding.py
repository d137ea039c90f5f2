"""A name of a stranger that points to this computer (DNS rebinding), in a real browser: it gets neither the page nor what is on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chromium import browser
from organiser import Office, office, people
from playwright.sync_api import Browser, expect

EVIL = "evil.example"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser(f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as running:
        yield running


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        made.write_list(people(3))
        made.open()
        yield made


def test_under_another_name_the_page_opens_to_nobody(chromium: Browser, at_work: Office) -> None:
    context = chromium.new_context()
    page = context.new_page()
    parts = urlsplit(at_work.page)
    rebound = f"http://{EVIL}:{at_work.port}"
    # not even with the ticket, which stays good
    for path in (f"{parts.path}?{parts.query}", "/", "/list?list=contacts/people.csv", "/assets/base.css"):
        answer = page.goto(rebound + path)
        assert answer
        assert answer.status == 421
        assert "answers only under its own address" in answer.text()
    assert context.cookies() == []
    page.goto(at_work.page)
    expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    # from the rebound page, in the browser that is let in: neither read nor changed
    stranger = context.new_page()
    stranger.goto(f"{rebound}/")
    own = f"http://127.0.0.1:{at_work.port}"
    asked = "([url, method]) => fetch(url, { method, credentials: 'include', body: method === 'POST' ? 'entry=a@union.example' : null }).then((answer) => answer.status, () => 'failed')"
    assert stranger.evaluate(asked, [f"{rebound}/list?list=contacts/people.csv", "GET"]) in {421, "failed"}
    assert stranger.evaluate(asked, [f"{own}/list?list=contacts/people.csv", "GET"]) == "failed"
    assert stranger.evaluate(asked, [f"{own}/suppressed/add", "POST"]) == "failed"
    assert at_work.program.json("suppress", "list")["suppressions"] == []
    context.close()
