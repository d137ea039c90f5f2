"""How `mailer send` sends: here and now, or by leaving it to workers (--detach)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock
from typing import TYPE_CHECKING, Any, Protocol

import typer

from mailer.cli import console
from mailer.cli.office import told_hours
from mailer.cli.standing import QUEUE, command, show_workers, standing
from mailer.errors import CampaignError, SettingsError, UsageError, quoted
from mailer.times import local_time

if TYPE_CHECKING:
    from mailer.campaign.send import Prepared, Result
    from mailer.campaign.source import Source
    from mailer.ledger import Ledger, SenderLock
    from mailer.model import CampaignRecord

INSTALL = 'python -m pip install "procrastinate>=3.10" "psycopg[binary]"'
"""What the extra `postgresql` installs."""


class Way(Protocol):
    """How a campaign is sent."""

    def sender_lock(self, ledger: Ledger, source: Source, *, update: bool, as_json: bool) -> SenderLock: ...
    def sending(self, here: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """What does it, given what sends here."""
        ...

    def end(self, ledger: Ledger, result: Result, *, as_json: bool) -> None:
        """What is to be said, and the exit code, where it is not that of a run."""
        ...


class Here:
    """By this process."""

    def sender_lock(self, ledger: Ledger, source: Source, *, update: bool, as_json: bool) -> SenderLock:  # noqa: ARG002
        from mailer.ledger import SenderLock  # noqa: PLC0415

        return SenderLock(ledger, source.name)

    def sending(self, here: Callable[..., Any], *given: Any, **options: Any) -> Any:
        return here(*given, **options)

    def end(self, ledger: Ledger, result: Result, *, as_json: bool) -> None:
        pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Detached:
    """By workers."""

    queue: str
    not_before: float | None

    def sender_lock(self, ledger: Ledger, source: Source, *, update: bool, as_json: bool) -> SenderLock:
        """Ends the command where workers are at it already, and nothing is to be changed."""
        from mailer.ledger import SenderLock  # noqa: PLC0415

        campaign = source.name
        shared = ledger.shared  # raises CampaignError for a ledger in a file
        begun = ledger.campaign(campaign)
        left = shared.standing(begun) if begun else None
        lock = SenderLock(ledger, campaign)
        if begun and left and not left.halt and lock.is_held():
            wanted = source.timing.beside(begun)
            if update or wanted.written != (begun.hours, begun.zone):
                raise CampaignError(
                    f"Workers are sending campaign {campaign!r} just now, as it was. Nothing was changed.",
                    hint=f"{command('pause', begun)}, then the same command again",
                )
            say_left(ledger, campaign, as_json=as_json)
            raise typer.Exit
        return lock

    def sending(self, here: Callable[..., Any], *given: Any, **options: Any) -> Any:
        return here(*given, **options, leaving=self)

    def end(self, ledger: Ledger, result: Result, *, as_json: bool) -> None:
        """Nothing is left to do here. Whether everything arrives is the workers' exit code, and `mailer status` tells."""
        if result.tally.work_left:
            say_left(ledger, result.campaign.name, as_json=as_json)
            raise typer.Exit

    def leave(self, prepared: Prepared, ledger: Ledger, *, batch_size: int) -> CampaignRecord:
        """Hand it over. Raises SettingsError without the library that brings batches to workers."""
        with installed():
            from mailer.cluster.leaving import leave  # noqa: PLC0415 - optional

        return leave(prepared, ledger, queue=self.queue, batch_size=batch_size, not_before=self.not_before)


@contextmanager
def installed() -> Iterator[None]:
    """Around imports of what workers need. Raises SettingsError where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise SettingsError("Workers need a library that is not installed.", hint=INSTALL) from error


def way_of(*, detach: bool, queue: str | None, at: str | None, not_with: Mapping[str, object]) -> Way:
    """What the options ask for. `not_with`: what only a run from here can do. Raises UsageError."""
    if not detach:
        if only := [name for name, value in (("--queue", queue), ("--at", at)) if value]:
            raise UsageError(
                f"{only[0]} is for campaigns that are left to workers.", hint="add --detach, or leave it out"
            )
        return Here()
    if others := [name for name, value in not_with.items() if value]:
        raise UsageError(
            f"{others[0]} is for a run from here, and with --detach workers send.",
            hint=f"leave out {others[0]}, or --detach",
        )
    return Detached(queue=queue or QUEUE, not_before=moment_of(at) if at else None)


def moment_of(text: str, now: float | None = None) -> float:
    """The time of --at by this computer's clock, the next one where there is no date. Raises UsageError."""
    try:
        if re.fullmatch(r"\d{1,2}:\d\d", text):
            hour, minute = map(int, text.split(":"))
            return _next(clock(hour, minute), time.time() if now is None else now)
        return datetime.fromisoformat(text).timestamp()  # without a zone it is that of this computer
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--at {text!r} is not a time.", hint='write --at 18:30, or with the date: --at "2027-03-08 09:00"'
        ) from None


def _next(at: clock, now: float) -> float:
    """When this computer's clock next shows that.

    What summer time leaves out comes as much later; what it has twice, the first time that is still to come.
    """
    today = datetime.fromtimestamp(now).astimezone().date()
    # without a zone: an offset from UTC is that of one moment, and another one may hold by tomorrow
    days = (today, today + timedelta(days=1))
    moments = (datetime.combine(day, at.replace(fold=fold)).timestamp() for day in days for fold in (0, 1))
    return next(moment for moment in moments if moment > now)


def say_left(ledger: Ledger, name: str, *, as_json: bool) -> None:
    """That a campaign is with the workers now, who they are, and what to do next."""
    campaign = ledger.find(name)
    left = ledger.shared.standing(campaign)
    if as_json:
        console.emit(standing(ledger, campaign))
        return
    tally = ledger.tally(campaign)
    number = left.batches if left else 0
    batches = "1 batch" if number == 1 else f"{number:,} batches"
    console.say(f"Campaign {name}: {tally.work_left:,} messages in {batches} are left to workers.", sentence=True)
    if left and left.not_before and left.not_before.timestamp() > time.time():
        console.say(f"Not before {local_time(left.not_before)}.")
    if away := ledger.out_of_hours(campaign, time.time()):
        console.say(told_hours(campaign, away))
    show_workers(ledger, left.queue if left else QUEUE)
    console.say(f"How far it is:  {command('status', campaign)}")
    console.say(f"To pause it:    mailer pause {quoted(name)}")
