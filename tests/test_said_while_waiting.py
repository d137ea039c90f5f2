"""What is said while nothing seems to happen: each reason once, in a terminal and where nobody watches."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import PATIENCE, Journey, beginning, lines_of, people
from rich.console import Console
from smtp_script import Rule

from mailer.cli import console
from mailer.cli.progress import ProgressLine
from mailer.model import Status

NOT_ANSWERED = "The mail server has not answered for 15 seconds; mailer waits up to 10 minutes. Ctrl-C pauses."


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(3)) as journey:
        yield journey


def until_the_third_try(journey: Journey, third: Rule) -> str:
    running = journey.start("send", *journey.campaign, "--yes")
    assert third.fired.wait(PATIENCE)
    running.interrupt()
    ran = journey.calm(running.ended())
    assert ran.code == 3
    return ran.err


def test_a_refused_port_is_said_at_once_in_a_pipe(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    journey = Journey(tmp_path / "my campaign", port=port, rows=people(3))
    running = journey.start("send", *journey.campaign, "--yes")
    running.wait_for("; mailer keeps trying.")
    running.interrupt()
    said = journey.calm(running.ended()).err
    assert f"\nNo connection to 127.0.0.1 port {port}: nothing answers at that port; mailer keeps trying.\n" in said


def test_a_reason_to_connect_anew_is_said_once_and_not_once_a_try(journey: Journey) -> None:
    assert journey.server is not None
    third = journey.server.on("greeting", nth=3, drop=True)
    journey.server.on("greeting", drop=True)
    assert until_the_third_try(journey, third).count("mailer keeps trying") == 1


def test_a_number_in_the_servers_words_makes_no_other_reason(journey: Journey) -> None:
    assert journey.server is not None
    first, second, third = (
        journey.server.on(
            "greeting", nth=number, reply=f"421 4.3.2 Too busy for kim@example.org, try later ({number}a)"
        )
        for number in (1, 2, 3)
    )
    said = until_the_third_try(journey, third)
    assert first.count == second.count == 1
    assert said.count("mailer keeps trying") == 1
    assert "Too busy" in said
    assert "kim@" not in said.partition("mailer keeps trying")[0]


def test_a_silent_server_is_said_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(3) as line:
        line.silent(15.2, 600)
        line.silent(15, 60)
        line.silent(136, 600)
    assert capsys.readouterr().err.splitlines() == [
        NOT_ANSWERED,
        "The mail server has not answered for 15 seconds; mailer waits up to 60 seconds. Ctrl-C pauses.",
        "The mail server has not answered for 2 minutes; mailer waits up to 10 minutes. Ctrl-C pauses.",
    ]


@pytest.mark.thorough  # a quarter of a minute of waiting
def test_a_server_that_takes_a_message_and_says_nothing_is_told_after_a_while(journey: Journey) -> None:
    assert journey.server is not None
    rule = journey.server.on("accepted", nth=2, hold=True)
    running = journey.start("send", *journey.campaign, "--yes", settings={"MAILER_SMTP_TIMEOUT": "300"})
    assert rule.fired.wait(PATIENCE)
    running.wait_for("; mailer waits up to 10 minutes. Ctrl-C pauses.")
    rule.release()
    assert journey.calm(running.ended()).code == 0
    assert journey.settled() == {"sent": 3}


def test_a_silent_server_is_said_above_the_line_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False, markup=False, emoji=False)
    monkeypatch.setattr(console, "err", lambda: screen)
    with ProgressLine(3) as line:
        line.recorded(None, Status.SENT, None)
        line.silent(15, 600)
        shown = lines_of(screen.file.getvalue())
        assert line.told(119) == "1/3  sent 1  no answer yet; waiting up to 10 minutes"
    assert shown[-2] == NOT_ANSWERED
    assert "/3  sent " in shown[-1]
    line.recorded(None, Status.SENT, None)
    assert "no answer" not in line.told(119)
