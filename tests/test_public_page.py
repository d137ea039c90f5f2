"""The page that takes unsubscribes, served for real: one click leaves, a look does not, and nobody learns who it was."""

from __future__ import annotations

import http.client
import random
import string
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_places import KINDS, place_of
from test_ledger import contact, start
from web_server import served

from mailer.ledger import Ledger, cipher
from mailer.model import LedgerPlace, Status
from mailer.tokens import Purpose, Tokens
from mailer.web.public_page import LARGEST, create_app

FORM = "application/x-www-form-urlencoded"
CLICK = b"List-Unsubscribe=One-Click"
PARTS = (
    b'--edge\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--edge--\r\n',
    "multipart/form-data; boundary=edge",
)


@pytest.fixture(params=["file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerPlace]:
    with place_of(request, tmp_path) as place:
        with Ledger(place) as ledger:
            ledger.start(start([contact(1), contact(2)]))
            ledger.start(start([contact(1), contact(2)], name="another--people"))
        yield place


@pytest.fixture
def port(path: Path) -> Iterator[int]:
    with served(create_app(path), anywhere=True) as found:
        yield found


def ask(
    port: int, target: str, method: str = "GET", body: bytes | None = None, kind: str = FORM, **headers: str
) -> tuple[int, str, dict[str, str]]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        line.request(method, target, body, {"Content-Type": kind, "Host": "leave.example.org", **headers})
        answer = line.getresponse()
        return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        line.close()


def token(path: Path, purpose: Purpose = Purpose.UNSUBSCRIBE) -> str:
    """Of the first delivery of the first campaign."""
    with Ledger(path) as ledger:
        delivery = next(iter(ledger.records(ledger.find("appeal--people"))))
        return Tokens(ledger.secret).sign(purpose, delivery.message_id[1:].partition("@")[0])


def statuses(path: Path) -> list[list[Status]]:
    with Ledger(path) as ledger:
        return [[record.status for record in ledger.records(campaign)] for campaign in ledger.campaigns()]


WAITING = [[Status.QUEUED, Status.QUEUED]] * 2
LEFT = [[Status.SUPPRESSED, Status.QUEUED]] * 2


@pytest.mark.parametrize("path", KINDS, indirect=True)
@pytest.mark.parametrize(("body", "kind"), [(CLICK, FORM), PARTS, (CLICK, FORM + "; charset=UTF-8")])
@pytest.mark.parametrize("target", ["/leave?token={}", "/a/b/{}", "/?a=1&token={}&utm=x"])
def test_one_click_leaves_every_list_once_and_for_all(
    path: Path, port: int, body: bytes, kind: str, target: str
) -> None:
    for _ in range(2):
        status, page, headers = ask(port, target.format(token(path)), "POST", body, kind)
        assert status == 200
        assert "we have noted it" in page
        assert not {"location", "set-cookie"} & headers.keys()
    assert statuses(path) == LEFT
    with Ledger(path) as ledger:
        (kept,) = ledger.suppression_rows()
        counted = {campaign.name: ledger.returned(campaign).unsubscribed for campaign in ledger.campaigns()}
    assert counted == {"appeal--people": 1, "another--people": 0}
    assert (kept.reason, kept.source) == ("unsubscribed", "link in campaign appeal--people")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_whatever_only_looks_at_a_link_unsubscribes_nobody(path: Path, port: int, method: str) -> None:
    status, page, _ = ask(port, f"/leave?token={token(path)}", method)
    assert status == (200 if method in {"GET", "HEAD"} else 405)
    assert ('method="post"' in page) == (method == "GET")
    assert statuses(path) == WAITING


def test_the_page_that_asks_posts_what_unsubscribes(path: Path, port: int) -> None:
    _, page, headers = ask(port, f"/leave?token={token(path)}")
    assert '<input type="hidden" name="List-Unsubscribe" value="One-Click">' in page
    assert "action=" not in page  # to its own address, whatever the proxy calls it
    assert "form-action 'self'" in headers["content-security-policy"]
    assert "http" not in page  # no remote asset


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"", FORM, 400),
        (b"List-Unsubscribe=No", FORM, 400),
        (CLICK, "multipart/form-data", 400),
        (b"a=1&" * 100 + CLICK, FORM, 400),
        (CLICK + b"&x=" + b"x" * LARGEST, FORM, 413),
        (b"\xff\x00" * 30, "multipart/form-data; boundary=\x80", 400),
    ],
)
def test_a_form_that_does_not_say_so_changes_nothing(
    path: Path, port: int, body: bytes, kind: str, expected: int
) -> None:
    assert ask(port, f"/leave?token={token(path)}", "POST", body, kind)[0] == expected
    assert statuses(path) == WAITING


