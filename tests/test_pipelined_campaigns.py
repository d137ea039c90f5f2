"""Whole campaigns with one round trip a message: whatever the server does, the ledger tells the truth and all get one message."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaigns import Watcher, make_due, run_of, send, start, statuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smtp_raw import Fault, RawServer
from test_pipelining import (
    FAULTS,
    LOOPS,
    MODES,
    PIECES,
    SCRIPTS,
    TO_NOBODY,
    check_server,
    patience_for,
    person,
    relay,
)

from mailer.errors import LedgerError, Paused
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Pipelining, Quota, Status, Tally

PEOPLE = [person(number) for number in range(1, 8)]
NAMES = itertools.count()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has just started; its ledger is copied for each run."""
    folder = tmp_path_factory.mktemp("frozen")
    with Ledger(folder / "mailer.db") as ledger:
        start(folder, ledger, PEOPLE)
    return folder / "mailer.db"


@pytest.fixture
def ledger(frozen: Path) -> Iterator[Ledger]:
    with copy_of(frozen) as opened:
        yield opened


def copy_of(frozen: Path) -> Ledger:
    folder = frozen.parent / f"copy {next(NAMES)}"
    folder.mkdir()
    return Ledger(Path(shutil.copy(frozen, folder)))


def begun(server: RawServer) -> int:
    """How many envelopes have arrived, read or not."""
    return sum(server.heard(number).count(b"MAIL FROM:") for number in range(1, server.connections + 1))


def check_ledger(ledger: Ledger, campaign: CampaignRecord, server: RawServer) -> None:
    """What the ledger says of everybody is true, and it counts every envelope that the server has seen."""
    doubtful = {recipient for _, recipient in server.in_doubt}
    for who, status in statuses(ledger, campaign).items():
        count = server.accepted[who]
        assert count <= 1, f"{who} accepted {count} times"
        if status is Status.SENT:
            assert count == 1, f"{who} was called sent"
        elif status is Status.UNCERTAIN:
            assert who in doubtful, f"{who} is in doubt for no reason"
        else:
            assert count == 0, f"{who} was accepted and called {status}"
            assert status is not Status.SENDING
    attempts = ledger._db.execute("SELECT count(*) FROM attempts WHERE finished_at IS NOT NULL").fetchone()[0]
    assert attempts >= begun(server), "the quota forgot somebody whose envelope had left"
    check_server(server)


async def carry_on(ledger: Ledger, server: RawServer, mode: Pipelining, patience: float, **options: object) -> None:
    """Run after run, as a person would, until everybody has their message."""
    campaign = ledger.find("appeal")
    for _ in range(12):
        result = await send(ledger, campaign, server, relay=relay(server, mode, patience), **options)
        check_ledger(ledger, campaign, server)
        if result.tally == Tally(sent=len(PEOPLE)):
            break
        doubtful = [who for who, status in statuses(ledger, campaign).items() if status is Status.UNCERTAIN]
        for arrived, status in ((True, Status.SENT), (False, Status.QUEUED)):
            ledger.resolve(campaign, status, [who for who in doubtful if bool(server.accepted[who]) is arrived])
        ledger.requeue_failed(campaign)
        make_due(ledger)
    assert set(statuses(ledger, campaign).values()) == {Status.SENT}
    assert server.accepted == dict.fromkeys(PEOPLE, 1)


# With one connection the second message is the first whose envelope leaves early; with four it is the fifth.
WHERE = [
    (Pipelining.AUTO, 1, 2),
    (Pipelining.AUTO, 1, 3),
    (Pipelining.MESSAGE, 1, 3),
    (Pipelining.OFF, 1, 3),
    (Pipelining.AUTO, 4, 6),
    (Pipelining.MESSAGE, 4, 6),
    (Pipelining.OFF, 4, 6),
]


