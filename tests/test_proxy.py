"""Behind a SOCKS5 proxy: everything goes through it, names unresolved, or nothing goes at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_server import dns_by_tcp, imap
from program import Program
from real_servers import free_port
from returned_mails import mail
from smtp_certificate import Certificate
from smtp_server import ScriptedServer
from socks_proxy import SocksProxy

from mailer.errors import SettingsError
from mailer.model import Outcome, Security
from mailer.outcome import explain
from mailer.preflight import DnsSilentError, NetworkResolver, NoSuchNameError
from mailer.proxy import Proxy, ProxyError
from mailer.settings import load
from mailer.smtp import Relay, connect

HOST = "smtp.union.example"
PEOPLE = 12
SECRET = "hush-hush"
LETTER = "---\nsubject: News for {{ name }}\n---\n\nDear {{ name }}, please support us.\n"
GUARD = """
import json, os, sys

if "UNSEEN" not in os.environ:
    sys.modules["uvloop"] = None  # what it does is not audited

def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        where = args[1][:2]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        where = (args[0], None)
    elif event in ("socket.sendto", "socket.sendmsg") and isinstance(args[1], tuple):
        where = args[1][:2]
    else:
        return
    with open({log!r}, "a", encoding="utf-8") as file:
        file.write(json.dumps([os.getpid(), event, *where]) + "\\n")

