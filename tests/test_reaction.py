"""Who is suppressed for what came back, and when complaints end a campaign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.model import BounceClass, EventKind, Held, Reason
from mailer.reaction import SOFT_MEMORY, Complaints, judge_complaints, reason_to_suppress

DAY = 86_400.0


def soft(*earlier: tuple[int, float], campaign: int = 3, at: float = 10 * DAY) -> Held | None:
    return reason_to_suppress(EventKind.BOUNCE, bounce=BounceClass.SOFT, campaign=campaign, at=at, soft=earlier)


def test_a_dead_address_a_complaint_and_a_wish_to_leave_count_at_once() -> None:
    assert reason_to_suppress(EventKind.BOUNCE, bounce=BounceClass.HARD, status="5.1.1") == (
        Reason.BOUNCE,
        "the address does not exist (5.1.1)",
    )
    assert reason_to_suppress(EventKind.COMPLAINT) == (Reason.COMPLAINT, "")
    assert reason_to_suppress(EventKind.UNSUBSCRIBE) == (Reason.UNSUBSCRIBED, "")


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1e9))))
def test_what_is_not_the_recipients_doing_or_only_an_answer_suppresses_nobody(earlier: list[tuple[int, float]]) -> None:
    assert reason_to_suppress(EventKind.BOUNCE, bounce=BounceClass.OTHER, campaign=1, at=1e9, soft=earlier) is None
    assert reason_to_suppress(EventKind.REPLY) is None


def test_a_full_mailbox_counts_after_three_campaigns_over_seven_days() -> None:
    assert soft((1, 2 * DAY), (2, 5 * DAY)) == (Reason.BOUNCE, "could not be reached in 3 campaigns")
    assert soft((1, 4 * DAY), (2, 5 * DAY)) is None  # within six days
    assert soft((1, 2 * DAY), (1, 3 * DAY), (1, 5 * DAY)) is None  # of two campaigns
    assert soft((1, 1 * DAY), (2, 5 * DAY), at=2 * DAY + SOFT_MEMORY) is None  # long ago


@pytest.mark.parametrize(
    ("complained", "sent", "verdict"),
    [
        (0, 0, Complaints.FEW),
        (1, 2_000, Complaints.FEW),
        (1, 1_000, Complaints.WARN),
        (2, 10, Complaints.WARN),  # too few people to stop for
        (3, 1_000, Complaints.STOP),
        (3, 1_001, Complaints.WARN),
        (300, 100_000, Complaints.STOP),
        (299, 100_000, Complaints.WARN),
    ],
)
def test_complaints_warn_at_a_thousandth_and_stop_at_three(complained: int, sent: int, verdict: Complaints) -> None:
    assert judge_complaints(complained, sent) is verdict


def test_who_sends_can_say_how_many_are_too_many() -> None:
    assert judge_complaints(3, 1_000, least=5, percent=0.1) is Complaints.WARN
    assert judge_complaints(5, 1_000, least=5, percent=0.5) is Complaints.STOP
