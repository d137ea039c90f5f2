"""The nouns of the project, as frozen values that pass from step to step.

Standard library only; no I/O. A step takes some of these and returns others, so that the whole pipeline can be read
from the signatures: rows -> Contact -> Letter -> Message -> Delivery -> Outcome.
"""

from mailer.model.campaigns import (
    FINAL,
    OPEN,
    CampaignRecord,
    Delivery,
    DeliveryRecord,
    Manifest,
    Status,
    Tally,
)
from mailer.model.contacts import (
    Contact,
    FieldValue,
    Lookup,
    PackedContact,
    Problem,
    Severity,
    SkippedRow,
)
from mailer.model.events import BounceClass, Event, EventKind, Returned, Sent
from mailer.model.findings import NUMBER, Findings
from mailer.model.messages import (
    MARK_PLACE,
    NO_MARKS,
    Attachment,
    Envelope,
    Files,
    Identity,
    Letter,
    Mailbox,
    Marks,
    Message,
    Signature,
)
from mailer.model.relays import (
    Action,
    Outcome,
    Phase,
    Pipelining,
    Quota,
    RelayFacts,
    Reply,
    Scope,
    Security,
    Verdict,
)

__all__ = [
    "FINAL",
    "MARK_PLACE",
    "NO_MARKS",
    "NUMBER",
    "OPEN",
    "Action",
    "Attachment",
    "BounceClass",
    "CampaignRecord",
    "Contact",
    "Delivery",
    "DeliveryRecord",
    "Envelope",
    "Event",
    "EventKind",
    "FieldValue",
    "Files",
    "Findings",
    "Identity",
    "Letter",
    "Lookup",
    "Mailbox",
    "Manifest",
    "Marks",
    "Message",
    "Outcome",
    "PackedContact",
    "Phase",
    "Pipelining",
    "Problem",
    "Quota",
    "RelayFacts",
    "Reply",
    "Returned",
    "Scope",
    "Security",
    "Sent",
    "Severity",
    "Signature",
    "SkippedRow",
    "Status",
    "Tally",
    "Verdict",
]
