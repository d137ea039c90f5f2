"""Whoever approves what another person prepared reads what it is: subject, sender, attachments with sizes, people, list and letter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from organiser import Office, office, people
from test_web_steps import entered, ready

LETTER = """---
subject: "{subject}"
language: en
attachments:
  - file: motion.txt
    name: Model motion.txt
  - {{file: "own/{{{{ branch_id }}}}.txt"}}
---

Dear {{{{ name }}}}, please write to them.
"""


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        yield made


def prepared(at_work: Office, number: int, *, subject: str = "Please write, {{ name }}") -> str:
    """A letter with a motion for all and a file for each branch, and a list of so many; comes to the list."""
    own = at_work.folder / "templates" / "own"
    own.mkdir()
    (at_work.folder / "templates" / "appeal.md").write_text(LETTER.format(subject=subject), encoding="utf-8")
    (at_work.folder / "templates" / "motion.txt").write_text("x" * 120_000, encoding="utf-8")
    lines = ["email,name,branch_id"]
    for at, address in enumerate(people(number), start=1):
        lines.append(f"{address},Pat {at},b{(at + 1) // 2}")
        (own / f"b{(at + 1) // 2}.txt").write_text("y" * 10_000 * ((at + 1) // 2), encoding="utf-8")
    (at_work.folder / "contacts" / "people.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return "contacts/people.csv"


def facts(page: str) -> dict[str, str]:
    """What stands beside each word of the page's first table."""
    found = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", page.partition("</dl>")[0], re.DOTALL)
    parts = {name: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "|", told)) for name, told in found}
    return {name: unescape(re.sub(r"[ |]*\|[ |]*", "|", told)).strip("|") for name, told in parts.items()}


def approval(at_work: Office, where: str) -> dict[str, str]:
    inside, csrf = entered(at_work)
    seal = str(ready(inside, list=where, letter="appeal")["seal"])
    first = facts(inside.ask("GET", f"/approve?list={where}&letter=appeal")[1])
    inside.post(
        "/approve", csrf=csrf, list=where, letter="appeal", seal=seal, name="Ana", looked="1", then="again"
    )  # and the second person reads the same
    page = inside.ask("GET", f"/approve?list={where}&letter=appeal")[1]
    assert "A second person approves as well" in page
    assert facts(page) == first
    return first


def test_the_second_person_reads_what_is_approved(at_work: Office) -> None:
    told = approval(at_work, prepared(at_work, 4))
    assert told["Subject"] == "Please write, Pat 1|(the first; it differs from message to message)"
    assert told["From"] == "Union Office <office@example.org>"
    assert told["People"] == "4 people, a message each"
    assert (told["List"], told["Letter"]) == ("contacts/people.csv", "appeal")
    assert told["Attachments"].split("|") == [
        "Model motion.txt, 120 KB",
        "b1.txt, 10 KB, to 2 people",
        "b2.txt, 20 KB, to 2 people",
    ]


@pytest.mark.thorough
def test_a_file_for_each_row_is_named_for_a_few_and_counted_for_the_others(at_work: Office) -> None:
    told = approval(at_work, prepared(at_work, 16, subject="One for all"))
    assert told["Subject"] == "One for all"
    lines = told["Attachments"].split("|")
    assert lines[0] == "Model motion.txt, 120 KB"
    assert lines[5:] == ["b5.txt, 50 KB, to 2 people", "further files, 60 KB to 80 KB, to 6 people"]


def test_a_letter_without_attachments_says_so(at_work: Office) -> None:
    assert approval(at_work, at_work.write_list(people(1)))["Attachments"] == "none"
