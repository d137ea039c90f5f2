"""The right to start one transaction, whoever keeps the places."""

from __future__ import annotations

import math
from typing import Any, Protocol


class Keeper(Protocol):
    """Who gave a slot, and gets back what it stands for."""

    @property
    def clock(self) -> Any: ...
    def finish(self, taken: Any, answered_at: float) -> None: ...
    def take_back(self, taken: Any) -> None: ...


class Slot:
    """The right to start one transaction. End it with `done` or `cancel`; what comes second changes nothing."""

    __slots__ = ("_keeper", "_taken", "starts_at")

    def __init__(self, keeper: Keeper | None, taken: Any, starts_at: float = -math.inf) -> None:
        """`starts_at`, by the pace's clock: nothing of it may leave before."""
        self.starts_at = starts_at
        self._keeper = keeper
        self._taken = taken

    def done(self, at: float | None = None) -> None:
        """The reply was read, or will never come (`at`, by the pace's clock; default now). Refusals count too."""
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            now = keeper.clock()
            keeper.finish(self._taken, now if at is None or at > now else at)

    def cancel(self) -> None:
        """No transaction was begun, so the server has counted nothing."""
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            keeper.take_back(self._taken)


NO_LIMIT = Slot(None, ())
"""The slot of every transaction that no quota counts."""
