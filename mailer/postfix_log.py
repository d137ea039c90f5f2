"""Proof from our own Postfix's log whether it took a message whose answer was lost. No I/O.

Silence proves nothing: the log may be another server's, or a part of it may be missing. So both verdicts rest on what the log
says of this very Message-ID. Postfix writes it when the header has arrived, before it is known whether the message will be
whole; what the queue manager then takes up, or an agent delivers, was accepted. It was not accepted if its reception was
refused, or broke off within the content. Since a server further on writes the same of its own receptions, that counts only
where a witness shows that the log is our relay's: a message that the relay took, by the queue ID in its answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from functools import lru_cache
from itertools import chain

CLOCKS_AGREE = 0.5
"""Seconds by which the clocks of two computers may differ unnoticed. Shorter than our program takes to start again."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRADITIONAL = re.compile(rf"({'|'.join(MONTHS)}) +(\d{{1,2}}) (\d\d):(\d\d):(\d\d) ")
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(?:Z|[+-]\d\d:?\d\d)) ")
ENTRY = re.compile(r"(\S+) ([^\s/\[]+)/(?:[^\s\[]*/)?([\w-]+)\[(\d+)\]: (.*)")
# its answer to the final dot: "250 2.0.0 Ok: queued as 4FxZ2k0Xq1z3Y"
QUEUED_AS = re.compile(r"\bqueued as ([0-9A-Za-z]{5,24})\b")
QUEUED = re.compile(r"(?:warning: )?(?!NOQUEUE)([0-9A-Za-z]{5,24}): (.*)")
CLIENT = re.compile(r"(?:connect from |client=)[^\s,\[]+\[([^\]]+)\]")
# With the bytes: within the content. Without them it was before, and after END-OF-MESSAGE the message may be in the queue.
BROKEN = re.compile(r"(?:lost connection|timeout) after (?:DATA|BDAT) \(\d+ bytes\) from [^\s\[]+\[([^\]]+)\]")
GOODBYE = re.compile(r"disconnect from [^\s\[]+\[[^\]]+\].*? data=(\d+)\b")
REFUSED = re.compile(
    r"(?:milter-)?reject: (?:END-OF-MESSAGE|DATA|BDAT|header|body|mime|nested)\b|queue file size limit"
)
DIVERTED = re.compile(r"(?:milter-)?(?:hold|discard): ")
LOST_LINES = re.compile(r"messages lost due to rate-limiting|lost \d+ messages|Suppressed \d+ messages", re.IGNORECASE)


class Proof(StrEnum):
    """What a log proves of one message; all but the first two leave it unknown."""

    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not accepted"
    ABSENT = "not in the log"
    UNFINISHED = "its end is not in the log"
    UNWITNESSED = "not shown to be the relay's log"
    MISTIMED = "at another time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """A message that the relay certainly took. `message_id` is None for a test; times are Unix time."""

    queue_id: str
    message_id: str | None
    began: float
    ended: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """An attempt without an answer. `began` is when all but the final dot was on its way, in Unix time."""

    message_id: str
    key: str
    began: float
    rivals: int
    """Attempts at the same delivery that ended shortly before."""

    witnesses: tuple[Witness, ...]


class Fate(Enum):
    OPEN = 0
    ACCEPTED = 1
    REFUSED = 2
    BROKEN = 3
    ODD = 4
    """Held, discarded or contradictory: a person has to look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of Postfix's own, written from `at` to `until`, by the log's clock.

    `owner` is the computer and the instance, since queue IDs are theirs.
    """

    at: float
    until: float
    owner: tuple[str, str]
    program: str
    pid: str
    text: str


@dataclass(kw_only=True, slots=True, eq=False)
class Reception:
    """One message's way into one Postfix. A queue ID is used again later, for another reception."""

    owner: tuple[str, str]
    client: str | None = None
    session: Session | None = None
    message_id: str | None = None
    fate: Fate = Fate.OPEN
    began: float | None = None
    ended: float | None = None
    """When it was accepted, or at the latest when the client was gone."""

    def settle(self, fate: Fate, entry: Entry) -> None:
        """Note what a line says of it. Two lines that contradict each other are odd."""
        if self.fate is Fate.OPEN:
            self.fate, self.ended = fate, entry.until
        elif {self.fate, fate} not in ({fate}, {Fate.REFUSED, Fate.BROKEN}):
            self.fate = Fate.ODD

    @property
    def not_accepted(self) -> bool:
        """Whether that is beyond doubt, also if lines are missing: then the session's own count does not add up."""
        if self.fate is Fate.REFUSED:
            return True
        if self.fate is not Fate.BROKEN or self.session is None or self.session.taken is None:
            return False
        return self.session.taken <= sum(other.fate is Fate.ACCEPTED for other in self.session.receptions)


