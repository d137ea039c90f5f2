"""What a line needs of a connection, wherever that lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mailer.model import Outcome


class Wire(Protocol):
    """What a line needs of a connection: one of `mailer.smtp`, or one that lives in a courier.

    What it transmits is whatever the run's `render` makes, and only handed on here.
    """

    @property
    def usable(self) -> bool: ...
    @property
    def overlaps(self) -> bool: ...
    @property
    def deaf(self) -> bool: ...
    @property
    def transactions(self) -> int: ...
    @property
    def begun(self) -> Any: ...
    @property
    def ended(self) -> bool: ...
    @property
    def waiting(self) -> tuple[float, float] | None: ...
    async def transmit(
        self, message: Any, intent: Callable[[], Awaitable[bool]], following: Callable[[], Any]
    ) -> Outcome | None: ...
    def abort(self) -> None: ...
    async def quit(self) -> None: ...
