"""A Postfix's log proves what became of a message, or leaves the doubt; judged on a real Postfix and on its lines."""

from __future__ import annotations

import socket
import subprocess
import time
from datetime import UTC, datetime

import pytest
import real_servers
from hypothesis import given
from hypothesis import strategies as st

from mailer.postfix_log import Proof, verdicts

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
LOG = """\
Nov 23 12:48:00 relay postfix/smtpd[26588]: connect from unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/smtpd[26588]: 646D7988271: client=unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/cleanup[26591]: 646D7988271: message-id=<ok@example.org>
Nov 23 12:49:49 relay postfix/qmgr[26587]: 646D7988271: from=<a@example.org>, size=283, nrcpt=1 (queue active)
Nov 23 12:49:49 relay postfix/smtpd[26593]: connect from unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/smtpd[26593]: 728419882C4: client=unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/virtual[26592]: 646D7988271: to=<pat@example.org>, relay=virtual, delay=0.06, delays=0.05/0.01/0/0, dsn=2.0.0, status=sent (delivered to maildir)
Nov 23 12:49:49 relay postfix/smtpd[26593]: lost connection after DATA (54 bytes) from unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/smtpd[26593]: disconnect from unknown[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4
Nov 23 12:49:49 relay postfix/smtpd[26588]: connect from unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/qmgr[26587]: 646D7988271: removed
Nov 23 12:49:49 relay postfix/cleanup[26591]: 728419882C4: message-id=<nodot@example.org>
Nov 23 12:49:49 relay postfix/smtpd[26588]: 730A4988292: client=unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/cleanup[26591]: 730A4988292: reject: header Message-ID: <bad@example.org> from unknown[127.0.0.1]; from=<a@example.org> to=<pat@example.org> proto=ESMTP helo=<[127.0.0.1]>: 5.7.1 no
Nov 23 12:49:49 relay postfix/cleanup[26591]: 730A4988292: message-id=<bad@example.org>
Nov 23 12:49:49 relay postfix/smtpd[26593]: 7DCF1988292: client=unknown[127.0.0.1]
Nov 23 12:49:49 relay postfix/smtpd[26593]: warning: 7DCF1988292: queue file size limit exceeded
Nov 23 12:49:49 relay postfix/cleanup[26594]: 7DCF1988292: message-id=<big@example.org>
Nov 23 12:49:50 relay postfix/smtpd[26593]: 8AAAA988292: client=unknown[127.0.0.1]
Nov 23 12:49:50 relay postfix/cleanup[26594]: 8AAAA988292: message-id=<stuck@example.org>
Nov 23 12:49:51 relay postfix/smtpd[26593]: 646D7988271: client=unknown[127.0.0.1]
Nov 23 12:49:51 relay postfix/cleanup[26594]: 646D7988271: message-id=<again@example.org>
Nov 23 12:49:51 relay postfix/smtpd[26593]: lost connection after DATA (10 bytes) from unknown[127.0.0.1]
Nov 23 12:55:00 relay postfix/anvil[1]: statistics: max cache size 1 at Nov 23 12:50:00
"""
EXPECTED = {
    "<ok@example.org>": Proof.ACCEPTED,
    "<nodot@example.org>": Proof.NOT_ACCEPTED,
    "<bad@example.org>": Proof.NOT_ACCEPTED,
    "<big@example.org>": Proof.NOT_ACCEPTED,
    "<stuck@example.org>": Proof.UNKNOWN,
    "<again@example.org>": Proof.NOT_ACCEPTED,
    "<never@example.org>": Proof.NOT_ACCEPTED,
}
AT = datetime(2026, 11, 23, 12, 49, 48, tzinfo=UTC).timestamp()
WANTED = dict.fromkeys(EXPECTED, (AT, AT + 4))
LINES = LOG.splitlines()


def rfc3339(line: str) -> str:
    day = datetime.strptime(f"2026 {line[:15]}", "%Y %b %d %H:%M:%S")  # noqa: DTZ007
    return f"{day.isoformat()}.123456+00:00{line[15:]}"


@pytest.mark.parametrize(
    "lines",
    [LINES, [rfc3339(line) for line in LINES], LINES[12:] + LINES[:12], [f"{line}\n" for line in LINES]],
    ids=["traditional", "rfc3339", "rotated", "with line ends"],
)
def test_real_lines_prove_what_was_taken_and_what_not(lines):
    assert verdicts(lines, WANTED, now=NOW) == EXPECTED


