"""One trial: a campaign that is struck by faults, continued by the same command, and judged by the oracle."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .crew import is_at_work, is_connected
from .oracle import Taken
from .programs import Ended, Program
from .stage import NAME, Stage
from .verdict import REPORTED, UNDER_WAY, Verdict, judge

MOST_STARTS = 25
"""How often the same command may be needed until nothing is left."""

LEAVING = 30.0
"""Seconds within which a maker is gone whose run is gone."""

STANDSTILL = 3.0
"""Seconds without a message that are too many, even on a busy computer."""

CRAWL = 0.1
"""Seconds a message, on an average, that are too many, too."""


class Trial(Stage):
    """A campaign that is struck, what that left in doubt, and the judgement at the end."""

    def __init__(self, folder: Path, chance: random.Random, **given: Any) -> None:
        super().__init__(folder, chance, **given)
        self._strikes: list[float] = []
        self._crashes: list[float] = []
        self._unanswered = 0
        self._excused = 0
        self._doubtful = 0
        self._senders: set[str] = set()
        """The tokens of those who had sent before the last strike."""

    # -- strikes

    def stopped(self, program: Program, at: float, *, twice: bool) -> bool:
        """Wait for a program that was asked to stop, and judge how; False if that came too late."""
        ended = self.ended(program, 30)
        if ended.code in {0, 1}:
            return False
        if ended.code != 3:
            self.broken(f"ended with {ended.code} after a signal: {ended.said.strip()[-200:]}")
        # asked once, it waits for the answers: nothing may be left in doubt
        self.struck(at, lines=None if twice else 0)
        return True

    def struck(self, at: float | None = None, *, lines: int | None = None) -> int:
        """Note a fault that has just ended the program, and how many it left in doubt."""
        self._strikes.append(time.monotonic() if at is None else at)
        self.verdict.strikes += 1
        now = self.doubtful()
        # a server that a busy computer kept from answering is judged by itself
        unanswered = len(self._doubts("the server did not answer within"))
        left = now - self._doubtful - (unanswered - self._unanswered)
        self._doubtful, self._unanswered = now, unanswered
        left = min(left, self._doubts_of_new_senders())
        lines = self.connections if lines is None else lines
        self._excused += lines
        self._judge_crash(left, lines)
        return left

    def _doubts_of_new_senders(self) -> int:
        """How many are in doubt by those who began after the last strike.

        What a killed run wrote in its last moment is seen only once SQLite has recovered the ledger, and not while a maker of it, killed
        as well, has not quite gone: it comes to light after the next strike, and was left by the one before.
        """
        found = self._asked("SELECT token FROM deliveries WHERE status IN ('sending', 'uncertain')")
        new = sum(token not in self._senders for (token,) in found)
        self._senders |= {token for (token,) in self._asked("SELECT DISTINCT token FROM attempts")}
        return new

    def _judge_crash(self, left: int, lines: int) -> None:
        """At most one in doubt for each connection that the crash cut off."""
        self.verdict.worst = max(self.verdict.worst, left)
        if left > lines:
            said = Counter(text for (text,) in self._asked("SELECT text FROM attempts WHERE verdict = 'uncertain'"))
            self.broken(
                f"{left} in doubt after one crash with {self.connections} connections; {self.doubtful('sending')} open,"
                f" and noted by now: {dict(said)}"
            )

    def decided(self) -> None:
        """Somebody resolved what was in doubt."""
        self._doubtful = self.doubtful()

    def crash_server(self) -> None:
        """Kill the server, while the program may have messages on their way."""
        self._strikes.append(time.monotonic())
        self._crashes.append(time.time())  # before: the program notices at once
        self._excused += self.connections
        self.verdict.strikes += 1
        self.oracle.crash()

    def server_is_back(self, program: Program) -> None:
        """Wait until messages leave again, on every connection; what its crash left in doubt is judged at the end."""
        self.wait_for(program, min(len(self.people), self.oracle.count() + self.connections + 1), 10)

    def _judge_crashes(self) -> None:
        """What each crash of the server left in doubt, by when the program noticed."""
        if self._crashes:
            after = Counter(bisect(self._crashes, at) for at in self._doubts())
            for number in after.keys() - {0}:
                self._judge_crash(after[number], self.connections)

    def _doubts(self, text: str = "") -> list[float]:
        """When a run noted that somebody is in doubt, and said this."""
        found = self._asked("SELECT finished_at FROM attempts WHERE verdict = 'uncertain' AND instr(text, ?) > 0", text)
        return [at for (at,) in found]

    # -- makers

    def makers_at_work(self, program: Program, seconds: float = 60.0) -> list[int]:
        """A run's makers, once each has brought messages, so that striking them strikes something; fewer if it has ended."""
        deadline = time.monotonic() + seconds
        while program.poll() is None:
            found = self.crew.of(program.pid)
            if found and len(found) == (self.processes or 2) - 1 and all(map(is_at_work, found)):
                return found
            if time.monotonic() > deadline:
                self.broken(f"its makers had brought nothing after {seconds:g} seconds")
                return found
            time.sleep(0.002)
        return []

    def strike_makers(self, makers: Sequence[int], number: int) -> None:
        """Send a signal to makers alone. They hold nothing that could be lost: unlike other strikes it excuses no doubt."""
        at = time.monotonic()
        for pid in makers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number != signal.SIGCONT:
            self._strikes += [at] * len(makers)
            self.verdict.strikes += len(makers)
            self.verdict.kills += len(makers) * (number == signal.SIGKILL)

    def unharmed(self, program: Program, since: float) -> None:
        """Wait for a run of which only makers were struck: it goes on without a rest and reaches its end, leaving no doubt."""
        ended = self.ended(program)
        over = time.monotonic()
        if ended.code != (1 if self._doubtful else 0):
            self.broken(f"ended with {ended.code} though only makers were struck: {ended.said.strip()[-300:]}")
        if (left := self.doubtful() - self._doubtful) > 0:
            self.broken(f"{left} in doubt though only makers were struck")
        times = [since, *(message.at for message in self.oracle.accepted() if message.at > since), over]
        rest = max(after - before for before, after in pairwise(times))
        if rest > STANDSTILL:
            self.broken(f"nothing left for {rest:.1f} seconds though only makers were struck")
        if over - since > STANDSTILL + CRAWL * len(times):
            self.broken(f"{over - since:.1f} seconds for {len(times)} messages though only makers were struck")

    def crew_has_left(self, seconds: float = LEAVING) -> None:
        """A maker whose run is gone goes, too, and holds no connection to the server meanwhile."""
        deadline = time.monotonic() + seconds
        while left := self.crew.left():
            if connected := sum(is_connected(pid, self.oracle.port) for pid in left):
                self.broken(f"{connected} makers held a connection to the server")
            if connected or time.monotonic() > deadline:
                self.broken(f"{len(left)} makers were still there {seconds:g} seconds after their run")
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.01)

    def kill(self, program: Program, number: int = signal.SIGKILL) -> Ended:
        program.signal(number)
        at = time.monotonic()
        ended = self.ended(program)
        if ended.killed:
            self.struck(at)
        return ended

    def kill_somewhere(self) -> Ended:
        program = self.send()
        self.some_moment(program)
        return self.kill(program)

    # -- the end

    def finish(self) -> Verdict:
        """The same command until nothing is left; judge; then decide what is uncertain by the oracle, and finish."""
        self._send_all()
        self.crew_has_left()
        rows, accepted = self.rows(), self.oracle.accepted()
        judge(self.verdict, self.people, rows, accepted)
        self._judge_crashes()
        self._judge_doubt(self._unexplained(rows))
        self._compare_with_status(rows)
        self._resolve(rows, accepted)
        self._judge_end()
        self._judge_quotas()
        self._judge_last_words()
        self._recoveries()
        if failures := self.oracle.failures():
            self.broken(f"the laboratory's own server failed: {failures[-600:]}")
        return self.verdict

    def _send_all(self) -> None:
        for _ in range(MOST_STARTS):
            ended = self.ended(self.send())
            if ended.hung:
                return
            if ended.code in {0, 1}:
                return
            if ended.code not in {3, 4}:
                self.broken(f"the same command ended with {ended.code}: {ended.said.strip()[-300:]}")
                return
            self.hours_pass()
        self.broken(f"still work left after {MOST_STARTS} starts: {ended.said.strip()[-300:]}")

    def _unexplained(self, rows: Sequence[Mapping[str, str]]) -> int:
        """How many are in doubt though the server answered what was said of them."""
        withheld = {misdeed.doubts for misdeed in self.oracle.faults()}
        doubtful = [row["address"] for row in rows if row["status"] == "uncertain"]
        if any(address in withheld for address in doubtful):
            self.verdict.worst = max(self.verdict.worst, 1)
        return sum(address not in withheld for address in doubtful)

    def _judge_doubt(self, unexplained: int) -> None:
        """Without a server that withholds an answer, only crashes are an excuse: one for each connection."""
        if unexplained > self._excused:
            self.broken(f"{unexplained} uncertain for no reason where {self._excused} are allowed for crashes")

    def _judge_quotas(self) -> None:
        """Never above the limit, in any window, as the server counts."""
        begun = [(one.at, one.recipient) for one in self.oracle.begun()]
        self.verdict.broken += [breach for quota in self.quotas if (breach := quota.breach(begun))]

    def _judge_last_words(self) -> None:
        """What a run has started may say something after it has ended."""
        self.crew_has_left()
        late = [said for program in self._programs if (said := program.said()) and "Traceback" in said]
        if len(late) > self.verdict.tracebacks:
            self.verdict.tracebacks = len(late)
            self.broken(f"traceback afterwards: {late[-1].strip()[-600:]}")

    def _compare_with_status(self, rows: Sequence[Mapping[str, str]]) -> None:
        ended = self.ended(self.call("status", NAME, "--json", cold=False))
        try:
            counts = json.loads(ended.said)
        except ValueError:
            self.broken(f"status is no JSON: {ended.said.strip()[-300:]}")
            return
        tally = Counter(row["status"] for row in rows)
        if any(counts[status] != tally[status] for status in UNDER_WAY | REPORTED | {"sent"}):
            self.broken(f"status and report differ: {counts} {dict(tally)}")

    def _resolve(self, rows: Sequence[Mapping[str, str]], accepted: Sequence[Taken]) -> None:
        identifiers = {message.message_id for message in accepted}
        doubtful = [row for row in rows if row["status"] == "uncertain"]
        arrived = [row["address"] for row in doubtful if row["message_id"] in identifiers]
        others = [row["address"] for row in doubtful if row["message_id"] not in identifiers]
        for decision, addresses in (("sent", arrived), ("queued", others)):
            if addresses:
                self.ended(self.call("resolve", NAME, "--as", decision, *addresses, cold=False))
        if any(row["status"] == "failed" for row in rows):
            self.ended(self.call("retry", NAME, cold=False))
            others.append("those who failed")
        if others:
            self._send_all()

    def _judge_end(self) -> None:
        """Everyone exactly once."""
        received = Counter(address for message in self.oracle.accepted() for address in message.recipients)
        wrong = sum(received[address] != 1 for address in self.people)
        if wrong and not self.verdict.broken:
            self.verdict.missed += sum(not received[address] for address in self.people)
            self.verdict.duplicated = sum(received.values()) - len(received)
            self.broken(f"{wrong} people without exactly one message in the end")

    def _recoveries(self) -> None:
        """Seconds from each fault to the next accepted message; of cold starts only, as a user would wait."""
        times = [message.at for message in self.oracle.accepted()]
        strikes = self._strikes if self.cold else []
        for at in strikes + [misdeed.at for misdeed in self.oracle.faults()]:
            later = min((time for time in times if time > at), default=None)
            if later is not None:
                self.verdict.recoveries.append(later - at)
