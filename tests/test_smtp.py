"""Relay connections and transactions, against a scripted server that knows what it accepted."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from smtp_server import Certificate, ScriptedServer

from mailer.model import Action, Envelope, Message, Outcome, Phase, Scope, Verdict
from mailer.outcome import explain
from mailer.smtp import Connection, Relay, Security, connect


def message(number: int = 1, content: bytes = b"Subject: x\r\n\r\nBody\r\n", to: str = "pat@example.org") -> Message:
    identifier = f"<{number}@example.org>"
    return Message(
        envelope=Envelope(mail_from="office@example.org", rcpt_to=to),
        message_id=identifier,
        content=f"Message-ID: {identifier}\r\n".encode() + content,
    )


def relay(server: ScriptedServer, **other: object) -> Relay:
    return Relay(**{"host": server.host, "port": server.port, "security": Security.NONE, "timeout": 2.0, **other})


async def opened(where: Relay) -> Connection:
    connection = await connect(where)
    assert isinstance(connection, Connection), connection
    return connection


async def yes() -> bool:
    return True


async def test_a_message_arrives_byte_for_byte_with_dots_at_the_start_of_lines() -> None:
    body = b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\nmiddle . dot\r\n"
    with ScriptedServer() as server:
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(content=body), yes)
        await connection.quit()
    assert outcome is not None
    assert outcome.verdict is Verdict.SENT
    [accepted] = server.accepted
    assert accepted.content == b"Message-ID: <1@example.org>\r\n" + body
    assert (accepted.mail_from, accepted.rcpt_to) == ("office@example.org", ("pat@example.org",))
    assert not server.violations


async def test_a_message_that_begins_with_a_dot_keeps_it() -> None:
    with ScriptedServer() as server:
        connection = await opened(relay(server))
        await connection.transmit(
            Message(envelope=message().envelope, message_id="<1@example.org>", content=b".a: b\r\n\r\nx\r\n"), yes
        )
        await connection.quit()
    assert server.accepted[0].content == b".a: b\r\n\r\nx\r\n"


async def test_the_greeting_tells_nothing_about_this_machine() -> None:
    with ScriptedServer() as server:
        await (await opened(relay(server))).quit()
        said = [line for line in server.transcripts[0] if line.lower().lstrip("c: ").startswith("ehlo")]
    assert said
    assert all("[127.0.0.1]" in line for line in said)


async def test_the_final_dot_waits_for_the_intent() -> None:
    ready, go = asyncio.Event(), asyncio.Event()

    async def intent() -> bool:
        ready.set()
        await go.wait()
        return True

    with ScriptedServer() as server:
        connection = await opened(relay(server))
        sending = asyncio.ensure_future(connection.transmit(message(), intent))
        await ready.wait()
        assert not server.accepted
        go.set()
        outcome = await sending
        await connection.quit()
    assert outcome is not None
    assert outcome.verdict is Verdict.SENT


async def test_nothing_is_sent_when_somebody_else_has_the_delivery() -> None:
    async def no() -> bool:
        return False

    with ScriptedServer() as server:
        connection = await opened(relay(server))
        assert await connection.transmit(message(), no) is None
        assert not connection.usable
    assert not server.accepted


async def test_nothing_is_sent_when_the_intent_cannot_be_recorded() -> None:
    async def broken() -> bool:
        raise OSError("disk full")

    with ScriptedServer() as server:
        connection = await opened(relay(server))
        with pytest.raises(OSError, match="disk full"):
            await connection.transmit(message(), broken)
        assert not connection.usable
    assert not server.accepted


@pytest.mark.parametrize(
    ("phase", "reply", "verdict", "scope"),
    [
        ("mail", "550 5.7.60 not allowed to send as this sender", Verdict.REQUEUED, None),
        ("rcpt", "550 5.1.1 User unknown", Verdict.FAILED, Scope.RECIPIENT),
        ("rcpt", "450 4.2.0 Greylisted", Verdict.DEFERRED, Scope.RECIPIENT),
        ("rcpt", "421 4.7.0 Try again later", Verdict.REQUEUED, Scope.CONNECTION),
        ("data", "451 4.3.0 later", Verdict.DEFERRED, Scope.RECIPIENT),
        ("dot", "552 5.3.4 message too big", Verdict.REQUEUED, Scope.MESSAGE),
        ("dot", "550 5.1.1 User unknown", Verdict.FAILED, Scope.RECIPIENT),
        ("dot", "451 4.3.0 later", Verdict.DEFERRED, Scope.RECIPIENT),
    ],
)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_refusal_is_an_outcome_of_its_phase(
    phase: str, reply: str, verdict: Verdict, scope: Scope, pipelining: bool
) -> None:
    with ScriptedServer(pipelining=pipelining) as server:
        server.on(phase, nth=1, reply=reply)
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(), yes)
    assert outcome is not None
    assert outcome.verdict is verdict
    assert scope is None or outcome.scope is scope
    assert outcome.reply is not None
    assert outcome.reply.code == int(reply[:3])
    assert not server.accepted


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
async def test_after_a_refusal_the_next_message_goes_over_the_same_connection(phase: str, pipelining: bool) -> None:
    with ScriptedServer(pipelining=pipelining) as server:
        server.on(phase, nth=1, reply="550 5.1.1 User unknown")
        connection = await opened(relay(server))
        await connection.transmit(message(1), yes)
        outcome = await connection.transmit(message(2), yes)
        await connection.quit()
    assert outcome is not None
    assert outcome.verdict is Verdict.SENT
    assert [accepted.message_id for accepted in server.accepted] == ["<2@example.org>"]
    assert server.connections == 1
    assert not server.violations


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "content"])
@pytest.mark.parametrize("fault", [{"drop": True}, {"reset": True}, {"raw": b"garbage\r\n"}, {"reply": "421 bye"}])
async def test_a_connection_lost_before_the_final_dot_leaves_the_delivery_its_place(
    phase: str, fault: dict, pipelining: bool
) -> None:
    with ScriptedServer(pipelining=pipelining) as server:
        server.on(phase, nth=1, **fault)
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(content=b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * 10), yes)
        assert not connection.usable or outcome is not None
    assert outcome is not None
    if outcome.phase is Phase.FINAL_DOT:
        # garbage that comes while the dot leaves is read as the answer to it: then nobody knows, and it is said so. 421 is
        # an answer; this server takes the message all the same, as none does that is leaving (RFC 5321, 3.8)
        assert outcome.verdict is Verdict.UNCERTAIN or "reply" in fault or not server.accepted
    else:
        assert outcome.verdict is Verdict.REQUEUED
        assert outcome.action is Action.RECONNECT
        assert not connection.usable
        assert not server.accepted


@pytest.mark.parametrize("phase", ["dot", "accepted"])
@pytest.mark.parametrize("fault", [{"drop": True}, {"reset": True}, {"raw": b"garbage\r\n"}, {"silence": True}])
async def test_a_connection_lost_after_the_final_dot_is_uncertain(phase: str, fault: dict) -> None:
    with ScriptedServer() as server:
        server.on(phase, nth=1, **fault)
        connection = await opened(relay(server, final_timeout=0.3))
        outcome = await connection.transmit(message(), yes)
        assert not connection.usable
    assert outcome is not None
    assert outcome.verdict is Verdict.UNCERTAIN
    assert outcome.phase is Phase.FINAL_DOT


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[Relay, list[bytes]]]:
    """A server that gives these answers, one for each piece of data that arrives, and then goes."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 raw.test\r\n")
        for answer in (b"250-raw.test\r\n250 PIPELINING\r\n", *answers):
            heard.append(await reader.read(65536))
            writer.write(answer)
        writer.close()
        done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Relay(host="127.0.0.1", port=port, security=Security.NONE, timeout=2.0, final_timeout=2.0), heard
        await done.wait()
    await asyncio.sleep(0)  # the transports close in the loop's next round