@pytest.mark.parametrize(
    ("mode", "connections", "position"),
    [pytest.param(*one, marks=[] if one == WHERE[4] else pytest.mark.thorough) for one in WHERE],
)
@pytest.mark.parametrize("phase", FAULTS)
async def test_whatever_happens_to_whom_everybody_gets_one_message_in_the_end(
    frozen: Path, phase: str, mode: Pipelining, connections: int, position: int
) -> None:
    async def one(what: str, to_nobody: str) -> None:
        fault = FAULTS[phase][what]
        with copy_of(frozen) as ledger:
            async with RawServer(faults={(position, phase): fault}, to_nobody=to_nobody) as server:
                await carry_on(ledger, server, mode, patience_for(fault), connections=connections)

    answers = itertools.cycle(TO_NOBODY)
    # each of them in each place is tried in test_pipelining; where nothing leaves early a part is enough here
    faults = list(FAULTS[phase])[:: 1 if mode is Pipelining.AUTO else 3]
    await asyncio.gather(*(one(what, next(answers)) for what in faults))


# -- servers that do not bear what comes early


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_server_that_closes_after_every_message_is_soon_given_no_envelope_early(
    ledger: Ledger, how: str
) -> None:
    always = {"dot": Fault(taken=True, reply="250 2.0.0 Ok", end=how)}
    async with RawServer(always=always) as server:
        watcher = Watcher()
        result = await send(ledger, ledger.find("appeal"), server, watcher, relay=relay(server))
        check_ledger(ledger, result.campaign, server)
    assert result.tally == Tally(sent=len(PEOPLE))
    assert begun(server) <= len(PEOPLE) + 1, "an envelope too many, and each takes a place of the quota"
    assert not watcher.reconnects


@pytest.mark.parametrize("left", [0, 7, 20, 44])
async def test_a_server_that_throws_away_what_follows_a_message_gets_two_round_trips(ledger: Ledger, left: int) -> None:
    async with RawServer(always={"dot": Fault(discard=left)}) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server, patience=0.3))
        check_ledger(ledger, result.campaign, server)
    assert (result.tally, result.reason) == (Tally(sent=len(PEOPLE)), None)
    assert server.connections == 2, "it was tried once"


@pytest.mark.thorough
async def test_a_server_that_takes_its_time_over_each_recipient_is_waited_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.smtp.connection.ENVELOPE_PATIENCE", 0.1)
    async with RawServer(always={"rcpt": Fault(delay=0.25)}) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server))
    assert result.tally == Tally(sent=len(PEOPLE))
    assert server.connections == 1


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.thorough
async def test_a_server_that_takes_its_time_over_each_sender_gets_two_round_trips(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, connections: int
) -> None:
    monkeypatch.setattr("mailer.smtp.connection.ENVELOPE_PATIENCE", 0.1)
    async with RawServer(always={"mail": Fault(delay=0.25)}) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server), connections=connections)
        check_ledger(ledger, result.campaign, server)
    assert result.tally == Tally(sent=len(PEOPLE))
    assert server.connections <= 2 * connections


# -- when somebody is not to be begun early


async def test_a_relay_that_defers_in_storms_is_slowed_down_as_without_overlap(frozen: Path) -> None:
    rates = {}
    for mode in MODES:
        with copy_of(frozen) as ledger:
            faults = {(number, "rcpt"): Fault(reply="451 4.3.2 Try again later") for number in range(2, 7)}
            async with RawServer(faults=faults) as server:
                run = run_of(ledger, ledger.find("appeal"), relay(server, mode), account=[Quota(seconds=3600, count=7)])
                starts = run._throttle._throttle._starts
                await run.run()
                rates[mode] = len(starts)
    assert set(rates.values()) == {len(PEOPLE)}, "each transaction is counted once"


async def test_an_account_that_is_told_to_rest_does_so_at_once(ledger: Ledger) -> None:
    async with RawServer(faults={(2, "dot"): Fault(reply="550 5.4.5 Daily user sending limit exceeded")}) as server:
        run = run_of(
            ledger, ledger.find("appeal"), relay(server), Watcher(on_wait=lambda: run.stop(Paused("enough"))), wait=True
        )
        await asyncio.wait_for(run.run(), 20)
        check_ledger(ledger, ledger.find("appeal"), server)
    assert server.accepted == {person(1): 1}
    assert ledger.tally(ledger.find("appeal")) == Tally(sent=1, queued=len(PEOPLE) - 1)


