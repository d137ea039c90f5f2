"""Steps 4 to 8 as the commands call them: prepare, freeze, send or continue, sum up."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from mailer import __version__, crashpoint, merge
from mailer.campaign.compare import Exodus, changed_parts, differences, digests_of, exodus
from mailer.campaign.diary import Diarist, note_begin, note_end
from mailer.campaign.frozen import Recorded
from mailer.campaign.limits import Limits, make_pace, make_throttle
from mailer.campaign.observer import Observer
from mailer.campaign.plan import MANY, Plan, Progress, make_plan, silent, way_out
from mailer.campaign.repeat import Repeat, refuse_misspelt, repeated
from mailer.campaign.run import Run, RunOptions
from mailer.campaign.sealing import list_digest, settings_of
from mailer.campaign.source import SKIP, Source
from mailer.campaign.thaw import renderer
from mailer.campaign.timing import NOTHING_SAID, Timing
from mailer.errors import CampaignError, LetterError, ListError, MailerError, SealError, SettingsError
from mailer.ledger import Ledger, Start, mark_interrupted
from mailer.ledger.lock import owner
from mailer.model import (
    CampaignRecord,
    Identity,
    Manifest,
    OutOfHours,
    Tally,
    as_said,
    counted,
    joined,
    said,
)
from mailer.smtp import Relay

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What a send would do. `campaign` is set if it has been sent in part; `plan` if there is something to freeze."""

    name: str
    manifest: Manifest
    campaign: CampaignRecord | None = None
    plan: Plan | None = None
    differences: tuple[str, ...] = ()
    exodus: Exodus | None = None
    repeat: Repeat | None = None
    timing: Timing = NOTHING_SAID


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Where a campaign stands after a run. `reason` says why the run ended before nothing was left to try."""

    campaign: CampaignRecord
    tally: Tally
    reason: MailerError | None = None
    next_due: float | None = None
    out_of_hours: OutOfHours | None = None

    @property
    def exit_code(self) -> int:
        """As DESIGN section 6 fixes it."""
        if self.reason and self.tally.work_left:
            return self.reason.exit_code
        if self.tally.work_left:
            return 3
        return 1 if self.tally.failed or self.tally.uncertain else 0

    @property
    def state(self) -> str:
        """One word for `--json`: finished, paused, or stopped by the relay."""
        if not self.tally.work_left:
            return "finished"
        return "stopped" if self.exit_code == 4 else "paused"


def prepare(
    source: Source,
    identity: Identity,
    ledger: Ledger,
    *,
    seal: str | None = None,
    update: bool = False,
    skip_problems: bool = False,
    on_progress: Progress = silent,
    on_plan: Callable[[Plan], None] = lambda _: None,
) -> Prepared:
    """Find out what a send would do, and refuse what must not be sent. Nothing is recorded yet.

    Raises ListError or LetterError for problems, SealError for a stale seal, and CampaignError if the list or the letter
    is no longer what the campaign was frozen with.
    """
    name = source.name
    existing = ledger.campaign(name)
    if source.campaign and not existing:
        refuse_misspelt(source.campaign, ledger)
    begun = existing if existing and ledger.tried(existing) else None
    timing = source.timing.beside(existing)
    source = replace(source, timing=timing)
    late = begun is not None and timing.comes_late_for(begun)
    if begun and not update and not late and _unchanged(source, identity, begun.manifest):
        _check_seal(seal, begun.manifest, ledger, None)
        _check_nobody_else(seal, ledger, ledger.open_keys(begun))
        return Prepared(name=name, manifest=begun.manifest, campaign=begun, timing=timing)
    if begun and ledger.is_purged(begun):
        raise _purged(begun)
    plan = make_plan(source, identity, ledger.secret, on_progress=on_progress)
    if skip_problems:
        plan.manifest = replace(plan.manifest, options={**plan.manifest.options, SKIP: ""})
    on_plan(plan)
    _check_problems(plan, skip_problems=skip_problems)
    _check_seal(seal, plan.manifest, ledger, plan)
    suppressed = plan.held_back(ledger)
    _check_nobody_else(seal, ledger, plan.mailed_keys(suppressed))
    check_way_out(plan, plan.mailed_keys(suppressed))
    if begun is None:
        repeat = repeated(plan, ledger)
        told = (repeat.sentence,) if repeat else ()
        return Prepared(name=name, manifest=plan.manifest, plan=plan, differences=told, repeat=repeat, timing=timing)
    prepared = compared(plan, begun, timing, ledger)
    if prepared.differences and not update:
        raise _other_contents(begun, prepared.differences, prepared.exodus)
    return prepared


def compared(plan: Plan, begun: CampaignRecord, timing: Timing, ledger: Ledger) -> Prepared:
    """What sending the plan would do in a campaign that has begun, and what changed since."""
    before, after = begun.manifest, plan.manifest
    # everybody's details are looked at only where they may differ
    same = before.parts["list"] == after.parts["list"]
    old, new = ({}, {}) if same else (digests_of(ledger, begun), plan.digests())
    changes = differences(before, after, *(() if same else (old, new)))
    waiting = set() if same else set(ledger.open_keys(begun))
    if timing.comes_late_for(begun):
        changes = [
            *changes,
            said("It began without office hours, so nobody has looked yet in which time zones people live."),
        ]
    return Prepared(
        name=begun.name,
        manifest=plan.manifest,
        campaign=begun,
        plan=plan if changes else None,
        differences=tuple(changes),
        exodus=exodus(before, after, everybody=old.keys(), waiting=waiting, listed=new.keys()),
        timing=timing,
    )


def _other_contents(campaign: CampaignRecord, changes: Sequence[str], leaving: Exodus | None) -> CampaignError:
    name, different = campaign.name, joined(" ", [*changes, *([leaving.why] if leaving else [])])
    return CampaignError(
        said(
            "Campaign {name!r} was finished on {day:%Y-%m-%d}, with other contents. Nothing was sent. {different}",
            name=name,
            day=campaign.finished_at,
            different=different,
        )
        if campaign.finished_at
        else said(
            "Campaign {name!r} has begun, with other contents. Nothing was sent. {different}",
            name=name,
            different=different,
        ),
        hint="give the list, and the sheet, that it began with; --campaign NAME starts another campaign with this one"
        if leaving
        else "add --update to send the rest as it is now (new addresses are added),"
        " or --campaign NAME to start another campaign, which mails everybody again",
    )


def _purged(campaign: CampaignRecord) -> CampaignError:
    return CampaignError(
        said(
            "Everybody in campaign {name!r} was erased, so nobody can tell any more who has its letter. Nothing was sent.",
            name=campaign.name,
        ),
        hint="--campaign NAME starts another campaign, which mails everybody in the list, but for those who must not be mailed",
    )


def freeze(prepared: Prepared, ledger: Ledger, *, and_then: Callable[[int], None] = lambda _: None) -> CampaignRecord:
    """Record the campaign and its deliveries in one transaction; for one that has begun, only what --update changed.

    `and_then` is called with the campaign's id within it, if there is anything to record.

    Call under the campaign's SenderLock: whatever a dead sender left behind becomes uncertain here.
    """
    plan = prepared.plan
    ledger.refuse_copy()
    if prepared.campaign:
        mark_interrupted(ledger, prepared.campaign)
    if plan is None:
        assert prepared.campaign is not None
        return _timed(prepared.campaign, prepared.timing, ledger)
    hours, zone = prepared.timing.written
    start = Start(
        campaign=prepared.name,
        manifest=plan.manifest,
        rows=plan.rows(plan.held_back(ledger)),
        content=plan.files.content,
        and_then=and_then,
        hours=hours,
        zone=zone if hours else None,
    )
    campaign = ledger.revise(prepared.campaign, start) if prepared.campaign else ledger.start(start)
    crashpoint.pass_through("after-start")
    return campaign


def _timed(campaign: CampaignRecord, timing: Timing, ledger: Ledger) -> CampaignRecord:
    """The campaign with the hours that are wanted of it now."""
    if timing.hours is None or timing.written == (campaign.hours, campaign.zone):
        return campaign
    ledger.set_hours(campaign, *timing.written)
    return ledger.find(campaign.name)


def to_send(prepared: Prepared, ledger: Ledger) -> int:
    """How many messages the send may hand over now, or as soon as their office hours begin: the number a person confirms."""
    if prepared.plan is None:
        assert prepared.campaign is not None
        return ledger.count_due(prepared.campaign, time.time())
    mailed = prepared.plan.mailed_keys(prepared.plan.held_back(ledger))
    if prepared.campaign is None:
        return sum(1 for _ in mailed)
    # those who are to be tried again later keep their time
    open_keys = set(ledger.open_keys(prepared.campaign, due=time.time()))
    settled = ledger.settled_keys(prepared.campaign)
    return sum(key in open_keys or key not in settled for key in mailed)


def make_run(
    ledger: Ledger,
    campaign: CampaignRecord,
    *,
    relay: Relay,
    limits: Limits,
    options: RunOptions,
    observer: Observer,
    signer: Signer | None = None,
) -> Run:
    """A run that continues where the ledger stands. Call under the campaign's SenderLock.

    `signer` is the one whose signatures `prepare` was given: another than the campaign was frozen with is refused there.
    """
    ledger.set_owner(campaign, owner())
    note_begin(ledger, campaign)
    return Run(
        ledger=ledger,
        campaign=campaign,
        relay=relay,
        pace=make_pace(ledger, relay, limits),
        throttle=make_throttle(ledger, relay),
        render=renderer(ledger, campaign, signer, relay.name),
        signer=signer,
        options=options,
        observer=Diarist(observer, ledger, campaign),
    )


def conclude(ledger: Ledger, campaign: CampaignRecord, reason: MailerError | None) -> Result:
    """Sum up after a run, and note the campaign's end if nothing is left to try."""
    tally = ledger.tally(campaign)
    if not tally.work_left:
        ledger.finish(campaign)
    if reason or not tally.work_left:
        ledger.forget_wish(campaign.name)  # what ended it is for a person to look at, or nothing is left
    note_end(ledger, campaign, reason, work_left=bool(tally.work_left))
    return Result(
        campaign=ledger.find(campaign.name),
        tally=tally,
        reason=reason,
        next_due=ledger.next_due(campaign),
        out_of_hours=ledger.out_of_hours(campaign, time.time()),
    )


def left(ledger: Ledger, campaign: CampaignRecord) -> Result:
    """Sum up where others send: it goes on, unless nothing is left to try."""
    tally = ledger.tally(campaign)
    if not tally.work_left:
        return conclude(ledger, campaign, None)
    waiting = ledger.out_of_hours(campaign, time.time())
    return Result(campaign=campaign, tally=tally, next_due=ledger.next_due(campaign), out_of_hours=waiting)


def _unchanged(source: Source, identity: Identity, manifest: Manifest) -> bool:
    """The quick look: the same bytes on disk, so that a list of a million rows need not be read to continue."""
    if settings_of(identity) != manifest.settings or source.template != manifest.template:
        return False
    if manifest.program != __version__:
        return False
    files = Recorded(source.folder)
    try:
        template = merge.load(source.template, files)
        frozen = {**manifest.letter, **manifest.attachments}
        if not set(manifest.letter) <= set(template.files) <= set(frozen):
            return False
        return list_digest(source, template) == manifest.list_file and all(
            hashlib.sha256(files.read(path)).hexdigest() == digest for path, digest in frozen.items()
        )
    except (LetterError, ListError, OSError, StopIteration):
        return False  # the thorough way will say what is wrong


def _check_problems(plan: Plan, *, skip_problems: bool) -> None:
    if not plan.problems:
        return
    hint = "mend the rows, or add --skip-problems to go on without them; --problems FILE writes them out"
    if letter := plan.problems.without_row():
        raise LetterError("The letter cannot be sent as it is. Nothing was sent.", problems=letter)
    if not skip_problems:
        rows = len(set(plan.problems.rows))
        sentence = counted(
            "The list has {number} row that cannot be mailed. Nothing was sent.",
            "The list has {number} rows that cannot be mailed. Nothing was sent.",
            rows,
        )
        raise ListError(sentence, problems=plan.problems, hint=hint)
    if not any(True for _ in plan.ready()):
        raise ListError("Not one row of the list can be mailed.", problems=plan.problems)


def check_way_out(plan: Plan, keys: Iterable[str]) -> None:
    """Who writes to many must say how to get no more of it, where every reader sees it. Raises LetterError, SettingsError."""
    if not plan.without_way_out or sum(1 for _ in islice(keys, MANY + 1)) <= MANY:
        return
    identity = plan.identity
    if identity.unsubscribe_url or identity.unsubscribe_mailto:
        languages = ", ".join(plan.without_way_out)
        raise LetterError(
            said(
                "This letter goes to more than {many} people and does not show them the link to get no "
                "more letters (in: {languages}). Nothing was sent.",
                many=MANY,
                languages=languages,
            ),
            hint=way_out(identity),
        )
    raise SettingsError(
        said(
            "This letter goes to more than {many} people and does not tell them how to get no more "
            "letters. Nothing was sent.",
            many=MANY,
        ),
        hint=way_out(identity),
    )


def _check_nobody_else(seal: str | None, ledger: Ledger, keys: Iterable[str]) -> None:
    """With a seal, mail only those who were in its preview: an address may have left the suppression list since."""
    previewed = ledger.preview(seal) if seal else None
    if previewed is None:
        return
    others = sum(key not in previewed.digests for key in keys)
    if others:
        raise SealError(
            said(
                "{others} of those who would be mailed were not in the preview: they were suppressed "
                "then. Nothing was sent.",
                others=others,
            ),
            hint="look at a new preview, and send with the seal that it prints",
        )


def _check_seal(seal: str | None, manifest: Manifest, ledger: Ledger, plan: Plan | None) -> None:
    if seal is None or seal == manifest.seal:
        return
    previewed = ledger.preview(seal)
    if previewed:
        digests = plan.digests() if plan else None
        changes: Sequence[str] = differences(previewed.manifest, manifest, previewed.digests, digests)
    else:
        changes = [
            said("{part} (or the preview was made elsewhere).", part=as_said(label))
            for label in changed_parts(seal, manifest)
        ]
    raise SealError(
        said(
            "What would be sent is not what was previewed. Nothing was sent. {different}",
            different=joined(" ", changes) or said("The seal is not one that mailer preview prints."),
        ),
        hint="look at a new preview, and send with the seal that it prints",
    )
