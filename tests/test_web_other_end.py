"""The address of the page opens it for the user who began it, and for no other user of the computer who reads it in a list of processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from organiser import Office, Stranger, office, people

from mailer.web import other_end
from mailer.web.other_end import GONE, owner, stranger, user_name

NOBODY = 65534
ASKING = """
import encodings.idna, http.client, json, os, sys
port, path, host = int(sys.argv[1]), sys.argv[2], sys.argv[3]
connection = http.client.HTTPConnection(host, port, timeout=30)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection.request("GET", path, headers={"Host": f"127.0.0.1:{port}"})
answer = connection.getresponse()
print(json.dumps([answer.status, answer.getheader("Set-Cookie"), os.getuid()]))
"""

second_user = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0,
    reason="only root can be two users, and only Linux tells them apart",
)

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
LISTENING = (
    "   0: 0100007F:1F5A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20 1 0 100 0 0 10 0"
)
SERVER = (
    "   1: 0100007F:1F5A 0100007F:B3F2 01 00000000:00000000 00:00000000 00000000     0        0 21 1 0 20 4 30 10 -1"
)
CLIENT = (
    "   2: 0100007F:B3F2 0100007F:1F5A 01 00000000:00000000 00:00000000 00000000  1000        0 22 1 0 20 4 30 10 -1"
)
CLOSED = "   2: 0100007F:B3F2 0100007F:1F5A 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0"
MAPPED = (
    "   3: 0000000000000000FFFF00000100007F:B3F2 0000000000000000FFFF00000100007F:1F5A 01 00000000:00000000"
    " 00:00000000 00000000  1001        0 23 1 0 20 4 30 10 -1"
)
SIX = (
    "   4: 00000000000000000000000001000000:B3F2 00000000000000000000000001000000:1F5A 01 00000000:00000000"
    " 00:00000000 00000000  1002        0 24 1 0 20 4 30 10 -1"
)
HERE, THERE = ("127.0.0.1", 0x1F5A), ("127.0.0.1", 0xB3F2)

little = pytest.mark.skipif(sys.byteorder != "little", reason="these lines are of a computer with the usual byte order")


@little
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([HEADING, LISTENING, SERVER, CLIENT], 1000),
        ([HEADING, CLIENT, SERVER], 1000),
        ([HEADING, LISTENING, SERVER, CLOSED], GONE),
        ([HEADING, LISTENING, SERVER], GONE),
        ([HEADING, SERVER, HEADING, MAPPED], 1001),
        ([HEADING, LISTENING, SIX], None),
        ([HEADING, LISTENING], None),
        (["", "nonsense", "1: 2 3", ":::::::::: a b"], None),
        ([], None),
    ],
)  # fmt: skip
def test_whose_connection_it_is_stands_in_the_lines_of_the_kernel(lines: list[str], expected: int | None) -> None:
    assert owner(THERE, HERE, lines) == expected


@little
def test_connections_of_the_newer_protocol_are_found_as_well() -> None:
    assert owner(("::1", 0xB3F2), ("::1", 0x1F5A), [HEADING, LISTENING, SIX]) == 1002
    assert owner(("::ffff:127.0.0.1", 0xB3F2), HERE, [SERVER, MAPPED]) == 1001


@given(st.lists(st.text(), max_size=5))
def test_lines_that_no_kernel_writes_name_nobody(lines: list[str]) -> None:
    assert owner(THERE, HERE, lines) is None


def test_our_own_connection_is_nobody_elses() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        accepted, _address = listening.accept()
        with accepted:
            assert stranger(client.getsockname(), listening.getsockname()) is None
            if sys.platform.startswith("linux"):
                found = owner(client.getsockname(), listening.getsockname(), other_end._lines())
                assert found == os.geteuid()


def test_what_the_kernel_does_not_tell_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(other_end, "TABLES", (tmp_path / "nothing", tmp_path))
    assert stranger(THERE, HERE) is None


def test_a_user_without_a_name_is_a_number() -> None:
    assert user_name(2**31 - 2) == str(2**31 - 2)


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "office") as made:
        made.write_list(people(3))
        made.open()
        yield made


def as_nobody(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str | None]:
    """Ask as another user of this computer."""
    words = [sys.executable, "-I", "-c", ASKING, str(port), path, host]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=60, check=True)
    status, cookie, user = json.loads(done.stdout)
    assert user == NOBODY
    return status, cookie


@second_user
@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_another_user_who_reads_the_ticket_is_refused_and_the_owner_still_gets_in(at_work: Office, host: str) -> None:
    parts = urlsplit(at_work.page)
    for _ in range(2):
        assert as_nobody(at_work.port, f"{parts.path}?{parts.query}", host) == (403, None)
    inside = Stranger(at_work.port)
    assert inside.enter(at_work.page)
    assert inside.ask("GET", "/")[0].status == 200
    said = at_work.end()
    assert said.count("tried to open the page by its address") == 1
    assert user_name(NOBODY) in said


@second_user
def test_another_user_does_not_get_into_practice_either(at_work: Office) -> None:
    inside = Stranger(at_work.port)
    token = inside.enter(at_work.page)
    inside.post("/practice", csrf=token)
    leading = urlsplit(inside.ask("GET", "/practice/enter")[0].getheader("Location") or "")
    assert leading.port
    assert as_nobody(leading.port, f"{leading.path}?{leading.query}") == (403, None)
    answer, _ = Stranger(leading.port).ask("GET", f"{leading.path}?{leading.query}")
    assert answer.status == 303
