"""`mailer inbox` against a real Dovecot, with real bounces of a real Postfix."""

from __future__ import annotations

import csv
import imaplib
import os
import re
import signal
import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import real_servers
import returned_mails as samples
from campaigns import start, write_letter, write_list
from ledger_places import place_of, setting
from program import COMMAND, Program
from returned_mails import mail

from mailer.campaign.intake import take_in
from mailer.errors import Paused
from mailer.inbox.mailbox import Access, OpenMailbox
from mailer.ledger import Ledger
from mailer.model import Event, EventKind, LedgerPlace, Security

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Postfix and Dovecot are not for Windows")

HOME = "solidarity.example"
ADDRESSES = (
    "ada@healthy.example",
    "ben@healthy.example",
    "cem@healthy.example",
    "dora@healthy.example",
    "gone@dead.example",
    "full@full.example",
    "wary@wary.example",
)
SETTINGS = {
    "MAILER_SMTP_HOST": "127.0.0.1",
    "MAILER_SENDER": f"Campaign <campaign@{HOME}>",
    "MAILER_BOUNCE_ADDRESS": f"bounces+{{token}}@{HOME}",
    "MAILER_UNSUBSCRIBE_MAILTO": f"leave+{{token}}@{HOME}",
    "MAILER_POSTAL_ADDRESS": "1 Example Street, Exampletown",
    "MAILER_IMAP_HOST": "127.0.0.1",
    "MAILER_IMAP_SECURITY": "none",
    "MAILER_IMAP_USERNAME": "reader",
    "MAILER_IMAP_PASSWORD": "sample",
}
NAME = "appeal--people"

