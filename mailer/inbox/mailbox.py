"""A mailbox on an IMAP server: the only place that imports imap_tools."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self, cast

from imap_tools import BaseMailBox
from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError
from imap_tools.utils import encode_folder

from mailer.authorities import doubt
from mailer.errors import Paused, RelayStopped, SettingsError
from mailer.loopback import is_loopback
from mailer.model import Security, Tokens, said, words_of
from mailer.privacy import without_addresses
from mailer.proxy import Proxy, ProxyError

TIMEOUT = 60.0
"""Seconds for each answer of the server."""

MOST_OCTETS = 262_144
"""Of a mail that are fetched. What a report says stands before the message that it gives back."""

TLS_PORT = 993
"""Where a server waits for us to begin TLS, and never greets (RFC 8314, 3.2)."""

IDLE_SECONDS = 120.0
"""A NAT on the way forgets a silent connection after some minutes; RFC 2177 allows 29. And a server may have told of a mail
between two looks, and not tell again."""

UID = re.compile(rb"\bUID (\d+)")
ARRIVED = re.compile(rb'INTERNALDATE "[^"]+"')
MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
"""By their names in RFC 3501, whatever the locale."""

SEEN = r"\Seen"

BROKEN = (OSError, imaplib.IMAP4.error, ImapToolsError, EOFError)
"""What a connection that ends, or a server that makes no sense, comes to in this library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Where a mailbox is, and how to get in. `done` is the folder for what has been counted.

    With `tokens` (XOAUTH2) the login takes an access token from there, in place of the password.
    """

    host: str
    port: int
    security: Security
    username: str
    password: str = field(repr=False)
    folder: str = "INBOX"
    done: str = "mailer-done"
    timeout: float = TIMEOUT
    tokens: Tokens | None = field(default=None, repr=False, compare=False)
    proxy: Proxy | None = None

    @property
    def name(self) -> str:
        """Tells mailboxes apart in the ledger."""
        return f"{self.username}@{self.host}/{self.folder}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """A mail as it lies there. `at` is when it arrived (Unix time)."""

    uid: int
    at: float
    content: bytes


class OpenMailbox:
    """A folder that is open for reading. Mails are named by their UID; nothing is marked as read by looking at it.

    Raises Paused where the server is away or breaks off, RelayStopped where it refuses the login, SettingsError where there
    is no such folder.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._box = _connected(access)
        self._done: str | None = None
        try:
            self._log_in()
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with suppress(*BROKEN):
                self._box.logout()
        else:
            # whoever pressed Ctrl-C does not wait for a server's good-bye
            self.abandon()

    def abandon(self) -> None:
        """Close the connection without a word."""
        with suppress(*BROKEN):
            self._box.client.shutdown()

    def _log_in(self) -> None:
        access = self._access
        try:
            if access.tokens:
                self._sign_in(access.tokens)
            elif (access.username + access.password).isascii():
                self._box.login(access.username, access.password, initial_folder=None)
            else:
                self._box.login_utf8(access.username, access.password, initial_folder=None)
            # only now: many servers say what they can when they know who asks
            self._box.client.capabilities = _capabilities(self._box)
            self._box.folder.set(access.folder)
        except MailboxLoginError as error:
            raise _refused(error.command_result[1]) from error
        except MailboxFolderSelectError as error:
            names = ", ".join(sorted(self._folders())[:10])
            raise SettingsError(
                said("The mailbox has no folder {folder!r} (MAILER_IMAP_FOLDER).", folder=access.folder),
                hint=said("write one that it has: {names}", names=names) if names else None,
            ) from error
        except imaplib.IMAP4.abort as error:
            raise away(error) from error
        except imaplib.IMAP4.error as error:
            # authenticate() of the standard library says a refusal so
            raise _refused(str(error).encode()) from error
        except BROKEN as error:
            raise away(error) from error

    def _sign_in(self, tokens: Tokens) -> None:
        """XOAUTH2, with another token if the first is refused: a server may take one for expired before its time."""
        token = tokens(None)
        try:
            self._box.xoauth2(self._access.username, token, initial_folder=None)
        except (MailboxLoginError, imaplib.IMAP4.error) as error:
            if isinstance(error, imaplib.IMAP4.abort):
                raise
            self._box.xoauth2(self._access.username, tokens(token), initial_folder=None)

    def _folders(self) -> list[str]:
        with suppress(*BROKEN):
            return [one.name for one in self._box.folder.list() if "\\Noselect" not in one.flags]
        return []

    @property
    def validity(self) -> int:
        """The server's word for its numbering (RFC 3501, 2.3.1.1): with another, every mail has another number."""
        _, found = self._box.client.response("UIDVALIDITY")
        value = found[-1] if found else None
        return int(value) if isinstance(value, bytes) and value.isdigit() else 0

    def newer_than(self, uid: int, since: float) -> list[int]:
        """The numbers of the mails beyond this one that arrived since a day (Unix time), the oldest first."""
        # a day earlier: the server counts days by its own clock and time zone
        day = datetime.fromtimestamp(max(since - 86_400, 0), UTC)
        criteria = f"UID {uid + 1}:* SINCE {day.day}-{MONTHS[3 * day.month - 3 : 3 * day.month]}-{day.year}"
        try:
            found = self._box.uids(criteria, charset=None)
        except BROKEN as error:
            raise away(error) from error
        # n:* always has the last mail in it, even if its number is lower (RFC 3501, 6.4.8)
        return sorted(int(one) for one in found if int(one) > uid)

    def junk(self) -> str | None:
        r"""The folder for spam, by its mark \Junk (RFC 6154); None where no folder bears one."""
        try:
            return next((one.name for one in self._box.folder.list() if "\\junk" in map(str.lower, one.flags)), None)
        except BROKEN as error:
            raise away(error) from error

    def find(self, message_id: str, folder: str | None = None) -> int | None:
        """The number of the mail with this Message-ID, in this folder or the one that is set, as it is now."""
        try:
            # selected again each time: some servers show what has arrived only then
            self._box.folder.set(folder or self._access.folder)
            found = self._box.uids(f'HEADER Message-ID "{message_id}"', charset=None)
        except BROKEN as error:
            raise away(error) from error
        return int(found[-1]) if found else None

    def fetch(self, uids: Sequence[int]) -> Iterator[Arrived]:
        """The first octets of these mails; those that are gone meanwhile are left out."""
        if not uids:
            return
        try:
            what = f"(UID INTERNALDATE BODY.PEEK[]<0.{MOST_OCTETS}>)"
            status, answer = self._box.client.uid("FETCH", ",".join(map(str, uids)), what)
        except BROKEN as error:
            raise away(error) from error
        if status != "OK":
            raise away(None)
        items = cast("list[bytes | tuple[bytes, bytes] | None]", answer)
        for number, item in enumerate(items):
            if not isinstance(item, tuple):
                continue
            # some servers give the number before the content, others after it
            after = items[number + 1] if number + 1 < len(items) else None
            about = item[0] + b" " + (after if isinstance(after, bytes) else b"")
            uid, at = UID.search(about), ARRIVED.search(about)
            if uid:
                yield Arrived(uid=int(uid[1]), at=_time(at[0] if at else None), content=item[1])

    def put_away(self, uids: Sequence[int]) -> int:
        """Move mails into the folder of what is done, made if it is missing; returns how many were moved.

        Never takes away another mail than these: where the server can neither MOVE (RFC 6851) nor expunge single mails
        (UIDPLUS, RFC 4315), they stay and are marked as read.
        """
        if not uids:
            return 0
        joined, can = ",".join(map(str, uids)), self._box.client.capabilities
        try:
            if "MOVE" in can:
                self._done = self._done or self._make_done()
                self._order("MOVE", joined, encode_folder(self._done))
            elif "UIDPLUS" in can:
                self._done = self._done or self._make_done()
                self._order("COPY", joined, encode_folder(self._done))
                self._order("STORE", joined, "+FLAGS.SILENT", r"(\Deleted)")
                self._order("EXPUNGE", joined)
            else:
                self._order("STORE", joined, "+FLAGS.SILENT", f"({SEEN})")
                return 0
        except BROKEN as error:
            raise away(error) from error
        return len(uids)

    def _order(self, *words: str | bytes) -> None:
        status, answer = self._box.client.uid(*words)  # type: ignore[arg-type]  # typeshed: bytes are sent as they are
        if status != "OK":
            raise imaplib.IMAP4.error(_words(answer))

    def _make_done(self) -> str:
        """Its name on this server: some allow folders only below the inbox (a personal namespace, RFC 2342)."""
        folders = self._box.folder.list()
        mark = next((one.delim for one in folders if one.delim), "/")
        names = (self._access.done, f"INBOX{mark}{self._access.done}")
        for name in names:
            if any(one.name == name for one in folders):
                return name
        with suppress(ImapToolsError):
            self._box.folder.create(names[0])
            return names[0]
        self._box.folder.create(names[1])
        return names[1]

    def wait(self, polling: float) -> None:
        """Until something arrives, or some minutes have passed. Servers without IDLE (RFC 2177) are asked again later."""
        try:
            if "IDLE" in self._box.client.capabilities:
                self._box.idle.wait(timeout=IDLE_SECONDS)
            else:
                time.sleep(polling)
                self._box.client.noop()
        except BROKEN as error:
            raise away(error) from error


