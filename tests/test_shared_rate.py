"""Two computers send over one account with one ledger on PostgreSQL: its limits and those of domains hold for both together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from program import Program
from smtp_server import Accepted, ScriptedServer
from test_rate import LETTER, address, closest

PER_SECOND, SLOW, EACH = 20, 7, 40


def folder_for(place: Path, sender: int) -> Path:
    place.mkdir()
    (place / "letter.md").write_text(LETTER, encoding="utf-8")
    rows = [f"Pat {number},{sender}{address(number + 45)}" for number in range(EACH)]
    (place / f"list{sender}.csv").write_text("\n".join(["name,email", *rows, ""]), encoding="utf-8")
    return place


def to_slow(messages: Sequence[Accepted]) -> list[Accepted]:
    return [message for message in messages if message.rcpt_to[0].endswith("slow.example")]


@pytest.mark.thorough
def test_two_senders_at_once_stay_below_what_each_alone_would_use(tmp_path: Path, postgres: PostgresServer) -> None:
    with ScriptedServer() as server, postgres.database() as name:
        settings = {
            "MAILER_LEDGER": postgres.address(name),
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(server.port),
            "MAILER_SENDER": "Solidarity Campaign <campaign@example.org>",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
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
