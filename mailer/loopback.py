"""Whether a server is this computer, so that nothing that is said to it can be overheard."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Whether what goes to this host never leaves the computer. Names other than localhost are not looked up."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
