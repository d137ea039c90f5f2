"""A list or a letter that is called like an option is a list or a letter, also to the commands that the page runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from organiser import Office, Stranger, office, people

from mailer.cli.web import means_of
from mailer.settings import load
from mailer.web.journey.practice import Practice

LIST, LETTER = "--yes.csv", "-x"


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        made.write_list(people(3))
        (made.folder / "contacts" / "people.csv").rename(made.folder / LIST)
        (made.folder / "templates" / "appeal.md").rename(made.folder / "templates" / f"{LETTER}.md")
        made.open()
        yield made


def shown(inside: Stranger, path: str, words: str) -> str:
    """A page, as soon as these words are on it."""
    until = time.monotonic() + 30
    while words not in (text := inside.ask("GET", path)[1]):
        assert time.monotonic() < until, text
    return text


@pytest.mark.thorough
def test_it_is_checked_tested_approved_and_sent_like_any_other(at_work: Office) -> None:
    inside = Stranger(at_work.port)
    token = inside.enter(at_work.page)
    where = f"?list={LIST}&letter={LETTER}"
    draft = {"list": LIST, "letter": LETTER, "csrf": token}
    seal = shown(inside, f"/approve{where}", 'name="seal"').partition('name="seal" value="')[2].partition('"')[0]
    _, text = inside.post("/test", **draft, to="office@example.org")
    assert len(at_work.server.accepted) == 1, text
    answer, _ = inside.post("/account", **draft)
    text = shown(inside, (answer.getheader("Location") or "").partition("#")[0], "Look once more")
    assert '<div class="trouble">' not in text
    inside.post("/approve", **draft, seal=seal, name="Ana", looked="1")
    answer, _ = inside.post("/send", **draft, number="3")
    shown(inside, answer.getheader("Location") or "", 'class="state finished"')
    assert sorted(one.rcpt_to[0] for one in at_work.server.accepted[1:]) == people(3)


def test_practice_is_on_this_computer_alone_also_where_a_proxy_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mailer.toml").write_text('proxy = "socks5://127.0.0.1:9"\n', encoding="utf-8")
    assert load(tmp_path, {}).proxy
    room = tmp_path / "room"
    room.mkdir()
    made = Practice(means_of(load(tmp_path, {})), None, lambda _: None)._means_of(room, 25, "http://127.0.0.1:1")  # type: ignore[arg-type]
    assert made.settings().proxy is None
    assert made.settings().warnings == ()
    assert load(tmp_path, made.environment).proxy is None  # and so it is for the commands that it runs
