"""What a bounce says of its recipient, by the same table as a live answer; no I/O."""

from __future__ import annotations

import re

from mailer import outcome
from mailer.inbox.delivery_status import STATUS, Failure
from mailer.model import BounceClass, Phase, Reply, Scope, Verdict
from mailer.privacy import without_addresses

CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[ -]|$)")

ABOUT_CONTENT = re.compile(r"[45]\.(6\.\d+|3\.4|2\.3)")
"""Of the message, which is judged after it was seen: the size of a message, its form (RFC 3463, 3)."""

AFTER_DOT = re.compile(r"in reply to end of DATA|after end of data|after DATA|message content rejected", re.IGNORECASE)
AT_SENDER = re.compile(r"in reply to MAIL FROM|after MAIL FROM", re.IGNORECASE)

VAGUE = re.compile(r"[245]\.0\.0")
"""What a server writes that was given no enhanced code."""


def classify(failure: Failure, explanation: str = "") -> BounceClass:
    """Whom it speaks of. `explanation`: what the report says to people, which tells when the answer came."""
    rule = outcome.match(_phase(failure, explanation), _reply(failure))
    scope, verdict, _ = rule.result
    if rule.suppress:
        return BounceClass.HARD
    if scope is Scope.RECIPIENT and verdict in {Verdict.FAILED, Verdict.DEFERRED}:
        return BounceClass.SOFT
    return BounceClass.OTHER


def status_of(failure: Failure) -> str:
    """The most telling enhanced code: the server's own before the reporter's; nothing if there is none."""
    own = STATUS.search(failure.diagnostic)
    return own[0] if own and not VAGUE.fullmatch(own[0]) else failure.status


def words_of(failure: Failure) -> str:
    """The server's words as they may be kept: on one line, without addresses."""
    return without_addresses(outcome.words(failure.diagnostic))


def _reply(failure: Failure) -> Reply:
    found, status = CODE.search(failure.diagnostic[:100]), status_of(failure)
    code = int(found[1]) if found else 450 if status.startswith("4") else 550
    words = failure.diagnostic[found.end() :] if found else failure.diagnostic
    enhanced = "" if VAGUE.fullmatch(status) else status
    return Reply(code=code, text=f"{enhanced} {words.lstrip(' -').removeprefix(enhanced).lstrip()}".lstrip())


def _phase(failure: Failure, explanation: str) -> Phase:
    if ABOUT_CONTENT.fullmatch(status_of(failure)) or AFTER_DOT.search(explanation[:5000]):
        return Phase.FINAL_DOT
    return Phase.MAIL if AT_SENDER.search(explanation[:5000]) else Phase.RCPT
