"""What happened to a campaign, in plain words and the reader's language, the newest first: from the ledger, whoever sent it."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mailer import explanations
from mailer.hours import Hours
from mailer.ledger import Ledger
from mailer.model import (
    Arrival,
    BounceClass,
    CampaignRecord,
    Entry,
    EventKind,
    Happening,
    Person,
    Status,
    Trouble,
    Verdict,
)
from mailer.outcome import explain
from mailer.settings.values import rates
from mailer.web.journey.ways import pace
from mailer.web.journey.words import figure, later, ngettext
from mailer.web.journey.words import gettext as _

PAGE = 25
"""Lines that are shown at once."""

EXPLANATIONS = tuple(value for name, value in vars(explanations).items() if name.isupper())


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing that happened. `{until}` in the text is a time, told by the reader's clock; `words` are the server's own."""

    at: float
    kind: str
    text: str
    person: Person | None = None
    until: float | None = None
    words: str = ""
    campaign: str = ""

    def holds(self, wanted: list[str]) -> bool:
        """Whether every word that is looked for stands in it."""
        who = f"{self.person.row} {self.person.name} {self.person.address}" if self.person else ""
        text = f"{who} {self.text} {self.words} {self.campaign}".casefold()
        return all(word in text for word in wanted)

    def data(self) -> dict[str, object]:
        """For the page's script."""
        # who was erased is in no row any more
        who = [self.person.row, self.person.name, self.person.address] if self.person and self.person.row else None
        return {
            "at": self.at,
            "kind": self.kind,
            "text": self.text,
            "who": who,
            "until": self.until,
            "words": self.words,
            "campaign": self.campaign,
        }


def lines(ledger: Ledger, campaign: CampaignRecord) -> Iterator[Line]:
    """The log of a campaign, read as far as it is asked for."""
    return heapq.merge(
        map(_of_entry, ledger.diary(campaign)),
        map(_of_trouble, ledger.troubles(campaign)),
        map(of_arrival, ledger.came_back(campaign)),
        key=lambda line: -line.at,
    )


def page(found: Iterable[Line], search: str, start: int) -> dict[str, object]:
    """The lines from a number on that hold what is looked for, and whether there are more."""
    wanted = search.casefold().split()[:10]
    matching = (line for line in found if line.holds(wanted)) if wanted else found
    shown = list(islice(matching, start, start + PAGE + 1))
    return {"lines": [line.data() for line in shown[:PAGE]], "more": len(shown) > PAGE, "size": PAGE}


