"""The dry run: the gallery of every message, and the seal that vouches for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mailer import preview
from mailer.campaign.plan import Plan, Progress, silent
from mailer.campaign.sealing import contact_digest
from mailer.ledger import Ledger


def write_preview(plan: Plan, ledger: Ledger, out: Path, *, on_progress: Progress = silent) -> tuple[Path, int]:
    """Write the gallery and remember what its seal vouches for. Returns the page to open and the number of messages."""
    made_at = datetime.now(UTC)
    suppressed = ledger.suppressions()
    ready, count = (sum(1 for _ in people) for people in (plan.ready(), plan.mailed(suppressed)))
    shown: dict[str, str] = {}

    def rendered() -> Iterator[preview.Rendered]:
        for done, contact in enumerate(plan.mailed(suppressed), start=1):
            shown[contact.key] = contact_digest(contact)
            letter, warnings = plan.template.merge_with_warnings(contact, plan.identity)
            message = plan.compose(contact, letter, made_at)
            yield preview.Rendered(contact=contact, letter=letter, message=message, warnings=warnings)
            on_progress(done, count)

    summary = preview.Summary(
        campaign=plan.name,
        seal=plan.seal,
        template=plan.manifest.template,
        list_name=plan.manifest.list_name,
        sender=", ".join(plan.manifest.senders),
        warnings=(*plan.problems, *plan.warnings),
        duplicates=plan.contacts.duplicates,
        blank=plan.contacts.blank,
        suppressed=ready - count,
        skipped=len(plan.contacts.bad_rows) + len(plan.unrendered),
        made_at=made_at,
    )
    index = preview.write(out, rendered(), summary)
    ledger.keep_preview(plan.manifest, shown)
    return index, count
