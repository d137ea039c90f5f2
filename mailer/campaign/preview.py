"""The dry run: the gallery of every message, and the seal that vouches for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from mailer import preview
from mailer.campaign.plan import Plan, Progress, silent
from mailer.campaign.sealing import contact_digest, written
from mailer.ledger import Digests, Ledger
from mailer.model import Findings, Identity


def unseen(_number: int, _message: preview.Rendered) -> None:
    """Nobody else looks at them."""


def write_preview(
    plan: Plan,
    ledger: Ledger,
    out: Path | None,
    *,
    own_files: int = preview.OWN_FILES,
    on_progress: Progress = silent,
    on_message: Callable[[int, preview.Rendered], None] = unseen,
) -> tuple[Path | None, int]:
    """Write the gallery and remember what its seal vouches for. Returns the page to open and the number of messages.

    Without `out` every message is made as well, but none is written. `on_message` is given each with its number, from 1.

    Up to `own_files` messages are pages and .eml files of their own.
    """
    made_at = datetime.now(UTC)
    suppressed = plan.held_back(ledger)
    ready = len(plan.contacts) - len(plan.unrendered)
    count = sum(1 for _ in plan.mailed_keys(suppressed))
    shown = Digests()
    marks_of = plan.marker(preview=True)

    def example(relay: str, identity: Identity) -> Iterator[preview.Rendered]:
        tokens = plan.marker(preview=True, identity=identity)
        for contact in islice(plan.mailed(suppressed), 1):
            letter, warnings = plan.template.merge_with_warnings(contact, identity, tokens(contact))
            message = plan.compose(contact, letter, made_at)
            yield preview.Rendered(contact=contact, letter=letter, message=message, warnings=warnings, relay=relay)

    def rendered() -> Iterator[preview.Rendered]:
        for done, contact in enumerate(plan.mailed(suppressed), start=1):
            shown.add(contact.key, contact_digest(contact))
            letter, warnings = plan.template.merge_with_warnings(contact, plan.identity, marks_of(contact))
            message = plan.compose(contact, letter, made_at)
            made = preview.Rendered(contact=contact, letter=letter, message=message, warnings=warnings)
            on_message(done, made)
            yield made
            on_progress(done, count)
        for relay, identity in plan.identity.faces:
            yield from example(relay, identity)

    doubts = Findings(plan.problems)
    doubts.extend(plan.warnings)
    summary = preview.Summary(
        campaign=plan.name,
        seal=plan.seal,
        template=plan.manifest.template,
        list_name=plan.manifest.list_name,
        sender=", ".join(plan.manifest.senders),
        signed_by=", ".join(dict.fromkeys(signature.domain for signature in plan.identity.signatures)),
        relays=[f"{relay}: {written(who.sender)}" for relay, who in plan.speakers().items()],
        warnings=doubts,
        duplicates=plan.contacts.duplicates,
        blank=plan.contacts.blank,
        suppressed=ready - count,
        skipped=len(plan.contacts.bad_rows) + len(plan.unrendered),
        made_at=made_at,
    )
    if out:
        index = preview.write(out, rendered(), summary, total=count, own_files=own_files)
    else:
        index = None
        deque(rendered(), maxlen=0)
    ledger.keep_preview(plan.manifest, shown)
    return index, count
