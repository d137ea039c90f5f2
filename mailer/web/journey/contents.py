"""What the messages of a campaign say and carry, in a few lines: for whoever approves them, and did not make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mailer.preview.model import Rendered
from mailer.preview.telling import Choice
from mailer.web.journey.enclosing import size
from mailer.web.journey.words import figure, ngettext
from mailer.web.journey.words import gettext as _

KEPT = 1_000
"""Names of attachments that are told apart: with a file of each row's own there may be a million."""

SHOWN = 5
"""Names of files that not everybody gets; the others are counted."""


@dataclass(kw_only=True, slots=True)
class Enclosed:
    """Attachments of one name: how many messages carry one, and from how many octets to how many they have."""

    messages: int = 0
    least: int = 0
    most: int = 0

    def add(self, messages: int, least: int, most: int) -> None:
        self.least = min(self.least, least) if self.messages else least
        self.most = max(self.most, most)
        self.messages += messages

    def sizes(self) -> str:
        least, most = size(self.least), size(self.most)
        return least if least == most else _("{least} to {most}").format(least=least, most=most)


@dataclass(slots=True)
class Contents:
    """Watches the messages go by; `choice` remembers those to look at first."""

    choice: Choice = field(default_factory=Choice)
    messages: int = 0
    subject: str = ""
    differs: bool = False
    """Whether somebody's subject is another one than the first."""
    _named: dict[str, Enclosed] = field(default_factory=dict)
    _others: Enclosed = field(default_factory=Enclosed)

    def look(self, number: int, item: Rendered) -> None:
        self.choice.look(number, item)
        if item.relay:  # an example of a message that was counted already
            return
        self.messages += 1
        if self.messages == 1:
            self.subject = item.letter.subject
        self.differs = self.differs or item.letter.subject != self.subject
        for one in item.letter.attachments:
            if one.content_id is None:
                octets = len(one.content)
                self._place(one.filename).add(1, octets, octets)

    def _place(self, name: str) -> Enclosed:
        if name in self._named or len(self._named) < KEPT:
            return self._named.setdefault(name, Enclosed())
        return self._others

    def attachments(self) -> Iterator[str]:
        """Each file with its size: what everybody gets first, then a few of those that only some get, then how many more."""
        ordered = sorted(self._named.items(), key=lambda one: -one[1].messages)
        for name, one in ordered:
            if one.messages == self.messages:
                yield _("{name}, {size}").format(name=name, size=one.sizes())
        some = [(name, one) for name, one in ordered if one.messages != self.messages]
        for name, one in some[:SHOWN]:
            told = ngettext(
                "{name}, {size}, to %(number)s person", "{name}, {size}, to %(number)s people", one.messages
            )
            yield (told % {"number": figure(one.messages)}).format(name=name, size=one.sizes())
        rest = Enclosed(messages=self._others.messages, least=self._others.least, most=self._others.most)
        for _name, one in some[SHOWN:]:
            rest.add(one.messages, one.least, one.most)
        if rest.messages:
            told = ngettext(
                "further files, {size}, to %(number)s person",
                "further files, {size}, to %(number)s people",
                rest.messages,
            )
            yield (told % {"number": figure(rest.messages)}).format(size=rest.sizes())
