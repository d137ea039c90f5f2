"""The headers of a message, each exactly once and in a fixed order; nothing in them tells about the sender's machine."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from mailer.mime import words
from mailer.mime.addresses import LINE, after_phrase, mailbox_line, phrase
from mailer.mime.flaw import Flaw, refuse_controls
from mailer.model import Mailbox, said

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

URI = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
LIST_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)+")
MESSAGE_ID = re.compile(r"<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,200}@[A-Za-z0-9.-]{1,253}>")


def from_line(sender: Mailbox) -> str:
    """Who the message is from (RFC 5322, section 3.6.2)."""
    return mailbox_line("From", sender)


def subject_line(subject: str) -> str:
    """The subject as it is if it is plain ASCII that fits one line, else as encoded words (RFC 2047)."""
    if not subject.isprintable():
        refuse_controls(subject, said("The Subject"))
    if not subject:
        return "Subject:"
    if len(subject) + 9 <= LINE and words.is_plain(subject):
        return f"Subject: {subject}"
    return "Subject: " + words.encode(subject, used=9)


def date_line(date: datetime) -> str:
    """The date in UTC: the sender's time zone is nobody's business. Month names do not depend on the locale."""
    if date.tzinfo is None:
        raise ValueError("a date without a time zone has no UTC form")
    since = date - EPOCH
    return _date_line(since.days, since.seconds)


@lru_cache(maxsize=64)
def _date_line(days: int, seconds: int) -> str:
    utc = EPOCH + timedelta(days=days, seconds=seconds)
    day = f"{DAYS[utc.weekday()]}, {utc.day:02d} {MONTHS[utc.month - 1]} {utc.year:04d}"
    return f"Date: {day} {utc.hour:02d}:{utc.minute:02d}:{utc.second:02d} +0000"


def message_id_line(message_id: str) -> str:
    """The Message-ID, never encoded or folded (RFC 5322, section 3.6.4)."""
    if not MESSAGE_ID.fullmatch(message_id):
        raise Flaw("bad-message-id", "The Message-ID is not of the form <token@domain>.")
    return f"Message-ID: {message_id}"


@lru_cache(maxsize=256)
def list_id_line(list_id: str) -> str:
    """`List-ID: Name <id>` (RFC 2919). A bare id gets its brackets; only the name may be encoded."""
    refuse_controls(list_id, said("The List-ID"))
    name, bracket, rest = list_id.strip().rpartition("<")
    identifier = rest.removesuffix(">") if bracket else list_id.strip()
    if not LIST_ID.fullmatch(identifier) or len(identifier) > 255 or (bracket and not rest.endswith(">")):
        raise Flaw(
            "bad-list-id",
            "The List-ID is not a name with dots such as appeals.example.org.",
            'Write for example: "Union appeals <appeals.example.org>".',
        )
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    if not name:
        return f"List-ID: <{identifier}>"
    room = LINE - 9 - 3 - len(identifier)
    return after_phrase(f"List-ID: {phrase(name, used=9, room=room)}", f"<{identifier}>")


def unsubscribe_lines(url: str | None, mailto: str | None) -> list[str]:
    """List-Unsubscribe (RFC 2369) on one raw line, and List-Unsubscribe-Post (RFC 8058) if there is an https URL."""
    if not url and not mailto:
        return []
    links = []
    if url:
        if not url.lower().startswith(("https://", "http://")):
            raise _bad_link("The unsubscribe link does not begin with https://.")
        links.append(url)
    if mailto:
        link = mailto if mailto[:7].lower() == "mailto:" else f"mailto:{mailto}"
        if "@" not in link[7:].partition("?")[0]:
            raise _bad_link("The unsubscribe mail address is not an address.")
        links.append(link)
    for link in links:
        refuse_controls(link, said("The List-Unsubscribe header"))
        if not URI.fullmatch(link):
            raise _bad_link("The unsubscribe link has a character that a link must not have (RFC 3986).")
    line = "List-Unsubscribe: " + ", ".join(f"<{link}>" for link in links)
    if len(line) > LINE:
        raise _bad_link("The unsubscribe link is too long for one header line of 998 characters.")
    if url and url.lower().startswith("https://"):
        return [line, "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]
    return [line]


def _bad_link(message: str) -> Flaw:
    return Flaw(
        "bad-unsubscribe-link", message, "Write other characters in their percent-encoded form, a space as %20."
    )
