"""A seed: one letter to oneself, looked for in one's own mailbox, and what the receiving server made of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from html import escape
from typing import TYPE_CHECKING

from mailer import mime
from mailer.campaign.marks import marker
from mailer.inbox import authentication
from mailer.inbox.authentication import Results, Signed, in_line
from mailer.inbox.mailbox import OpenMailbox
from mailer.model import Contact, Identity, Letter, Mailbox, Message, said
from mailer.preflight import Area, Check
from mailer.preflight.check import Reporter

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

PATIENCE = 180.0
"""Seconds until it is given up: a server that greylists keeps a first mail longer, and says nothing."""

POLLING = 3.0
"""Seconds between two looks."""

NAME = "mailer setup"
SUBJECT = "[TEST] Does my mail arrive?"
TEXT = (
    "This is a test that you sent to yourself with mailer setup --seed-test. It shows how your letters arrive:"
    " whether they reach the inbox, and what the receiving server thinks of them.\n\n"
    "You may delete it once mailer has found it.\n"
)
FIX_DOMAIN = "See what your domain says of itself, and how to mend it: mailer doctor"
FIX_SIGN = (
    "Have your provider sign with your own domain (DKIM), or let mailer sign: dkim_domain, dkim_selector and"
    " dkim_key_file in the settings."
)

report = Reporter(Area.ARRIVAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Where it lies: how many seconds after it was handed over, whether among the spam, and its header fields."""

    seconds: float
    junk: bool
    fields: Sequence[tuple[str, str]]


def letter_to(address: str, identity: Identity, secret: bytes, signer: Signer | None) -> Message:
    """A message as a campaign's are made, links to unsubscribe and signature included. Raises ComposeError."""
    now = datetime.now(UTC)
    # a new name each time, so that the one of last time is not found; it is no delivery's, so its links unsubscribe nobody
    key = f"{address} {now.timestamp()}"
    token = mime.delivery_token(secret, NAME, key)
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in TEXT.strip().split("\n\n"))
    title = escape(SUBJECT)
    page = f'<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body>{paragraphs}</body></html>'
    letter = Letter(
        subject=SUBJECT,
        text=TEXT,
        html=page,
        language="en",
        identity=identity,
        to=Mailbox(address=address),
        marks=marker(secret, identity)(token),
    )
    contact = Contact(address=address, key=address.lower(), row=1)
    identifier = mime.message_id(secret, NAME, key, identity.sender.domain)
    message = mime.compose(letter, contact=contact, message_id=identifier, date=now)
    return signer.sign(message, now) if signer else message


def wait_for(box: OpenMailbox, message_id: str, *, since: float, patience: float, polling: float) -> Found | None:
    """Look for it in the inbox and among the spam until it is there; None if it is not after `patience` seconds.

    It stays where it is, unread. `since` is when it was handed over (`time.monotonic`). Raises Paused if the server breaks off.
    """
    folders = [None, junk] if (junk := box.junk()) else [None]
    while True:
        for folder in folders:
            uid = box.find(message_id, folder)
            for mail in box.fetch([uid] if uid else []):
                fields = BytesHeaderParser().parsebytes(mail.content).items()
                texts = [(name, str(value)) for name, value in fields]
                return Found(seconds=time.monotonic() - since, junk=folder is not None, fields=texts)
        if time.monotonic() - since > patience:
            return None
        time.sleep(polling)


def lost(patience: float) -> Check:
    """It was not found."""
    text = said(
        "The mail server took it, but after {patience:.0f} seconds it is neither in the inbox "
        "nor in a folder for spam.",
        patience=patience,
    )
    fix = (
        "Is this mailbox (imap_ settings) that of the address? Look for it there yourself, in all folders, and for a mail"
        " that says why it came back; some servers keep a first mail for a quarter of an hour."
    )
    return report.fail("arrived", text, fix)


def unread() -> Check:
    """There is no mailbox to look into."""
    text = "Your mailbox is not in the settings (imap_), so look for yourself how it arrived."
    fix = said(
        'Open "{subject}" in your mail program: is it among the spam? Its source (headers) has a '
        "line Authentication-Results, where spf, dkim and dmarc should say pass. Or set "
        "imap_host and imap_username, and run this again.",
        subject=SUBJECT,
    )
    return report.warn("mailbox", text, fix)


def judge(found: Found, sender: str) -> list[Check]:
    """What the mail tells that arrived; `sender` is the domain of From."""
    results = authentication.of_receiver(found.fields)
    signed = [one for one in authentication.signatures(found.fields) if one.domain]
    if results is not None:
        signed = [one for one in signed if authentication.confirmed(one, results)]
    aligned = [one for one in signed if in_line(one.domain, sender)]
    return [
        _place(found),
        *(_authentication(results, sender, aligned=aligned) if results is not None else [_silent()]),
        _unsubscribe(found, aligned, checked=results is not None),
    ]


