"""How a local page is served, whatever is on it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from organiser import Stranger, office

from mailer.web import serving


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_small_answers_leave_at_once(host: str) -> None:
    """With Nagle's algorithm each answer on a connection that stays open would wait 40 ms for an acknowledgement."""
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def arrived(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    listening = serving._listen(host, 0, anywhere=False)
    async with await asyncio.start_server(arrived, sock=listening):
        reader, writer = await asyncio.open_connection(host, listening.getsockname()[1])
        assert await told
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.skipif(os.name == "nt", reason="a page is ended by a signal here")
def test_whatever_a_browser_breaks_off_no_words_of_the_server_reach_the_terminal(tmp_path: Path) -> None:
    with office(tmp_path) as at_work:
        at_work.open()
        inside = Stranger(at_work.port)
        inside.enter(at_work.page)
        head = f"Host: 127.0.0.1:{at_work.port}\r\nCookie: {inside.cookie}\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n"
        for line in (
            f"POST /suppressed/add HTTP/1.1\r\n{head}{form}\r\nentry=",
            f"GET / HTTP/1.1\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "\x16\x03\x01\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", at_work.port)) as connection:
                connection.sendall(line.encode("latin-1"))
                connection.shutdown(socket.SHUT_WR)
                connection.recv(100)
        with socket.create_connection(("127.0.0.1", at_work.port)) as connection:
            connection.sendall(f"POST /list/upload HTTP/1.1\r\n{head}{form}\r\n".encode())
            assert inside.ask("GET", "/")[0].status == 200
            assert at_work.end() == "The page has ended.\n"


@pytest.mark.skipif(os.name == "nt", reason="a browser is named by BROWSER here")
def test_the_browser_is_not_handed_what_unlocks_the_folder(tmp_path: Path) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nenv > "{seen}"\n', encoding="utf-8")
    browser.chmod(0o700)
    program = "import os; from mailer.cli.web import open_browser; open_browser('http://127.0.0.1/');"
    program += "print(os.environ['MAILER_PASSPHRASE'])"
    secrets = {"MAILER_PASSPHRASE": "five words", "MAILER_SMTP_PASSWORD": "very secret", "MAILER_RATE": "1/minute"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | secrets | {"BROWSER": f"{browser} %s"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "five words\n"
    assert "MAILER_RATE=1/minute" in seen.read_text("utf-8")
    assert not [one for one in ("five words", "very secret") if one in seen.read_text("utf-8")]


@pytest.mark.parametrize(("command", "option"), [("web", "--port"), ("mailbox", "--web-port")])
def test_who_chose_a_port_that_is_taken_is_told_the_option_that_the_command_has(
    tmp_path: Path, command: str, option: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, office(tmp_path) as at_work:
        port = str(taken.getsockname()[1])
        more = ["--no-open"] if command == "web" else ["--port", "0"]
        ran = at_work.program.run(command, option, port, *more)
    assert ran.returncode == 2
    assert f"with {option}, or {option} 0" in ran.stderr
    assert "attempting to bind" not in ran.stderr
