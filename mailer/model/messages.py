"""What is written: by whom, to whom, and the bytes that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self


class Mailbox(NamedTuple):
    """One address with its display name (RFC 5322, 3.4). Both unencoded; `name` may be empty.

    A named tuple, as all that is made anew for every message: a frozen dataclass takes twice the time.
    """

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the last `@`."""
        return self.address.rpartition("@")[2]


class Signature(NamedTuple):
    """What a DKIM signature tells about itself: the domain that answers for a message, the selector under which its public
    key stands in the DNS, and sixteen hexadecimal digits of that key's SHA-256.
    """

    domain: str
    selector: str
    key: str


MARK_PLACE = "{token}"
"""Where an identity's links and bounce address name the delivery, differently for each contact."""


class Marks(NamedTuple):
    """What stands at MARK_PLACE in the message to one contact: in its unsubscribe links, and in its MAIL FROM."""

    unsubscribe: str = ""
    bounce: str = ""


NO_MARKS = Marks()


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a campaign speaks for: the settings that shape every message and belong to the seal.

    The unsubscribe links and the bounce address may hold MARK_PLACE. `faces`: what it is instead where a message leaves over
    another account, by the name of that relay; relays that are not named speak as this one. `own_sender`: whether the account
    has a sender of its own, which a letter cannot change, since its mail server may take no other.
    """

    sender: Mailbox
    reply_to: Mailbox | None = None
    bounce_address: str | None = None
    list_id: str | None = None
    postal_address: str | None = None
    unsubscribe_url: str | None = None
    unsubscribe_mailto: str | None = None
    signatures: tuple[Signature, ...] = ()
    own_sender: bool = False
    faces: tuple[tuple[str, Identity], ...] = ()

    def over(self, relay: str) -> Identity:
        """Who speaks in what leaves over this relay."""
        return dict(self.faces).get(relay, self)

    @property
    def mail_from(self) -> str:
        """The envelope sender: where bounces go."""
        return self.bounce_address or self.sender.address

    @property
    def has_marked_links(self) -> bool:
        """Whether each contact has unsubscribe links of its own."""
        return MARK_PLACE in f"{self.unsubscribe_url}{self.unsubscribe_mailto}"

    @property
    def is_marked(self) -> bool:
        """Whether its messages hold tokens."""
        return self.has_marked_links or MARK_PLACE in self.mail_from


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that travels with a message. With a `content_id` it is an image shown inside the HTML (RFC 2392)."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


class Mould:
    """What a text has of its own, whoever it is for: one object for all the texts that were made with it.

    `constants` are the pieces that come again; they say what is worth remembering, nothing more. `order` is given where
    every text is made up in the same way: the number of a value, or `~n` for the n-th constant.
    """

    __slots__ = ("constants", "order")

    def __init__(self, constants: Iterable[str] = (), order: Sequence[int] | None = None) -> None:
        self.constants = tuple(constants)
        self.order = order


class Merged(str):
    """A text that remembers what it was made of, so that what comes again in every letter is encoded once.

    `values` are those of a mould with an order. Whatever is made of this text by `+`, `strip` and the like is an
    ordinary string.
    """

    __slots__ = ("mould", "pieces", "values")
    pieces: Sequence[str]
    mould: Mould
    values: Sequence[str]

    @classmethod
    def of(cls, pieces: Sequence[str], mould: Mould, values: Sequence[str] = ()) -> Self:
        """The text that these pieces make."""
        text = cls("".join(pieces))
        text.pieces = pieces
        text.mould = mould
        text.values = values
        return text


class Letter(NamedTuple):
    """A template merged with one contact: everything a reader will see, not yet encoded.

    `identity` is the campaign's, with what the letter's front matter overrides.
    """

    subject: str
    text: str
    html: str
    language: str
    identity: Identity
    to: Mailbox
    attachments: tuple[Attachment, ...] = ()
    marks: Marks = Marks()


class Envelope(NamedTuple):
    """MAIL FROM and RCPT TO (RFC 5321, 2.3.1), distinct from the From and To headers."""

    mail_from: str
    rcpt_to: str


class Message(NamedTuple):
    """The RFC 5322 bytes for one contact: CRLF line ends, 7-bit, not dot-stuffed."""

    envelope: Envelope
    message_id: str
    content: bytes
    needs_smtputf8: bool = False


class Files(Protocol):
    """Where a letter's files come from: the campaign folder, or what the ledger froze of it.

    A path is relative to the campaign folder with forward slashes, or absolute if it lies outside.
    """

    def read(self, path: str) -> bytes:
        """The file's content. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool: ...

    def names(self, folder: str) -> list[str]:
        """Names (not paths) of the files directly in a folder, sorted; empty if there is no such folder."""
        ...
