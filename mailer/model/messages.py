"""What is written: by whom, to whom, and the bytes that come of it."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a campaign speaks for: the settings that shape every message and belong to the seal."""

    sender: Mailbox
    reply_to: Mailbox | None = None
    bounce_address: str | None = None
    list_id: str | None = None
    postal_address: str | None = None
    unsubscribe_url: str | None = None
    unsubscribe_mailto: str | None = None

    @property
    def mail_from(self) -> str:
        """The envelope sender: where bounces go."""
        return self.bounce_address or self.sender.address


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that travels with a message. With a `content_id` it is an image shown inside the HTML (RFC 2392)."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


class Merged(str):
    """A text that remembers the pieces it was made of, so that what comes again in every letter is encoded once.

    `constants` holds those pieces that a letter has for everybody, the same object each time; it says what is worth
    remembering, nothing more. Whatever is made of this text by `+`, `strip` and the like is an ordinary string.
    """

    __slots__ = ("constants", "pieces")
    pieces: Sequence[str]
    constants: frozenset[str]

    def __new__(cls, pieces: Sequence[str], constants: frozenset[str] = frozenset()) -> Self:
        text = str.__new__(cls, "".join(pieces))
        text.pieces = pieces
        text.constants = constants
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
