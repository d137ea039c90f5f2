"""Campaigns that keep office hours: nobody is mailed at night, nobody is forgotten, and it is said who waits until when."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from campaigns import (
    IDENTITY,
    Watcher,
    address,
    once_each,
    received,
    relay_to,
    run_of,
    send,
    source,
    statuses,
    write_letter,
    write_list,
)
from ledger_places import over_both, place_of, setting
from program import Program
from smtp_server import ScriptedServer
from workers import Told, leave, until, working

from mailer import contacts, deadline
from mailer.campaign import run as run_module
from mailer.campaign.diary import note_begin
from mailer.campaign.resuming import Next, Step, next_step
from mailer.campaign.send import conclude, freeze, prepare
from mailer.campaign.timing import Timing
from mailer.errors import CampaignError, ListError, Paused
from mailer.hours import DAYS, WEEK, Hours
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Entry, Happening, Pipelining, Server, Status, TimeZones
from mailer.web.journey import log, watching

OFFICE = Hours.parse("Mon-Fri 9:00-17:00")
EARLY, LATE = "Pacific/Kiritimati", "Etc/GMT+12"
"""Zones of which one is more than a day ahead of the other: it is never the same day in both."""


def at(zone: str, text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


class Clock:
    """The clock of this computer, as far as mailer looks at it: it can be set."""

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self._ahead

    def set(self, moment: float) -> None:
        self._ahead = moment - self._real()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(time.time)
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture(params=["file"])
def ledger(request: pytest.FixtureRequest, campaign_folder: Path) -> Iterator[Ledger]:
    with place_of(request, campaign_folder) as place, Ledger(place) as opened:
        yield opened


def begin(
    folder: Path,
    ledger: Ledger,
    zones: list[str],
    hours: Hours | None = OFFICE,
    *,
    default: str = "UTC",
    **options: bool,
) -> CampaignRecord:
    """A campaign to somebody in each of these zones."""
    write_letter(folder)
    write_list(folder, [address(number) for number in range(1, len(zones) + 1)], time_zone=zones)
    timed = dataclasses.replace(source(folder), timing=Timing(hours=hours, zone=default))
    return freeze(prepare(timed, IDENTITY, ledger, **options), ledger)


def days_of(zone: str) -> Hours:
    """Today and tomorrow there."""
    day = datetime.now(ZoneInfo(zone)).weekday()
    return Hours.parse(f"{DAYS[day]}-{DAYS[(day + 1) % 7]} 0:00-24:00")


# -- where people live


def read(folder: Path, text: str, column: str | None = None) -> contacts.ContactList:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return contacts.read(path, time_zones=TimeZones(default="Europe/London", column=column))


@pytest.mark.parametrize(
    "header", ["time_zone", "Time Zone", "timezone", "Zeitzone", "fuseau horaire", "Zona horaria", "часовой пояс", "TZ"]
)
def test_a_column_of_time_zones_is_known_by_its_name(tmp_path: Path, header: str) -> None:
    people = read(
        tmp_path, f"email,{header}\na@example.org,Europe/Paris\nb@example.org,america/new york\nc@example.org,\n"
    )
    assert list(people.zones()) == ["Europe/Paris", "America/New_York", None]
    assert not people.problems
    assert not people.warnings


def test_any_column_can_be_named_as_that_of_the_time_zones(tmp_path: Path) -> None:
    text = "email,lives\na@example.org,Asia/Karachi\n"
    assert list(read(tmp_path, text).zones()) == [None]
    assert list(read(tmp_path, text, "lives").zones()) == ["Asia/Karachi"]
    with pytest.raises(ListError, match='no column "livs"') as refused:
        read(tmp_path, text, "livs")
    assert 'Did you mean "lives"' in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("header", "country", "zone"),
    [
        ("country", "France", "Europe/Paris"),
        ("Land", "Deutschland", "Europe/Berlin"),
        ("pays", "Suisse", "Europe/Zurich"),
        ("país", "España", "Europe/Madrid"),
        ("country", "pk", "Asia/Karachi"),
        ("country", "United Kingdom", "Europe/London"),
        ("country", "Argentina", "America/Argentina/Buenos_Aires"),
        ("country", "New Zealand", "Pacific/Auckland"),
    ],
)
def test_a_country_with_one_time_zone_tells_it(tmp_path: Path, header: str, country: str, zone: str) -> None:
    people = read(tmp_path, f"email,{header}\na@example.org,{country}\n")
    assert list(people.zones()) == [zone]
    assert not people.warnings


def test_a_country_that_tells_no_single_zone_counts_to_the_sender_s_own_and_is_pointed_out(tmp_path: Path) -> None:
    people = read(tmp_path, "email,country\na@example.org,United States\nb@example.org,Atlantis\nc@example.org,\n")
    assert list(people.zones()) == [None, None, None]
    assert [warning.row for warning in people.warnings] == [2, 3]
    assert "Europe/London counts" in next(iter(people.warnings)).message


def test_the_column_of_zones_goes_before_the_country(tmp_path: Path) -> None:
    people = read(
        tmp_path, "email,country,time_zone\na@example.org,United States,America/Denver\nb@example.org,France,\n"
    )
    assert list(people.zones()) == ["America/Denver", "Europe/Paris"]
    assert not people.warnings


def test_a_zone_that_there_is_not_is_a_problem_with_its_row_and_a_way_out(tmp_path: Path) -> None:
    people = read(tmp_path, "email,time_zone\na@example.org,Europe/Paris\nb@example.org,CEST\n")
    [problem] = people.problems
    assert (problem.row, problem.column, problem.code) == (3, "time_zone", "unknown-zone")
    assert "Europe/Paris" in (problem.hint or "")
    assert list(people.zones()) == ["Europe/Paris"]


def test_nobody_asks_for_zones_where_no_hours_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email,time_zone\na@example.org,nonsense\n")
    people = contacts.read(path)
    assert list(people.zones()) == [None]
    assert not people.problems


# -- a run


@over_both
async def test_only_those_are_mailed_whose_office_hours_it_is_and_the_others_keep_their_place(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("Europe/Berlin", "2026-12-01 10:00"))
    campaign = begin(
        campaign_folder, ledger, ["Europe/Berlin", "America/New_York", "", "Asia/Tokyo"], default="Europe/Paris"
    )
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server)
    assert received(server) == once_each([address(1), address(3)])
    assert (result.state, result.exit_code, result.tally.queued) == ("paused", 3, 2)
    assert result.out_of_hours
    assert (result.out_of_hours.people, result.out_of_hours.since) == (2, at("America/New_York", "2026-12-01 09:00"))
    assert result.next_due is None, "nobody was put off"


@over_both
async def test_with_wait_the_run_stays_until_everybody_s_office_hours_have_come(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-04 12:00"))  # a Friday
    zones = ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Asia/Tokyo"]
    campaign = begin(campaign_folder, ledger, zones)
    watcher, woken = Watcher(), []

    def sleep_through() -> None:
        what, moment = watcher.waits[-1]
        assert what == OFFICE
        woken.append(datetime.fromtimestamp(moment, UTC))
        clock.set(moment)

    watcher.on_wait = sleep_through
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher, wait=True)
    assert [message.rcpt_to[0] for message in server.accepted] == [address(1), address(3), address(2), address(4)]
    assert woken == [datetime(2026, 12, 4, 17, 0, tzinfo=UTC), datetime(2026, 12, 7, 0, 0, tzinfo=UTC)]
    assert (result.state, result.exit_code) == ("finished", 0)
    waited = [(entry.until, entry.text) for entry in ledger.diary(campaign) if entry.kind is Happening.WAITING]
    assert waited == [(moment.timestamp(), "Mon-Fri 9:00-17:00") for moment in reversed(woken)]


@pytest.mark.parametrize(("connections", "pipelining"), [(1, "auto"), (3, "auto"), (1, "off")])
async def test_hours_that_end_in_the_middle_of_a_run_end_it_for_these_people_only(
    campaign_folder: Path, ledger: Ledger, clock: Clock, connections: int, pipelining: str
) -> None:
    clock.set(at("Europe/Berlin", "2026-12-01 16:59"))
    campaign = begin(campaign_folder, ledger, ["Europe/Berlin"] * 10 + ["Europe/London"] * 10)
    watcher = Watcher()
    watcher.on_record = lambda: (
        clock.set(at("Europe/Berlin", "2026-12-01 17:00")) if len(watcher.records) == 4 else None
    )
    with ScriptedServer() as server:
        relay = relay_to(server, pipelining=Pipelining(pipelining))
        result = await send(ledger, campaign, server, watcher, connections=connections, relay=relay)
    berlin = [message for message in server.accepted if int(message.rcpt_to[0][1:-12]) <= 10]
    # those that were on their way when the clock struck
    assert 4 <= len(berlin) <= 4 + 2 * connections
    assert (result.tally.sent, result.tally.queued) == (len(berlin) + 10, 10 - len(berlin))
    assert result.out_of_hours
    assert result.out_of_hours.since == at("Europe/Berlin", "2026-12-02 09:00")
    assert received(server) == once_each(received(server)), "nobody twice"


async def test_hours_that_begin_in_the_middle_of_a_long_run_are_noticed(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 13:59"))
    campaign = begin(campaign_folder, ledger, ["UTC", "UTC", "America/New_York", "UTC", "UTC"])
    watcher = Watcher()
    watcher.on_record = lambda: clock.set(at("UTC", "2026-12-01 14:00")) if len(watcher.records) == 1 else None
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher)
    assert result.tally.sent == 5
    assert [message.rcpt_to[0] for message in server.accepted].index(address(3)) <= 3, "not after all the others"


async def test_a_limit_counts_those_who_were_tried_and_not_those_whose_hours_had_ended(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("Europe/Berlin", "2026-12-01 16:59"))
    campaign = begin(campaign_folder, ledger, ["Europe/Berlin"] * 4 + ["Europe/London"] * 4)
    watcher = Watcher()
    watcher.on_record = lambda: (
        clock.set(at("Europe/Berlin", "2026-12-01 17:00")) if len(watcher.records) == 1 else None
    )
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher, limit=5)
    assert result.tally.sent == len(server.accepted) == 5


@over_both
async def test_whoever_is_put_off_into_the_night_is_tried_again_in_the_morning(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("Europe/Berlin", "2026-12-01 16:58"))
    campaign = begin(campaign_folder, ledger, ["Europe/Berlin"])
    with ScriptedServer() as server:
        server.on("rcpt", nth=1, reply="450 4.2.0 Greylisted, come back later")
        first = await send(ledger, campaign, server)
        assert (first.tally.deferred, first.next_due) == (1, at("Europe/Berlin", "2026-12-02 09:00"))
        clock.set(at("Europe/Berlin", "2026-12-02 03:00"))
        night = await send(ledger, campaign, server)
        assert (night.tally.deferred, night.next_due) == (1, first.next_due)
        clock.set(at("Europe/Berlin", "2026-12-02 09:00"))
        assert (await send(ledger, campaign, server)).state == "finished"
    assert received(server) == once_each([address(1)])


@over_both
async def test_whoever_was_put_off_until_the_hours_had_nearly_ended_waits_for_the_next_morning(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 16:50"))
    campaign = begin(campaign_folder, ledger, ["UTC"])
    opens = at("UTC", "2026-12-02 09:00")
    with ScriptedServer() as server:
        server.on("rcpt", nth=1, reply="450 4.2.0 Greylisted, come back later")
        first = await send(ledger, campaign, server)
        assert first.next_due
        assert first.next_due < at("UTC", "2026-12-01 17:00")
        note_begin(ledger, campaign)
        clock.set(first.next_due + 1)
        assert ledger.next_due(campaign) == first.next_due, "it has come"
        assert next_step(ledger, campaign, time.time()).next is Next.NOW
        clock.set(at("UTC", "2026-12-01 20:00"))
        assert ledger.next_due(campaign) == opens
        assert next_step(ledger, campaign, time.time()) == Step(next=Next.LATER, due=opens)
        watcher = Watcher()
        watcher.on_wait = lambda: clock.set(opens)
        assert (await send(ledger, campaign, server, watcher, wait=True)).state == "finished"
    assert watcher.waits == [(None, opens)]


@over_both
async def test_a_time_that_a_wrong_clock_wrote_has_come_for_whoever_asks(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2027-12-01 10:00"))
    campaign = begin(campaign_folder, ledger, ["UTC"])
    with ScriptedServer() as server:
        server.on("rcpt", nth=1, reply="450 4.2.0 Greylisted, come back later")
        await send(ledger, campaign, server)
        note_begin(ledger, campaign)
        clock.set(at("UTC", "2026-12-01 10:00"))
        assert next_step(ledger, campaign, time.time()).next is Next.NOW
        assert (await send(ledger, campaign, server)).state == "finished"


async def test_a_run_that_waits_yields_whatever_the_ledger_says(
    campaign_folder: Path, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(at("UTC", "2026-12-01 20:00"))
    campaign = begin(campaign_folder, ledger, ["UTC"])
    monkeypatch.setattr(ledger, "next_due", lambda _: time.time() - 3600)
    watcher = Watcher()
    with ScriptedServer() as server:
        run = run_of(ledger, campaign, relay_to(server), watcher, wait=True)
        watcher.on_wait = lambda: run.stop(Paused("it spins")) if len(watcher.waits) > 9 else None
        running = asyncio.ensure_future(run.run())
        asyncio.get_running_loop().call_later(0.2, run.stop, Paused("enough"))
        reason = await asyncio.wait_for(running, 10)
    assert str(reason) == "enough"
    assert len(watcher.waits) == 1


async def test_who_waits_on_a_computer_that_sleeps_goes_on_when_it_wakes(
    campaign_folder: Path, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "SLICE", 0.05)
    clock.set(at("UTC", "2026-12-01 20:00"))
    campaign = begin(campaign_folder, ledger, ["UTC"])
    watcher = Watcher()
    # asyncio's own clock stands still meanwhile
    watcher.on_wait = lambda: asyncio.get_running_loop().call_later(0.2, clock.set, at("UTC", "2026-12-02 09:30"))
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher, wait=True)
    assert result.state == "finished"
    assert watcher.waits == [(OFFICE, at("UTC", "2026-12-02 09:00"))]


async def test_who_waits_hears_that_others_have_changed_who_is_next(
    campaign_folder: Path, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "ASK_AGAIN", 0.2)
    clock.set(at("UTC", "2026-12-01 20:00"))
    campaign = begin(campaign_folder, ledger, ["UTC"])
    watcher = Watcher()
    watcher.on_wait = lambda: ledger.suppress([(address(1), "asked")], source="by hand")
    with ScriptedServer() as server:
        result = await send(ledger, campaign, server, watcher, wait=True)
        assert not server.accepted
    assert (result.state, result.tally.suppressed) == ("finished", 1)


# -- what holds for a campaign


@over_both
def test_who_forgets_the_hours_when_going_on_wakes_nobody(campaign_folder: Path, ledger: Ledger, clock: Clock) -> None:
    clock.set(at("UTC", "2026-12-01 20:00"))
    campaign = begin(campaign_folder, ledger, ["UTC", "Asia/Tokyo"])
    again = begin(campaign_folder, ledger, ["UTC", "Asia/Tokyo"], None)
    assert (again.hours, again.zone) == (campaign.hours, campaign.zone) == ("Mon-Fri 9:00-17:00", "UTC")
    assert ledger.round(again, time.time()).due == []


@over_both
async def test_other_hours_hold_at_once_for_the_rest_and_can_be_switched_off(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 16:00"))
    people = ["UTC", "Asia/Tokyo", "America/New_York"]
    campaign = begin(campaign_folder, ledger, people, Hours.parse("15:30-17:00"))
    with ScriptedServer() as server:
        await send(ledger, campaign, server)
        assert received(server) == once_each([address(1)])
        campaign = begin(campaign_folder, ledger, people, Hours.parse("10:00-12:00"))
        assert campaign.revision == 1, "what is sent has not changed"
        await send(ledger, campaign, server)
        assert received(server) == once_each([address(1), address(3)])
        campaign = begin(campaign_folder, ledger, people, Hours.parse("off"))
        assert (await send(ledger, campaign, server)).state == "finished"
    assert received(server) == once_each([address(1), address(2), address(3)])


@over_both
async def test_a_campaign_that_began_without_hours_gets_them_with_update(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 10:00"))
    people = ["UTC", "Asia/Tokyo", "UTC"]
    campaign = begin(campaign_folder, ledger, people, None)
    with ScriptedServer() as server:
        await send(ledger, campaign, server, limit=1)
        with pytest.raises(CampaignError, match="began without office hours") as refused:
            begin(campaign_folder, ledger, people)
        assert "--update" in (refused.value.hint or "")
        campaign = begin(campaign_folder, ledger, people, update=True)
        result = await send(ledger, campaign, server)
    assert received(server) == once_each([address(1), address(3)])
    assert statuses(ledger, campaign)[address(2)] is Status.QUEUED
    assert result.out_of_hours
    assert conclude(ledger, ledger.find("appeal"), None).exit_code == 3


@over_both
async def test_an_update_that_does_not_tell_where_people_live_forgets_nobody_s_time_zone(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 10:00"))
    begin(campaign_folder, ledger, ["UTC", "Asia/Tokyo"])
    with ScriptedServer() as server:
        await send(ledger, ledger.find("appeal"), server)
        write_list(campaign_folder, [address(1), address(2), address(3)])
        freeze(prepare(source(campaign_folder), IDENTITY, ledger, update=True), ledger)
        await send(ledger, ledger.find("appeal"), server)
    assert received(server) == once_each([address(1), address(3)]), "in Tokyo it is night"


def test_hours_are_no_part_of_the_seal(campaign_folder: Path, ledger: Ledger) -> None:
    seals = {begin(campaign_folder, ledger, ["UTC"], hours).manifest.seal for hours in (None, OFFICE, days_of("UTC"))}
    assert len(seals) == 1


def test_a_zone_that_only_another_computer_knows_is_told_with_a_way_out(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = begin(campaign_folder, ledger, ["UTC", ""])
    ledger.set_hours(campaign, campaign.hours, "Mars/Base")
    with pytest.raises(CampaignError, match="does not know the time zone Mars/Base") as refused:
        ledger.round(ledger.find("appeal"), time.time())
    assert "tzdata" in (refused.value.hint or "")


# -- workers


@pytest.mark.parametrize("ledger", ["server"], indirect=True)
async def test_workers_keep_office_hours_and_take_no_batch_in_vain(campaign_folder: Path, ledger: Ledger) -> None:
    place = ledger.place
    assert isinstance(place, Server)
    hours = days_of(EARLY)
    zones = [EARLY, LATE, EARLY, LATE, LATE, LATE]
    campaign = begin(campaign_folder, ledger, zones, hours)
    leave(ledger, campaign, batch_size=2)
    opens = hours.next_open(LATE, time.time())
    jobs = "SELECT extract(epoch FROM scheduled_at)::float8, attempts FROM procrastinate_jobs ORDER BY id"
    assert [row[0] for row in ledger._db.native(jobs)][2] == opens, "the last batch has nobody who may be mailed now"
    with ScriptedServer() as server:
        async with working(place, server, Told()), working(place, server, Told()):
            await until(lambda: len(server.accepted) == 2)
            await until(lambda: [row[0] for row in ledger._db.native(jobs)] == [opens] * 3)
        assert [row[1] for row in ledger._db.native(jobs)] == [1, 1, 0], "each was taken once, and the last not at all"
        assert received(server) == once_each([address(1), address(3)])
        ledger.set_hours(campaign, "", campaign.zone)
        leave(ledger, campaign, batch_size=2)
        async with working(place, server):
            await until(lambda: ledger.find("appeal").finished_at)
        assert received(server) == once_each([address(number) for number in range(1, 7)])


@pytest.mark.parametrize("ledger", ["server"], indirect=True)
def test_a_time_to_begin_and_office_hours_both_hold_for_a_batch(campaign_folder: Path, ledger: Ledger) -> None:
    campaign = begin(campaign_folder, ledger, ["Europe/Berlin", "Asia/Tokyo"])
    next_year = datetime.now(UTC).year + 1
    not_before = datetime(next_year, 6, 5, 12, 0, tzinfo=UTC).timestamp()
    leave(ledger, campaign, batch_size=1)
    ledger._db.native("UPDATE detached SET not_before = $1", (not_before,))
    numbers = [row[0] for row in ledger._db.native("SELECT id FROM batches ORDER BY id")]
    times = [job.at for job in ledger.shared._times(numbers)]
    assert times == [OFFICE.next_open(zone, not_before) for zone in ("Europe/Berlin", "Asia/Tokyo")]


@pytest.mark.parametrize("ledger", ["server"], indirect=True)
async def test_a_batch_whose_people_were_due_before_their_hours_ended_is_not_taken_until_they_begin(
    campaign_folder: Path, ledger: Ledger
) -> None:
    now = time.time()
    hours = Hours.parse(f"{DAYS[(datetime.now(UTC).weekday() + 2) % 7]} 9:00-17:00")
    campaign = begin(campaign_folder, ledger, ["UTC"], hours)
    opens = hours.next_open("UTC", now)
    ledger._db.native("UPDATE deliveries SET status = 'deferred', next_attempt_at = $1", (opens - WEEK + 60,))
    leave(ledger, campaign)
    jobs = "SELECT extract(epoch FROM scheduled_at)::float8 FROM procrastinate_jobs"
    assert ledger._db.native(jobs).fetchall() == [(opens,)]


# -- the command


@pytest.fixture
def program(campaign_folder: Path, smtp: ScriptedServer) -> Program:
    write_letter(campaign_folder)
    return Program(
        folder=campaign_folder,
        settings={
            "MAILER_SMTP_HOST": smtp.host,
            "MAILER_SMTP_PORT": str(smtp.port),
            "MAILER_SMTP_SECURITY": "none",
            "MAILER_SENDER": "Union Office <office@example.org>",
            "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
        },
    )


@pytest.fixture
def smtp() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def test_the_command_sends_within_the_hours_says_who_waits_and_until_when_and_ends_with_3(
    program: Program, smtp: ScriptedServer
) -> None:
    write_list(program.folder, [address(1), address(2), address(3)], lives=[EARLY, LATE, ""])
    program.settings["MAILER_TIME_ZONE"] = LATE
    hours = str(days_of(EARLY))
    first = program.run("send", "appeal", "people.csv", "--yes", "--hours", hours, "--zone-column", "lives")
    assert first.returncode == 3
    assert received(smtp) == once_each([address(1)])
    waiting = 2
    assert f"Letters leave within {hours}, where each reader lives" in first.stderr
    assert f"Waiting for their office hours ({hours}, where they live): {waiting}, from 2" in " ".join(
        first.stdout.split()
    )
    assert f"counts to {LATE}." in " ".join(first.stderr.split())
    assert "To continue:" in first.stdout
    told = program.json("status", "appeal--people")
    assert (told["hours"], told["out_of_hours"], told["state"]) == (hours, waiting, "paused")
    assert told["hours_from"]
    again = program.json("send", "appeal", "people.csv", "--yes", code=3)
    assert (again["sent"], again["queued"], again["out_of_hours"]) == (3 - waiting, waiting, waiting)
    assert "Waiting for their office hours" in program.run("status", "appeal--people").stdout
    program.json("send", "appeal", "people.csv", "--yes", "--hours", "off")
    assert received(smtp) == once_each([address(1), address(2), address(3)])


@pytest.mark.thorough
def test_a_time_zone_that_there_is_not_keeps_everybody_s_letter_here(program: Program, smtp: ScriptedServer) -> None:
    write_list(program.folder, [address(1), address(2)], time_zone=["UTC", "Middle/Earth"])
    program.settings["MAILER_HOURS"] = "0:00-24:00"
    refused = program.json("send", "appeal", "people.csv", "--yes", code=2)
    [problem] = refused["problems"]
    assert (problem["row"], problem["column"], problem["code"]) == (3, "time_zone", "unknown-zone")
    assert program.json("preview", "appeal", "people.csv", code=2)["problems"] == refused["problems"], (
        "seen before, too"
    )
    assert not smtp.accepted
    program.json("send", "appeal", "people.csv", "--yes", "--hours", "off")
    assert received(smtp) == once_each([address(1), address(2)])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("MAILER_HOURS", "9 to 5", "days and hours of a week"), ("MAILER_TIME_ZONE", "Paris", "Europe/Paris")],
)
def test_hours_and_zones_that_are_not_understood_are_refused_with_an_example(
    program: Program, name: str, value: str, words: str
) -> None:
    write_list(program.folder, [address(1)])
    program.settings[name] = value
    refused = program.run("send", "appeal", "people.csv", "--yes")
    assert refused.returncode == 2
    assert words in " ".join(refused.stderr.split())
    assert name in refused.stderr


def test_a_time_to_begin_is_for_workers_also_with_hours(program: Program) -> None:
    write_list(program.folder, [address(1)])
    refused = program.run("send", "appeal", "people.csv", "--yes", "--hours", "9-17", "--at", "18:30")
    assert refused.returncode == 2
    assert "--detach" in refused.stderr


@pytest.mark.parametrize("ledger", ["server"], indirect=True)
@pytest.mark.thorough
def test_hours_of_a_campaign_that_workers_are_at_are_changed_while_it_is_paused(
    program: Program, ledger: Ledger
) -> None:
    program.settings["MAILER_LEDGER"] = setting(ledger.place)
    write_list(program.folder, [address(1)], time_zone=[LATE])
    command = ("send", "appeal", "people.csv", "--yes", "--detach", "--hours")
    left = program.run(*command, str(days_of(EARLY)))
    assert left.returncode == 0, left.stderr
    assert "Waiting for their office hours" in left.stdout
    campaign = ledger.find("appeal--people")
    at_it = ledger.shared.working_on(campaign.name)
    assert at_it.acquire(5)
    try:
        assert program.run(*command, str(days_of(EARLY))).returncode == 0
        refused = program.run(*command, "9:00-17:00")
        assert refused.returncode == 2
        assert "Workers are sending" in refused.stderr
    finally:
        at_it.release()
    assert program.run(*command, "9:00-17:00").returncode == 0
    assert ledger.find("appeal--people").hours == "Mon-Sun 9:00-17:00"


# -- the page


def test_the_page_tells_who_waits_for_their_hours_and_its_log_that_it_waited(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 20:00"))
    campaign = begin(campaign_folder, ledger, ["UTC", "UTC"])
    opens = at("UTC", "2026-12-02 09:00")
    assert watching._known(ledger, campaign, [])["away"] == {"hours": str(OFFICE), "people": 2, "since": opens}
    ledger.write_diary(campaign, [Entry(at=time.time(), kind=Happening.WAITING, until=opens, text=str(OFFICE))])
    [line] = log.lines(ledger, campaign)
    assert "out of office hours where the others live (Mon-Fri 9:00-17:00)" in line.text
    assert line.until == opens
    clock.set(opens)
    assert watching._known(ledger, campaign, [])["away"] is None


async def test_the_page_goes_on_by_itself_when_the_hours_of_the_others_begin(
    campaign_folder: Path, ledger: Ledger, clock: Clock
) -> None:
    clock.set(at("UTC", "2026-12-01 10:00"))
    campaign = begin(campaign_folder, ledger, ["UTC", "Asia/Tokyo", "UTC"])
    opens = at("Asia/Tokyo", "2026-12-02 09:00")
    with ScriptedServer() as server:
        note_begin(ledger, campaign)
        await send(ledger, campaign, server, limit=1)
        assert next_step(ledger, campaign, time.time()).next is Next.NOTHING, "somebody was left out on purpose"
        note_begin(ledger, campaign)
        await send(ledger, campaign, server)
        assert next_step(ledger, campaign, time.time()) == Step(next=Next.LATER, due=opens)
        clock.set(opens)
        assert next_step(ledger, campaign, time.time()).next is Next.NOW
        note_begin(ledger, campaign)
        assert (await send(ledger, campaign, server)).state == "finished"
