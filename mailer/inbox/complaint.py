"""Complaints: "this is spam", as mail providers pass it on (RFC 5965, and Microsoft's own form); read without I/O."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.inbox.delivery_status import original_headers
from mailer.inbox.mail import Mail, addresses, fields

REPORT_PART = "embedded/feedback-report"
COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out", "opt-out-list"})
"""Feedback types (RFC 5965, 7.3) by which somebody says that they do not want this. `not-spam` says the contrary,
`auth-failure` (RFC 6591) is about signatures."""

MICROSOFT = "x-hmxmroriginalrecipient"


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """Who may have complained, and texts in which a token of ours may stand."""

    addresses: tuple[str, ...]
    marks: tuple[str, ...]


def read_complaint(mail: Mail) -> Complaint | None:
    """None if it is no complaint."""
    original = original_headers(mail)
    marks = tuple(original.get(name, "") for name in ("return-path", "list-unsubscribe"))
    report = mail.leaf(REPORT_PART)
    if report is not None:
        merged: dict[str, str] = {}
        for group in fields(report):
            merged = group | merged
        if merged.get("feedback-type", "").split(";")[0].strip().lower() not in COMPLAINTS:
            return None
        recipients = [*addresses(merged.get("original-rcpt-to", "")), *addresses(original.get("to", ""))]
        return Complaint(addresses=tuple(recipients), marks=(merged.get("original-mail-from", ""), *marks))
    if MICROSOFT in original:
        return Complaint(addresses=tuple(addresses(original[MICROSOFT])), marks=marks)
    return None
