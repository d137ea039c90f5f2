"""Holes that a review found in the promises, each closed: seals, suppressions, quotas, one account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from campaigns import (
    IDENTITY,
    LETTER,
    Watcher,
    address,
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
from smtp_server import ScriptedServer

from mailer import mime
from mailer.campaign import send as steps
from mailer.campaign.limits import Limits, alone
from mailer.campaign.plan import make_plan
from mailer.campaign.preview import write_preview
from mailer.campaign.send import freeze, prepare
from mailer.errors import CampaignError, Paused, SealError
from mailer.ledger import Ledger
from mailer.ledger.deliveries import Moved
from mailer.mime import compose
from mailer.model import LedgerPlace, Mailbox, Quota, Status
from mailer.smtp import Relay

PEOPLE = [address(number) for number in range(1, 5)]


@pytest.fixture
def ledger(campaign_folder: Path, ledger_place: LedgerPlace) -> Iterator[Ledger]:
    write_letter(campaign_folder)
    write_list(campaign_folder, PEOPLE)
    with Ledger(ledger_place) as opened:
        yield opened


def seal_of(folder: Path, ledger: Ledger) -> str:
    plan = make_plan(source(folder), IDENTITY, ledger.secret)
    write_preview(plan, ledger, folder / "preview")
    return plan.seal


def test_the_same_folder_has_the_same_seal_on_another_computer(campaign_folder: Path, ledger: Ledger) -> None:
    with Ledger(campaign_folder / "other.db") as other:
        assert other.secret != ledger.secret
        assert seal_of(campaign_folder, other) == seal_of(campaign_folder, ledger)


def test_another_name_for_the_campaign_changes_no_seal(campaign_folder: Path, ledger: Ledger) -> None:
    named = replace(source(campaign_folder), campaign="spring")
    plan = make_plan(named, IDENTITY, ledger.secret)
    assert plan.seal == seal_of(campaign_folder, ledger)


def test_nobody_is_mailed_under_a_seal_who_was_suppressed_in_its_preview(campaign_folder: Path, ledger: Ledger) -> None:
    ledger.suppress([(PEOPLE[0], "asked")], source="by hand")
    seal = seal_of(campaign_folder, ledger)
    prepare(source(campaign_folder), IDENTITY, ledger, seal=seal)
    ledger.unsuppress([PEOPLE[0]])
    with pytest.raises(SealError, match="1 of those who would be mailed were not in the preview"):
        prepare(source(campaign_folder), IDENTITY, ledger, seal=seal)
    assert seal_of(campaign_folder, ledger) == seal
    prepare(source(campaign_folder), IDENTITY, ledger, seal=seal)


def test_fewer_people_than_in_the_preview_is_no_reason_to_refuse(campaign_folder: Path, ledger: Ledger) -> None:
    seal = seal_of(campaign_folder, ledger)
    ledger.suppress([(PEOPLE[0], "asked")], source="by hand")
    prepared = prepare(source(campaign_folder), IDENTITY, ledger, seal=seal)
    assert steps.to_send(prepared, ledger) == 3


async def test_a_message_that_comes_out_differently_is_not_sent(
    campaign_folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)

    def otherwise(letter, **given):
        message = compose(letter, **given)
        return message._replace(content=message.content.replace(b"MIME-Version: 1.0", b"MIME-Version: 1.0\r\nX-New: 1"))

    with ScriptedServer() as server:
        monkeypatch.setattr(mime, "compose", otherwise)
        with pytest.raises(Paused, match="another message than the one that was checked"):
            await send(ledger, campaign, server)
        monkeypatch.undo()
        assert not server.accepted
        await send(ledger, campaign, server)
        assert received(server) == dict.fromkeys(PEOPLE, 1)


async def test_the_message_id_is_in_the_domain_that_the_letter_is_from(campaign_folder: Path, ledger: Ledger) -> None:
    write_letter(campaign_folder, LETTER.replace("language: en", "language: en\nsender: Zed <zed@other.example>"))
    prepared = prepare(source(campaign_folder), IDENTITY, ledger)
    assert prepared.manifest.senders == ("Zed <zed@other.example>",)
    with ScriptedServer() as server:
        await send(ledger, freeze(prepared, ledger), server)
    assert all(message.message_id.endswith("@other.example>") for message in server.accepted)


async def test_an_update_with_another_sender_sends_the_message_ids_that_it_shows(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        await send(ledger, campaign, server, limit=1)
        other = replace(IDENTITY, sender=Mailbox(address="office@new.example"))
        campaign = freeze(prepare(source(campaign_folder), other, ledger, update=True), ledger)
        await send(ledger, campaign, server)
    domains = [message.message_id.rpartition("@")[2] for message in server.accepted]
    assert domains == ["example.org>"] + ["new.example>"] * 3


async def test_an_update_does_not_try_a_deferred_delivery_sooner(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        server.on("rcpt", address=PEOPLE[0], reply="452 4.2.2 Mailbox full")
        await send(ledger, campaign, server, limit=1)
        write_letter(campaign_folder, LETTER + "\nPS: now.\n")
        prepared = prepare(source(campaign_folder), IDENTITY, ledger, update=True)
        assert steps.to_send(prepared, ledger) == 3
        due = ledger.next_due(campaign)
        await send(ledger, freeze(prepared, ledger), server)
        assert ledger.next_due(campaign) == due
    assert statuses(ledger, campaign)[PEOPLE[0]] is Status.DEFERRED


async def test_queueing_failed_ones_again_leaves_the_dead_and_the_unwilling_alone(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        server.on("rcpt", address=PEOPLE[0], reply="550 5.1.1 User unknown")
        server.on("rcpt", address=PEOPLE[1], reply="550 5.0.0 No")
        server.on("rcpt", address=PEOPLE[2], reply="550 5.0.0 No")
        await send(ledger, campaign, server)
        ledger.suppress([(PEOPLE[1], "asked")], source="by hand")
        assert ledger.requeue_failed(campaign) == Moved(moved=1, suppressed=2)
    found = statuses(ledger, campaign)
    # who failed is still told of by name
    assert [found[key] for key in PEOPLE] == [Status.FAILED, Status.FAILED, Status.QUEUED, Status.SENT]


async def test_who_is_no_longer_suppressed_is_mailed_after_a_retry(campaign_folder: Path, ledger: Ledger) -> None:
    ledger.suppress([(PEOPLE[0], "asked")], source="by hand")
    campaign = start(campaign_folder, ledger, PEOPLE)
    ledger.suppress([(PEOPLE[1], "asked")], source="by hand")
    with ScriptedServer() as server:
        await send(ledger, campaign, server)
        assert ledger.requeue_failed(campaign) == Moved(moved=0)
        ledger.unsuppress(PEOPLE[:2])
        assert ledger.requeue_failed(campaign) == Moved(moved=2)
        await send(ledger, campaign, server)
        assert received(server) == dict.fromkeys(PEOPLE, 1)


async def test_who_left_the_list_is_not_mailed_by_a_decision(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        server.on("rcpt", address=PEOPLE[0], reply="550 5.0.0 No")
        server.on("dot", address=PEOPLE[1], drop=True)
        await send(ledger, campaign, server)
        write_list(campaign_folder, PEOPLE[2:])
        campaign = freeze(prepare(source(campaign_folder), IDENTITY, ledger, update=True), ledger)
        assert ledger.tally(campaign).failed == 1
        assert ledger.requeue_failed(campaign) == Moved(moved=0, unlisted=1)
        assert ledger.resolve(campaign, Status.QUEUED, None) == Moved(moved=0, unlisted=1)
    assert [statuses(ledger, campaign)[key] for key in PEOPLE[:2]] == [Status.FAILED, Status.SKIPPED]
    assert {record.reason for record in ledger.records(campaign, Status.SKIPPED)} == {"no longer in the list"}


async def test_who_failed_gets_the_changed_letter_when_queued_again(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    with ScriptedServer() as server:
        server.on("rcpt", address=PEOPLE[0], reply="550 5.0.0 No", first=1)
        await send(ledger, campaign, server)
        write_letter(campaign_folder, LETTER + "\nPS: with the right date.\n")
        campaign = freeze(prepare(source(campaign_folder), IDENTITY, ledger, update=True), ledger)
        [failed] = ledger.records(campaign, Status.FAILED)
        assert "No" in failed.server_words
        assert ledger.requeue_failed(campaign) == Moved(moved=1)
        await send(ledger, campaign, server)
    assert received(server) == dict.fromkeys(PEOPLE, 1)
    assert b"with the right date" in server.accepted[-1].content


async def test_a_refusal_counts_towards_the_quota_even_if_the_program_dies_next(
    campaign_folder: Path, ledger: Ledger
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    counted: list[int] = []
    with ScriptedServer() as server:
        server.on("rcpt", reply="450 4.7.1 Greylisted")
        relay = relay_to(server)
        watcher = Watcher(on_record=lambda: counted.append(len(ledger.transactions(relay.account, 0))))
        await run_of(ledger, campaign, relay, watcher).run()
    # each refusal is durable before the next transaction begins
    assert counted == [0, 1, 2, 3]


def test_one_account_behind_two_ports_has_one_quota() -> None:
    one = Relay(host="smtp.example.org", port=587, username="Ana")
    assert one.account == replace(one, port=465, host="SMTP.example.org", username="ana").account
    # on this computer every port is another program
    assert Relay(host="127.0.0.1", port=1).account != Relay(host="127.0.0.1", port=2).account


def test_a_second_sender_over_the_same_account_is_refused_unless_both_share_its_limits(
    campaign_folder: Path, ledger: Ledger
) -> None:
    relay = Relay(host="smtp.example.org", port=587, username="ana")
    limits = Limits(account=(Quota.parse("5/second"),))
    if ledger.shares_quotas:
        with alone(ledger, relay, limits), Ledger(ledger.place) as other, alone(other, relay, limits):
            return
    with (
        alone(ledger, relay, limits),
        Ledger(ledger.place) as other,
        pytest.raises(CampaignError, match="account is sending just now"),
    ):
        alone(other, relay, limits).__enter__()
    with alone(ledger, relay, limits):
        pass


@pytest.mark.parametrize(("host", "leaves"), [("smtp.example.org", True), ("127.0.0.1", False)])
def test_without_a_limit_too_a_lost_ledger_is_noticed(tmp_path: Path, host: str, leaves: bool) -> None:
    path = tmp_path / "mailer.db"
    with Ledger(path) as ledger, alone(ledger, Relay(host=host, port=587), Limits()):
        assert path.with_name("mailer.db-sent.lock").exists() is leaves, "practice on this computer leaves none"


async def test_a_renamed_list_is_noticed_before_everybody_is_mailed_again(
    campaign_folder: Path, ledger: Ledger
) -> None:
    first = replace(source(campaign_folder), campaign=None)
    with ScriptedServer() as server:
        await send(ledger, freeze(prepare(first, IDENTITY, ledger), ledger), server, limit=3)
        (campaign_folder / "people.csv").rename(campaign_folder / "members.csv")
        renamed = replace(first, list_path=campaign_folder / "members.csv")
        [warning] = prepare(renamed, IDENTITY, ledger).differences
        assert warning.startswith("3 of these 4 people already got this letter, in campaign 'appeal--people'")
        assert warning.endswith("--campaign appeal--people")
        continued = replace(renamed, campaign="appeal--people")
        await send(ledger, freeze(prepare(continued, IDENTITY, ledger), ledger), server)
        assert received(server) == dict.fromkeys(PEOPLE, 1)
