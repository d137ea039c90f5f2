"""From an attempt's outcome to the delivery's next status: pure, no I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mailer.model import Delivery, Outcome, Status, Verdict, counted
from mailer.outcome import explain
from mailer.retry import LONGEST, next_attempt

_CHANCE = random.Random()  # noqa: S311 - spreads retries in time; nobody gains by guessing it


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What to record about a delivery."""

    status: Status
    reason: str = ""
    next_attempt_at: float | None = None
    suppress: bool = False


SENT = Decision(status=Status.SENT)


def decide(
    delivery: Delivery, outcome: Outcome, now: float, *, give_way: bool = False, longest: float = LONGEST
) -> Decision:
    """Apply an outcome. `give_way`: the connection broke too often on this one, so others go first."""
    match outcome.verdict:
        case Verdict.SENT:
            return SENT
        case Verdict.FAILED:
            return Decision(status=Status.FAILED, reason=explain(outcome), suppress=outcome.suppress)
        case Verdict.UNCERTAIN:
            return Decision(status=Status.UNCERTAIN, reason=outcome.text)
        case Verdict.REQUEUED if not give_way:
            return Decision(status=Status.QUEUED, reason=explain(outcome))
    return _later(delivery, outcome, now, longest)


def _later(delivery: Delivery, outcome: Outcome, now: float, longest: float) -> Decision:
    first = delivery.first_attempt_at if delivery.first_attempt_at is not None else now
    again = next_attempt(delivery.attempts + 1, now, first, jitter=_CHANCE, longest=longest)
    if again is None:
        sentence = counted(
            "Given up after one try, since the time for it is used up.",
            "Given up after {number} tries, since the time for it is used up.",
            delivery.attempts + 1,
        )
        return Decision(status=Status.FAILED, reason=str(sentence))
    return Decision(status=Status.DEFERRED, reason=explain(outcome), next_attempt_at=again)
