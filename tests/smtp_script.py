"""What the scripted server is told: which event of which phase, and what to do then."""

from __future__ import annotations

import asyncio
import shlex
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

PHASES = frozenset(
    [
        "greeting",
        "ehlo",
        "starttls",
        "auth",
        "mail",
        "rcpt",
        "data",
        "content",
        "dot",
        "accepted",
        "rset",
        "noop",
        "quit",
    ]
)


@dataclass(kw_only=True)
class Rule:
    """When (all that is given must fit) and then what. `fired` is set before the reply; `hold` waits for `release`.

    `nth` counts from 1 the events that fit the rest, over all connections or `per_connection`; `every` likewise.
    """

    phase: str
    address: str | None = None
    connection: int | None = None
    nth: int | None = None
    every: int | None = None
    first: int | None = None
    per_connection: bool = False
    after: int = 0
    reply: str | None = None
    raw: bytes | None = None
    delay: float = 0.0
    hold: bool = False
    silence: bool = False
    drop: bool = False
    reset: bool = False
    fired: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    _seen: Counter[int] = field(default_factory=Counter)
    _released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"no phase {self.phase!r}")

    def counts(self, phase: str, connection: int, address: str | None) -> bool:
        """Count an event that fits; True if it is one of those asked for."""
        if phase != self.phase or (self.connection or connection) != connection:
            return False
        if self.address is not None and (address or "").lower() != self.address.lower():
            return False
        key = connection if self.per_connection else 0
        self._seen[key] += 1
        number = self._seen[key]
        return number == (self.nth or number) and number % (self.every or 1) == 0 and number <= (self.first or number)

    def fire(self) -> Rule:
        self.count += 1
        self.fired.set()
        return self

    def release(self) -> None:
        self._released.set()

    async def released(self) -> None:
        while self.hold and not self._released.is_set():
            await asyncio.sleep(0.002)


def choose(rules: Sequence[Rule], phase: str, connection: int, address: str | None = None) -> Rule | None:
    """The earliest rule that wants this event. Every rule counts it, so that `nth` never depends on other rules."""
    wanted = [rule for rule in rules if rule.counts(phase, connection, address)]
    return wanted[0].fire() if wanted else None


NUMBERS = frozenset({"connection", "nth", "every", "first", "after"})
FLAGS = frozenset({"per_connection", "silence", "drop", "reset"})


def parse_rule(text: str, kind: type[Rule] = Rule) -> Rule:
    """Read a rule written as `rcpt nth=50 reply="550 5.1.1 User unknown" drop`. Raises ValueError."""
    phase, *words = shlex.split(text)
    rule = kind(phase=phase)
    for word in words:
        name, _, value = word.partition("=")
        if name in NUMBERS:
            setattr(rule, name, int(value))
        elif name in FLAGS:
            setattr(rule, name, True)
        elif name in {"reply", "address"}:
            setattr(rule, name, value)
        elif name == "delay":
            rule.delay = float(value)
        elif name == "raw":
            rule.raw = value.encode().decode("unicode_escape").encode("latin-1")
        else:
            raise ValueError(f"no rule word {name!r}")
    return rule
