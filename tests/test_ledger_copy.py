"""A ledger moves from its file to PostgreSQL, whole or a campaign at a time, and what was sent from the file goes on there."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns import IDENTITY, address, once_each, received, send, source, start, write_letter, write_list
from hashed import keep_as_hash
from made_up_campaigns import Person, crowd, made_up
from program import Program
from smtp_server import ScriptedServer
from test_ledger_alike import QUESTIONS, clean

from mailer.campaign.send import freeze, prepare
from mailer.errors import CampaignError
from mailer.ledger import Ledger, SenderLock
from mailer.ledger.postgres.moving import move
from mailer.model import Reason, Server, Status, Tally
from mailer.tokens import Purpose, Tokens


@pytest.fixture
def file(campaign_folder: Path) -> Path:
    return campaign_folder / "mailer.db"


# what names rows by their numbers, which are others there
BY_NUMBER = {
    "newest_arrival",
    "tallies",
    "due",
    "deliveries",
    "by_key",
    "by_name",
    "campaign",
    "campaigns",
    "find",
    "soft_bounces",
    "refuse_moved",
    "round",
    "transactions",  # of two at the same time either may come first
}


def test_everything_is_there_as_it_was(file: Path, place: Server) -> None:
    with Ledger(file) as here, Ledger(place) as there:
        for name in ("first", "second"):
            made_up(here, crowd(600, seed=len(name)), name=name)
        here.suppress([("p1@a.example", "by phone"), ("@b.example", "")], source="by hand", reason=Reason.COMPLAINT)
        here.erase(["p1@a.example"])
        here.keep_preview(here.find("first").manifest, {"a": "b"})
        here.approve("first", here.find("first").manifest.seal, "Ana")
        here.note_read("INBOX", 1, 2)
        here.set_hours(here.find("first"), "Mon-Fri 9:00-17:00", "Europe/Paris")
        here._run("UPDATE deliveries SET zone = 'Asia/Karachi' WHERE row % 3 = 0")
        zones = "SELECT zone, count(*) FROM deliveries GROUP BY zone ORDER BY zone IS NULL"
        living = here._all(zones)
        known = [name for name, _ in here._all("SELECT message_id, key FROM deliveries WHERE status = 'sent' LIMIT 1")]
        assert here.unsubscribe(known[0][1:].partition("@")[0])
        before = {
            (name, what): clean(question(here, here.find(name)))
            for name in ("first", "second") for what, question in QUESTIONS.items() if what not in BY_NUMBER
        }  # fmt: skip
        moved = move(here, there)
        assert sorted(moved.campaigns) == ["first", "second"]
        assert there.secret == here.secret
        assert (there.find("first").hours, there.find("first").zone) == ("Mon-Fri 9:00-17:00", "Europe/Paris")
        assert there._all(zones) == living
        after = {(name, what): clean(QUESTIONS[what](there, there.find(name))) for name, what in before}
        assert after == before
        # the link of the same mail is the same event
        events = there._one("SELECT count(*) FROM events")
        assert there.unsubscribe(known[0][1:].partition("@")[0])
        assert there._one("SELECT count(*) FROM events") == events
        # new rows get numbers that nobody had
        made_up(there, [Person(address="p1@a.example", status=Status.SENT)], name="third")
    with pytest.raises(CampaignError, match="was moved to PostgreSQL"):
        Ledger(file)
    with Ledger(file, moved=True) as here, Ledger(place) as there:
        assert move(here, there).campaigns == []


async def test_a_campaign_that_was_paused_goes_on_there_and_nobody_is_mailed_twice(
    file: Path, campaign_folder: Path, place: Server
) -> None:
    people = [address(number) for number in range(1, 21)]
    with ScriptedServer() as server:
        with Ledger(file) as here:
            campaign = start(campaign_folder, here, people)
            made_up(here, crowd(20), name="another")
            here.suppress([(people[-1], "asked")], source="by hand")
            await send(here, campaign, server, limit=8)
            sent = [record.message_id for record in here.records(campaign, Status.SENT)]
            with Ledger(place) as there:
                assert move(here, there, "appeal").campaigns == ["appeal"]
                assert [one.name for one in there.campaigns()] == ["appeal"]
                assert len(there.transactions(campaign_account(here), 0)) == 8, (
                    "they count towards the quota there as well"
                )
            with pytest.raises(CampaignError, match="was moved"), SenderLock(here, "appeal"):
                pass
            with pytest.raises(CampaignError, match="was moved"):
                here.find("appeal")
            assert here.find("another")
        with Ledger(place) as there, SenderLock(there, "appeal"):
            write_letter(campaign_folder)
            write_list(campaign_folder, people)
            going_on = freeze(prepare(source(campaign_folder), IDENTITY, there), there)
            assert [record.message_id for record in there.records(going_on, Status.SENT)] == sent
            result = await send(there, going_on, server)
            assert result.tally == Tally(sent=19, suppressed=1)
            token = Tokens(there.secret).sign(Purpose.UNSUBSCRIBE, sent[0][1:].partition("@")[0])
        assert received(server) == once_each(people[:-1])
        with Ledger(file) as here:
            assert Tokens(here.secret).sign(Purpose.UNSUBSCRIBE, sent[0][1:].partition("@")[0]) == token


def campaign_account(ledger: Ledger) -> str:
    return str(ledger._one("SELECT account FROM attempts WHERE account <> 'u@smtp.example' LIMIT 1")[0])


def test_who_is_suppressed_in_either_ledger_leaves_the_queues_of_both(file: Path, place: Server) -> None:
    people = [Person(address=f"{name}@example.org", status=Status.QUEUED) for name in ("kim", "lee", "max", "zoe")]
    with Ledger(file) as here, Ledger(place) as there:
        for name in ("first", "second"):
            made_up(here, people, name=name)
        move(here, there, "first")
        there.suppress([("kim@example.org", "")], source="by e-mail", reason=Reason.UNSUBSCRIBED)
        here.suppress([("lee@example.org", ""), ("max@example.org", "")], source="by hand")
        keep_as_hash(here, "max@example.org")
        move(here, there, "second")
        for name in ("first", "second"):
            states = {record.address.partition("@")[0]: record.status for record in there.records(there.find(name))}
            gone = dict.fromkeys(("kim", "lee", "max"), Status.SUPPRESSED)
            assert states == {**gone, "zoe": Status.QUEUED}, name


def test_what_came_back_from_people_who_were_erased_is_theirs_in_neither_ledger_and_moves(
    file: Path, place: Server
) -> None:
    with Ledger(file) as here, Ledger(place) as there:
        for name in ("first", "second"):
            made_up(here, crowd(60, seed=len(name)), name=name)
        for campaign in here.campaigns():
            here.purge([campaign], before=None)
        known = here._one("SELECT count(*) FROM events")
        assert known > (1,)
        there._db.execute("SELECT setval(pg_get_serial_sequence('events', 'id'), 3)")
        there._run("INSERT INTO events (id, kind, at, source) VALUES (1, 'reply', 1, 'erased 1')")
        move(here, there)
        assert there._one("SELECT count(*) FROM events WHERE source = 'erased ' || CAST(id AS TEXT)") == (known[0] + 1,)


def test_another_campaign_of_the_same_name_is_not_taken_for_the_one_that_moves(file: Path, place: Server) -> None:
    with Ledger(file) as here, Ledger(place) as there:
        for name in ("first", "second"):
            made_up(here, crowd(10), name=name)
        move(here, there, "first")
        made_up(there, crowd(5), name="second")
        for name in ("second", None):
            with pytest.raises(CampaignError, match="another campaign called 'second'"):
                move(here, there, name)
        here.refuse_moved("second")
        assert move(here, there, "first").campaigns == []


@pytest.mark.thorough
@pytest.mark.parametrize("command", ["erase {} --yes", "export {}", "suppress add {}", "suppress import {}.txt"])
def test_whoever_asks_the_file_is_told_of_the_campaigns_that_do_not_hear_of_it_any_more(
    command: str, file: Path, campaign_folder: Path, place: Server
) -> None:
    with Ledger(file) as here, Ledger(place) as there:
        for name in ("first", "second"):
            made_up(here, crowd(10), name=name)
        move(here, there, "first")
    (campaign_folder / "pat@example.org.txt").write_text("pat@example.org\n", encoding="utf-8")
    said = Program(folder=campaign_folder).run(*command.format("pat@example.org").split())
    assert said.returncode == 0, said
    assert (
        "Campaigns that go on in PostgreSQL do not hear of this: first. Run the same command once more" in said.stderr
    )


def test_a_campaign_that_is_being_sent_is_not_moved(file: Path, place: Server) -> None:
    with Ledger(file) as here, Ledger(file) as sender, Ledger(place) as there:
        made_up(here, crowd(20))
        with SenderLock(sender, "appeal--branches"), pytest.raises(CampaignError, match="being sent just now"):
            move(here, there)
        assert there.campaigns() == []
        here.refuse_moved()


def test_campaigns_of_another_ledger_are_not_mixed_in(file: Path, place: Server, tmp_path: Path) -> None:
    with Ledger(file) as here, Ledger(tmp_path / "other.db") as other, Ledger(place) as there:
        made_up(here, crowd(10))
        made_up(other, crowd(10), name="other")
        move(here, there)
        with pytest.raises(CampaignError, match="campaigns of its own"):
            move(other, there)
        other.refuse_moved()


def test_killed_while_it_moves_nobody_can_send_from_the_file_and_the_same_command_carries_on(
    file: Path, campaign_folder: Path, place: Server
) -> None:
    with Ledger(file) as here:
        made_up(here, crowd(50))
    program = Program(
        folder=campaign_folder, settings={"MAILER_LEDGER": place.address, "MAILER_CRASH_AT": "before-arrival"}
    )
    assert program.run("ledger", "copy", "mailer.db").returncode not in {0, 1, 2, 3}
    with Ledger(place) as there:
        assert there.campaigns() == []
    with pytest.raises(CampaignError, match="was moved"):
        Ledger(file)
    del program.settings["MAILER_CRASH_AT"]
    assert program.json("ledger", "copy", "mailer.db")["campaigns"] == ["appeal--branches"]
    assert program.json("ledger", "copy", "mailer.db")["campaigns"] == []
    assert program.json("status", "appeal--branches", code=0)["total"] == 50


def test_without_a_database_to_copy_to_it_is_said_what_to_set(campaign_folder: Path) -> None:
    done = Program(folder=campaign_folder).run("ledger", "copy", "mailer.db")
    assert done.returncode == 2
    assert "MAILER_LEDGER names no database" in done.stderr
