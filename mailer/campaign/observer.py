"""Who watches a run."""

from __future__ import annotations

from typing import Protocol

from mailer.hours import Hours
from mailer.model import Delivery, Outcome, Quota, Status


class Observer(Protocol):
    """Who watches a run, e.g. a progress line. Calls must return at once."""

    def recorded(self, delivery: Delivery, status: Status, outcome: Outcome) -> None: ...

    def waiting(self, what: Quota | Hours | None, until: float) -> None:
        """Nothing is sent before `until` (Unix time): a quota, office hours, or a deferred delivery that is not due yet."""
        ...

    def reconnecting(self, why: str, delay: float) -> None: ...

    def silent(self, seconds: float, patience: float) -> None:
        """The server has not answered for so long, and is given so much time in all."""
        ...
