"""`mailer setup --seed-test`: one letter to oneself through a real Postfix and OpenDKIM, looked for in a real Dovecot."""

from __future__ import annotations

import imaplib
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import dkim_judge
import pytest
import real_servers

from mailer.__main__ import main
from mailer.campaign import seed
from mailer.inbox.mailbox import Access, OpenMailbox
from mailer.model import Security

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="Postfix, Dovecot and OpenDKIM are not for Windows"
)

DOMAIN = "union.example"
OWN = f"ana@{DOMAIN}"
JUNK = r"""
namespace inbox {
  inbox = yes
  mailbox Spamverdacht {
    special_use = \Junk
    auto = create
  }
}
"""
OPENDKIM_CONF = """\
Mode v
Socket inet:{port}@127.0.0.1
AuthservID relay.test
AlwaysAddARHeader yes
InternalHosts 192.0.2.1
ResolverConfiguration {folder}/resolver.conf
Syslog no
"""
RESOLVER_CONF = """\
server:
    local-zone: "example." static
{records}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of a Postfix that has signatures judged, and of the mailbox behind it."""
    real_servers.require("postfix", "dovecot", "opendkim")
    milter = real_servers.free_port()
    with real_servers.server_folder() as folder:
        names = dkim_judge.signer(DOMAIN).dns_records
        texts = "\n".join(f"    local-data: '{name}. TXT {strings(value)}'" for name, value in names)
        (folder / "resolver.conf").write_text(RESOLVER_CONF.format(records=texts), "ascii")
        config = folder / "opendkim.conf"
        config.write_text(OPENDKIM_CONF.format(folder=folder, port=milter), "ascii")
        further = f"smtpd_milters = inet:127.0.0.1:{milter}\nmilter_default_action = tempfail\n"
        with (
            real_servers.running([real_servers.program("opendkim"), "-f", "-x", str(config)]) as judge,
            real_servers.postfix(folder, further=further) as relay,
            real_servers.dovecot(folder, relay.maildir, further=JUNK) as mailbox,
        ):
            assert judge.poll() is None
            yield relay.port, mailbox.port


def strings(value: str) -> str:
    """A TXT record's value in strings of at most 255 octets (RFC 6376, section 3.6.2.2)."""
    return " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))


