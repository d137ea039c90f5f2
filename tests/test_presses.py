"""A long list rendered by several processes: the same plan as from one, whatever happens to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailer import contacts
from mailer.campaign import presses
from mailer.campaign.plan import Plan, make_plan
from mailer.campaign.sealing import contact_digest
from mailer.campaign.source import Source
from mailer.errors import ListError
from mailer.ledger import Row
from mailer.model import Held, Identity, Mailbox, Reason

LETTER = """---
subject: "A motion for {{ name }}"
language: en
attachments:
  - leaflet.txt
  - motions/{{ branch }}.txt
lookups:
  embassy: {table: embassies.csv, on: country}
---
Dear {{ name }} of {{ city }}, [write]({{ mailto(embassy.email, "Motion", city * (1200 if branch == "b3" else 1)) }}).
"""
ROWS = 700
"""More than the slices of two processes."""

PEOPLE = Identity(sender=Mailbox(address="ana@example.org", name="Ana"))


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presses, "SLICE", 300)


@pytest.fixture
def folder(campaign_folder: Path) -> Path:
    (campaign_folder / "templates").mkdir()
    (campaign_folder / "templates" / "motion.md").write_text(LETTER, encoding="utf-8")
    (campaign_folder / "leaflet.txt").write_text("read this", encoding="utf-8")
    (campaign_folder / "embassies.csv").write_text(
        "country,email\nIT,rome@embassy.example\nNO,oslo@embassy.example\n", encoding="utf-8"
    )
    (campaign_folder / "motions").mkdir()
    for branch in range(4):
        (campaign_folder / "motions" / f"b{branch}.txt").write_text(f"motion of b{branch}", encoding="utf-8")
    lines = ["email,name,city,branch,country,language"]
    for number in range(ROWS):
        branch = "b9" if number % 97 == 5 else f"b{number % 4}"
        city = "" if number % 50 == 3 else 'Umeå "north"'.replace('"', '""')
        lines.append(
            f'p{number}@example.org,Zoë {number},"{city}",{branch},{"IT" if number % 3 else "NO"},{"en" if number % 2 else "de"}'
        )
    (campaign_folder / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return campaign_folder


def plan(folder: Path, processes: int | None, template: str = "motion") -> Plan:
    source = Source(template=template, list_path=folder / "people.csv", folder=folder)
    return make_plan(source, PEOPLE, b"secret", processes=processes)


def told(made: Plan) -> tuple[object, ...]:
    rows: list[Row] = list(made.rows({"p8@example.org": Held(Reason.MANUAL, "asked")}))
    return (
        made.seal,
        made.manifest,
        list(made.problems),
        list(made.warnings),
        made.fingerprints,
        made.unrendered,
        rows,
    )


def test_several_processes_make_the_same_plan_as_one(folder: Path) -> None:
    alone, together = plan(folder, 1), plan(folder, 2)
    assert together.problems
    assert together.warnings
    assert "motions/b1.txt" in together.manifest.attachments
    assert told(together) == told(alone)
    assert together.files.content("motions/b1.txt") == b"motion of b1"
    assert [contact_digest(one) for one in together.contacts] == [contact_digest(one) for one in alone.contacts]


def test_the_messages_really_come_from_other_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailer.campaign.rendering.Press.render", nobody)
    assert len(plan(folder, 2).fingerprints) == ROWS
    with pytest.raises(RuntimeError, match="rendered here"):
        plan(folder, 1)


def nobody(*_: object) -> None:
    raise RuntimeError("rendered here")


def test_a_module_in_the_campaign_folder_is_not_taken_for_one_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.campaign.rendering.Press.render", nobody)
    for name in ("email.py", "pickle.py", "jinja2.py", "mailer.py"):
        (folder / name).write_text("raise SystemExit('mine, not yours')\n", encoding="utf-8")
    assert len(plan(folder, 2).fingerprints) == ROWS


def test_what_is_done_is_told_up_to_the_last_message(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = Source(template="motion", list_path=folder / "people.csv", folder=folder)
    make_plan(source, PEOPLE, b"secret", on_progress=lambda *done: seen.append(done), processes=2)
    assert seen == [(300, ROWS), (600, ROWS), (ROWS, ROWS)]  # in the order of the list, whichever slice is ready first


def killed(hand: presses._Hand) -> None:
    hand._process.kill()


def silenced(hand: presses._Hand) -> None:
    assert hand._process.stdin
    hand._process.stdin.close()


@pytest.mark.parametrize("fate", [killed, silenced])
def test_if_a_process_ends_the_program_renders_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fate: Callable[[presses._Hand], None]
) -> None:
    expected = told(plan(folder, 1))
    begin = presses._Hand.__init__

    def unlucky(hand: presses._Hand) -> None:
        begin(hand)
        fate(hand)

    monkeypatch.setattr(presses._Hand, "__init__", unlucky)
    assert told(plan(folder, 2)) == expected


def test_where_no_process_can_be_started_the_program_renders_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plan(folder, 1).seal
    monkeypatch.setattr(sys, "executable", str(folder / "nowhere"))
    assert plan(folder, 2).seal == expected


def test_a_letter_that_changes_meanwhile_is_not_rendered_half_by_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plan(folder, 1).seal
    begin = presses._Hand.__init__
    letter = folder / "templates" / "motion.md"

    def late(hand: presses._Hand) -> None:
        letter.write_text(LETTER + "\nP.S. Hurry.\n", encoding="utf-8")
        begin(hand)

    monkeypatch.setattr(presses._Hand, "__init__", late)
    assert plan(folder, 2).seal == expected


def test_a_letter_from_elsewhere_is_rendered_all_the_same(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    letter = elsewhere / "motion.md"
    letter.write_text("---\nsubject: Hello\n---\nDear {{ name }}\n", encoding="utf-8")
    assert plan(folder, 2, str(letter)).seal == plan(folder, 1, str(letter)).seal


def test_short_lists_are_not_worth_a_process() -> None:
    assert presses.worth(presses.WORTH_IT - 1, quick=False) == 1
    assert presses.worth(presses.QUICKLY * presses.WORTH_IT - 1, quick=True) == 1
    assert 1 <= presses.worth(10**6, quick=True) <= presses.worth(10**6, quick=False) <= presses.MOST


def test_a_list_is_worth_processes_the_sooner_the_longer_its_messages_take(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(presses, "worth", lambda count, *, quick: asked.append((count, quick)) or 1)
    (folder / "templates" / "plain.md").write_text("---\nsubject: Hello\n---\nDear {{ name }}.\n", encoding="utf-8")
    for template in ("motion", "plain"):
        make_plan(Source(template=template, list_path=folder / "people.csv", folder=folder), PEOPLE, b"secret")
    assert asked == [(ROWS, False), (ROWS, True)]


def test_for_a_long_list_processes_get_ready_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, order = told(plan(folder, 1)), []
    begin, read = presses._Hand.__init__, contacts.read

    def begun(hand: presses._Hand) -> None:
        order.append("process")
        begin(hand)

    def reading(*given: Any, **named: Any) -> contacts.ContactList:
        order.append("list")
        return read(*given, **named)

    monkeypatch.setattr(presses._Hand, "__init__", begun)
    monkeypatch.setattr(contacts, "read", reading)
    monkeypatch.setattr(presses, "worth", lambda _count, *, quick: 2 + quick)
    monkeypatch.setattr(presses, "LARGE", (folder / "people.csv").stat().st_size)
    assert told(plan(folder, None)) == expected
    assert order == ["process", "process", "process", "list"]
    monkeypatch.setattr(presses, "LARGE", presses.LARGE + 1)
    assert told(plan(folder, None)) == expected
    assert order[4:] == ["list", "process", "process"]


def test_processes_that_stood_by_end_when_there_is_nothing_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = presses._Hand.__init__, []

    def noted(hand: presses._Hand) -> None:
        begin(hand)
        begun.append(hand._process)

    monkeypatch.setattr(presses._Hand, "__init__", noted)
    monkeypatch.setattr(presses, "LARGE", 1)
    monkeypatch.setattr(presses, "worth", lambda _count, *, quick: 2 * quick)
    (folder / "people.csv").write_text("name\nAna\n", encoding="utf-8")
    with pytest.raises(ListError):
        plan(folder, None)
    assert [process.poll() is not None for process in begun] == [True, True]


@pytest.mark.skipif(os.name != "posix", reason="how Ctrl-C reaches a group of processes is told for POSIX")
def test_ctrl_c_ends_the_program_and_its_processes_at_once(folder: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom mailer.campaign import presses\n"
        "from mailer.campaign.plan import make_plan\nfrom mailer.campaign.source import Source\n"
        "from mailer.model import Identity, Mailbox\nfolder = Path(sys.argv[1])\n"
        "begin = presses._Hand.__init__\n"
        "def told(hand):\n    begin(hand)\n    print(hand._process.pid, flush=True)\n"
        "presses._Hand.__init__ = told\n"
        "presses._Hand.work = lambda *_: time.sleep(60)\n"
        "source = Source(template='motion', list_path=folder / 'people.csv', folder=folder)\n"
        "make_plan(source, Identity(sender=Mailbox(address='ana@example.org')), b'secret', processes=2)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        assert running.stdout
        pids = [int(running.stdout.readline()) for _ in range(2)]
        os.killpg(running.pid, signal.SIGINT)
        assert b"KeyboardInterrupt" in running.communicate(timeout=30)[1]
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
