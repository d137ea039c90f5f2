"""Delivery status notifications (RFC 3464 in RFC 3462 and 6522, RFC 6533 for other scripts), read without I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailer.inbox.mail import Mail, addresses, fields

STATUS_PARTS = ("embedded/delivery-status", "embedded/global-delivery-status")
ORIGINAL_PARTS = ("embedded/rfc822", "text/rfc822-headers", "embedded/global", "embedded/global-headers")
ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})
MOST_RECIPIENTS = 100

STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
"""An enhanced status code (RFC 3463), not a piece of an IP address."""

MESSAGE_ID = re.compile(r"^[> \t]*+Message-I[Dd]:\s*+(<[^<>\s]{3,250}>)", re.MULTILINE)
ANGLED = re.compile(r"<[^<>\s]{3,250}>")
UNITEXT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
XTEXT = re.compile(r"\+([0-9A-F]{2})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What a report says of one recipient: `addresses` that may be theirs, the status code and the server's own words.

    `final` are readings of the one address at which it ended, which may be another than was written to.
    """

    addresses: tuple[str, ...]
    action: str
    status: str
    diagnostic: str
    final: tuple[str, ...] = ()


def read_delivery_status(mail: Mail) -> tuple[Failure, ...] | None:
    """One entry a recipient, in the report's order; None if it is no such report, or none that can be read."""
    text = mail.leaf(*STATUS_PARTS)
    if text is None:
        return None
    found = [_failure(group) for group in fields(text)[: MOST_RECIPIENTS + 1]]
    return tuple(one for one in found if one) or None


def _failure(group: dict[str, str]) -> Failure | None:
    """A group of fields; that of the message as a whole (RFC 3464, 2.2) names no recipient."""
    recipients = [
        one
        for name in ("original-recipient", "final-recipient", "x-actual-recipient")
        for one in typed(group.get(name))
    ]
    action = group.get("action", "").split("(")[0].strip().lower()
    if not recipients or action not in ACTIONS:
        return None
    kind, _, words = group.get("diagnostic-code", "").partition(";")
    code = STATUS.search(group.get("status", ""))
    return Failure(
        addresses=tuple(dict.fromkeys(recipients)),
        action=action,
        status=code[0] if code else "",
        diagnostic=(words or kind).strip(),
        final=tuple(typed(group.get("final-recipient"))),
    )


def typed(value: str | None) -> list[str]:
    """The addresses in a field like `rfc822; pat@example.org`, also as RFC 6533 and RFC 3461 encode them."""
    if not value:
        return []
    kind, semicolon, address = value.partition(";")
    bare = (address if semicolon else kind).strip().strip("<>").strip()
    readings = [bare, UNITEXT.sub(_character, bare), XTEXT.sub(_octet, bare)]
    return [one for one in dict.fromkeys(readings) if "@" in one.strip("@")]


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


def _octet(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def original_headers(mail: Mail) -> dict[str, str]:
    """The header fields of the message that a report gives back; nothing if it does not."""
    text = mail.leaf(*ORIGINAL_PARTS)
    groups = fields(text) if text else []
    return groups[0] if groups else {}


def original_ids(mail: Mail) -> tuple[str, ...]:
    """Message-IDs in what a report encloses or quotes."""
    found = [one for leaf in mail.leaves for one in MESSAGE_ID.findall(leaf.text)]
    own = set(ANGLED.findall(mail.header("message-id")))
    return tuple(one for one in dict.fromkeys(found) if one not in own)[:MOST_RECIPIENTS]


def failed_recipients(mail: Mail) -> tuple[str, ...]:
    """Exim's own header, which many others write too."""
    return tuple(one for value in mail.every("x-failed-recipients") for one in addresses(value))
