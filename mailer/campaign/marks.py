"""The tokens in the message to one contact, which name its delivery to us and to nobody else."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from mailer.model import MARK_PLACE, Identity, Letter, Marks
from mailer.tokens import Purpose, Tokens


def marker(secret: bytes, identity: Identity, *, preview: bool = False) -> Callable[[str], Marks]:
    """A function from a delivery's name (`mime.delivery_token`) to its marks: those that the identity has a place for.

    Those of a `preview` are as long, but unsubscribe nobody: whoever looks at it may well try its links.
    """
    tokens = Tokens(secret)
    leaving = Purpose.PREVIEW if preview else Purpose.UNSUBSCRIBE
    bouncing = Purpose.PREVIEW if preview else Purpose.BOUNCE
    leaves = identity.has_marked_links
    bounces = MARK_PLACE in identity.mail_from

    def marks(delivery: str) -> Marks:
        return Marks(
            tokens.sign(leaving, delivery) if leaves else "",
            tokens.sign(bouncing, delivery) if bounces else "",
        )

    return marks


def shows_way_out(letter: Letter) -> bool:
    """Whether readers see how to get no more letters, whether they read it as HTML or as plain text."""
    identity = letter.identity
    mailbox = (identity.unsubscribe_mailto or "").partition("?")[0].removeprefix("mailto:")
    ways = [letter.marks.unsubscribe] if letter.marks.unsubscribe else [identity.unsubscribe_url, mailbox]
    return any(way and way in letter.text and escape(way) in letter.html for way in ways)
