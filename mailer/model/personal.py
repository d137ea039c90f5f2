"""What is kept about one person, for whoever asks for it, and what became of it when it was erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailer.model.contacts import FieldValue
from mailer.model.suppressions import Suppression


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAttempt:
    """One try at handing a message over. Times are UTC; `text` is what the server said."""

    at: datetime
    account: str
    verdict: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptEvent:
    """What came back: a bounce, a complaint, an unsubscribe, a reply."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptDelivery:
    """What a campaign knows of a person: the row of its list, and what became of the message."""

    campaign: str
    row: int
    address: str
    name: str
    language: str | None
    fields: Mapping[str, FieldValue]
    status: str
    reason: str
    message_id: str
    updated_at: datetime
    attempts: Sequence[KeptAttempt]
    events: Sequence[KeptEvent]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """A row of somebody else that names the person in one of its fields, say as the secretary of a branch."""

    campaign: str
    row: int
    fields: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dossier:
    """Everything that a ledger keeps about an address. `previews` is how many previews know it, by a digest of its row."""

    key: str
    deliveries: Sequence[KeptDelivery]
    suppressions: Sequence[Suppression]
    mentions: Sequence[Mention]
    previews: int

    @property
    def is_known(self) -> bool:
        """Whether anything is kept that names the person; a hash does not."""
        named = any(one.entry is not None for one in self.suppressions)
        return bool(self.deliveries or self.mentions or self.previews or named)


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    """How much was erased. `unwiped`: why old bytes of it may lie about until something is erased again; empty where none do."""

    deliveries: int = 0
    attempts: int = 0
    events: int = 0
    previews: int = 0
    unwiped: str = ""
