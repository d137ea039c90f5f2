"""Who gets a letter in this run and who does not, in numbers that add up, for the person who is asked to confirm it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mailer.cli import console
from mailer.errors import quoted
from mailer.model import Reason, Status
from mailer.suppression import found_among, list_name, normalise, reason

if TYPE_CHECKING:
    from mailer.campaign.plan import Plan
    from mailer.campaign.send import Prepared
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord, Held, Tally


LATER = ("is to be tried again later", "are to be tried again later")
TURNS = {
    Status.FAILED: ("was refused", "were refused"),
    Status.UNCERTAIN: ("is uncertain", "are uncertain"),
    Status.SUPPRESSED: ("is left out, though no longer suppressed", "are left out, though no longer suppressed"),
}


def accounted(prepared: Prepared, ledger: Ledger, due: int, count: int) -> list[str]:
    """Lines that say who is left out, and who waits for a decision; none if everybody gets the letter now.

    `due` may be tried now, and `count` of them are, in this run.
    """
    plan, campaign = prepared.plan, prepared.campaign
    tally = ledger.tally(campaign) if campaign else None
    if plan:
        total, parts = of_list(plan, ledger, due, campaign)
    elif campaign and tally:
        total, parts = of_ledger(campaign, tally, ledger, due)
    else:
        return []
    told = [
        words for words in (each(due - count, "is left for a later run", "are left for later runs"), *parts) if words
    ]
    now = get(count, continued=tally is not None or count < due)
    lines = [f"{total:,} in the list: {', '.join([now, *told])}."] if told else []
    if tally and tally.uncertain:
        what = "1 waits" if tally.uncertain == 1 else f"{tally.uncertain:,} wait"
        they = "it" if tally.uncertain == 1 else "they"
        lines += [f"{what} for your decision, since nobody knows whether {they} arrived. To decide:"]
        lines += [f"  mailer resolve {quoted(prepared.name)}"]
    return lines


def of_list(plan: Plan, ledger: Ledger, due: int, campaign: CampaignRecord | None = None) -> tuple[int, Iterable[str]]:
    """The rows of a list that was just read, and what becomes of those without a message; of `campaign`, if it has begun."""
    people = plan.contacts
    bad = len(people.bad_rows) + len(plan.unrendered)
    suppressed = plan.held_back(ledger)
    out = list(plan.suppressed_keys(suppressed))
    return people.rows, (
        *(had_their_turn(campaign, ledger, set(plan.mailed_keys(suppressed)), due) if campaign else ()),
        each(bad, "has a problem and is skipped", "have a problem and are skipped"),
        *left_out(out, suppressed),
        each(people.duplicates, "is there twice", "are there twice"),
    )


def had_their_turn(campaign: CampaignRecord, ledger: Ledger, keys: Collection[str], due: int) -> Iterator[str]:
    """Where those of a changed list stand who are not due now, so that the figures are the same as without a change."""
    tally = ledger.tally(campaign)
    later = set(ledger.open_keys(campaign)) - set(ledger.open_keys(campaign, due=time.time()))
    numbers = [len(later.intersection(keys))]
    for status in TURNS:
        found = ledger.records(campaign, status) if getattr(tally, status) else ()
        numbers.append(sum(normalise(record.address) in keys for record in found))
    yield each(len(keys) - due - sum(numbers), "has it already", "have it already")
    for number, words in zip(numbers, (LATER, *TURNS.values()), strict=True):
        yield each(number, *words)


def of_ledger(campaign: CampaignRecord, tally: Tally, ledger: Ledger, due: int) -> tuple[int, Iterable[str]]:
    """Everybody in a campaign that is continued, and where those stand who are not due now."""
    records = list(ledger.records(campaign, Status.SUPPRESSED)) if tally.suppressed else []
    # of whoever was erased nothing is left by which the suppression could be found
    out = [normalise(record.address) for record in records if record.address]
    known = ledger.suppressions(list_name(campaign.manifest.list_name))
    return tally.total, (
        each(tally.sent, "has it already", "have it already"),
        each(max(0, tally.queued + tally.deferred - due), *LATER),
        each(tally.failed, *TURNS[Status.FAILED]),
        each(tally.uncertain, *TURNS[Status.UNCERTAIN]),
        each(tally.skipped, "is skipped", "are skipped"),
        *left_out(out, {**found_among(out, known), **known.entries}),
        each(len(records) - len(out), "was erased", "were erased"),
    )


def left_out(keys: Collection[str], suppressed: Mapping[str, Held]) -> tuple[str, ...]:
    """Why these are not mailed: the address is dead, as mailer found by itself, or somebody said so."""
    found = [reason(key, suppressed) for key in keys]
    dead = sum(held is not None and held.reason == Reason.BOUNCE for held in found)
    free = found.count(None)
    return (
        each(dead, "has a dead address", "have a dead address"),
        each(len(keys) - dead - free, "does not want our mail", "do not want our mail"),
        each(free, *TURNS[Status.SUPPRESSED]),
    )


def get(due: int, *, continued: bool) -> str:
    now = " now" if continued else ""
    return each(due, f"gets the letter{now}", f"get the letter{now}") or f"nobody gets the letter{now}"


def each(count: int, one: str, more: str) -> str:
    """`1 has`, `2,000 have`; nothing for nobody."""
    return "" if not count else f"1 {one}" if count == 1 else f"{count:,} {more}"


def messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def show_subject(prepared: Prepared, ledger: Ledger) -> None:
    """What the letter is called, for the person who is asked: as the first one gets it, or as it is written if it was frozen before."""
    from mailer import merge  # noqa: PLC0415
    from mailer.campaign.frozen import Frozen  # noqa: PLC0415

    plan, campaign = prepared.plan, prepared.campaign
    if plan:
        first = next(plan.mailed(plan.held_back(ledger)), None)
        if first is None:
            return
        template, subject = plan.template, str(plan.template.merge(first, plan.identity).subject)
    elif campaign:
        files = {**campaign.manifest.letter, **campaign.manifest.attachments}
        template = merge.load(campaign.manifest.template, Frozen(files, ledger.blob))
        subject = template.front.subject
    else:
        return
    same = len(template.languages) == 1 and subject == template.front.subject
    console.note(f"  Subject: {subject}" if same or not plan else f"  Subject of the first: {subject}")
