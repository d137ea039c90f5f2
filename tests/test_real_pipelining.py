"""Two hundred people through real servers, however commands are handed over: each once, by the server's own count."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import real_servers
import rooted_servers
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from campaigns import run_of, start

from mailer.ledger import Ledger
from mailer.model import Pipelining, Status, Tally
from mailer.smtp import Connection, Relay, Security, connect

EVERYBODY, EVERY = 200, 25
MODES = tuple(Pipelining)
TRIED = [pytest.param(mode, marks=() if mode is Pipelining.AUTO else pytest.mark.thorough) for mode in MODES]
CONNECTIONS = {Pipelining.AUTO: 3, Pipelining.MESSAGE: 3, Pipelining.OFF: 1}

unix_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="Postfix, and what is unpacked from Debian's packages, need Linux"
)


def people(mode: Pipelining) -> list[str]:
    return [f"p{number}@{mode.value}.example" for number in range(1, EVERYBODY + 1)]


def unknown(mode: Pipelining) -> list[str]:
    return people(mode)[EVERY - 1 :: EVERY]


UNKNOWN = [address for mode in MODES for address in unknown(mode)]


async def campaign_to(port: int, folder: Path, mode: Pipelining, *, offered: bool = True) -> tuple[Tally, set[str]]:
    """Send to everybody. How it ended, and who failed. `offered`: whether this server takes commands together."""
    relay = Relay(host="127.0.0.1", port=port, security=Security.NONE, timeout=20.0, pipelining=mode)
    connection = await connect(relay)
    assert isinstance(connection, Connection)
    assert connection.extensions.pipelining is offered
    await connection.quit()
    with Ledger(folder / "mailer.db") as ledger:
        campaign = start(folder, ledger, people(mode))
        run = run_of(ledger, campaign, relay, connections=CONNECTIONS[mode], batch_size=30)
        reason = await asyncio.wait_for(run.run(), 60)
        assert reason is None
        assert run.overlaps, "it bears an envelope that comes early"
        return ledger.tally(campaign), {record.address for record in ledger.records(campaign, Status.FAILED)}


def check(ended: tuple[Tally, set[str]], received: Counter[str], mode: Pipelining) -> None:
    refused = unknown(mode)
    assert ended == (Tally(sent=EVERYBODY - len(refused), failed=len(refused)), set(refused))
    ours = {address: count for address, count in received.items() if address.endswith(f"@{mode.value}.example")}
    assert ours == dict.fromkeys((address for address in people(mode) if address not in refused), 1)


# -- Postfix


@pytest.fixture(scope="module")
def postfix() -> Iterator[real_servers.Relay]:
    real_servers.require("postfix")
    table = ", ".join(f"{{ {address} = 550 5.1.1 User unknown }}" for address in UNKNOWN)
    # without a log of every command, which would cost more than all the rest
    further = f"smtpd_recipient_restrictions = check_recipient_access inline:{{ {table} }}\ndebug_peer_list =\n"
    with real_servers.server_folder() as folder, real_servers.postfix(folder, further=further) as relay:
        yield relay


@unix_only
@pytest.mark.parametrize("mode", TRIED)
async def test_postfix_delivers_one_message_to_each(
    campaign_folder: Path, postfix: real_servers.Relay, mode: Pipelining
) -> None:
    ended = await campaign_to(postfix.port, campaign_folder, mode)
    # it answers before it delivers
    deadline = time.monotonic() + 20
    while len(received := in_maildir(postfix.maildir, mode)) < ended[0].sent and time.monotonic() < deadline:
        pass
    check(ended, Counter(received), mode)


def in_maildir(maildir: Path, mode: Pipelining) -> list[str]:
    heads = (path.read_text("utf-8", "replace").partition("\n\n")[0] for path in (maildir / "new").glob("*"))
    to = [line[15:] for head in heads for line in head.splitlines() if line.startswith("X-Original-To: ")]
    return [address for address in to if address.endswith(f"@{mode.value}.example")]


# -- Exim takes commands together and says so; OpenSMTPD ends a connection on which more than one waits


@pytest.fixture(scope="module")
def exim() -> Iterator[rooted_servers.Rooted]:
    rooted_servers.require("exim4")
    with real_servers.server_folder() as folder, rooted_servers.exim(folder, UNKNOWN) as server:
        yield server


@pytest.fixture(scope="module")
def opensmtpd() -> Iterator[rooted_servers.Rooted]:
    rooted_servers.require("smtpd")
    with real_servers.server_folder() as folder, rooted_servers.opensmtpd(folder, UNKNOWN) as server:
        yield server


@unix_only
@pytest.mark.parametrize("mode", TRIED)
async def test_exim_has_one_message_for_each(
    campaign_folder: Path, exim: rooted_servers.Rooted, mode: Pipelining
) -> None:
    check(await campaign_to(exim.port, campaign_folder, mode), exim.received(), mode)


@unix_only
@pytest.mark.parametrize("mode", TRIED)
async def test_opensmtpd_has_one_message_for_each(
    campaign_folder: Path, opensmtpd: rooted_servers.Rooted, mode: Pipelining
) -> None:
    ended = await campaign_to(opensmtpd.port, campaign_folder, mode, offered=False)
    check(ended, opensmtpd.received(), mode)


# -- aiosmtpd takes commands one by one; with a word in its greeting also together


class Taker:
    """Notes what it takes."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd wants it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if address in UNKNOWN:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.received.update(envelope.rcpt_tos)
        return "250 2.0.0 Ok"


class Together(Taker):
    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]


@pytest.mark.parametrize("mode", TRIED)
@pytest.mark.parametrize("kind", [Taker, Together])
async def test_aiosmtpd_has_one_message_for_each(campaign_folder: Path, kind: type[Taker], mode: Pipelining) -> None:
    taker: Any = kind()
    controller = Controller(taker, hostname="127.0.0.1", port=real_servers.free_port())
    controller.start()
    try:
        ended = await campaign_to(controller.port, campaign_folder, mode, offered=kind is Together)
    finally:
        controller.stop()
    check(ended, taker.received, mode)
