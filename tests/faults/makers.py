"""Makers, the processes that make messages for a run: killed, stopped, and left behind by it, all of which must cost nothing."""

from __future__ import annotations

import os
import signal
import time

from mailer.campaign import apart
from mailer.campaign import makers as making

from .programs import Program
from .registry import Trial, Variant, fault
from .stage import NAME, Skipped

QUICK = ("rcpt delay=0.004", "accepted delay=0.004")
"""A server at which a campaign takes long enough for a maker to begin, to be of use, and to be missed."""

SLOW = ("rcpt delay=0.02", "accepted delay=0.02")
"""A server at which it takes longer than a maker is stopped."""

ROUNDS = 3


def variant(people: int = 800, *, slow: bool = False, **way: object) -> Variant:
    setup = {"people": people, "rules": SLOW if slow else QUICK, "connections": 4, "processes": 2}
    return Variant(setup=setup | way, slow=slow)


MESSAGE, OFF = {"pipelining": "message"}, {"pipelining": "off"}
WAYS = (
    variant(processes=3),
    variant(),
    variant(**MESSAGE),
    variant(connections=6, processes=4),
    variant(processes=3, **OFF),
)
STANDING_STILL = tuple(
    variant(400, slow=True, **way) for way in ({"processes": 3}, MESSAGE, {}, {"processes": 3, **MESSAGE})
)
BY_THEMSELVES = (variant(processes=None), variant(processes=None, connections=1, **MESSAGE))


