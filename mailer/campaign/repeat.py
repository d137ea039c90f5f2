"""Who would get a letter twice, since another campaign has mailed it: perhaps list, letter or campaign are only spelled otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.campaign.plan import Plan
from mailer.errors import CampaignError, quoted
from mailer.ledger import Ledger
from mailer.model import said


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """How many of those who would be mailed got the same letter in another campaign."""

    count: int
    total: int
    campaign: str
    is_same: bool

    @property
    def sentence(self) -> str:
        return said(
            "{count} of these {total} people already got this letter, in campaign {name!r}, and "
            "would get it again. Was the list or the letter only renamed? Then continue that one: --campaign "
            "{quoted}",
            count=self.count,
            total=self.total,
            name=self.campaign,
            quoted=quoted(self.campaign),
        )


def repeated(plan: Plan, ledger: Ledger) -> Repeat | None:
    """Who got the same letter in another campaign: perhaps the list, or the letter, was only renamed."""
    # not by the seal's part, in which the files' names are: they may have been renamed, or be spelled otherwise
    letter = plan.manifest.wording
    others = [c for c in ledger.campaigns() if c.name != plan.name and c.manifest.wording == letter]
    if not others:
        return None
    keys = set(plan.mailed_keys(plan.held_back(ledger)))
    counts = [len(keys & ledger.reached(campaign)) for campaign in others]
    count = max(counts)
    found = others[counts.index(count)]
    same = found.manifest.parts == plan.manifest.parts
    return Repeat(count=count, total=len(keys), campaign=found.name, is_same=same) if count else None


def refuse_misspelt(name: str, ledger: Ledger) -> None:
    """A campaign that was named a little differently would begin anew, and mail everybody again."""
    if meant := ledger.alike(name):
        raise CampaignError(
            said(
                "There is a campaign {meant!r} already, and {name!r} differs from it only in capital letters, blanks or"
                " the form of a letter. Nothing was sent.",
                meant=meant,
                name=name,
            ),
            hint=said(
                "to continue that one: --campaign {meant}; to start another one, give it another name",
                meant=quoted(meant),
            ),
        )