async def test_mail_rcpt_and_data_go_out_together_where_the_server_takes_them() -> None:
    async with answering(b"250 ok\r\n250 ok\r\n354 go\r\n", b"", b"250 ok\r\n") as (where, heard):
        connection = await opened(where)
        outcome = await connection.transmit(message(), yes)
        await connection.quit()
    assert outcome is not None
    assert heard[1] == b"MAIL FROM:<office@example.org>\r\nRCPT TO:<pat@example.org>\r\nDATA\r\n"


@pytest.mark.parametrize("rest", [b"354 go on\r\n", b""])
async def test_a_server_that_waits_for_content_to_nobody_or_goes_while_refusing_is_left(rest: bytes) -> None:
    async with answering(b"250 ok\r\n550 5.1.1 User unknown\r\n" + rest) as (where, heard):
        connection = await opened(where)
        outcome = await connection.transmit(message(), yes)
        assert not connection.usable
    assert outcome is not None
    assert (outcome.verdict, outcome.phase) == (Verdict.FAILED, Phase.RCPT)
    assert len(heard) == 2


async def test_a_server_that_went_while_the_program_stood_still_gets_no_final_dot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mailer.smtp.dialogue.STANDSTILL", 0.05)
    with ScriptedServer() as server:
        server.on("content", drop=True)
        connection = await opened(relay(server))

        async def stands_still() -> bool:
            time.sleep(0.3)  # as if the computer slept
            return True

        outcome = await connection.transmit(message(), stands_still)
    assert outcome is not None
    assert (outcome.verdict, outcome.phase) == (Verdict.REQUEUED, Phase.CONTENT)


