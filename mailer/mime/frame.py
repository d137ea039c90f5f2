"""The header lines that an identity puts into each of its messages, made once."""

from __future__ import annotations

from typing import NamedTuple

from mailer.mime import headers
from mailer.mime.addresses import addr_spec, mailbox_line
from mailer.model import Identity

KEPT = 64
"""Identities remembered: a campaign has one, or one a language."""


class Fixed(NamedTuple):
    """The headers of a message but for those of one contact, as they stand before and between these."""

    identity: Identity
    before_to: str
    before_subject: str
    after_message_id: str
    mail_from: str


class Frame:
    """The fixed headers of the identities met so far."""

    def __init__(self) -> None:
        self._known: dict[int, Fixed] = {}

    def of(self, identity: Identity) -> Fixed:
        """The fixed headers of an identity. Raises a Flaw."""
        # by its id, since comparing all its fields costs more than the lines; what is known keeps it from being reused
        fixed = self._known.get(id(identity))
        if fixed is None:
            fixed = _fixed(identity)
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[id(identity)] = fixed
        return fixed


def _fixed(identity: Identity) -> Fixed:
    after = headers.unsubscribe_lines(identity.unsubscribe_url, identity.unsubscribe_mailto)
    if identity.list_id:
        after.insert(0, headers.list_id_line(identity.list_id))
    between = [mailbox_line("Reply-To", identity.reply_to)] if identity.reply_to else []
    return Fixed(
        identity=identity,
        before_to=mailbox_line("From", identity.sender) + "\r\n",
        before_subject="\r\n".join(["", *between, ""]),
        after_message_id="\r\n".join(["", *after, "MIME-Version: 1.0", ""]),
        mail_from=addr_spec(identity.mail_from, "The bounce address"),
    )
