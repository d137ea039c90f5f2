"""kill -9 while a quota holds the program back: whoever is killed must not forget what the server has counted."""

from __future__ import annotations

import time

from mailer.crashpoint import NAMES

from .registry import WAYS, Trial, Variant, fault
from .verdict import Quota

KILLS = 5
ACCOUNT = Quota(count=6, seconds=2)
DOMAIN = Quota(count=3, seconds=2, domain="example.net")
PEOPLE = 24
"""Half of them in the domain."""

POINTS = sorted(NAMES - {"after-start"})
SOME_MOMENT = "some moment"


def variants(quota: Quota) -> list[Variant]:
    return [Variant(setup={"people": PEOPLE, "quotas": [quota], **way}, slow=True) for way in WAYS]


def strike_under(trial: Trial, quota: Quota) -> None:
    """First as it takes up the last place, which no intent tells of yet; then there again, and anywhere."""
    # every other message is of the domain
    most = 2 * quota.count - 1 if quota.domain else quota.count
    if not killed_at(trial, "before-intent", most):
        return
    for number in range(1, KILLS):
        point = trial.chance.choice([*POINTS, SOME_MOMENT]) if number > 1 else "before-intent"
        passed = trial.chance.randint(1, 2 if point == "after-outcome" else most)
        if not (killed_sometime(trial, quota) if point == SOME_MOMENT else killed_at(trial, point, passed)):
            return


def killed_at(trial: Trial, point: str, passed: int) -> bool:
    ended = trial.ended(trial.send(MAILER_CRASH_AT=f"{point}:{passed}"))
    if ended.killed:
        trial.struck()
    return ended.killed


def killed_sometime(trial: Trial, quota: Quota) -> bool:
    program = trial.send()
    if not trial.wait_for(program, trial.oracle.count() + trial.chance.randint(1, quota.count)):
        return False
    time.sleep(trial.chance.choice([trial.chance.uniform(0, 0.004), trial.chance.uniform(0, quota.seconds)]))
    return trial.kill(program).killed


@fault("kill -9 under a quota", short=3, long=20, variants=variants(ACCOUNT))
def under_a_quota(trial: Trial) -> None:
    strike_under(trial, ACCOUNT)


@fault("kill -9 under a domain's quota", short=3, long=20, variants=variants(DOMAIN))
def under_a_domains_quota(trial: Trial) -> None:
    strike_under(trial, DOMAIN)
