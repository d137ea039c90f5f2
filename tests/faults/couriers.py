"""Couriers, the processes that a run hands its connections to: killed, stopped, and left behind by their run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

from .programs import Program
from .registry import Trial, Variant, fault
from .script import FINAL_TIMEOUT
from .stage import NAME

SLOW = ("rcpt delay=0.02", "accepted delay=0.02")
"""A server at which a campaign takes long enough for a courier to be killed, and missed, and killed again."""

KILLS = 3


def variant(people: int = 120, *, slow: bool = False, **way: object) -> Variant:
    setup = {"people": people, "rules": SLOW, "connections": 4, "processes": 2}
    return Variant(setup=setup | way, slow=slow)


WAYS = (variant(), variant(pipelining="message"), variant(connections=6, processes=3), variant(pipelining="off"))
STANDING_STILL = (variant(60, slow=True), variant(60, slow=True, pipelining="message"))


def to_each(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def manned(trial: Trial) -> tuple[Program, list[int]]:
    """A run in the midst of sending, and its couriers."""
    program = trial.send()
    trial.some_moment(program)
    return program, trial.crew.of(program.pid)


def kill_again_and_again(trial: Trial, most: int | None) -> None:
    """At any moment, also while the successor of the last one is starting."""
    program = trial.send()
    for _ in range(KILLS):
        if not trial.some_moment(program) or not trial.kill_couriers(program, most):
            ended = trial.ended(program)
            if ended.code in {0, 1}:
                return
            program = trial.send()  # too many in doubt at once: it stopped by itself
        elif trial.chance.random() < 0.7:
            trial.crew_is_back(program)
    trial.ended(program)


@fault("kill -9 of one courier", short=3, long=60, variants=WAYS)
def one(trial: Trial) -> None:
    kill_again_and_again(trial, 1)


@fault("kill -9 of all couriers", short=2, long=40, variants=WAYS)
def all_of_them(trial: Trial) -> None:
    kill_again_and_again(trial, None)


@fault("kill -9 of the run and its couriers", short=2, long=40, variants=WAYS)
def run_and_couriers(trial: Trial) -> None:
    for _ in range(KILLS):
        program, couriers = manned(trial)
        everybody = [program.pid, *couriers]
        trial.chance.shuffle(everybody)
        to_each(everybody, signal.SIGKILL)
        trial.verdict.kills += len(couriers)
        at = time.monotonic()
        if not trial.ended(program).killed:
            return
        trial.struck(at)


@fault("kill -9 of the run, couriers left", short=3, long=60, variants=WAYS)
def run_alone(trial: Trial) -> None:
    """They must go soon, and hand over nothing that the ledger does not hold in doubt."""
    for _ in range(KILLS):
        program, couriers = manned(trial)
        if not trial.kill(program).killed:
            return
        if couriers and trial.chance.random() < 0.7:
            trial.crew_has_left()
            accepted = {address for message in trial.oracle.accepted() for address in message.recipients}
            known = set(trial.addresses("sent", "sending", "uncertain"))
            if accepted - known:
                trial.broken(f"{len(accepted - known)} got a message that the ledger does not know of")


@fault("kill -9 of the run, a courier stopped", short=2, long=30, variants=WAYS)
def behind_its_back(trial: Trial) -> None:
    """It comes back when a person has decided, and the same command has sent everybody the rest."""
    program, couriers = manned(trial)
    if not couriers:
        trial.ended(program)
        return
    to_each(couriers, signal.SIGSTOP)
    time.sleep(trial.chance.uniform(0, 0.05))  # the run goes on: intents are written and its word is given
    killed = trial.kill(program).killed
    accepted = {message.message_id for message in trial.oracle.accepted()}
    for row in trial.rows():
        if killed and row["status"] == "uncertain":
            decision = "sent" if row["message_id"] in accepted else "queued"
            trial.ended(trial.call("resolve", NAME, "--as", decision, row["address"]))
    trial.decided()
    trial.ended(trial.send())
    to_each(couriers, signal.SIGCONT)
    trial.crew_has_left()


@fault("SIGSTOP of a courier, beyond the timeout", short=1, long=16, variants=STANDING_STILL)
def courier_stands_still(trial: Trial) -> None:
    program, couriers = manned(trial)
    chosen = couriers if trial.chance.random() < 0.5 else couriers[:1]
    to_each(chosen, signal.SIGSTOP)
    trial.verdict.strikes += len(chosen)
    time.sleep(FINAL_TIMEOUT + trial.chance.uniform(0.2, 1.0))
    to_each(chosen, signal.SIGCONT)
    ended = trial.ended(program)
    if ended.code != 0:
        trial.broken(f"ended with {ended.code} after its couriers stood still: {ended.said.strip()[-300:]}")


@fault("SIGSTOP of the run while couriers go on", short=1, long=16, variants=STANDING_STILL)
def run_stands_still(trial: Trial) -> None:
    program, _ = manned(trial)
    program.signal(signal.SIGSTOP)
    trial.verdict.strikes += 1
    time.sleep(FINAL_TIMEOUT + 0.2 if trial.chance.random() < 0.5 else trial.chance.uniform(0.1, 1.0))
    program.signal(signal.SIGCONT)
    ended = trial.ended(program)
    if ended.code != 0:
        trial.broken(f"ended with {ended.code} after it stood still: {ended.said.strip()[-300:]}")


def starting(trial: Trial, program: Program) -> None:
    """Until its couriers are just starting, as far as one can tell."""
    while not trial.crew.of(program.pid) and program.poll() is None:
        time.sleep(0.001)
    time.sleep(trial.chance.uniform(0, 0.4))


def stop_the_group(trial: Trial, number: int, *, twice: bool = False) -> None:
    """As a terminal does, and the system at its end, which asks every process by itself."""
    for _ in range(KILLS):
        program = trial.send()
        early = trial.chance.random() < 0.3
        if early:
            starting(trial, program)
        elif not trial.some_moment(program):
            trial.ended(program)
            return
        at = time.monotonic()
        for again in range(1 + twice):
            time.sleep(again * trial.chance.uniform(0, 0.01))
            couriers = trial.crew.of(program.pid)
            if program.poll() is None:
                os.killpg(program.pid, number)
            if not early or number != signal.SIGINT:
                # nothing sends Ctrl-C to a process alone, and Python answers it with a traceback while it starts
                to_each(couriers, number)
        ended = trial.ended(program, 30)
        if ended.code in {0, 1}:
            return
        if ended.code != 3:
            trial.broken(f"ended with {ended.code} after a signal: {ended.said.strip()[-200:]}")
        trial.struck(at, lines=None if twice else 0)


@fault("SIGINT to the run and its couriers", short=1, long=30, variants=WAYS)
def ctrl_c(trial: Trial) -> None:
    stop_the_group(trial, signal.SIGINT)


@fault("SIGINT twice to the run and its couriers", short=2, long=30, variants=WAYS)
def ctrl_c_twice(trial: Trial) -> None:
    stop_the_group(trial, signal.SIGINT, twice=True)


@fault("SIGTERM or SIGHUP to the run and its couriers", short=1, long=30, variants=WAYS)
def end_of_session(trial: Trial) -> None:
    stop_the_group(trial, trial.chance.choice([signal.SIGTERM, signal.SIGHUP]))