@pytest.mark.parametrize(
    "kind", ["; boundary=" + "(" * 9000, ";" * 9000, "; boundary=x; " + "a=b; " * 1800, "; \xff*", "; boundary=x"]
)
def test_no_form_of_a_stranger_keeps_the_others_waiting_or_ends_in_an_error(
    path: Path, port: int, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    before = time.monotonic()
    for head in (
        b"(" * 9000,
        b";" * 9000,
        b'"' * 9000,
        b"name*0*=x; " * 900,
        b"\r\nContent-Type: message/rfc822\r\n" * 400,
    ):
        body = b"--x\r\nContent-Disposition: form-data; " + head + b"\r\n\r\nOne-Click\r\n--x--"
        assert ask(port, f"/leave?token={token(path)}", "POST", body, "multipart/form-data" + kind)[0] == 400
    assert time.monotonic() - before < 2
    assert statuses(path) == WAITING
    assert capfd.readouterr() == ("", "")


def test_forged_tokens_and_those_of_previews_get_the_same_page_and_do_nothing(path: Path, port: int) -> None:
    good, chance = token(path), random.Random(1)
    forged = [token(path, Purpose.PREVIEW), token(path, Purpose.BOUNCE), "", "x", good[:-1], good + "a", "%00%ff"]
    for _ in range(30):
        place = chance.randrange(len(good))
        other = chance.choice([char for char in string.ascii_lowercase + string.digits if char != good[place]])
        forged.append(good[:place] + other + good[place + 1 :])
    answers = {ask(port, f"/leave?token={text}", "POST", CLICK)[:2] for text in forged}
    assert statuses(path) == WAITING
    assert answers == {ask(port, f"/leave?token={good}", "POST", CLICK)[:2]}
    assert statuses(path) == LEFT


def forgeries(path: Path, many: int) -> Iterator[str]:
    """So many tokens that are none of this page's: altered, put together from good ones, of other ledgers, or made up."""
    good, chance, letters = token(path), random.Random(5), string.ascii_lowercase + string.digits
    with Ledger(path) as ledger:
        names = [row.message_id[1:].partition("@")[0] for one in ledger.campaigns() for row in ledger.records(one)]
        own = Tokens(ledger.secret)
    size = len(good) - len(names[0])
    for purpose in Purpose:
        yield from (own.sign(purpose, name) for name in names if purpose is not Purpose.UNSUBSCRIBE)
        yield from (Tokens(bytes(32)).sign(purpose, name) for name in names)
    for one in names:  # the name of one with the signature of another
        yield from (one + own.sign(Purpose.UNSUBSCRIBE, other)[-size:] for other in names if other != one)
    yield from (good[:-end] for end in range(1, len(good)))
    yield from (good[start:] for start in range(1, len(good)))
    for place, right in enumerate(good):
        yield good[:place] + "%20" + good[place:]
        yield from (good[:place] + wrong + good[place + 1 :] for wrong in letters if wrong != right)
    made = 0
    while made < many:
        yield "".join(chance.choices(letters, k=len(good)))
        yield names[0] + "".join(chance.choices("0123456789abcdef", k=size))
        made += 2


@pytest.mark.parametrize("many", [300, pytest.param(10_000, marks=pytest.mark.thorough)])
def test_forged_or_altered_tokens_unsubscribe_nobody(path: Path, port: int, many: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    tried, answers = 0, set()
    for text in forgeries(path, many):
        line.request("POST", f"/leave?token={text}", CLICK, {"Content-Type": FORM, "Host": "leave.example.org"})
        answer = line.getresponse()
        answers.add((answer.status, answer.read()))
        tried += 1
    line.close()
    assert tried > many
    assert statuses(path) == WAITING
    with Ledger(path) as ledger:
        assert list(ledger.suppression_rows()) == []
    # whoever guesses learns nothing from the answers, and the good one still works
    status, page, _ = ask(port, f"/leave?token={token(path)}", "POST", CLICK)
    assert answers == {(status, page.encode())}
    assert statuses(path) == LEFT


BROWSERLESS = {
    "User-Agent": "Google-Mail-Unsubscribe",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br",
    "Connection": "close",
    "X-Forwarded-For": "192.0.2.77",
}
"""What a provider's program sends along: no cookie, no origin, no referrer."""


@pytest.mark.parametrize(("body", "kind"), [(CLICK, FORM), PARTS])
def test_over_an_encrypted_ledger_a_providers_one_click_leaves_as_well(tmp_path: Path, body: bytes, kind: str) -> None:
    key, path = cipher.new_key("five words that nobody guesses"), tmp_path / "sealed.db"
    with Ledger(path, key=key) as ledger:
        ledger.start(start([contact(1), contact(2)]))
        (record, _) = ledger.records(ledger.find("appeal--people"))
        good = Tokens(ledger.secret).sign(Purpose.UNSUBSCRIBE, record.message_id[1:].partition("@")[0])
    with served(create_app(path, key), anywhere=True) as port:
        assert ask(port, f"/leave?token={good[:-1]}0", "POST", body, kind, **BROWSERLESS)[0] == 200
        assert ask(port, f"/leave?token={good}", "POST", body, kind, **BROWSERLESS)[0] == 200
    with Ledger(path, key=key) as ledger:
        (kept,) = ledger.suppression_rows()
        assert kept.reason == "unsubscribed"
        assert [one.status for one in ledger.records(ledger.find("appeal--people"))] == LEFT[0]
    found = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert contact(1).address.encode() not in found
    assert b"SQLite format" not in found


def test_nothing_tells_who_it_was(path: Path, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    good = token(path)
    told = [*ask(port, f"/leave?token={good}")[1:], *ask(port, f"/leave?token={good}", "POST", CLICK)[1:]]
    everything = f"{told}{capfd.readouterr()}"
    for secret in (good, contact(1).address, contact(1).name or "@"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("accepted", "code"), [("de-AT,de;q=0.9,en;q=0.8", "de"), ("tlh, ur", "ur"), ("", "en"), ("*", "en")]
)
def test_the_page_speaks_the_reader_s_language(port: int, accepted: str, code: str) -> None:
    _, page, _ = ask(port, "/", **{"Accept-Language": accepted})
    assert f'<html lang="{code}" dir="{"rtl" if code == "ur" else "ltr"}">' in page


def test_a_link_that_nobody_knows_any_more_is_not_said_to_be_noted(path: Path, port: int) -> None:
    good = token(path)
    with Ledger(path) as ledger:
        ledger.purge(ledger.campaigns(), before=None)
    status, page, _ = ask(port, f"/leave?token={good}", "POST", CLICK)
    assert status == 410
    assert "just answer it and say so" in page
    assert "noted" not in page


def test_a_ledger_that_is_gone_is_not_said_to_have_noted_it(path: Path, port: int) -> None:
    good = token(path)
    path.rename(path.with_name("elsewhere.db"))
    status, page, _ = ask(port, f"/leave?token={good}", "POST", CLICK)
    assert status == 503
    assert "try again" in page
    path.with_name("elsewhere.db").rename(path)
    assert statuses(path) == WAITING
