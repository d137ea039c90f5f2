"""Messages made by other processes: the same messages, to everybody once, whatever becomes of those processes."""

from __future__ import annotations

import asyncio
import marshal
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from campaigns import (
    AT_ONCE,
    IDENTITY,
    Watcher,
    address,
    once_each,
    received,
    relay_to,
    run_of,
    send,
    source,
    start,
    statuses,
    write_letter,
    write_list,
)
from dkim_judge import signer, verdicts
from ledger_places import over_both, place_of
from program import Program
from smtp_server import Accepted, ScriptedServer

from mailer.campaign import apart, freshness, makers
from mailer.campaign import run as run_module
from mailer.campaign.limits import Limits
from mailer.campaign.makers import LENGTH, Makers, Recipe
from mailer.campaign.run import Run, RunOptions
from mailer.campaign.send import freeze, make_run, prepare
from mailer.campaign.thaw import renderer
from mailer.errors import Paused
from mailer.ledger import Ledger
from mailer.mime.dkim import Signer
from mailer.model import MAIN_RELAY, CampaignRecord, Delivery, Mailbox, Message, Quota, Status

PEOPLE = [address(number) for number in range(1, 121)]
"""As many as one maker may be asked for at once."""

HELD = 8
"""Whose final dot is held until the makers have caught up: then the one after it is made, too."""

MAKER = "mailer.campaign.maker"

posix = pytest.mark.skipif(sys.platform == "win32", reason="processes are looked for, stopped and told as on POSIX")


