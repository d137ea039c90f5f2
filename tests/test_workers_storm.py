"""Three workers, ten thousand people, and everything at once: workers that are killed, a database without power, a moody mail server."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from campaigns import address, make_due, received, write_list
from postgres_server import PostgresServer
from smtp_server import ScriptedServer
from test_workers_program import NAME, SEND, Site

from mailer.errors import LedgerError
from mailer.ledger import Ledger

pytestmark = [pytest.mark.thorough, pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]

PEOPLE = [address(number, f"d{number % 7}.example.org") for number in range(1, 10_001)]
WORKERS, LINES = 3, 4
KILLS, POWER_CUTS = 14, 2


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    with closing(server):
        yield server


class Storm:
    """What befalls a campaign: so many disasters, spread over its course by the number of messages."""

    def __init__(self, site: Site, postgres: PostgresServer, seed: int) -> None:
        self.site, self.postgres = site, postgres
        self.chance = random.Random(seed)
        self.crashes = 0
        self.crew: list[subprocess.Popen[str]] = []

    def man(self) -> None:
        """Whoever has died is replaced."""
        self.crew = [worker for worker in self.crew if worker.poll() is None]
        while len(self.crew) < WORKERS:
            self.crew.append(self.site.worker("--connections", str(LINES)))

    def strike(self, disaster: str) -> None:
        if disaster == "kill":
            self.crashes += 1
            victim = self.chance.choice(self.at_work())
            victim.kill()
            victim.wait()
        else:
            self.crashes += WORKERS
            self.postgres.stop(signal.SIGQUIT)
            self.postgres.start()

    def at_work(self) -> list[subprocess.Popen[str]]:
        """Those who have a batch just now: to kill somebody who only starts would prove little."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(LedgerError), Ledger(self.site.place) as ledger:
                busy = [one.owner for one in ledger.shared.presences() if one.batches]
                if found := [
                    worker for worker in self.crew if any(f"process {worker.pid} " in owner for owner in busy)
                ]:
                    return found
        pytest.fail("nobody works")

    def rage(self) -> None:
        disasters = ["kill"] * KILLS + ["power cut"] * POWER_CUTS
        self.chance.shuffle(disasters)
        every = len(PEOPLE) // (len(disasters) + 2)
        for number, disaster in enumerate(disasters, start=1):
            self.man()
            self.site.server.wait_for(number * every, seconds=300)
            self.strike(disaster)
        self.man()

    def calm(self) -> None:
        """Let the hours pass for those who were put off, until the campaign is finished."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                with Ledger(self.site.place) as ledger:
                    campaign = ledger.find(NAME)
                    if campaign.finished_at:
                        return
                    if not ledger.tally(campaign).queued:
                        make_due(ledger)
                        ledger._db.native("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
            except LedgerError:
                pass
            time.sleep(0.5)
        pytest.fail(f"not finished: {self.site.standing()}")


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_three_workers_in_a_storm_mail_everybody_once(
    campaign_folder: Path, own_postgres: PostgresServer, seed: int
) -> None:
    with ScriptedServer() as server, own_postgres.database() as name:
        server.on("dot", delay=0.02)
        server.on("mail", every=701, reply="421 4.3.2 Shutting down, come back", drop=True)
        server.on("rcpt", every=353, reply="451 4.7.1 Come back later")
        server.on("content", every=911, after=40, reset=True)
        server.on("greeting", every=23, reply="421 4.3.2 Too busy", drop=True)
        site = Site(campaign_folder, server, own_postgres.address(name))
        write_list(campaign_folder, PEOPLE)
        site.program.settings["MAILER_BATCH_SIZE"] = "50"
        try:
            assert site.program.run(*SEND).returncode == 0
            storm = Storm(site, own_postgres, seed)
            storm.rage()
            storm.calm()
            for worker in storm.crew:
                worker.send_signal(signal.SIGTERM)
                site.ended(worker)
            found = site.standing()
            with Ledger(site.place) as ledger:
                left = "SELECT (SELECT count(*) FROM procrastinate_jobs), (SELECT count(*) FROM batches), (SELECT count(*) FROM senders)"
                assert ledger._db.native(left).fetchone() == (0, 0, 0), "no stuck job, batch or worker"
                uncertain = {
                    record.address for record in ledger.records(ledger.find(NAME)) if record.status == "uncertain"
                }
        finally:
            site.close()
    mailed = received(server)
    assert max(mailed.values()) == 1, "nobody twice"
    assert set(PEOPLE) - set(mailed) <= uncertain, "nobody missed"
    assert found["sent"] + found["uncertain"] == len(PEOPLE)
    assert found["uncertain"] <= storm.crashes * LINES
    assert storm.crashes >= KILLS
