"""What changed between what was frozen, or previewed, and what would be sent now, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mailer.model import Manifest

LABELS = {
    "letter": "The letter changed",
    "list": "The list changed",
    "attachments": "The attachments changed",
    "settings": "The settings changed",
    "messages": "The messages come out differently",
}
NAMED = 5


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
        "settings": "; ".join(_settings(before.settings, after.settings)),
        "list": _contacts(before, after, old_digests, new_digests),
        "messages": "the letter says which row somebody is in, or mailer itself has changed",
    }
    return [f"{LABELS[part]}: {details[part]}." for part in changed]


def changed_parts(seal: str, manifest: Manifest) -> list[str]:
    """Which parts a seal of unknown origin disagrees on, read off its five groups."""
    groups = seal.split("-")
    parts = manifest.parts
    if len(groups) != len(parts):
        return []
    return [LABELS[part] for group, (part, digest) in zip(groups, parts.items(), strict=True) if digest[:8] != group]


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return "; ".join(
        f"{_named(paths)} {verb}"
        for paths, verb in (
            ([path for path in before if path in after and before[path] != after[path]], "edited"),
            ([path for path in after if path not in before], "added"),
            ([path for path in before if path not in after], "removed"),
        )
        if paths
    )


def _settings(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield f"{name} was {old!r}, is now {new!r}"


def _contacts(before: Manifest, after: Manifest, old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> str:
    if old is None or new is None:
        return f"{before.count} people then, {after.count} now"
    counts = (
        (len(new.keys() - old.keys()), "new"),
        (len(old.keys() - new.keys()), "gone"),
        (sum(old[key] != new[key] for key in old.keys() & new.keys()), "with other details"),
    )
    return ", ".join(f"{number} {what}" for number, what in counts if number) or "other details"


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more