def away(error: BaseException | None) -> Paused:
    """The server cannot be reached, or broke off."""
    why = (isinstance(error, OSError) and error.strerror) or (words_of(error) if error else "")
    if isinstance(error, ssl.SSLCertVerificationError):
        why = said("its certificate is not valid ({why})", why=doubt(error))
    elif isinstance(error, ssl.SSLError) and "WRONG_VERSION" in str(error):
        why = said("this port does not begin with TLS; usual are 993 with tls, 143 with starttls")
    else:
        why = without_addresses(why).strip().rstrip(".")
    hint = "check the network, and host, port and security of the imap_ settings; then run the same command again"
    if isinstance(error, ProxyError):
        hint = "check that the proxy runs, and proxy, imap_host and imap_port in the settings; then run the same command again"
    sentence = said("The mailbox's server cannot be reached, or broke off. Nothing was lost.")
    if why:
        sentence = said("The mailbox's server cannot be reached, or broke off: {why}. Nothing was lost.", why=why)
    return Paused(sentence, hint=hint)


def _refused(answer: object) -> RelayStopped:
    return RelayStopped(
        "The mailbox's server refused the user name or password. Check both; many providers want an app password, or have"
        " IMAP switched off until you allow it in the account's settings.",
        hint=said("the server's own words: {words}", words=_words(answer)),
    )


