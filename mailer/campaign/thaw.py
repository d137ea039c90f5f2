"""From a delivery to its message, by what the ledger froze; the campaign folder is not read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from mailer import merge, mime
from mailer.campaign.frozen import Frozen
from mailer.campaign.sealing import fingerprint, identity_of
from mailer.errors import Paused
from mailer.ledger import Ledger
from mailer.model import CampaignRecord, Delivery, Identity, Message


def renderer(ledger: Ledger, campaign: CampaignRecord) -> Callable[[Delivery], Message]:
    """Render a campaign's deliveries. What it returns raises LetterError, or Paused where the message is another than was checked."""

    @cache
    def revision(number: int) -> tuple[merge.Template, Identity]:
        manifest = ledger.manifest(campaign, number)
        files = Frozen({**manifest.letter, **manifest.attachments}, ledger.blob)
        return merge.load(manifest.template, files), identity_of(manifest.settings)

    def message(delivery: Delivery) -> Message:
        template, identity = revision(delivery.revision)
        letter = template.merge(delivery.contact, identity)
        composed = mime.compose(
            letter, contact=delivery.contact, message_id=delivery.message_id, date=datetime.now(UTC)
        )
        if fingerprint(composed) != delivery.digest:
            raise Paused(
                "This version of mailer would send another message than the one that was checked. It was not sent.",
                hint="look at a new preview, then run the send command with --update",
            )
        return composed

    return message