async def test_a_server_that_falls_silent_is_left_after_the_timeout() -> None:
    with ScriptedServer() as server:
        server.on("rcpt", nth=1, silence=True)
        connection = await opened(relay(server, timeout=0.3))
        outcome = await connection.transmit(message(), yes)
    assert outcome is not None
    assert outcome.verdict is Verdict.REQUEUED
    assert "did not answer" in outcome.text


async def test_a_message_over_the_servers_size_is_not_even_begun() -> None:
    with ScriptedServer(size=100) as server:
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(content=b"Subject: x\r\n\r\n" + b"x\r\n" * 100), yes)
        await connection.quit()
        assert not any("MAIL" in line for line in server.transcripts[0])
    assert outcome is not None
    assert (outcome.scope, outcome.action) == (Scope.MESSAGE, Action.STOP)


async def test_a_line_end_in_an_address_never_reaches_the_wire() -> None:
    with ScriptedServer() as server:
        connection = await opened(relay(server))
        outcome = await connection.transmit(message(to="pat@example.org>\r\nRCPT TO:<eve@example.org"), yes)
        assert not any("eve" in line for line in server.transcripts[0])
    assert outcome is not None
    assert outcome.verdict is Verdict.REQUEUED
    assert not server.accepted


async def test_a_server_that_cannot_be_reached_is_an_outcome_of_phase_connect() -> None:
    with ScriptedServer() as server:
        where = relay(server)
    outcome = await connect(where)
    assert isinstance(outcome, Outcome)
    assert (outcome.phase, outcome.verdict) == (Phase.CONNECT, Verdict.REQUEUED)
    assert "no connection" in outcome.text


@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS])
async def test_a_port_that_waits_for_tls_is_left_in_time_and_the_usual_ports_are_named(
    tmp_path: Path, security: Security
) -> None:
    context = Certificate.make(tmp_path).server_context()
    with ScriptedServer(context=context, security="tls") as server:
        outcome = await connect(relay(server, security=security, timeout=0.3))
    assert isinstance(outcome, Outcome)
    assert outcome.phase is Phase.CONNECT
    assert outcome.text.endswith("did not answer in time; is the port right? 587 goes with starttls, 465 with tls")


async def test_a_port_that_does_not_begin_with_tls_is_left_at_once() -> None:
    with ScriptedServer() as server:
        outcome = await connect(relay(server, security=Security.TLS))
    assert isinstance(outcome, Outcome)
    assert (outcome.phase, outcome.action) == (Phase.TLS, Action.STOP)
    assert "587 goes with starttls" in outcome.text
    assert "does not begin with TLS" in explain(outcome)


async def test_all_of_a_try_to_connect_shares_one_limit() -> None:
    with ScriptedServer() as server:
        for phase in ("greeting", "ehlo"):
            server.on(phase, delay=0.4)
        outcome = await connect(relay(server, timeout=0.6))
    assert isinstance(outcome, Outcome)
    assert "did not answer in time" in outcome.text


