"""The mailbox's page, served for real and asked by plain HTTP and by Chromium."""

from __future__ import annotations

import http.client
import json
import re

import pytest
from chromium import browser, letter, message
from preview_samples import MOTION, campaign
from web_server import served

from mailer.errors import Refused
from mailer.mailbox import Store
from mailer.web.mailbox_page import create_app, serve


@pytest.fixture
def box(tmp_path):
    store = Store(tmp_path / "box")
    store.prepare()
    for item in campaign(3):
        store.keep(item.message.content, item.message.envelope.mail_from, [item.message.envelope.rcpt_to])
    return tmp_path / "box"


def ask(port: int, path: str, *, method: str = "GET", host: str | None = None, body: str | None = None, **headers: str):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        line.request(method, path, body, {"Host": host or f"127.0.0.1:{port}", **named})
        answer = line.getresponse()
        return answer, answer.read()
    finally:
        line.close()


def rows(port: int) -> list[list[str]]:
    return json.loads(ask(port, "/messages")[1])["rows"]


def test_what_arrived_is_listed_newest_first_and_only_when_it_changed(box):
    with served(create_app(box)) as port:
        answer, body = ask(port, "/messages")
        listing = json.loads(body)
        assert [row[3] for row in listing["rows"]] == [
            f"contact{n}@{d}" for n, d in ((3, "union.test"), (2, "branch.example"), (1, "example.net"))
        ]
        assert ask(port, f"/messages?version={listing['version']}")[0].status == 204
        Store(box).keep(b"Subject: new\r\n\r\n", "a@example.org", ["b@example.net"])
        answer, body = ask(port, f"/messages?version={listing['version']}")
        assert (answer.status, json.loads(body)["rows"][0][1]) == (200, "new")


def test_a_message_its_eml_and_its_attachments_can_be_had(box):
    with served(create_app(box)) as port:
        key = rows(port)[0][0]
        page = ask(port, f"/messages/{key}")[1].decode()
        assert "Maria-Aurélia" in page
        eml, content = ask(port, f"/messages/{key}/message.eml")
        assert content == (box / f"{key}.eml").read_bytes()
        assert eml.headers["Content-Disposition"].startswith("attachment;")
        assert ask(port, f"/messages/{key}/attachments/0")[1] == MOTION.content
        for number in ("9", "9" * 5000, "-1", "x"):
            assert ask(port, f"/messages/{key}/attachments/{number}")[0].status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""]
)
def test_a_foreign_host_name_is_not_answered(box, host):
    with served(create_app(box)) as port:
        answer, body = ask(port, "/messages", host=host.format(port=port) or "x")
        assert answer.status == 421
        assert b"contact" not in body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_the_computers_own_names_are_answered(box, host):
    with served(create_app(box)) as port:
        assert ask(port, "/", host=host.format(port=port))[0].status == 200


@pytest.mark.parametrize(
    "path", ["/", "/messages", "/messages/{key}", "/messages/{key}/message.eml", "/assets/base.css", "/nothing"]
)
def test_every_answer_is_closed_against_other_sites_and_says_no_more_than_needed(box, path):
    with served(create_app(box)) as port:
        answer, _body = ask(port, path.format(key=rows(port)[0][0]))
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in answer.headers
        assert "Date" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/messages/..%2f..%2fsecret",
        "/messages/%2e%2e",
        "/assets/..%2fmailbox_page.py",
        "/assets/guard.py",
        "/messages/" + "0" * 20 + "-1234567",
    ],
)
def test_nothing_outside_the_mailbox_can_be_had(box, path):
    (box.parent / "secret.eml").write_bytes(b"Subject: secret\r\n\r\n")
    with served(create_app(box)) as port:
        assert ask(port, path)[0].status == 404


def test_an_address_in_a_file_name_does_not_reach_the_pages_addresses(box):
    (box / "ana@example.net.eml").write_bytes(b"Subject: copied in\r\n\r\n")
    with served(create_app(box)) as port:
        (key,) = (row[0] for row in rows(port) if row[1] == "copied in")
        assert "@" not in key
        assert b"copied in" in ask(port, f"/messages/{key}")[1]


def test_all_is_deleted_only_with_the_pages_own_token_from_the_page_itself(box):
    form = {"method": "POST", "Content_Type": "application/x-www-form-urlencoded"}
    with served(create_app(box)) as port:
        token = re.search(rb'name="csrf" value="([^"]+)"', ask(port, "/")[1])[1].decode()
        assert ask(port, "/delete", body="csrf=guess", **form)[0].status == 403
        assert ask(port, "/delete", body="", **form)[0].status == 403
        assert ask(port, "/delete", body=f"csrf={token}", Origin="http://evil.example", **form)[0].status == 403
        assert ask(port, "/delete", body=f"csrf={token}", Sec_Fetch_Site="cross-site", **form)[0].status == 403
        assert ask(port, "/delete", body="x" * 5000, **form)[0].status == 413
        assert ask(port, "/delete")[0].status == 405
        assert len(rows(port)) == 3
        assert ask(port, "/delete", body=f"csrf={token}", **form)[0].status == 303
        assert rows(port) == []


async def test_it_is_served_on_this_computer_only(box):
    with pytest.raises(Refused, match="only be served on this computer"):
        await serve(create_app(box), "0.0.0.0")
    with pytest.raises(Refused, match="no port 99999"):
        await serve(create_app(box), port=99999)


def test_a_folder_that_is_gone_is_an_empty_mailbox_and_no_crash(tmp_path):
    with served(create_app(tmp_path / "gone")) as port:
        assert rows(port) == []


@pytest.mark.thorough
def test_the_page_shows_what_arrives_while_it_is_open_and_deletes_it(box):
    with browser() as chromium, served(create_app(box)) as port:
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("3 messages, newest first").wait_for()
        Store(box).keep(
            b"Subject: just now\r\nContent-Type: text/html\r\n\r\n<p>hello</p>", "a@example.org", ["b@example.net"]
        )
        page.get_by_text("4 messages, newest first").wait_for()
        page.fill("#search", "just now")
        page.keyboard.press("Enter")
        assert letter(page).locator("p").inner_text() == "hello"
        assert message(page).locator("h1").inner_text() == "just now"
        page.click("#back")
        page.get_by_text("Delete all messages").click()
        page.get_by_role("button", name="Delete all for good").click()
        page.get_by_text("Nothing has arrived yet.").wait_for()
        assert "@" not in page.url
        page.close()
    assert list(box.glob("*.eml")) == []
    assert wrong == []
