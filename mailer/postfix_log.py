"""Proof from our own Postfix's log whether it took a message whose answer was lost. No I/O.

Postfix writes a message's Message-ID when its header has arrived, before it is known whether the message will be whole; only
what the queue manager then takes up, or an agent delivers, was accepted. Where the log leaves a doubt, so do we.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import Enum, StrEnum

SETTLED = 60.0
"""Seconds after an attempt within which Postfix still works on what was in its socket when the connection broke."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRADITIONAL = re.compile(rf"({'|'.join(MONTHS)}) +(\d{{1,2}}) (\d\d):(\d\d):(\d\d) ")
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ")
ENTRY = re.compile(r"(\S+) ([^\s/\[]+)/(?:[^\s\[]*/)?([\w-]+)\[(\d+)\]: (.*)")
QUEUED = re.compile(r"(?:warning: )?([0-9A-Za-z]{5,24}): (.*)")
BROKEN = re.compile(r"(?:lost connection|timeout|too many errors) after (?:DATA|BDAT)\b")
REFUSED = re.compile(
    r"(?:milter-)?reject: (?:END-OF-MESSAGE|DATA|BDAT|header|body|mime|nested)\b|queue file size limit"
)
DIVERTED = re.compile(r"(?:milter-)?(?:hold|discard): ")
LOST_LINES = re.compile(r"messages lost due to rate-limiting|lost \d+ messages|Suppressed \d+ messages", re.IGNORECASE)


class Proof(StrEnum):
    """What a log says of one message."""

    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not accepted"
    UNKNOWN = "unknown"


class Fate(Enum):
    OPEN = 0
    ACCEPTED = 1
    REFUSED = 2
    ODD = 3
    """Held, discarded or contradictory: a person has to look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of Postfix's own. `at` is Unix time; `owner` is the computer and the instance, since queue IDs are theirs."""

    at: float
    owner: tuple[str, str]
    program: str
    pid: str
    text: str


@dataclass(kw_only=True, slots=True, eq=False)
class Passage:
    """One message's way through one Postfix. A queue ID is used again later, for another passage."""

    message_id: str | None = None
    fate: Fate = Fate.OPEN


def verdicts(
    lines: Iterable[str],
    wanted: Mapping[str, tuple[float, float]],
    *,
    now: datetime,
    complete_until: float | None = None,
) -> dict[str, Proof]:
    """A proof for each Message-ID (with its angle brackets), from the lines of one log or of several, best the oldest first.

    `wanted` has when each attempt began and ended, `complete_until` up to when the log is known to be whole (its last line
    if None), in Unix time; a log that ends before an attempt began proves nothing of it. `now` is aware; its time zone is the log's, where that names none, and its year the latest.
    """
    reading = _Reading()
    entries, whole = _entries(lines, now)
    for entry in entries:
        reading.take(entry)
    first = entries[0].at if entries else now.timestamp()
    last = entries[-1].at if entries else first
    until = last if complete_until is None else complete_until
    proofs = {}
    for message_id, (started_at, finished_at) in wanted.items():
        covered = whole and bool(entries) and first <= started_at < last + 1 and finished_at + SETTLED <= until
        proofs[message_id] = _proof([p.fate for p in reading.passages if p.message_id == message_id], covered=covered)
    return proofs


def _proof(fates: list[Fate], *, covered: bool) -> Proof:
    if Fate.ACCEPTED in fates:
        return Proof.ACCEPTED
    return Proof.NOT_ACCEPTED if covered and all(fate is Fate.REFUSED for fate in fates) else Proof.UNKNOWN


class _Reading:
    """Follows queue IDs and SMTP sessions from line to line."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []
        self._by_queue_id: dict[tuple[tuple[str, str], str], Passage] = {}
        self._sessions: dict[tuple[tuple[str, str], str], Passage] = {}

    def take(self, entry: Entry) -> None:
        session = (entry.owner, entry.pid)
        match = QUEUED.fullmatch(entry.text)
        if match:
            self._queued(entry, (entry.owner, match[1]), match[2])
        elif BROKEN.match(entry.text) and session in self._sessions:
            _settle(self._sessions.pop(session), Fate.REFUSED)
        elif entry.text.startswith(("connect from", "disconnect from")):
            self._sessions.pop(session, None)

    def _queued(self, entry: Entry, key: tuple[tuple[str, str], str], text: str) -> None:
        if text.startswith(("client=", "uid=")):
            self._sessions[entry.owner, entry.pid] = self._begin(key)
        elif text.startswith("message-id="):
            passage = self._by_queue_id.get(key)
            if passage is None or passage.message_id is not None:
                passage = self._begin(key)
            passage.message_id = text.removeprefix("message-id=")
            self.passages.append(passage)
        elif key in self._by_queue_id and (fate := _told(entry.program, text)):
            _settle(self._by_queue_id[key], fate)

    def _begin(self, key: tuple[tuple[str, str], str]) -> Passage:
        self._by_queue_id[key] = Passage()
        return self._by_queue_id[key]


def _told(program: str, text: str) -> Fate | None:
    if REFUSED.match(text):
        return Fate.REFUSED
    if DIVERTED.match(text):
        return Fate.ODD
    taken_up = program in {"qmgr", "nqmgr"} and (text == "removed" or text.endswith("(queue active)"))
    return Fate.ACCEPTED if taken_up or (text.startswith("to=<") and "status=" in text) else None


def _settle(passage: Passage, fate: Fate) -> None:
    passage.fate = fate if passage.fate in {Fate.OPEN, fate} else Fate.ODD


def _entries(lines: Iterable[str], now: datetime) -> tuple[list[Entry], bool]:
    """Postfix's lines by time, and whether the system says that it lost none."""
    whole, found = True, []
    for line in lines:
        whole = whole and LOST_LINES.search(line) is None
        for at, rest in _dated(line, now):
            if match := ENTRY.match(rest):
                owner = (match[1], match[2])
                found.append(Entry(at=at, owner=owner, program=match[3], pid=match[4], text=match[5].rstrip()))
    found.sort(key=lambda entry: entry.at)  # stable: within a second the order of the file counts
    return found, whole


def _dated(line: str, now: datetime) -> Iterator[tuple[float, str]]:
    try:
        if match := TRADITIONAL.match(line):
            yield _in_year(match, now).timestamp(), line[match.end() :]
        elif match := RFC3339.match(line):
            yield datetime.fromisoformat(match[1]).timestamp(), line[match.end() :]
    except (ValueError, OverflowError, OSError):
        return


def _in_year(match: re.Match[str], now: datetime) -> datetime:
    """The latest such day that is not in the future: these lines have no year."""
    zone: tzinfo | None = now.tzinfo
    month = MONTHS.index(match[1]) + 1
    day, hour, minute, second = map(int, match.groups()[1:])
    for year in range(now.year, now.year - 5, -1):  # five, for the 29th of February
        try:
            at = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        except ValueError:
            continue
        if at <= now + timedelta(days=1):
            return at
    raise ValueError("no such day")