def _place(found: Found) -> Check:
    when = said("It arrived after {seconds:.0f} s", seconds=max(found.seconds, 1))
    if found.junk:
        fix = "Mend what is named below; then write a subject and a letter that look like a person's, and mark this one as no spam."
        return report.warn("arrived", said("{when}, but among the spam.", when=when), fix)
    return report.ok("arrived", said("{when}, in the inbox, and stays there unread.", when=when))


def _silent() -> Check:
    text = "The receiving server does not say what it thinks of SPF, DKIM and DMARC (no Authentication-Results of its own)."
    return report.warn(
        "authentication", text, "Send one to a mailbox at a large provider, too (--to ADDRESS), and see: mailer doctor"
    )


def _authentication(results: Results, sender: str, *, aligned: Sequence[Signed]) -> Iterator[Check]:
    spf = next(iter(results.of("spf")), None)
    spf_domain = spf.property("smtp.mailfrom").rpartition("@")[2] if spf else ""
    named = {"fail": report.fail, "permerror": report.fail}
    result = spf.result if spf else "none"
    if result == "pass":
        yield report.ok("spf", "SPF: pass. The mail server may send for your domain.")
    elif result == "none":
        yield report.warn("spf", "SPF: none. The receiver found nobody who may send for your domain.", FIX_DOMAIN)
    else:
        text = said("SPF: {result}. The mail server is not among those that may send for your domain.", result=result)
        yield named.get(result, report.warn)("spf", text, FIX_DOMAIN)
    yield _dkim(results, sender, aligned)
    by_spf = result == "pass" and in_line(spf_domain, sender)
    dmarc = next(iter(results.of("dmarc")), None)
    if dmarc and dmarc.result == "pass":
        yield report.ok("dmarc", "DMARC: pass. From, and who answers for the mail, are of one domain.")
    elif dmarc and dmarc.result == "fail":
        yield report.fail("dmarc", "DMARC: fail. Receivers see that nobody answers for the domain in From.", FIX_SIGN)
    elif aligned or by_spf:
        yield report.warn(
            "dmarc",
            "From and who answers for the mail are of one domain, but the receiver names no DMARC record that passes.",
            FIX_DOMAIN,
        )
    else:
        text = said(
            "Nobody answers for {sender}, the domain in From: neither SPF nor DKIM is of this domain and passes.",
            sender=sender,
        )
        yield report.fail("dmarc", text, FIX_SIGN)


def _dkim(results: Results, sender: str, aligned: Sequence[Signed]) -> Check:
    found = [one.result for one in results.of("dkim")]
    if aligned:
        return report.ok("dkim", said("DKIM: pass, signed for {domain}.", domain=aligned[0].domain))
    if "pass" in found:
        text = said(
            "DKIM: pass, but the signature is not of {sender}, the domain in From, and does not count for it.",
            sender=sender,
        )
        return report.warn("dkim", text, FIX_SIGN)
    if set(found) <= {"none"}:
        return report.warn("dkim", "DKIM: none. The mail bears no signature.", FIX_SIGN)
    return report.fail("dkim", said("DKIM: {result}. The signature is not valid.", result=found[0]), FIX_DOMAIN)


def _unsubscribe(found: Found, aligned: Sequence[Signed], *, checked: bool) -> Check:
    """Whether one-click unsubscribing works: both headers there, and covered by a good signature (RFC 8058, 4)."""
    there = {name.lower() for name, _ in found.fields} & {"list-unsubscribe", "list-unsubscribe-post"}
    if "list-unsubscribe" not in there:
        fix = "Set unsubscribe_url or unsubscribe_mailto; without, a letter to more than 50 people is refused."
        return report.warn("unsubscribe", "It has no List-Unsubscribe header, the button of mail programs.", fix)
    covered = any(there <= one.covers for one in aligned)
    if not covered:
        text = "No signature of your domain covers the headers for unsubscribing, so large providers show no button for it."
        return report.warn("unsubscribe", text, FIX_SIGN)
    if "list-unsubscribe-post" not in there:
        text = (
            "The signature covers List-Unsubscribe; for unsubscribing by one click there is no List-Unsubscribe-Post."
        )
        fix = "Large providers ask for it from those who send thousands a day: set unsubscribe_url to a page by https."
        return report.warn("unsubscribe", text, fix)
    if checked:
        return report.ok("unsubscribe", "The signature covers List-Unsubscribe and List-Unsubscribe-Post.")
    return report.ok(
        "unsubscribe", "A signature that nobody checked here covers List-Unsubscribe and List-Unsubscribe-Post."
    )
