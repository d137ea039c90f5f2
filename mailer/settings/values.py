"""Texts into values: each function reads one kind of setting, or raises ValueError with a sentence for its owner.

A sentence never repeats an address or a password, because it may end in a log or a screenshot.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from mailer import age
from mailer.address import is_plain
from mailer.hours import Hours, zone_name
from mailer.loopback import is_loopback
from mailer.model import MARK_PLACE, Mailbox, Quota, Server, said, words_of
from mailer.proxy import Proxy

Kind = TypeVar("Kind", bound=StrEnum)


class Auth(StrEnum):
    """How to log in: with a password (PLAIN or LOGIN) or an OAuth 2 access token (XOAUTH2)."""

    PASSWORD = "password"  # noqa: S105  the name of a method
    XOAUTH2 = "xoauth2"


def line(text: str) -> str:
    """One line of text. Control characters are refused: they could start another header or another SMTP command."""
    if any(unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} for c in text):
        raise ValueError("it contains a line break or another control character")
    return text.strip()


def choice(kind: type[Kind]) -> Callable[[str], Kind]:
    def read(text: str) -> Kind:
        try:
            return kind(text.strip().lower())
        except ValueError:
            raise ValueError(said("it must be one of: {choices}", choices=", ".join(kind))) from None

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # isascii and the length first: int() would read Arabic digits, and take long over a million of them.
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(said("it must be a whole number from {low} to {high}", low=low, high=high))
        return int(text)

    return read


def flag(text: str) -> bool:
    if text.lower() in {"true", "yes", "on", "1"}:
        return True
    if text.lower() in {"false", "no", "off", "0"}:
        return False
    raise ValueError("it must be true or false")


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PART = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)\s*", re.ASCII)


def duration(text: str) -> float:
    """Seconds in `30s`, `2 min`, `1m30s`, `1 hour`; a bare number counts seconds. Raises ValueError."""
    rest = text.strip().lower()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", rest):
        rest += "s"
    seconds, valid = 0.0, bool(rest)
    while rest and valid:
        part = PART.match(rest)
        valid = part is not None
        if part:
            seconds += float(part[1]) * UNITS[part[2][0]]
            rest = rest[part.end() :]
    if not valid or seconds > 7 * 86400:
        raise ValueError("it is not a length of time up to a week, such as 30s, 2 min or 1m30s")
    return seconds


def timeout(text: str) -> float:
    seconds = duration(text)
    if not 5 <= seconds <= 3600:
        raise ValueError("it must be between 5 seconds and 1 hour")
    return seconds


def rates(text: str) -> tuple[Quota, ...]:
    """Quotas that all hold at once; none for `none` or `unlimited`."""
    if text.strip().lower() in {"none", "unlimited"}:
        return ()
    try:
        quotas = Quota.parse_all(text)
    except ValueError as error:
        # The wrong part is quoted if it cannot be private.
        wrong = str(words_of(error).values.get("text", "@"))
        private = "@" in wrong or len(wrong) > 40
        raise ValueError("it is not a rate" if private else said("{text!r} is not a rate", text=wrong)) from None
    if not quotas:
        raise ValueError("it names no rate; for no limit write unlimited")
    return quotas


BRAKE = re.compile(r"(\d{1,6})\s*,\s*(\d{1,3}(?:\.\d{1,3})?)\s*%", re.ASCII)


def bounce_brake(text: str) -> tuple[int, float] | None:
    """How many refused addresses, and what share of an hour's messages in percent, stop a run; None for never."""
    text = line(text)
    if text.lower() in {"off", "none", "no", "false"}:
        return None
    match = BRAKE.fullmatch(text)
    if match is None or int(match[1]) < 1 or float(match[2]) > 100:
        raise ValueError("it must be a number of addresses and a share from 0% to 100%, or off")
    return int(match[1]), float(match[2])


ANY_DOMAIN = "*"


def domain_rates(text: str) -> Mapping[str, tuple[Quota, ...]]:
    """Quotas by destination domain (lower case, A-labels); `*` holds for every domain without its own."""
    found: dict[str, tuple[Quota, ...]] = {}
    if text.strip().lower() in {"none", "unlimited"}:
        return found
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, rate = part.rpartition("=")
        key = domain(name) if equals and name.strip() != ANY_DOMAIN else ANY_DOMAIN
        found[key] = found.get(key, ()) + rates(rate)
    return found