@pytest.fixture
def folder(campaign_folder: Path, servers: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Path:
    relay, mailbox = servers
    given = {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(relay), "SENDER": f"Ana Berg <{OWN}>", "IMAP_HOST": "127.0.0.1",
        "IMAP_PORT": str(mailbox), "IMAP_SECURITY": "none", "IMAP_USERNAME": "reader", "IMAP_PASSWORD": "sample",
        "UNSUBSCRIBE_URL": f"https://{DOMAIN}/leave", "POSTAL_ADDRESS": "1 Example Street",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"MAILER_{name}", value)
    monkeypatch.setattr(seed, "POLLING", 0.05)
    return campaign_folder


def tried(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
    assert main(["setup", "--seed-test", "--yes", "--json", *arguments]) == code
    out, err = capsys.readouterr()
    assert "Waiting until it arrives" in err
    return {one["code"]: one for one in json.loads(out)["checks"]}


def access(port: int) -> Access:
    return Access(host="127.0.0.1", port=port, security=Security.NONE, username="reader", password="sample")


def test_a_signed_letter_arrives_and_the_receivers_words_are_told(
    folder: Path, servers: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in dkim_judge.settings(folder, DOMAIN).items():
        monkeypatch.setenv(name, value)
    found = tried(capsys)
    assert re.fullmatch(r"It arrived after \d+ s, in the inbox, and stays there unread\.", found["arrived"]["message"])
    levels = {code: one["level"] for code, one in found.items()}
    # nobody asked SPF or DMARC here: what was not said is not called good
    assert levels == {"arrived": "ok", "spf": "warn", "dkim": "ok", "dmarc": "warn", "unsubscribe": "ok"}, found
    assert found["dkim"]["message"] == "DKIM: pass, signed for union.example."
    assert found["unsubscribe"]["message"] == "The signature covers List-Unsubscribe and List-Unsubscribe-Post."
    with imaplib.IMAP4("127.0.0.1", servers[1], timeout=30) as client:
        client.login("reader", "sample")
        client.select("INBOX", readonly=True)
        assert client.search(None, "SEEN")[1] == [b""]
        assert len(client.search(None, "UNSEEN")[1][0].split()) == 1


def test_an_unsigned_letter_is_to_be_mended(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tried(capsys, "--to", f"ben@{DOMAIN}", code=1)
    levels = {code: one["level"] for code, one in found.items()}
    assert levels == {"arrived": "ok", "spf": "warn", "dkim": "warn", "dmarc": "fail", "unsubscribe": "warn"}, found
    assert all(one["fix"] for one in found.values() if one["level"] != "ok")
    assert OWN not in "".join(one["message"] + one["fix"] for one in found.values())


def test_nobody_is_mailed_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert main(["setup", "--seed-test"]) == 2
    assert "mailer setup --seed-test --yes" in capsys.readouterr().err
    assert main(["setup", "--yes"]) == 2
    assert main(["setup", "--seed-test", "--yes", "--host", "h.example"]) == 2
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_a_mailbox_the_way_to_look_oneself_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MAILER_IMAP_HOST")
    assert main(["setup", "--seed-test", "--yes"]) == 0
    assert "Authentication-Results" in capsys.readouterr().out


def test_who_cannot_look_sends_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILER_IMAP_PASSWORD", "wrong")
    assert main(["setup", "--seed-test", "--yes"]) == 4
    assert "refused the user name or password" in capsys.readouterr().err
    assert not (folder / "mailer.db").exists()


def test_it_is_found_among_the_spam_and_given_up_where_it_never_comes(servers: tuple[int, int]) -> None:
    port = servers[1]
    text = b"Message-ID: <seed@union.example>\r\nFrom: ana@union.example\r\nSubject: x\r\n\r\nx\r\n"
    with imaplib.IMAP4("127.0.0.1", port, timeout=30) as client:
        client.login("reader", "sample")
        assert client.append("Spamverdacht", "", "", text)[0] == "OK"
    with OpenMailbox(access(port)) as box:
        found = seed.wait_for(box, "<seed@union.example>", since=0.0, patience=0.0, polling=0.0)
        assert found
        assert found.junk
        checks = {one.code: one for one in seed.judge(found, DOMAIN)}
        assert "among the spam" in checks["arrived"].message
        # a server that says nothing of its own: not called good, not called bad
        assert checks["authentication"].level == "warn"
        assert seed.wait_for(box, "<never@union.example>", since=0.0, patience=0.0, polling=0.0) is None
    assert seed.lost(180).level == "fail"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
@pytest.mark.thorough
def test_a_person_is_asked_and_may_stop_waiting(folder: Path) -> None:
    from sitting import CTRL_C, sit

    asked = ("only? yes or no", "yes\n")
    code, shown = sit(folder, "setup", "--seed-test", answers=[asked], settings={})
    assert code == 1, shown
    assert f"Mail one test letter to {OWN} only?" in shown
    assert "Only you were mailed." in shown
    assert max(map(len, shown.splitlines())) <= 80
    # a folder into which nothing is ever delivered
    waiting = ("Waiting until it arrives", CTRL_C)
    elsewhere = {"MAILER_IMAP_FOLDER": "Spamverdacht"}
    code, shown = sit(folder, "setup", "--seed-test", answers=[asked, waiting], settings=elsewhere)
    assert code == 3, shown
    assert "Stopped waiting. The letter was sent to you" in shown
    code, shown = sit(folder, "setup", "--seed-test", answers=[(asked[0], "no\n")], settings={})
    assert code == 0
    assert "Nobody was mailed." in shown
