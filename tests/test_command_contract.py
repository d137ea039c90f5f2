"""What other programs rely on (DESIGN section 6): exit codes, and one JSON object on standard output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from journey import LETTER, Journey, Ran, as_csv, beginning, people
from smtp_server import ScriptedServer

STATUSES = ("queued", "sending", "sent", "deferred", "failed", "uncertain", "suppressed", "skipped")
SENDING = {"campaign", "total", *STATUSES, "seal", "state"}
SEAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(10)) as journey:
        yield journey


def send(journey: Journey, *options: str, **settings: str) -> Ran:
    return journey.call("send", *journey.campaign, "--yes", *options, settings=settings)


def add_up(data: dict[str, Any]) -> None:
    """Every key is there, every count is a whole number, and the counts are the total."""
    assert set(data) >= SENDING
    assert all(type(data[name]) is int for name in ("total", *STATUSES))
    assert sum(data[name] for name in STATUSES) == data["total"]
    assert SEAL.fullmatch(data["seal"])


# -- one JSON object


def test_check_prints_counts_that_add_up_and_every_problem(journey: Journey) -> None:
    rows = people(10)
    rows[1]["email"], rows[2]["email"], rows[3]["email"] = "", "nobody", rows[0]["email"]
    journey.write("list.csv", as_csv(rows) + "\n,,\n")
    ran = journey.run("check", "list.csv", "--json")
    assert ran.code == 2
    data = ran.data
    assert set(data) >= {"rows", "ready", "problems", "duplicates", "blank"}
    assert all(type(data[name]) is int for name in ("rows", "ready", "duplicates", "blank"))
    assert (data["rows"], data["ready"], data["duplicates"]) == (10, 7, 1)
    assert data["blank"] == 2
    assert all(set(problem) >= {"row", "column", "code", "message"} for problem in data["problems"])
    assert [(problem["row"], problem["column"], problem["code"]) for problem in data["problems"]] == [
        (3, "email", "missing-address"),
        (4, "email", "malformed-address"),
    ]
    assert journey.call("check", "list.csv", "--json", "--skip-problems").code == 0


def test_preview_send_and_status_print_one_object_each_under_the_same_seal(journey: Journey) -> None:
    preview = journey.run("preview", *journey.campaign, "--json", "--out", "gallery")
    assert preview.code == 0
    assert set(preview.data) >= {"campaign", "messages", "seal", "out", "warnings"}
    assert (preview.data["campaign"], preview.data["messages"]) == ("appeal--list", 10)
    assert (preview.data["out"], preview.data["warnings"]) == ("gallery", [])
    assert SEAL.fullmatch(preview.data["seal"])

    sent = journey.run("send", *journey.campaign, "--yes", "--json", "--limit", "4", "--seal", preview.data["seal"])
    assert sent.code == 3
    add_up(sent.data)
    assert (sent.data["sent"], sent.data["queued"], sent.data["state"]) == (4, 6, "paused")

    status = journey.run("status", "appeal--list", "--json")
    assert status.code == 0
    add_up(status.data)
    assert {name: status.data[name] for name in SENDING} == {name: sent.data[name] for name in SENDING}
    assert status.data["seal"] == preview.data["seal"]
    (listed,) = journey.call("status", "--json").data["campaigns"]
    add_up(listed)

    finished = send(journey, "--json")
    assert (finished.code, finished.data["state"], finished.data["sent"]) == (0, "finished", 10)
    add_up(finished.data)
    again = send(journey, "--json")
    assert (again.code, again.data) == (0, finished.data)
    assert datetime.fromisoformat(journey.status()["finished_at"]).tzinfo
    assert journey.settled() == {"sent": 10}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "nowhere.csv"),
        ("preview", "appeal", "nowhere.csv"),
        ("preview", "nothing", "list.csv"),
        ("send", "appeal", "list.csv"),
        ("send", "appeal", "list.csv", "--yes", "--seal", "x"),
        ("send", "appeal"),
        ("status", "nothing"),
        ("report", "nothing"),
        ("resolve", "nothing"),
        ("retry", "nothing"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_a_refusal_is_one_object_too_with_the_reason_and_the_way_out(
    journey: Journey, arguments: tuple[str, ...]
) -> None:
    ran = journey.call(*arguments, "--json")
    assert ran.code == 2
    assert set(ran.data) == {"error", "hint", "problems"}
    assert ran.data["error"]
    assert ran.data["hint"] or ran.data["problems"]
    assert journey.nothing_sent()


def test_what_is_odd_about_one_row_is_told_with_the_list_and_the_row(journey: Journey) -> None:
    journey.write("templates/appeal.md", LETTER + "\n[write]({{ mailto('x@example.net', 'Subject', city * 1500) }})\n")
    ran = journey.call("preview", *journey.campaign, "--json")
    assert ran.code == 0
    warnings = ran.data["warnings"]
    assert [(warning["file"], warning["row"]) for warning in warnings] == [("list.csv", row) for row in range(2, 12)]
    assert all(set(warning) >= {"row", "column", "code", "message"} for warning in warnings)


# -- exit codes


def test_0_everything_is_final_and_nothing_failed(journey: Journey) -> None:
    assert journey.call("suppress", "add", "p3@example.org").code == 0
    ran = send(journey, "--json")
    assert (ran.code, ran.data["state"]) == (0, "finished")
    assert journey.settled() == {"sent": 9, "suppressed": 1}


def test_1_finished_but_somebody_is_refused_for_good(journey: Journey) -> None:
    journey.server.on("dot", nth=4, reply="550 5.1.1 User unknown")
    ran = send(journey)
    assert ran.code == 1
    assert ran.step("Who failed:") == ["report", "appeal--list"]
    assert journey.settled() == {"sent": 9, "failed": 1}
    assert send(journey).code == 1


def test_1_finished_but_somebody_is_in_doubt_until_a_person_decides(journey: Journey) -> None:
    journey.server.on("accepted", nth=4, drop=True)
    ran = send(journey)
    assert ran.code == 1
    assert ran.step("To decide:") == ["resolve", "appeal--list"]
    assert journey.settled() == {"sent": 9, "uncertain": 1}
    assert len(journey.accepted()) == 10
    assert send(journey).code == 1
    assert len(journey.accepted()) == 10
    assert journey.call("resolve", journey.name).code == 1
    assert journey.call("resolve", journey.name, "--as", "sent", "p5@example.org").code == 0
    assert send(journey).code == 0
    assert journey.settled() == {"sent": 10}


def test_3_work_is_left_because_somebody_is_to_be_tried_again_later(journey: Journey) -> None:
    journey.server.on("rcpt", nth=4, reply="451 4.7.1 Greylisted, come back later")
    ran = send(journey)
    assert ran.code == 3
    assert re.search(r"To be tried again from \d{4}-\d\d-\d\d \d\d:\d\d: 1\n", ran.out)
    assert ran.step("To continue:") == ["send", "appeal", "list.csv"]
    assert journey.settled() == {"sent": 9, "deferred": 1}
    early = send(journey, "--json")
    assert (early.code, early.data["deferred"], early.data["state"]) == (3, 1, "paused")
    assert datetime.fromisoformat(early.data["next_attempt_at"]).tzinfo
    assert len(journey.accepted()) == 9


def test_4_a_wrong_password_is_tried_once_and_said_without_showing_it(tmp_path: Path) -> None:
    with ScriptedServer(users={"ana": "right"}) as server:
        journey = Journey(tmp_path / "my campaign", server, rows=people(10))
        ran = send(journey, "--json", MAILER_SMTP_USERNAME="ana", MAILER_SMTP_PASSWORD="s3cret-wrong")
        assert ran.code == 4
        add_up(ran.data)
        assert (ran.data["queued"], ran.data["state"]) == (10, "stopped")
        assert "refused the user name or password" in ran.data["reason"]
        assert "s3cret" not in ran.said
        asked = [line for lines in server.transcripts for line in lines if line.startswith("C: AUTH")]
        assert len(asked) == 1
        assert journey.nothing_sent()
        assert send(journey, MAILER_SMTP_USERNAME="ana", MAILER_SMTP_PASSWORD="right").code == 0
        assert journey.settled() == {"sent": 10}


STOPS = [
    ("rcpt", "550 5.7.1 Message rejected for policy reasons", "Several messages in a row were refused", 3),
    ("mail", "550 5.4.5 Daily user sending limit exceeded", "reached its provider's sending limit", 1),
    ("rcpt", "450 4.2.1 The user is over its quota: sending limit exceeded", "sending limit", 1),
    ("rcpt", "550 5.1.1 User unknown", "Too many addresses of this list are refused", 5),
    ("dot", "554 5.6.0 Message contents are not acceptable", "Change the letter", 1),
    ("dot", "552 5.3.4 Message too big", "larger than the mail server accepts", 1),
    ("rcpt", "530 5.7.0 Authentication required", "", 1),
]


@pytest.mark.parametrize(("phase", "reply", "words", "asked"), STOPS, ids=[reply[:20] for _, reply, _, _ in STOPS])
def test_4_the_relay_refuses_us_and_is_not_pestered(
    journey: Journey, phase: str, reply: str, words: str, asked: int
) -> None:
    rule = journey.server.on(phase, reply=reply)
    ran = send(journey)
    assert ran.code == 4
    assert rule.count == asked
    assert words in ran.err
    assert ran.step("To continue:") == ["send", "appeal", "list.csv"]
    counts = journey.settled()
    assert counts["queued"] >= 10 - asked
    assert "sent" not in counts
    assert journey.status()["state"] == "stopped"
    told = journey.call("status", journey.name).out
    assert f"Campaign {journey.name}: stopped" in told
    assert words in told, "also to whoever looks later"

    journey.server.rules.clear()
    expected = 1 if "failed" in counts else 3 if "deferred" in counts else 0
    assert send(journey).code == expected
    assert len(journey.accepted()) == counts["queued"]
