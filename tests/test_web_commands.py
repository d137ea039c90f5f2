"""Commands that the page runs: what they say is read while they say it, and a second click begins nothing twice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailer.errors import MailerError
from mailer.web.journey import command
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.returning import Returning
from mailer.web.journey.sending import Sendings

TALKER = """
import sys
for number in range(20000):
    sys.stderr.write(f"line {number}\\n")
    sys.stderr.flush()
print('{"said": 20000}')
"""
HALVES = """
import pathlib, sys, time
print("first", file=sys.stderr, flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
print("then", file=sys.stderr, flush=True)
"""
WAITER = "import sys; sys.stdin.read()"


def means(folder: Path, program: str) -> Means:
    def nothing(*_: object) -> Any:
        raise MailerError("not here")

    return Means(
        folder=folder, settings=nothing, ledger=nothing, unlock=nothing, encrypted=nothing, bug=nothing,
        command=(sys.executable, "-c", program), environment={},
    )  # fmt: skip


async def test_what_a_command_says_is_whole_however_many_look_at_it_meanwhile(tmp_path: Path) -> None:
    ran = await command.run(means(tmp_path, TALKER), [])
    ended = asyncio.create_task(ran.process.wait())
    seen = [["line 0"]]
    while not ended.done():
        seen += [found for found in await asyncio.gather(*(asyncio.to_thread(ran.words) for _ in range(4))) if found]
    assert all(line.startswith("line ") and line[5:].isdecimal() for found in seen for line in found[1:])
    numbers = [int(line[5:]) for line in ran.words()]
    assert numbers == list(range(20000 - command.LINES, 20000))
    results = await asyncio.gather(*(asyncio.to_thread(ran.result) for _ in range(50)))
    assert results == [{"said": 20000}] * 50


async def test_a_command_writes_behind_its_words_also_while_they_are_read(tmp_path: Path) -> None:
    ran = await command.run(means(tmp_path, HALVES), [])
    while ran.words() != ["first"]:
        await asyncio.sleep(0.01)
    ran._said.seek(0)  # as far as a reader has got
    (tmp_path / "go").touch()
    await ran.process.wait()
    assert ran.words() == ["first", "then"]


@pytest.mark.parametrize("twice", ["send", "look", "watch"])
async def test_two_clicks_at_the_same_moment_begin_one_command(tmp_path: Path, twice: str) -> None:
    with_means, pages = means(tmp_path, WAITER), cast("Pages", None)
    sendings, returning = Sendings(with_means, pages, cast("Any", None)), Returning(with_means, pages)
    click: dict[str, Callable[[], Any]] = {
        "send": lambda: sendings._start("appeal--people", ["send"]),
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
        await one.process.wait()
    assert len(begun) == 1
