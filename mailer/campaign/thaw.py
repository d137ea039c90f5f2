"""From a delivery to its message, by what the ledger froze; the campaign folder is not read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from mailer import merge, mime
from mailer.campaign.frozen import Frozen
from mailer.campaign.marks import marker
from mailer.campaign.prints import Prints
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
    def revision(number: int) -> tuple[merge.Template, Prints, list[tuple[Identity, Marking]], int]:
        manifest = ledger.manifest(campaign, number)
        files = Frozen({**manifest.letter, **manifest.attachments}, ledger.blob)
        try:
            identity = identity_of(manifest.settings)
            faces = faces_of(identity)
            marked = [(face, marker(secret, face)) for face in faces]
            template = merge.load(manifest.template, files)
            return template, Prints(template, faces), marked, faces.index(identity.over(relay))
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
        template, prints, faces, ours = revision(delivery.revision)
        now = datetime.now(UTC)
        contact, identifier = delivery.contact, delivery.message_id
        token = identifier[1:].partition("@")[0]
        known = prints.of(contact)
        if known is not None and known.number == delivery.digest:
            identity, marks_of = faces[ours]
            words, marks = known.words, marks_of(token)
            # its words are those of its first face
            letter = template.letter(words, contact, marks) if ours == 0 else template.merge(contact, identity, marks)
            message = mime.compose(letter, contact=contact, message_id=identifier, date=now)
        else:
            made, full = [], []
            # in all its faces: the number that was noted when it was checked is over all of them
            for identity, marks_of in faces:
                marks = marks_of(token)
                letter = template.merge(contact, identity, marks)
                made.append(mime.compose(letter, contact=contact, message_id=identifier, date=now))
                full.append(fingerprint(made[-1], marks))
            if together(full) != delivery.digest:
                raise Paused(
                    "This version of mailer would send another message than the one that was checked. It was not sent.",
                    hint=ANEW,
                )
            message = made[ours]
        # what was checked, and the seal, is the message without its signature, which covers the Date
        return signer.sign(message, now) if signer else message

    return message
