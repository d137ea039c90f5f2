"""Commands that somebody waits for: the page shows how far one is, and then what it found."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mailer.web.journey import command
from mailer.web.journey.command import Command
from mailer.web.journey.means import Means

MOST = 20
"""Commands whose results are remembered."""


@dataclass(eq=False, kw_only=True)
class Errand:
    """One command and what it is for."""

    kind: str
    ran: Command
    watched: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def is_done(self) -> bool:
        return self.ran.code is not None


class Errands:
    """The latest errands, by a name that nobody can guess."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._known: dict[str, Errand] = {}

    async def begin(self, kind: str, arguments: Sequence[str], seconds: float) -> str:
        """Run the command, which is ended if it takes longer than so many seconds."""
        key, errand = secrets.token_urlsafe(18), Errand(kind=kind, ran=await command.run(self._means, arguments))
        errand.watched = asyncio.create_task(self._watch(errand, seconds))
        self._known[key] = errand
        for old in list(self._known)[:-MOST]:
            self._known.pop(old)
        return key

    async def _watch(self, errand: Errand, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(errand.ran.process.wait(), seconds)
        if not errand.is_done:
            errand.ran.process.kill()
            await errand.ran.process.wait()

    def find(self, key: str, kind: str) -> Errand | None:
        errand = self._known.get(key)
        return errand if errand and errand.kind == kind else None

    def state(self, request: Request) -> Response:
        errand = self._known.get(request.path_params["key"])
        if errand is None:
            raise HTTPException(404)
        return JSONResponse({"state": "done" if errand.is_done else "running"})
