"""A port that another program has: said in the system's words, whatever the system is and whatever Python adds to them."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mailer.errors import Refused
from mailer.loopback import why_not_listening
from mailer.mailbox import CaptureServer
from mailer.web import serving

ON_WINDOWS = (
    10048,
    "Only one usage of each socket address (protocol/network address/port) is normally permitted",
)


def a_page(port: int) -> None:
    serving._listen("127.0.0.1", port, anywhere=False)


def a_mailbox(port: int) -> None:
    CaptureServer(Path("mailbox"), port=port).__enter__()


@pytest.fixture(params=[a_page, a_mailbox])
def listen(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    monkeypatch.chdir(tmp_path)
    found: Callable[[int], None] = request.param
    return found


def test_a_taken_port_is_said_plainly(listen: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=rf"port {port}: [A-Z].*[a-z]\.$") as refused:
            listen(port)
    assert "attempting to bind" not in str(refused.value)
    assert "nknown error" not in str(refused.value)


def test_a_taken_port_is_said_plainly_on_windows(
    listen: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(*_: object) -> None:
        raise OSError(*ON_WINDOWS)

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(Refused, match=rf"port 8025: {re.escape(ON_WINDOWS[1])}\.$"):
        listen(8025)


def test_another_error_that_was_being_dealt_with_is_not_the_reason() -> None:
    error = PermissionError(13, "Not permitted")
    error.__context__ = FileNotFoundError(2, "No such file")
    assert why_not_listening(error) == "Not permitted"
    assert why_not_listening(OSError("could not listen anywhere")) == "could not listen anywhere"
