"""Checks one address and brings it to its normal form (RFC 5321, RFC 6531, RFC 5890)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from mailer.address import address_key
from mailer.model import said

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
QUOTES = "\"'`´“”„‟‘’‚‛«»‹›"
PARTS = re.compile(r"[\s,;|/<>()\[\]]+|\s(?:and|und|et|y|e)\s")
NAMED = re.compile(r"[^<>]*<\s*([^<>]+?)\s*>[\s,;.]*")
IP_DOMAIN = re.compile(r"\[.*\]|[0-9.]+|[0-9a-f]*:[0-9a-f:]*")
EXCHANGE = re.compile(r"\W*(?:(?:EX|X500)\s*:\s*)?/o=[^/]+/(?:ou|cn)=|\W*IMCEA(?:EX)?-_o=", re.IGNORECASE)
"""A legacyExchangeDN, alone or behind the kind of address it is; and one that Exchange wrapped up for the way to other servers."""
ENCODED_WORD = "=?"
"""Legal before the @, but some mail programs decode it there (RFC 2047, 5 forbids that) into line breaks and headers."""
SPECIALS = frozenset('"(),:;<>@[\\]')
"""What has a meaning in an address list (RFC 5322, 3.2.3)."""
LONGEST_LOCAL, LONGEST = 64, 254
"""Octets of the part before the @ sign and of the whole (RFC 5321, 4.5.3.1); the library only limits the whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """`address` as it goes into RCPT TO; `key` by which it is the same address as another."""

    address: str
    key: str
    cleaned: bool = False

    @property
    def needs_smtputf8(self) -> bool:
        return not self.address.isascii()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a cell holds no address that can be mailed; the reason is a predicate that fits after "The address"."""

    code: str
    reason: str


MISSING = Fault(code="missing-address", reason=said("is missing"))
NO_AT = Fault(code="malformed-address", reason=said("has no @ sign"))
INTERNAL = Fault(
    code="exchange-address", reason=said("is an internal one of Exchange, to which no other mail server can deliver")
)


def check(cell: str) -> Checked | Fault:
    """Never raises, whatever the cell holds."""
    text = cell.strip()
    if not text or (not text.isascii() and not INVISIBLE.sub("", text).strip()):
        return MISSING
    if CONTROL.search(text):
        return Fault(code="control-character", reason=said("contains a line break, tab or other control character"))
    return _validated(text) or _dug_out(text)


def _dug_out(text: str) -> Checked | Fault:
    bare = _bare(text)
    if not bare:
        return MISSING
    if EXCHANGE.match((NAMED.fullmatch(bare) or {1: bare})[1]):
        return INTERNAL
    if "@" not in bare and bare.isascii():
        return NO_AT  # as below, but quicker: the wrong column may be taken for that of the addresses
    written = {part.strip(QUOTES).lower() for part in PARTS.split(bare) if "@" in part}
    if len(written) > 1:
        return Fault(code="two-addresses", reason=said("is not one but several in the same cell"))
    named = NAMED.fullmatch(bare)
    once = written.pop() if bare.count("@") > 1 and written else None  # Outlook repeats an address as the name
    inner = _bare(named[1]) if named else once
    found = (_validated(bare) if bare != text else None) or (_validated(inner) if inner else None)
    if found:
        return Checked(address=found.address, key=found.key, cleaned=True)
    return Fault(code="malformed-address", reason=_what_is_wrong(bare))


def _validated(text: str) -> Checked | None:
    if "@" not in text or ENCODED_WORD in text or _disguised(text):
        return None
    try:
        valid = validate_email(text, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, ValueError, IndexError):
        return None
    domain = valid.ascii_domain.lower()
    local = unicodedata.normalize("NFC", text.rpartition("@")[0])
    if local.lower() != valid.local_part.lower():
        local = valid.local_part
    address = f"{local}@{domain}"  # as written: the library lowers a few names such as Postmaster, the owner may not
    too_long = len(local.encode()) > LONGEST_LOCAL or len(address.encode()) > LONGEST
    if too_long or not local or "." not in domain:
        return None
    return Checked(address=address, key=address_key(address))


def _disguised(text: str) -> bool:
    """Whether it holds, say, a full-width @ or <: programs that normalise by NFKC (UAX 15) read it as the plain one."""
    if text.isascii():
        return False
    return any(SPECIALS.intersection(unicodedata.normalize("NFKC", char)) for char in text if not char.isascii())


def _bare(text: str) -> str:
    """Without what copying and pasting leaves around an address."""
    text = INVISIBLE.sub("", text).replace("\u00a0", " ").strip()
    while True:
        stripped = text.strip().strip(QUOTES).rstrip(",;.:").strip()
        if stripped.startswith("<") and stripped.endswith(">") and stripped.count("<") == 1:
            stripped = stripped[1:-1]
        if stripped[:7].lower() == "mailto:":
            stripped = stripped[7:].partition("?")[0]
        if stripped == text:
            return text
        text = stripped


def _what_is_wrong(text: str) -> str:
    local, at, domain = text.rpartition("@")
    checks = (
        (
            _disguised(text),
            said("contains a character that only looks like @, a comma or a bracket; type the plain one"),
        ),
        (not at, said("has no @ sign")),
        ("@" in local, said("has more than one @ sign")),
        (not local, said("has nothing before the @ sign")),
        (not domain, said("has nothing after the @ sign")),
        (
            IP_DOMAIN.fullmatch(domain.lower()) is not None,
            said("names a computer by its number instead of a mail domain"),
        ),
        (any(map(str.isspace, text)), said("contains a space")),
        ("," in domain, said("has a comma after the @ sign; probably it should be a dot")),
        ("." not in domain, said("has no dot after the @ sign, so it names no mail domain")),
        (".." in text, said("has two dots in a row")),
        (
            domain.lower().endswith((".local", ".localhost", ".invalid", ".arpa", ".onion")),
            said("has a domain that exists on no mail server"),
        ),
        (ENCODED_WORD in text, said("contains =? which some mail programs read as something else")),
        (len(text.encode()) > LONGEST or len(local.encode()) > LONGEST_LOCAL, said("is too long")),
        (local.startswith(".") or local.endswith("."), said("has a dot at the start or directly before the @ sign")),
    )
    return next((reason for wrong, reason in checks if wrong), said("contains a character that addresses cannot have"))
