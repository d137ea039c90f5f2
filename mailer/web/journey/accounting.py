"""Who of a list gets the letter and who does not, in numbers that add up to its rows, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailer.campaign.plan import Plan
from mailer.model import Held, Reason
from mailer.suppression import reason
from mailer.web.journey.words import figure, ngettext
from mailer.web.journey.words import gettext as _


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What becomes of the rows of a list. All but `rows` add up to it."""

    rows: int
    messages: int
    repeated: int
    bad: int
    dead: int
    unwilling: int

    def told(self) -> str:
        """As a sentence; empty where every row gets a message."""
        if self.messages == self.rows:
            return ""
        parts = [
            (self.messages, ngettext("%(number)s gets the letter", "%(number)s get the letter", self.messages)),
            (self.repeated, ngettext("%(number)s is there twice", "%(number)s are there twice", self.repeated)),
            (self.bad, ngettext("%(number)s has a problem", "%(number)s have a problem", self.bad)),
            (self.dead, ngettext("%(number)s has a dead address", "%(number)s have a dead address", self.dead)),
            (self.unwilling, ngettext("%(number)s is never mailed", "%(number)s are never mailed", self.unwilling)),
        ]
        told = [text % {"number": figure(number)} for number, text in parts if number or text is parts[0][1]]
        rows = ngettext("%(number)s row in the list", "%(number)s rows in the list", self.rows)
        return _("{rows}: {parts}.").format(rows=rows % {"number": figure(self.rows)}, parts=", ".join(told))


def account(plan: Plan, suppressed: Mapping[str, Held], messages: int) -> Account:
    """Count what stands between a list's rows and its messages."""
    people = plan.contacts
    out = [reason(key, suppressed) for key in plan.suppressed_keys(suppressed)]
    dead = sum(held is not None and held.reason == Reason.BOUNCE for held in out)
    return Account(
        rows=people.rows,
        messages=messages,
        repeated=people.duplicates,
        bad=len(people.bad_rows) + len(plan.unrendered),
        dead=dead,
        unwilling=len(out) - dead,
    )
