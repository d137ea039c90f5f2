"""The one form by which two spellings of an address are the same address (RFC 5890, RFC 6531)."""

from __future__ import annotations

import re
import unicodedata
from email.utils import parseaddr

MARGIN = re.compile(r"^\s+|[\s.]+$")
LONGEST_DOMAIN = 255
"""Octets of a domain (RFC 1035, 2.3.4); beyond it nothing is worth encoding."""


PLAIN = r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9]+(-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,}"
"""Stricter than the RFCs: no rarity, no `xn--`. What it accepts in PLAIN_LENGTH octets, email-validator accepts."""

PLAIN_LENGTH = 64
"""Up to this length neither part can be too long (64 and 63 octets, RFC 5321, 4.5.3.1)."""

SPECIAL = r"(?i)\.(arpa|invalid|local|localhost|onion)$"
"""Domains that exist on no mail server (RFC 6761); PLAIN accepts them."""


def is_plain(text: str) -> bool:
    """Whether it surely is an address that can be mailed, as most are; others need a closer look."""
    return len(text) <= PLAIN_LENGTH and bool(re.fullmatch(PLAIN, text)) and not re.search(SPECIAL, text)


def address_key(text: str) -> str:
    """Lower case and NFC before the @, lower-case A-labels after it. Never raises, whatever the text holds.

    Strictly the part before the @ could tell capitals apart (RFC 5321, 2.4); no provider does, and nobody on a
    suppression list may be mailed for having been written in capitals.
    """
    local, at, domain = text.strip().rpartition("@")
    return f"{_folded(local.strip())}{at}{domain_key(domain)}"


def domain_key(domain: str) -> str:
    """A domain in lower-case A-labels; what IDNA cannot encode stays as it is, in lower case."""
    text = MARGIN.sub("", domain)
    if text.isascii() or len(text) > LONGEST_DOMAIN:
        return _folded(text)
    import idna  # noqa: PLC0415 - few addresses need it

    try:
        # as written: `lower` would make a final sigma of a capital one, UTS 46 does not
        return idna.encode(text, uts46=True).decode("ascii").lower().rstrip(".")
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return _folded(text)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def domain_of(sender: str) -> str:
    """The domain of a From header's value, `Name <address>` or an address alone, in lower case."""
    return parseaddr(sender)[1].rpartition("@")[2].lower()