def office_hours(text: str) -> Hours:
    """Hours of the week; none for `off`."""
    return Hours.parse(line(text))


def time_zone(text: str) -> str:
    """A time zone of the tz database."""
    name = zone_name(line(text))
    if name is None:
        raise ValueError("it is not a time zone such as Europe/Paris or America/New_York")
    return name


def domain(text: str) -> str:
    """A domain name in lower case and A-labels (RFC 5890)."""
    return address(f"postmaster@{text.strip().removeprefix('@')}", said("it is not a domain name")).rpartition("@")[2]


def selector(text: str) -> str:
    """Labels of letters, digits and hyphens (RFC 6376, section 3.1), in lower case."""
    text = line(text).lower()
    if "_domainkey" in text:
        raise ValueError("it is only what stands before ._domainkey in the DNS")
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", text):
        raise ValueError("it must be letters and digits, with hyphens or dots between them")
    return text


def address(text: str, complaint: str = said("it is not one e-mail address")) -> str:
    """One bare address: local part as written, domain in lower case as A-labels. Reserved domains are fine."""
    text = line(text)
    if is_plain(text) and text.islower():
        return text
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - slow, and seldom needed

    try:
        valid = validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError:
        raise ValueError(complaint) from None
    return f"{valid.local_part}@{valid.ascii_domain}"


def mailbox(text: str) -> Mailbox:
    """`Name <address>`, or an address alone."""
    text = line(text)
    match = re.fullmatch(r"([^<>]*)<([^<>]+)>", text)
    if match is None:
        return Mailbox(address=address(text))
    name = match[1].strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    if "@" in name:
        raise ValueError("it looks like two e-mail addresses; only one can be the sender")
    return Mailbox(address=address(match[2]), name=name)


def host(text: str) -> str:
    """A host name or an IP address, without port."""
    text = line(text)
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    if "://" in text or ":" in text:
        raise ValueError("it must be only the server's name; the port has a setting of its own")
    try:
        name = text.removesuffix(".").encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"(?!-)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name):
        raise ValueError("it is not a server name")
    return name


def list_id(text: str) -> str:
    """`list.example.org`, or `Name <list.example.org>` (RFC 2919)."""
    text = line(text)
    label = re.fullmatch(r"(?:[^<>]*<)?([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)(>?)", text)
    if label is None or ("<" in text) != bool(label[2]):
        raise ValueError("it is not a list name: letters, digits and dots, like a domain")
    return text


def postal_address(text: str) -> str:
    """May span several lines."""
    return "\n".join(filter(None, (line(part) for part in text.splitlines())))


SAMPLE = "x" * 52
"""As long as a token (mailer.tokens)."""

BEFORE_TOKEN = re.compile(r"https?://[^/?#]+[/?#].*|[^@?:/]+|[^@?]+@[^?]+\?.*")
"""A link up to somewhere behind its host, part of a local part, or an address and part of its query."""


def once_marked(check: Callable[[str], str]) -> Callable[[str], str]:
    """The same check for a value that may hold `{token}` in one place."""

    def checked(text: str) -> str:
        if text.count(MARK_PLACE) > 1:
            raise ValueError("it may hold {token} once only")
        if MARK_PLACE not in text:
            return check(text)
        good = check(text.replace(MARK_PLACE, SAMPLE))
        if not BEFORE_TOKEN.fullmatch(good.partition(SAMPLE)[0]):
            raise ValueError(
                "{token} must stand before the @ of an address, after a letter, or behind the host of a link"
            )
        return good.replace(SAMPLE, MARK_PLACE)

    return checked


@once_marked
def bounce_address(text: str) -> str:
    """An address; with `{token}`, as in `bounces+{token}@example.org`, each message has one of its own (VERP)."""
    return address(text)


@once_marked
def web_address(text: str) -> str:
    """A link by HTTPS (RFC 8058 asks for it); plain HTTP only to this computer."""
    text = line(text)
    try:
        parts = urlsplit(text)
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    except ValueError:
        secure = False
    if not secure or not parts.hostname or not re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", text):
        raise ValueError("it must be a link that begins with https:// and has no spaces")
    return text


def service_address(text: str) -> str:
    """A link to a service that gets secrets: HTTPS, or plain HTTP to this computer; without a slash at its end."""
    try:
        good = web_address(text)
    except ValueError:
        good = ""
    if not good or MARK_PLACE in good:
        raise ValueError("it must be a link that begins with https:// and has no spaces")
    return good.rstrip("/")


