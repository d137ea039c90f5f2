"""What came back: the mailbox is looked into by `mailer inbox`, once or as long as this page is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from mailer.errors import SettingsError
from mailer.ledger import Ledger
from mailer.web.journey import command, log
from mailer.web.journey.command import Command
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages, said
from mailer.web.journey.words import gettext as _
from mailer.web.journey.words import later

EVERY = 1.0
"""Seconds between two looks at what the ledger and the commands have."""

STOP_SECONDS = 5.0
"""How long a command that watches is given to end. Whatever it has read is recorded, however it ends."""


class Returning:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages
        self._look: Command | None = None
        self._watch: Command | None = None
        self._ending = asyncio.Event()
        self._beginning = asyncio.Lock()

    def _ledger(self) -> Ledger:
        return self._means.ledger(self._means.settings())

    def page(self, request: Request) -> Response:
        missing: SettingsError | None = None
        address = ""
        try:
            settings = self._means.settings()
            settings.require_reading()
            address = settings.imap_username or ""
        except SettingsError as error:
            missing = error
        problems = said(missing.problems) if missing else []
        return self._pages.show(
            request, "inbox", missing=missing, problems=problems, mailbox=address, state=self._state(), words=COUNTED
        )

    async def look(self, _request: Request) -> Response:
        async with self._beginning:
            if not _runs(self._look):
                self._look = await command.run(self._means, ["inbox"])
        return RedirectResponse("/inbox", 303)

    async def watch(self, _request: Request) -> Response:
        async with self._beginning:
            if not _runs(self._watch):
                self._watch = await command.run(self._means, ["inbox", "--watch", "--beside-page"])
        return RedirectResponse("/inbox", 303)

    async def stop(self, _request: Request) -> Response:
        await self._stop()
        return RedirectResponse("/inbox", 303)

    def log(self, request: Request) -> Response:
        """A page of what came back to all campaigns; asked for by a form that is posted, as a campaign's log is."""
        form = request.state.form
        with self._ledger() as ledger:
            found = map(log.of_arrival, ledger.came_back())
            return JSONResponse(log.page(found, form.get("q", ""), log.asked_from(form)))

    async def events(self, _request: Request) -> Response:
        """What is known, again whenever it changes (server-sent events)."""
        return StreamingResponse(self._told(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _told(self) -> AsyncIterator[str]:
        last, quiet = None, 0
        while not self._ending.is_set():
            text = json.dumps(await run_in_threadpool(self._state))
            if text != last:
                yield f"data: {text}\n\n"
                last, quiet = text, 0
            elif (quiet := quiet + 1) % 15 == 0:
                yield ": still here\n\n"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), EVERY)

    def _state(self) -> dict[str, Any]:
        with self._ledger() as ledger:
            news = ledger.newest_arrival()
        ended = [one for one in (self._look, self._watch) if one and one.code is not None]
        results = [one.result() for one in ended]
        looked = self._look.result() if self._look and self._look.code is not None else {}
        return {
            "looking": _runs(self._look),
            "watching": _runs(self._watch),
            "counts": _counts(looked) if "read" in looked else None,
            "read": looked.get("read"),
            "error": [_(text) for one in results for text in (one.get("error"), one.get("hint")) if text],
            "warnings": [_(text) for text in looked.get("warnings", [])],
            "said": self._watch.words()[-1:] if self._watch and _runs(self._watch) else [],
            "news": news,
        }

    def end(self) -> None:
        """Tell nobody any more."""
        self._ending.set()

    async def shut(self) -> None:
        """Look no more."""
        await self._stop()

    async def _stop(self) -> None:
        async with self._beginning:
            watch, self._watch = self._watch, None
        if watch is None or watch.code is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            watch.process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
            try:
                await asyncio.wait_for(watch.process.wait(), STOP_SECONDS)
            except TimeoutError:
                watch.process.kill()
                await watch.process.wait()


def _runs(one: Command | None) -> bool:
    return one is not None and one.code is None


def _counts(result: dict[str, Any]) -> dict[str, int]:
    """How many of each kind, of what `mailer inbox` printed."""
    return {**result.get("bounces", {}), **{name: result[name] for name in COUNTED if name in result}}


COUNTED = {
    "hard": later("came back: the address does not exist"),
    "soft": later("came back: could not be reached this time"),
    "other": later("came back for a reason that is not the recipient's"),
    "complaints": later("reported it as spam"),
    "unsubscribes": later("unsubscribed"),
    "replies": later("replied; the replies stay in the mailbox"),
    "suppressed": later("of these people are not mailed again from now on"),
    "known": later("had been counted before"),
    "delays": later("are only delayed so far"),
    "automatic": later("automatic answers, left alone"),
    "not_ours": later("about no message from here, left alone"),
    "something_else": later("about something else, left alone"),
    "not_understood": later("from a mail server, but not understood: left alone"),
}
