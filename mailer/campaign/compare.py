"""What changed between what was frozen, or previewed, and what would be sent now, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mailer.campaign.sealing import contact_digest
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Manifest, Said, as_said, joined, said

LABELS = {
    "letter": said("The letter changed"),
    "list": said("The list changed"),
    "attachments": said("The attachments changed"),
    "settings": said("The settings changed"),
    "messages": said("The messages come out differently"),
}
NAMED = 5
FEW = 2
"""So many may be corrected, or leave a short list, without a question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exodus:
    """Whom a changed list would leave without a letter: so many that it is probably not the list that was meant."""

    people: int
    why: Said
    sheets: Sequence[Said] = ()

    @property
    def sentence(self) -> str:
        return joined(" ", [self.why, *(said("{what:A}.", what=one) for one in self.sheets)])


def exodus(
    before: Manifest,
    after: Manifest,
    *,
    everybody: AbstractSet[str],
    waiting: AbstractSet[str],
    listed: AbstractSet[str],
) -> Exodus | None:
    """None for what lists go through; `waiting` are those of a campaign who have no letter yet, `listed` who would be mailed."""
    gone = len(waiting - listed)
    if len(everybody) > FEW and everybody.isdisjoint(listed):
        people = len(everybody)
        why = said("Not one of the {number} people of the campaign is in this list.", number=people)
    elif gone > FEW and 2 * gone > len(waiting):
        people = gone
        why = said(
            "Of the {waiting} people who wait for their letter {gone} are not in this list, and would get none.",
            waiting=len(waiting),
            gone=gone,
        )
    else:
        return None
    return Exodus(people=people, why=why, sheets=_sheets(before, after))


def _sheets(before: Manifest, after: Manifest) -> list[Said]:
    if before.sheet is None or before.sheet == after.sheet:
        return []
    return [said('it was the sheet "{old}", is now "{new}"', old=before.sheet, new=after.sheet or "")]


def digests_of(ledger: Ledger, campaign: CampaignRecord) -> dict[str, str]:
    """Of everybody in the newest list; blank where nobody knows any more how that had them."""
    return {contact.key: contact_digest(contact) if current else "" for contact, current in ledger.listed(campaign)}


def differences(
    before: Manifest,
    after: Manifest,
    old_digests: Mapping[str, str] | None = None,
    new_digests: Mapping[str, str] | None = None,
) -> list[str]:
    """One sentence for each part that differs; empty if nothing that shapes a message changed."""
    changed = [part for part, digest in before.parts.items() if after.parts[part] != digest]
    # the messages follow from the other parts: say so only when nothing else explains it
    if changed != ["messages"]:
        changed = [part for part in changed if part != "messages"]
    details = {
        "letter": _files(before.letter, after.letter),
        "attachments": _files(before.attachments, after.attachments),
        "settings": joined("; ", _settings(before.settings, after.settings)),
        "list": _contacts(before, after, old_digests, new_digests),
        "messages": said("the letter says which row somebody is in, or mailer itself has changed"),
    }
    return [said("{part}: {details}.", part=as_said(LABELS[part]), details=as_said(details[part])) for part in changed]


def changed_parts(seal: str, manifest: Manifest) -> list[str]:
    """Which parts a seal of unknown origin disagrees on, read off its five groups."""
    groups = seal.split("-")
    parts = manifest.parts
    if len(groups) != len(parts):
        return []
    return [LABELS[part] for group, (part, digest) in zip(groups, parts.items(), strict=True) if digest[:8] != group]


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    edited = [path for path in before if path in after and before[path] != after[path]]
    added = [path for path in after if path not in before]
    removed = [path for path in before if path not in after]
    told = (
        (edited, said("{files} edited", files=_named(edited))),
        (added, said("{files} added", files=_named(added))),
        (removed, said("{files} removed", files=_named(removed))),
    )
    return joined("; ", [sentence for paths, sentence in told if paths])


def _settings(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield said("{name} was {old!r}, is now {new!r}", name=name, old=old, new=new)


def _contacts(before: Manifest, after: Manifest, old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> str:
    if old is None or new is None:
        return said("{before} people then, {now} now", before=before.count, now=after.count)
    added, gone = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    changed = sum(bool(old[key]) and old[key] != new[key] for key in old.keys() & new.keys())
    counts = (
        (added, said("{number} new", number=added)),
        (gone, said("{number} gone", number=gone)),
        (changed, said("{number} with other details", number=changed)),
    )
    told = joined(", ", [what for number, what in counts if number]) or said("other details")
    return joined("; ", [told, *_sheets(before, after)])


def _named(paths: list[str]) -> str:
    named = ", ".join(paths[:NAMED])
    return said("{named} and {count} more", named=named, count=len(paths) - NAMED) if len(paths) > NAMED else named
