"""The preview step without a browser: what it shows is what the files say now, in however many tabs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from organiser import Office, Stranger, office, people

from mailer.model import Contact
from mailer.web.journey import previews
from mailer.web.journey.letters import KEPT, MOST_KEPT, Letters
from mailer.web.journey.looks import Look


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        made.write_list(people(300))
        made.open()
        yield made


@pytest.fixture
def inside(at_work: Office) -> Stranger:
    member = Stranger(at_work.port)
    member.enter(at_work.page)
    return member


def state(inside: Stranger, campaign: str = "") -> dict[str, object]:
    draft = {"list": "contacts/people.csv", "letter": "appeal", "campaign": campaign}
    return dict(json.loads(inside.ask("GET", f"/preview/state?{urlencode(draft)}")[1]))


def settled(inside: Stranger) -> dict[str, object]:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = state(inside)
        if found["phase"] in {"ready", "failed"}:
            return found
    raise AssertionError("never settled")


def test_a_page_of_the_table_is_of_one_moment_though_the_check_goes_on() -> None:
    both = [Contact(address=f"p{row}@example.org", key=f"p{row}@example.org", row=row) for row in (2, 3)]
    look = previews.Look(draft=cast("Any", None), stamp=())
    look.table = both, [one.address for one in both]

    def found_wrong(*_: object) -> SimpleNamespace:
        look.table = (), ()
        return SimpleNamespace(subject="x")

    asked = object.__new__(previews.Previews)
    vars(asked).update(_pages=SimpleNamespace(draft=lambda _: None), look=lambda _: look, _letter=found_wrong)
    answer = asked.rows(cast("Any", SimpleNamespace(state=SimpleNamespace(form={}))))
    assert [row[3] for row in json.loads(bytes(answer.body))["rows"]] == [one.address for one in both]


def test_three_tabs_that_wait_for_three_campaigns_all_come_to_an_end(at_work: Office, inside: Stranger) -> None:
    names = ["spring", "summer", "autumn", "winter"]
    waiting, end = set(names), time.monotonic() + 20
    while waiting and time.monotonic() < end:
        for name in names:
            if state(inside, name)["phase"] == "ready":
                waiting.discard(name)
    assert not waiting
    # and nobody who is still there has to wait once more
    assert [state(inside, name)["phase"] for name in names] == ["ready"] * 4


def test_whatever_the_letter_takes_in_is_checked_anew_when_it_changes(at_work: Office, inside: Stranger) -> None:
    templates, contacts = at_work.folder / "templates", at_work.folder / "contacts"
    table = contacts / "houses.csv"
    table.write_text("branch,house\n" + "".join(f"Branch {at},Mill Lane {at}\n" for at in range(3)), encoding="utf-8")
    head = "---\nsubject: x\nlookups: {at: {table: contacts/houses.csv, on: branch}}\n"
    head += 'attachments: ["leaflets/{{ branch }}.txt"]\n---\n'
    (templates / "appeal.md").write_text(f"{head}Dear {{{{ name }}}}, {{{{ at.house }}}}\n", encoding="utf-8")
    leaflets = at_work.folder / "leaflets"
    leaflets.mkdir()
    for at in range(2):
        (leaflets / f"Branch {at}.txt").write_text("Read this", encoding="utf-8")
    found = settled(inside)
    assert found["problems"]
    (leaflets / "Branch 2.txt").write_text("Read this", encoding="utf-8")
    found, before = settled(inside), found
    assert not found["problems"]
    assert found["seal"] != before["seal"]
    table.write_text(table.read_text("utf-8").replace("Mill", "Weir"), encoding="utf-8")
    found, before = settled(inside), found
    assert found["seal"] != before["seal"]
    (templates / "appeal.de.md").write_text("---\nsubject: y\n---\nLiebe {{ name }}\n", encoding="utf-8")
    found, before = settled(inside), found
    assert found["seal"] != before["seal"]
    assert settled(inside)["seal"] == found["seal"]


def test_looks_of_a_letter_with_large_attachments_do_not_pile_up(tmp_path: Path) -> None:
    letters = Letters(cast("Any", SimpleNamespace(folder=tmp_path)), cast("Any", None), cast("Any", None))
    for _ in range(KEPT):
        letters._address(Look(content=bytes(MOST_KEPT // 4)))
    assert len(letters._shown) == 4
    key = letters._address(Look(content=bytes(MOST_KEPT + 1)))["look"].rpartition("/")[2]
    assert list(letters._shown) == [key]
