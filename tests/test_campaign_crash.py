"""The program is killed at every named point and at random; then the same command again, until nothing is left.

The server lives in the test's own process and knows what it accepted. Whatever happens: nobody twice, nobody missed,
nobody called sent who was not, and per kill at most one message a connection of which nobody knows.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import starting
from campaigns import address, once_each, received, write_letter, write_list
from ledger_places import place_of, setting
from smtp_server import ScriptedServer

from mailer.crashpoint import NAMES
from mailer.ledger import Ledger
from mailer.model import LedgerPlace, Status, Tally

COUNT = 60
NAME = "appeal--people"
PEOPLE = [address(number) for number in range(1, COUNT + 1)]

# Each kill continues the campaign of the one before. The last but one comes at the very last message.
KILLS = (
    "after-start",
    "before-intent:5",
    "after-intent:4",
    "after-dot:1",
    "after-reply:5",
    "after-outcome:1",
    "after-reply:1",
    "after-dot:LAST",
)

# No file may grow beyond this: for SQLite the same as a disk that is full.
FULL_DISK = """
import resource, sys
from mailer.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
sys.exit(main(sys.argv[1:]))
"""


class Killed:
    """A campaign that is killed again and again."""

    def __init__(self, folder: Path, server: ScriptedServer, connections: int, place: LedgerPlace) -> None:
        self.folder, self.server, self.connections, self.place = folder, server, connections, place
        self.kills = 0
        write_letter(folder)
        write_list(folder, PEOPLE)

    def start(
        self, *arguments: str, crash_at: str | None = None, file_size: int | None = None
    ) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "MAILER_LEDGER": setting(self.place),
            "MAILER_SMTP_HOST": self.server.host,
            "MAILER_SMTP_PORT": str(self.server.port),
            "MAILER_SMTP_SECURITY": "none",
            "MAILER_SENDER": "Union Office <office@example.org>",
            "MAILER_POSTAL_ADDRESS": "1 Mill Lane, Leeds",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@example.org",
            "MAILER_RATE": "100000/second",
            "MAILER_BATCH_SIZE": "4",
            "MAILER_CONNECTIONS": str(self.connections),
            "PYTHONUTF8": "1",
        }
        if crash_at:
            environment["MAILER_CRASH_AT"] = crash_at
        command = [sys.executable, "-m", "mailer", *arguments]
        if file_size:
            command[1:3] = ["-c", FULL_DISK.format(file_size)]
        return starting.start(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def send(self, crash_at: str | None = None) -> subprocess.Popen[str]:
        return self.start("send", "appeal", "people.csv", "--yes", crash_at=crash_at)

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        with process:
            said, _ = process.communicate(timeout=60)
        assert "Traceback" not in said, said
        return process.returncode, said

    def dies(self, process: subprocess.Popen[str], *, late: bool = False) -> bool:
        """Whether it was killed; a `late` kill may find that it has finished."""
        code, said = self.ended(process)
        killed = code not in {0, 1, 2, 3, 4}
        assert killed or (late and code in {0, 1}), f"it was to be killed, but ended with {code}: {said}"
        self.kills += killed
        self.check()
        return killed

    def tally(self) -> Tally:
        with Ledger(self.place) as ledger:
            return ledger.tally(ledger.find(NAME))

    def identifiers(self, *wanted: Status) -> dict[str, str]:
        """Address by Message-ID of those who stand so."""
        with Ledger(self.place) as ledger:
            campaign = ledger.find(NAME)
            return {
                record.message_id: record.address for status in wanted for record in ledger.records(campaign, status)
            }

    def check(self) -> None:
        """What must hold at any moment, whatever was killed."""
        accepted = [message.message_id for message in self.server.accepted]
        assert len(accepted) == len(set(accepted)), "a message was accepted twice"
        assert max(received(self.server).values(), default=0) <= 1, "somebody was mailed twice"
        assert self.identifiers(Status.SENT).keys() <= set(accepted), "called sent, but it was not"
        doubtful = self.identifiers(Status.SENDING, Status.UNCERTAIN)
        assert set(accepted) <= self.identifiers(Status.SENT).keys() | doubtful.keys(), (
            "an accepted message is forgotten"
        )
        assert len(doubtful) <= self.kills * self.connections, "more in doubt than one a connection and kill"
        assert self.tally().total == COUNT
        assert not self.server.violations

    def finish(self) -> None:
        """The same command until nothing is left; then a person decides by what the server knows, and it ends well."""
        code, said = self.ended(self.send())
        self.check()
        tally = self.tally()
        assert (tally.queued, tally.sending, tally.deferred, tally.failed) == (0, 0, 0, 0), said
        assert code == (1 if tally.uncertain else 0), said
        accepted = {message.message_id for message in self.server.accepted}
        doubtful = self.identifiers(Status.UNCERTAIN)
        arrived = [address for identifier, address in doubtful.items() if identifier in accepted]
        others = [address for identifier, address in doubtful.items() if identifier not in accepted]
        for decision, addresses in (("sent", arrived), ("queued", others)):
            if addresses:
                code, said = self.ended(self.start("resolve", NAME, "--as", decision, *addresses))
                assert code in {0, 1}, said
        if others:
            code, said = self.ended(self.send())
        else:
            code = 0
        assert code == 0, said
        self.check()
        assert self.tally() == Tally(sent=COUNT)
        assert received(self.server) == once_each(PEOPLE)


@pytest.fixture(
    params=[
        pytest.param((1, "file"), marks=pytest.mark.thorough),
        (3, "file"),
        pytest.param((3, "server"), marks=pytest.mark.thorough),
    ],
    ids=["one connection", "three connections", "PostgreSQL"],
)
def campaign(request: pytest.FixtureRequest, campaign_folder: Path) -> Iterator[Killed]:
    connections, kind = request.param
    with ScriptedServer() as server, place_of(request, campaign_folder, kind) as place:
        # slow enough to be met in the middle, and for three connections to overlap
        server.on("rcpt", delay=0.003)
        yield Killed(campaign_folder, server, connections, place)


def test_every_point_is_among_those_where_the_program_is_killed() -> None:
    assert {kill.partition(":")[0] for kill in KILLS} == NAMES


def test_killed_at_every_named_point_and_continued_nobody_is_missed_or_mailed_twice(campaign: Killed) -> None:
    for kill in KILLS:
        crash_at = kill.replace("LAST", str(campaign.tally().queued)) if "LAST" in kill else kill
        campaign.dies(campaign.send(crash_at))
        if kill == "after-start":
            assert campaign.tally() == Tally(queued=COUNT)
    assert campaign.tally().queued == 0
    assert campaign.tally().sending >= 1
    campaign.finish()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size to be set there")
@pytest.mark.parametrize("campaign", [(3, "file")], indirect=True, ids=["three connections"])
def test_a_disk_that_is_full_stops_every_line_and_the_same_command_goes_on_later(campaign: Killed) -> None:
    process = campaign.start("send", "appeal", "people.csv", "--yes", file_size=300_000)
    code, said = campaign.ended(process)
    assert code == 3, said
    assert "ledger" in said
    assert "same command again" in said
    assert 0 < len(campaign.server.accepted) < COUNT
    campaign.kills += 1
    campaign.check()
    campaign.finish()


def test_killed_at_any_moment_nobody_is_missed_or_mailed_twice(campaign: Killed) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(2):
        process = campaign.send()
        more = len(campaign.server.accepted) + chance.randint(1, 15)
        campaign.server.wait_for(more, 30)
        # an odd moment within the next message: count some steps rather than trust the clock
        for _ in range(chance.randrange(20_000)):
            pass
        process.kill()
        if not campaign.dies(process, late=True):
            break
    campaign.finish()