FURTHER = """\
virtual_mailbox_domains = solidarity.example
transport_maps = inline:{{ {{healthy.example = discard:}}, {{dead.example = smtp:[127.0.0.1]:{dead}}}, {{full.example = smtp:[127.0.0.1]:{full}}}, {{wary.example = smtp:[127.0.0.1]:{wary}}} }}
recipient_delimiter =
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A campaign folder, the relay, and the mailbox to which everything comes back."""

    program: Program
    relay: real_servers.Relay
    mailbox: real_servers.Mailbox
    place: LedgerPlace

    def deliver(self, content: bytes, to: str = f"campaign@{HOME}", sender: str = "pat@people.example") -> None:
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=30) as client:
            client.sendmail(sender, [to], content)

    def access(self, **other: Any) -> Access:
        values = {"host": "127.0.0.1", "port": self.mailbox.port, "security": Security.NONE, "username": "reader"}
        return Access(**{"password": "sample", **values, **other})

    def lying(self, folder: str) -> int:
        """How many mails are in a folder."""
        with imaplib.IMAP4("127.0.0.1", self.mailbox.port, timeout=30) as client:
            client.login("reader", "sample")
            status, found = client.select(folder, readonly=True)
            return int(found[0] or 0) if status == "OK" else 0

    def unsubscribe_addresses(self) -> dict[str, str]:
        """Whose link to unsubscribe is which, as in the messages."""
        found = {}
        with Ledger(self.place) as ledger:
            from mailer.tokens import Purpose, Tokens

            tokens = Tokens(ledger.secret)
            for key, name in ledger._all("SELECT key, message_id FROM deliveries"):
                found[key] = f"leave+{tokens.sign(Purpose.UNSUBSCRIBE, name[1:].partition('@')[0])}@{HOME}"
        return found

    def message_ids(self) -> dict[str, str]:
        with Ledger(self.place) as ledger:
            return dict(ledger._all("SELECT key, message_id FROM deliveries"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[real_servers.Relay, real_servers.Mailbox]]:
    real_servers.require("postfix", "dovecot", "smtp-sink")
    with (
        real_servers.server_folder() as folder,
        real_servers.smtp_sink("-f", "RCPT", "-B", "550 5.1.1 User unknown") as dead,
        real_servers.smtp_sink("-f", "RCPT", "-B", "552 5.2.2 Mailbox full") as full,
        real_servers.smtp_sink("-f", "RCPT", "-B", "550 5.7.1 Message blocked, see our policy") as wary,
        real_servers.postfix(folder, further=FURTHER.format(dead=dead, full=full, wary=wary)) as relay,
        real_servers.dovecot(folder, relay.maildir) as mailbox,
    ):
        yield relay, mailbox


@pytest.fixture(params=["file"])
def post(
    request: pytest.FixtureRequest, servers: tuple[real_servers.Relay, real_servers.Mailbox], tmp_path: Path
) -> Iterator[Post]:
    relay, mailbox = servers
    empty(mailbox)
    write_letter(tmp_path)
    write_list(tmp_path, ADDRESSES)
    settings = SETTINGS | {"MAILER_SMTP_PORT": str(relay.port), "MAILER_IMAP_PORT": str(mailbox.port)}
    with place_of(request, tmp_path) as place:
        settings["MAILER_LEDGER"] = setting(place)
        yield Post(program=Program(folder=tmp_path, settings=settings), relay=relay, mailbox=mailbox, place=place)


def empty(mailbox: real_servers.Mailbox) -> None:
    """What an earlier test left."""
    with imaplib.IMAP4("127.0.0.1", mailbox.port, timeout=30) as client:
        client.login("reader", "sample")
        for folder in ("mailer-done", "INBOX"):
            status, found = client.select(folder)
            if status == "OK" and found[0] != b"0":
                client.store("1:*", "+FLAGS", r"(\Deleted)")
                client.expunge()


def send(post: Post, *options: str, code: int = 0) -> dict[str, Any]:
    words = ("send", "appeal", "people.csv", "--yes", "--rate", "100/second", *options)
    return post.program.json(*words, code=code)


def everything_comes_back(post: Post) -> None:
    """Three bounces by Postfix; a complaint, a wish to leave, a reply and an automatic answer by us."""
    ids, leave = post.message_ids(), post.unsubscribe_addresses()
    values = {"to": f"campaign@{HOME}", "own": "1"}
    values |= {"subject": "Re: News", "text": "Thank you.", "sender": ADDRESSES[0], "id": ids[ADDRESSES[0]]}
    post.deliver(mail(samples.PERSON, **values))
    post.deliver(mail(samples.PERSON, **values | {"own": "2", "subject": "Out of office"}))
    wish = values | {"own": "3", "subject": "unsubscribe", "sender": ADDRESSES[1], "id": ""}
    post.deliver(mail(samples.PERSON, **wish), to=leave[ADDRESSES[1]])
    report = {"type": "abuse", "mail_from": "", "address": "", "token": "", "to": values["to"], "id": ids[ADDRESSES[2]]}
    post.deliver(mail(samples.ARF, **report))
    post.deliver(mail(samples.PUZZLING, to=values["to"], address=ADDRESSES[3], id=ids[ADDRESSES[3]]), sender="")
    post.mailbox.messages(8)


@pytest.mark.parametrize("post", ["file", pytest.param("server", marks=pytest.mark.thorough)], indirect=True)
def test_what_is_sent_through_postfix_comes_back_and_the_right_people_are_suppressed(post: Post) -> None:
    sent = send(post)
    assert (sent["sent"], sent["state"]) == (7, "finished")
    everything_comes_back(post)
    assert post.lying("INBOX") == 8

    found = post.program.json("inbox")
    assert found["read"] == 8
    assert found["bounces"] == {"hard": 1, "soft": 1, "other": 1}
    assert (found["complaints"], found["unsubscribes"], found["replies"]) == (1, 1, 1)
    assert (found["automatic"], found["not_understood"], found["suppressed"], found["moved"]) == (1, 1, 3, 5)
    assert found["something_else"] == 0
    assert (post.lying("INBOX"), post.lying("mailer-done")) == (3, 5)

    listed = post.program.json("suppress", "list")["suppressions"]
    assert {one["address"]: (one["reason"], one["source"]) for one in listed} == {
        "gone@dead.example": ("bounce", "by e-mail"),
        "ben@healthy.example": ("unsubscribed", "by e-mail"),
        "cem@healthy.example": ("complaint", "by e-mail"),
    }
    status = post.program.json("status", NAME)
    assert (status["sent"], status["bounced"], status["complained"]) == (7, 3, 1)
    assert (status["unsubscribed"], status["replied"], status["state"]) == (1, 1, "finished")
    shown = post.program.run("report", NAME, "--csv", "report.csv", "--html", "report.html")
    assert "3  bounced after they were sent" in shown.stdout
    with (post.program.folder / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        back = {row["address"]: row["came_back"] for row in csv.DictReader(file)}
    assert back["gone@dead.example"] == "bounce 5.1.1"
    assert back["full@full.example"] == "bounce 5.2.2"
    assert (back["ada@healthy.example"], back["dora@healthy.example"]) == ("reply", "")
    assert "reported as spam" in (post.program.folder / "report.html").read_text("utf-8")
    with Ledger(post.place) as ledger:
        kept = " ".join(map(str, ledger._all("SELECT * FROM events")))
    assert not re.search(r"@|Thank you", kept)

    again = post.program.run("inbox")
    assert again.stdout == "Nothing new in INBOX.\n"


def test_read_once_more_from_the_beginning_nothing_counts_twice(post: Post) -> None:
    send(post)
    everything_comes_back(post)
    first = post.program.json("inbox")
    with Ledger(post.place) as ledger:
        before = ledger._all("SELECT * FROM events ORDER BY id")
        # as if the server had numbered its mails anew, and somebody moved them back
        ledger._run("UPDATE mailboxes SET validity = validity + 1")
    with imaplib.IMAP4("127.0.0.1", post.mailbox.port, timeout=30) as client:
        client.login("reader", "sample")
        client.select("mailer-done")
        client.copy("1:*", "INBOX")
    again = post.program.json("inbox")
    assert (again["read"], again["known"]) == (8, 6)
    assert (again["bounces"], again["suppressed"]) == ({"hard": 0, "soft": 0, "other": 0}, 0)
    with Ledger(post.place) as ledger:
        assert ledger._all("SELECT * FROM events ORDER BY id") == before
    assert first["moved"] == again["moved"] == 5


def test_killed_between_the_commit_and_the_move_it_goes_on_and_counts_nothing_twice(post: Post) -> None:
    send(post)
    everything_comes_back(post)
    post.program.settings["MAILER_CRASH_AT"] = "after-events"
    killed = post.program.run("inbox")
    assert killed.returncode == -signal.SIGKILL
    assert (post.lying("INBOX"), post.lying("mailer-done")) == (8, 0)
    del post.program.settings["MAILER_CRASH_AT"]
    before = post.program.json("status", NAME)
    found = post.program.json("inbox")
    assert (found["known"], found["suppressed"], found["moved"]) == (6, 0, 5)
    assert post.program.json("status", NAME) == before
    assert (before["bounced"], before["complained"], before["unsubscribed"], before["replied"]) == (3, 1, 1, 1)


def test_complaints_stop_a_campaign_before_its_next_batch(post: Post) -> None:
    first = send(post, "--limit", "4", code=3)
    assert first["sent"] == 4
    with Ledger(post.place) as ledger:
        campaign = ledger.find(NAME)
        sent = ledger._all("SELECT id, key FROM deliveries WHERE status = 'sent'")
        ledger.add_events(
            Event(kind=EventKind.COMPLAINT, delivery=number, campaign=campaign.id, key=key, at=time.time(), source=key)
            for number, key in sent[:3]
        )
    stopped = send(post, code=4)
    assert (stopped["sent"], stopped["queued"]) == (4, 3)
    assert "3 of 4 people reported this campaign as spam" in stopped["reason"]
    assert "complaint_brake" in stopped["hint"]
    warned = post.program.run("inbox")
    assert "Sending it stops" in warned.stderr
    post.program.settings["MAILER_COMPLAINT_BRAKE"] = "off"
    assert send(post)["sent"] == 7


def test_it_watches_until_ctrl_c_and_takes_in_what_comes(post: Post) -> None:
    send(post)
    post.mailbox.messages(3)
    post.program.json("inbox")
    environment = os.environ | {"PYTHONUTF8": "1", "COLUMNS": "80"} | post.program.settings
    with subprocess.Popen(
        [*COMMAND, "inbox", "--watch"], cwd=post.program.folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while "Watching INBOX" not in (line := process.stdout.readline()):
            assert line, "it ended"
        wish = {
            "to": f"campaign@{HOME}",
            "subject": "unsubscribe",
            "sender": ADDRESSES[3],
            "id": "",
            "own": "9",
            "text": "",
        }
        post.deliver(mail(samples.PERSON, **wish))
        while "unsubscribed" not in (line := process.stdout.readline()):
            assert line, "it ended"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Stopped watching" in rest
    assert "Traceback" not in rest


def made(post: Post) -> None:
    """A ledger with a campaign in it."""
    with Ledger(post.place) as ledger:
        start(post.program.folder, ledger, ["a@c.example"])


def test_a_wrong_password_is_said_plainly(post: Post) -> None:
    made(post)
    post.program.settings["MAILER_IMAP_PASSWORD"] = "wrong"
    done = post.program.run("inbox")
    assert done.returncode == 4
    assert "refused the user name or password" in done.stderr
    assert "wrong" not in done.stderr.replace("went wrong", "")


def test_a_folder_that_is_not_there_is_named_with_those_that_are(post: Post) -> None:
    made(post)
    post.program.settings["MAILER_IMAP_FOLDER"] = "Bounces"
    done = post.program.run("inbox")
    assert done.returncode == 2
    assert "MAILER_IMAP_FOLDER" in done.stderr
    assert "INBOX" in done.stderr


def test_a_server_that_is_away_is_said_plainly_and_the_same_command_goes_on(post: Post) -> None:
    made(post)
    post.program.settings["MAILER_IMAP_PORT"] = str(real_servers.free_port())
    done = post.program.run("inbox")
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr


def test_what_is_not_set_is_named(post: Post) -> None:
    made(post)
    del post.program.settings["MAILER_IMAP_HOST"]
    done = post.program.run("inbox")
    assert done.returncode == 2
    assert "MAILER_IMAP_HOST is not set" in done.stderr


class Limited(OpenMailbox):
    """A mailbox on a server that offers less."""

    def without(self, *names: str) -> None:
        self._box.client.capabilities = tuple(one for one in self._box.client.capabilities if one not in names)


@pytest.mark.parametrize(("missing", "moved"), [(["MOVE"], 5), (["MOVE", "UIDPLUS"], 0)])
def test_where_the_server_cannot_move_nothing_else_is_expunged(post: Post, missing: list[str], moved: int) -> None:
    send(post)
    everything_comes_back(post)
    with imaplib.IMAP4("127.0.0.1", post.mailbox.port, timeout=30) as client:
        client.login("reader", "sample")
        client.select("INBOX")
        # a person has marked a letter of theirs, but not yet taken it away
        number = client.search(None, "SUBJECT", '"Re: News"')[1][0].split()[0]
        client.store(number, "+FLAGS", r"(\Deleted)")
    access = post.access()
    with Ledger(post.place) as ledger, Limited(access) as box:
        box.without(*missing)
        (intake,) = take_in(ledger, box, access.name)
    assert intake.moved == moved
    assert (post.lying("INBOX"), post.lying("mailer-done")) == (8 - moved, moved)


def test_looking_marks_nothing_as_read(post: Post) -> None:
    post.deliver(
        mail(samples.PERSON, sender="a@b.example", to=f"x@{HOME}", subject="Hello", id="", own="5", text="Hello.")
    )
    post.mailbox.messages(1)
    with Ledger(post.place) as ledger, OpenMailbox(post.access()) as box:
        start(post.program.folder, ledger, ["a@c.example"])
        (intake,) = take_in(ledger, box, "x")
    assert (intake.read, intake.ours, intake.moved) == (1, 0, 0)
    with imaplib.IMAP4("127.0.0.1", post.mailbox.port, timeout=30) as client:
        client.login("reader", "sample")
        client.select("INBOX", readonly=True)
        assert client.search(None, "UNSEEN")[1] == [b"1"]


def test_a_server_that_does_not_speak_tls_is_away(post: Post) -> None:
    with pytest.raises(Paused, match="cannot be reached"):
        OpenMailbox(post.access(security=Security.TLS))
