"""What a worker asks the ledger beside sending: by one thread over one connection, so that the event loop waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from mailer.cluster.engine import Jobs
from mailer.ledger import Ledger
from mailer.ledger.postgres.shared import Shared

Answer = TypeVar("Answer")


class Desk:
    """A ledger of its own, asked by one thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._shared = ledger.shared
        self._shared.hold_up_nobody()
        self.jobs = Jobs(self._shared)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="desk")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._ledger.close()

    async def ask(self, question: Callable[[Shared], Answer]) -> Answer:
        """What the ledger answers. Raises LedgerError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._shared)
