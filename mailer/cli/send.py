"""`mailer send` and `status`: the campaign itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailer.cli import console
from mailer.cli.again import NOT_ANEW, again, over_another
from mailer.cli.confirming import confirm, confirm_exodus, refuse_to_repeat
from mailer.cli.detaching import Detached, way_of
from mailer.cli.glance import look_before_sending
from mailer.cli.options import (
    AtOption,
    BatchPauseOption,
    BatchSizeOption,
    CampaignOption,
    ConnectionsOption,
    EmailColumnOption,
    GiveUpOption,
    GoneOption,
    HoldAfterOption,
    HoursOption,
    JsonOption,
    ListArgument,
    PipeliningOption,
    ProblemsOption,
    ProcessesOption,
    QueueOption,
    RateOption,
    RelayOption,
    SheetOption,
    SkipProblemsOption,
    TemplateArgument,
    ZoneColumnOption,
    account_of,
    joined,
    limits_of,
    named,
    overrides,
    relay_of,
    settings_here,
    source_of,
)
from mailer.cli.progress import ProgressLine, counted
from mailer.cli.recipients import accounted, messages, show_subject
from mailer.cli.result import show_result
from mailer.cli.saving import save_problems
from mailer.cli.standing import show_tally
from mailer.cli.stopping import interrupted, stopping
from mailer.cli.unlocking import keep_outside, open_ledger, warn_of_readable_ledger
from mailer.errors import LedgerError, MailerError, Paused, UsageError
from mailer.retry import LONGEST

if TYPE_CHECKING:
    from mailer.campaign.observer import Observer
    from mailer.campaign.run import Run
    from mailer.campaign.send import Prepared, Result
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord
    from mailer.settings import Settings

HEED_SECONDS = 0.5


def send(
    template: TemplateArgument,
    contact_list: ListArgument,
    *,
    campaign: CampaignOption = None,
    seal: Annotated[
        str | None, typer.Option("--seal", metavar="SEAL", help="Send only what was previewed under this seal.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the number of messages to be typed.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Try at most so many messages in this run.")
    ] = None,
    relay: RelayOption = None,
    rate: RateOption = None,
    batch_size: BatchSizeOption = None,
    batch_pause: BatchPauseOption = None,
    connections: ConnectionsOption = None,
    processes: ProcessesOption = None,
    pipelining: PipeliningOption = None,
    hold_after: HoldAfterOption = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until everything is final, also hours for those to try again.")
    ] = False,
    give_up_after: GiveUpOption = None,
    update: Annotated[
        bool, typer.Option("--update", help="Send the rest with the changed letter or list, and to new addresses.")
    ] = False,
    gone: GoneOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the sending to workers (mailer worker); needs PostgreSQL.")
    ] = False,
    queue: QueueOption = None,
    at: AtOption = None,
    hours: HoursOption = None,
    zone_column: ZoneColumnOption = None,
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    problems: ProblemsOption = None,
    skip_problems: SkipProblemsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a campaign, or continue it.

    The same command again always continues, and never mails anybody twice. Ctrl-C pauses safely.

    \b
    Example:
      mailer send solidarity-appeal contacts/branches.csv --rate 20/minute
    """  # noqa: D301
    from mailer.campaign import send as steps  # noqa: PLC0415

    gc.freeze()  # what was imported stays, and is not to be looked through before the first message
    settings = settings_here(
        overrides(
            rate=joined(rate),
            batch_size=batch_size,
            batch_pause=batch_pause,
            connections=connections,
            processes=processes,
            pipelining=pipelining,
            hours=hours,
        ),
        to_send=True,
    )
    patience = seconds_of(give_up_after)
    account = account_of(settings, relay, alone=not detach)
    columns = {"email_column": email_column, "zone_column": zone_column}
    source = source_of(settings, template, contact_list, campaign=campaign, sheet=sheet, **columns)
    keep_outside(problems, settings)
    warn_of_readable_ledger(settings, contact_list)
    only_here = named(relay=relay, limit=limit, hold_after=hold_after, wait=wait, give_up_after=give_up_after)
    way = way_of(detach=detach, queue=queue, at=at, not_with=only_here)
    with open_ledger(settings) as ledger, way.sender_lock(ledger, source, update=update, as_json=as_json):
        forget_earlier_run(ledger, source.name)
        with nothing_sent(), counted("Checking every message") as progress:
            prepared = steps.prepare(
                source,
                settings.identity(),
                ledger,
                seal=seal,
                update=update,
                skip_problems=skip_problems,
                on_progress=progress,
                on_plan=lambda plan: save_problems(problems, plan.contacts, plan.unrendered.values()),
            )
        if yes and campaign is None:
            refuse_to_repeat(prepared)
        if prepared.exodus:
            confirm_exodus(prepared.exodus, confirmed=yes, gone=gone)
        so = {"limit": limit, "hold_after": hold_after, "wait": wait, "give_up_after": patience, "as_json": as_json}
        sending = way.sending(Sending, account, ledger, prepared, **so)
        result = sending.go(confirmed=yes)
        way.end(ledger, result, as_json=as_json)
    sending.show(result, elsewhere=over_another(settings, account))
    raise typer.Exit(result.exit_code)


