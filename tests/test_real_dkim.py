"""A signed campaign through a real Postfix to a real Dovecot, and two judges of what is read there: dkimpy and OpenDKIM."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import real_servers
from dkim_judge import settings, signer, verdicts
from program import Program, copy_samples

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Postfix and OpenDKIM are not for Windows")

DOMAIN = "solidarity.example"
EVERYBODY = 14

SETTINGS = {
    "MAILER_SMTP_HOST": "127.0.0.1",
    "MAILER_SENDER": f"Büro für Solidarität <campaign@{DOMAIN}>",
    "MAILER_POSTAL_ADDRESS": "Solidarity Campaign, 1 Example Street, Exampletown",
    "MAILER_UNSUBSCRIBE_MAILTO": f"unsubscribe@{DOMAIN}",
    # longer than any line that a mail server would fold, and it must not be folded
    "MAILER_UNSUBSCRIBE_URL": f"https://{DOMAIN}/unsubscribe?list={'appeal-' * 20}end",
    "MAILER_LIST_ID": f"appeals.{DOMAIN}",
}

OPENDKIM_CONF = """\
Mode v
AuthservID judge.test
# else what comes from this computer would be somebody's to sign, and not judged
InternalHosts 192.0.2.1
ResolverConfiguration {folder}/resolver.conf
"""

# Its resolver (unbound's library) answers by itself for the world of the test, and asks nobody.
RESOLVER_CONF = """\
server:
    local-zone: "example." static
{records}
"""


def opendkim(folder: Path, contents: list[bytes], records: dict[str, str]) -> list[list[tuple[str, str]]]:
    """What OpenDKIM finds of the signatures of each message, with these TXT records in the DNS: verdict and algorithm."""
    lines = "\n".join(f"    local-data: '{name}. TXT {strings(value)}'" for name, value in records.items())
    (folder / "resolver.conf").write_text(RESOLVER_CONF.format(records=lines), encoding="ascii")
    config = folder / "opendkim.conf"
    config.write_text(OPENDKIM_CONF.format(folder=folder), encoding="ascii")
    found = []
    for number, content in enumerate(contents):
        message = folder / f"{number}.eml"
        message.write_bytes(content)
        command = [real_servers.program("opendkim"), "-x", str(config), "-t", str(message), "-vv"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        found.append(re.findall(r"\bdkim=(\w+)[^;]*?(?:\([^)]*\))? header\.d=\S+ header\.i=\S+ header\.a=(\S+)", said))
    return found


def strings(value: str) -> str:
    """A TXT record's value in strings of at most 255 octets (RFC 6376, section 3.6.2.2)."""
    return " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """Messages as they were read over IMAP, and the records by which they are judged."""

    raw: list[bytes]
    records: dict[str, str]


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    real_servers.require("postfix", "dovecot", "opendkim")
    folder = copy_samples(tmp_path_factory.mktemp("signed"))
    with (
        real_servers.server_folder() as servers,
        real_servers.postfix(servers) as relay,
        real_servers.dovecot(servers, relay.maildir) as mailbox,
    ):
        given = SETTINGS | settings(folder, DOMAIN) | {"MAILER_SMTP_PORT": str(relay.port)}
        sent = Program(folder=folder, settings=given).json(
            "send", "solidarity-appeal", "contacts/branches.csv", "--yes", "--rate", "100/second", "--connections", "2"
        )
        assert (sent["sent"], sent["state"]) == (EVERYBODY, "finished")
        raw = mailbox.messages(EVERYBODY)
    assert len(raw) == EVERYBODY
    return Arrived(raw=raw, records=dict(signer(DOMAIN).dns_records))


def test_nothing_on_the_way_through_postfix_and_dovecot_breaks_a_signature(arrived: Arrived) -> None:
    for content in arrived.raw:
        assert content.startswith(b"Return-Path:")
        assert verdicts(content, arrived.records) == [True, True]


def test_opendkim_finds_both_signatures_right(arrived: Arrived, tmp_path: Path) -> None:
    found = opendkim(tmp_path, arrived.raw, arrived.records)
    assert found == [[("pass", "rsa-sha256"), ("pass", "ed25519-sha256")]] * EVERYBODY


def test_opendkim_finds_what_was_changed_or_added_and_a_key_that_is_not_published(
    arrived: Arrived, tmp_path: Path
) -> None:
    content = arrived.raw[0]
    changed = content.replace(b"\r\nSubject: ", b"\r\nSubject: Re: ", 1)
    added = content.replace(b"\r\nSubject: ", b"\r\nReply-To: catcher@attacker.example\r\nSubject: ", 1)
    assert content not in {changed, added}
    (of_changed, of_added) = opendkim(tmp_path, [changed, added], arrived.records)
    assert [verdict for verdict, _ in (*of_changed, *of_added)] == ["fail"] * 4
    other = {name: value.replace("p=MIIB", "p=MIIC") for name, value in arrived.records.items()}
    ((of_other, *_),) = opendkim(tmp_path, [content], other)
    assert of_other[0] != "pass"
