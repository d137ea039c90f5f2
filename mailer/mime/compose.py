"""A letter and its contact -> the bytes of one message, and every reason why there cannot be one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial

from mailer.mime import headers
from mailer.mime.addresses import addr_spec, mailbox_line
from mailer.mime.attachments import encoded_parts
from mailer.mime.bodies import text_part
from mailer.mime.flaw import ComposeError, Flaw
from mailer.model import Contact, Envelope, Letter, Mailbox, Message

TOKEN = re.compile(r"[A-Za-z0-9]{1,60}")


def compose(letter: Letter, *, contact: Contact, message_id: str, date: datetime) -> Message:
    """The message for one contact: the same arguments give the same bytes.

    `date` must have a time zone and is written in UTC. Raises ComposeError with every problem of this letter.
    """
    try:
        lines = _header_lines(letter, message_id, date)
        body = _body(letter, _boundary_token(message_id))
        envelope = Envelope(
            mail_from=addr_spec(letter.identity.mail_from, "The bounce address"),
            rcpt_to=addr_spec(contact.address, "The recipient's address"),
        )
    except Flaw:
        raise ComposeError.of(_flaws(letter, contact, message_id), row=contact.row) from None
    head = "\r\n".join(lines).encode()
    return Message(
        envelope=envelope,
        message_id=message_id,
        content=b"%b\r\nMIME-Version: 1.0\r\n%b" % (head, body),
        needs_smtputf8=not (head.isascii() and envelope.mail_from.isascii() and envelope.rcpt_to.isascii()),
    )


def _header_lines(letter: Letter, message_id: str, date: datetime) -> list[str]:
    identity = letter.identity
    lines = [_constant_line("From", identity.sender), mailbox_line("To", letter.to)]
    if identity.reply_to:
        lines.append(_constant_line("Reply-To", identity.reply_to))
    lines += [headers.subject_line(letter.subject), headers.date_line(date), headers.message_id_line(message_id)]
    if identity.list_id:
        lines.append(headers.list_id_line(identity.list_id))
    return lines + headers.unsubscribe_lines(identity.unsubscribe_url, identity.unsubscribe_mailto)


_constant_line: Callable[[str, Mailbox], str] = lru_cache(maxsize=64)(mailbox_line)


def _body(letter: Letter, token: str) -> bytes:
    """mixed( alternative( plain, related( html, images ) ), attachments ), without levels that have one child."""
    images = [a for a in letter.attachments if a.content_id and letter.html]
    others = [a for a in letter.attachments if not (a.content_id and letter.html)]
    part = None
    if letter.html:
        part = text_part(letter.html, "html")
        if images:
            # RFC 2387, section 3.1: the type of the part that the others belong to.
            related = [part, *map(encoded_parts.part, images)]
            part = _multipart('related; type="text/html"', f"=_r_{token}", related)
    if letter.text or part is None:
        plain = text_part(letter.text, "plain")
        part = plain if part is None else _multipart("alternative", f"=_a_{token}", [plain, part])
    if others:
        part = _multipart("mixed", f"=_m_{token}", [part, *map(encoded_parts.part, others)])
    return part if part.endswith(b"\r\n") else part + b"\r\n"


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """Parts between boundaries (RFC 2046, section 5.1).

    `=_` can stand neither in quoted-printable nor in base64 (the note on boundaries in RFC 2045, section 6.7), and part
    headers begin with "Content-" or a space: no line of any part is ever taken for a boundary.
    """
    edge = f"\r\n--{boundary}\r\n".encode()
    return b'Content-Type: multipart/%b; boundary="%b"\r\n%b%b\r\n--%b--\r\n' % (
        kind.encode(),
        boundary.encode(),
        edge,
        edge.join(parts),
        boundary.encode(),
    )


def _boundary_token(message_id: str) -> str:
    """Boundary text from the Message-ID alone, so that composing again gives the same bytes."""
    local = message_id[1:].partition("@")[0]
    return local if TOKEN.fullmatch(local) else hashlib.sha256(message_id.encode(errors="replace")).hexdigest()[:40]


def _flaws(letter: Letter, contact: Contact, message_id: str) -> Iterator[Flaw]:
    """Every flaw of the letter, not only the first: its owner mends them in one go."""
    identity = letter.identity
    checks: list[Callable[[], object]] = [
        partial(mailbox_line, "From", identity.sender),
        partial(mailbox_line, "To", letter.to),
        partial(headers.subject_line, letter.subject),
        partial(headers.message_id_line, message_id),
        partial(headers.unsubscribe_lines, identity.unsubscribe_url, identity.unsubscribe_mailto),
        partial(text_part, letter.text, "plain"),
        partial(text_part, letter.html, "html"),
    ]
    if identity.reply_to:
        checks.append(partial(mailbox_line, "Reply-To", identity.reply_to))
    if identity.list_id:
        checks.append(partial(headers.list_id_line, identity.list_id))
    if identity.bounce_address:
        checks.append(partial(addr_spec, identity.bounce_address, "The bounce address"))
    if contact.address != letter.to.address:
        checks.append(partial(addr_spec, contact.address, "The recipient's address"))
    checks += [partial(encoded_parts.part, attachment) for attachment in letter.attachments]
    for check in checks:
        try:
            check()
        except Flaw as flaw:
            yield flaw
