"""Invented contacts and letters for the tests of preview, mailbox page and report."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage

from mailer.model import Attachment, Contact, Envelope, Identity, Letter, Mailbox, Message, Problem, Severity
from mailer.preview import Rendered, Summary

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
LOGO = Attachment(filename="logo.png", content_type="image/png", content=PIXEL, content_id="logo@example.org")
MOTION = Attachment(filename="Model motion.pdf", content_type="application/pdf", content=b"%PDF-1.4\n" + b"x" * 4000)
NAMES = (
    "Ana Lima", "Branch 14, Northern Region", "Бранко Петровић", "Maria-Aurélia Fontaine de la Rochette-Montcalm", "Lee",
    "کرن احمد", "O'Brien, Pat", "Søren Østergård", "陳美玲", "José Álvarez",
)  # fmt: skip
LANGUAGES = ("en", "en", "fr", "en", "es", "ur")
DOMAINS = ("example.org", "example.net", "branch.example", "union.test", "mail.example")
HTML = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>An appeal</title>
<meta name="color-scheme" content="light dark">
<style>body{{font:16px/1.6 Georgia,serif;margin:0;padding:24px;background:#fff;color:#222}}
.sheet{{max-width:560px;margin:auto}} a{{color:#a81e2c}} img{{width:56px;height:56px;border-radius:8px}}
@media (prefers-color-scheme:dark){{body{{background:#161616;color:#eee}} a{{color:#ff9a95}}}}</style></head>
<body><div class="sheet"><img src="cid:logo@example.org" alt="Solidarity Centre">
<p>Dear {name},</p>
<p>eleven port workers in the harbour of Sandvik were dismissed on 3 October after they elected shop stewards. Their
families have had no income since. We ask your branch to pass the attached motion and to write to the embassy.</p>
<p><a href="https://solidarity.example/appeal">Read the appeal</a> or <a href="mailto:embassy@example.org" target="_self">write
to the embassy</a>.</p>
<p>In solidarity,<br>The Solidarity Centre</p></div></body></html>"""


def contact(number: int, **changes) -> Contact:
    name = NAMES[number % len(NAMES)]
    fields = {
        "address": f"contact{number}@{DOMAINS[number % len(DOMAINS)]}",
        "row": number + 1,
        "name": name,
        "language": LANGUAGES[number % len(LANGUAGES)],
        "fields": {"name": name, "city": "" if number % 7 == 3 else "Sandvik", "branch": "" if number == 3 else "14"},
        **changes,
    }
    return Contact(key=fields["address"].lower(), **fields)


def letter(to: Contact, **changes) -> Letter:
    fields = {
        "subject": f"Eleven dismissed in Sandvik: can {to.name or 'your branch'} help?",
        "text": f"Dear {to.name},\n\neleven port workers were dismissed.\n\nIn solidarity\n",
        "html": HTML.format(language=to.language or "en", name=to.name),
        "language": to.language or "en",
        "identity": Identity(sender=Mailbox(address="appeals@solidarity.example", name="Solidarity Centre")),
        "to": Mailbox(address=to.address, name=to.name),
        "attachments": (LOGO, MOTION),
        **changes,
    }
    return Letter(**fields)


def composed(part: Letter, number: int = 1) -> Message:
    mail = EmailMessage()
    mail["From"] = "Solidarity Centre <appeals@solidarity.example>"
    mail["To"] = part.to.address
    mail["Subject"] = part.subject.replace("\n", " ").replace("\r", " ")
    mail["Date"] = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    mail["Message-ID"] = f"<token{number}@solidarity.example>"
    mail.set_content(part.text)
    mail.add_alternative(part.html, subtype="html")
    html = mail.get_payload()[1]
    for file in part.attachments:
        main, _, sub = file.content_type.partition("/")
        if file.content_id:
            html.add_related(file.content, main, sub, cid=f"<{file.content_id}>", filename=file.filename)
        else:
            mail.add_attachment(file.content, maintype=main, subtype=sub, filename=file.filename)
    content = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n", max_line_length=None))
    envelope = Envelope(mail_from=part.identity.mail_from, rcpt_to=part.to.address)
    return Message(envelope=envelope, message_id=f"<token{number}@solidarity.example>", content=content)


def rendered(number: int, *, warnings: tuple[Problem, ...] = (), **changes) -> Rendered:
    to = contact(number)
    merged = letter(to, **changes)
    return Rendered(contact=to, letter=merged, message=composed(merged, number), warnings=warnings)


def campaign(count: int) -> Iterator[Rendered]:
    """`count` different messages; composed once a name, then varied, to be quick with many."""
    for number in range(1, count + 1):
        doubt = warning(number + 1) if number % 40 == 4 else None
        yield rendered(number, warnings=(doubt,) if doubt else ())


def warning(row: int) -> Problem:
    return Problem(
        code="stale-lookup",
        message="The embassy's address was last checked more than a year ago.",
        file="contacts/embassies.csv",
        row=row,
        column="checked_on",
        hint="Check it on the embassy's own page and put in today's date.",
        severity=Severity.WARNING,
    )


def summary(**changes) -> Summary:
    fields = {
        "campaign": "appeal--branches",
        "seal": "3f9a1c07-b22d90e1-55c0aa18-90e7d3f4-0b1ce6a9",
        "template": "templates/appeal",
        "list_name": "contacts/branches.xlsx",
        "sender": "Solidarity Centre <appeals@solidarity.example>",
        "warnings": (warning(5), warning(45)),
        "duplicates": 3,
        "blank": 2,
        "suppressed": 1,
        "made_at": datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
        **changes,
    }
    return Summary(**fields)
