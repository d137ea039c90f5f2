"""Two people start the same campaign; one of them was stopped for a while, and comes back."""

from __future__ import annotations

import signal
import time

from .programs import Program
from .registry import Trial, fault
from .stage import NAME

HELD = 3.0
"""Seconds after which whoever resolves is taken to wait for a sender that was stopped while it was writing."""


def refused(trial: Trial, program: Program) -> None:
    """Somebody else sends: plain words, and nothing is sent from here."""
    ended = trial.ended(program)
    if ended.code == 2 and "being sent just now" in ended.said:
        return
    # too late to be a rival: the first one had ended
    if ended.code not in {0, 1}:
        trial.broken(f"a second starter ended with {ended.code}: {ended.said.strip()[-200:]}")


@fault("two start at once", short=2, long=30)
def two_at_once(trial: Trial) -> None:
    for _ in range(2):
        first = trial.send()
        time.sleep(trial.chance.choice([0.0, trial.chance.uniform(0, 0.3)]))
        second = trial.send()
        trial.verdict.strikes += 1
        codes = [trial.ended(program).code for program in (first, second)]
        if not set(codes) <= {0, 1, 2} or codes == [2, 2]:
            trial.broken(f"two starters ended with {codes}")


@fault("two start at once, both are killed", short=3, long=20)
def two_killed(trial: Trial) -> None:
    first, second = trial.send(), trial.send()
    trial.some_moment(first)
    for program in (first, second):
        program.signal(signal.SIGKILL)
    at = time.monotonic()
    ended = [trial.ended(program) for program in (first, second)]
    if any(one.killed for one in ended):
        trial.struck(at)


def stop_for_a_while(trial: Trial) -> Program | None:
    program = trial.send()
    if not trial.some_moment(program):
        trial.ended(program)
        return None
    program.signal(signal.SIGSTOP)
    trial.verdict.strikes += 1
    return program


@fault("SIGSTOP, then SIGCONT", short=3, long=20)
def stopped(trial: Trial) -> None:
    if program := stop_for_a_while(trial):
        time.sleep(trial.chance.uniform(0.1, 0.8))
        program.signal(signal.SIGCONT)
        trial.ended(program)


@fault("SIGSTOP while a second one starts", short=3, long=20)
def stopped_with_rival(trial: Trial) -> None:
    if program := stop_for_a_while(trial):
        refused(trial, trial.send())
        program.signal(signal.SIGCONT)
        trial.ended(program)


@fault("SIGSTOP while a person resolves", short=3, long=20)
def stopped_while_resolving(trial: Trial) -> None:
    """An earlier crash left somebody in doubt; the decision is made behind the back of a sender that stands still."""
    point = trial.chance.choice(["intent", "dot", "reply"])
    if not trial.ended(trial.send(MAILER_CRASH_AT=f"after-{point}:5")).killed:
        return
    trial.struck()
    program = stop_for_a_while(trial)
    accepted = {message.message_id for message in trial.oracle.accepted()}
    for row in trial.rows():
        if row["status"] == "uncertain":
            decision = "sent" if row["message_id"] in accepted else "queued"
            resolving = trial.call("resolve", NAME, "--as", decision, row["address"])
            if program and not resolving.over_within(HELD):
                program.signal(signal.SIGCONT)
            trial.ended(resolving)
    if program:
        program.signal(signal.SIGCONT)
        trial.ended(program)
    trial.decided()