def manned(trial: Trial) -> tuple[Program, list[int]]:
    """A run in the midst of sending, and its makers: mostly at their work, at times just starting."""
    program = trial.send()
    if trial.chance.random() < 0.8:
        trial.makers_at_work(program)
        left = len(trial.people) - trial.oracle.count()
        trial.wait_for(program, trial.oracle.count() + trial.chance.randint(0, left // ROUNDS))
    trial.some_moment(program)
    return program, trial.crew.of(program.pid)


def kill_one_by_one(trial: Trial, most: int | None) -> None:
    """Until there are none, as nobody takes their place: the run does their work, too."""
    program, makers = manned(trial)
    since = time.monotonic()
    while makers:
        chosen = makers if most is None else trial.chance.sample(makers, most)
        trial.strike_makers(chosen, signal.SIGKILL)
        trial.some_moment(program)
        makers = [pid for pid in trial.crew.of(program.pid) if pid not in chosen]
    trial.unharmed(program, since)


@fault("kill -9 of one maker", short=3, long=60, variants=WAYS)
def one(trial: Trial) -> None:
    kill_one_by_one(trial, 1)


@fault("kill -9 of all makers", short=2, long=40, variants=WAYS)
def all_of_them(trial: Trial) -> None:
    kill_one_by_one(trial, None)


def eager() -> None:
    """In a run's process: begin makers as for a list that is long, and a server that is fast."""
    making.FEW = making.SAMPLE = 20
    making.UNSIGNED = 1
    making.SLOW = 1


@fault("kill -9 of makers that a run began by itself", short=2, long=20, variants=BY_THEMSELVES)
def unasked(trial: Trial) -> None:
    """They begin in the midst of sending."""
    if apart.cores() < 2:
        raise Skipped("there is no core for makers")
    program = trial.send(cold=False, prepare=eager)
    while not (found := trial.crew.of(program.pid)) and program.poll() is None:
        time.sleep(0.002)
    if not found:
        trial.broken("it has begun no maker by itself")
    if trial.chance.random() < 0.8:
        found = trial.makers_at_work(program)
        trial.some_moment(program)
    since = time.monotonic()
    trial.strike_makers(found, signal.SIGKILL)
    trial.unharmed(program, since)


@fault("kill -9 of the run and its makers", short=2, long=40, variants=WAYS)
def run_and_makers(trial: Trial) -> None:
    for _ in range(ROUNDS):
        program, makers = manned(trial)
        everybody = [program.pid, *makers]
        trial.chance.shuffle(everybody)
        for pid in everybody:
            trial.strike_makers([pid] * (pid != program.pid), signal.SIGKILL)
            program.signal(signal.SIGKILL * (pid == program.pid))
        at = time.monotonic()
        if not trial.ended(program).killed:
            return
        trial.struck(at)


@fault("kill -9 of the run, makers left", short=3, long=60, variants=WAYS)
def run_alone(trial: Trial) -> None:
    """They must go soon, and have handed over nothing: they hold no connection."""
    for _ in range(ROUNDS):
        program, makers = manned(trial)
        if not trial.kill(program).killed:
            return
        if makers and trial.chance.random() < 0.7:
            trial.crew_has_left()
            nothing_is_unknown(trial)


def nothing_is_unknown(trial: Trial) -> None:
    accepted = {address for message in trial.oracle.accepted() for address in message.recipients}
    if unknown := accepted - set(trial.addresses("sent", "sending", "uncertain")):
        trial.broken(f"{len(unknown)} got a message that the ledger does not know of")


@fault("kill -9 of the run, a maker stopped", short=2, long=30, variants=WAYS)
def behind_its_back(trial: Trial) -> None:
    """It comes back when a person has decided, and the same command has sent everybody the rest."""
    program, makers = manned(trial)
    trial.strike_makers(makers, signal.SIGSTOP)
    time.sleep(trial.chance.uniform(0, 0.05))
    killed = trial.kill(program).killed
    accepted = {message.message_id for message in trial.oracle.accepted()}
    for row in trial.rows():
        if killed and row["status"] == "uncertain":
            decision = "sent" if row["message_id"] in accepted else "queued"
            trial.ended(trial.call("resolve", NAME, "--as", decision, row["address"]))
    trial.decided()
    trial.ended(trial.send())
    trial.strike_makers(makers, signal.SIGCONT)
    trial.crew_has_left()


def stopped(trial: Trial) -> tuple[Program, list[int], float]:
    """A run of whose makers one, or all, stand still."""
    program, makers = manned(trial)
    since = time.monotonic()
    chosen = makers if trial.chance.random() < 0.5 else makers[:1]
    trial.strike_makers(chosen, signal.SIGSTOP)
    return program, chosen, since


@fault("SIGSTOP of makers, then SIGCONT", short=2, long=16, variants=STANDING_STILL)
def makers_come_back(trial: Trial) -> None:
    """What they bring then is too late, and is made by the run."""
    program, makers, since = stopped(trial)
    for _ in range(ROUNDS):
        program.over_within(trial.chance.choice([trial.chance.uniform(0, 0.1), trial.chance.uniform(0.1, 2.0)]))
        trial.strike_makers(makers, signal.SIGCONT)
        if program.over_within(trial.chance.uniform(0, 0.3)):
            break
        trial.strike_makers(makers, signal.SIGSTOP)
    trial.strike_makers(makers, signal.SIGCONT)
    trial.unharmed(program, since)


@fault("SIGSTOP of makers for good", short=2, long=16, variants=STANDING_STILL)
def makers_stand_still(trial: Trial) -> None:
    """The run neither waits for them nor leaves them behind."""
    program, _, since = stopped(trial)
    trial.unharmed(program, since)
    trial.crew_has_left(0.0)


@fault("SIGSTOP of the run while makers go on", short=1, long=16, variants=STANDING_STILL)
def run_stands_still(trial: Trial) -> None:
    """What they brought meanwhile is too old to leave."""
    program, makers = manned(trial)
    program.signal(signal.SIGSTOP)
    trial.verdict.strikes += 1
    time.sleep(trial.chance.choice([trial.chance.uniform(0.1, 1.0), trial.chance.uniform(1.0, 3.0)]))
    if trial.chance.random() < 0.5:
        trial.strike_makers(makers[:1], signal.SIGKILL)
    since = time.monotonic()
    program.signal(signal.SIGCONT)
    trial.unharmed(program, since)


@fault("SIGINT, SIGTERM or SIGHUP to makers alone", short=1, long=16, variants=WAYS)
def makers_are_asked(trial: Trial) -> None:
    """Only the run decides what that means."""
    program = trial.send()
    makers = trial.makers_at_work(program)
    since = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        trial.strike_makers(makers, number)
    trial.some_moment(program)
    here = set(trial.crew.of(program.pid))
    if trial.oracle.count() < len(trial.people) and not here.issuperset(makers):
        trial.broken("a maker heeded a signal that was not meant for it")
    trial.unharmed(program, since)


def stop_the_group(trial: Trial, number: int, *, twice: bool = False) -> None:
    """As a terminal does, and the system at its end, which asks every process by itself."""
    for _ in range(ROUNDS):
        program, _ = manned(trial)
        at = time.monotonic()
        for again in range(1 + twice):
            time.sleep(again * trial.chance.uniform(0, 0.01))
            makers = trial.crew.of(program.pid)
            if program.poll() is None:
                os.killpg(program.pid, number)
            trial.strike_makers(makers, number)
        if not trial.stopped(program, at, twice=twice):
            return


@fault("SIGINT to the run and its makers", short=1, long=30, variants=WAYS)
def ctrl_c(trial: Trial) -> None:
    stop_the_group(trial, signal.SIGINT)


@fault("SIGINT twice to the run and its makers", short=2, long=30, variants=WAYS)
def ctrl_c_twice(trial: Trial) -> None:
    stop_the_group(trial, signal.SIGINT, twice=True)


@fault("SIGTERM or SIGHUP to the run and its makers", short=1, long=30, variants=WAYS)
def end_of_session(trial: Trial) -> None:
    stop_the_group(trial, trial.chance.choice([signal.SIGTERM, signal.SIGHUP]))
