"""The built-in capture mailbox: an SMTP server that keeps every message in a folder and delivers none.

For the demo, the tests and `mailer mailbox`. The only place that imports aiosmtpd.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry
from email.parser import HeaderParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult

from mailer.errors import Refused
from mailer.loopback import is_loopback, why_not_listening
from mailer.model import Envelope, said

MAX_SIZE = 50 * 1024 * 1024
HOSTNAME = "mailbox.test"  # reserved by RFC 6761: says nothing about this machine
UNFINISHED = "new"


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """One message as it arrived. `recipients` are all RCPT TO of the transaction; `envelope` names the first."""

    path: Path
    envelope: Envelope
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    received_at: datetime
    size: int

    def content(self) -> bytes:
        """The bytes between DATA and the final dot, without dot-stuffing. Raises FileNotFoundError once deleted."""
        return self.path.read_bytes()


class Store:
    """A folder of captured messages. Several processes may write into it at once.

    Without `durable` a power cut may lose the latest messages, but keeping one takes a fifth of the time.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self._durable = durable
        self._latest = 0
        self._naming = threading.Lock()

    def prepare(self) -> None:
        try:
            (self.folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(
                said(
                    "The mailbox folder {folder} cannot be created: {strerror}.",
                    folder=self.folder,
                    strerror=error.strerror,
                ),
                hint="Choose a folder you may write to.",
            ) from error

    def keep(self, content: bytes, mail_from: str, recipients: Sequence[str]) -> Path:
        """Write one message; when this returns, it is in the folder, and if durable it survives a power cut."""
        name = self._name()
        received = datetime.fromtimestamp(int(name.partition("-")[0]) / 1e9, tz=UTC)
        message_id, subject = describe(content)
        sidecar = {
            "received_at": received.isoformat(),
            "mail_from": mail_from,
            "recipients": list(recipients),
            "message_id": message_id,
            "subject": subject,
            "size": len(content),
        }
        # The sidecar goes first: whoever sees the .eml also finds its envelope.
        self._place(f"{name}.json", json.dumps(sidecar, ensure_ascii=True, indent=1).encode())
        path = self._place(f"{name}.eml", content)
        if self._durable:
            sync_folder(self.folder)
        return path

    def _name(self) -> str:
        """Nanoseconds since 1970, never twice in a process; then the process, for two in the same nanosecond."""
        with self._naming:
            self._latest = max(time.time_ns(), self._latest + 1)
            return f"{self._latest:020d}-{os.getpid():07d}"

    def _place(self, name: str, content: bytes) -> Path:
        unfinished = self.folder / UNFINISHED / name
        with unfinished.open("wb") as file:
            file.write(content)
            if self._durable:
                file.flush()
                os.fsync(file.fileno())
        return unfinished.replace(self.folder / name)


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder durable. Windows has no such call and needs none (NTFS journals them)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def describe(content: bytes) -> tuple[str, str]:
    """Message-ID and decoded subject; empty where the message has none. Accepts any bytes."""
    # Headers may be UTF-8 without encoding (RFC 6532).
    headers = HeaderParser().parsestr(content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace"))
    return unfolded(headers["Message-ID"]), decoded(unfolded(headers["Subject"]))


def unfolded(value: str | None) -> str:
    """A header value on one line, empty if the header is missing."""
    return " ".join((value or "").split())


def decoded(value: str) -> str:
    """The text behind encoded-words (RFC 2047)."""
    return str(HeaderRegistry()("Subject", value))


def read_captured(folder: Path) -> Iterator[Captured]:
    """The captured messages in the order they arrived, read one at a time; what is deleted meanwhile is left out."""
    for path in sorted(folder.glob("*.eml")):
        with contextlib.suppress(FileNotFoundError):
            yield read_one(path)


def read_one(path: Path) -> Captured:
    """One captured message from its sidecar, or from the message itself where somebody copied an .eml in."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        recipients = tuple(str(address) for address in facts["recipients"])
        return Captured(
            path=path,
            envelope=Envelope(mail_from=str(facts["mail_from"]), rcpt_to=recipients[0] if recipients else ""),
            recipients=recipients,
            message_id=str(facts["message_id"]),
            subject=str(facts["subject"]),
            received_at=datetime.fromisoformat(facts["received_at"]),
            size=int(facts["size"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return _without_sidecar(path)


def _without_sidecar(path: Path) -> Captured:
    content = path.read_bytes()
    message_id, subject = describe(content)
    return Captured(
        path=path,
        envelope=Envelope(mail_from="", rcpt_to=""),
        recipients=(),
        message_id=message_id,
        subject=subject,
        received_at=datetime.fromtimestamp(path.stat().st_mtime, tz=UTC),
        size=len(content),
    )


def delete_captured(folder: Path) -> int:
    """Delete every captured message; how many there were. Other files in the folder stay."""
    deleted = 0
    for path in sorted(folder.glob("*.eml")):
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
        deleted += 1
    return deleted


def welcome(*_login: object) -> AuthResult:
    """Any user name and password will do, and neither is kept: settings can be tried out as they are."""
    return AuthResult(success=True)


class _Receiver:
    """aiosmtpd's hooks: what to offer, and what to do with a message."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # Commands are read one by one from a buffer, so a client may send several at once (RFC 2920).
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail_from = "" if envelope.mail_from == "<>" else envelope.mail_from
        try:
            await asyncio.to_thread(self.store.keep, envelope.content, mail_from, envelope.rcpt_tos)
        except OSError:
            return "452 4.3.1 The mailbox folder cannot be written to"
        return "250 2.0.0 Kept in the mailbox, not delivered"

    async def handle_exception(self, _error: Exception) -> str:
        return "451 4.3.0 The mailbox could not process the command"


class _Connection(SMTP):
    """One client. Registers itself so that stopping the server can end it."""

    def __init__(self, handler: _Receiver, live: set[_Connection], **options: Any) -> None:
        super().__init__(handler, **options)
        self._live = live

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._live.add(self)
        super().connection_made(transport)
        if self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._live.discard(self)
        if not task.cancelled():
            task.exception()  # a client that hangs up is no error of ours

    async def end(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()
        task = self._handler_coroutine
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


class CaptureServer:
    """Accepts every message on `host`:`port` and writes it into `folder` before it answers 250.

    Use as `async with` inside a running loop, or as `with` from ordinary code (it then runs in a thread of its own).
    Port 0 takes a free one; read `port` afterwards. `max_size` is in octets and advertised as SIZE (RFC 1870).
    Raises Refused where the folder or the port cannot be had.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        max_size: int = MAX_SIZE,
        hostname: str = HOSTNAME,
        durable: bool = True,
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port
        self._max_size = max_size
        self._hostname = hostname
        self._durable = durable
        self._live: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._thread: _LoopThread | None = None

    async def start(self) -> None:
        # aiosmtpd logs every address and command; an address has no place in a log.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
        store = Store(self.folder, durable=self._durable)
        store.prepare()
        loop = asyncio.get_running_loop()
        receiver = _Receiver(store)

        def connect() -> _Connection:
            return _Connection(
                receiver, self._live, data_size_limit=self._max_size, enable_SMTPUTF8=True,
                hostname=self._hostname, ident="ESMTP keeps, never delivers", loop=loop,
                authenticator=welcome, auth_require_tls=not is_loopback(self.host),
            )  # fmt: skip

        try:
            self._server = await loop.create_server(connect, self.host, self.port)
        except (OSError, OverflowError) as error:
            reason = why_not_listening(error) if isinstance(error, OSError) else "there is no such port"
            raise Refused(
                said("The mailbox cannot listen on port {port}: {reason}.", port=self.port, reason=reason),
                hint="Another program may be using it; choose another port with --port, or --port 0 for any free one.",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection. What was answered 250 is kept."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._live):
            await connection.end()
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self._thread = _LoopThread()
        try:
            self._thread.run(self.start())
        except BaseException:
            self._thread.close()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.run(self.stop())
            thread.close()


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="mailbox", daemon=True)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _live(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
