"""Addresses and display names in headers (RFC 5322, section 3.4; RFC 6532 for other scripts)."""

from __future__ import annotations

import re

from mailer.mime import words
from mailer.mime.flaw import Flaw, refuse_controls
from mailer.model import Mailbox, said

LINE = 998
"""RFC 5322, section 2.1.1: the longest line, in octets, without its CRLF."""

LONGEST = 254
"""RFC 5321, section 4.5.3.1.3, less the angle brackets."""

ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
PHRASE = re.compile(rf"[{ATEXT}]+(?: [{ATEXT}]+)*")
LOCAL = re.compile(rf"[\x80-\U0010ffff{ATEXT}]+(?:\.[\x80-\U0010ffff{ATEXT}]+)*" + r'|"(?:[ !#-\[\]-~]|\\[ -~])+"')
DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")


ORDINARY = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*")
"""What nearly all addresses look like: complete, ASCII, nothing to encode."""

SIMPLE_NAME = re.compile(r"[A-Za-z0-9'-]{1,40}(?: [A-Za-z0-9'-]{1,40}){0,9}")
"""Names that stand bare in a header line."""


def ascii_domain(domain: str, place: str) -> str:
    """The domain as A-labels (RFC 5890); ASCII is left as it is. Raises a Flaw."""
    if len(domain) > 253:  # RFC 1035, section 2.3.4; and IDNA takes quadratic time
        raise _bad_address(place)
    if not domain.isascii():
        import idna  # noqa: PLC0415  # its tables take 10 ms to import, and few campaigns need them

        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            raise _bad_address(place) from None
    if not DOMAIN.fullmatch(domain) or len(domain) > 253:
        raise _bad_address(place)
    return domain


def is_ordinary(address: str) -> bool:
    """Whether an address is what nearly all are: `addr_spec` then leaves it as it is."""
    return len(address) <= LONGEST and ORDINARY.fullmatch(address) is not None


def addr_spec(address: str, place: str) -> str:
    """The address as one `local@domain` and nothing else, the domain as A-labels. Raises a Flaw.

    A comma, a bracket or a space that is not inside a quoted local part would make it two addresses, or none.
    """
    if is_ordinary(address):
        return address
    refuse_controls(address, place)
    local, at, domain = address.rpartition("@")
    if not at or not LOCAL.fullmatch(local) or any(c.isspace() for c in local if c != " "):
        raise _bad_address(place)
    spec = f"{local}@{ascii_domain(domain, place)}"
    if len(spec.encode()) > LONGEST:
        raise _bad_address(place)
    return spec


def phrase(text: str, *, used: int, room: int) -> str:
    """A display name: bare, quoted, or as encoded words if it is not ASCII or longer than `room`."""
    if text.isascii() and len(text) <= room and words.is_plain(text):
        if PHRASE.fullmatch(text):
            return text
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if len(quoted) <= room:
            return quoted
    return words.encode(text, used=used)


def mailbox_line(header: str, mailbox: Mailbox) -> str:
    """A whole header with exactly one person in it, without the final CRLF. Raises a Flaw."""
    return named_line(header, mailbox.name, addr_spec(mailbox.address, said("The {header} address", header=header)))


def named_line(header: str, name: str, spec: str) -> str:
    """As `mailbox_line`, for an address that has been looked at."""
    if name.isascii() and SIMPLE_NAME.fullmatch(name):
        return f"{header}: {name} <{spec}>"
    if not name.isprintable():
        refuse_controls(name, said("The name in the {header} header", header=header))
    if not name.strip():
        return f"{header}: {spec}"
    used = len(header) + 2
    line = f"{header}: {phrase(name, used=used, room=LINE - used - 3 - len(spec.encode()))}"
    if spec.isascii() and len(line) + 3 + len(spec) <= words.LINE:
        return f"{line} <{spec}>"
    return after_phrase(line, f"<{spec}>")


def after_phrase(line: str, bracketed: str) -> str:
    """Put `<...>` behind a display name, on a line of its own where it would overfill one with an encoded word."""
    last = line.rpartition("\n")[2]
    if last.endswith("?=") and len(last) + 1 + len(bracketed.encode()) > words.LINE:
        return f"{line}\r\n {bracketed}"
    return f"{line} {bracketed}"


def _bad_address(place: str) -> Flaw:
    return Flaw(
        "bad-address",
        said("{place} is not one complete e-mail address.", place=place),
        "Write a single address such as name@example.org, without brackets, spaces or commas.",
    )
