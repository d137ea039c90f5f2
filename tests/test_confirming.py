"""What a person is told before, and what Ctrl-C and another locale do to it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from journey import PATIENCE, Journey, Running, as_csv, beginning, people

from mailer.__main__ import readable
from mailer.campaign.reasons import stopped_by
from mailer.cli.again import again
from mailer.errors import quoted
from mailer.model import Outcome, Phase, Reply, Scope, Verdict

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal or locale")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(10)) as journey:
        yield journey


def flawed(journey: Journey) -> None:
    rows = people(10)
    rows[1]["email"], rows[3]["email"] = "nobody", rows[0]["email"]
    journey.write("list.csv", as_csv(rows))
    assert journey.call("suppress", "add", "p8@example.org").code == 0


def test_who_is_left_out_is_said_before_the_question(journey: Journey) -> None:
    flawed(journey)
    ran = journey.call("send", *journey.campaign, "--skip-problems")
    assert "Nobody is there to confirm 7 messages" in ran.err
    assert (
        "10 in the list: 7 get the letter, 1 has a problem and is skipped, 1 does not want our mail, 1 is there twice."
        in ran.err
    )
    assert journey.nothing_sent()


def test_who_is_asked_sees_the_subject(journey: Journey) -> None:
    assert "  Subject of the first: Freedom for our comrades, Pat 2\n" in journey.call("send", *journey.campaign).err
    assert journey.call("send", *journey.campaign, "--yes", "--limit", "1").code == 3
    # what was frozen counts, and its first one may have it already
    assert "  Subject: Freedom for our comrades, {{ name }}\n" in journey.call("send", *journey.campaign).err
    journey.write("templates/plain.md", "---\nsubject: Strike\n---\nHello\n")
    assert "  Subject: Strike\n" in journey.call("send", "plain", "list.csv").err


def test_nothing_is_said_of_a_list_that_is_mailed_whole(journey: Journey) -> None:
    assert "in the list" not in journey.call("send", *journey.campaign, "--yes").said


def test_a_continued_campaign_says_who_had_it_and_who_waits_for_a_decision(journey: Journey) -> None:
    flawed(journey)
    assert journey.server is not None
    journey.server.on("accepted", nth=2, drop=True)
    given = ("send", *journey.campaign, "--skip-problems")
    assert journey.call(*given, "--yes", "--limit", "4").code == 3
    ran = journey.call(*given)
    assert (
        "9 in the list: 3 get the letter now, 3 have it already, 1 is uncertain, 1 is skipped, 1 does not want our mail."
        in ran.err
    )
    assert "1 waits for your decision" in ran.err
    assert "\n    mailer resolve appeal--list\n" in ran.err
    journey.write("list.csv", as_csv(people(11)))
    ran = journey.call(*given, "--update")
    assert (
        "11 in the list: 6 get the letter now, 3 have it already, 1 is uncertain, 1 does not want our mail." in ran.err
    )


def test_after_a_kill_all_counts_agree_on_who_is_uncertain(journey: Journey) -> None:
    assert journey.server is not None
    held = [journey.server.on("accepted", nth=number, hold=True) for number in (3, 4)]
    running = journey.start("send", *journey.campaign, "--yes", "--connections", "2")
    assert all(rule.fired.wait(PATIENCE) for rule in held)
    running.process.kill()
    running.ended()
    for rule in held:
        rule.release()
    ran = journey.call("send", *journey.campaign)
    assert "10 in the list: 6 get the letter now, 2 have it already, 2 are uncertain." in ran.err
    assert "2 wait for your decision, since nobody knows whether they arrived. To decide:" in ran.err
    told = journey.call("resolve", journey.name).out
    assert told.count("the program ended between the message and the server's answer") == 2


def test_with_a_limit_only_those_are_counted_who_get_the_letter_in_this_run(journey: Journey) -> None:
    ran = journey.call("send", *journey.campaign, "--limit", "4")
    assert "10 in the list: 4 get the letter now, 6 are left for later runs." in ran.err
    assert journey.call("send", *journey.campaign, "--limit", "3", "--yes").code == 3
    ran = journey.call("send", *journey.campaign, "--limit", "6")
    assert "10 in the list: 6 get the letter now, 1 is left for a later run, 3 have it already." in ran.err
    journey.write("list.csv", as_csv(people(12)))
    ran = journey.call("send", *journey.campaign, "--update", "--limit", "5")
    assert "12 in the list: 5 get the letter now, 4 are left for later runs, 3 have it already." in ran.err


def test_with_a_changed_list_it_is_told_as_well_who_failed_and_who_is_to_be_tried_again(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("rcpt", address="p3@example.org", reply="550 5.7.1 No")
    journey.server.on("rcpt", address="p4@example.org", reply="452 4.2.2 Mailbox full")
    assert journey.call("suppress", "add", "p5@example.org").code == 0
    assert journey.call("send", *journey.campaign, "--yes").code == 3
    assert journey.call("suppress", "remove", "p5@example.org").code == 0
    journey.write("list.csv", as_csv(people(11)))
    ran = journey.call("send", *journey.campaign, "--update")
    assert (
        "11 in the list: 1 gets the letter now, 7 have it already, 1 is to be tried again later, 1 was refused,"
        " 1 is left out, though no longer suppressed." in ran.err
    )


def test_a_dead_address_is_not_told_as_somebody_who_asked_for_no_mail(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("rcpt", address="p4@example.org", reply="550 5.1.1 User unknown")
    assert journey.call("suppress", "add", "p8@example.org").code == 0
    ran = journey.call("send", *journey.campaign, "--yes")
    assert "10 in the list: 9 get the letter, 1 does not want our mail." in ran.err
    second = ("send", *journey.campaign, "--campaign", "second")
    ran = journey.call(*second, "--yes", "--limit", "5")
    left_out = "1 has a dead address, 1 does not want our mail"
    assert f"10 in the list: 5 get the letter now, 3 are left for later runs, {left_out}." in ran.err
    ran = journey.call(*second)
    assert f"10 in the list: 3 get the letter now, 5 have it already, {left_out}." in ran.err
    assert journey.call("suppress", "remove", "p8@example.org").code == 0
    ran = journey.call(*second)
    assert "have it already, 1 has a dead address, 1 is left out, though no longer suppressed." in ran.err


def test_the_command_that_continues_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mailer", "send", "a", "b.csv", "--yes", "--limit", "4", "--rate", "1/hour"])
    assert again() == "mailer send a b.csv --rate 1/hour"


def test_an_option_with_its_value_in_one_word_stays_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["send", "--yes", "--limit=3", "--seal=1-2", "--rate=1/hour", "--sheet=Our people", "--", "-a", "b c.csv"]
    monkeypatch.setattr(sys, "argv", ["mailer", *typed])
    assert again() == 'mailer send --seal=1-2 --rate=1/hour "--sheet=Our people" -- -a "b c.csv"'
    assert again((), besides=("--update",)) == (
        'mailer send --limit=3 --seal=1-2 --rate=1/hour "--sheet=Our people" --update -- -a "b c.csv"'
    )
    # a file by such a name, where no `--` stands before it
    assert [quoted(name) for name in ("-a.csv", "a=b.csv")] == ["./-a.csv", "a=b.csv"]


@pytest.mark.thorough
def test_with_yes_nobody_gets_a_letter_again_for_a_renamed_list(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    journey.write("members.csv", as_csv(people(11)))
    renamed = ("send", "appeal", "members.csv")
    ran = journey.run(*renamed, "--yes", "--limit", "10")
    assert ran.code == 2
    assert "10 of these 11 people already got this letter, in campaign 'appeal--list'" in ran.err
    assert "Then continue that one: --campaign appeal--list" in ran.err
    hinted = re.findall(r"(?:Hint:|      ).*?: (mailer send .*)\n", ran.err)
    assert hinted == [
        "mailer send appeal members.csv --limit 10 --campaign=appeal--list --update",
        "mailer send appeal members.csv --limit 10 --campaign=appeal--members",
    ]
    for line, count in zip(hinted, (1, 10), strict=True):  # each as it stands
        assert f"Nobody is there to confirm {count} message" in journey.call(*shlex.split(line)[1:]).err
    assert len(journey.accepted()) == 10
    ran = journey.call(*renamed)  # whoever is asked reads it before the question
    assert "10 of these 11 people already got this letter" in ran.err
    assert "Nobody is there to confirm 11 messages" in ran.err
    # the way on that the refusal names, for each of its two meanings
    named = (*renamed, "--campaign", "appeal--members", "--yes")
    assert journey.call(*named, "--limit", "1").code == 3
    assert journey.call(*renamed, "--yes", "--limit", "1").code == 3  # it has begun, so it is continued
    assert journey.call(*renamed, "--campaign", "appeal--list", "--update", "--yes").code == 0
    assert journey.accepted() == {f"p{row}@example.org": 2 if row < 4 else 1 for row in range(2, 13)}


def interrupted(running: Running) -> str:
    running.interrupt()
    ran = running.ended()
    assert ran.code == 3
    return ran.said


@POSIX
def test_ctrl_c_at_the_question_says_that_nothing_was_sent(journey: Journey) -> None:
    running = journey.sit("send", *journey.campaign)
    running.wait_for("anything else stops: ")
    said = interrupted(running)
    assert re.search(r"stops: \r?\n(\x1b\[\d+m)?Nothing was sent\.", said)
    assert "Nothing is lost" not in said
    assert journey.nothing_sent()


@POSIX
def test_ctrl_c_while_messages_are_checked_says_that_nothing_was_sent(journey: Journey) -> None:
    journey.write("list.csv", as_csv(people(20_000)))
    running = journey.sit("preview", *journey.campaign)
    running.wait_for("Checking every message")
    assert "Stopped. Nothing was sent; run it again to start over." in interrupted(running)


@POSIX
@pytest.mark.thorough
def test_names_with_umlauts_work_in_the_plainest_locale(journey: Journey) -> None:
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": None}
    journey.write("Käthe.csv", as_csv(people(2)))
    given = ("appeal", "Käthe.csv", "--campaign", "Zweite Käthe", "--yes", "--limit", "1")
    ran = journey.run("send", *given, settings=plain)
    assert ran.code == 3
    assert journey.call("status", "Zweite Käthe", "--json").data["sent"] == 1
    assert ran.step("To continue:") == ["send", "appeal", "Käthe.csv", "--campaign", "Zweite Käthe"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("Zweite K\udcc3\udca4the", "Zweite Käthe"), ("Käthe", "Käthe"), ("\udcff", "\ufffd"), ("\ud800", "?")],
)
def test_an_argument_is_always_text(word: str, expected: str) -> None:
    assert readable(word) == expected


# -- --give-up-after


def test_somebody_is_given_up_after_the_time_that_was_asked_for(journey: Journey) -> None:
    assert journey.server is not None
    journey.server.on("rcpt", nth=1, reply="452 4.2.2 Mailbox full")
    ran = journey.call("send", *journey.campaign, "--yes", "--give-up-after", "1s")
    assert ran.code == 1
    assert journey.settled() == {"sent": 9, "failed": 1}


def test_a_time_that_is_none_is_refused_with_an_example(journey: Journey) -> None:
    ran = journey.call("send", *journey.campaign, "--yes", "--give-up-after", "soon")
    assert ran.code == 2
    assert "--give-up-after 'soon': it is not a length of time" in ran.err
    assert 'Hint: for example --give-up-after "2 days"' in ran.err
    assert journey.nothing_sent()


def test_a_skipped_row_is_reported_with_what_stood_in_its_address_cell(journey: Journey) -> None:
    rows = people(10)
    rows[1]["email"] = "pat at example.org"
    journey.write("list.csv", as_csv(rows))
    assert journey.call("send", *journey.campaign, "--yes", "--skip-problems").code == 0
    (skipped,) = (row for row in journey.report() if row["status"] == "skipped")
    assert (skipped["row"], skipped["address"]) == ("3", "pat at example.org")
    assert journey.accepted().total() == 9


def test_words_are_only_the_servers_own_where_there_was_a_reply() -> None:
    lost = Outcome(verdict=Verdict.REQUEUED, scope=Scope.CONNECTION, phase=Phase.TLS, text="no encryption")
    assert stopped_by(lost).hint == "in detail: no encryption"
    answered = replace(lost, reply=Reply(code=535, text="5.7.8 Bad"), text="535 5.7.8 Bad")
    assert stopped_by(answered).hint == "the server's own words: 535 5.7.8 Bad"


def test_what_was_typed_already_is_not_proposed_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mailer", "send", "a", "b.csv", "--update", "--yes"])
    assert again((), besides=("--campaign=a--b", "--update")) == "mailer send a b.csv --update --campaign=a--b"
