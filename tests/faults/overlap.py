"""The envelope of the next message comes with the end of this one, and the server does not like that, or leaves just then."""

from __future__ import annotations

from .registry import WAYS, Trial, Variant, fault
from .stage import USUAL

ONE, FOUR, MAKERS, *_ = WAYS
OVERLAPPING = (ONE, FOUR, MAKERS)

TIMES = 3
"""How often the server does it in one campaign."""

REFUSALS = {
    "mail": ('"421 4.3.2 Shutting down" drop', '"451 4.3.0 Later"', '"421 4.3.2 Shutting down"', '"550 5.7.1 No"'),
    "rcpt": ('"421 4.3.2 Shutting down"', '"550 5.0.0 No"', '"450 4.2.0 Later"', '"421 4.3.2 Shutting down" drop'),
    "data": ('"451 4.3.0 Later"', '"421 4.3.2 Shutting down" drop', '"554 5.5.1 No"', '"421 4.3.2 Shutting down"'),
}

LEAVING = (
    'accepted {} reply="250 2.0.0 Ok" drop',
    'accepted {} reply="250 2.0.0 Ok" reset',
    "early mail {} drop",
    "early rcpt {} drop",
    "early data {} drop",
    'early data {} reply="354 Go ahead" drop',
    "early mail {} reset",
    "early data {} reset",
)


def setup(rule: str, number: int, *, slow: bool = False) -> Variant:
    """The same rule several times, or once where it has no place for the number."""
    rules = [rule.format(f"nth={5 + 9 * time}") for time in range(TIMES)] if "{}" in rule else [rule]
    way = OVERLAPPING[number % len(OVERLAPPING)]
    return Variant(setup={"rules": (*rules, *USUAL), **way}, slow=slow)


def all_ways(rules: list[str]) -> list[Variant]:
    """The ways take turns over the rules; after as many rounds as there are ways each rule has met each of them."""
    return [setup(rule, position + turn) for turn in range(len(OVERLAPPING)) for position, rule in enumerate(rules)]


REFUSED = all_ways([f"early {phase} {{}} reply={reply}" for phase, replies in REFUSALS.items() for reply in replies])


@fault("server refuses an envelope that came early", short=len(REFUSED) // 3, long=len(REFUSED), variants=REFUSED)
def refused(trial: Trial) -> None:
    """The rules are in the set-up: the command that finishes the campaign meets them."""


LEFT = all_ways(list(LEAVING))


@fault("server leaves as the next envelope arrives", short=len(LEFT) // 3, long=2 * len(LEFT), variants=LEFT)
def left(trial: Trial) -> None:
    """After its 250, before it has answered what came along."""


DEAF = [setup(f"deaf every={every}", number, slow=True) for number, every in enumerate((1, 1, 1, 3, 4, 4))]


@fault("server throws away what follows the final dot", short=3, long=12, variants=DEAF)
def deaf(trial: Trial) -> None:
    """It costs the patience for an answer once; then nothing is sent early any more."""
    ended = trial.ended(trial.send())
    if ended.code != 0:
        trial.broken(f"ended with {ended.code} though only time was lost: {ended.said.strip()[-300:]}")
    if len(trial.oracle.accepted()) != len(trial.people):
        trial.broken("not everybody got their message in one run")