@dataclass(kw_only=True, slots=True, eq=False)
class Session:
    """A client's connection. `taken` is how many messages Postfix says, at its end, to have taken from it."""

    client: str
    receptions: list[Reception] = field(default_factory=list)
    taken: int | None = None


def verdicts(
    logs: Iterable[Iterable[str]], doubts: Collection[Doubt], *, now: datetime | None = None
) -> dict[str, Proof]:
    """What the files of a log, each an iterable of lines, prove of each doubt, by its Message-ID.

    The time zone of `now` is the log's, where that names none, and its year the latest. By default the log is of this computer.
    """
    # without a zone, each line has the offset of its own day: there is summer time
    now = now or datetime.now()  # noqa: DTZ005
    reading = _Reading(
        {doubt.message_id for doubt in doubts},
        {witness.queue_id for doubt in doubts for witness in doubt.witnesses},
    )
    for entries in _oldest_first([_entries(lines, now, reading) for lines in logs]):
        reading.begin_file()
        for entry in entries:
            reading.take(entry)
    return {doubt.message_id: _judge(doubt, reading) for doubt in doubts}


def _judge(doubt: Doubt, reading: _Reading) -> Proof:
    receptions = reading.wanted.get(doubt.message_id, [])
    if not receptions:
        return Proof.ABSENT
    if any(reception.fate is Fate.ACCEPTED for reception in receptions):
        return Proof.ACCEPTED
    if reading.lines_lost or not all(reception.not_accepted for reception in receptions):
        return Proof.UNFINISHED
    witnessed = [(reception, _clocks(doubt, reception, reading)) for reception in receptions]
    tied = [_is_attempt(doubt, reception, *clocks) for reception, clocks in witnessed if clocks]
    if not tied:
        return Proof.UNWITNESSED
    # another attempt's broken reception must not pass for this one's
    return Proof.NOT_ACCEPTED if sum(tied) > doubt.rivals else Proof.MISTIMED


def _clocks(doubt: Doubt, reception: Reception, reading: _Reading) -> tuple[float, float] | None:
    """By how much the log's clock is before ours, at least and at most; None without a witness.

    A witness is from the same Postfix and the same client: the client of a server further on is our relay, not we.
    """
    at_least, at_most = [], []
    for witness in doubt.witnesses:
        for seen in reading.witnesses.get(witness.queue_id, []):
            same_place = seen.owner == reception.owner and seen.client is not None and seen.client == reception.client
            same_message = witness.message_id in {None, seen.message_id}
            if seen.fate is Fate.ACCEPTED and same_place and same_message and seen.began and seen.ended:
                at_least.append(seen.began - witness.ended)
                at_most.append(seen.ended - witness.began)
    return (max(at_least), min(at_most)) if at_least else None


def _is_attempt(doubt: Doubt, reception: Reception, at_least: float, at_most: float) -> bool:
    """Whether the reception had begun, and had not ended, when all but the final dot was on its way."""
    if at_least - CLOCKS_AGREE <= 0 <= at_most + CLOCKS_AGREE:
        at_least = at_most = 0.0
    if reception.began is None or reception.ended is None or at_least > at_most:  # or a clock was set
        return False
    has_begun = reception.began - CLOCKS_AGREE <= doubt.began + at_most
    return has_begun and doubt.began + at_least <= reception.ended + CLOCKS_AGREE


