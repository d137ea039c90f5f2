"""Which few messages to look at first: the ones where a letter most often goes wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from mailer.preview.model import Rendered

MOST = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """A message worth a look, by its number, with every reason it was chosen for."""

    number: int
    reasons: tuple[str, ...]
    name: str
    subject: str


@dataclass(kw_only=True, slots=True)
class _Best:
    """The message that has most of something; the earliest, where several have as much."""

    reason: str
    measure: Callable[[int, Rendered], int]
    value: int = 0
    chosen: Telling | None = None

    def look(self, number: int, item: Rendered) -> None:
        value = self.measure(number, item)
        if value > self.value:
            self.value = value
            name = item.contact.name or item.contact.address
            self.chosen = Telling(number=number, reasons=(self.reason,), name=name, subject=item.letter.subject)


@dataclass(slots=True)
class Choice:
    """Watches the messages go by and remembers at most one for each reason."""

    _wanted: list[_Best] = field(default_factory=list)
    _extra: list[_Best] = field(default_factory=list)
    _examples: list[Telling] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wanted = [
            _Best(reason="first", measure=lambda number, _item: int(number == 1)),
            _Best(reason="last", measure=lambda number, _item: number),
            _Best(reason="longest name", measure=lambda _number, item: len(item.contact.name)),
            _Best(reason="name in another script", measure=lambda _number, item: _foreign(item.contact.name)),
            _Best(reason="most empty fields", measure=lambda _number, item: _empty(item)),
        ]
        self._extra = [
            _Best(reason="has a warning", measure=lambda _number, item: len(item.warnings)),
            _Best(reason="longest subject", measure=lambda _number, item: len(item.letter.subject)),
            _Best(reason="largest message", measure=lambda _number, item: len(item.message.content)),
        ]

    def look(self, number: int, item: Rendered) -> None:
        if item.relay:
            name, why = item.contact.name or item.contact.address, f"over relay {item.relay}"
            self._examples.append(Telling(number=number, reasons=(why,), name=name, subject=item.letter.subject))
            return
        for best in (*self._wanted, *self._extra):
            best.look(number, item)

    def result(self) -> tuple[Telling, ...]:
        """At most five messages; one that is telling for several reasons appears once, with all of them.

        And one for each relay that has an identity of its own, before the others.
        """
        chosen: dict[int, Telling] = {}
        for best in (*self._wanted, *self._extra):
            found = best.chosen
            if found is None:
                continue
            earlier = chosen.get(found.number)
            if earlier and best in self._extra:
                continue
            if earlier:
                reasons = (*earlier.reasons, *found.reasons)
                chosen[found.number] = Telling(
                    number=found.number, reasons=reasons, name=found.name, subject=found.subject
                )
            elif len(chosen) < MOST:
                chosen[found.number] = found
        return (*self._examples, *chosen.values())


def _foreign(name: str) -> int:
    """How many letters are not Latin."""
    if name.isascii():
        return 0
    return sum(char.isalpha() and not unicodedata.name(char, "").startswith("LATIN") for char in name)


def _empty(item: Rendered) -> int:
    return sum(value == "" for value in item.contact.fields.values())
