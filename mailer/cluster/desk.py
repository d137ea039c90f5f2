"""What a worker asks the ledger beside sending: by one thread over one connection, so that the event loop waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from mailer.campaign.diary import note_end
from mailer.cluster.engine import Jobs
from mailer.errors import MailerError
from mailer.ledger import Ledger
from mailer.ledger.postgres.shared import Shared

Answer = TypeVar("Answer")


class Desk:
    """A ledger of its own, asked by one thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._shared = ledger.shared
        self.jobs = Jobs(self._shared)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="desk")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._ledger.close()

    async def note_end(self, campaign: str, reason: MailerError | None = None) -> None:
        """Have the campaign's diary say that work on it has ended, and why, if anything is left of it."""

        def note() -> None:
            note_end(self._ledger, self._ledger.find(campaign), reason, work_left=reason is not None)

        await asyncio.get_running_loop().run_in_executor(self._thread, note)

    async def ask(self, question: Callable[[Shared], Answer]) -> Answer:
        """What the ledger answers. Raises LedgerError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._shared)