class _Plain(imaplib.IMAP4):
    """A connection by the way that is set."""

    def __init__(self, access: Access) -> None:
        self._access = access
        super().__init__(access.host, access.port, access.timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        # typeshed does not know this method of IMAP4
        return _way(self._access) or cast("socket.socket", super()._create_socket(timeout))  # type: ignore[misc]


class _Tls(imaplib.IMAP4_SSL):
    """The same, TLS from the first octet on."""

    def __init__(self, access: Access) -> None:
        self._access = access
        super().__init__(access.host, access.port, ssl_context=ssl.create_default_context(), timeout=access.timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        way = _way(self._access)
        if way is None:
            return cast("socket.socket", super()._create_socket(timeout))  # type: ignore[misc]  # as above
        return cast("socket.socket", self.ssl_context.wrap_socket(way, server_hostname=self._access.host))


def _way(access: Access) -> socket.socket | None:
    """The way through the proxy; None where there is none to go through. Raises ProxyError."""
    if access.proxy is None or is_loopback(access.host):
        return None
    return access.proxy.open_and_wait(access.host, access.port, access.timeout)


class _Box(BaseMailBox):
    def __init__(self, access: Access) -> None:
        self._access = access
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        if self._access.security is Security.TLS:
            return _Tls(self._access)
        if self._access.security is Security.STARTTLS and self._access.port == TLS_PORT:
            raise ValueError("this port begins with TLS; write tls as imap_security")
        client = _Plain(self._access)
        if self._access.security is Security.STARTTLS:
            client.starttls(ssl.create_default_context())
        return client


def _connected(access: Access) -> BaseMailBox:
    try:
        return _Box(access)
    except (*BROKEN, ValueError) as error:
        raise away(error) from error


def _capabilities(box: BaseMailBox) -> tuple[str, ...]:
    _, answer = box.client.capability()
    return tuple(b" ".join(one for one in answer if isinstance(one, bytes)).decode("ascii", "replace").upper().split())


def _time(text: bytes | None) -> float:
    found = imaplib.Internaldate2tuple(text) if text else None
    if found is None:
        return datetime.now(UTC).timestamp()
    return time.mktime(found)


def _words(answer: object) -> str:
    parts = answer if isinstance(answer, list) else [answer]
    text = b" ".join(one for one in parts if isinstance(one, bytes)).decode("utf-8", "replace")
    return without_addresses(" ".join("".join(char if char.isprintable() else " " for char in text).split()))[:300]
