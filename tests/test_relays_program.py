"""Several relays as people meet them: in mailer.toml, on the command line, and when a worker is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaigns import once_each, received
from postgres_server import PostgresServer
from smtp_server import ScriptedServer
from test_workers_program import NAME, PEOPLE, SEND, Site, finished, posix

from mailer.ledger import Ledger

QUOTA = "454 4.7.0 Throttling failure: Daily message quota exceeded"
HERE = ("send", "appeal", "people.csv", "--yes")


class TwoRelays(Site):
    """A site whose mail goes over two accounts that have a section each."""

    def __init__(self, folder: Path, office: ScriptedServer, backup: ScriptedServer, ledger: str) -> None:
        super().__init__(folder, office, ledger)
        self.office, self.backup = office, backup
        for name in ("HOST", "PORT", "SECURITY"):
            del self.program.settings[f"MAILER_SMTP_{name}"]
        (folder / "mailer.toml").write_text(
            f'[relays.office]\nsmtp_host = "127.0.0.1"\nsmtp_port = {office.port}\nsmtp_security = "none"\n'
            'sender = "Appeals <appeals@office.example>"\nqueues = ["mailer", "national"]\n\n'
            f'[relays.backup]\nsmtp_host = "127.0.0.1"\nsmtp_port = {backup.port}\nsmtp_security = "none"\n',
            encoding="utf-8",
        )

    def both(self) -> dict[str, int]:
        return received(self.office) + received(self.backup)


@pytest.fixture
def servers() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with ScriptedServer() as office, ScriptedServer() as backup:
        yield office, backup
        assert office.violations == backup.violations == []


@pytest.fixture
def site(
    campaign_folder: Path, servers: tuple[ScriptedServer, ScriptedServer], postgres: PostgresServer
) -> Iterator[TwoRelays]:
    with postgres.database() as name:
        made = TwoRelays(campaign_folder, *servers, postgres.address(name))
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def alone(campaign_folder: Path, servers: tuple[ScriptedServer, ScriptedServer]) -> Iterator[TwoRelays]:
    """The same with the ledger in a file."""
    made = TwoRelays(campaign_folder, *servers, "sqlite:///mailer.db")
    yield made
    made.close()


@posix
@pytest.mark.thorough
def test_a_worker_that_is_killed_with_two_relays_leaves_at_most_one_in_doubt_for_each_connection(
    site: TwoRelays,
) -> None:
    site.program.run(*SEND)
    _, err = site.ended(site.worker(crash_at="after-dot:5"), code=-signal.SIGKILL)
    assert "Relay office: 127.0.0.1, up to 2 at a time, queue mailer, national" in err
    assert "Relay backup: 127.0.0.1, up to 2 at a time" in err
    worker = site.worker("--json")
    standing = site.until(finished)
    worker.send_signal(signal.SIGINT)
    out, _ = site.ended(worker)
    assert json.loads(out)["sent"] > 0
    assert standing["uncertain"] <= 4
    assert standing["sent"] + standing["uncertain"] == len(PEOPLE)
    assert set(site.both().values()) == {1}
    with_attempts = {one["relay"]: one["sent"] for one in site.program.json("status", NAME)["relays"]}
    assert sum(with_attempts.values()) == standing["sent"]


@posix
@pytest.mark.thorough
def test_status_tells_of_each_relay_who_rests_until_when_and_why(site: TwoRelays) -> None:
    held = site.backup.on("mail", nth=6, hold=True)
    site.program.run(*SEND)
    with Ledger(site.place) as ledger:
        # as a worker elsewhere would
        ledger.shared.rest(f"@127.0.0.1:{site.office.port}", (900.0,), "The limit is reached.", relay="office")
    worker = site.worker()
    assert held.fired.wait(30)
    assert [(one["relay"], one["only"]) for one in site.standing()["resting"]] == [("office", None)]
    words = site.program.run("status", NAME).stdout
    assert "Relay office: " in words
    assert "rests until" in words
    assert "The limit is reached." in words
    assert "Worker:" in words
    assert "relay backup," in " ".join(words.split())
    told = {one["relay"]: one for one in site.program.json("status", NAME)["relays"]}
    assert told["office"]["resting"][0]["reason"]
    assert told["backup"]["resting"] == []
    assert told["backup"]["sent"] > 0
    assert told["backup"]["per_minute"] > 0
    held.release()
    site.until(finished)
    worker.send_signal(signal.SIGTERM)
    _, err = site.ended(worker)
    assert "Relay office: " in err
    assert "The others go on." in err
    assert "@" not in err, "no addresses"
    assert site.both() == once_each(PEOPLE)


@posix
def test_a_worker_serves_the_relays_that_it_is_told_and_queues_stay_with_theirs(site: TwoRelays) -> None:
    for options, words in (
        (("--relay", "ofice"), "There is no relay 'ofice' in the settings (there are: office, backup)"),
        (("--relay", "office", "--queue", "night"), "Relay office is bound to other queues in the settings"),
    ):
        refused = site.program.run("worker", *options)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
    site.program.run(*SEND, "--queue", "national")
    worker = site.worker()
    site.until(finished)
    worker.send_signal(signal.SIGTERM)
    site.ended(worker)
    assert received(site.office) == once_each(PEOPLE), "backup takes from the common queue only"
    assert site.backup.accepted == []
    assert site.office.accepted[0].mail_from == "appeals@office.example"


def test_from_here_a_campaign_goes_over_the_first_relay_and_on_over_another_when_that_one_fails(
    alone: TwoRelays,
) -> None:
    alone.office.on("mail", nth=6, reply=QUOTA)
    # over one connection: what another has begun by then, it ends
    alone.program.settings["MAILER_CONNECTIONS"] = "1"
    stopped = alone.program.run(*HERE)
    assert stopped.returncode == 4, stopped.stderr
    assert "Sending over relay office (127.0.0.1) alone." in stopped.stderr
    assert "Or over another relay: mailer send appeal people.csv --relay backup" in stopped.stdout
    done = alone.program.run(*HERE, "--relay", "backup")
    assert done.returncode == 0, done.stderr
    assert alone.both() == once_each(PEOPLE)
    assert {message.mail_from for message in alone.office.accepted} == {"appeals@office.example"}
    assert {message.mail_from for message in alone.backup.accepted} == {"office@example.org"}
    words = alone.program.run("status", NAME).stdout
    assert "Relay office: 5 sent" in words
    assert f"Relay backup: {len(PEOPLE) - 5} sent" in words


@pytest.mark.thorough
def test_a_preview_names_each_identity_and_a_new_one_makes_its_seal_stale(alone: TwoRelays) -> None:
    seen = alone.program.run("preview", "appeal", "people.csv")
    assert seen.returncode == 0, seen.stderr
    assert "Over relay backup they are from Union Office <office@example.org>" in seen.stdout
    seal = alone.program.json("preview", "appeal", "people.csv")["seal"]
    alone.program.settings["MAILER_RELAYS__THIRD__SMTP_HOST"] = "smtp.third.example"
    assert alone.program.json("preview", "appeal", "people.csv")["seal"] != seal, "it speaks as the main settings do"
    alone.program.settings["MAILER_RELAYS__THIRD__SENDER"] = "Appeals <appeals@office.example>"
    assert alone.program.json("preview", "appeal", "people.csv")["seal"] == seal, "it speaks as the first relay does"
    alone.program.settings["MAILER_RELAYS__THIRD__SENDER"] = "Third <third@third.example>"
    refused = alone.program.run(*HERE, "--seal", seal)
    assert refused.returncode == 2
    assert "RELAYS.THIRD.SENDER was '', is now 'Third <third@third.example>'" in refused.stderr
    assert alone.office.connections == alone.backup.connections == 0


def test_a_test_goes_over_the_relay_that_is_named_and_is_from_its_sender(alone: TwoRelays) -> None:
    for name in ("office", "backup"):
        tried = alone.program.run("test", "appeal", "people.csv", "--to", "me@example.org", "--relay", name)
        assert tried.returncode == 0, tried.stderr
    assert [b"From: Appeals" in message.content for message in alone.office.accepted] == [True]
    assert [b"From: Union Office" in message.content for message in alone.backup.accepted] == [True]


def test_the_doctor_asks_each_relay(alone: TwoRelays) -> None:
    alone.backup.on("greeting", reply="421 4.3.2 Shutting down", drop=True)
    found = alone.program.run("doctor", "--json")
    checks = json.loads(found.stdout)["checks"]
    relays = {
        name: [one["level"] for one in checks if one["message"].startswith(f"Relay {name}: ")]
        for name in ("office", "backup")
    }
    assert relays["office"]
    assert "fail" not in relays["office"]
    assert relays["backup"] != relays["office"]
    assert alone.office.connections == alone.backup.connections == 1


def test_a_relay_cannot_be_named_where_workers_send(site: TwoRelays) -> None:
    refused = site.program.run(*SEND, "--relay", "office")
    assert (refused.returncode, "--relay is for a run from here" in refused.stderr) == (2, True)