class _Reading:
    """Follows queue IDs and SMTP sessions from line to line."""

    def __init__(self, message_ids: Collection[str], queue_ids: Collection[str]) -> None:
        self.wanted: dict[str, list[Reception]] = {}
        self.witnesses: dict[str, list[Reception]] = {}
        self.lines_lost = False
        self._message_ids = message_ids
        self._queue_ids = queue_ids
        self._by_queue_id: dict[tuple[tuple[str, str], str], Reception] = {}
        self._sessions: dict[tuple[tuple[str, str], str], Session] = {}

    def begin_file(self) -> None:
        """Between two files another one may be missing; a session is only whole within one."""
        self._sessions.clear()

    def take(self, entry: Entry) -> None:
        if match := QUEUED.fullmatch(entry.text):
            self._queued(entry, match[1], match[2])
        elif entry.program == "smtpd":
            self._session(entry)

    def _session(self, entry: Entry) -> None:
        key = (entry.owner, entry.pid)
        if entry.text.startswith("connect from "):
            client = CLIENT.match(entry.text)
            self._sessions[key] = Session(client=client[1] if client else "")
        session = self._sessions.get(key)
        last = session.receptions[-1] if session and session.receptions else None
        if not session or not last:
            return
        if (match := BROKEN.match(entry.text)) and match[1] == session.client:
            last.settle(Fate.BROKEN, entry)
        elif entry.text.startswith("disconnect from "):
            match = GOODBYE.match(entry.text)
            session.taken = int(match[1]) if match else None
            if last.fate in {Fate.REFUSED, Fate.BROKEN}:
                last.ended = entry.until
            del self._sessions[key]

    def _queued(self, entry: Entry, queue_id: str, text: str) -> None:
        key = (entry.owner, queue_id)
        if text.startswith(("client=", "uid=")):
            self._begin(key, entry, CLIENT.match(text))
        elif text.startswith("message-id="):
            reception = self._by_queue_id.get(key)
            if reception is None or reception.message_id is not None:
                reception = self._begin(key, entry, None)
            reception.message_id = text.removeprefix("message-id=")
            if reception.message_id in self._message_ids:
                self.wanted.setdefault(reception.message_id, []).append(reception)
        elif key in self._by_queue_id and (fate := _told(entry.program, text)):
            self._by_queue_id[key].settle(fate, entry)
            if text == "removed":
                del self._by_queue_id[key]

    def _begin(self, key: tuple[tuple[str, str], str], entry: Entry, client: re.Match[str] | None) -> Reception:
        reception = Reception(owner=entry.owner, began=entry.at)
        if client:
            reception.client = client[1]
            session = self._sessions.get((entry.owner, entry.pid))
            if session and session.client == client[1]:
                reception.session = session
                session.receptions.append(reception)
        self._by_queue_id[key] = reception
        if key[1] in self._queue_ids:
            self.witnesses.setdefault(key[1], []).append(reception)
        return reception


def _told(program: str, text: str) -> Fate | None:
    if REFUSED.match(text):
        return Fate.REFUSED
    if DIVERTED.match(text):
        return Fate.ODD
    taken_up = program in {"qmgr", "nqmgr"} and (text == "removed" or text.endswith("(queue active)"))
    delivered = program not in {"smtpd", "cleanup"} and text.startswith("to=<") and "status=" in text
    return Fate.ACCEPTED if taken_up or delivered else None


def _oldest_first(logs: Iterable[Iterator[Entry]]) -> list[Iterator[Entry]]:
    begun = [(first, rest) for rest in logs if (first := next(rest, None))]
    begun.sort(key=lambda log: log[0].at)
    return [chain([first], rest) for first, rest in begun]


def _entries(lines: Iterable[str], now: datetime, reading: _Reading) -> Iterator[Entry]:
    """Postfix's lines, in the order of the file: a clock may be set back."""
    for line in lines:
        if LOST_LINES.search(line):
            reading.lines_lost = True
        for at, until, rest in _dated(line, now):
            if match := ENTRY.match(rest):
                owner = (match[1], match[2])
                yield Entry(at=at, until=until, owner=owner, program=match[3], pid=match[4], text=match[5].rstrip())


def _dated(line: str, now: datetime) -> Iterator[tuple[float, float, str]]:
    try:
        if match := TRADITIONAL.match(line):
            at = _in_year(match[0], now)
            yield at, at + 1, line[match.end() :]
        elif match := RFC3339.match(line):
            at = datetime.fromisoformat(match[1]).timestamp()
            yield at, at if match[2] else at + 1, line[match.end() :]
    except (ValueError, OverflowError, OSError):
        return


@lru_cache(maxsize=16)
def _in_year(text: str, now: datetime) -> float:
    """The latest such day that is not in the future: these lines have no year. Raises ValueError."""
    month, day, clock = text.split()
    hour, minute, second = map(int, clock.split(":"))
    for year in range(now.year, now.year - 5, -1):  # five, for the 29th of February
        try:
            at = datetime(year, MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=now.tzinfo)
        except ValueError:
            continue
        if at <= now + timedelta(days=1):
            return at.timestamp()
    raise ValueError("no such day")
