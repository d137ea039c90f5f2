"""Links in letters: what may be a target, and the mailto link that opens a letter ready to send (RFC 6068)."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from mailer.merge.generator import as_text

MAX_MAILTO = 2000
"""Mail programs and Windows cut longer links off, silently."""

WARNINGS = "the warnings of this letter"
SCHEME = re.compile(r"(?i)^(https?://[^\s/?#]+|mailto:.+)", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x20\x7f\u0080-\u00a0\u2028\u2029\u202a-\u202e\u2066-\u2069]")
PLAIN_ADDRESS = re.compile(r"[^\s@<>\"(),:;\\\[\]]+@[^\s@<>\"(),:;\\\[\]]+")
PLAIN_LINK = re.compile(r"https?://[A-Za-z0-9.:-]+(?:[/?#][A-Za-z0-9%/?#\[\]@!$&'()*+,;=:~._-]*)?")
"""A whole link in which nothing needs to be encoded."""
UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
"""What stays as it is wherever it stands in a link (RFC 3986, 2.3)."""
ADDRESS_SAFE = "@!$'*+-._~/"


class BadLink(ValueError):
    """A link target that data made into something other than a web page or an address."""


def check_target(target: str) -> str:
    """The target, if it is a whole http, https or mailto link."""
    if CONTROL.search(target):
        raise BadLink("the link holds spaces or control characters")
    if not SCHEME.match(target):
        raise BadLink("the link does not begin with https://, http:// or mailto:")
    return target


def link(parts: list[object]) -> str:
    """A link target from the author's text and fields by turns: the author's first, which may be empty.

    A field at the very start may be a whole link; later ones are percent-encoded, so that they cannot add a
    parameter or another recipient.
    """
    if len(parts) == 2:
        begin, value = parts
        if type(begin) is str and type(value) is str and _is_plain(begin) and UNRESERVED.fullmatch(value):
            return begin + value
    if {*map(type, parts)} != {str}:
        for part in parts:
            if isinstance(part, Undefined):
                str(part)
        parts = [str(as_text(part)) for part in parts]
    return _link(tuple(parts))


@lru_cache(maxsize=256)
def _is_plain(begin: str) -> bool:
    """Whether an author's link may be followed by letters and digits just so."""
    return PLAIN_LINK.fullmatch(begin) is not None


@lru_cache(maxsize=256)
def _link(parts: tuple[str, ...]) -> str:
    target = ""
    for index, part in enumerate(parts):
        if index % 2 == 0:
            target += part
        elif not target:
            target = part.strip()
        else:
            target += quote(part, safe="" if re.search(r"[?#]", target) or target.startswith("mailto:") else "/:@")
    return _quoted(check_target(target))


def _quoted(target: str) -> str:
    """Letters outside ASCII percent-encoded (RFC 3987, 3.1), host names left to the mail program."""
    match = re.match(r"(?i)^(https?://[^/?#]*)(.*)$", target, re.DOTALL)
    head, rest = (match[1], match[2]) if match else ("", target)
    return head + quote(rest, safe="%/?#[]@!$&'()*+,;=:~-._ \t\r\n\x00\x0b\x0c")


def shown_link(label: str, target: object) -> str:
    """A link in plain text: the label, then where it leads; of a mailto link only the address."""
    url = str(target)
    if url.startswith("mailto:"):
        url = _unquoted_address(url)
    label = label.strip()
    if not label or label in (url, str(target)):
        return url
    return f"{label} <{url}>"


def _unquoted_address(url: str) -> str:
    return unquote(url.removeprefix("mailto:").partition("?")[0])


@pass_context
def mailto(context: Context, to: object, subject: object = "", body: object = "") -> str:
    """A link that opens a message ready to send. A body that would make it too long is left out, with a warning."""
    for part in (to, subject, body):
        if isinstance(part, Undefined):
            str(part)
    url, length = _mailto(str(to), str(subject), str(body))
    if length > MAX_MAILTO:
        warnings = context.parent.get(WARNINGS)
        if warnings is not None:
            warnings.append(length)
    return url


@lru_cache(maxsize=64)
def _mailto(to: str, subject: str, body: str) -> tuple[str, int]:
    """The link, and how long it would be with its body."""
    addresses = [address.strip() for address in to.split(",")]
    if not all(PLAIN_ADDRESS.fullmatch(address) for address in addresses):
        raise BadLink("mailto() needs an e-mail address")
    base = "mailto:" + ",".join(quote(address, safe=ADDRESS_SAFE) for address in addresses)
    # RFC 6068, 5: line breaks in the body are %0D%0A.
    text = body.strip().replace("\r\n", "\n").replace("\r", "\n")
    encoded = "%0D%0A".join(map(_percent_encoded, text.split("\n")))
    headers = [f"subject={quote(' '.join(subject.split()), safe='')}"] if subject else []
    url = _with(base, [*headers, f"body={encoded}"] if text else headers)
    return (url if len(url) <= MAX_MAILTO else _with(base, headers)), len(url)


@lru_cache(maxsize=512)
def _percent_encoded(line: str) -> str:
    """Most lines of a letter to be sent on are the same for many contacts."""
    return quote(line, safe="")


def _with(base: str, headers: list[str]) -> str:
    return base + ("?" + "&".join(headers) if headers else "")
