"""Which deliveries a mail is about, and what it tells of them: from the surest trace to the least sure; no I/O of its own.

A token of ours is signed, and a Message-ID of ours tells nobody else what it is: who gives one back has had the message. An
address alone proves little, so it counts only for what went there shortly before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from mailer.address import address_key
from mailer.inbox.classify import classify, status_of, words_of
from mailer.inbox.delivery_status import Failure
from mailer.inbox.understand import Kind, Understood
from mailer.model import BounceClass, Event, EventKind, Sent

WINDOW = 14 * 86_400.0
"""Seconds. Servers give up after five days at most (RFC 5321, 4.5.4.1); complaints come when people read."""

CLOCKS = 3600.0
"""Seconds by which the mailbox's clock may be behind ours; it leaves out parts of a second as well, and some servers bounce at once."""


class Known(Protocol):
    """What is known of who was mailed."""

    def by_bounce_token(self, marks: Sequence[str]) -> Sent | None:
        """Whose token is in one of these texts, in the return path."""
        ...

    def by_leave_token(self, marks: Sequence[str]) -> Sent | None:
        """The same for the address or link to unsubscribe."""
        ...

    def by_message_id(self, message_ids: Sequence[str]) -> Sent | None: ...
    def by_key(self, key: str, *, since: float, until: float) -> list[Sent]: ...
    def knows(self, key: str) -> bool: ...


def events_of(found: Understood, at: float, known: Known) -> list[Event]:
    """What a mail that arrived at a time (Unix time) tells, one event a delivery; nothing if it is about none of ours."""
    if found.kind is Kind.BOUNCE:
        return [_bounce(found, at, failure, sent) for failure, sent in _bounced(found, at, known)]
    if found.kind is Kind.COMPLAINT:
        sent = _complained(found, at, known)
        return [_event(EventKind.COMPLAINT, found, at, sent)] if sent else []
    if found.kind in {Kind.DELAY, Kind.RECEIPT, Kind.PUZZLE}:
        return []
    leaving: Sent | str | None = known.by_leave_token(found.marks) or (
        _wished(found, known) if found.kind is Kind.LEAVING else None
    )
    if leaving is not None:
        return [_event(EventKind.UNSUBSCRIBE, found, at, leaving)]
    answered = (
        known.by_message_id(found.message_ids) if found.message_ids and found.kind is not Kind.AUTOMATIC else None
    )
    return [_event(EventKind.REPLY, found, at, answered)] if answered else []


def is_ours(found: Understood, known: Known) -> bool:
    """Whether a notice that asks for nothing, say of a delay, is about one of our messages."""
    return found.kind in {Kind.DELAY, Kind.RECEIPT} and _traced(found, known) is not None


def _traced(found: Understood, known: Known) -> Sent | None:
    by_token = known.by_bounce_token(found.marks)
    return by_token or (known.by_message_id(found.message_ids) if found.message_ids else None)


def _bounced(found: Understood, at: float, known: Known) -> Iterator[tuple[Failure, Sent]]:
    failed = [failure for failure in found.failures if failure.action == "failed"]
    if sent := _traced(found, known):
        # forwarded to others, it may speak of several: the words about this address tell most
        theirs = [one for one in failed if sent.key in map(address_key, one.addresses)]
        key = sent.key
        yield min(theirs or failed, key=lambda one: _is_elsewhere(one, key)), sent
        return
    seen = set()
    for failure in failed:
        sent = _latest(failure.addresses, at, known)
        if sent and sent.delivery not in seen:
            seen.add(sent.delivery)
            yield failure, sent


def _complained(found: Understood, at: float, known: Known) -> Sent | None:
    # the message that is complained of has our link to unsubscribe in it, even where the address was taken out
    return known.by_leave_token(found.marks) or _traced(found, known) or _latest(found.addresses, at, known)


def _wished(found: Understood, known: Known) -> Sent | str | None:
    if found.message_ids and (sent := known.by_message_id(found.message_ids)):
        return sent
    key = address_key(found.sender)
    return key if found.sender and known.knows(key) else None


def _latest(addresses: Sequence[str], at: float, known: Known) -> Sent | None:
    """What went to the first of these addresses that was mailed shortly before."""
    for address in addresses:
        if sent := known.by_key(address_key(address), since=at - WINDOW, until=at + CLOCKS):
            return sent[0]
    return None


def _bounce(found: Understood, at: float, failure: Failure, sent: Sent) -> Event:
    return Event(
        kind=EventKind.BOUNCE,
        delivery=sent.delivery,
        campaign=sent.campaign,
        key=sent.key,
        at=at,
        source=_source(found, str(sent.delivery)),
        bounce=_class_of(failure, found.explanation, sent.key),
        status=status_of(failure),
        text=words_of(failure),
    )


def _class_of(failure: Failure, explanation: str, key: str) -> BounceClass:
    """That somebody is gone to whom an address forwards says nothing against the address: a branch has several members."""
    judged = classify(failure, explanation)
    return BounceClass.OTHER if judged is not BounceClass.OTHER and _is_elsewhere(failure, key) else judged


def _is_elsewhere(failure: Failure, key: str) -> bool:
    """Whether it ended at another address. The same name at another domain is the same person: servers have names within."""
    ends = {address_key(one).rpartition("@")[0] for one in failure.final}
    return bool(ends) and key.rpartition("@")[0] not in ends


def _event(kind: EventKind, found: Understood, at: float, about: Sent | str) -> Event:
    key = about if isinstance(about, str) else about.key
    return Event(
        kind=kind,
        delivery=None if isinstance(about, str) else about.delivery,
        campaign=None if isinstance(about, str) else about.campaign,
        key=key,
        at=at,
        source=_source(found, key if isinstance(about, str) else str(about.delivery)),
    )


def _source(found: Understood, about: str) -> str:
    """The same for the same mail about the same delivery; it tells nobody the address."""
    return hashlib.sha256(f"{found.identity}\n{about}".encode(errors="surrogatepass")).hexdigest()
