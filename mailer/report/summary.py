"""Counts over delivery records, one pass and no I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mailer.model import DeliveryRecord, Status, Tally
from mailer.privacy import without_addresses

REFUSED = frozenset({Status.FAILED, Status.DEFERRED})
ATTENTION = (Status.UNCERTAIN, Status.FAILED)
# A server's words for the same refusal differ in the address and in a number of its own (queue ids, sessions).
OWN_NUMBER = re.compile(r"(?<![\w.])(?=[A-Za-z_-]*\d)(?=\d*[A-Za-z_-])[0-9A-Za-z_-]{10,}(?![\w.])")

Spread = Mapping[str, Counter[Status]]
"""For each domain, language or reason how many deliveries stand where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a report says about all records together. `attention` are the uncertain and the failed, uncertain first.

    `came_back`: of how many deliveries something came back later, by its kind.
    """

    tally: Tally
    reasons: Spread
    domains: Spread
    languages: Spread
    attention: tuple[DeliveryRecord, ...]
    attention_total: int
    came_back: Mapping[str, int]


def summarise(records: Iterable[DeliveryRecord], *, named: int = 1000) -> Report:
    """Count everything in one pass; at most `named` records are kept for `attention`."""
    statuses: Counter[Status] = Counter()
    reasons: dict[str, Counter[Status]] = {}
    domains: dict[str, Counter[Status]] = {}
    languages: dict[str, Counter[Status]] = {}
    came_back: Counter[str] = Counter()
    attention: dict[Status, list[DeliveryRecord]] = {status: [] for status in ATTENTION}
    for record in records:
        statuses[record.status] += 1
        _count(domains, record.domain, record)
        _count(languages, record.language or "", record)
        came_back.update({what.partition(" ")[0] for what in record.came_back})
        if record.status in REFUSED:
            _count(reasons, reason(record), record)
        if record.status in attention and len(attention[record.status]) < named:
            attention[record.status].append(record)
    return Report(
        tally=Tally(**{status.value: count for status, count in statuses.items()}),
        reasons=_by_size(reasons),
        domains=_by_size(domains),
        languages=_by_size(languages),
        attention=tuple(record for status in ATTENTION for record in attention[status])[:named],
        attention_total=sum(statuses[status] for status in ATTENTION),
        came_back=came_back,
    )


def reason(record: DeliveryRecord) -> str:
    """The server's own words without the address and the numbers that differ from one refusal to the next."""
    words = " ".join((record.server_words or record.reason or "no reason given").split())
    return OWN_NUMBER.sub("…", without_addresses(words))


def _count(spread: dict[str, Counter[Status]], key: str, record: DeliveryRecord) -> None:
    spread.setdefault(key, Counter())[record.status] += 1


def _by_size(spread: dict[str, Counter[Status]]) -> Spread:
    return dict(sorted(spread.items(), key=lambda entry: (-entry[1].total(), entry[0])))