@pytest.fixture(params=["file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with place_of(request, tmp_path) as place, Ledger(place) as opened:
        yield opened


@pytest.fixture
def crews(monkeypatch: pytest.MonkeyPatch) -> list[Makers]:
    """The makers of each backlog that a run sends. They have their turn, and what they bring is not too old here, however busy this machine is."""
    seen: list[Makers] = []
    command = apart.command

    def forward(module: str, function: str) -> list[str]:
        begin = "import mailer, os; [vars(os).pop(name, None) for name in ('nice', 'SCHED_IDLE')];"
        return [word.replace("import mailer;", begin) for word in command(module, function)]

    class Seen(Makers):
        async def __aenter__(self) -> Makers:
            seen.append(self)
            return await super().__aenter__()

    monkeypatch.setattr(apart, "command", forward)
    monkeypatch.setattr(run_module, "Makers", Seen)
    monkeypatch.setattr(freshness, "SECONDS", 60.0)
    return seen


def processes() -> dict[int, int]:
    """Every maker on this machine with its parent, as the system knows them."""
    if Path("/proc/self/stat").exists():
        return {int(folder.name): parent for folder in Path("/proc").glob("[0-9]*") if (parent := parent_of(folder))}
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return {int(pid): int(above) for pid, above, what in lines if MAKER in what}


def parent_of(folder: Path) -> int | None:
    try:
        if MAKER.encode() in (folder / "cmdline").read_bytes():
            return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        pass  # it has ended meanwhile
    return None


def makers_of(parent: int) -> list[int]:
    return [pid for pid, above in processes().items() if above == parent]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


@dataclass
class Sent:
    """What came of a run."""

    made_here: list[str]
    accepted: list[Accepted]


def bare(content: bytes) -> bytes:
    """A message without its signatures and its Date."""
    content = re.sub(rb"\A(?:DKIM-Signature:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+", b"", content)
    return re.sub(rb"(?m)^Date: [^\r]*\r\n", b"", content, count=1)


def note_renders(run: Run) -> list[str]:
    """Whose messages the run makes by itself."""
    here: list[str] = []
    render = run.render

    def noted(delivery: Delivery) -> Message:
        here.append(delivery.contact.key)
        return render(delivery)

    run.render = noted
    return here


async def send_held(
    ledger: Ledger,
    campaign: CampaignRecord,
    crews: list[Makers],
    *,
    relay: str = MAIN_RELAY,
    signed_by: Signer | None = None,
    watcher: Watcher | None = None,
    caught_up: Callable[[Makers], None] = lambda _: None,
    **options: object,
) -> Sent:
    """Send, but let nothing beyond the first few leave until the makers have made everything that they are asked for."""
    with ScriptedServer() as server:
        rule = server.on("dot", nth=HELD, hold=True)
        run = make_run(
            ledger, campaign, relay=relay_to(server, name=relay), limits=Limits(),
            options=RunOptions(**{"processes": 2, "reconnect_delays": AT_ONCE, **options}),
            observer=watcher or Watcher(), signer=signed_by,
        )  # fmt: skip
        here = note_renders(run)
        sending = asyncio.ensure_future(asyncio.wait_for(run.run(), 20))
        await until(lambda: rule.fired.is_set() and crews[0]._stock._ready and not crews[0]._stock._asked)
        caught_up(crews[0])
        rule.release()
        assert await sending is None
        assert not server.violations
        return Sent(here, server.accepted)


def addressed(sent: Sent) -> list[str]:
    return [message.rcpt_to[0] for message in sent.accepted]


# -- what is made


@over_both
@pytest.mark.parametrize("number", [2, pytest.param(3, marks=pytest.mark.thorough)])
async def test_everybody_gets_their_message_once_and_no_process_is_left(
    campaign_folder: Path, ledger: Ledger, number: int
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, processes=number, connections=4)
    assert received(server) == once_each(PEOPLE)
    assert not server.violations
    assert (result.tally.sent, result.exit_code) == (len(PEOPLE), 0)
    assert makers_of(os.getpid()) == []


@over_both
@pytest.mark.parametrize("signs", [False, True], ids=["unsigned", "signed"])
async def test_the_messages_are_made_elsewhere_and_are_the_same(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers], *, signs: bool
) -> None:
    write_letter(campaign_folder)
    write_list(campaign_folder, PEOPLE)
    spare = replace(IDENTITY, sender=Mailbox(address="office@spare.example", name="Spare"), own_sender=True)
    identity = replace(IDENTITY, faces=(("spare", spare),))
    campaign = freeze(prepare(source(campaign_folder), identity, ledger), ledger)
    signing = signer("spare.example") if signs else None
    sent = await send_held(ledger, campaign, crews, signed_by=signing, relay="spare")
    assert len(sent.made_here) <= HELD + 1
    assert sorted(addressed(sent)) == sorted(PEOPLE)
    render = renderer(ledger, campaign, relay="spare")
    made = {delivery.contact.key: render(delivery) for delivery in ledger.deliveries(range(1, len(PEOPLE) + 1))}
    for message in sent.accepted:
        assert bare(message.content) == bare(made[message.rcpt_to[0]].content)
        assert message.mail_from == "office@spare.example"
    if signing:
        records = dict(signing.dns_records)
        assert verdicts(sent.accepted[-1].content, records) == [True, True]


@pytest.mark.thorough
async def test_what_waited_too_long_is_made_again_so_that_its_date_is_that_at_which_it_leaves(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "SECONDS", 1.0)
    campaign = start(campaign_folder, ledger, PEOPLE)
    released: list[datetime] = []

    def wait(_: Makers) -> None:
        time.sleep(3.0)
        released.append(datetime.now(UTC))

    sent = await send_held(ledger, campaign, crews, caught_up=wait)
    later = [message for message in sent.accepted if addressed(sent).index(message.rcpt_to[0]) > HELD]
    dates = [re.search(rb"(?m)^Date: ([^\r]*)\r", message.content) for message in later]
    assert len(dates) == len(PEOPLE) - HELD - 1
    # a Date has whole seconds
    oldest = released[0] - timedelta(seconds=2)
    assert all(date and parsedate_to_datetime(date[1].decode()) > oldest for date in dates)


async def test_a_message_that_would_be_another_than_was_checked_stops_the_run(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    ledger._db.execute("UPDATE deliveries SET digest = digest + 1 WHERE address = ?", (PEOPLE[50],))
    watcher = Watcher()
    with pytest.raises(Paused, match="another message than the one that was checked"):
        await send_held(ledger, campaign, crews, watcher=watcher)
    found = statuses(ledger, campaign)
    assert found[PEOPLE[50]] is Status.QUEUED
    assert [found[one] for one in PEOPLE[:50]] == [Status.SENT] * 50
    assert set(found.values()) == {Status.SENT, Status.QUEUED}


def asked(ledger: Ledger, campaign: CampaignRecord, code: str) -> tuple[list[int], list[bytes]]:
    """A maker that begins with this code and is asked for two messages: whose came, and what was said beside."""
    said = marshal.dumps(Recipe(ledger, campaign).described()) + marshal.dumps([1, 2])
    ended = subprocess.run([sys.executable, "-c", code], input=said, capture_output=True, timeout=60, check=True)
    assert LENGTH.unpack_from(ended.stdout) == (len(ended.stdout) - LENGTH.size,)
    return [number for number, *_ in marshal.loads(ended.stdout[LENGTH.size :])], ended.stderr.split()


def test_a_maker_does_without_what_reads_lists_and_settings(campaign_folder: Path, ledger: Ledger) -> None:
    code = (
        "import sys; from mailer.campaign.maker import main; main(); "
        "print({'pandas', 'pydantic', 'typer', 'aiosmtplib', 'cryptography'} & set(sys.modules), file=sys.stderr)"
    )
    assert asked(ledger, start(campaign_folder, ledger, PEOPLE[:2]), code) == ([1, 2], [b"set()"])


def test_what_is_printed_in_a_maker_does_not_come_between_its_answers(campaign_folder: Path, ledger: Ledger) -> None:
    code = (
        "from mailer.campaign import maker; renderer = maker.renderer; "
        "maker.renderer = lambda *given: (print('hello'), renderer(*given))[1]; maker.main()"
    )
    assert asked(ledger, start(campaign_folder, ledger, PEOPLE[:2]), code) == ([1, 2], [b"hello"])


@posix
def test_a_maker_gets_ready_as_fast_as_any_program_and_then_stands_back(campaign_folder: Path, ledger: Ledger) -> None:
    code = (
        "import os, sys; from mailer.campaign import maker; renderer = maker.renderer; nice = lambda: os.nice(0); "
        "maker.renderer = lambda *given: (print(nice(), file=sys.stderr), renderer(*given))[1]; maker.main(); "
        "print(nice(), file=sys.stderr)"
    )
    usual = str(os.nice(0)).encode()
    assert asked(ledger, start(campaign_folder, ledger, PEOPLE[:2]), code) == ([1, 2], [usual, b"19"])


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has processes that give way at once")
async def test_a_maker_gives_way_at_once_to_whatever_wakes_up_in_the_session_of_the_run(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.extend((os.sched_getscheduler(maker), os.getsid(maker)) for maker in makers_of(os.getpid()))

    watcher.on_record = look
    with ScriptedServer() as server:
        await send(ledger, campaign, server, watcher, processes=2)
    assert received(server) == once_each(PEOPLE)
    assert {session for _, session in seen} == {os.getsid(0)}
    assert seen[-1][0] == os.SCHED_IDLE


async def test_a_file_of_the_campaign_folder_is_not_taken_for_a_part_of_the_program(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    for name in ("email.py", "json.py", "mailer.py", "jinja2.py", "marshal.py"):
        (campaign_folder / name).write_text("raise SystemExit('mine, not yours')\n", encoding="utf-8")
    sent = await send_held(ledger, campaign, crews)
    assert len(sent.made_here) <= HELD + 1


# -- what becomes of the processes


@posix
@over_both
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("after", [1, pytest.param(40, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("number", [2, pytest.param(3, marks=pytest.mark.thorough)])
async def test_a_maker_that_dies_or_stands_still_costs_nobody_their_message_and_leaves_no_doubt(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers], *, name: str, after: int, number: int
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()
    struck: list[int] = []

    def strike() -> None:
        if len(watcher.records) >= after and not struck:
            struck.extend(makers_of(os.getpid())[:1])
            os.kill(struck[0], getattr(signal, name))

    watcher.on_record = strike
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher, processes=number, connections=2)
    assert struck
    assert received(server) == once_each(PEOPLE)
    assert (result.tally.sent, result.tally.uncertain, watcher.reconnects) == (len(PEOPLE), 0, [])
    assert not set(struck) & set(processes())


@posix
@pytest.mark.thorough
async def test_when_all_makers_die_with_messages_that_were_asked_for_the_run_makes_them(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers]
) -> None:
    people = [address(number) for number in range(1, 601)]
    campaign = start(campaign_folder, ledger, people)

    def kill(crew: Makers) -> None:
        for maker in crew._crew:
            maker.kill()

    sent = await send_held(ledger, campaign, crews, processes=3, caught_up=kill)
    assert len(sent.made_here) > 100
    assert sorted(addressed(sent)) == sorted(people)
    assert ledger.tally(campaign).uncertain == 0


@pytest.mark.parametrize("kind", ["dies at once", "is not there"])
@posix
async def test_where_no_process_can_begin_the_run_makes_all_messages(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    program = campaign_folder / "short-lived"
    if kind == "dies at once":
        program.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
        program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, processes=4)
    assert received(server) == once_each(PEOPLE)
    assert (result.tally.sent, result.exit_code) == (len(PEOPLE), 0)


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_what_is_meant_for_the_run_ends_no_maker(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers], name: str
) -> None:
    people = [address(number) for number in range(1, 401)]
    campaign = start(campaign_folder, ledger, people)
    watcher = Watcher()
    left: list[int] = []

    def tell(_: Makers) -> None:
        for pid in makers_of(os.getpid()):
            os.kill(pid, getattr(signal, name))

    def look() -> None:
        if len(watcher.records) == len(people):
            left.extend(makers_of(os.getpid()))

    watcher.on_record = look
    await send_held(ledger, campaign, crews, watcher=watcher, caught_up=tell)
    assert len(left) == 1


@posix
def test_when_the_run_is_killed_its_makers_go_and_nobody_is_mailed_twice(tmp_path: Path) -> None:
    (tmp_path / "letter.md").write_text("---\nsubject: Hello\n---\nDear {{ name }}\n", encoding="utf-8")
    people = [address(number) for number in range(400)]
    write_list(tmp_path, people, "list.csv")
    with ScriptedServer() as server:
        server.on("dot", delay=0.002)
        settings = {
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(server.port),
            "MAILER_SENDER": "Office <office@example.org>",
            "MAILER_RATE": "unlimited",
            "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
        }
        command = ("send", "letter.md", "list.csv", "--yes", "--connections", "4", "--processes", "3")
        program = Program(folder=tmp_path, settings=settings)
        running = program.begin(*command)
        server.wait_for(40, 60)
        children = makers_of(running.pid)
        running.kill()
        running.wait()
        assert len(children) == 2
        asyncio.run(until(lambda: not set(children) & set(processes())))
        assert len(server.accepted) < 400
        told_of = program.json(*command, code=1)
        got = received(server)
    assert max(got.values()) == 1
    assert told_of["sent"] + told_of["uncertain"] == 400
    assert told_of["uncertain"] <= 4


def test_a_maker_whose_run_has_gone_without_a_word_goes_too() -> None:
    command = apart.command(MAKER, "main")
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=60, check=False)
    assert ended.stdout == b""


# -- the promises of a run


@pytest.mark.thorough
async def test_no_second_holds_more_than_the_quota(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE[:60])
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, account=[Quota(seconds=1, count=20)], processes=2, connections=4)
    assert result.tally.sent == 60
    at = sorted(message.at for message in server.accepted)
    assert max(sum(one <= other < one + 1 for other in at) for one in at) <= 20


async def test_a_run_that_is_stopped_hands_over_nothing_new(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    watcher = Watcher()
    with ScriptedServer() as server:
        run = run_of(ledger, campaign, relay_to(server), watcher, processes=2, connections=4)
        watcher.on_record = lambda: run.stop(Paused("enough")) if len(watcher.records) == 10 else None
        await asyncio.wait_for(run.run(), 20)
        assert makers_of(os.getpid()) == []
        assert 10 <= len(server.accepted) <= 14
        assert ledger.tally(campaign).sent == len(server.accepted)
        await send(ledger, campaign, server, processes=2, connections=4)
    assert received(server) == once_each(PEOPLE)


# -- whether it is worth it


def quick(monkeypatch: pytest.MonkeyPatch, *, cores: int = 3, few: int = 60, slow: float = 1.0) -> None:
    """As on a computer where messages of a longer list leave fast."""
    monkeypatch.setattr(makers, "SAMPLE", 20)
    monkeypatch.setattr(makers, "FEW", few)
    monkeypatch.setattr(makers, "UNSIGNED", 1)
    monkeypatch.setattr(makers, "SLOW", slow)
    monkeypatch.setattr(apart, "cores", lambda: cores)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, 1),
        ({"cores": 1}, 0),
        ({"few": 1000}, 0),
        ({"slow": 1e9}, 0),
    ],
    ids=["fast", "no core left", "few", "slow"],
)
async def test_makers_start_by_themselves_only_where_it_pays(
    campaign_folder: Path,
    ledger: Ledger,
    crews: list[Makers],
    monkeypatch: pytest.MonkeyPatch,
    *,
    how: dict[str, int],
    expected: int,
) -> None:
    quick(monkeypatch, **how)
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        await send(ledger, campaign, server, processes=None)
    assert [len(crew._begun) for crew in crews] == [expected]
    assert received(server) == once_each(PEOPLE)
    assert makers_of(os.getpid()) == []


async def test_with_one_process_there_are_no_makers_however_fast_messages_leave(
    campaign_folder: Path, ledger: Ledger, crews: list[Makers], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        await send(ledger, campaign, server, processes=1)
    assert [len(crew._begun) for crew in crews] == [0]
