"""Bounces in words only, of servers that know no RFC 3464: qmail, old Exim, old Exchange; read without I/O.

Only what has the exact form of one of these is taken for one. Anything else is left to a person.
"""

from __future__ import annotations

import re

from mailer.inbox.delivery_status import MOST_RECIPIENTS, STATUS, Failure, failed_recipients
from mailer.inbox.mail import Mail

ADDRESS = r"[^\s<>@:,;()]{1,100}@[^\s<>@:,;()]{1,255}"

QMAIL = re.compile(r"Hi\. This is the .{0,300}?\n\n(?P<rest><.*)", re.DOTALL)
"""The qmail-send bounce message format: it opens so, and each recipient has a paragraph that opens with the address."""

QMAIL_RECIPIENT = re.compile(rf"<(?P<address>{ADDRESS})>:\s*(?P<words>.*)", re.DOTALL)
QMAIL_END = re.compile(r"^--- (Below this line is|Enclosed (is|are)|Undelivered message)", re.MULTILINE)

EXIM_OPENING = "This message was created automatically by mail delivery software"
EXIM_FINAL = re.compile(r"This is a permanent error\.|[Tt]he following address\(es\) failed:")
EXIM_DELAY = re.compile(r"has not been delivered to|no action is required on your part", re.IGNORECASE)
EXIM_END = re.compile(r"^-{6} ?This is a copy of ", re.MULTILINE)
EXIM_RECIPIENT = re.compile(rf"^  (?P<address>{ADDRESS})$\n(?P<words>(?:^ {{4,}}\S.*\n?)*)", re.MULTILINE)

EXCHANGE = re.compile(
    r"Your message\s+To:.{1,3000}?did not reach the following recipient\(s\):\s*\n(?P<rest>.*)", re.DOTALL
)
EXCHANGE_RECIPIENT = re.compile(
    rf"^(?P<address>{ADDRESS}) on \w{{3}}, .{{5,60}}$\n(?P<words>(?:^[ \t]+\S.*\n?)*)", re.MULTILINE
)
EXCHANGE_UNKNOWN = re.compile(
    r"The recipient name is not recognized|Unknown Recipient|e-mail account does not exist", re.IGNORECASE
)

CODE = re.compile(r"(?<![\d.])([45]\d\d)[ -].*", re.DOTALL)
"""A server's reply as it was given, somewhere in a sentence."""


def read_plain_bounce(mail: Mail) -> tuple[Failure, ...] | None:
    """One entry a recipient; None if it is none of these."""
    if not from_a_server(mail):
        return None
    text = mail.words.replace("\r\n", "\n")
    for reader in (_qmail, _exim, _exchange):
        if found := reader(mail, text):
            return found[:MOST_RECIPIENTS]
    return None


def from_a_server(mail: Mail) -> bool:
    """Whether it comes from where bounces come from: nobody's envelope (RFC 5321, 4.5.5), or a server's own name."""
    local = mail.sender.partition("@")[0].lower()
    return mail.header("return-path").strip() == "<>" or local in {
        "mailer-daemon",
        "postmaster",
        "system administrator",
    }


def _qmail(_mail: Mail, text: str) -> tuple[Failure, ...]:
    found = QMAIL.match(text.lstrip())
    if not found:
        return ()
    body = QMAIL_END.split(found["rest"])[0]
    recipients = (QMAIL_RECIPIENT.match(paragraph.strip()) for paragraph in body.split("\n\n"))
    return tuple(_failed(one["address"], one["words"]) for one in recipients if one)


def _exim(mail: Mail, text: str) -> tuple[Failure, ...]:
    if EXIM_OPENING not in text[:500]:
        return ()
    body = EXIM_END.split(text)[0]
    if EXIM_DELAY.search(body) and not EXIM_FINAL.search(body):
        return tuple(
            Failure(addresses=(one["address"],), action="delayed", status="", diagnostic="")
            for one in EXIM_RECIPIENT.finditer(body)
        )
    if not EXIM_FINAL.search(body):
        return ()
    known = {address.lower() for address in failed_recipients(mail)}
    return tuple(
        _failed(one["address"], one["words"])
        for one in EXIM_RECIPIENT.finditer(body)
        if not known or one["address"].lower() in known
    )


def _exchange(_mail: Mail, text: str) -> tuple[Failure, ...]:
    found = EXCHANGE.search(text)
    if not found:
        return ()
    return tuple(
        _failed(one["address"], one["words"], unknown=bool(EXCHANGE_UNKNOWN.search(one["words"])))
        for one in EXCHANGE_RECIPIENT.finditer(found["rest"])
    )


def _failed(address: str, words: str, *, unknown: bool = False) -> Failure:
    flat = " ".join(words.split())
    status, reply = STATUS.search(flat), CODE.search(flat)
    return Failure(
        addresses=(address,),
        action="failed",
        status=status[0] if status else "5.1.1" if unknown else "",
        diagnostic=(reply[0] if reply else flat)[:2000],
        final=(address,),
    )
