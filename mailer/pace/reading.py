"""How the clocks of a sender and of the lender are compared.

One look at the lender's clock says only that it was then at some moment of the look, which may take long: a busy machine, a database far
away. Two looks say more: both must hold, so what is known is what they have in common, less what the clocks may drift apart in
between. So the quickest look of the last seconds counts, and a slow one costs nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from mailer.model import Look
from mailer.pace.places import DRIFT


class Reading(NamedTuple):
    """At one of our times, `at`, the lender's clock showed between `least` and `most`."""

    at: float
    least: float
    most: float

    @classmethod
    def of(cls, look: Look) -> Self:
        return cls(look.after, look.now, look.now + (look.after - look.before) * (1 + DRIFT))

    def narrowed(self, earlier: Reading) -> Reading:
        """What this reading and an earlier one say together; where they contradict each other a clock was set, and this one counts."""
        passed = self.at - earlier.at
        least = max(self.least, earlier.least + passed * (1 - DRIFT))
        most = min(self.most, earlier.most + passed * (1 + DRIFT))
        return Reading(self.at, least, most) if least <= most else self

    def latest(self, at: float) -> float:
        """The latest that the lender's clock may show at one of our times."""
        passed = at - self.at
        return self.most + passed * (1 + DRIFT if passed > 0 else 1 - DRIFT)

    def surely(self, then: float) -> float:
        """When, by ours, the lender's clock has surely reached a time; not before this reading."""
        return self.at + max(0.0, then - self.least) * (1 + DRIFT)


UNREAD = Reading(0.0, -math.inf, math.inf)
"""Before the first look: it says nothing."""