sys.addaudithook(watch)
"""


@dataclass(kw_only=True)
class Guarded:
    """The program, and wherever its processes went or asked the way to: host and port (None for a question)."""

    program: Program
    log: Path

    def went(self) -> list[tuple[int, str, str, int | None]]:
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    def strayed(self) -> list[tuple[int, str, str, int | None]]:
        """Whatever does not stay on this computer."""
        return [one for one in self.went() if one[2] not in {"127.0.0.1", "::1", None}]


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate.make(tmp_path, host=HOST)


@pytest.fixture
def relay(certificate: Certificate) -> Iterator[ScriptedServer]:
    with ScriptedServer(
        security="starttls", context=certificate.server_context(), users={"ana": SECRET}
    ) as server:  # fmt: skip
        yield server


@pytest.fixture
def guarded(tmp_path: Path, certificate: Certificate) -> Guarded:
    folder, watch, log = tmp_path / "my campaign", tmp_path / "watch", tmp_path / "went.jsonl"
    folder.mkdir()
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(GUARD.format(log=str(log)), encoding="utf-8")
    (folder / "appeal.md").write_text(LETTER, encoding="utf-8")
    rows = "".join(f"Pat {number},pat{number}@branch.example\n" for number in range(PEOPLE))
    (folder / "list.csv").write_text(f"name,email\n{rows}", encoding="utf-8")
    settings = {
        "PYTHONPATH": str(watch),
        "SSL_CERT_FILE": str(certificate.certificate),
        "MAILER_SMTP_HOST": HOST,
        "MAILER_SMTP_USERNAME": "ana",
        "MAILER_SMTP_PASSWORD": SECRET,
        "MAILER_SMTP_TIMEOUT": "10s",
        "MAILER_SENDER": "Union Office <office@union.example>",
        "MAILER_POSTAL_ADDRESS": "Union Office, 1 Example Street",
        "MAILER_UNSUBSCRIBE_MAILTO": "office@union.example",
        "MAILER_RATE": "1000/minute",
    }
    return Guarded(program=Program(folder=folder, settings=settings), log=log)


@pytest.mark.parametrize(
    ("processes", "loop"),
    [
        pytest.param(1, {}, id="one"),
        pytest.param(2, {}, id="makers", marks=pytest.mark.thorough),
        pytest.param(2, {"UNSEEN": "1"}, id="makers on uvloop", marks=pytest.mark.thorough),
    ],
)
def test_a_campaign_goes_through_the_proxy_by_name_and_nowhere_else(
    guarded: Guarded, relay: ScriptedServer, processes: int, loop: dict[str, str]
) -> None:
    guarded.program.settings |= loop
    with SocksProxy({(HOST, 587): relay.port}, login=("ana", SECRET)) as proxy:
        guarded.program.settings |= {"MAILER_PROXY": f"socks5h://ana:{SECRET}@127.0.0.1:{proxy.port}"}
        options = ("--yes", "--processes", str(processes), "--connections", str(processes))
        done = guarded.program.run("send", "appeal.md", "list.csv", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(relay.accepted) == PEOPLE
    assert {*proxy.asked} == {("name", HOST, 587)}
    assert proxy.logins[0] == ("ana", SECRET)
    assert guarded.strayed() == []
    at_relay = [one for one in guarded.went() if one[3] == relay.port]
    assert at_relay == []
    assert len({one[0] for one in guarded.went()}) == 1, "a process that makes messages goes nowhere"
    assert SECRET not in done.stdout + done.stderr
    assert relay.violations == []


def test_without_a_proxy_the_guard_sees_the_question_for_the_relay(guarded: Guarded) -> None:
    assert guarded.program.run("doctor").returncode == 2
    assert [one[1:3] for one in guarded.strayed()] == [("socket.getaddrinfo", HOST)]


@pytest.mark.parametrize("command", [("send", "appeal.md", "list.csv", "--yes"), ("doctor",), ("inbox",)])
@pytest.mark.thorough
def test_a_dead_proxy_is_said_with_a_way_out_and_nothing_goes_past_it(
    guarded: Guarded, relay: ScriptedServer, command: tuple[str, ...]
) -> None:
    dead = free_port()
    guarded.program.settings |= {
        "MAILER_PROXY": f"socks5://127.0.0.1:{dead}",
        "MAILER_IMAP_HOST": "imap.union.example",
        "MAILER_IMAP_USERNAME": "ana",
        "MAILER_IMAP_PASSWORD": SECRET,
    }
    guarded.program.run("suppress", "add", "gone@branch.example")  # inbox needs a ledger
    done = guarded.program.run(*command)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == (3 if command == ("inbox",) else 2), said
    assert f"he proxy at 127.0.0.1 port {dead} does not answer (is it running?)" in said
    assert "heck that" in said
    assert guarded.strayed() == []
    assert relay.accepted == []


def test_a_mailbox_is_read_through_the_proxy(guarded: Guarded, tmp_path: Path) -> None:
    other = tmp_path / "imap"
    other.mkdir()
    certificate = Certificate.make(other, host="imap.union.example")
    with (
        imap(mail("Hello"), certificate.server_context()) as (port, heard),
        SocksProxy({("imap.union.example", 993): port}) as proxy,
    ):
        guarded.program.settings |= {
            "SSL_CERT_FILE": str(certificate.certificate),
            "MAILER_PROXY": proxy.url,
            "MAILER_IMAP_HOST": "imap.union.example",
            "MAILER_IMAP_USERNAME": "ana",
            "MAILER_IMAP_PASSWORD": SECRET,
        }
        guarded.program.run("suppress", "add", "gone@branch.example")
        found = guarded.program.json("inbox")
    assert found["read"] == 1
    assert proxy.asked == [("name", "imap.union.example", 993)]
    assert guarded.strayed() == []
    assert any(" LOGIN " in line for line in heard)


def test_dns_is_asked_through_the_proxy_or_not_at_all(guarded: Guarded, relay: ScriptedServer) -> None:
    records = {
        " NS": "root.alt.",
        "union.alt MX": "10 mail.union.alt.",
        "mail.union.alt A": "192.0.2.1",
        "union.alt TXT": '"v=spf1 ip4:192.0.2.1 -all"',
    }
    with dns_by_tcp(records) as (port, heard), SocksProxy() as proxy:
        proxy.ports = {("192.0.2.53", 53): port, (HOST, 587): relay.port}
        guarded.program.settings |= {"MAILER_PROXY": proxy.url, "MAILER_SENDER": "office@union.alt"}
        unasked = levels(guarded.program.json("doctor"))
        assert (heard, unasked["proxy"], unasked["relay"]) == ([], "warn", "ok")
        guarded.program.settings["MAILER_DNS_SERVER"] = "192.0.2.53"
        asked = levels(guarded.program.json("doctor"))
    assert (asked["mx"], asked["spf"]) == ("ok", "ok")
    assert {*heard} >= {"union.alt MX", "union.alt TXT", "_dmarc.union.alt TXT"}
    assert ("address", "192.0.2.53", 53) in proxy.asked
    assert guarded.strayed() == []


def levels(found: dict[str, Any]) -> dict[str, str]:
    return {check["code"]: check["level"] for check in found["checks"]}


@pytest.mark.thorough
def test_a_server_on_this_computer_is_reached_directly_and_the_settings_say_what_that_means(guarded: Guarded) -> None:
    with ScriptedServer() as local, SocksProxy() as proxy:
        guarded.program.settings |= {
            "MAILER_PROXY": proxy.url,
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(local.port),
            "MAILER_SMTP_USERNAME": "",
            "MAILER_SMTP_PASSWORD": "",
        }
        done = guarded.program.run("send", "appeal.md", "list.csv", "--yes")
    assert (done.returncode, len(local.accepted), proxy.asked) == (0, PEOPLE, [])
    assert "does not go through the proxy" in " ".join(done.stderr.split())


# -- what a proxy may answer

TARGET = Relay(host=HOST, port=587, security=Security.NONE, timeout=5.0)


async def refusal(proxy: SocksProxy, **given: str) -> tuple[str, str]:
    way = Proxy(host="127.0.0.1", port=proxy.port, **given)
    outcome = await connect(Relay(host=HOST, port=587, security=Security.NONE, timeout=5.0, proxy=way))
    assert isinstance(outcome, Outcome)
    return outcome.text, explain(outcome)


@pytest.mark.parametrize(
    ("reply", "reason"), [(2, "does not allow it"), (3, "has no network"), (4, "did not find it"), (5, "turned away")]
)
async def test_what_the_proxy_says_of_the_way_is_said_in_words(reply: int, reason: str) -> None:
    with SocksProxy(reply=reply) as proxy:
        text, advice = await refusal(proxy)
    assert text.startswith(f"{HOST} port 587 was not reached: the proxy at 127.0.0.1 port {proxy.port} ")
    assert reason in text
    assert "The mail server cannot be reached" in advice


@pytest.mark.parametrize("known", [{}, {"username": "ana", "password": "wrong"}])
async def test_a_proxy_that_wants_to_know_us_says_so(known: dict[str, str]) -> None:
    with SocksProxy(login=("ana", SECRET)) as proxy:
        text, advice = await refusal(proxy, **known)
    assert "user name" in text
    assert "wrong" not in text
    assert "no way through the proxy" in advice


@pytest.mark.parametrize("said", [b"", b"\5", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\4\0", b"220 mail ESMTP\r\n"])
async def test_what_is_no_proxy_is_called_so(said: bytes) -> None:
    with SocksProxy(hostile=said) as proxy:
        text, _ = await refusal(proxy)
        way = Proxy(host="127.0.0.1", port=proxy.port)
        with pytest.raises(ProxyError, match="no SOCKS5"):
            await asyncio.to_thread(way.open_and_wait, HOST, 587, 5.0)
    assert "speaks no SOCKS5" in text


async def test_a_resolver_behind_a_proxy_tells_no_such_name_from_silence() -> None:
    with dns_by_tcp({"union.alt TXT": '"one" "two"'}) as (port, _), SocksProxy({("192.0.2.53", 53): port}) as proxy:
        way = Proxy(host="127.0.0.1", port=proxy.port)
        resolver = NetworkResolver(server=("192.0.2.53", 53), proxy=way, patience=5.0)
        assert await resolver.ask("union.alt", "TXT") == ["onetwo"]
        assert await resolver.ask("union.alt", "MX") == []
        with pytest.raises(NoSuchNameError):
            await resolver.ask("gone.alt", "TXT")
        elsewhere = NetworkResolver(server=("192.0.2.54", 53), proxy=way, patience=0.3)
        with pytest.raises(DnsSilentError):
            await elsewhere.ask("union.alt", "TXT")
        # without a server of its own there is nobody whom it may ask
        with pytest.raises(DnsSilentError):
            await NetworkResolver(proxy=way, patience=0.3).ask("union.alt", "TXT")


# -- the settings


def settings(folder: Path, **given: str) -> Any:
    return load(folder, {f"MAILER_{name.upper()}": value for name, value in given.items()})


@given(
    user=st.none() | st.text("aZ09 :@/%#?", min_size=1, max_size=20),
    password=st.text("aZ09 :@/%#?", min_size=1, max_size=20),
    scheme=st.sampled_from(["socks5", "socks5h", "SOCKS5"]),
)
def test_any_user_name_and_password_can_be_written_into_the_proxys_address(
    tmp_path_factory: pytest.TempPathFactory, user: str | None, password: str, scheme: str
) -> None:
    from urllib.parse import quote

    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    found = settings(tmp_path_factory.getbasetemp(), proxy=f"{scheme}://{login}127.0.0.1:9050").way
    expected = (user, password) if user else (None, None)
    assert (found.host, found.port, found.username, found.password) == ("127.0.0.1", 9050, *expected)
    assert user is None or repr(password) not in repr(found)


def test_the_proxy_may_stand_in_a_file_and_its_password_in_the_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxy.txt").write_text(f"socks5://ana:{SECRET}@proxy.example:1080\n", encoding="utf-8")
    assert settings(tmp_path, proxy_file="proxy.txt").way.password == SECRET
    named = settings(tmp_path, proxy="socks5://ana@proxy.example:1080")
    with pytest.raises(SettingsError, match="no password"):
        _ = named.way
    from mailer.settings import passwords

    monkeypatch.setattr(passwords, "find", lambda *account: {("ana", "proxy.example"): SECRET}.get(account))
    assert settings(tmp_path, proxy="socks5://ana@proxy.example:1080").way.password == SECRET


def test_a_proxys_password_in_the_shared_file_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "mailer.toml").write_text(f'proxy = "socks5://ana:{SECRET}@127.0.0.1:9050"\n', encoding="utf-8")
    assert [one.code for one in load(tmp_path, {}).warnings] == ["exposed-password"]
    (tmp_path / "mailer.toml").write_text('proxy = "socks5://127.0.0.1:9050"\n', encoding="utf-8")
    assert load(tmp_path, {}).warnings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:DB8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_dns_server_is_an_address_perhaps_with_a_port(tmp_path: Path, text: str, expected: tuple[str, int]) -> None:
    assert settings(tmp_path, dns_server=text).dns_server == expected


@pytest.mark.parametrize(
    "text", ["dns.example", "192.0.2.53:0", "192.0.2.256", "[2001:db8::53", "192.0.2.53:x", "::1::"]
)
def test_what_is_no_address_of_a_dns_server_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        settings(tmp_path, dns_server=text)