async def test_a_ledger_that_cannot_tell_who_is_next_leaves_nobody_in_doubt(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer() as server:
        load = ledger.deliveries

        def broken(ids: list[int]) -> list[object]:
            if server.mails:
                raise LedgerError("The ledger cannot be read.")
            return load(ids)

        monkeypatch.setattr("mailer.campaign.backlog.CHUNK", 1)
        monkeypatch.setattr(ledger, "deliveries", broken)
        run = run_of(ledger, ledger.find("appeal"), relay(server))
        with pytest.raises(LedgerError):
            await asyncio.wait_for(run.run(), 20)
        monkeypatch.undo()
        check_ledger(ledger, ledger.find("appeal"), server)
    # the first, and who was looked up with it
    assert ledger.tally(ledger.find("appeal")) == Tally(sent=2, queued=len(PEOPLE) - 2)


# -- the rule of the intent, and what may come in between


class Listener:
    """Called as bytes arrive at the server; counts the messages that began and ended there, and does something once."""

    def __init__(self, at_mail: int = 0, do: Callable[[], object] = lambda: None) -> None:
        self.mails = self.dots = 0
        self._at, self._do = at_mail, do

    def __call__(self, data: bytes) -> None:
        self.dots += len(re.findall(rb"(?m)^\.\r$", data))
        before, self.mails = self.mails, self.mails + data.count(b"MAIL FROM:")
        if before < self._at <= self.mails:
            self._do()


def unsaid(ledger: Ledger) -> int:
    """How many transactions are on record that belong to nobody."""
    return ledger._db.execute("SELECT count(*) FROM attempts WHERE delivery_id IS NULL").fetchone()[0]


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("mode", MODES)
async def test_a_dot_is_never_heard_before_its_intent_is_in_the_ledger(
    ledger: Ledger, mode: Pipelining, connections: int
) -> None:
    reader = sqlite3.connect(ledger.path)
    seen = []

    class Checks(Listener):
        def __call__(self, data: bytes) -> None:
            super().__call__(data)
            written = reader.execute("SELECT count(*) FROM deliveries WHERE status <> 'queued'").fetchone()[0]
            seen.append((self.dots, written, self.mails))

    async with RawServer(on_data=Checks()) as server:
        result = await send(ledger, ledger.find("appeal"), server, relay=relay(server, mode), connections=connections)
    reader.close()
    assert result.tally == Tally(sent=len(PEOPLE))
    assert all(dots <= written for dots, written, _ in seen)
    ahead = connections if mode is Pipelining.AUTO else 0
    assert all(mails <= dots + connections + ahead for dots, _, mails in seen)
    together = any(b".\r\nMAIL" in data for _, side, data in server.log if side == "C")
    assert together is (mode is Pipelining.AUTO)


async def test_a_stop_leaves_who_was_begun_early_unsent_and_on_record(ledger: Ledger) -> None:
    campaign = ledger.find("appeal")
    stop = Listener(3, lambda: run.stop(Paused("Paused at your request.")))
    async with RawServer(faults={(2, "dot"): Fault(delay=0.1)}, on_data=stop) as server:
        run = run_of(ledger, campaign, relay(server))
        reason = await asyncio.wait_for(run.run(), 20)
        check_ledger(ledger, campaign, server)
        assert isinstance(reason, Paused)
        assert statuses(ledger, campaign)[person(3)] is Status.QUEUED
        assert ledger.tally(campaign) == Tally(sent=2, queued=len(PEOPLE) - 2)
        assert begun(server) == 3
        assert unsaid(ledger) == 1
        assert len(ledger.transactions(run.account, 0)) == 3, "the server may have counted it, so we do"
        await carry_on(ledger, server, Pipelining.AUTO, 10.0)


async def test_who_asks_not_to_be_mailed_after_their_envelope_has_left_is_not_mailed(ledger: Ledger) -> None:
    campaign = ledger.find("appeal")
    asks = Listener(3, lambda: ledger.suppress([(person(3), "asked")], source="by hand"))
    async with RawServer(on_data=asks) as server:
        result = await send(ledger, campaign, server, relay=relay(server))
        check_ledger(ledger, campaign, server)
    assert result.tally == Tally(sent=len(PEOPLE) - 1, suppressed=1)
    assert server.accepted[person(3)] == 0
    assert unsaid(ledger) == 1
    assert server.connections == 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_batch_counts_who_was_begun_early(ledger: Ledger, mode: Pipelining) -> None:
    async with RawServer() as server:
        await send(ledger, ledger.find("appeal"), server, relay=relay(server, mode), batch_size=3)
    said = [server.heard(number) for number in range(1, server.connections + 1)]
    assert [data.count(b"MAIL FROM:") for data in said] == [3, 3, 1]
    assert all(data.endswith(b"QUIT\r\n") for data in said)


@pytest.mark.parametrize("connections", [1, 4])
async def test_no_envelope_leaves_before_the_quota_has_a_place_for_it(ledger: Ledger, connections: int) -> None:
    at: list[float] = []
    arrives = asyncio.get_running_loop().time
    async with RawServer(on_data=lambda data: at.extend([arrives()] * data.count(b"MAIL FROM:"))) as server:
        result = await send(
            ledger, ledger.find("appeal"), server, relay=relay(server), connections=connections,
            account=[Quota(seconds=1, count=3)],
        )  # fmt: skip
        check_ledger(ledger, result.campaign, server)
    assert result.tally == Tally(sent=len(PEOPLE))
    assert all(later - first >= 1 for first, later in zip(at, at[3:], strict=False))
    # of four connections one always waits for its place, and goes first
    assert any(b".\r\nMAIL" in data for _, side, data in server.log if side == "C") is (connections == 1)


async def test_a_quota_counts_an_envelope_whose_connection_ended(ledger: Ledger) -> None:
    campaign = ledger.find("appeal")
    watcher = Watcher()
    async with RawServer(faults={(2, "dot"): Fault(taken=True, reply="250 2.0.0 Ok", end="close")}) as server:
        run = run_of(ledger, campaign, relay(server), watcher, account=[Quota(seconds=3600, count=4)])
        watcher.on_wait = lambda: run.stop(Paused("enough"))
        await asyncio.wait_for(run.run(), 20)
        check_ledger(ledger, campaign, server)
    assert begun(server) == 4
    assert ledger.tally(campaign) == Tally(sent=3, queued=len(PEOPLE) - 3)


# -- anything at all


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=SCRIPTS, pieces=PIECES, wordy=st.booleans(), to_nobody=st.sampled_from(TO_NOBODY),
       mode=st.sampled_from(MODES), connections=st.sampled_from([1, 4]), loop=LOOPS)  # fmt: skip
@pytest.mark.thorough
def test_whatever_a_server_says_everybody_gets_one_message_in_the_end(
    *,
    frozen: Path,
    faults: dict[tuple[int, str], Fault],
    pieces: list[int] | None,
    wordy: bool,
    to_nobody: str,
    mode: Pipelining,
    connections: int,
    loop: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    async def run(ledger: Ledger) -> None:
        async with RawServer(faults=faults, pieces=pieces, wordy=wordy, to_nobody=to_nobody) as server:
            await carry_on(ledger, server, mode, 10.0, connections=connections)

    with copy_of(frozen) as ledger, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run(ledger))


async def test_a_server_that_throws_away_a_farewell_is_told_the_next_ones_by_themselves(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.smtp.connection.QUIT_TIMEOUT", 0.1)
    async with RawServer(always={"dot": Fault(discard=0)}) as server:
        # no message follows another one over the same connection, so that no envelope could show it before
        await carry_on(ledger, server, Pipelining.AUTO, 10.0, batch_size=1)
    together = [data for _, side, data in server.log if side == "C" and data.endswith(b".\r\nQUIT\r\n")]
    assert len(together) == 1
