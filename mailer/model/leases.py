"""What passes between a sender and whoever keeps the places of quotas that many senders share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class PlaceKey(NamedTuple):
    """The places of one quota of an account, or of a domain (the other is blank): how many, for which window.

    A place is taken for `span` seconds after a reply, a little longer than the window.
    """

    account: str
    domain: str
    places: int
    seconds: int
    span: float


class Place(NamedTuple):
    """One place of a quota, leased. It may be used from `free_at` on, by the lender's clock."""

    key: PlaceKey
    number: int
    free_at: float


class Ask(NamedTuple):
    """So many transactions are to start, each with one place of every key: all of its places, or none."""

    keys: tuple[PlaceKey, ...]
    want: int


class Return(NamedTuple):
    """A place given back: from when on it is free; None if it served no transaction, so that nothing has changed."""

    place: Place
    free_at: float | None


class Look(NamedTuple):
    """The lender's clock showed `now` at some moment between two times by the clock of whoever asked."""

    before: float
    now: float
    after: float


class Leased(NamedTuple):
    """What was given for each question, when by the lender's clock a next one could be (infinity: nobody knows), and that clock."""

    places: list[list[tuple[Place, ...]]]
    next_free: list[float]
    look: Look


class Lender(Protocol):
    """Whoever keeps the places. Those of a sender that has died are free their span after the death was noticed."""

    async def exchange(self, asks: Sequence[Ask], returns: Sequence[Return], clock: Callable[[], float]) -> Leased:
        """Give places back and lease others, durably. `clock` may be called from another thread. Raises LedgerError."""
        ...

    async def learn(self, account: str, lesson: Lesson) -> Learned:
        """Tell how an account's relay fares, and hear what all its senders know. Raises LedgerError."""
        ...

    async def close(self) -> None:
        """Who closes it has given everything back; what is left counts as that of a sender that died."""
        ...


class Lesson(NamedTuple):
    """What a sender has seen of how its relay fares since it heard of so many `storms`: another one, good stretches; and for how many
    transactions it wants turns.
    """

    storms: int
    storm: bool = False
    stretches: int = 0
    turns: int = 0


class Learned(NamedTuple):
    """What holds for all senders of an account: messages a second, or None if nothing is held back; and the turns that were given, in
    seconds from now.
    """

    storms: int
    rate: float | None
    turns: list[float]
