"""Texts into values for whoever watches a worker: where, and in which form it tells."""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum

from mailer.settings.values import line, whole


class LogForm(StrEnum):
    """What a worker says on standard error."""

    TEXT = "text"
    JSON = "json"


def listening(text: str) -> tuple[str, int]:
    """Where to listen: a port of this computer alone, or an address in numbers (or localhost) and a port."""
    text = line(text)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]:|([0-9.]+|localhost):)?([0-9]{1,5})", text)
    if not match:
        raise ValueError("it must be a port, perhaps after an address in numbers and a colon")
    host = match[1] or match[2] or "127.0.0.1"
    try:
        host = "127.0.0.1" if host == "localhost" else str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError("before the colon must be an address in numbers") from None
    return host, whole(0, 65535)(match[3])