@pytest.mark.parametrize("lines", [LINES[1:], LINES[:-1], [], ["rubbish", "Nov 31 12:00:00 relay postfix/qmgr[1]: x"]])
def test_a_log_that_does_not_cover_the_time_proves_only_what_was_taken(lines):
    found = verdicts(lines, WANTED, now=NOW)
    assert set(found.values()) <= {Proof.ACCEPTED, Proof.UNKNOWN}
    assert (found["<ok@example.org>"] is Proof.ACCEPTED) == (len(lines) > 2)


def test_a_log_known_to_be_whole_until_later_covers_the_time():
    assert verdicts(LINES[:-1], WANTED, now=NOW, complete_until=NOW.timestamp()) == EXPECTED


def test_lines_that_the_system_dropped_leave_the_doubt():
    lost = "Nov 23 12:49:50 relay systemd-journald[1]: Suppressed 12 messages from postfix.service"
    found = verdicts([*LINES, lost], WANTED, now=NOW)
    assert found["<never@example.org>"] is Proof.UNKNOWN
    assert found["<ok@example.org>"] is Proof.ACCEPTED


def test_another_instance_with_the_same_queue_id_proves_nothing():
    other = [
        line.replace("postfix/qmgr", "postfix-in/qmgr").replace("postfix/virtual", "postfix-in/virtual")
        for line in LINES
    ]
    assert verdicts(other, WANTED, now=NOW)["<ok@example.org>"] is Proof.UNKNOWN


def test_lines_of_december_are_last_years_in_january():
    lines = [line.replace("Nov 23", "Dec 31") for line in LINES]
    at = datetime(2026, 12, 31, 12, 49, 48, tzinfo=UTC).timestamp()
    wanted = {"<never@example.org>": (at, at + 1)}
    assert verdicts(lines, wanted, now=datetime(2027, 1, 1, tzinfo=UTC)) == {"<never@example.org>": Proof.NOT_ACCEPTED}


@given(st.lists(st.one_of(st.text(), st.sampled_from(LINES), st.sampled_from(LINES).map(lambda line: line[:60]))))
def test_no_line_is_an_error_and_nothing_is_accepted_without_a_line_that_says_so(lines):
    found = verdicts(lines, WANTED, now=NOW)
    assert found.keys() == WANTED.keys()
    assert all(
        proof is not Proof.ACCEPTED
        for key, proof in found.items()
        if key != "<ok@example.org>" and not any("646D7988271" in line for line in lines)
    )


def hand_over(port: int, message_id: str, *, dot: bool, wait: bool) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection, connection.makefile("rb") as replies:
        replies.readline()
        for command in ("HELO [127.0.0.1]", "MAIL FROM:<a@example.org>", "RCPT TO:<pat@example.org>", "DATA"):
            connection.sendall(command.encode() + b"\r\n")
            replies.readline()
        connection.sendall(f"Subject: x\r\nMessage-ID: {message_id}\r\n\r\nHello\r\n".encode())
        if dot:
            connection.sendall(b".\r\n")
        if wait:
            replies.readline()


def test_a_real_postfix_tells_what_it_took():
    real_servers.require("postfix")
    with real_servers.server_folder() as folder, real_servers.postfix(folder) as relay:
        command = [real_servers.program("postconf"), "-c", str(folder / "config"), "-e", "debug_peer_list="]
        subprocess.run(command, check=True)
        real_servers.when_ready(relay.port)
        started = time.time()
        hand_over(relay.port, "<waited@example.org>", dot=True, wait=True)
        hand_over(relay.port, "<hung-up@example.org>", dot=True, wait=False)
        hand_over(relay.port, "<half@example.org>", dot=False, wait=False)
        hand_over(relay.port, "<last@example.org>", dot=True, wait=True)
        wanted = {f"<{name}@example.org>": (started, time.time()) for name in ("waited", "hung-up", "half", "other")}
        expected = dict(
            zip(wanted, [Proof.ACCEPTED, Proof.ACCEPTED, Proof.NOT_ACCEPTED, Proof.NOT_ACCEPTED], strict=True)
        )
        deadline, found = time.monotonic() + real_servers.READY_SECONDS, {}
        while found != expected and time.monotonic() < deadline:
            now = datetime.now().astimezone()
            found = verdicts(relay.log().splitlines(), wanted, now=now, complete_until=now.timestamp() + 60)
    assert found == expected
