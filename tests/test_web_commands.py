"""Commands that the page runs: what they say is read while they say it, and a second click begins nothing twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from test_ledger import contact, start

from mailer import settings
from mailer.campaign.diary import note_begin
from mailer.cli.web import means_of
from mailer.errors import MailerError
from mailer.ledger import Ledger
from mailer.web.journey import command
from mailer.web.journey.continuing import Continuing
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.returning import Returning

TALKER = """
import pathlib, sys
for number in range(20000):
    sys.stderr.write(f"line {number}\\n")
    sys.stderr.flush()
    while number == 10000 and not pathlib.Path(sys.argv[1]).exists():
        pass
print('{"said": 20000}')
"""
WAITER = "import time; time.sleep(600)"


def means(folder: Path, program: str) -> Means:
    def nothing(*_: object) -> Any:
        raise MailerError("not here")

    return Means(
        folder=folder, settings=nothing, ledger=nothing, unlock=nothing, encrypted=nothing, bug=nothing, warn=nothing,
        command=(sys.executable, "-c", program), environment={},
    )  # fmt: skip


async def test_what_a_command_says_is_whole_however_many_look_at_it_meanwhile(tmp_path: Path) -> None:
    enough = tmp_path / "enough"
    ran = await command.run(means(tmp_path, TALKER), [str(enough)])
    ended = asyncio.create_task(ran.process.wait())
    seen: list[list[str]] = []
    while not ended.done():
        seen += await asyncio.gather(*(asyncio.to_thread(ran.words) for _ in range(4)))
        if len(seen) > 5:  # on a busy machine it would have ended before
            enough.touch()
    assert len(seen) > 5
    # a reader who moves the place in the file makes the command write over what it has said
    ran._said.seek(0)
    assert ran._said.read() == b"".join(b"line %d\n" % number for number in range(20000))
    assert ran.words() == [f"line {number}" for number in range(20000 - command.LINES, 20000)]
    results = await asyncio.gather(*(asyncio.to_thread(ran.result) for _ in range(50)))
    assert results == [{"said": 20000}] * 50


@pytest.mark.parametrize("twice", ["send", "look", "watch"])
async def test_two_clicks_at_the_same_moment_begin_one_command(tmp_path: Path, twice: str) -> None:
    with_means, pages = means(tmp_path, WAITER), cast("Pages", None)
    continuing, returning = Continuing(with_means), Returning(with_means, pages)
    click: dict[str, Callable[[], Any]] = {
        "send": lambda: continuing.start("appeal--people", ["send"], goes_on=False),
        "look": lambda: returning.look(cast("Any", SimpleNamespace())),
        "watch": lambda: returning.watch(cast("Any", SimpleNamespace())),
    }
    begun: list[command.Command] = []
    run = command.run

    async def counted(*given: Any) -> command.Command:
        begun.append(await run(*given))
        return begun[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command, "run", counted)
        await asyncio.gather(click[twice](), click[twice](), click[twice]())
    for one in begun:
        one.process.kill()
        await one.process.wait()
    assert len(begun) == 1


async def test_whoever_pauses_just_when_it_is_begun_again_is_heard(tmp_path: Path) -> None:
    """What begins forgets what was asked before: between the turn that is taken and the command a pause would be lost."""
    with_means = replace(
        means(tmp_path, WAITER),
        settings=lambda: None,
        ledger=lambda _: Ledger(tmp_path / "mailer.db"),
    )
    with Ledger(tmp_path / "mailer.db") as ledger:
        campaign = ledger.start(start([contact(1), contact(2)]))
        note_begin(ledger, campaign)  # and its program was killed
        ledger.wish(campaign.name)
    continuing = Continuing(with_means)
    assert continuing._look()[0] == [campaign]
    await continuing.pause(campaign.name)
    await continuing._again(campaign)
    assert continuing.running(campaign.name) is None
    # and nobody paused this one
    with Ledger(tmp_path / "mailer.db") as ledger:
        ledger.wish(campaign.name)
    assert continuing._look()[0] == [campaign]
    await continuing._again(campaign)
    running = continuing.running(campaign.name)
    assert running is not None
    running.process.kill()
    await running.process.wait()


def test_a_file_of_the_campaign_folder_is_not_taken_for_a_part_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status = [*means_of(settings.load()).command, "status", "--json"]
    before = subprocess.run(status, capture_output=True, check=False, timeout=60)
    assert (before.returncode, "error" in json.loads(before.stdout)) == (2, True)
    for name in ("email.py", "json.py", "mailer.py", "typer.py"):
        (tmp_path / name).write_text("raise SystemExit('mine, not yours')\n", encoding="utf-8")
    after = subprocess.run(status, capture_output=True, check=False, timeout=60)
    assert (after.returncode, after.stdout, after.stderr) == (before.returncode, before.stdout, before.stderr)
