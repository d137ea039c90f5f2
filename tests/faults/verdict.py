"""What a trial came to: the ledger's report held against what the server wrote down."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .oracle import Taken

UNDER_WAY = frozenset({"queued", "sending", "deferred"})
REPORTED = frozenset({"failed", "uncertain", "skipped", "suppressed"})


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


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
