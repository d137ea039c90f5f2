"""Runs against a scripted server with a real ledger: whatever the server does, nobody is missed or mailed twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from campaigns import (
    AT_ONCE,
    IDENTITY,
    Watcher,
    address,
    make_due,
    once_each,
    received,
    relay_to,
    run_of,
    send,
    source,
    start,
    statuses,
)
from ledger_places import over_both, place_of, setting
from program import Program
from smtp_server import ScriptedServer

from mailer import deadline
from mailer.campaign import line
from mailer.campaign import run as run_module
from mailer.campaign.backlog import Backlog
from mailer.campaign.send import conclude, freeze, prepare, to_send
from mailer.deadline import Deadline
from mailer.errors import LedgerError, Paused, RelayStopped
from mailer.ledger import Ledger
from mailer.model import Delivery, Mailbox, Quota, Status, Tally


@pytest.fixture(params=["file"])
def ledger(request: pytest.FixtureRequest, campaign_folder: Path) -> Iterator[Ledger]:
    with place_of(request, campaign_folder) as place, Ledger(place) as opened:
        yield opened


def everybody(count: int) -> list[str]:
    return [address(number) for number in range(1, count + 1)]


@over_both
async def test_everybody_gets_one_message_and_the_campaign_is_finished(campaign_folder: Path, ledger: Ledger) -> None:
    people = everybody(12)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server)
    assert received(server) == once_each(people)
    assert [message.rcpt_to[0] for message in server.accepted] == people, "in the list's order"
    assert (result.tally, result.state, result.exit_code) == (Tally(sent=12), "finished", 0)
    assert result.campaign.finished_at
    assert server.connections == 1
    assert not server.violations


# -- what recipients' servers say


@over_both
async def test_a_deferred_delivery_waits_until_it_is_due_and_is_then_sent(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(3))
    with ScriptedServer() as server:
        server.on("rcpt", address=address(2), nth=1, reply="450 4.2.0 Greylisted, come back later")
        before = time.time()
        first = await send(ledger, campaign, server)
        assert first.tally == Tally(sent=2, deferred=1)
        assert (first.exit_code, first.state) == (3, "paused")
        assert first.next_due is not None
        assert 300 < first.next_due - before < 420, "six minutes and a little chance"
        too_early = await send(ledger, campaign, server)
        assert too_early.tally == first.tally
        make_due(ledger)
        last = await send(ledger, campaign, server)
    assert (last.tally, last.exit_code) == (Tally(sent=3), 0)
    assert received(server) == once_each(everybody(3))


async def test_with_wait_a_run_stays_until_the_deferred_are_final(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(3))
    watcher = Watcher(on_wait=lambda: make_due(ledger))
    with ScriptedServer() as server:
        server.on("rcpt", address=address(2), nth=1, reply="450 4.2.0 Greylisted")
        run = run_of(ledger, campaign, relay_to(server), watcher, wait=True)
        slept: list[Deadline] = []

        async def awake(moment: Deadline) -> None:
            slept.append(moment)

        run.sleep_until = awake  # type: ignore[method-assign]
        await run.run()
    assert len(slept) == 1
    assert slept[0].wall - time.time() > 300
    assert slept[0].left <= 60, "others may have changed who is next"
    assert ledger.tally(campaign) == Tally(sent=3)


@over_both
@pytest.mark.thorough
async def test_with_wait_the_command_stays_though_at_first_nobody_is_due(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    with ScriptedServer() as server:
        server.on("rcpt", address=address(2), nth=1, reply="450 4.2.0 Greylisted")
        await send(ledger, campaign, server)
        settings = {
            "MAILER_LEDGER": setting(ledger.place),
            "MAILER_SMTP_HOST": server.host,
            "MAILER_SMTP_PORT": str(server.port),
            "MAILER_SMTP_SECURITY": "none",
            "MAILER_SENDER": "Union Office <office@example.org>",
            "MAILER_POSTAL_ADDRESS": IDENTITY.postal_address or "",
            "MAILER_UNSUBSCRIBE_MAILTO": IDENTITY.unsubscribe_mailto or "",
        }
        program = Program(folder=campaign_folder, settings=settings)
        command = ("send", "appeal", "people.csv", "--campaign", "appeal", "--yes")
        assert program.json(*command, code=3)["deferred"] == 1
        ledger._db.execute("UPDATE deliveries SET next_attempt_at = ? WHERE status = 'deferred'", (time.time() + 3,))
        assert program.json(*command, "--wait")["sent"] == 2
    assert received(server) == once_each(everybody(2))


@over_both
async def test_after_four_days_of_deferrals_a_delivery_has_failed(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    with ScriptedServer() as server:
        server.on("rcpt", address=address(1), reply="452 4.2.2 Mailbox full")
        await send(ledger, campaign, server)
        ledger._db.execute("UPDATE deliveries SET first_attempt_at = first_attempt_at - 4 * 86400, attempts = 20")
        make_due(ledger)
        result = await send(ledger, campaign, server)
        assert (result.tally, result.exit_code) == (Tally(sent=1, failed=1), 1)
        [record] = ledger.records(campaign, Status.FAILED)
        assert "Given up" in record.reason

        # a person who asks for another round gives it another four days, not one last try
        assert ledger.requeue_failed(campaign).moved == 1
        again = await send(ledger, campaign, server)
    assert again.tally == Tally(sent=1, deferred=1)


@over_both
async def test_a_dead_address_fails_alone_and_is_suppressed(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(5))
    with ScriptedServer() as server:
        server.on("rcpt", address=address(3), reply="550 5.1.1 User unknown")
        result = await send(ledger, campaign, server)
        assert (result.tally, result.exit_code) == (Tally(sent=4, failed=1), 1)
        assert set(ledger.suppressions().entries) == {address(3)}
        again = await send(ledger, campaign, server)
    assert again.tally == result.tally
    assert server.connections == 1, "nothing is left to try, so nobody is called"


async def test_three_refusals_for_policy_in_a_row_stop_the_run(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(10))
    with ScriptedServer() as server:
        server.on("dot", reply="550 5.7.26 Unauthenticated email is not accepted due to DMARC policy")
        result = await send(ledger, campaign, server)
    assert isinstance(result.reason, RelayStopped)
    assert (result.tally, result.exit_code, result.state) == (Tally(failed=3, queued=7), 4, "stopped")


async def test_too_many_dead_addresses_pull_the_brake(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(30))
    with ScriptedServer() as server:
        server.on("rcpt", every=2, reply="550 5.1.1 User unknown")
        result = await send(ledger, campaign, server)
    assert isinstance(result.reason, RelayStopped)
    assert result.tally == Tally(failed=5, sent=5, queued=20)
    assert result.exit_code == 4


# -- what the relay says about us


async def test_the_accounts_quota_pauses_the_run_and_nobody_is_lost(campaign_folder: Path, ledger: Ledger) -> None:
    people = everybody(6)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        server.on("mail", nth=4, reply="550 5.4.5 Daily user sending limit exceeded")
        result = await send(ledger, campaign, server)
        assert isinstance(result.reason, RelayStopped)
        assert (result.tally, result.exit_code) == (Tally(sent=3, queued=3), 4)
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=6)
    assert received(server) == once_each(people)


async def test_a_refused_login_stops_at_once_and_does_not_hammer(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(6))
    with ScriptedServer(users={"ana": "right"}) as server:
        relay = relay_to(server, username="ana", password="wrong")
        result = await send(ledger, campaign, server, relay=relay, connections=1)
    assert isinstance(result.reason, RelayStopped)
    assert (result.tally, result.exit_code) == (Tally(queued=6), 4)
    assert server.connections == 1


@pytest.mark.parametrize("reply", ["550 5.7.60 not allowed to send as office@example.org", "550 5.4.5 limit exceeded"])
async def test_a_campaign_whose_first_message_the_relay_refused_can_be_started_again(
    campaign_folder: Path, ledger: Ledger, reply: str
) -> None:
    campaign = start(campaign_folder, ledger, everybody(3))
    with ScriptedServer() as server:
        server.on("mail", nth=1, reply=reply)
        result = await send(ledger, campaign, server)
        assert result.tally == Tally(queued=3)
        assert not ledger.tried(result.campaign)
        # nobody was tried yet, so the owner may correct the sender; the attempt stays on the account's record
        other = replace(IDENTITY, sender=Mailbox(address="ana@example.org", name="Ana"))
        campaign = freeze(prepare(source(campaign_folder), other, ledger), ledger)
        assert len(ledger.transactions(relay_to(server).account, 0)) == 1
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=3)
    assert {message.mail_from for message in server.accepted} == {"ana@example.org"}


async def test_the_reason_of_a_stop_holds_no_address(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    with ScriptedServer() as server:
        server.on("rcpt", nth=1, reply="550 5.4.5 p1@example.org: <p1@example.org> Daily sending quota exceeded")
        result = await send(ledger, campaign, server)
    assert result.reason is not None
    assert "5.4.5" in (result.reason.hint or "")
    assert "@" not in f"{result.reason.message} {result.reason.hint}"


# -- connections that break


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("fault", [{"drop": True}, {"reset": True}, {"reply": "421 4.3.0 Shutting down", "drop": True}])
@pytest.mark.parametrize("phase", ["greeting", "ehlo", "mail", "rcpt", "data", "content"])
async def test_a_connection_lost_before_the_dot_costs_nobody_their_message(
    campaign_folder: Path, ledger: Ledger, phase: str, fault: dict[str, object], connections: int
) -> None:
    people = everybody(8)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        server.on(phase, nth=1 if phase in {"greeting", "ehlo"} else 4, **fault)  # type: ignore[arg-type]
        result = await send(ledger, campaign, server, connections=connections)
        assert result.tally.sent + result.tally.uncertain == 8, result
        assert result.tally.uncertain <= 1, "a 421 that overtakes the dot is read as the answer to it"
    assert result.reason is None
    assert max(received(server).values()) == 1
    if not result.tally.uncertain:
        assert received(server) == once_each(people)


@over_both
@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("phase", ["dot", "accepted"])
async def test_a_connection_lost_after_the_dot_is_uncertain_and_a_person_decides(
    campaign_folder: Path, ledger: Ledger, phase: str, connections: int
) -> None:
    people = everybody(8)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        server.on(phase, nth=4, drop=True)
        result = await send(ledger, campaign, server, connections=connections)
        assert (result.tally, result.exit_code) == (Tally(sent=7, uncertain=1), 1)
        again = await send(ledger, campaign, server)
        assert again.tally == result.tally, "never sent again by itself"
        [doubtful] = ledger.records(campaign, Status.UNCERTAIN)
        arrived = doubtful.message_id in {message.message_id for message in server.accepted}
        assert arrived is (phase == "accepted")
        ledger.resolve(campaign, Status.SENT if arrived else Status.QUEUED, None)
        last = await send(ledger, campaign, server)
    assert last.tally == Tally(sent=8)
    assert received(server) == once_each(people)


async def test_a_server_that_keeps_silent_after_messages_is_not_given_the_whole_list(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(10))
    with ScriptedServer() as server:
        server.on("accepted", drop=True)
        result = await send(ledger, campaign, server)
    assert isinstance(result.reason, Paused)
    assert result.tally == Tally(uncertain=3, queued=7)
    assert max(received(server).values()) == 1


async def test_a_421_hidden_in_the_answer_to_rcpt_closes_the_connection_and_keeps_the_place(
    campaign_folder: Path, ledger: Ledger
) -> None:
    people = everybody(5)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        server.on("rcpt", nth=3, reply="421 4.7.0 Too many messages on this connection")
        result = await send(ledger, campaign, server)
        assert server.connections == 2
        assert not any("RSET" in line or "QUIT" in line for line in server.transcripts[0][-2:])
    assert result.tally == Tally(sent=5)
    assert [message.rcpt_to[0] for message in server.accepted] == people


async def test_a_server_that_closes_at_mail_after_some_messages_is_nothing_unusual(
    campaign_folder: Path, ledger: Ledger
) -> None:
    people = everybody(20)
    campaign = start(campaign_folder, ledger, people)
    watcher = Watcher()
    with ScriptedServer() as server:
        server.on("mail", nth=3, per_connection=True, drop=True)
        result = await send(ledger, campaign, server, watcher, reconnect_delays=())
    assert (result.tally, result.reason) == (Tally(sent=20), None)
    assert received(server) == once_each(people)
    assert not watcher.reconnects
    assert server.connections == 10


@pytest.mark.parametrize("connections", [1, 3])
async def test_a_recipient_on_whom_the_connection_always_breaks_does_not_hold_up_the_others(
    campaign_folder: Path, ledger: Ledger, connections: int
) -> None:
    campaign = start(campaign_folder, ledger, everybody(6))
    with ScriptedServer() as server:
        server.on("rcpt", address=address(2), drop=True)
        result = await send(ledger, campaign, server, connections=connections)
    assert result.reason is None
    assert result.tally == Tally(sent=5, deferred=1)
    assert statuses(ledger, campaign)[address(2)] is Status.DEFERRED


async def test_a_recipient_on_whom_the_connection_always_breaks_is_given_up_some_day(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    dues = []
    with ScriptedServer() as server:
        server.on("rcpt", address=address(2), drop=True)
        for _ in range(3):
            result = await send(ledger, campaign, server)
            assert result.next_due is not None
            dues.append(result.next_due - time.time())
            make_due(ledger)
        assert dues[1] > 2 * dues[0], "each wait is longer than the one before"
        ledger._db.execute("UPDATE deliveries SET first_attempt_at = first_attempt_at - 4 * 86400")
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=1, failed=1)


async def test_a_server_that_is_gone_pauses_the_run(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(3))
    with ScriptedServer() as server:
        pass
    watcher = Watcher()
    result = await send(ledger, campaign, server, watcher)
    assert isinstance(result.reason, Paused)
    assert (result.tally, result.exit_code) == (Tally(queued=3), 3)
    assert len(watcher.reconnects) == len(AT_ONCE)


async def test_an_outage_is_sat_out_as_long_with_many_connections_as_with_one(
    campaign_folder: Path, ledger: Ledger
) -> None:
    people = everybody(20)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        # each of five lines is turned away twice; four tries are granted to one that meets nothing else
        server.on("greeting", first=10, reply="421 4.3.2 Down for maintenance", drop=True)
        result = await send(ledger, campaign, server, connections=5)
    assert result.reason is None
    assert received(server) == once_each(people)


async def test_a_line_too_many_for_the_relay_gives_up_and_the_others_go_on(
    campaign_folder: Path, ledger: Ledger
) -> None:
    people = everybody(40)
    campaign = start(campaign_folder, ledger, people)
    watcher = Watcher()
    with ScriptedServer() as server:
        for turned_away in range(2, 60):
            server.on("greeting", connection=turned_away, reply="421 4.7.0 Too many connections", drop=True)
        server.on("rcpt", delay=0.01)
        result = await send(ledger, campaign, server, watcher, connections=3, reconnect_delays=(0.0, 0.1, 0.1))
    assert result.reason is None
    assert received(server) == once_each(people)
    assert server.connections <= 1 + 2 * 4, "nobody knocks for ever at a door that stays shut"


# -- batches and connections


async def test_a_batch_is_what_goes_over_one_connection(campaign_folder: Path, ledger: Ledger) -> None:
    people = everybody(7)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, batch_size=3)
    assert result.tally == Tally(sent=7)
    assert [message.connection for message in server.accepted] == [1, 1, 1, 2, 2, 2, 3]
    assert all("C: QUIT" in transcript for transcript in server.transcripts)


async def test_the_pause_between_batches_is_kept(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(5))
    with ScriptedServer() as server:
        run = run_of(ledger, campaign, relay_to(server), batch_size=2, batch_pause=0.2)
        await run.run()
        gaps = [later.at - earlier.at for earlier, later in zip(server.accepted, server.accepted[1:], strict=False)]
        assert gaps[1] >= 0.2
        assert gaps[3] >= 0.2
    assert ledger.tally(campaign) == Tally(sent=5)


async def test_a_stop_during_the_pause_between_batches_takes_effect_at_once(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(5))
    with ScriptedServer() as server:
        run = run_of(ledger, campaign, relay_to(server), batch_size=2, batch_pause=3600)
        running = asyncio.ensure_future(run.run())
        await asyncio.to_thread(server.wait_for, 2)
        while ledger.tally(campaign).sent < 2:
            await asyncio.sleep(0)
        run.stop(Paused("enough"))
        reason = await asyncio.wait_for(running, 10)
    assert isinstance(reason, Paused)
    assert ledger.tally(campaign) == Tally(sent=2, queued=3)


@over_both
async def test_several_connections_share_the_work_and_nobody_is_mailed_twice(
    campaign_folder: Path, ledger: Ledger
) -> None:
    people = everybody(60)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        server.on("rcpt", delay=0.002)
        result = await send(ledger, campaign, server, connections=4, batch_size=7)
        assert len({message.connection for message in server.accepted[:8]}) > 1
    assert result.tally == Tally(sent=60)
    assert received(server) == once_each(people)


async def test_a_limit_ends_a_run_after_so_many(campaign_folder: Path, ledger: Ledger) -> None:
    people = everybody(9)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        server.on("rcpt", address=address(2), reply="450 4.2.0 later")
        first = await send(ledger, campaign, server, limit=4, connections=3)
        assert (first.tally, first.exit_code) == (Tally(sent=3, deferred=1, queued=5), 3)
        second = await send(ledger, campaign, server, limit=4)
        assert second.tally == Tally(sent=7, deferred=1, queued=1)
    assert [message.rcpt_to[0] for message in server.accepted[3:]] == everybody(8)[4:]


# -- quotas


async def test_a_domain_at_its_limit_does_not_hold_up_the_others(campaign_folder: Path, ledger: Ledger) -> None:
    slow = [address(number, "slow.example") for number in range(1, 5)]
    quick = [address(number, "quick.example") for number in range(1, 5)]
    campaign = start(campaign_folder, ledger, slow + quick)
    with ScriptedServer() as server:
        result = await send(
            ledger, campaign, server, domains={"slow.example": [Quota(seconds=1, count=3)]}, connections=2
        )
    assert result.tally == Tally(sent=8)
    order = [message.rcpt_to[0] for message in server.accepted]
    assert order[-1] == slow[-1]
    assert set(order[:-1]) == {*slow[:-1], *quick}
    at = {message.rcpt_to[0]: message.at for message in server.accepted}
    assert at[slow[3]] - at[slow[0]] >= 1.0


async def test_a_quota_counts_what_was_sent_before_a_restart(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(6))
    quota = Quota(seconds=3600, count=4)
    with ScriptedServer() as server:
        first = await send(ledger, campaign, server, limit=3)
        assert first.tally.sent == 3
        watcher = Watcher()
        run = run_of(ledger, campaign, relay_to(server), watcher, account=[quota])
        watcher.on_wait = lambda: run.stop(Paused("enough"))
        await asyncio.wait_for(run.run(), 10)
        assert len(server.accepted) == 4
        [(what, until)] = watcher.waits
        assert what == quota
        assert 3500 < until - time.time() <= 3610
        # another account has a quota of its own
        run = run_of(ledger, campaign, relay_to(server, host="localhost"), account=[quota])
        await asyncio.wait_for(run.run(), 10)
    assert ledger.tally(campaign) == Tally(sent=6)


@over_both
async def test_an_attempt_without_an_answer_counts_towards_the_quota_but_not_for_ever(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    with ScriptedServer() as server:
        account = relay_to(server).account
        ledger._db.execute("UPDATE deliveries SET status = 'sending', first_attempt_at = 1 WHERE id = 1")
        ledger._db.execute(
            "INSERT INTO attempts (delivery_id, account, domain, started_at) VALUES (1, ?, 'example.org', ?)",
            (account, time.time() - 7200),
        )
        prepared = prepare(source(campaign_folder), IDENTITY, ledger)
        campaign = freeze(prepared, ledger)
        assert ledger.tally(campaign) == Tally(uncertain=1, queued=1)
        [(at, _)] = ledger.transactions(account, 0)
        assert at == pytest.approx(time.time(), abs=5)
        ledger._db.execute("UPDATE attempts SET finished_at = finished_at - 7200")
        freeze(prepare(source(campaign_folder), IDENTITY, ledger), ledger)
        [(later, _)] = ledger.transactions(account, 0)
    assert later == pytest.approx(at - 7200)


async def test_a_connection_is_left_politely_before_a_long_wait(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(3))
    with ScriptedServer() as server:
        gone = server.on("quit")
        watcher = Watcher()
        run = run_of(ledger, campaign, relay_to(server), watcher, account=[Quota(seconds=3600, count=1)])
        running = asyncio.ensure_future(run.run())
        assert await asyncio.to_thread(gone.fired.wait, 10)
        assert ledger.tally(campaign) == Tally(sent=1, queued=2), "recorded before the wait, not after it"
        run.stop(Paused("enough"))
        await asyncio.wait_for(running, 10)
    assert len(watcher.waits) == 1


async def test_a_line_that_waits_behind_others_does_not_keep_its_connection_idle(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "IDLE_SECONDS", 1.2)
    campaign = start(campaign_folder, ledger, everybody(4))
    with ScriptedServer() as server:
        leaves = server.on("quit", nth=1)
        held = server.on("accepted", nth=2, hold=True)
        # the first has a second to wait by the quota, but behind the other, whose transaction takes its time
        run = run_of(ledger, campaign, relay_to(server), account=[Quota(seconds=1, count=1)], connections=2)
        running = asyncio.ensure_future(run.run())
        assert await asyncio.to_thread(held.fired.wait, 10)
        assert await asyncio.to_thread(leaves.fired.wait, 10)
        assert len(server.accepted) == 2
        run.stop(Paused("enough"))
        held.release()
        await asyncio.wait_for(running, 10)


# -- the ledger, and a stop


@over_both
@pytest.mark.parametrize("connections", [1, 4])
async def test_a_ledger_that_fails_stops_every_line_and_nothing_hangs(
    campaign_folder: Path, ledger: Ledger, connections: int
) -> None:
    campaign = start(campaign_folder, ledger, everybody(40))
    with ScriptedServer() as server:
        breaking = server.on("rcpt", nth=8, hold=True)
        run = run_of(ledger, campaign, relay_to(server), connections=connections)
        running = asyncio.ensure_future(run.run())
        assert await asyncio.to_thread(breaking.fired.wait, 10)
        with Ledger(ledger.place) as breaker:
            breaker._run("DROP TABLE attempts")
        breaking.release()
        with pytest.raises(LedgerError):
            await asyncio.wait_for(running, 10)
    tally = ledger.tally(campaign)
    doubtful = tally.sending + tally.uncertain
    assert doubtful <= connections
    assert tally.sent <= len(server.accepted) <= tally.sent + doubtful
    assert run.stopped


async def test_what_was_answered_is_recorded_even_if_mailer_breaks_on_the_next_letter(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(4))
    with ScriptedServer() as server:
        run = run_of(ledger, campaign, relay_to(server))
        rendered = run.render

        def breaks(delivery: Delivery) -> object:
            if delivery.contact.key == address(3):
                raise RuntimeError("a bug")
            return rendered(delivery)

        run.render = breaks  # type: ignore[assignment]
        with pytest.raises(RuntimeError, match="a bug"):
            await run.run()
    assert ledger.tally(campaign) == Tally(sent=2, queued=2)


async def test_what_was_answered_is_recorded_even_if_nobody_can_be_told(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(4))

    def terminal_is_gone() -> None:
        if len(watcher.records) == 2:
            raise OSError("the terminal is gone")

    watcher = Watcher(on_record=terminal_is_gone)
    with ScriptedServer() as server, pytest.raises(OSError, match="terminal"):
        await send(ledger, campaign, server, watcher)
    assert len(server.accepted) == 2
    assert ledger.tally(campaign) == Tally(sent=2, queued=2)


@over_both
async def test_a_stop_waits_for_the_answers_to_the_dots_that_have_left(campaign_folder: Path, ledger: Ledger) -> None:
    people = everybody(20)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        held = server.on("accepted", nth=5, hold=True)
        run = run_of(ledger, campaign, relay_to(server), connections=1)
        running = asyncio.ensure_future(run.run())
        assert await asyncio.to_thread(held.fired.wait, 10)
        run.stop(Paused("Paused at your request."))
        assert ledger.tally(campaign).sending == 1
        held.release()
        reason = await asyncio.wait_for(running, 10)
        assert isinstance(reason, Paused)
        assert ledger.tally(campaign) == Tally(sent=5, queued=15)
        assert conclude(ledger, campaign, reason).exit_code == 3
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=20)
    assert received(server) == once_each(people)


async def test_a_stop_while_connecting_takes_effect_at_once(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(3))
    with ScriptedServer() as server:
        held = server.on("greeting", hold=True)
        run = run_of(ledger, campaign, relay_to(server, timeout=60.0))
        running = asyncio.ensure_future(run.run())
        assert await asyncio.to_thread(held.fired.wait, 10)
        run.stop(Paused("enough"))
        await asyncio.wait_for(running, 10)
        held.release()
    assert not server.accepted
    assert ledger.tally(campaign) == Tally(queued=3)


@over_both
async def test_the_answer_that_comes_after_a_delivery_was_held_as_uncertain_settles_it(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    with ScriptedServer() as server:
        held = server.on("accepted", nth=1, hold=True)
        run = run_of(ledger, campaign, relay_to(server))
        running = asyncio.ensure_future(run.run())
        assert await asyncio.to_thread(held.fired.wait, 10)
        assert ledger.mark_interrupted(campaign) == 1
        assert ledger.tally(campaign) == Tally(uncertain=1, queued=1)
        held.release()
        await asyncio.wait_for(running, 10)
    assert ledger.tally(campaign) == Tally(sent=2)


@over_both
async def test_two_runs_without_a_lock_still_mail_everybody_once(campaign_folder: Path, ledger: Ledger) -> None:
    people = everybody(30)
    campaign = start(campaign_folder, ledger, people)
    with ScriptedServer() as server:
        runs = [run_of(ledger, campaign, relay_to(server), connections=2) for _ in range(2)]
        await asyncio.wait_for(asyncio.gather(*(run.run() for run in runs)), 20)
    assert received(server) == once_each(people)
    assert ledger.tally(campaign) == Tally(sent=30)


@over_both
async def test_who_asks_not_to_be_mailed_while_a_campaign_is_paused_is_not_mailed(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, [*everybody(4), "pat@left.example"])
    with ScriptedServer() as server:
        await send(ledger, campaign, server, limit=1)
        ledger.suppress([(address(1), "late"), (address(3), "asked"), ("@left.example", "asked")], source="by hand")
        campaign = freeze(prepare(source(campaign_folder), IDENTITY, ledger), ledger)
        result = await send(ledger, campaign, server)
    assert result.tally == Tally(sent=3, suppressed=2)
    assert received(server) == once_each([address(1), address(2), address(4)])


@over_both
async def test_a_campaign_that_died_on_its_last_message_ends_as_uncertain(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, everybody(2))
    with ScriptedServer() as server:
        await send(ledger, campaign, server, limit=1)
    ledger._db.execute("UPDATE deliveries SET status = 'sending', token = 'dead', first_attempt_at = 1 WHERE id = 2")
    prepared = prepare(source(campaign_folder), IDENTITY, ledger)
    assert to_send(prepared, ledger) == 0
    campaign = freeze(prepared, ledger)
    assert conclude(ledger, campaign, None).tally == Tally(sent=1, uncertain=1)


# -- the backlog


def delivery(number: int, domain: str) -> Delivery:
    one = address(number, domain)
    return Delivery(number, number, one, one, message_id=f"<{number}@example.org>")


def test_a_delivery_that_is_put_back_keeps_its_place_among_those_set_aside() -> None:
    all_of_them = {number: delivery(number, "slow.example") for number in (1, 2, 3)}
    ready_at = {"slow.example": 0.0}
    backlog = Backlog([1, 2, 3], lambda ids: [all_of_them[one] for one in ids], lambda domain: ready_at[domain])
    first = backlog.take(1.0)
    assert first is all_of_them[1]
    ready_at["slow.example"] = 9.0
    second = backlog.take(1.0)
    assert second is all_of_them[2], "all must wait, so the one that may go first"
    backlog.put_back(second)
    assert len(backlog) == 2
    assert [backlog.take(1.0), backlog.take(10.0), backlog.take(10.0)] == [all_of_them[2], all_of_them[3], None]


async def test_a_storm_of_deferrals_slows_the_run_down_and_is_said(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(12))
    with ScriptedServer() as server:
        server.on("rcpt", first=8, reply="451 4.3.2 Try again later")
        watcher = Watcher()
        result = await send(ledger, campaign, server, watcher)
    assert (result.tally.deferred, result.tally.sent) == (8, 4)
    assert any("puts off many messages" in why for why in watcher.reconnects)


async def test_with_wait_an_account_at_its_limit_rests_and_goes_on(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "ACCOUNT_PAUSES", (0.2, 0.2))
    campaign = start(campaign_folder, ledger, everybody(4))
    with ScriptedServer() as server:
        server.on("rcpt", nth=2, reply="550 5.4.5 Daily user sending limit exceeded")
        watcher = Watcher()
        result = await send(ledger, campaign, server, watcher, wait=True)
        assert received(server) == once_each(everybody(4))
    assert result.exit_code == 0
    assert watcher.waits


@pytest.mark.parametrize("days", [-1, 1])
async def test_the_rest_of_an_account_is_over_when_one_of_the_two_clocks_says_so(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    real, pause = time.time, 1.0 if days < 0 else 3600.0
    monkeypatch.setattr(run_module, "ACCOUNT_PAUSES", (pause,))
    monkeypatch.setattr(deadline, "SLICE", 0.05)
    campaign = start(campaign_folder, ledger, everybody(2))
    watcher = Watcher(on_wait=lambda: monkeypatch.setattr(time, "time", lambda: real() + days * 86_400))
    with ScriptedServer() as server:
        server.on("rcpt", nth=1, reply="550 5.4.5 Daily user sending limit exceeded")
        assert (await send(ledger, campaign, server, watcher, wait=True)).exit_code == 0
    assert len(watcher.waits) == 1


async def test_a_campaign_can_give_up_earlier_than_after_four_days(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, everybody(1))
    with ScriptedServer() as server:
        server.on("rcpt", reply="450 4.2.0 Greylisted")
        result = await send(ledger, campaign, server, give_up_after=59.0)
    assert result.tally == Tally(failed=1)
