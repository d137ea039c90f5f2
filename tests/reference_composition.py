"""Messages composed the straightforward way, to judge the compiled ones: no piece is known beforehand, nothing kept.

Single header lines come from mailer.mime; the bodies, their encoding and the whole message are put together here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

from mailer.mime import headers
from mailer.mime.addresses import addr_spec, mailbox_line
from mailer.mime.attachments import attachment_part
from mailer.model import Contact, Letter

FRAGILE_START = re.compile(rb"^(From |\.)(.*)$", re.MULTILINE)
LONG_END = re.compile(rb"^(.{74,})(=20|=09)$", re.MULTILINE)


def composed(letter: Letter, contact: Contact, message_id: str, date: datetime) -> tuple[str, str, bytes]:
    """MAIL FROM, RCPT TO and the bytes of a letter in which nothing is wrong."""
    identity = letter.identity
    lines = [mailbox_line("From", identity.sender), mailbox_line("To", letter.to)]
    if identity.reply_to:
        lines.append(mailbox_line("Reply-To", identity.reply_to))
    lines += [
        headers.subject_line("".join(letter.subject)),
        headers.date_line(date),
        headers.message_id_line(message_id),
    ]
    if identity.list_id:
        lines.append(headers.list_id_line(identity.list_id))
    url, mailto = (
        text and text.replace("{token}", letter.marks.unsubscribe)
        for text in (identity.unsubscribe_url, identity.unsubscribe_mailto)
    )
    lines += headers.unsubscribe_lines(url, mailto)
    content = "\r\n".join([*lines, "MIME-Version: 1.0", ""]).encode() + body(letter, token_of(message_id))
    return (
        addr_spec(identity.mail_from.replace("{token}", letter.marks.bounce), "it"),
        addr_spec(contact.address, "it"),
        content,
    )


def token_of(message_id: str) -> str:
    local = message_id[1:].partition("@")[0]
    if re.fullmatch(r"[A-Za-z0-9]{1,60}", local):
        return local
    return hashlib.sha256(message_id.encode(errors="replace")).hexdigest()[:40]


def body(letter: Letter, token: str) -> bytes:
    images = [attachment for attachment in letter.attachments if attachment.content_id and letter.html]
    others = [attachment for attachment in letter.attachments if attachment not in images]
    part = None
    if letter.html:
        part = text_part(letter.html, "html")
        if images:
            part = multipart(
                'related; type="text/html"', f"=_r_{token}", [part, *(attachment_part(image) for image in images)]
            )
    if letter.text or part is None:
        plain = text_part(letter.text, "plain")
        part = plain if part is None else multipart("alternative", f"=_a_{token}", [plain, part])
    if others:
        part = multipart("mixed", f"=_m_{token}", [part, *(attachment_part(other) for other in others)])
    return part if part.endswith(b"\r\n") else part + b"\r\n"


def multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    begin = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n'.encode()
    return (
        begin + b"".join(f"\r\n--{boundary}\r\n".encode() + part for part in parts) + f"\r\n--{boundary}--\r\n".encode()
    )


def text_part(text: str, subtype: str) -> bytes:
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + quoted_printable(text)


def quoted_printable(text: str) -> bytes:
    """The whole text at once."""
    text = "".join(text).replace("\r\n", "\n").replace("\r", "\n")
    data = LONG_END.sub(rb"\1=\n\2", binascii.b2a_qp(text.encode()))
    while FRAGILE_START.search(data):
        data = FRAGILE_START.sub(_sturdy, data)
    return data.replace(b"\n", b"\r\n")


def _sturdy(line: re.Match[bytes]) -> bytes:
    start = b"=2E" if line[1] == b"." else b"=46rom "
    return start + line[2] if len(start) + len(line[2]) <= 76 else start + b"=\n" + line[2]


def q_form(text: str) -> str:
    """RFC 2047, section 4.2, octet by octet."""
    bare = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
    return "".join(
        chr(octet) if octet in bare else "_" if octet == 0x20 else f"={octet:02X}" for octet in text.encode()
    )


def message_token(secret: bytes, campaign: str, key: str) -> str:
    """The left part of a Message-ID by the standard library's own HMAC and base32."""
    import hmac

    name = campaign.encode(errors="surrogatepass")
    signed = b"mailer message-id 1\0" + len(name).to_bytes(8, "big") + name + key.encode(errors="surrogatepass")
    return base64.b32encode(hmac.digest(secret, signed, "sha256")[:20]).decode().lower()
