"""The header lines that an identity puts into each of its messages, made once."""

from __future__ import annotations

from typing import Final, NamedTuple, overload

from mailer.mime import headers
from mailer.mime.addresses import addr_spec, mailbox_line
from mailer.model import MARK_PLACE, Identity, said

SAMPLE: Final = "sampletoken" + "0" * 41
"""As long as a token, and made of the same characters."""

KEPT = 64
"""Identities remembered: a campaign has one, or one a language."""


class Fixed(NamedTuple):
    """The headers of a message but for those of one contact, as they stand before and between these."""

    identity: Identity
    before_to: str
    before_subject: str
    after_message_id: list[str]
    """Whoever the message is for, its token stands between these."""
    mail_from: list[str]
    """Likewise."""


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
    after = headers.unsubscribe_lines(sampled(identity.unsubscribe_url), sampled(identity.unsubscribe_mailto))
    if identity.list_id:
        after.insert(0, headers.list_id_line(identity.list_id))
    between = [mailbox_line("Reply-To", identity.reply_to)] if identity.reply_to else []
    return Fixed(
        identity=identity,
        before_to=mailbox_line("From", identity.sender) + "\r\n",
        before_subject="\r\n".join(["", *between, ""]),
        after_message_id="\r\n".join(["", *after, "MIME-Version: 1.0", ""]).split(SAMPLE),
        mail_from=addr_spec(sampled(identity.mail_from), said("The bounce address")).split(SAMPLE),
    )


@overload
def sampled(text: str) -> str: ...
@overload
def sampled(text: str | None) -> str | None: ...
def sampled(text: str | None) -> str | None:
    """With a token, as every message has it: what is checked then holds for all of them."""
    return text and text.replace(MARK_PLACE, SAMPLE)
