"""`mailer purge`: until when people are kept."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.confirming import have_typed
from mailer.cli.options import JsonOption, settings_here
from mailer.cli.personal import YesOption, finish_unwiped
from mailer.cli.recipients import each
from mailer.cli.unlocking import open_ledger
from mailer.errors import CampaignError, UsageError, quoted, typed
from mailer.times import iso

if TYPE_CHECKING:
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord, Erased

DAY = 86_400.0
UNITS = {"day": DAY, "week": 7 * DAY, "month": 31 * DAY, "year": 366 * DAY}
AGE = re.compile(r"\s*([0-9]{1,5})\s*(day|week|month|year)s?\s*", re.IGNORECASE)


def purge(
    *,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help='Since their end, say "12 months" or 90days.', show_default=False
        ),
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="NAME", help="Only this one.", show_default=False)
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forget everybody in campaigns that ended long ago.

    Counts, letters and suppressions stay. Without --older-than and --campaign nothing is changed: it shows which campaigns are over, and since when.

    \b
    Example:
      mailer purge --older-than "12 months"
    """  # noqa: D301
    age = seconds(older_than) if older_than is not None else 0.0
    before = time.time() - age
    with open_ledger(settings_here(), create=False) as ledger:
        over = [one for one in ([ledger.find(campaign)] if campaign else ledger.campaigns()) if is_over(ledger, one)]
        if campaign and not over:
            raise not_over(campaign)
        old = [
            (one, ledger.known_people(one)) for one in over if one.finished_at and one.finished_at.timestamp() <= before
        ]
        known = [(one, people) for one, people in old if people]
        if older_than is None and campaign is None:
            show_over(known, as_json=as_json)
            return
        people = sum(people for _, people in known)
        if known and not yes:
            have_typed(
                str(people),
                f"{', '.join(one.name for one, _ in known)}\nType {people} to forget so many people for good",
                nobody=f"Nobody is there to confirm that {each(people, 'person', 'people')} should be forgotten.",
                otherwise="Nothing was erased.",
            )
        chosen = [one for one, _ in known]
        erased = ledger.purge(
            chosen,
            before=None if campaign else before,
            first=lambda: refuse_begun(ledger, [one.name for one in chosen]),
        )
    show_purged(chosen, erased, as_json=as_json)
    options = {"--older-than": older_than, "--campaign": campaign}
    finish_unwiped(erased, f"mailer purge{typed({name: value for name, value in options.items() if value})}")


def seconds(text: str) -> float:
    """Raises UsageError for what is no age."""
    match = AGE.fullmatch(text)
    if not match:
        raise UsageError(
            "--older-than is no age. Nothing was erased.", hint='write for example --older-than "12 months"'
        )
    return int(match[1]) * UNITS[match[2].lower()]


def is_over(ledger: Ledger, campaign: CampaignRecord) -> bool:
    tally = ledger.tally(campaign)
    return campaign.finished_at is not None and not (tally.work_left or tally.uncertain)


def not_over(name: str) -> CampaignError:
    return CampaignError(
        f"Campaign {name} is not over: somebody is still to be mailed, or a message is in doubt. Nothing was erased.",
        hint=f"see how far it is: mailer status {quoted(name)}",
    )


def refuse_begun(ledger: Ledger, names: Sequence[str]) -> None:
    """Raise CampaignError for one that was over, and in which somebody has been queued again since."""
    for name in names:
        campaign = ledger.campaign(name)
        if campaign is None or not is_over(ledger, campaign):
            raise not_over(name)


def show_over(known: Sequence[tuple[CampaignRecord, int]], *, as_json: bool) -> None:
    if as_json:
        console.emit(
            {
                "campaigns": [
                    {"campaign": one.name, "finished_at": iso(one.finished_at), "people": people}
                    for one, people in known
                ]
            }
        )
    elif known:
        rows = [(one.name, people, f"{one.finished_at:%Y-%m-%d}") for one, people in known]
        console.table(["campaign", "people", "ended on"], rows)
        console.say('Nothing was erased. To forget those of long ago: mailer purge --older-than "12 months"')
    else:
        console.say("No campaign that is over has anybody in it.")


def show_purged(campaigns: Sequence[CampaignRecord], erased: Erased, *, as_json: bool) -> None:
    if as_json:
        console.emit({"campaigns": [one.name for one in campaigns], **asdict(erased)})
        return
    if not campaigns:
        console.say("Nobody was erased: no campaign is over for so long, or everybody in them was forgotten before.")
        return
    people = each(erased.deliveries, "person", "people") or "nobody"
    console.say(
        f"Erased: {people} in {each(len(campaigns), 'campaign', 'campaigns')}. Counts, letters and suppressions stay.",
        sentence=True,
    )
    console.say(
        "Lists, previews and saved reports are files of yours: delete those that are no longer needed.", sentence=True
    )