@once_marked
def mailto(text: str) -> str:
    """An address, perhaps with `?subject=...`; a leading `mailto:` is dropped."""
    text = re.sub("^mailto:", "", line(text), flags=re.IGNORECASE)
    target, question, query = text.partition("?")
    if question and not re.fullmatch(r"[A-Za-z0-9%=&_.+~-]+", query):
        raise ValueError("what follows the ? must be written like subject=unsubscribe")
    return address(target) + question + query


def marked_link(url: str) -> str:
    """The link with a place for the token, as a parameter where none is named: a page that knows of none ignores it."""
    if MARK_PLACE in url:
        return url
    page, hash_sign, fragment = url.partition("#")
    return f"{page}{'&' if '?' in page else '?'}token={MARK_PLACE}{hash_sign}{fragment}"


def marked_mailto(text: str) -> str:
    """The address with a place for the token, in the subject where none is named."""
    if MARK_PLACE in text:
        return text
    target, _, query = text.partition("?")
    headers = query.split("&") if query else []
    subject = next((header for header in headers if header.lower().startswith("subject=")), None)
    if subject is None:
        headers.append(f"subject=unsubscribe%20{MARK_PLACE}")
    else:
        headers[headers.index(subject)] = f"{subject}%20{MARK_PLACE}"
    return f"{target}?{'&'.join(headers)}"


def ledger(text: str) -> str | Server:
    """`sqlite:///FILE`, or `postgresql://[user[:password]@][host][:port]/database`."""
    text = line(text)
    if re.match(r"postgres(ql)?://", text):
        return Server(address=text)
    if re.match(r"postgres(ql)?(\+\w+)?:", text, re.IGNORECASE):
        raise ValueError("for a database on PostgreSQL it must begin with postgresql://")
    path = text.removeprefix("sqlite:///")
    if path == text or not PurePosixPath(path).name or path.endswith(("/", "\\")) or ":memory:" in path:
        raise ValueError(
            "it must be sqlite:/// followed by the name of a file, or an address that begins with postgresql://"
        )
    return text


def proxy(text: str) -> Proxy | None:
    """`socks5://[user[:password]@]host:port`, or `none`; in socks5h the h asks for what is always done, look-ups beyond the proxy."""
    if is_no_proxy(text):
        return None
    text = line(text)
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"socks5", "socks5h"} and not (parts.path.strip("/") or parts.query or parts.fragment)
        name, port = parts.hostname, parts.port
    except ValueError:
        good, name, port = False, None, None
    if not (good and name and port):
        raise ValueError("it must be socks5://, a host and a port")
    known = [unquote(part) if part else None for part in (parts.username, parts.password)]
    # RFC 1929 has one octet for their length; a proxy that wants other letters than these is not known to us
    if any(part and not (part.isascii() and part.isprintable() and len(part) < 256) for part in known):
        raise ValueError("user name and password of a proxy must be up to 255 plain letters, digits and signs")
    return Proxy(host=host(name), port=port, username=known[0], password=known[1])


def is_no_proxy(text: str) -> bool:
    """Whether it says that there is none, so that a proxy that is set elsewhere does not hold."""
    return text.strip().lower() == "none"


def server(text: str) -> tuple[str, int]:
    """The address of a DNS server, perhaps with a port: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:5353`."""
    text = line(text)
    match = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?|([0-9.]+)(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+)", text)
    try:
        address = str(ipaddress.ip_address((match[1] or match[3] or match[5]) if match else text))
    except ValueError:
        raise ValueError("it must be the address of a DNS server in numbers, not its name") from None
    port = (match[2] or match[4]) if match else None
    return address, whole(1, 65535)(port) if port else 53


def secret(text: str) -> SecretStr:
    """A password, wrapped so that printing or logging it shows stars."""
    if any(unicodedata.category(c) == "Cc" for c in text):
        raise ValueError("it contains a line break or another control character")
    return SecretStr(text)


def passphrase(text: str) -> SecretStr:
    """A passphrase, or a key as `mailer encrypt` and `age-keygen` write it, perhaps among comments."""
    found = age.KEY.search(text)
    if found and all(line.startswith("#") or line == found[0] for line in text.split("\n") if line):
        return SecretStr(found[0])
    return secret(text)
