"""What a crash leaves uncertain is settled by our own Postfix's log, judged by what lies in its mailbox."""

from __future__ import annotations

import email
import os
import sqlite3
import time
from pathlib import Path

import real_servers
from program import Program

KILLS = tuple(os.environ.get("MAILER_TEST_KILLS", "after-dot:2 after-intent:2 after-reply:1 after-intent:1").split())
PEOPLE = 4 * len(KILLS) + 8
MINUTES = 600.0


def campaign(folder: Path, port: int) -> Program:
    (folder / "templates").mkdir()
    (folder / "templates/hello.md").write_text("---\nsubject: Hello\n---\nDear {{ name }}\n", encoding="utf-8")
    rows = "".join(f"p{number}@example.org,Pat {number}\n" for number in range(PEOPLE))
    (folder / "people.csv").write_text("email,name\n" + rows, encoding="utf-8")
    settings = {"MAILER_SMTP_HOST": "127.0.0.1", "MAILER_SMTP_PORT": str(port), "MAILER_SENDER": "ana@example.org"}
    return Program(folder=folder, settings=settings)


def arrived(relay: real_servers.Relay, at_least: int) -> list[str]:
    """Whom the messages in the mailbox are to, once there are so many and Postfix's queue is empty."""
    deadline = time.monotonic() + 20
    while True:
        waiting = [
            path for name in ("incoming", "active", "maildrop") for path in (relay.folder / "queue" / name).rglob("*")
        ]
        found = [path for part in ("new", "cur") for path in (relay.maildir / part).glob("*")]
        if (len(found) >= at_least and not any(path.is_file() for path in waiting)) or time.monotonic() > deadline:
            return [email.message_from_bytes(path.read_bytes())["To"].rpartition("<")[2].rstrip(">") for path in found]
        os.sched_yield()


def let_time_pass(ledger: Path) -> None:
    """Ten minutes, as far as the ledger knows: a log is whole only a minute after an attempt."""
    db = sqlite3.connect(ledger)
    db.execute("UPDATE attempts SET started_at = started_at - ?, finished_at = finished_at - ?", (MINUTES, MINUTES))
    db.commit()
    db.close()


def test_kills_in_mid_transaction_are_settled_without_a_wrong_verdict(campaign_folder: Path) -> None:
    real_servers.require("postfix")
    with real_servers.server_folder() as folder, real_servers.postfix(folder) as relay:
        program = campaign(campaign_folder, relay.port)
        for point in KILLS:
            program.settings["MAILER_CRASH_AT"] = point
            assert program.run("send", "hello", "people.csv", "--yes").returncode == -9
        del program.settings["MAILER_CRASH_AT"]
        sent = program.json("send", "hello", "people.csv", "--yes", code=1)
        assert sent["uncertain"] == len(KILLS)
        assert sent["sent"] == PEOPLE - len(KILLS)
        before = arrived(relay, sent["sent"])
        assert len(before) == len(set(before)), "nobody twice"

        let_time_pass(campaign_folder / "mailer.db")
        log = campaign_folder / "mail.log"
        # the times were moved back, and the log is to cover them
        begun = time.strftime("%b %d %H:%M:%S", time.localtime(time.time() - 2 * MINUTES))
        log.write_text(f"{begun} relay postfix/master[1]: daemon started\n{relay.log()}", encoding="utf-8")
        settled = program.json("resolve", "hello--people", "--postfix-log", log)
        assert settled["uncertain"] == 0
        assert settled["sent"] == len(before), "sent is what arrived, neither more nor less"

        final = program.json("send", "hello", "people.csv", "--yes")
        assert final["sent"] == PEOPLE
        assert sorted(arrived(relay, PEOPLE)) == sorted(f"p{number}@example.org" for number in range(PEOPLE))
