"""What is left of a campaign that has begun, beside a plan for it: who gets the letter now, who has it, and what was corrected."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from mailer import merge
from mailer.campaign.compare import Exodus
from mailer.campaign.frozen import Recorded
from mailer.campaign.plan import Plan
from mailer.campaign.sealing import list_digest, settings_of
from mailer.campaign.send import compared, to_send
from mailer.campaign.source import Source
from mailer.campaign.timing import Timing
from mailer.errors import LetterError, ListError
from mailer.ledger import Ledger, SenderLock
from mailer.model import CampaignRecord, Identity, Manifest, Tally

OF_THE_LETTER = frozenset({"letter", "attachments"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """A campaign that has begun. `now` get the letter in a run that starts now, `later` of the others from `due` on.

    `left_out` of those who wait for it are no longer in the list; `leaving` if they are so many that it is perhaps another list.

    `changes` are sentences; with one, the run needs the word that the corrected letter or list is meant.
    """

    campaign: CampaignRecord
    now: int
    later: int
    due: float | None
    left_out: int
    leaving: Exodus | None
    tally: Tally
    changes: tuple[str, ...]
    letter: bool
    list: bool
    under_way: bool

    @property
    def goes_to_somebody(self) -> bool:
        return bool(self.now or self.later)


def rest_of(plan: Plan, timing: Timing, ledger: Ledger) -> Rest | None:
    """Beside the campaign of the plan's name; None for one of which nothing was tried yet."""
    campaign = ledger.campaign(plan.name)
    if campaign is None or not ledger.tried(campaign):
        return None
    prepared = compared(plan, campaign, timing.beside(campaign), ledger)
    tally, now = ledger.tally(campaign), to_send(prepared, ledger)
    before, after = campaign.manifest.parts, plan.manifest.parts
    changed = {part for part in before if before[part] != after[part]}
    at = time.time()
    everybody = {*ledger.open_keys(campaign)}
    left_out = len(everybody.difference(plan.contacts.keys())) if prepared.plan else 0
    waiting = everybody - {*ledger.open_keys(campaign, due=at)}
    if waiting and prepared.plan:  # who left the list is not tried again
        waiting &= set(plan.mailed_keys(plan.held_back(ledger)))
    return Rest(
        campaign=campaign,
        now=now,
        later=len(waiting),
        due=ledger.next_due(campaign) if waiting else None,
        left_out=left_out,
        leaving=prepared.exodus,
        tally=tally,
        changes=prepared.differences,
        letter=bool(changed & OF_THE_LETTER),
        list="list" in changed,
        under_way=is_under_way(ledger, campaign),
    )


def is_under_way(ledger: Ledger, campaign: CampaignRecord) -> bool:
    """Whether somebody sends it just now, or workers are to."""
    if SenderLock(ledger, campaign.name).is_held():
        return True
    return ledger.is_shared and ledger.shared.standing(campaign) is not None


def touched(source: Source, identity: Identity, manifest: Manifest) -> list[str]:
    """The files that are no longer what a campaign was frozen with, by their digests: quick, whatever the list's length.

    Where it is the settings that differ, they are named by their file.
    """
    files, frozen = Recorded(source.folder), {**manifest.letter, **manifest.attachments}
    found = [path for path, digest in frozen.items() if _digest(files, path) != digest]
    try:
        template = merge.load(source.template, files)
        found += sorted(set(template.files) - set(frozen))
        if list_digest(source, template) != manifest.list_file:
            found.append(manifest.list_name)
    except LetterError:
        found += [] if found else [source.template]
    except (ListError, StopIteration):
        found.append(manifest.list_name)
    return found + ["mailer.toml"] * (settings_of(identity) != manifest.settings)


def _digest(files: Recorded, path: str) -> str:
    try:
        return hashlib.sha256(files.read(path)).hexdigest()
    except (LetterError, OSError):
        return ""