def test_a_try_to_connect_takes_half_a_minute_at_most() -> None:
    where = {"host": "smtp.branch.example", "port": 587}
    assert Relay(**where).patience == 30
    assert Relay(**where, timeout=5.0).patience == 5
    assert Relay(**where | {"port": 465}).patience == 10  # no greeting will ever come
    assert Relay(**where | {"port": 465}, security=Security.TLS).patience == 30


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_valid_certificate_is_required(tmp_path: Path, security: Security) -> None:
    certificate = Certificate.make(tmp_path)
    with ScriptedServer(context=certificate.server_context(), security=security.value) as server:
        where = relay(server, host="localhost", security=security)
        outcome = await connect(where)
        assert isinstance(outcome, Outcome)
        assert outcome.phase is Phase.TLS
        assert "certificate" in outcome.text
        trusting = relay(server, host="localhost", security=security, tls_context=certificate.client_context())
        connection = await opened(trusting)
        sent = await connection.transmit(message(), yes)
        await connection.quit()
    assert sent is not None
    assert sent.verdict is Verdict.SENT


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_python_that_knows_no_authorities_is_what_is_wrong_and_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: Security
) -> None:
    """That of python.org, on a Mac, until its own installer of them was run."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    certificate = Certificate.make(tmp_path)
    with ScriptedServer(context=certificate.server_context(), security=security.value) as server:
        outcome = await connect(relay(server, host="localhost", security=security))
    assert isinstance(outcome, Outcome)
    assert outcome.phase is Phase.TLS
    assert "double-click Install Certificates.command" in outcome.text


async def test_without_starttls_on_offer_nothing_is_said_in_clear_text() -> None:
    with ScriptedServer() as server:
        where = relay(server, security=Security.STARTTLS, username="ana", password="secret-word")
        outcome = await connect(where)
        assert isinstance(outcome, Outcome)
        assert (outcome.phase, outcome.verdict, outcome.action) == (Phase.TLS, Verdict.REQUEUED, Action.STOP)
        assert "no encryption on this port" in explain(outcome)
        assert not any("secret-word" in line or "AUTH" in line for line in server.transcripts[0])


@pytest.mark.parametrize("reply", ["454 4.7.0 TLS not available", "502 5.5.1 Not implemented"])
async def test_a_server_that_refuses_encryption_is_left_at_once(tmp_path: Path, reply: str) -> None:
    context = Certificate.make(tmp_path).server_context()
    with ScriptedServer(context=context, security="starttls") as server:
        server.on("starttls", reply=reply)
        outcome = await connect(relay(server, security=Security.STARTTLS, username="ana", password="secret-word"))
        assert isinstance(outcome, Outcome)
        assert (outcome.phase, outcome.verdict, outcome.action) == (Phase.TLS, Verdict.REQUEUED, Action.STOP)
        assert "no encryption on this port" in explain(outcome)
        assert not any("secret-word" in line or "AUTH" in line for line in server.transcripts[0])


async def test_login_works_and_a_wrong_password_is_a_stop(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    with ScriptedServer(context=certificate.server_context(), security="starttls", users={"ana": "right"}) as server:
        where = {"host": "localhost", "security": Security.STARTTLS, "tls_context": certificate.client_context()}
        connection = await opened(relay(server, username="ana", password="right", **where))
        sent = await connection.transmit(message(), yes)
        await connection.quit()
        refused = await connect(relay(server, username="ana", password="wrong", **where))
    assert sent is not None
    assert sent.verdict is Verdict.SENT
    assert server.accepted[0].user == "ana"
    assert isinstance(refused, Outcome)
    assert (refused.phase, refused.scope, refused.action) == (Phase.AUTH, Scope.AUTH, Action.STOP)


def test_a_password_is_not_shown_in_a_representation() -> None:
    assert "hush" not in repr(Relay(host="h.example", port=25, username="ana", password="hush"))


async def test_a_wrong_name_and_a_closed_port_are_told_apart() -> None:
    with ScriptedServer() as server:
        closed = relay(server)
    nothing = await connect(closed)
    unknown = await connect(Relay(host="smtp.nothing.invalid", port=587, timeout=20.0))
    assert isinstance(nothing, Outcome)
    assert "nothing answers at that port" in nothing.text
    assert isinstance(unknown, Outcome)
    assert "no such name" in unknown.text


STOPPED = """
import asyncio, sys
from mailer.cli.send import loop_factory
from mailer.model import Envelope, Message
from mailer.smtp import Relay, Security, connect
async def main():
    relay = Relay(host=sys.argv[1], port=int(sys.argv[2]), security=Security.NONE, timeout=2.0, final_timeout=1.0)
    connection = await connect(relay)
    envelope = Envelope(mail_from="a@example.org", rcpt_to="b@example.org")
    async def yes():
        return True
    outcome = await connection.transmit(Message(envelope=envelope, message_id="<1@x>", content=b"Subject: x\\r\\n\\r\\nx\\r\\n"), yes)
    print(outcome.verdict)
with asyncio.Runner(loop_factory=loop_factory()) as runner:
    runner.run(main())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows stops no process")
def test_an_answer_that_came_while_the_program_stood_still_is_heard() -> None:
    with ScriptedServer() as server:
        rule = server.on("accepted", delay=0.5)
        command = [sys.executable, "-c", STOPPED, server.host, str(server.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert rule.fired.wait(20)
            program.send_signal(signal.SIGSTOP)
            time.sleep(1.6)
            program.send_signal(signal.SIGCONT)
            said, _ = program.communicate(timeout=20)
    assert said.strip() == "sent"
