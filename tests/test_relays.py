"""Several relays: what one of them refuses goes out over the other, each keeps to its own limit, and nobody is mailed twice."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from campaigns import IDENTITY, address, once_each, received, relay_to, source, start, write_letter, write_list
from dkim_judge import DOMAIN, signer
from smtp_server import ScriptedServer
from workers import QUICK, Told, crew_of, leave, terms_for, until, working

from mailer import deadline
from mailer.campaign.limits import Limits
from mailer.campaign.send import freeze, prepare
from mailer.cluster.engine import Jobs
from mailer.cluster.journal import Journal
from mailer.cluster.terms import Terms
from mailer.ledger import Ledger, lock
from mailer.model import CampaignRecord, Identity, Mailbox, Quota, Server

PEOPLE = [address(number) for number in range(1, 41)]
OFFICE = dataclasses.replace(
    IDENTITY,
    sender=Mailbox(address="appeals@office.example", name="Appeals"),
    bounce_address="bounces+{token}@office.example",
    own_sender=True,
)


@pytest.fixture
def ledger(place: Server) -> Iterator[Ledger]:
    with Ledger(place) as opened:
        yield opened


@pytest.fixture
def servers() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with ScriptedServer() as office, ScriptedServer() as backup:
        yield office, backup
        assert office.violations == backup.violations == []


def over(place: Server, server: ScriptedServer, name: str, told: Told | None = None, **given: object) -> Terms:
    """What a program has to send over one of its relays."""
    relay = relay_to(server, name=name, **given.pop("account", {}))  # type: ignore[arg-type]
    return terms_for(place, server, told, relay=relay, **given)


def both(*servers: ScriptedServer) -> Counter[str]:
    return sum((received(server) for server in servers), Counter[str]())


def begin(folder: Path, ledger: Ledger, identity: Identity, people: list[str]) -> CampaignRecord:
    """Freeze a campaign that may leave with several identities."""
    write_letter(folder)
    write_list(folder, people)
    return freeze(prepare(source(folder), identity, ledger), ledger)


def finished(ledger: Ledger) -> bool:
    return ledger.find("appeal").finished_at is not None


async def test_both_relays_take_their_share_and_the_attempts_say_which(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    for server in servers:
        server.on("dot", delay=0.01)
    office, backup = servers
    async with crew_of(over(place, office, "office"), over(place, backup, "backup")):
        await until(lambda: len(ledger.shared.presences()) == 2)
        assert {one.relay for one in ledger.shared.presences()} == {"office", "backup"}
        await until(lambda: finished(ledger))
    assert both(*servers) == once_each(PEOPLE)
    assert all(server.accepted for server in servers)
    told = {figures.account: figures.sent for figures in ledger.by_relay(campaign, time.time() - 60)}
    assert told == {relay_to(server).account: len(server.accepted) for server in servers}


@pytest.mark.parametrize(
    ("phase", "reply"),
    [
        ("auth", "535 5.7.8 Authentication failed"),
        pytest.param("rcpt", "450 4.2.1 Peak SMTP relay limit exceeded for customer.", marks=pytest.mark.thorough),
        pytest.param("mail", "454 4.7.0 Throttling failure: Daily message quota exceeded", marks=pytest.mark.thorough),
        ("mail", "550 5.4.5 Daily user sending quota exceeded"),
    ],
)
async def test_an_account_that_is_sent_away_rests_while_the_campaign_goes_out_over_the_other(
    campaign_folder: Path, ledger: Ledger, place: Server, phase: str, reply: str
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    told, slow = Told(), dataclasses.replace(QUICK, account=(300.0,))
    with ScriptedServer(users={"office": "secret"}) as office, ScriptedServer() as backup:
        office.on(phase, reply=reply)
        account = {"username": "office", "password": "secret"}
        terms = over(place, office, "office", told, account=account, rhythm=slow)
        async with crew_of(terms, over(place, backup, "backup")):
            await until(lambda: finished(ledger))
            await until(ledger.shared.rests)
            [rest] = ledger.shared.rests()
            assert (rest.relay, rest.account, rest.owner) == ("office", terms.relay.account, "")
            assert ledger.shared.standing(campaign) is None, "not halted: it is done"
        assert received(backup) == once_each(PEOPLE)
        assert office.accepted == []
        assert office.connections <= 4, "it is not hammered"
        assert len(told.words("resting")) == 1


async def test_a_relay_that_takes_no_more_for_now_comes_back(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, backup = servers
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    office.on("mail", first=1, reply="450 4.2.1 too many messages, come back later")
    held = backup.on("dot", nth=5, hold=True)
    told = Told()
    async with crew_of(over(place, office, "office", told), over(place, backup, "backup", lines=1)):
        await until(lambda: told.words("resting"))
        await until(lambda: office.accepted)
        held.release()
        await until(lambda: finished(ledger))
    assert both(office, backup) == once_each(PEOPLE)


@pytest.mark.parametrize("how", ["down", "421", "silent"])
@pytest.mark.thorough
async def test_a_relay_out_of_reach_rests_here_alone_and_the_ledger_says_so(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer], how: str
) -> None:
    office, backup = servers
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    rhythm, account = dataclasses.replace(QUICK, unreachable=(300.0,)), {}
    if how == "421":
        office.on("greeting", reply="421 4.3.2 Shutting down", drop=True)
    elif how == "silent":
        office.on("greeting", silence=True)
        account = {"timeout": 0.2}
    told = Told()
    with contextlib.ExitStack() as stack:
        if how == "down":
            with ScriptedServer() as gone:
                port = gone.port
            account = {"port": port}
        terms = over(place, office, "office", told, account=account, rhythm=rhythm)
        async with crew_of(terms, over(place, backup, "backup")):
            await until(lambda: finished(ledger))
            await until(ledger.shared.rests)
            [rest] = ledger.shared.rests()
            assert (rest.relay, bool(rest.owner)) == ("office", True)
            assert ledger.shared.resting(terms.relay.account) is None, "others may reach it"
        stack.close()
    assert received(backup) == once_each(PEOPLE)
    assert told.words("resting")


async def test_a_worker_that_rests_on_a_computer_that_sleeps_works_on_when_it_wakes(
    campaign_folder: Path, ledger: Ledger, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "SLICE", 0.05)
    leave(ledger, start(campaign_folder, ledger, PEOPLE))
    rhythm, told, real = dataclasses.replace(QUICK, unreachable=(300.0,)), Told(), time.time
    with ScriptedServer() as server:
        closed = server.on("greeting", reply="421 4.3.2 Shutting down", drop=True)
        async with working(place, server, told, lines=1, rhythm=rhythm):
            await until(lambda: told.words("resting"))
            server.rules.remove(closed)
            monkeypatch.setattr(time, "time", lambda: real() + 301)
            await until(lambda: finished(ledger))
    assert received(server) == once_each(PEOPLE)


@pytest.mark.thorough
async def test_who_shares_a_refused_account_stops_asking_before_it_is_refused_itself(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, _ = servers
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    held = office.on("dot", nth=3, hold=True)
    told = Told()
    async with working(place, office, told, lines=1):
        await until(held.fired.is_set)
        # as another worker would, on another computer
        ledger.shared.rest(relay_to(office).account, (1.0,), "The quota is used up.")
        await asyncio.sleep(0.2)
        held.release()
        await until(lambda: told.words("resting"))
        assert told.words("resting") == ["The quota is used up."]
        assert len(office.accepted) <= 4
        await until(lambda: finished(ledger))
    assert received(office) == once_each(PEOPLE)


@pytest.mark.thorough
async def test_each_relay_keeps_to_its_own_limit(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, backup = servers
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    few, many = (Limits(account=[Quota(count=count, seconds=1)]) for count in (4, 10))
    async with crew_of(over(place, office, "office", limits=few), over(place, backup, "backup", limits=many)):
        await until(lambda: finished(ledger))
    assert both(office, backup) == once_each(PEOPLE)
    for server, count in ((office, 4), (backup, 10)):
        assert len(server.accepted) > count, "each has more than one window's work"
        times = sorted(message.at for message in server.accepted)
        assert min(after - before for before, after in zip(times, times[count:], strict=False)) > 1


@pytest.mark.thorough
async def test_a_domain_s_limit_holds_over_all_relays_together(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    limits = Limits(domains={"example.org": [Quota(count=10, seconds=1)]})
    office, backup = servers
    async with crew_of(over(place, office, "office", limits=limits), over(place, backup, "backup", limits=limits)):
        await until(lambda: finished(ledger))
    times = sorted(message.at for server in servers for message in server.accepted)
    assert min(after - before for before, after in zip(times, times[10:], strict=False)) > 1
    assert both(*servers) == once_each(PEOPLE)


async def test_a_queue_is_served_by_the_relays_that_are_bound_to_it(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, backup = servers
    campaign = start(campaign_folder, ledger, PEOPLE)
    jobs = Jobs(ledger.shared)
    jobs.prepare()
    with ledger.shared.leaving():
        ledger.shared.leave(campaign.id, jobs, name="national", batch_size=5)
    async with crew_of(over(place, office, "office", queues=("national",)), over(place, backup, "backup")):
        await until(lambda: finished(ledger))
    assert received(office) == once_each(PEOPLE)
    assert backup.accepted == []


@pytest.mark.thorough
async def test_each_relay_speaks_as_itself_and_a_message_keeps_its_number_whatever_it_leaves_over(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, backup = servers
    key = signer("office.example")
    face = dataclasses.replace(OFFICE, signatures=key.signatures)
    campaign = begin(campaign_folder, ledger, dataclasses.replace(IDENTITY, faces=(("office", face),)), PEOPLE)
    leave(ledger, campaign)
    identifiers = dict(ledger._all("SELECT key, message_id FROM deliveries"))
    assert all(identifier.endswith("@example.org>") for identifier in identifiers.values())
    for server in servers:
        server.on("dot", delay=0.01)
        server.on("mail", nth=1, reply="421 4.3.2 in a moment", drop=True)
    async with crew_of(
        over(place, office, "office", signer=key, face=face), over(place, backup, "backup", face=IDENTITY)
    ):
        await until(lambda: finished(ledger))
    assert both(office, backup) == once_each(PEOPLE)
    for message in office.accepted:
        assert b"From: Appeals <appeals@office.example>" in message.content
        assert b"DKIM-Signature: " in message.content
        assert b"d=office.example" in message.content
        assert message.mail_from.startswith("bounces+")
        assert message.mail_from.endswith("@office.example")
    for message in backup.accepted:
        assert b"From: Union Office <office@example.org>" in message.content
        assert b"DKIM-Signature: " not in message.content
        assert message.mail_from == "office@example.org"
    for message in (*office.accepted, *backup.accepted):
        assert message.message_id == identifiers[message.rcpt_to[0]]
        assert b"List-Unsubscribe: <mailto:leave@example.org?subject=unsubscribe%20" in message.content


@pytest.mark.thorough
async def test_a_relay_whose_identity_nobody_previewed_leaves_the_campaign_to_the_others(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, backup = servers
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    told = Told()
    async with crew_of(over(place, office, "office", told, face=OFFICE)):
        await until(lambda: told.words("unfit"))
        assert "sender, bounce_address" in told.words("unfit")[0]
        assert "@" not in told.words("unfit")[0], "no addresses"
        async with working(place, backup):
            await until(lambda: finished(ledger))
    assert received(backup) == once_each(PEOPLE)
    assert office.accepted == []


@pytest.mark.thorough
async def test_a_relay_signs_by_its_own_key_or_leaves_the_campaign_to_others(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    office, backup = servers
    face = dataclasses.replace(OFFICE, signatures=signer("office.example").signatures)
    campaign = begin(campaign_folder, ledger, dataclasses.replace(IDENTITY, faces=(("office", face),)), PEOPLE)
    leave(ledger, campaign)
    told = Told()
    async with crew_of(over(place, office, "office", told, signer=signer(DOMAIN)), over(place, backup, "backup")):
        await until(lambda: told.words("unfit"))
        await until(lambda: finished(ledger))
    assert received(backup) == once_each(PEOPLE)
    assert office.accepted == []


async def test_a_ledger_of_the_format_before_is_taken_up_with_what_rests_in_it(
    campaign_folder: Path, ledger: Ledger, place: Server, servers: tuple[ScriptedServer, ScriptedServer]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    for statement in (
        "ALTER TABLE senders DROP COLUMN relay",
        "ALTER TABLE rests DROP CONSTRAINT rests_pkey, DROP COLUMN owner, DROP COLUMN relay, ADD PRIMARY KEY (account)",
        f"INSERT INTO rests (account, until, times, reason) VALUES ('office@smtp.example', {time.time() + 900}, 2, 'Used up.')",
        "UPDATE ledger_format SET version = 7",
    ):
        ledger._db.native(statement)
    with Ledger(place) as taken_up:
        [rest] = taken_up.shared.rests()
        assert (rest.relay, rest.owner, rest.times) == ("main", "", 2)
        taken_up.shared.rest_here("office@smtp.example", 60, "It is out of reach.", relay="office")
        assert len(taken_up.shared.rests()) == 2
    office, _ = servers
    async with working(place, office):
        await until(lambda: finished(ledger))
    assert received(office) == once_each(PEOPLE)


class Later(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(minutes=1)


def test_an_account_rests_longer_each_time_in_a_row_and_a_worker_s_own_rest_is_no_part_of_that(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ledger.shared
    shared.rest_here("a@b.example", 60, "out of reach")
    # whoever rests a minute later is the same
    monkeypatch.setattr(lock, "datetime", Later)
    assert shared.resting("a@b.example") is None
    assert shared.rest("a@b.example", (-1.0, 100.0), "no").times == 1
    assert shared.rest("a@b.example", (-1.0, 100.0), "no", relay="office").times == 2
    assert shared.rest("a@b.example", (-1.0, 100.0), "no").times == 2, "whoever comes while it rests met the same"
    assert [(rest.owner != "", rest.times) for rest in shared.rests()] == [(False, 2), (True, 1)]
    shared.wake("a@b.example")
    assert [rest.owner != "" for rest in shared.rests()] == [True]
    shared.rest_here("a@b.example", -1, "out of reach")
    assert shared.rests() == []


@pytest.mark.parametrize(
    ("phase", "what"),
    [("accepted", {"drop": True}), ("dot", {"reply": "554 5.7.1 Blocked, your address is on a list"})],
)
async def test_what_may_be_one_relay_s_doing_rests_that_one_and_stops_the_campaign_only_where_no_other_is_left(
    campaign_folder: Path, ledger: Ledger, place: Server, phase: str, what: dict[str, object]
) -> None:
    campaign = start(campaign_folder, ledger, PEOPLE)
    leave(ledger, campaign)
    rhythm = dataclasses.replace(QUICK, account=(300.0,))
    with ScriptedServer() as office, ScriptedServer() as backup:
        rules = [server.on(phase, **what) for server in (office, backup)]  # type: ignore[arg-type]
        held = backup.on("mail", nth=1, hold=True)
        async with crew_of(
            over(place, office, "office", lines=1, rhythm=rhythm), over(place, backup, "backup", lines=1, rhythm=rhythm)
        ):
            await until(ledger.shared.rests)
            assert [rest.relay for rest in ledger.shared.rests()] == ["office"]
            standing = ledger.shared.standing(campaign)
            assert standing is not None
            assert standing.halt is None, "the other one may go on"
            held.release()
            await until(lambda: (found := ledger.shared.standing(campaign)) and found.halt)
        tally = ledger.tally(campaign)
        assert max(tally.uncertain, tally.failed) == 6, "three over each of them"
        assert all(rule.count == 3 for rule in rules)


def test_lines_for_programs_name_the_relay_where_there_are_several() -> None:
    lines: list[str] = []
    whole = Journal(lines.append, several=True)
    whole.of("office").working()
    whole.of("backup").waiting("appeal", Quota(count=1, seconds=60), 0.0)
    whole.of("office").waiting("appeal", Quota(count=1, seconds=60), 0.0)
    Journal(lines.append).of("office").working()
    assert [json.loads(line).get("relay") for line in lines] == ["office", "backup", "office", None]
