"""What a mail is to a campaign: a bounce, a complaint, a wish to leave, an answer, or nothing of ours; no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from mailer.inbox.answers import answered, is_automatic, wants_to_leave
from mailer.inbox.complaint import read_complaint
from mailer.inbox.delivery_status import Failure, original_headers, original_ids, read_delivery_status
from mailer.inbox.mail import Mail, read
from mailer.inbox.plain_bounce import from_a_server, read_plain_bounce

RECIPIENT_HEADERS = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc")
"""Where the address stands to which a mail came, and in it a token."""


class Kind(StrEnum):
    """What a mail is. LEAVING: a wish to leave, in so many words. PUZZLE: a mail server wrote it, and it cannot be understood."""

    BOUNCE = "bounce"
    DELAY = "delay"
    RECEIPT = "receipt"
    COMPLAINT = "complaint"
    AUTOMATIC = "automatic"
    LEAVING = "leaving"
    PUZZLE = "puzzle"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    """A mail as far as it matters here. `identity` is the same whenever the same mail is read again.

    `marks` are texts in which a token of ours may stand, `message_ids` those of messages that it speaks of or answers, the
    likeliest first; `addresses` may be theirs who complained; `explanation` is what a bounce says to people.
    """

    kind: Kind
    identity: str
    sender: str
    marks: tuple[str, ...]
    message_ids: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    addresses: tuple[str, ...] = ()
    explanation: str = ""


def understand(content: bytes) -> Understood:
    """Take a mail for what it is. Never raises; what nobody can tell is a PUZZLE or OTHER."""
    try:
        return _understood(content)
    except Exception:  # noqa: BLE001 - whatever a stranger made of it: those that came after it must be read
        return Understood(kind=Kind.PUZZLE, identity=hashlib.sha256(content).hexdigest(), sender="", marks=())


def _understood(content: bytes) -> Understood:
    mail = read(content)
    plain = Understood(
        kind=Kind.OTHER,
        identity=_identity(mail, content),
        sender=mail.sender,
        marks=tuple(value for value in (*mail.every(*RECIPIENT_HEADERS), mail.header("subject")) if value),
    )
    return _complaint(mail, plain) or _bounce(mail, plain) or _answer(mail, plain)


def _complaint(mail: Mail, plain: Understood) -> Understood | None:
    complaint = read_complaint(mail)
    if not complaint:
        return None
    return replace(
        plain,
        kind=Kind.COMPLAINT,
        marks=(*complaint.marks, *plain.marks),
        message_ids=original_ids(mail),
        addresses=complaint.addresses,
    )


def _bounce(mail: Mail, plain: Understood) -> Understood | None:
    failures = read_delivery_status(mail) or read_plain_bounce(mail)
    if failures:
        return replace(
            plain,
            kind=_worst(failures),
            marks=(*plain.marks, original_headers(mail).get("return-path", "")),
            message_ids=original_ids(mail),
            failures=failures,
            explanation=mail.words[:5000],
        )
    if mail.kind == "multipart/report" or from_a_server(mail):
        return replace(plain, kind=Kind.PUZZLE)
    return None


def _answer(mail: Mail, plain: Understood) -> Understood:
    if is_automatic(mail):
        return replace(plain, kind=Kind.AUTOMATIC, message_ids=answered(mail))
    kind = Kind.LEAVING if wants_to_leave(mail) else Kind.OTHER
    return replace(plain, kind=kind, message_ids=answered(mail))


def _worst(failures: tuple[Failure, ...]) -> Kind:
    actions = {failure.action for failure in failures}
    if "failed" in actions:
        return Kind.BOUNCE
    return Kind.DELAY if "delayed" in actions else Kind.RECEIPT


def _identity(mail: Mail, content: bytes) -> str:
    """By the Message-ID, which stays when a mail is moved between folders or servers; else by the content."""
    name = mail.header("message-id")
    source = f"{name}\n{mail.header('from')}\n{mail.header('date')}".encode() if name else content
    return hashlib.sha256(source).hexdigest()
