"""A Postfix's log proves what became of a message, or leaves the doubt; judged on a real Postfix and on its lines."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import real_servers
from hypothesis import example, given
from hypothesis import strategies as st

from mailer.postfix_log import Doubt, Proof, Witness, verdicts

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
LOG = """\
Nov 23 12:48:00 relay postfix/smtpd[101]: connect from unknown[192.0.2.7]
Nov 23 12:49:40 relay postfix/smtpd[101]: 646D7988271: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=ana
Nov 23 12:49:40 relay postfix/cleanup[91]: 646D7988271: message-id=<before@example.org>
Nov 23 12:49:40 relay postfix/qmgr[90]: 646D7988271: from=<a@example.org>, size=283, nrcpt=1 (queue active)
Nov 23 12:49:40 relay postfix/virtual[92]: 646D7988271: to=<pat@example.org>, relay=virtual, delay=0.06, delays=0.05/0.01/0/0, dsn=2.0.0, status=sent (delivered to maildir)
Nov 23 12:49:40 relay postfix/qmgr[90]: 646D7988271: removed
Nov 23 12:49:49 relay postfix/smtpd[101]: 728419882C4: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=ana
Nov 23 12:49:49 relay postfix/submission/smtpd[102]: connect from unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/submission/smtpd[102]: 730A4988292: client=unknown[192.0.2.7]
Nov 23 12:49:50 relay postfix/smtpd[101]: lost connection after DATA (54 bytes) from unknown[192.0.2.7]
Nov 23 12:49:50 relay postfix/smtpd[101]: disconnect from unknown[192.0.2.7] ehlo=1 auth=1 mail=2 rcpt=2 data=1/2 commands=7/8
Nov 23 12:49:50 relay postfix/cleanup[91]: 730A4988292: message-id=<ok@example.org>
Nov 23 12:49:50 relay postfix/qmgr[90]: 730A4988292: from=<a@example.org>, size=283, nrcpt=1 (queue active)
Nov 23 12:49:50 relay postfix/cleanup[93]: 728419882C4: message-id=<half@example.org>
Nov 23 12:49:50 relay postfix/submission/smtpd[102]: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 commands=4
Nov 23 12:49:49 relay postfix/smtpd[103]: connect from unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/smtpd[103]: 7B0A4988292: client=unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/cleanup[91]: 7B0A4988292: reject: header Message-ID: <bad@example.org> from unknown[192.0.2.7]; from=<a@example.org> to=<pat@example.org> proto=ESMTP helo=<[127.0.0.1]>: 5.7.1 no
Nov 23 12:49:49 relay postfix/cleanup[91]: 7B0A4988292: message-id=<bad@example.org>
Nov 23 12:49:50 relay postfix/smtpd[103]: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4
Nov 23 12:49:49 relay postfix/smtpd[104]: connect from unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/smtpd[104]: 7DCF1988292: client=unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/smtpd[104]: warning: 7DCF1988292: queue file size limit exceeded
Nov 23 12:49:49 relay postfix/cleanup[94]: 7DCF1988292: message-id=<big@example.org>
Nov 23 12:49:50 relay postfix/smtpd[104]: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4
Nov 23 12:49:49 relay postfix/smtpd[105]: connect from unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/smtpd[105]: 8AAAA988292: client=unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/cleanup[94]: 8AAAA988292: message-id=<stuck@example.org>
Nov 23 12:49:49 relay postfix/smtpd[106]: connect from unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/smtpd[106]: 8BBBB988292: client=unknown[192.0.2.7]
Nov 23 12:49:49 relay postfix/cleanup[94]: 8BBBB988292: message-id=<held@example.org>
Nov 23 12:49:49 relay postfix/cleanup[94]: 8BBBB988292: hold: header Subject: x from unknown[192.0.2.7]
Nov 23 12:49:50 relay postfix/smtpd[106]: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 commands=4
Nov 23 12:49:55 relay postfix/smtpd[107]: connect from unknown[192.0.2.7]
Nov 23 12:49:55 relay postfix/smtpd[107]: 9CCCC988292: client=unknown[192.0.2.7]
Nov 23 12:49:55 relay postfix/cleanup[94]: 9CCCC988292: message-id=<after@example.org>
Nov 23 12:49:55 relay postfix/qmgr[90]: 9CCCC988292: from=<a@example.org>, size=283, nrcpt=1 (queue active)
Nov 23 12:49:55 relay postfix/smtpd[107]: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 commands=4
Nov 23 12:55:00 relay postfix/anvil[1]: statistics: max cache size 1 at Nov 23 12:50:00
"""
EXPECTED = {
    "<ok@example.org>": Proof.ACCEPTED,
    "<half@example.org>": Proof.NOT_ACCEPTED,
    "<bad@example.org>": Proof.NOT_ACCEPTED,
    "<big@example.org>": Proof.NOT_ACCEPTED,
    "<stuck@example.org>": Proof.UNFINISHED,
    "<held@example.org>": Proof.UNFINISHED,
    "<never@example.org>": Proof.ABSENT,
}
AT = datetime(2026, 11, 23, 12, 49, 49, 700_000, tzinfo=UTC).timestamp()
BEFORE = Witness(queue_id="646D7988271", message_id="<before@example.org>", began=AT - 9.4, ended=AT - 9.1)
AFTER = Witness(queue_id="9CCCC988292", message_id=None, began=AT + 5.5, ended=AT + 5.8)
LINES = LOG.splitlines()
HALF = "<half@example.org>"


def doubt(message_id: str = HALF, *, began: float = AT, rivals: int = 0, witnesses=(BEFORE, AFTER)) -> Doubt:
    return Doubt(message_id=message_id, key=message_id, began=began, rivals=rivals, witnesses=tuple(witnesses))


DOUBTS = [doubt(message_id) for message_id in EXPECTED]


def of_half(*logs: list[str], **changes) -> Proof:
    return verdicts(logs or [LINES], [doubt(**changes)], now=NOW)[HALF]


def rfc3339(line: str, *, fraction: str = ".523456", zone: str = "+00:00") -> str:
    day = datetime.strptime(f"2026 {line[:15]}", "%Y %b %d %H:%M:%S")  # noqa: DTZ007
    return f"{day.isoformat()}{fraction}{zone}{line[15:]}"


@pytest.mark.parametrize(
    "lines",
    [
        LINES,
        [rfc3339(line) for line in LINES],
        [rfc3339(line, fraction="", zone="+0000") for line in LINES],
        [f"{line}\n" for line in LINES],
    ],
    ids=["traditional", "rfc3339", "journal", "with line ends"],
)
def test_lines_prove_what_was_taken_and_what_not(lines):
    assert verdicts([lines], DOUBTS, now=NOW) == EXPECTED


@pytest.mark.parametrize("lines", [[], ["rubbish", "Nov 31 12:00:00 relay postfix/qmgr[1]: x"], LINES[:6], LINES[33:]])
def test_silence_proves_nothing(lines):
    assert set(verdicts([lines], DOUBTS, now=NOW).values()) == {Proof.ABSENT}


@pytest.mark.parametrize(
    "witnesses",
    [(), (replace(BEFORE, queue_id="F46D7988271"),), (replace(BEFORE, message_id="<other@example.org>"),)],
    ids=["none", "answered by another server", "another message"],
)
def test_without_a_witness_only_what_was_taken_is_proved(witnesses):
    assert of_half(witnesses=witnesses) is Proof.UNWITNESSED
    accepted = doubt("<ok@example.org>", witnesses=witnesses)
    assert verdicts([LINES], [accepted], now=NOW) == {"<ok@example.org>": Proof.ACCEPTED}


@pytest.mark.parametrize("witness", [BEFORE, AFTER], ids=["before", "after"])
def test_one_witness_is_enough(witness):
    assert of_half(witnesses=[witness]) is Proof.NOT_ACCEPTED


def test_a_witness_from_another_client_or_another_server_is_none():
    for there in ("192.0.2.7", "relay postfix/"):
        lines = [line.replace(there, f"{there[:-1]}9/"[: len(there)]) if "9CCCC98" in line else line for line in LINES]
        assert lines != LINES
        assert of_half(lines, witnesses=[AFTER]) is Proof.UNWITNESSED


@pytest.mark.parametrize("zone", ["-02:00", "+05:30"])
def test_a_log_in_another_time_zone_is_understood_by_its_witnesses(zone):
    assert of_half([rfc3339(line, zone=zone) for line in LINES]) is Proof.NOT_ACCEPTED


@pytest.mark.parametrize("seconds", [-90, 7])
def test_a_clock_that_is_wrong_is_understood_by_the_witnesses(seconds):
    moved = [
        replace(witness, began=witness.began + seconds, ended=witness.ended + seconds) for witness in (BEFORE, AFTER)
    ]
    assert of_half(began=AT + seconds, witnesses=moved) is Proof.NOT_ACCEPTED
    assert of_half(began=AT, witnesses=moved) is Proof.MISTIMED


def test_clocks_that_were_set_in_between_leave_the_doubt():
    assert of_half(witnesses=[BEFORE, replace(AFTER, began=AT + 60, ended=AT + 61)]) is Proof.MISTIMED


@pytest.mark.parametrize("later", [-3.0, 3.0, 600.0])
def test_the_broken_reception_of_another_attempt_proves_nothing_of_this_one(later):
    assert of_half(began=AT + later) is Proof.MISTIMED


def test_two_attempts_shortly_after_each_other_need_two_broken_receptions():
    assert of_half(rivals=1) is Proof.MISTIMED
    again = [
        re.sub(r"728419882C4", "828419882C4", line).replace("smtpd[101]", "smtpd[111]").replace("646D", "746D")
        for line in LINES[:14]
    ]
    again = [line for line in again if "102]" not in line and "730A4988292" not in line]
    assert of_half([*LINES, *again], rivals=1) is Proof.NOT_ACCEPTED
    long_ago = [line.replace("12:4", "11:4") for line in again]
    assert of_half([*long_ago, *LINES], rivals=1) is Proof.MISTIMED


@pytest.mark.parametrize(
    "words",
    [
        "lost connection after END-OF-MESSAGE from unknown[192.0.2.7]",
        "lost connection after DATA from unknown[192.0.2.7]",
        "lost connection after DATA (54 bytes) from unknown[192.0.2.9]",
    ],
)
def test_only_a_break_within_the_content_tells(words):
    lines = [re.sub(r"lost connection after DATA .*", words, line) for line in LINES]
    assert of_half(lines) is Proof.UNFINISHED


@pytest.mark.parametrize("count", ["data=2", "data=2/3", "mail=2"])
def test_a_session_whose_own_count_does_not_fit_is_not_whole(count):
    assert of_half([line.replace("data=1/2", count) for line in LINES]) is Proof.UNFINISHED


def test_a_session_that_is_cut_by_a_rotation_is_not_whole():
    assert of_half(LINES[:8], LINES[8:]) is Proof.UNFINISHED
    assert of_half(LINES[12:], LINES[:12]) is Proof.NOT_ACCEPTED, "cut elsewhere, in any order"


def test_lines_that_the_system_dropped_leave_the_doubt():
    lost = "Nov 23 12:49:50 relay systemd-journald[1]: Suppressed 12 messages from postfix.service"
    found = verdicts([[*LINES, lost]], DOUBTS, now=NOW)
    assert Proof.NOT_ACCEPTED not in found.values()
    assert found["<ok@example.org>"] is Proof.ACCEPTED


def test_another_instance_with_the_same_queue_id_proves_nothing():
    lines = [line.replace("postfix/qmgr", "postfix-in/qmgr") for line in LINES]
    found = verdicts([lines], DOUBTS, now=NOW)
    assert found["<ok@example.org>"] is Proof.UNFINISHED


def test_lines_of_december_are_last_years_in_january():
    lines = [line.replace("Nov 23", "Dec 31") for line in LINES]
    later = (datetime(2026, 12, 31, tzinfo=UTC) - datetime(2026, 11, 23, tzinfo=UTC)).total_seconds()
    moved = [replace(witness, began=witness.began + later, ended=witness.ended + later) for witness in (BEFORE, AFTER)]
    doubts = [doubt(began=AT + later, witnesses=moved)]
    assert verdicts([lines], doubts, now=datetime(2027, 1, 1, tzinfo=UTC)) == {HALF: Proof.NOT_ACCEPTED}


@given(
    st.sets(st.integers(0, len(LINES) - 1)),
    st.lists(st.integers(0, len(LINES)), max_size=3),
    st.randoms(use_true_random=False),
)
@example({2}, [], None)
def test_whatever_lines_are_missing_and_however_the_log_is_cut_no_verdict_is_wrong(missing, cuts, order):
    kept = [[line for n, line in enumerate(LINES[a:b], a) if n not in missing] for a, b in pieces(cuts)]
    if order:
        order.shuffle(kept)
    for message_id, proof in verdicts(kept, DOUBTS, now=NOW).items():
        if EXPECTED[message_id] is Proof.ACCEPTED:
            assert proof is not Proof.NOT_ACCEPTED
        elif EXPECTED[message_id] is Proof.NOT_ACCEPTED:
            assert proof is not Proof.ACCEPTED
        else:
            assert proof not in {Proof.ACCEPTED, Proof.NOT_ACCEPTED}


def pieces(cuts: list[int]) -> list[tuple[int, int]]:
    return list(pairwise([0, *sorted(cuts), len(LINES)]))


@given(st.lists(st.one_of(st.text(), st.sampled_from(LINES), st.sampled_from(LINES).map(lambda line: line[:60]))))
def test_no_line_is_an_error(lines):
    assert verdicts([lines], DOUBTS, now=NOW).keys() == EXPECTED.keys()


def hand_over(port: int, message_id: str, *, dot: bool = True, wait: bool = True) -> tuple[float, str]:
    """When all but the final dot was on its way, and the answer to it."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection, connection.makefile("rb") as replies:
        replies.readline()
        for command in ("HELO [127.0.0.1]", "MAIL FROM:<a@example.org>", "RCPT TO:<pat@example.org>", "DATA"):
            connection.sendall(command.encode() + b"\r\n")
            replies.readline()
        connection.sendall(f"Subject: x\r\nMessage-ID: {message_id}\r\n\r\nHello\r\n".encode())
        began = time.time()
        if dot:
            connection.sendall(b".\r\n")
        return began, replies.readline().decode() if wait else ""


def test_a_real_postfix_tells_what_it_took():
    real_servers.require("postfix")
    with real_servers.server_folder() as folder, real_servers.postfix(folder) as relay:
        real_servers.when_ready(relay.port)
        began, answer = hand_over(relay.port, "<witness@example.org>")
        queue_id = answer.split()[-1]
        witness = Witness(queue_id=queue_id, message_id="<witness@example.org>", began=began, ended=time.time())
        expected = {
            "<hung-up@example.org>": Proof.ACCEPTED,
            HALF: Proof.NOT_ACCEPTED,
            "<never@example.org>": Proof.ABSENT,
        }
        doubts = [doubt("<never@example.org>", witnesses=[witness])]
        for message_id, dot in (("<hung-up@example.org>", True), (HALF, False)):
            began, _ = hand_over(relay.port, message_id, dot=dot, wait=False)
            doubts.append(doubt(message_id, began=began, witnesses=[witness]))
        deadline, found = time.monotonic() + real_servers.READY_SECONDS, {}
        while found != expected and time.monotonic() < deadline:
            found = verdicts([relay.log().splitlines()], doubts, now=datetime.now().astimezone())
    assert found == expected
