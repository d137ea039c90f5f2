"""The scripted server, spoken to by the standard library's client and by hand."""

from __future__ import annotations

import smtplib
import socket
import ssl
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from smtp_script import parse_rule
from smtp_server import Certificate, ScriptedServer

ORGANISER = "organise@example.org"


def letter(number, text="Stand with us.\n"):
    message = EmailMessage()
    message["Message-ID"] = f"<{number}@example.org>"
    message["Subject"] = "Solidarity"
    message.set_content(text)
    return message.as_bytes()


def connect(server, **options):
    client = smtplib.SMTP(server.host, server.port, timeout=10, **options)
    client.ehlo("client.test")
    return client


def send(client, number, to="ada@example.net"):
    return client.sendmail(ORGANISER, [to], letter(number))


class Wire:
    """A client by hand, for what smtplib would never do."""

    def __init__(self, server):
        self.socket = socket.create_connection((server.host, server.port), timeout=10)
        self.file = self.socket.makefile("rb")
        self.reply()

    def reply(self):
        while (line := self.file.readline()) and line[3:4] == b"-":
            pass
        return line.decode().rstrip()

    def say(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def ask(self, line):
        self.say(line)
        return self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


def test_what_is_accepted_is_recorded_before_the_answer_with_envelope_bytes_and_time(tmp_path):
    oracle = tmp_path / "accepted.tsv"
    with ScriptedServer(oracle=oracle) as server, connect(server) as client:
        before = time.monotonic()
        client.sendmail(ORGANISER, ["ada@example.net"], b"Message-ID: <1@example.org>\r\n\r\n.dots\r\n..\r\nend\r\n")
        after = time.monotonic()
        lines = oracle.read_text(encoding="utf-8").splitlines()
    (message,) = server.accepted
    assert message.content == b"Message-ID: <1@example.org>\r\n\r\n.dots\r\n..\r\nend\r\n"
    assert (message.message_id, message.mail_from) == ("<1@example.org>", ORGANISER)
    assert message.rcpt_to == ("ada@example.net",)
    assert before <= message.at <= after
    assert [line.split("\t")[1:] for line in lines] == [["<1@example.org>", ORGANISER, "ada@example.net", "1"]]
    assert server.violations == []
    assert server.connections == 1
    assert server.transcripts[0][-2:] == ["C: QUIT", "S: 221 2.0.0 Bye"]


def test_a_rule_for_the_nth_recipient_refuses_only_that_one():
    with ScriptedServer() as server, connect(server) as client:
        rule = server.on("rcpt", nth=2, reply="550 5.1.1 User unknown")
        send(client, 1)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(client, 2)
        send(client, 3)
    assert refused.value.recipients == {"ada@example.net": (550, b"5.1.1 User unknown")}
    assert [message.message_id for message in server.accepted] == ["<1@example.org>", "<3@example.org>"]
    assert rule.count == 1


def test_a_rule_for_an_address_ignores_case_and_can_have_several_lines():
    with ScriptedServer() as server, connect(server) as client:
        server.on("rcpt", address="ADA@example.net", reply="450 4.2.0 Greylisted\ncome back later")
        assert client.mail(ORGANISER)[0] == 250
        assert client.rcpt("ada@example.net") == (450, b"4.2.0 Greylisted\ncome back later")
        assert client.rcpt("bo@example.net")[0] == 250


@pytest.mark.parametrize("phase", ["greeting", "ehlo", "mail", "rcpt", "data", "content", "dot", "accepted"])
@pytest.mark.parametrize("how", ["drop", "reset"])
def test_the_connection_can_drop_in_every_phase_and_only_the_last_has_accepted(phase, how):
    with ScriptedServer() as server:
        server.on(phase, **{how: True})
        with pytest.raises((smtplib.SMTPException, ConnectionError)):  # noqa: SIM117
            with connect(server) as client:
                send(client, 1)
    assert len(server.accepted) == (phase == "accepted")


def test_a_reply_421_can_close_the_connection_in_the_same_breath():
    with ScriptedServer() as server, connect(server) as client:
        server.on("rcpt", reply="421 4.7.0 Try again later", drop=True)
        client.mail(ORGANISER)
        with pytest.raises(smtplib.SMTPServerDisconnected):  # noqa: PT012
            assert client.rcpt("ada@example.net") == (421, b"4.7.0 Try again later")
            client.noop()


def test_good_messages_per_connection_can_be_limited():
    with ScriptedServer() as server:
        server.on("mail", nth=3, per_connection=True, drop=True)
        for _ in range(2):
            with connect(server) as client:
                send(client, 1)
                send(client, 2)
                with pytest.raises(smtplib.SMTPServerDisconnected):
                    send(client, 3)
    assert [message.connection for message in server.accepted] == [1, 1, 2, 2]


def test_every_and_first_and_connection_choose_events():
    with ScriptedServer() as server:
        server.on("noop", connection=2, reply="250 second connection")
        server.on("noop", first=1, reply="250 first")
        server.on("noop", every=2, reply="250 even")
        with connect(server) as one, connect(server) as two:
            said = [client.noop()[1].decode() for client in (one, two, one, one, one)]
    assert said == ["first", "second connection", "2.0.0 Ok", "even", "2.0.0 Ok"]


def test_a_rule_counts_events_that_another_rule_answers():
    with ScriptedServer() as server, connect(server) as client:
        second, third = server.on("noop", nth=2, reply="250 second"), server.on("noop", nth=3, reply="250 third")
        assert [client.noop()[1] for _ in range(4)] == [b"2.0.0 Ok", b"second", b"third", b"2.0.0 Ok"]
    assert (second.count, third.count) == (1, 1)


def test_silence_lasts_until_the_client_gives_up():
    with ScriptedServer() as server, Wire(server) as wire:
        rule = server.on("mail", silence=True)
        wire.say("EHLO client.test")
        wire.reply()
        wire.say("MAIL FROM:<organise@example.org>")
        assert rule.fired.wait(10)
        wire.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            wire.file.readline()


def test_a_reply_can_be_garbage_or_late():
    with ScriptedServer() as server, Wire(server) as wire:
        server.on("noop", nth=1, raw=b"\xff\x00 what\r\n")
        server.on("noop", nth=2, delay=0.02)
        wire.say("NOOP")
        assert wire.file.readline() == b"\xff\x00 what\r\n"
        before = time.monotonic()
        assert wire.ask("NOOP") == "250 2.0.0 Ok"
        assert time.monotonic() - before >= 0.02


def test_an_accepted_message_can_be_held_before_its_answer():
    with ScriptedServer() as server, Wire(server) as wire:
        rule = server.on("accepted", hold=True)
        for line in ("EHLO client.test", f"MAIL FROM:<{ORGANISER}>", "RCPT TO:<ada@example.net>", "DATA"):
            wire.ask(line)
        wire.say("Message-ID: <1@example.org>", "", "hello", ".")
        server.wait_for(1)
        assert rule.fired.wait(10)
        rule.release()
        assert wire.reply() == "250 2.0.0 Ok: queued as 1"


def test_content_can_be_cut_after_some_bytes():
    with ScriptedServer() as server, connect(server) as client:
        server.on("content", after=50_000, drop=True)
        client.sendmail(ORGANISER, ["ada@example.net"], letter(1, "short\n"))
        server.on("content", after=50_000, drop=True)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            client.sendmail(ORGANISER, ["ada@example.net"], letter(2, "long line\n" * 100_000))
    assert [message.message_id for message in server.accepted] == ["<1@example.org>"]


def test_pipelined_transactions_overlap_with_the_content_of_the_one_before():
    envelope = [f"MAIL FROM:<{ORGANISER}>", "RCPT TO:<ada@example.net>", "DATA"]
    with ScriptedServer() as server, Wire(server) as wire:
        wire.ask("EHLO client.test")
        wire.say(*envelope)
        assert [wire.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        wire.say("Message-ID: <1@example.org>", "", "one", ".", *envelope)
        assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        wire.say("Message-ID: <2@example.org>", "", "two", ".", "QUIT")
        assert [wire.reply()[:3] for _ in range(2)] == ["250", "221"]
    assert [message.message_id for message in server.accepted] == ["<1@example.org>", "<2@example.org>"]
    assert server.violations == []


def test_pipelining_unasked_and_content_too_early_are_noted():
    with ScriptedServer(pipelining=False) as server, Wire(server) as wire:
        wire.say(
            f"MAIL FROM:<{ORGANISER}>", "RCPT TO:<ada@example.net>", "DATA", "Message-ID: <1@example.org>", "", "."
        )
        assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    assert any("PIPELINING" in violation for violation in server.violations)
    assert any("before the answer to DATA" in violation for violation in server.violations)


def test_content_that_no_client_may_send_is_noted():
    with ScriptedServer() as server, Wire(server) as wire:
        for line in ("EHLO client.test", f"MAIL FROM:<{ORGANISER}>", "RCPT TO:<ada@example.net>", "DATA"):
            wire.ask(line)
        wire.say("a" * 999, "bare \n line feed", "grüße", ".")
        assert wire.reply().startswith("250")
    assert [violation.partition(": ")[2] for violation in server.violations] == [
        "a bare CR or LF in the content",
        "a line longer than 998 bytes",
        "8-bit content without BODY=8BITMIME",
    ]


def test_commands_out_of_order_are_refused():
    with ScriptedServer() as server, Wire(server) as wire:
        said = [
            wire.ask(line)[:9]
            for line in (
                "RCPT TO:<a@example.net>",
                "DATA",
                "MAIL FROM a",
                f"MAIL FROM:<{ORGANISER}>",
                "MAIL FROM:<>",
                "DATA",
            )
        ]
        assert said == ["503 5.5.1", "503 5.5.1", "501 5.5.4", "250 2.1.0", "503 5.5.1", "554 5.5.1"]
        assert wire.ask("RCPT TO:<>")[:9] == "501 5.1.3"
        assert wire.ask("RSET")[:3] == "250"
        assert wire.ask("WHAT")[:3] == "502"


def test_offers_can_be_switched_off():
    with ScriptedServer() as server, connect(server) as client:
        assert set(client.esmtp_features) == {"pipelining", "size", "smtputf8", "8bitmime", "enhancedstatuscodes"}
    with ScriptedServer(pipelining=False, smtputf8=False, eightbitmime=False, size=1000) as server:
        with connect(server) as client:
            assert client.esmtp_features == {"size": "1000", "enhancedstatuscodes": ""}
            assert client.mail(ORGANISER, ["SIZE=1001"])[0] == 552
            assert client.mail(ORGANISER)[0] == client.rcpt("ada@example.net")[0] == 250
            assert client.data(b"x" * 900 + b"\r\n" + b"y" * 900) == (552, b"5.3.4 Message size exceeds fixed limit")
        with Wire(server) as wire:
            assert wire.ask("MAIL FROM:<jörg@example.org>")[:9] == "555 5.6.7"


def test_an_international_address_needs_smtputf8():
    with ScriptedServer() as server, Wire(server) as wire:
        wire.ask(f"MAIL FROM:<{ORGANISER}>")
        assert wire.ask("RCPT TO:<jörg@example.net>")[:9] == "553 5.6.7"
        wire.ask("RSET")
        wire.ask(f"MAIL FROM:<{ORGANISER}> SMTPUTF8")
        assert wire.ask("RCPT TO:<jörg@example.net>")[:3] == "250"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("initial", [True, False])
def test_a_login_is_required_and_a_wrong_password_refused(mechanism, initial):
    with ScriptedServer(users={"ada": "secret"}, mechanisms=[mechanism]) as server, connect(server) as client:
        assert client.mail(ORGANISER)[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login("ada", "wrong", initial_response_ok=initial)
        assert refused.value.smtp_code == 535
        client.login("ada", "secret", initial_response_ok=initial)
        send(client, 1)
    assert server.accepted[0].user == "ada"


def test_xoauth2_takes_a_token_and_explains_a_wrong_one():
    with ScriptedServer(users={"ada": "token"}) as server, connect(server) as client:
        for token, code in (("wrong", 535), ("token", 235)):
            client.user, client.password = "ada", ""

            def answer(challenge=None, token=token):
                return "" if challenge else f"user=ada\x01auth=Bearer {token}\x01\x01"

            try:
                got = client.auth("XOAUTH2", answer)[0]
            except smtplib.SMTPAuthenticationError as refused:
                got = refused.smtp_code
            assert got == code


def test_a_rule_can_refuse_a_right_login():
    with ScriptedServer(users={"ada": "secret"}) as server, connect(server) as client:
        server.on("auth", reply="454 4.7.0 Temporary authentication failure")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ada", "secret")


def test_starttls_works_and_hides_the_login_until_then(tmp_path):
    certificate = Certificate.make(tmp_path)
    with ScriptedServer(security="starttls", context=certificate.server_context(), users={"ada": "secret"}) as server:
        with connect(server) as client:
            assert "auth" not in client.esmtp_features
            client.starttls(context=certificate.client_context())
            client.ehlo("client.test")
            assert "starttls" not in client.esmtp_features
            client.login("ada", "secret")
            send(client, 1)
        with connect(server) as client, pytest.raises(ssl.SSLCertVerificationError):
            client.starttls(context=ssl.create_default_context())
    assert len(server.accepted) == 1


def test_starttls_can_be_refused(tmp_path):
    certificate = Certificate.make(tmp_path)
    with ScriptedServer(security="starttls", context=certificate.server_context()) as server, connect(server) as client:
        server.on("starttls", reply="454 4.7.0 TLS not available")
        with pytest.raises(smtplib.SMTPResponseException):
            client.starttls(context=certificate.client_context())


def test_tls_from_the_first_byte_works_and_an_expired_certificate_is_noticed(tmp_path):
    certificate = Certificate.make(tmp_path)
    with (
        ScriptedServer(security="tls", context=certificate.server_context()) as server,
        smtplib.SMTP_SSL(server.host, server.port, "client.test", context=certificate.client_context()) as client,
    ):
        send(client, 1)
    assert len(server.accepted) == 1
    expired = Certificate.make(tmp_path, valid_days=-1)
    with (
        ScriptedServer(security="tls", context=expired.server_context()) as server,
        pytest.raises(ssl.SSLCertVerificationError, match="expired"),
    ):
        smtplib.SMTP_SSL(server.host, server.port, "client.test", context=expired.client_context())


def test_as_a_process_of_its_own_it_outlives_its_clients_and_keeps_the_oracle(tmp_path):
    port, oracle = tmp_path / "port", tmp_path / "accepted.tsv"
    command = [sys.executable, str(Path(__file__).with_name("smtp_server.py")), "--port-file", str(port)]
    command += ["--oracle", str(oracle), "--user", "ada=secret", "--rule", 'rcpt nth=2 reply="550 5.1.1 User unknown"']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            deadline = time.monotonic() + 20
            while not port.exists():
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
            with smtplib.SMTP("127.0.0.1", int(port.read_text(encoding="utf-8")), "client.test", timeout=10) as client:
                client.login("ada", "secret")
                send(client, 1)
                with pytest.raises(smtplib.SMTPRecipientsRefused):
                    send(client, 2)
            assert oracle.read_text(encoding="utf-8").split("\t")[1] == "<1@example.org>"
        finally:
            process.terminate()


def test_a_rule_in_text_is_read_with_numbers_flags_and_bytes():
    rule = parse_rule(r'mail nth=3 per_connection delay=0.5 drop raw="\xff\r\n" address=ada@example.net')
    assert (rule.phase, rule.nth, rule.per_connection, rule.delay, rule.drop) == ("mail", 3, True, 0.5, True)
    assert (rule.raw, rule.address) == (b"\xff\r\n", "ada@example.net")
    for wrong in ("sleep nth=1", "mail whenever", "mail nth=x"):
        with pytest.raises(ValueError):
            parse_rule(wrong)


def test_a_misspelt_phase_is_refused_at_once():
    with pytest.raises(ValueError, match="no phase"):
        ScriptedServer().on("final", drop=True)


def test_a_port_in_use_is_reported():
    with ScriptedServer() as server, pytest.raises(OSError), ScriptedServer(port=server.port):
        pass
