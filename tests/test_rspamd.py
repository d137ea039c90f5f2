"""The sample campaigns, signed, as a receiver's spam filter judges them: rspamd, with a world of its own in the DNS."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import real_servers
from dkim_judge import settings, signer
from program import Program, copy_samples
from smtp_server import Accepted, ScriptedServer

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="rspamd is not for Windows")

DOMAIN = "solidarity.example"
RELAY = "192.0.2.10"
"""Where the receiver sees the relay of the campaign."""

SETTINGS = {
    "MAILER_SMTP_HOST": "127.0.0.1",
    "MAILER_SENDER": f"Solidarity Campaign <campaign@{DOMAIN}>",
    "MAILER_POSTAL_ADDRESS": "Solidarity Campaign, 1 Example Street, Exampletown",
    "MAILER_UNSUBSCRIBE_MAILTO": f"leave+{{token}}@{DOMAIN}",
    "MAILER_UNSUBSCRIBE_URL": f"https://{DOMAIN}/leave",
    "MAILER_LIST_ID": f"appeals.{DOMAIN}",
}

KNOWN = {
    "MANY_INVISIBLE_PARTS": "the preheader, which mail programs show beside the subject and not in the letter",
    "URI_COUNT_ODD": "it counts each link once, in whichever parts it stands: any letter with five different links",
    "R_MIXED_CHARSET": "a subject with a person's own name or country in another script",
}
"""What may count against a message, and why; nothing of it is a fault of the letter."""

TRACE = """\
Received: from [127.0.0.1] (unknown [198.51.100.7])
\tby relay.solidarity.example (Postfix) with ESMTPSA id 0123456789
\tfor <{rcpt}>; Mon, 23 Nov 2026 10:00:00 +0000 (UTC)
"""
"""What the relay writes over the message."""

CONFIG = """\
lua = "$RULESDIR/rspamd.lua"
.include "$CONFDIR/common.conf"
options {{
    pidfile = "{folder}/rspamd.pid"
    filters = "chartable,dkim,regexp"
    local_addrs = []
    dns {{ nameserver = ["127.0.0.1:{dns}"]; timeout = 1s; retransmits = 2 }}
    history_file = "{folder}/history"
    cache_file = "{folder}/symbols.cache"
    control_socket = "{folder}/control.sock"
    allow_raw_input = true
}}
logging {{ type = "file"; filename = "{folder}/rspamd.log"; level = "error" }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""

UNBOUND = """\
server:
    interface: 127.0.0.1
    port: {port}
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    local-zone: "." static
{records}
remote-control:
    control-enable: no
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the filter says of one message: its advice, and each symbol with its score."""

    action: str
    score: float
    symbols: dict[str, float]

    @property
    def against(self) -> set[str]:
        return {name for name, score in self.symbols.items() if score > 0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """A running rspamd."""

    port: int

    def judge(self, message: Accepted, content: bytes | None = None, *, ip: str = RELAY) -> Verdict:
        """What it says of a message that arrives from the relay, or from another computer that says it is the relay."""
        envelope = {"From": message.mail_from, "Rcpt": message.rcpt_to[0]}
        headers = {"IP": ip, "Helo": f"relay.{DOMAIN}", "Hostname": f"relay.{DOMAIN}", **envelope}
        trace = TRACE.format(rcpt=message.rcpt_to[0]).replace("\n", "\r\n").encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/checkv2", data=trace + (content or message.content), headers=headers
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found = json.load(answer)
        return Verdict(
            action=found["action"],
            score=found["score"],
            symbols={name: one["score"] for name, one in found["symbols"].items()},
        )


@pytest.fixture(scope="module")
def rspamd() -> Iterator[Filter]:
    real_servers.require("rspamd", "unbound")
    with real_servers.server_folder() as folder:
        shutil.chown(folder, "_rspamd")
        dns, port = real_servers.free_port(), real_servers.free_port()
        (folder / "unbound.conf").write_text(UNBOUND.format(port=dns, folder=folder, records=records()), "ascii")
        config = folder / "rspamd.conf"
        config.write_text(CONFIG.format(folder=folder, dns=dns, port=port), "ascii")
        resolver = [real_servers.program("unbound"), "-d", "-c", str(folder / "unbound.conf")]
        command = [real_servers.program("rspamd"), "-f", "-u", "_rspamd", "-g", "_rspamd", "-c", str(config)]
        with real_servers.running(resolver), real_servers.running(command) as process:
            answers(port, process)
            yield Filter(port=port)


def records() -> str:
    """Everything that the world's DNS says: an address, SPF, DMARC and the published keys."""
    texts = {
        DOMAIN: f"v=spf1 ip4:{RELAY} -all",
        f"_dmarc.{DOMAIN}": "v=DMARC1; p=reject; adkim=s",
        **dict(signer(DOMAIN).dns_records),
    }
    lines = [f"{name}. TXT {strings(value)}" for name, value in texts.items()]
    lines += [f"{DOMAIN}. MX 10 mx.{DOMAIN}.", f"{DOMAIN}. A 192.0.2.20", f"mx.{DOMAIN}. A 192.0.2.21"]
    lines += [f"relay.{DOMAIN}. A {RELAY}"]
    return "\n".join(f"    local-data: '{line}'" for line in lines)


def strings(value: str) -> str:
    """A TXT record's value in strings of at most 255 octets (RFC 6376, section 3.6.2.2)."""
    return " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when the filter takes requests: it waits for the first word, as web servers do."""
    real_servers.when_listening(port, process)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=30) as answer:
        assert answer.read().startswith(b"pong")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Accepted]]:
    """The messages of each sample campaign, as a relay gets them."""
    folder = copy_samples(tmp_path_factory.mktemp("judged"))
    found = {}
    for template, people in (("solidarity-appeal", "branches.csv"), ("embassy-letter", "supporters.csv")):
        with ScriptedServer() as server:
            given = SETTINGS | settings(folder, DOMAIN) | {"MAILER_SMTP_PORT": str(server.port)}
            done = Program(folder=folder, settings=given).run(
                "send", template, f"contacts/{people}", "--yes", "--skip-problems", "--rate", "100/second"
            )
            assert done.returncode == 0, done.stderr
        found[template] = list(server.accepted)
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("template", ["solidarity-appeal", "embassy-letter"])
def test_a_sample_campaign_is_ham_and_its_sender_is_who_it_says(
    rspamd: Filter, sent: dict[str, list[Accepted]], template: str
) -> None:
    assert len(sent[template]) > 10
    for message in sent[template]:
        verdict = rspamd.judge(message)
        assert (verdict.action, verdict.against - KNOWN.keys()) == ("no action", set()), verdict
        assert verdict.score < 1.5
        assert {"R_DKIM_ALLOW", "R_SPF_ALLOW", "DMARC_POLICY_ALLOW", "HAS_LIST_UNSUB"} <= verdict.symbols.keys()


@pytest.mark.thorough
def test_the_filter_minds_what_is_wrong_with_a_message(rspamd: Filter, sent: dict[str, list[Accepted]]) -> None:
    """A filter that minds nothing would pass everything."""
    message = sent["solidarity-appeal"][0]
    head, _, body = message.content.partition(b"\r\n\r\n")
    without = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith((b"Date:", b"Message-ID:")))
    elsewhere = rspamd.judge(message, without + b"\r\n\r\n" + body, ip="192.0.2.99")
    assert {"MISSING_DATE", "MISSING_MID", "R_SPF_FAIL", "DMARC_POLICY_REJECT"} <= elsewhere.against
    assert "R_DKIM_REJECT" in elsewhere.symbols
    assert elsewhere.action != "no action"
