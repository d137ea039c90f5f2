"""One sender a campaign: a lock that a dead process cannot keep."""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from typing import Self

from mailer.errors import InUseError, quoted
from mailer.ledger.connection import ACCOUNT
from mailer.ledger.ledger import Ledger
from mailer.model import CampaignRecord, counted, said
from mailer.times import local_time

SINCE = "%Y-%m-%d %H:%M:%S UTC"
NOTED = re.compile(r"process (?P<pid>\d+) on (?P<computer>.+), started (?P<since>.+ UTC)", re.DOTALL)


class SenderLock:
    """Held while a campaign is being sent. Raises InUseError if another process holds it.

    The lock is the operating system's, or the database server's, so that it ends with the process however it ends; the owner's
    host, pid and start time stand in the ledger, for the message only.

    Raises CampaignError, too, if the campaign was `moved` to another ledger, unless that is what is being done, or it is no matter.
    """

    def __init__(self, ledger: Ledger, campaign: str, *, moved: bool = False) -> None:
        self._ledger = ledger
        self._campaign = campaign
        self._moved = moved
        self._lock = ledger.lock(campaign)

    def __enter__(self) -> Self:
        # `status` holds it for an instant to see whether it is held
        if not self._lock.acquire(1):
            who = who_sends(self._ledger, self._campaign)
            raise InUseError(
                said(
                    "Campaign {name!r} is being sent just now by {who}. Nothing was sent from here.",
                    name=self._campaign,
                    who=who,
                )
                if who
                else said("Campaign {name!r} is being sent just now. Nothing was sent from here.", name=self._campaign),
                hint=said("{command}", command=f"mailer status {quoted(self._campaign)}"),
            )
        if not self._moved:
            try:
                self._ledger.refuse_moved(self._campaign)
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def is_held(self) -> bool:
        """Whether a process is sending the campaign just now."""
        return self._lock.is_held()


def who_sends(ledger: Ledger, campaign: str) -> str | None:
    """In words, as far as they have said so."""
    if ledger.is_shared:
        there = [one.owner for one in ledger.shared.presences() if campaign in one.campaigns]
        if there:
            return counted("a worker ({owners})", "{number} workers ({owners})", len(there), owners="; ".join(there))
    found = ledger.owner(campaign)
    return owner_in_words(found) if found else None


def owner_in_words(owner: str) -> str:
    """What a sender noted of itself, with the time as the clock on the wall shows it."""
    noted = NOTED.fullmatch(owner)
    if noted is None:
        return owner
    try:
        since = datetime.strptime(noted["since"], SINCE).replace(tzinfo=UTC)
    except ValueError:
        return owner
    if noted["computer"] == socket.gethostname():
        return said("process {pid} on this computer, since {since}", pid=noted["pid"], since=local_time(since))
    return said(
        "process {pid} on {computer}, since {since}",
        pid=noted["pid"],
        computer=noted["computer"],
        since=local_time(since),
    )


def settle(ledger: Ledger, campaign: CampaignRecord) -> CampaignRecord:
    """If nobody sends the campaign, turn what a dead sender left behind into uncertain, so that it can be decided."""
    if ledger.is_read_only:
        return campaign
    lock = SenderLock(ledger, campaign.name)
    if not lock.is_held():
        with lock:
            mark_interrupted(ledger, campaign)
    return campaign


def mark_interrupted(ledger: Ledger, campaign: CampaignRecord) -> None:
    """Turn what a dead sender left behind into uncertain. Call under the campaign's lock."""
    what = "this computer" if ledger.went_down(campaign) else "the program"
    ledger.mark_interrupted(campaign, what=what)


def put_back(ledger: Ledger, *, nothing_sent_since: bool) -> dict[str, int]:
    """The ledger was put back from a back-up: how many of which campaign are in doubt now.

    Raises InUseError while anybody sends from it, or could at any moment.
    """
    with ExitStack() as locks:
        for campaign in ledger.campaigns():
            locks.enter_context(SenderLock(ledger, campaign.name, moved=True))
        if ledger.is_shared and (there := ledger.shared.presences()):
            raise InUseError(
                said(
                    "Workers are there just now: {workers}. Nothing was changed.",
                    workers=", ".join(one.owner for one in there),
                ),
                hint="end them first, then run the same command again",
            )
        if nothing_sent_since:
            ledger.settle_in()
            return {}
        return ledger.doubt_open()


class AccountLock:
    """Held while a mail account sends from this ledger, since two senders at once would each use its whole quota.

    Raises InUseError if another process holds it.
    """

    what = said("This mail account is sending just now")

    def __init__(self, ledger: Ledger, account: str) -> None:
        self._ledger = ledger
        self._lock = ledger.lock(account, ACCOUNT)

    def __enter__(self) -> Self:
        self._ledger.leave_trace()
        # a page holds it for an instant to see whether it is held
        if not self._lock.acquire(1):
            sending = (c for c in self._ledger.campaigns() if c.owner and SenderLock(self._ledger, c.name).is_held())
            known = next(
                (
                    said(
                        "{what}, for campaign {name!r} ({owner})",
                        what=self.what,
                        name=c.name,
                        owner=owner_in_words(c.owner or ""),
                    )
                    for c in sending
                ),
                self.what,
            )
            raise InUseError(
                said("{what}. Two at once would go beyond its limit. Nothing was sent from here.", what=known),
                hint="wait until it is done, or pause it there with Ctrl-C",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def is_held(self) -> bool:
        """Whether somebody sends over the account just now."""
        return self._lock.is_held()


class DomainsLock(AccountLock):
    """Held while domains have quotas of their own: they count whatever account a message goes over."""

    what = said("A limit of a domain is in use by another sender just now")

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, "every domain")


def owner() -> str:
    """Say who sends, for a second starter to read, in the same words each time: what it noted is found again by them.

    Stays on this machine: it never enters a message.
    """
    return _owner(os.getpid())


@cache
def _owner(pid: int) -> str:
    since = datetime.now(UTC).strftime(SINCE)
    return str(
        said("process {pid} on {computer}, started {since}", pid=pid, computer=socket.gethostname(), since=since)
    )
