"""Commands and content as they go over the wire."""

from __future__ import annotations

import re

from mailer.smtp.dialogue import ConnectionEnded

QUIT = b"QUIT\r\n"

CONTROL = re.compile(r"[\x00-\x1f\x7f]")

DOT_FIRST = re.compile(rb"\n\.")


def lines(*commands: str) -> bytes:
    """Commands, each on its line. Raises ConnectionEnded if there would be more of them."""
    # A line end inside would be a second command. Addresses are checked long before; this is the last door.
    if not " ".join(commands).isprintable() and any(map(CONTROL.search, commands)):
        raise ConnectionEnded("a command held a control character")
    return ("\r\n".join(commands) + "\r\n").encode()


def stuffed(content: bytes) -> bytes:
    """Double a dot at the start of a line (RFC 5321, 4.5.2)."""
    if content.startswith(b"."):
        content = b"." + content
    # looking costs half as much as replacing, and nearly all messages have none
    return content.replace(b"\r\n.", b"\r\n..") if DOT_FIRST.search(content) else content
