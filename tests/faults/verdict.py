"""What a trial came to: the ledger's report held against what the server wrote down."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .oracle import Taken

UNDER_WAY = frozenset({"queued", "sending", "deferred"})
REPORTED = frozenset({"failed", "uncertain", "skipped", "suppressed"})


GRAIN = 0.005
"""Seconds by which two readings of clocks may differ: the server's, and the ledger's of a sender that was killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """At most so many transactions within so many seconds: of one domain, or of the account."""

    count: int
    seconds: int
    domain: str = ""

    @property
    def setting(self) -> str:
        return "MAILER_DOMAIN_RATE" if self.domain else "MAILER_RATE"

    @property
    def value(self) -> str:
        return f"{self.domain}{'=' if self.domain else ''}{self.count}/{self.seconds} seconds"

    def breach(self, begun: Iterable[tuple[float, str]]) -> str:
        """What broke it, in words; of transactions by when they began and to whom."""
        times = [at for at, recipient in begun if not self.domain or recipient.endswith(f"@{self.domain}")]
        most = most_within(times, self.seconds)
        return f"{most} were begun within {self.seconds} seconds where {self.value} is allowed" * (most > self.count)


@dataclass(kw_only=True)
class Verdict:
    """What a trial came to. `broken` says in words which promise did not hold."""

    strikes: int = 0
    duplicated: int = 0
    missed: int = 0
    false_sent: int = 0
    uncertain: int = 0
    worst: int = 0
    not_taken: int = 0
    hangs: int = 0
    tracebacks: int = 0
    recoveries: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0
    kills: int = 0
    connections: int = 1
    processes: int | None = 1
    """None: it may begin makers by itself."""
    pipelining: str = "auto"


def judge(
    verdict: Verdict, people: Sequence[str], rows: Sequence[Mapping[str, str]], accepted: Sequence[Taken]
) -> None:
    """Count who was mailed twice, missed, or called what they are not."""
    received = Counter(address for message in accepted for address in message.recipients)
    identifiers = {message.message_id for message in accepted}
    standing = {row["address"]: row["status"] for row in rows}
    doubtful = [row for row in rows if row["status"] == "uncertain"]
    verdict.duplicated = sum(received.values()) - len(received)
    verdict.missed = sum(not received[address] and standing.get(address) not in REPORTED for address in people)
    verdict.false_sent = sum(row["status"] == "sent" and row["message_id"] not in identifiers for row in rows)
    verdict.uncertain = len(doubtful)
    verdict.not_taken = sum(row["message_id"] not in identifiers for row in doubtful)
    forgotten = [row for row in rows if row["message_id"] in identifiers and row["status"] not in {"sent", "uncertain"}]
    for what, count in (
        ("mailed twice", verdict.duplicated),
        ("missed", verdict.missed),
        ("called sent, but they were not", verdict.false_sent),
        ("mailed who are not on the list", len(received.keys() - set(people))),
        ("accepted but called something else than sent or uncertain", len(forgotten)),
    ):
        if count:
            verdict.broken.append(f"{count} {what}")


def most_within(times: Iterable[float], seconds: float) -> int:
    """The most of these moments that any window of so many seconds holds."""
    found = sorted(times)
    return max(
        (position + 1 - bisect_right(found, at - seconds + GRAIN) for position, at in enumerate(found)), default=0
    )


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
