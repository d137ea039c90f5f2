"""From a delivery to its message, by what the ledger froze; the campaign folder is not read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from mailer import merge, mime
from mailer.campaign.frozen import Frozen
from mailer.campaign.marks import marker
from mailer.campaign.sealing import faces_of, fingerprint, identity_of, together
from mailer.errors import LetterError, Paused
from mailer.ledger import Ledger
from mailer.model import MAIN_RELAY, CampaignRecord, Delivery, Identity, Marks, Message, as_said, said

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

ANEW = "look at a new preview, then run the send command with --update"


Marking = Callable[[str], Marks]


def renderer(
    ledger: Ledger, campaign: CampaignRecord, signer: Signer | None = None, relay: str = MAIN_RELAY
) -> Callable[[Delivery], Message]:
    """Render a campaign's deliveries as they leave over a relay, signed where there is a signer: the one that its settings
    were frozen with.

    What it returns raises LetterError for a row that this version reads otherwise, and Paused for a letter that cannot be read at
    all, or a message that is another than was checked.
    """
    secret = ledger.secret

    @cache
    def revision(number: int) -> tuple[merge.Template, list[tuple[Identity, Marking]], int]:
        manifest = ledger.manifest(campaign, number)
        files = Frozen({**manifest.letter, **manifest.attachments}, ledger.blob)
        try:
            identity = identity_of(manifest.settings)
            faces = faces_of(identity)
            marked = [(face, marker(secret, face)) for face in faces]
            return merge.load(manifest.template, files), marked, faces.index(identity.over(relay))
        except LetterError as error:
            # no recipient's doing: nobody may be failed for it
            raise Paused(
                said(
                    "The letter that was checked cannot be read any more: {message} Nothing was sent.",
                    message=as_said(error.message),
                ),
                hint=ANEW,
            ) from error

    def message(delivery: Delivery) -> Message:
        template, faces, ours = revision(delivery.revision)
        now = datetime.now(UTC)
        made, prints = [], []
        # in all its faces, since the number that was noted when it was checked is over all of them
        for identity, marks_of in faces:
            marks = marks_of(delivery.message_id[1:].partition("@")[0])
            letter = template.merge(delivery.contact, identity, marks)
            composed = mime.compose(letter, contact=delivery.contact, message_id=delivery.message_id, date=now)
            made.append(composed)
            prints.append(fingerprint(composed, marks))
        if together(prints) != delivery.digest:
            raise Paused(
                "This version of mailer would send another message than the one that was checked. It was not sent.",
                hint=ANEW,
            )
        # what was checked, and the seal, is the message without its signature, which covers the Date
        return signer.sign(made[ours], now) if signer else made[ours]

    return message
