"""Practice: the same page once more, beside the real one, whose mail goes to the built-in mailbox and whose ledger is thrown away.

It has a port, a ledger and a mailbox of its own, so that nothing that happens there can count for a real campaign. Letters and lists are
those of the folder. All of it is on this computer, in a folder that only its owner can read, and is gone when practice ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from mailer.errors import LockedError
from mailer.mailbox import CaptureServer
from mailer.settings import Settings, load
from mailer.web.journey.draft import Draft
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.words import gettext as _
from mailer.web.serving import serve

NOBODY = "Practice <practice@example.org>"
"""Whom letters are from where no sender is set yet."""

WORD = "practice"
"""User name and password at the built-in mailbox, which takes any: those of the account stay where they are."""

REAL_ONLY = ("/account", "/errand", "/inbox", "/practice", "/suppressed")
"""Pages that practice does not have: what is changed there is to hold for real campaigns."""


class Served(Protocol):
    """A page that can be served: `mailer.web.journey.app.Journey`."""

    app: ASGIApp

    def ticket(self, to: str = "/") -> str: ...
    def begin(self) -> None: ...
    def end(self) -> None: ...
    async def shut(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Everything that practice consists of, while it lasts."""

    folder: TemporaryDirectory[str]
    mailbox: CaptureServer
    journey: Served
    serving: asyncio.Task[None]
    port: int

    @property
    def arrived(self) -> int:
        return sum(1 for _path in self.mailbox.folder.glob("*.eml"))


class Practice:
    """Opens the room, leads there, and clears it away."""

    def __init__(self, means: Means, pages: Pages, make: Callable[[Means], Served]) -> None:
        self._means, self._pages, self._make = means, pages, make
        self._room: Room | None = None
        self._changing = asyncio.Lock()

    def page(self, request: Request) -> Response:
        room = self._room
        return self._pages.show(
            request, "practice", room=room, arrived=room.arrived if room else 0, locked=self._is_locked()
        )

    def _is_locked(self) -> bool:
        return self._means.encrypted(self._means.settings())

    async def begin(self, request: Request) -> Response:
        """Open the room, unless it is open. Raises LockedError beside an encrypted ledger: letters would lie there readable."""
        if await run_in_threadpool(self._is_locked):
            raise LockedError(
                _("The ledger of this folder is encrypted, so nothing readable is made of it, and no practice.")
            )
        async with self._changing:
            if self._room is None:
                self._room = await self._opened(str(request.base_url).rstrip("/"))
        return RedirectResponse(self._pages.draft(request).url("practice"), 303)

    async def _opened(self, home: str) -> Room:
        folder = TemporaryDirectory(prefix="mailer-practice-", ignore_cleanup_errors=True)
        mailbox = CaptureServer(Path(folder.name) / "mailbox", durable=False)
        try:
            await mailbox.start()
            means = await run_in_threadpool(self._means_of, Path(folder.name), mailbox.port, home)
            journey = await run_in_threadpool(self._make, means)
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            serving = asyncio.create_task(serve(journey.app, ready=ready.set_result, ending=journey.end))
            either: list[asyncio.Future[Any]] = [ready, serving]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            journey.begin()
            port = int(ready.result().rstrip("/").rpartition(":")[2])
        except BaseException:
            await mailbox.stop()
            folder.cleanup()
            raise
        return Room(folder=folder, mailbox=mailbox, journey=journey, serving=serving, port=port)

    def _means_of(self, folder: Path, port: int, home: str) -> Means:
        """The page's means, with the account and the ledger of practice; whoever is never mailed is not in practice, either."""
        settings = self._means.settings()
        changed = {
            "MAILER_SMTP_HOST": "127.0.0.1",
            "MAILER_SMTP_PORT": str(port),
            "MAILER_SMTP_SECURITY": "none",
            "MAILER_SMTP_AUTH": "password",
            "MAILER_SMTP_USERNAME": WORD,
            "MAILER_SMTP_PASSWORD": WORD,
            "MAILER_SMTP_PASSWORD_FILE": "",
            "MAILER_LEDGER": f"sqlite:///{(folder / 'practice.db').as_posix()}",
            "MAILER_PROXY": "none",
            "MAILER_RATE": "unlimited",
            "MAILER_DOMAIN_RATE": "unlimited",
            "MAILER_BATCH_PAUSE": "0s",
            "MAILER_HOURS": "off",
            **({} if settings.sender else {"MAILER_SENDER": NOBODY}),
        }

        def practised() -> Settings:
            return load(self._means.folder, {**os.environ, **changed})

        with self._means.ledger(settings) as real, self._means.ledger(practised()) as ledger:
            ledger.take_over(real.suppression_rows())
        return replace(
            self._means, settings=practised, environment={**self._means.environment, **changed},
            practice_of=f"{home}/practice", practice_mailbox=folder / "mailbox",
        )  # fmt: skip

    async def enter(self, request: Request) -> Response:
        """Lead into the room, to the step at which somebody is; its address opens once."""
        room, draft = self._room, self._pages.draft(request)
        if room is None:
            return RedirectResponse(draft.url("practice"), 303)
        return RedirectResponse(f"http://{request.url.hostname}:{room.port}{room.journey.ticket(_step(draft))}", 303)

    async def leave(self, _request: Request) -> Response:
        """Clear everything away."""
        await self.shut()
        return RedirectResponse("/", 303)

    def end(self) -> None:
        if self._room:
            self._room.journey.end()

    async def shut(self) -> None:
        """Pause what is being sent there, and take the room away."""
        async with self._changing:
            room, self._room = self._room, None
            if room is None:
                return
            await room.journey.shut()
            room.serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await room.serving
            await room.mailbox.stop()
            await run_in_threadpool(room.folder.cleanup)


def _step(draft: Draft) -> str:
    if draft.list and draft.letter:
        return draft.url("preview")
    return draft.url("letter" if draft.list else "list") if draft.list or draft.letter else "/"
