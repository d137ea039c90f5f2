"""A letter and its contact -> the bytes of one message, and every reason why there cannot be one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from mailer.mime import headers
from mailer.mime.addresses import addr_spec, mailbox_line, named_line
from mailer.mime.attachments import encoded_parts
from mailer.mime.bodies import quoted_printable
from mailer.mime.flaw import ComposeError, Flaw
from mailer.mime.frame import Frame, sampled
from mailer.mime.pieces import memory
from mailer.model import Attachment, Contact, Envelope, Letter, Message, said

OWN_ID = re.compile(r"<([A-Za-z0-9]{1,60})@[A-Za-z0-9.-]{1,253}>")
"""A Message-ID such as `message_id` makes."""

TEXT_HEAD: Final = {
    subtype: b"Content-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    % subtype.encode()
    for subtype in ("plain", "html")
}

TO_ADDRESS: Final = said("The To address")

frame = Frame()


def compose(letter: Letter, *, contact: Contact, message_id: str, date: datetime) -> Message:
    """The message for one contact: the same arguments give the same bytes.

    `date` must have a time zone and is written in UTC. Raises ComposeError with every problem of this letter.
    """
    to = letter.to
    try:
        fixed = frame.of(letter.identity)
        recipient = addr_spec(to.address, TO_ADDRESS)
        token = _boundary_token(message_id)
        head = (
            f"{fixed.before_to}{named_line('To', to.name, recipient)}{fixed.before_subject}"
            f"{headers.subject_line(letter.subject)}\r\n{headers.date_line(date)}\r\n"
            f"Message-ID: {message_id}{letter.marks.unsubscribe.join(fixed.after_message_id)}"
        )
        mail_from = letter.marks.bounce.join(fixed.mail_from)
        if letter.text and letter.html and not letter.attachments:
            # what nearly all messages are; the same as below
            pieces = [
                f'{head}Content-Type: multipart/alternative; boundary="=_a_{token}"\r\n\r\n--=_a_{token}\r\n'.encode(),
                TEXT_HEAD["plain"],
                *memory.encoded(letter.text, "plain"),
                f"\r\n--=_a_{token}\r\n".encode(),
                TEXT_HEAD["html"],
                *memory.encoded(letter.html, "html"),
                f"\r\n--=_a_{token}--\r\n".encode(),
            ]
        else:
            pieces = [head.encode(), *_body(letter, token)]
        if contact.address != to.address:
            recipient = addr_spec(contact.address, said("The recipient's address"))
    except Flaw:
        raise ComposeError.of(_flaws(letter, contact, message_id), row=contact.row) from None
    return Message(
        Envelope(mail_from, recipient),
        message_id,
        b"".join(pieces),
        not (head.isascii() and mail_from.isascii() and recipient.isascii()),
    )


def _body(letter: Letter, token: str) -> Sequence[bytes]:
    """mixed( alternative( plain, related( html, images ) ), attachments ), without levels that have one child."""
    images = [a for a in letter.attachments if a.content_id and letter.html] if letter.attachments else []
    others = [a for a in letter.attachments if not (a.content_id and letter.html)] if letter.attachments else []
    part: Sequence[bytes] | None = None
    if letter.html:
        part = _text_part(letter.html, "html")
        if images:
            # RFC 2387, section 3.1: the type of the part that the others belong to.
            part = _multipart(b'related; type="text/html"', b"=_r_", token, [part, *map(_file_part, images)])
    if letter.text or part is None:
        plain = _text_part(letter.text, "plain")
        part = plain if part is None else _multipart(b"alternative", b"=_a_", token, [plain, part])
    if others:
        part = _multipart(b"mixed", b"=_m_", token, [part, *map(_file_part, others)])
    last = next(filter(None, reversed(part)))
    return part if last.endswith(b"\r\n") else [*part, b"\r\n"]


def _text_part(text: str, subtype: str) -> Sequence[bytes]:
    return [TEXT_HEAD[subtype], *memory.encoded(text, subtype)]


def _file_part(attachment: Attachment) -> Sequence[bytes]:
    return [encoded_parts.part(attachment)]


def _multipart(kind: bytes, prefix: bytes, token: str, parts: Sequence[Sequence[bytes]]) -> Sequence[bytes]:
    """Parts between boundaries (RFC 2046, section 5.1).

    `=_` can stand neither in quoted-printable nor in base64 (the note on boundaries in RFC 2045, section 6.7), and part
    headers begin with "Content-" or a space: no line of any part is ever taken for a boundary.
    """
    boundary = prefix + token.encode()
    edge = b"\r\n--" + boundary + b"\r\n"
    pieces = [b'Content-Type: multipart/%b; boundary="%b"\r\n' % (kind, boundary)]
    for part in parts:
        pieces.append(edge)
        pieces += part
    pieces.append(b"\r\n--" + boundary + b"--\r\n")
    return pieces


def _boundary_token(message_id: str) -> str:
    """Boundary text from the Message-ID alone, so that composing again gives the same bytes. Raises a Flaw."""
    own = OWN_ID.fullmatch(message_id)
    if own:
        return own[1]
    headers.message_id_line(message_id)
    return hashlib.sha256(message_id.encode(errors="replace")).hexdigest()[:40]


def _flaws(letter: Letter, contact: Contact, message_id: str) -> Iterator[Flaw]:
    """Every flaw of the letter, not only the first: its owner mends them in one go."""
    identity = letter.identity
    checks: list[Callable[[], object]] = [
        partial(mailbox_line, "From", identity.sender),
        partial(mailbox_line, "To", letter.to),
        partial(headers.subject_line, letter.subject),
        partial(headers.message_id_line, message_id),
        partial(headers.unsubscribe_lines, sampled(identity.unsubscribe_url), sampled(identity.unsubscribe_mailto)),
        partial(quoted_printable, letter.text, "plain"),
        partial(quoted_printable, letter.html, "html"),
    ]
    if identity.reply_to:
        checks.append(partial(mailbox_line, "Reply-To", identity.reply_to))
    if identity.list_id:
        checks.append(partial(headers.list_id_line, identity.list_id))
    if identity.bounce_address:
        checks.append(partial(addr_spec, sampled(identity.bounce_address), said("The bounce address")))
    if contact.address != letter.to.address:
        checks.append(partial(addr_spec, contact.address, said("The recipient's address")))
    checks += [partial(encoded_parts.part, attachment) for attachment in letter.attachments]
    for check in checks:
        try:
            check()
        except Flaw as flaw:
            yield flaw
