"""Whether a server is this computer, so that nothing that is said to it can be overheard; and why none can be here."""

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


def why_not_listening(error: OSError) -> str:
    """What the system said, without what Python wraps around it: the address that was to be listened on, in brackets.

    By its number alone (`os.strerror`) Windows does not know the errors of its network, a taken port among them.
    """
    first = error.__context__
    if not isinstance(first, OSError) or first.errno != error.errno:
        first = error
    return first.strerror or str(error)
