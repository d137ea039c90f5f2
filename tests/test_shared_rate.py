"""Two computers send over one account with one ledger on PostgreSQL: its limits and those of domains hold for both together."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from program import Program
from smtp_server import Accepted, ScriptedServer
from test_rate import LETTER, address, closest
from test_shared_throttle import wait_until

PER_SECOND, SLOW, EACH = 20, 7, 40


def folder_for(place: Path, sender: int) -> Path:
    place.mkdir()
    (place / "letter.md").write_text(LETTER, encoding="utf-8")
    rows = [f"Pat {number},{sender}{address(number + 45)}" for number in range(EACH)]
    (place / f"list{sender}.csv").write_text("\n".join(["name,email", *rows, ""]), encoding="utf-8")
    return place


def to_slow(messages: Sequence[Accepted]) -> list[Accepted]:
    return [message for message in messages if message.rcpt_to[0].endswith("slow.example")]


def settings_for(server: ScriptedServer, ledger: str) -> dict[str, str]:
    return {
        "MAILER_LEDGER": ledger,
        "MAILER_SMTP_HOST": "127.0.0.1",
        "MAILER_SMTP_PORT": str(server.port),
        "MAILER_SENDER": "Solidarity Campaign <campaign@example.org>",
        "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
    }


SELDOM = pytest.mark.thorough


@pytest.mark.parametrize(
    "between", [pytest.param("unlimited", marks=SELDOM), "1000/hour", pytest.param("2/hour", marks=SELDOM)]
)
def test_a_limit_that_is_set_again_counts_what_was_sent_meanwhile(
    tmp_path: Path, postgres: PostgresServer, between: str
) -> None:
    with ScriptedServer() as server, postgres.database() as name:
        program = Program(folder=folder_for(tmp_path / "1", 1), settings=settings_for(server, postgres.address(name)))

        def send(*options: str) -> int:
            return program.run("send", "letter.md", "list1.csv", "--yes", *options).returncode

        first, then = (4, 0) if between == "2/hour" else (2, 2)
        assert send("--rate", "5/hour", "--limit", str(first)) == 3
        if then:
            assert send("--rate", between, "--limit", str(then)) == 3
        else:
            lowered = program.begin("send", "letter.md", "list1.csv", "--yes", "--rate", between)
            stopped_when_it_waits(lowered, postgres, name)
        assert send("--rate", "5/hour", "--limit", "1") == 3
        last = program.begin("send", "letter.md", "list1.csv", "--yes", "--rate", "5/hour")
        stopped_when_it_waits(last, postgres, name)
        assert len(server.accepted) == 5


def stopped_when_it_waits(sender: subprocess.Popen[bytes], postgres: PostgresServer, name: str) -> None:
    """Stop a sender once it holds a place that is free much later."""
    waits = "SELECT count(*) > 0 FROM places WHERE holder IS NOT NULL AND free_at > extract(epoch FROM now()) + 1800"
    wait_until(lambda: postgres.query(waits, name) == [(True,)])
    sender.send_signal(signal.SIGINT)
    assert sender.wait(30) == 3


@pytest.mark.thorough
def test_two_senders_at_once_stay_below_what_each_alone_would_use(tmp_path: Path, postgres: PostgresServer) -> None:
    with ScriptedServer() as server, postgres.database() as name:
        settings = {
            **settings_for(server, postgres.address(name)),
            "MAILER_RATE": f"{PER_SECOND}/second",
            "MAILER_DOMAIN_RATE": f"slow.example={SLOW}/second",
        }
        programs = [Program(folder=folder_for(tmp_path / str(one), one), settings=settings) for one in (1, 2)]
        options = ("--yes", "--connections", "2")
        running = [
            program.begin("send", "letter.md", f"list{one}.csv", *options)
            for one, program in enumerate(programs, start=1)
        ]
        assert [one.wait(60) for one in running] == [0, 0]
        accepted = sorted(server.accepted, key=lambda message: message.at)
        assert len({message.rcpt_to for message in accepted}) == len(accepted) == 2 * EACH
        assert closest(accepted, PER_SECOND) > 1
        assert closest(to_slow(accepted), SLOW) > 1
        # both at once, not one after the other
        first, second = (
            [message.at for message in accepted if message.rcpt_to[0].startswith(f"{one}p")] for one in (1, 2)
        )
        assert max(first[0], second[0]) < min(first[-1], second[-1])
        held = postgres.query("SELECT count(*) FROM places WHERE holder IS NOT NULL", name)
        assert held == [(0,)]
