"""What a sending comes to where some have the letter already: who gets it now, what was corrected, and the ways on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailer.campaign.repeat import Repeat, repeated
from mailer.campaign.rest import Rest, rest_of
from mailer.campaign.source import SKIP
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Tally
from mailer.web.journey.addresses import campaign_url
from mailer.web.journey.draft import Draft
from mailer.web.journey.means import Means
from mailer.web.journey.words import figure, ngettext
from mailer.web.journey.words import gettext as _

if TYPE_CHECKING:
    from mailer.web.journey.previews import Look


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """`rest` for a campaign that has begun, `repeat` where the letter went to the same people in another one.

    `anew` is the draft of another campaign with the same letter and list, which mails everybody.
    """

    draft: Draft
    messages: int
    rest: Rest | None = None
    repeat: Repeat | None = None
    anew: Draft | None = None

    @property
    def now(self) -> int:
        """The messages that leave in a run that begins now: the number a person types."""
        return self.rest.now if self.rest else self.messages

    @property
    def title(self) -> str:
        """What is done by sending; empty where it is the whole campaign."""
        if self.rest is None:
            return ""
        return {
            (True, True): _("Send the rest with the corrected letter and list"),
            (True, False): _("Send the rest with the corrected letter"),
            (False, True): _("Send the rest with the corrected list"),
            (False, False): _("Send the rest as it is now") if self.rest.changes else _("Send the rest"),
        }[self.rest.letter, self.rest.list]

    def lines(self) -> list[str]:
        """In sentences, who has the letter and what was corrected; none where nobody has it."""
        if self.repeat:
            return [
                ngettext(
                    "%(number)s of these %(total)s people has this letter already, from the campaign %(name)s.",
                    "%(number)s of these %(total)s people have this letter already, from the campaign %(name)s.",
                    self.repeat.count,
                )
                % {
                    "number": figure(self.repeat.count),
                    "total": figure(self.repeat.total),
                    "name": self.repeat.campaign,
                }
            ]
        if self.rest is None:
            return []
        begun = _("This campaign has begun: {parts}.").format(parts=", ".join(_parts(self.rest)))
        return [begun, *(_(change) for change in self.rest.changes), *_left_out(self.rest.left_out)]

    def ways(self) -> list[tuple[str, str]]:
        """Where else one could go on, with what it is called."""
        if self.repeat:
            continued = replace(self.draft, campaign=self.repeat.campaign)
            return [(_("Send only to those who do not have it"), continued.url("preview"))]
        if self.rest is None:
            return []
        ways = [(_("To the campaign"), campaign_url(self.draft.name))]
        if self.anew and self.rest.changes:
            ways.append((_("Send it to everybody, as another campaign"), self.anew.url("preview")))
        return ways

    def data(self) -> dict[str, Any]:
        """For the preview's script."""
        return {"title": self.title, "lines": self.lines(), "ways": self.ways()}


def outlook(look: Look, means: Means) -> Outlook:
    """Of a preview that is whole, as of now."""
    if not look.plan:
        return Outlook(draft=look.draft, messages=look.messages)
    settings = means.settings()
    with means.ledger(settings) as ledger:
        rest = rest_of(look.plan, look.draft.source(means, settings).timing, ledger)
        # under a name of its own it is meant
        repeat = None if rest or look.draft.campaign else repeated(look.plan, ledger)
        anew = replace(look.draft, campaign=_free_name(ledger, look.draft.name)) if rest and rest.changes else None
    return Outlook(draft=look.draft, messages=look.messages, rest=rest, repeat=repeat, anew=anew)


def draft_of(ledger: Ledger, campaign: CampaignRecord, folder: Path) -> Draft:
    """What a campaign was begun with: as the page prepared it, else as it was frozen, whether or not the folder has it still."""
    frozen = campaign.manifest
    kept = Draft.stored(ledger.draft(campaign.name), folder)
    if (kept.list, kept.letter) == (frozen.list_name, frozen.template):
        return replace(kept, campaign=campaign.name)
    given = frozen.options
    return Draft(
        list=frozen.list_name,
        letter=frozen.template,
        campaign=campaign.name,
        column=given.get("--email-column", ""),
        sheet=given.get("--sheet", ""),
        zone=given.get("--zone-column", ""),
        skip="1" if SKIP in given else "",
    )


def _free_name(ledger: Ledger, name: str) -> str:
    return next(other for other in (f"{name}-{number}" for number in count(2)) if ledger.campaign(other) is None)


def _parts(rest: Rest) -> Iterator[str]:
    """Who stands where, in numbers: those who get the letter now first, and nobody is left out."""
    tally: Tally = rest.tally
    later = ngettext("%(number)s is to be tried again", "%(number)s are to be tried again", rest.later)
    if rest.due is not None:
        later = _("{who} from {time} on").format(who=later, time=_clock(rest.due))
    if not rest.now:
        yield _("nobody gets the letter now")
    for number, text in (
        (rest.now, ngettext("%(number)s gets the letter now", "%(number)s get the letter now", rest.now)),
        (tally.sent, ngettext("%(number)s has it already", "%(number)s have it already", tally.sent)),
        (rest.later, later),
        (tally.failed, ngettext("%(number)s was refused", "%(number)s were refused", tally.failed)),
        (tally.uncertain, ngettext("%(number)s is in doubt", "%(number)s are in doubt", tally.uncertain)),
        (
            tally.suppressed,
            ngettext("%(number)s is not to be mailed", "%(number)s are not to be mailed", tally.suppressed),
        ),
        (tally.skipped, ngettext("%(number)s is skipped", "%(number)s are skipped", tally.skipped)),
    ):
        if number:
            yield text % {"number": figure(number)}


def _left_out(number: int) -> Iterator[str]:
    if number:
        yield ngettext(
            "%(number)s who waits for the letter is no longer in the list, and gets none.",
            "%(number)s who wait for the letter are no longer in the list, and get none.",
            number,
        ) % {"number": figure(number)}


def _clock(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds).astimezone()
    return at.strftime("%H:%M" if at.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")
