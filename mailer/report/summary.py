"""What a report says, as data: numbers that add up, and those whom a person has to look after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailer import explanations
from mailer.model import CampaignRecord, DeliveryRecord, Returned, Status, Tally, said
from mailer.privacy import without_addresses
from mailer.report.course import Course
from mailer.report.groups import Counted, Spread

ATTENTION = (Status.UNCERTAIN, Status.FAILED)
"""Whom a report names before all others, in this order."""

LISTED = 1000
"""People whom a page names, of those to look after and of all. The table for spreadsheets has everybody."""

NAMING = frozenset({"From", "Accepted by"})
"""Facts that name people, or groups of any size."""

SMALLEST = 5
"""People in the smallest group that a report without people counts by itself."""

# A server's words for the same refusal differ in the address and in a number of its own (queue ids, sessions).
OWN_NUMBER = re.compile(r"(?<![\w.])(?=[A-Za-z_-]*\d)(?=\d*[A-Za-z_-])[0-9A-Za-z_-]{10,}(?![\w.])")
FIRST_WORDS = re.compile(r"[^.:;]*[^.:;\s]")
GIVEN_UP = said("Given up after several tries")
UNEXPLAINED = said("Another reason")


def brief(reason: str) -> str:
    """An explanation up to its first pause: `The mailbox is full`."""
    if reason.startswith("Given up after"):
        return GIVEN_UP
    found = FIRST_WORDS.match(without_addresses(" ".join(reason.split())))
    return found[0] if found else UNEXPLAINED


OURS = frozenset(
    brief(text) for name, text in vars(explanations).items() if name.isupper() and isinstance(text, str)
) | {GIVEN_UP}


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What became of a campaign. Every spread over all deliveries, and the tally, add up to the same total.

    `progress` and `arrivals`: what was sent or refused, and what came back, over time. `reasons` are ours, in plain words,
    `words` the servers' own; both of the failed and the deferred. `fields` are spreads by merge fields of the list, by their names.
    `attention` are the uncertain and the failed, uncertain first, `listed` the first of all; both may be cut short.
    `smallest` is None but for a report without people: the fewest that it counts by themselves.
    """

    name: str
    template: str
    list_name: str
    started_at: datetime
    finished_at: datetime | None
    tally: Tally
    returned: Returned
    progress: tuple[Course, ...] = ()
    arrivals: tuple[Course, ...] = ()
    reasons: Spread = field(default_factory=Spread)
    words: Spread = field(default_factory=Spread)
    domains: Spread = field(default_factory=Spread)
    providers: Spread = field(default_factory=Spread)
    languages: Spread = field(default_factory=Spread)
    fields: Mapping[str, Spread] = field(default_factory=dict)
    attention: tuple[DeliveryRecord, ...] = ()
    listed: tuple[DeliveryRecord, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    smallest: int | None = None

    @property
    def attention_total(self) -> int:
        return sum(getattr(self.tally, status) for status in ATTENTION)


def facts(campaign: CampaignRecord) -> dict[str, str]:
    """What a campaign was made from, for people."""
    frozen = campaign.manifest
    told = {
        said("Letter"): frozen.template,
        said("List"): frozen.list_name,
        said("From"): frozen.settings.get("sender") or frozen.settings.get("SENDER") or "",
        said("Duplicates left out"): f"{frozen.duplicates:,}" if frozen.duplicates else "",
        said("Rows without an address"): f"{frozen.blank:,}" if frozen.blank else "",
        said("Revision"): str(campaign.revision) if campaign.revision > 1 else "",
        said("Seal"): frozen.seal,
    }
    return {name: value for name, value in told.items() if value}


def refusals(rows: Iterable[tuple[str, str, Status, int]]) -> tuple[Spread, Spread]:
    """From our reason, the server's words, status and number: by our reasons in brief, and by the servers' own words."""
    reasons, words = Counted(), Counted()
    for why, answer, status, count in rows:
        reasons.add(brief(why), status, count)
        words.add(own_words(answer or why), status, count)
    return reasons.spread(), words.spread()


def own_words(answer: str) -> str:
    """A server's words without the address and the numbers that differ from one refusal to the next."""
    return OWN_NUMBER.sub("…", without_addresses(" ".join(answer.split()))) or said("no reason given")


def counts_only(report: Report, *, smallest: int = SMALLEST) -> Report:
    """The same without people: no address, no name, no server's words, and no group of fewer than `smallest` people.

    Groups are counted by one thing at a time, without their outcomes, and never finer in one place than in another, so that no
    smaller group can be told by taking one number from another. Totals of the whole campaign stay exact.
    """
    reasons = Counted()
    for name, counts in [*report.reasons.groups.items(), (UNEXPLAINED, report.reasons.rest)]:
        reasons.add(name if name in OURS else UNEXPLAINED, "", counts.total())
    return replace(
        report,
        name=without_addresses(report.name),
        template=without_addresses(report.template),
        list_name=without_addresses(report.list_name),
        progress=tuple(course.at_least(smallest) for course in report.progress),
        arrivals=tuple(course.at_least(smallest) for course in report.arrivals),
        reasons=reasons.spread().at_least(smallest),
        words=Spread(),
        domains=Spread(),
        providers=_anonymous(report.providers, smallest),
        languages=_anonymous(report.languages, smallest),
        fields={without_addresses(name): _anonymous(spread, smallest) for name, spread in report.fields.items()},
        attention=(),
        listed=(),
        facts={name: without_addresses(value) for name, value in report.facts.items() if name not in NAMING},
        smallest=smallest,
    )


def _anonymous(spread: Spread, smallest: int) -> Spread:
    counted = Counted()
    for name, counts in spread.groups.items():
        counted.add(without_addresses(name), "", counts.total())
    scrubbed = counted.spread()
    return replace(scrubbed, more=spread.more, rest=spread.rest).at_least(smallest)