def asked_from(form: Mapping[str, str]) -> int:
    """The number of the first line that is asked for."""
    text = form.get("from", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


PLAIN = {
    Happening.REVISED: later("The letter or the list was changed. Who is not reached yet gets it as it is now."),
    Happening.RECONNECTING: later(
        "The connection to the mail server broke. It is made again, and nobody loses their place."
    ),
    Happening.PURGED: later("The addresses and names of everybody in it were erased. The counts stay."),
    Happening.FINISHED: later("Finished: nobody is left to be mailed."),
}

COUNTED: dict[Happening, Callable[[int], str]] = {
    Happening.BEGUN: lambda before: _("Sending goes on.") if before else _("Sending begins."),
    Happening.SILENT: lambda _seconds: _(
        "The mail server has not answered for %(number)s seconds. It is given more time."
    ),
    Happening.HELD: lambda _first: _("Held after the first %(number)s, to see how they fare."),
    Happening.INTERRUPTED: lambda number: ngettext(
        "The program was ended in the middle of sending: of %(number)s message nobody knows whether it arrived.",
        "The program was ended in the middle of sending: of %(number)s messages nobody knows whether they arrived.",
        number,
    ),
    Happening.PUT_BACK: lambda number: ngettext(
        "The record was put back from a back-up: of %(number)s message nobody knows whether it was sent after that was made.",
        "The record was put back from a back-up: of %(number)s messages nobody knows whether they were sent after that was made.",
        number,
    ),
    Happening.QUEUED_AGAIN: lambda number: ngettext(
        "%(number)s who was refused is to be tried again.", "%(number)s who were refused are to be tried again.", number
    ),
}


def _of_entry(entry: Entry) -> Line:
    text, words = _told(entry)
    return Line(at=entry.at, kind=entry.kind.value, text=text, until=entry.until, words=words)


def _told(entry: Entry) -> tuple[str, str]:
    """A line of the diary in plain words, and what is beneath it."""
    if entry.kind is Happening.WAITING:
        return _waited(entry), ""
    if entry.kind in {Happening.PAUSED, Happening.STOPPED}:
        said, _newline, hint = entry.text.partition("\n")
        if entry.until and not said:
            return _("Nobody can be tried just now. Those to be tried again are due at {until}."), ""
        return _(said) or _("Paused. Nobody loses their place."), _(hint)
    if entry.kind is Happening.DECIDED:
        return _decided(entry) % {"number": figure(entry.number)}, ""
    if counted := COUNTED.get(entry.kind):
        return counted(entry.number) % {"number": figure(entry.number)}, ""
    return _(PLAIN[entry.kind]), entry.text


def _waited(entry: Entry) -> str:
    if not entry.text:
        return _("There is nothing to try just now. Sending goes on by itself at {until}.")
    if _is_hours(entry.text):
        return _(
            "It is out of office hours where the others live (%(hours)s). Sending goes on by itself at {until}."
        ) % {"hours": entry.text}
    try:
        limit = ", ".join(pace(quota) for quota in rates(entry.text))
    except ValueError:  # another version's words
        limit = entry.text
    return _("The limit of %(limit)s is reached. Sending goes on by itself at {until}.") % {"limit": limit}


def _is_hours(text: str) -> bool:
    try:
        return bool(Hours.parse(text))
    except ValueError:
        return False


def _decided(entry: Entry) -> str:
    if entry.text == Status.SENT:
        return ngettext(
            "%(number)s that was in doubt arrived, somebody found out.",
            "%(number)s that were in doubt arrived, somebody found out.",
            entry.number,
        )
    return ngettext(
        "%(number)s that was in doubt is to be sent again.",
        "%(number)s that were in doubt are to be sent again.",
        entry.number,
    )


def _of_trouble(trouble: Trouble) -> Line:
    what = {
        Verdict.FAILED: _("Refused for good."),
        Verdict.UNCERTAIN: _("In doubt."),
        Verdict.REQUEUED: _("Not sent just then."),
        Verdict.DEFERRED: _("Not taken for now."),
    }[trouble.outcome.verdict]
    until = trouble.next_attempt_at if trouble.status is Status.DEFERRED else None
    if until and trouble.outcome.verdict is Verdict.DEFERRED:
        what = _("Not taken for now; tried again from {until} on.")
    return Line(
        at=trouble.at,
        kind=trouble.outcome.verdict.value,
        text=f"{what} {_(explain(trouble.outcome))}".replace(
            "`mailer resolve`", _("“{place}”").format(place=_("Decide what is in doubt"))
        ).replace("`", ""),
        person=trouble.person,
        until=until,
        words=trouble.outcome.text,
    )


CAME_BACK = {
    (EventKind.BOUNCE, BounceClass.HARD): later("It came back: the address does not exist. It is not mailed again."),
    (EventKind.BOUNCE, BounceClass.SOFT): later("It came back: the mailbox could not be reached this time."),
    (EventKind.BOUNCE, BounceClass.OTHER): later("It came back, for a reason that is not the recipient's."),
    (EventKind.COMPLAINT, None): later("Reported as spam. This person is not mailed again."),
    (EventKind.UNSUBSCRIBE, None): later("Unsubscribed. This person is not mailed again."),
    (EventKind.REPLY, None): later("Replied. The reply is in your mailbox."),
}


def of_arrival(arrival: Arrival) -> Line:
    """Something that came back, as a line."""
    bounce = arrival.bounce or (BounceClass.OTHER if arrival.kind is EventKind.BOUNCE else None)
    return Line(
        at=arrival.at,
        kind=arrival.kind.value,
        text=_(CAME_BACK[arrival.kind, bounce]),
        person=arrival.person,
        words=arrival.text,
        campaign=arrival.campaign,
    )
