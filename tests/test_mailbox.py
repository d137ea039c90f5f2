"""The capture mailbox, spoken to with Python's own SMTP client."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.errors import Refused
from mailer.mailbox import CaptureServer, Store, delete_captured, describe, read_captured

MESSAGE = (
    b"From: Solidarity <office@example.org>\r\nTo: ana@example.net\r\n"
    b"Subject: =?utf-8?q?R=C3=A9sum=C3=A9?=\r\nMessage-ID: <one@example.org>\r\n\r\nHello.\r\n.dot\r\n"
)


def send(port: int, content: bytes = MESSAGE, to: str = "ana@example.net", **options) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail("office@example.org", [to], content, **options)


def test_a_message_is_kept_exactly_as_received_with_its_envelope(tmp_path):
    with CaptureServer(tmp_path) as server:
        send(server.port)
    (captured,) = read_captured(tmp_path)
    assert captured.content() == MESSAGE
    assert captured.envelope.mail_from == "office@example.org"
    assert captured.recipients == ("ana@example.net",)
    assert captured.message_id == "<one@example.org>"
    assert captured.subject == "Résumé"
    assert captured.received_at.utcoffset().total_seconds() == 0
    assert captured.size == len(MESSAGE)


def test_the_message_is_on_disk_before_the_answer(tmp_path):
    with CaptureServer(tmp_path) as server, smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        for number in range(1, 6):
            client.sendmail("office@example.org", ["ana@example.net"], MESSAGE)
            assert len(list(tmp_path.glob("*.eml"))) == number
            assert not list((tmp_path / "new").iterdir())


def test_size_8bitmime_smtputf8_and_pipelining_are_offered_under_a_neutral_name(tmp_path):
    with CaptureServer(tmp_path, max_size=1234) as server, smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        code, text = client.ehlo("client.test")
    assert code == 250
    assert text.splitlines()[0] == b"mailbox.test"
    assert socket.getfqdn().encode() not in text.splitlines()[0:1]
    assert client.esmtp_features["size"] == "1234"
    assert {"8bitmime", "smtputf8", "pipelining"} <= set(client.esmtp_features)


@pytest.mark.parametrize("method", ["plain", "login"])
def test_any_user_name_and_password_will_do_on_this_computer(tmp_path, method):
    with CaptureServer(tmp_path) as server, smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        client.ehlo()
        assert {"PLAIN", "LOGIN"} <= set(client.esmtp_features["auth"].split())
        client.user, client.password = "ana@example.org", "secret-word"
        code, _text = client.auth(method, getattr(client, f"auth_{method}"))
        assert code == 235
        client.sendmail("office@example.org", ["ana@example.net"], MESSAGE)
    assert len(list(read_captured(tmp_path))) == 1
    assert not any(b"secret-word" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_a_password_is_not_asked_for_over_a_network(tmp_path):
    with CaptureServer(tmp_path, host="0.0.0.0") as server:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
            client.ehlo()
        assert "auth" not in client.esmtp_features


def test_a_message_above_the_size_is_refused_and_not_kept(tmp_path):
    with CaptureServer(tmp_path, max_size=2000) as server:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            send(server.port, MESSAGE + b"x" * 70 + b"\r\n" + b"y" * 2000)
        assert refused.value.smtp_code == 552
        send(server.port)
    assert len(list(read_captured(tmp_path))) == 1


def test_an_international_address_and_unencoded_headers_arrive(tmp_path):
    content = "Subject: Grüße\r\nMessage-ID: <two@example.org>\r\n\r\nGrüße\r\n".encode()
    with CaptureServer(tmp_path) as server:
        send(server.port, content, "用户@example.net", mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    (captured,) = read_captured(tmp_path)
    assert captured.recipients == ("用户@example.net",)
    assert captured.subject == "Grüße"
    assert captured.content() == content


def test_several_commands_may_travel_together(tmp_path):
    talk = b"EHLO a.test\r\nMAIL FROM:<>\r\nRCPT TO:<ana@example.net>\r\nDATA\r\n" + MESSAGE.replace(
        b"\r\n.", b"\r\n.."
    )
    again = b".\r\nMAIL FROM:<b@example.org>\r\nRCPT TO:<bo@example.net>\r\nDATA\r\nSubject: 2\r\n\r\n.\r\nQUIT\r\n"
    with CaptureServer(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(talk + again)
        replies = b"".join(iter(lambda: line.recv(4096), b""))
    assert replies.count(b"250 2.0.0") == 2
    assert replies.rstrip().endswith(b"221 Bye")
    first, second = read_captured(tmp_path)
    assert first.envelope.mail_from == ""
    assert first.content() == MESSAGE
    assert (second.recipients, second.subject) == (("bo@example.net",), "2")


def test_names_sort_by_arrival_even_from_many_connections(tmp_path):
    with CaptureServer(tmp_path) as server:
        for number in range(20):
            send(server.port, MESSAGE.replace(b"<one@", b"<%d@" % number))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: send(server.port, MESSAGE.replace(b"<one@", b"<p%d@" % n)), range(40)))
    captured = list(read_captured(tmp_path))
    assert [c.message_id for c in captured[:20]] == [f"<{n}@example.org>" for n in range(20)]
    assert {c.message_id for c in captured[20:]} == {f"<p{n}@example.org>" for n in range(40)}
    assert [c.received_at for c in captured] == sorted(c.received_at for c in captured)


async def test_it_starts_and_stops_inside_a_running_loop(tmp_path):
    async with CaptureServer(tmp_path) as server:
        await asyncio.to_thread(send, server.port)
        _reader, idle = await asyncio.open_connection("127.0.0.1", server.port)
    idle.close()
    assert len(list(read_captured(tmp_path))) == 1
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_client_that_hangs_up_halfway_leaves_nothing(tmp_path):
    async with CaptureServer(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"EHLO a.test\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: half")
        await reader.readuntil(b"354 ")
        writer.close()
        await asyncio.to_thread(send, server.port)
    assert len(list(read_captured(tmp_path))) == 1


def test_a_port_in_use_is_said_plainly(tmp_path):
    with CaptureServer(tmp_path) as server, pytest.raises(Refused, match=f"port {server.port}"):
        CaptureServer(tmp_path, port=server.port).__enter__()


def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refused, match="cannot be created"):
        CaptureServer(tmp_path / "file" / "box").__enter__()


def test_when_the_folder_vanishes_the_sender_is_told_to_try_later(tmp_path):
    with CaptureServer(tmp_path / "box") as server:
        (tmp_path / "box" / "new").rmdir()
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(server.port)
    assert refused.value.smtp_code == 452


def test_an_eml_copied_in_without_sidecar_or_with_a_broken_one_is_still_listed(tmp_path):
    (tmp_path / "a.eml").write_bytes(MESSAGE)
    (tmp_path / "b.eml").write_bytes(MESSAGE)
    (tmp_path / "b.json").write_text("[]", encoding="utf-8")
    assert [c.subject for c in read_captured(tmp_path)] == ["Résumé", "Résumé"]


def test_deleting_removes_messages_and_sidecars_only(tmp_path):
    Store(tmp_path).prepare()
    Store(tmp_path).keep(MESSAGE, "a@example.org", ["b@example.net"])
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert delete_captured(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "notes.txt"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400) | st.binary(max_size=200).map(lambda b: b"Subject: " + b + b"\r\n\r\n"))
def test_any_bytes_can_be_kept_and_read_back(tmp_path, content):
    store = Store(tmp_path)
    store.prepare()
    path = store.keep(content, "a@example.org", ["b@example.net"])
    captured = next(c for c in read_captured(tmp_path) if c.path == path)
    assert captured.content() == content
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["size"] == len(content)
    assert "\n" not in "".join(describe(content))
    delete_captured(tmp_path)
