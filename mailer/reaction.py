"""What is done about what came back: who is suppressed for it, and when complaints end a campaign. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from mailer.model import BounceClass, EventKind, Held, Reason

SOFT_CAMPAIGNS = 3
SOFT_SPAN = 7 * 86_400.0
"""Seconds between the first and the last: a mailbox that is full all week long is one that nobody empties."""

SOFT_MEMORY = 180 * 86_400.0
"""Seconds after which a soft bounce no longer counts."""

WARN_PERCENT = 0.1
STOP_PERCENT = 0.3
"""Of the messages sent. Gmail and Yahoo ask all who send in bulk to stay below the first, and never to reach the second."""

STOP_LEAST = 3
"""So many people at least: in a small campaign one alone would be above any percentage."""

REASONS = {
    EventKind.COMPLAINT: Reason.COMPLAINT,
    EventKind.UNSUBSCRIBE: Reason.UNSUBSCRIBED,
}


class Complaints(Enum):
    """What the share of complaints asks for."""

    FEW = "few"
    WARN = "warn"
    STOP = "stop"


def reason_to_suppress(
    kind: EventKind,
    *,
    bounce: BounceClass | None = None,
    status: str = "",
    campaign: int | None = None,
    at: float = 0.0,
    soft: Iterable[tuple[int, float]] = (),
) -> Held | None:
    """Why the address is not to be mailed again, or None.

    `soft` are its earlier soft bounces: campaign and time (Unix time), as `campaign` and `at` of this one. Not the
    recipient's doing is never the recipient's loss.
    """
    if kind is not EventKind.BOUNCE:
        return Held(REASONS[kind]) if kind in REASONS else None
    if bounce is BounceClass.HARD:
        return Held(Reason.BOUNCE, f"the address does not exist ({status})" if status else "the address does not exist")
    if bounce is BounceClass.SOFT:
        counted = [(one, when) for one, when in soft if abs(at - when) <= SOFT_MEMORY]
        times = [at, *(when for _, when in counted)]
        campaigns = {campaign, *(one for one, _ in counted)}
        if len(campaigns) >= SOFT_CAMPAIGNS and max(times) - min(times) >= SOFT_SPAN:
            return Held(Reason.BOUNCE, f"could not be reached in {len(campaigns)} campaigns")
    return None


def judge_complaints(
    complained: int, sent: int, *, least: int = STOP_LEAST, percent: float = STOP_PERCENT
) -> Complaints:
    """By how many people, of how many who were sent the campaign. `least` people and `percent` of all stop it."""
    share = 100 * complained / max(sent, 1)
    if complained >= least and share >= percent:
        return Complaints.STOP
    return Complaints.WARN if complained and share >= WARN_PERCENT else Complaints.FEW
