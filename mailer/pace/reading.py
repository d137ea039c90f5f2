"""How the clocks of a sender and of the lender are compared."""

from __future__ import annotations

from typing import NamedTuple

from mailer.pace.places import DRIFT


class Reading(NamedTuple):
    """The lender's clock showed `now` at some moment between two of ours."""

    now: float
    after: float
    before: float

    def latest(self, at: float) -> float:
        """The latest that the lender's clock may show at one of our times, not much older than the reading."""
        return self.now + (at - self.after) * (1 + DRIFT if at > self.after else 1)

    def surely(self, then: float) -> float:
        """When, by ours, the lender's clock has surely reached a time."""
        return self.before + (then - self.now) * (1 + DRIFT if then > self.now else 0)