def forget_earlier_run(ledger: Ledger, name: str) -> None:
    """What it left behind is settled before anything is counted. Call under the campaign's lock."""
    from mailer.ledger import mark_interrupted  # noqa: PLC0415

    if begun := ledger.campaign(name):
        mark_interrupted(ledger, begun)
    if ledger.asked_to_pause(name):
        ledger.forget_to_pause(name)


class Sending:
    """One `mailer send`, from the question to the result. `watched` may put an observer before the line; it can stop the run."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        prepared: Prepared,
        *,
        limit: int | None = None,
        hold_after: int | None = None,
        wait: bool = False,
        give_up_after: float = LONGEST,
        as_json: bool = False,
        watched: Callable[[ProgressLine, Callable[[], None]], Observer] = lambda line, _: line,
        leaving: Detached | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._prepared = prepared
        self._limit = limit
        self._hold_after = hold_after
        self._wait = wait
        self._give_up_after = give_up_after
        self._as_json = as_json
        self._watched = watched
        self._leaving = leaving
        self.held: int | None = None
        self._idle = False
        self._relay_failed = False

    def go(self, *, confirmed: bool) -> Result:
        """Ask, freeze, send, sum up. Raises MailerError for whatever keeps it from starting."""
        from mailer.campaign import send as steps  # noqa: PLC0415

        due = steps.to_send(self._prepared, self._ledger)
        limit = self._allowed()
        count = due if limit is None else min(due, limit)
        with self._alone():
            self._announce(count, due)
            if count:
                with nothing_sent():
                    look_before_sending(self._settings, self._prepared)
            if count and not confirmed:
                show_subject(self._prepared, self._ledger)
                confirm(count)
            return self._go(count, limit, due)

    def show(self, result: Result, *, elsewhere: str | None) -> None:
        """What it came to; `elsewhere` continues over another account."""
        show_result(
            result,
            command=again(),
            anew=again(NOT_ANEW),
            as_json=self._as_json,
            held=self.held,
            idle=self._idle,
            elsewhere=elsewhere if self._relay_failed else None,
        )

    def _alone(self) -> AbstractContextManager[None]:
        from mailer.campaign.limits import alone  # noqa: PLC0415

        if self._leaving:
            return nullcontext()
        return alone(self._ledger, relay_of(self._settings), limits_of(self._settings))

    def _go(self, count: int, limit: int | None, due: int) -> Result:
        from mailer.campaign import send as steps  # noqa: PLC0415

        if self._leaving:
            campaign = self._leaving.leave(self._prepared, self._ledger, batch_size=self._settings.batch_size)
            return steps.left(self._ledger, campaign)
        if self._prepared.campaign and self._ledger.is_shared:
            self._ledger.shared.take_back(self._prepared.campaign)
        campaign = steps.freeze(self._prepared, self._ledger)
        # with --wait there may be work although nobody is due yet
        later = self._wait and limit != 0 and self._ledger.next_due(campaign) is not None
        self._idle = not due and not later
        reason = self._run(campaign, count, limit) if count or later else None
        if self._hold_after and self._ledger.attempted(campaign) >= self._hold_after and not campaign.held_after:
            self._ledger.hold(campaign, self._hold_after)
            self.held = self._hold_after
        return steps.conclude(self._ledger, campaign, reason)

    def _allowed(self) -> int | None:
        """How many messages this run may try: --limit, and --hold-after the first time it is reached."""
        campaign = self._prepared.campaign
        if self._hold_after is None or (campaign and campaign.held_after):
            return self._limit
        left = max(0, self._hold_after - (self._ledger.attempted(campaign) if campaign else 0))
        return left if self._limit is None else min(left, self._limit)

    def _announce(self, count: int, due: int) -> None:
        prepared, settings = self._prepared, self._settings
        verb = "Continuing" if prepared.campaign else "Starting"
        if count:
            console.note(
                f"{verb} campaign {prepared.name}: {messages(count)} from {', '.join(prepared.manifest.senders)}"
            )
            for line in accounted(prepared, self._ledger, due, count):
                console.note(f"  {line}")
        for change in prepared.differences:
            console.note(f"  {change}")
        if prepared.plan:
            console.show_warnings(prepared.plan.warnings)
        if hours := prepared.timing.written[0]:
            console.note(
                f"Letters leave within {hours}, where each reader lives. Whose time zone is not known counts to"
                f" {prepared.timing.written[1]}{'' if settings.time_zone else '; to change it: MAILER_TIME_ZONE=Europe/Paris'}."
            )
        if count and settings.rate_is_default and settings.rate:
            rates = ", ".join(map(str, settings.rate))
            console.note(f"No rate is set, so mailer keeps to a careful one: {rates}. To change it: --rate 100/hour")

    def _run(self, campaign: Any, count: int, limit: int | None) -> Any:
        from mailer.campaign.run import RunOptions  # noqa: PLC0415
        from mailer.campaign.send import make_run  # noqa: PLC0415

        failures, percent = self._settings.bounce_brake or (None, 100.0)
        complaints, complaint_percent = self._settings.complaint_brake or (None, 100.0)
        options = RunOptions(
            batch_size=self._settings.batch_size,
            batch_pause=self._settings.batch_pause,
            connections=self._settings.connections,
            processes=self._settings.processes,
            limit=limit,
            wait=self._wait,
            give_up_after=self._give_up_after,
            bounce_failures=failures,
            bounce_percent=percent,
            complaints=complaints,
            complaint_percent=complaint_percent,
        )

        async def main(line: ProgressLine, stops: stopping) -> Any:
            run = make_run(
                self._ledger,
                campaign,
                relay=relay_of(self._settings),
                limits=limits_of(self._settings),
                options=options,
                observer=self._watched(line, lambda: run.stop(interrupted())),
                signer=self._settings.signing.signer,
            )
            stops.attach(run)
            heeding = asyncio.ensure_future(self._heed(run))
            try:
                return await run.run()
            finally:
                self._relay_failed = run.scope is not None
                heeding.cancel()

        # nothing in the work per message makes cycles; looking for them through a whole list, again and again, costs a tenth
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        try:
            with (
                stopping(self._prepared.name, as_json=self._as_json) as stops,
                ProgressLine(count, self._settings.rate) as line,
                asyncio.Runner(loop_factory=loop_factory()) as runner,
            ):
                reason = runner.run(main(line, stops))
        except LedgerError:
            # what has just failed to be written is not tried once more; what was written before can be told
            if not self._as_json:
                self._tell_so_far(campaign)
            raise
        except BaseException:
            self._ledger.set_owner(campaign, None)
            raise
        self._ledger.set_owner(campaign, None)
        return reason

    def _tell_so_far(self, campaign: CampaignRecord) -> None:
        with suppress(MailerError):
            tally = self._ledger.tally(campaign)
            console.say(f"Campaign {campaign.name}: stopped, {tally.work_left:,} left.", sentence=True)
            show_tally(tally, campaign.manifest)

    async def _heed(self, run: Run) -> None:
        """Pause, as at Ctrl-C, when the page or `mailer pause` asks for it; a ledger that cannot be asked any more stops the run, too."""
        try:
            while not self._ledger.asked_to_pause(self._prepared.name):  # noqa: ASYNC110 - another program asks
                await asyncio.sleep(HEED_SECONDS)
            self._ledger.forget_to_pause(self._prepared.name)
        except LedgerError as error:
            run.stop(error)
        else:
            run.stop(interrupted())


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Ctrl-C here comes before the first message. Raises Paused."""
    try:
        yield
    except KeyboardInterrupt:
        raise Paused("Stopped. Nothing was sent; run it again to start over.") from None


def seconds_of(give_up_after: str | None) -> float:
    """The time of --give-up-after. Raises UsageError."""
    from mailer.settings import values  # noqa: PLC0415

    if give_up_after is None:
        return LONGEST
    try:
        return values.duration(give_up_after)
    except ValueError as error:
        raise UsageError(
            f"--give-up-after {give_up_after!r}: {error}.", hint='for example --give-up-after "2 days"'
        ) from error


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop where there is one (not on Windows): a third of the work per message."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop
