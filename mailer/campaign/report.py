"""The last step of a campaign: from the ledger's counts to the report, for the command and the page alike."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator

from mailer import report as reports
from mailer.destination import provider
from mailer.errors import UsageError
from mailer.ledger import Grouped, Ledger
from mailer.model import CampaignRecord, DeliveryRecord, EventKind, Status, said
from mailer.report import ATTENTION, LISTED, Course, Report, Spread

PROGRESS = (Status.SENT, Status.FAILED, Status.UNCERTAIN)


def make_report(ledger: Ledger, campaign: CampaignRecord, *, by: str | None = None) -> Report:
    """Everything that a report says, counted at one moment; at most some thousand people are held in memory.

    `by` names the merge field to count by; without it, the list's country and branch or region where it has any. Raises
    UsageError if the list has no such field.
    """
    with ledger.snapshot():
        campaign = ledger.find(campaign.name)
        tally = ledger.tally(campaign)
        domains, providers = reports.Counted(), reports.Counted()
        for group, status, number in ledger.by_domain(campaign):
            domains.add(group, status, number)
            providers.add(provider(group), status, number)
        reasons, words = reports.refusals(ledger.refusals(campaign))
        return Report(
            name=campaign.name,
            template=campaign.manifest.template,
            list_name=campaign.manifest.list_name,
            started_at=campaign.started_at,
            finished_at=campaign.finished_at,
            tally=tally,
            returned=ledger.returned(campaign),
            progress=_progress(ledger, campaign),
            arrivals=_arrivals(ledger, campaign),
            reasons=reasons,
            words=words,
            domains=domains.spread(),
            providers=providers.spread(),
            languages=reports.count(ledger.by_language(campaign)),
            fields=dict(_fields(ledger, campaign, by, tally.total)),
            attention=_attention(ledger, campaign),
            listed=tuple(ledger.records(campaign, most=LISTED)),
            facts={**reports.facts(campaign), **_accounts(ledger, campaign)},
        )


def _accounts(ledger: Ledger, campaign: CampaignRecord) -> dict[str, str]:
    """Over which mail servers messages were accepted, and how many; nothing where it was one."""
    servers: Counter[str] = Counter()
    if ledger.has_accounts():
        for one in ledger.by_relay(campaign, 0.0):
            servers[one.account.rpartition("@")[2]] += one.sent
    told = ", ".join(f"{server} {number:,}" for server, number in servers.most_common() if number)
    return {said("Accepted by"): told} if len(+servers) > 1 else {}


def _progress(ledger: Ledger, campaign: CampaignRecord) -> tuple[Course, ...]:
    span = ledger.span(campaign, PROGRESS)
    if span is None:
        return ()
    step = reports.step_for(span)
    courses = (reports.course(status, ledger.course(campaign, status, step), until=span[1]) for status in PROGRESS)
    return tuple(course for course in courses if course.points)


def _arrivals(ledger: Ledger, campaign: CampaignRecord) -> tuple[Course, ...]:
    span = ledger.arrivals_span(campaign)
    if span is None:
        return ()
    step = reports.step_for(span)
    courses = (reports.course(kind, ledger.arrivals(campaign, kind, step), until=span[1]) for kind in EventKind)
    return tuple(course for course in courses if course.points)


def _fields(ledger: Ledger, campaign: CampaignRecord, by: str | None, people: int) -> Iterator[tuple[str, Spread]]:
    names = ledger.field_names(campaign)
    if by is not None:
        yield by, _by_field(ledger, campaign, _known(by, names))
        return
    for alike in reports.telling(names):
        for name in alike:
            if reports.is_grouping(ledger.distinct(campaign, name), people):
                yield name, _by_field(ledger, campaign, name)
                break


def _known(by: str, names: list[str]) -> str:
    if by in names:
        return by
    plain = {name.casefold().replace("_", " "): name for name in names}
    wanted = by.casefold().replace("_", " ")
    if wanted in plain:
        return plain[wanted]
    close = difflib.get_close_matches(wanted, plain, 1)
    known = ", ".join(names[:20])
    hint = said("fields: {known}", known=known) if names else said("this list has no fields")
    if close:
        hint = said("did you mean {name}? fields: {known}", name=plain[close[0]], known=known)
    raise UsageError(
        said("The list of this campaign has no field {by!r}.", by=by),
        hint=hint,
    )


def _by_field(ledger: Ledger, campaign: CampaignRecord, name: str) -> Spread:
    rows: Iterator[Grouped] = ledger.by_field(campaign, name)
    return reports.count((" ".join(group.split()), status, number) for group, status, number in rows)


def _attention(ledger: Ledger, campaign: CampaignRecord) -> tuple[DeliveryRecord, ...]:
    found = [record for status in ATTENTION for record in ledger.records(campaign, status, most=LISTED)]
    return tuple(found[:LISTED])
