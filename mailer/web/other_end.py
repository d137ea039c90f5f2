"""Whose program is at the other end of a connection within this computer, as far as the kernel says so.

The address that opens a page travels in the command line of the browser, which on Linux every user of the computer may read. There,
/proc/net/tcp names the user of each socket. On macOS the opener gets the address through a pipe (unless BROWSER names another one), and
Windows shows nobody the command lines of other users; neither has a table like this, so what cannot be told is accepted.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ROOT = 0
GONE = -1
"""Instead of a user: the program has closed its end, and reads no answer any more."""

Place = tuple[str, int]


def stranger(client: Place, server: Place) -> int | None:
    """The other user whose connection this is, or GONE; None for our own, root's, and whatever the kernel does not tell."""
    if not hasattr(os, "geteuid"):
        return None
    found = owner(client, server, _lines())
    return None if found is None or found in _ours() else found


def owner(client: Place, server: Place, lines: Iterable[str]) -> int | None:
    """The user of the client's socket by the lines of the kernel's tables; None if the connection does not stand in them."""
    ours, theirs = (_plain(*server), _plain(*client)), (_plain(*client), _plain(*server))
    listed = False
    for line in lines:
        parts = line.split()
        if len(parts) < 10 or ":" not in parts[1]:
            continue  # a heading
        ends = (_end(parts[1]), _end(parts[2]))
        if ends == theirs and parts[9] != "0":  # without an inode it is no program's any more, and said to be root's
            return int(parts[7])
        listed = listed or ends == ours
    return GONE if listed else None


def user_name(user: int) -> str:
    """What the user is called, or the number."""
    try:
        import pwd  # noqa: PLC0415 - Windows has none

        return pwd.getpwuid(user).pw_name
    except (ImportError, KeyError):
        return str(user)


def _ours() -> set[int]:
    """Who may come in: this user, root, who reads everything anyhow, and whoever became root by sudo."""
    found = {os.geteuid(), os.getuid(), ROOT}
    sudo = os.environ.get("SUDO_UID", "")
    return found | {int(sudo)} if os.geteuid() == ROOT and sudo.isdecimal() else found


def _lines() -> Iterator[str]:
    for table in TABLES:
        try:
            yield from table.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue


def _end(text: str) -> tuple[bytes, int]:
    """An address as the kernel writes it: in words of 32 bits, each in the computer's own order."""
    address, _, port = text.rpartition(":")
    words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
    octets = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return octets.removeprefix(MAPPED) if len(octets) == 16 else octets, int(port, 16)


def _plain(address: str, port: int) -> tuple[bytes, int]:
    octets = ipaddress.ip_address(address.partition("%")[0]).packed
    return octets.removeprefix(MAPPED) if len(octets) == 16 else octets, port


MAPPED = bytes(10) + b"\xff\xff"
"""Before an IPv4 address that a socket of IPv6 is connected to."""
