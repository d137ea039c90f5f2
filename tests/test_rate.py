"""The rate limit as the server sees it, in real time: one run of ten seconds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from program import Program
from smtp_server import Accepted, ScriptedServer

pytestmark = [pytest.mark.alone, pytest.mark.thorough]

MESSAGES = 200
PER_SECOND = 20
PER_SECOND_SLOW = 7
SLOW = 60
CONNECTIONS = 3

LETTER = "---\nsubject: To {{ name }}\n---\nDear {{ name }},\n\nan injury to one is an injury to all.\n"


def address(number: int) -> str:
    """The first sixty are at a slow destination, some at a name below it, which shares its limit."""
    if number < SLOW:
        return f"p{number}@{'mail.' if number % 3 == 0 else ''}slow.example"
    return f"p{number}@branch{number % 9}.example"


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> list[Accepted]:
    """What the server took, by the time of the final dot on its monotonic clock."""
    folder = tmp_path_factory.mktemp("rate")
    (folder / "letter.md").write_text(LETTER, encoding="utf-8")
    rows = [f"Pat {number},{address(number)}" for number in range(MESSAGES)]
    (folder / "list.csv").write_text("\n".join(["name,email", *rows, ""]), encoding="utf-8")
    with ScriptedServer() as server:
        settings = {
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(server.port),
            "MAILER_SENDER": "Solidarity Campaign <campaign@example.org>",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
            "MAILER_DOMAIN_RATE": f"slow.example={PER_SECOND_SLOW}/second",
        }
        options = ("--yes", "--rate", f"{PER_SECOND}/second", "--connections", str(CONNECTIONS))
        result = Program(folder=folder, settings=settings).json("send", "letter.md", "list.csv", *options)
        assert (result["sent"], result["total"]) == (MESSAGES, MESSAGES)
        assert not server.violations
        return sorted(server.accepted, key=lambda message: message.at)


def closest(messages: Sequence[Accepted], count: int) -> float:
    """The shortest time in seconds in which `count` + 1 messages came: above 1, no second ever held more than `count`."""
    return min(later.at - earlier.at for earlier, later in zip(messages, messages[count:], strict=False))


def test_nobody_is_mailed_twice_and_all_connections_work(accepted: list[Accepted]) -> None:
    assert sorted(message.rcpt_to for message in accepted) == sorted((address(number),) for number in range(MESSAGES))
    assert {message.connection for message in accepted[:PER_SECOND]} == set(range(1, CONNECTIONS + 1))


def test_no_second_ever_holds_more_than_the_limit(accepted: list[Accepted]) -> None:
    assert closest(accepted, PER_SECOND) >= 1.0


def test_no_second_ever_holds_more_than_the_limit_of_a_destination(accepted: list[Accepted]) -> None:
    slow = [message for message in accepted if message.rcpt_to[0].endswith("slow.example")]
    assert len(slow) == SLOW
    assert closest(slow, PER_SECOND_SLOW) >= 1.0


def test_the_limit_is_used(accepted: list[Accepted]) -> None:
    # Ten times twenty: the last twenty may go nine seconds after the first.
    assert 9.0 <= accepted[-1].at - accepted[0].at <= 11.0


def test_a_slow_destination_keeps_nobody_else_waiting(accepted: list[Accepted]) -> None:
    # It has the first sixty places of the list, yet of the first twenty messages most are for others.
    first = accepted[:PER_SECOND]
    assert first[-1].at - first[0].at < 1.0
    assert sum(message.rcpt_to[0].endswith("slow.example") for message in first) == PER_SECOND_SLOW
