"""The letter, for each sender in its own form: text and HTML, some 4.4 KB together as mailer sends it."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SIZE = 4_400
"""Bytes of the constant message."""

SENDER = "ana@example.org"
SUBJECT = "{{ name }}, your branch in {{ city }} can help"

BODY = """\
Dear {{ name }},

**two comrades of {{ branch }} have been dismissed** because they spoke at a meeting of their own workmates. They ask \
every branch in {{ country }} for three things, and each of them takes less than an hour.

- Bring the model motion to your next meeting in {{ city }}, and send us the day on which it was passed.
- Write to the company. A letter in your own words counts for more than a hundred that are all the same.
- Share [the appeal](https://example.org/appeal) with those who worked with them, and ask them to sign it.

You have been with us since {{ joined }}, so you know how such a case goes: what is not answered in the first weeks is \
forgotten in the third month. Last year it took forty branches and eleven days until the doors were opened again.

In solidarity,

Ana Berg, for the committee
"""

FILLING = """
---

You get this letter because your branch is in contact with us about our work for comrades who lost theirs. We keep no \
record of who opened it, and nobody but us has the list that your address is in. We send such a letter when it can \
still change something, at most once in a month, and never for anybody who asks for money or for votes. What came of \
the last five of them stands on our page, with the names of the branches that wrote, and what the companies answered. \
Nobody had expected it, least of all the companies.

To get no more letters from us, just answer and say so; a single word is enough, and you need not give a reason. If \
this letter belongs to somebody else in your branch, please pass it on, and tell us whom we should write to next time.
"""
"""What mailer's own layout has in a like measure: without it the other senders' messages would be shorter."""

HTML = "\n".join(f'<p style="margin: 0 0 14px;">{part}</p>' for part in f"{BODY}{FILLING}".strip().split("\n\n"))

MAILER_TOML = """\
sender = "Ana Berg <{sender}>"
unsubscribe_mailto = "leave@example.org"
smtp_host = "127.0.0.1"
smtp_port = {port}
smtp_security = "none"
"""

MAILMERGE_CONF = """\
[smtp_server]
host = 127.0.0.1
port = {port}
"""


NAME = "appeal"
"""What mailer is told to send."""


def for_mailer(folder: Path, port: int) -> None:
    """Write a campaign folder for a server on a port, but for its list."""
    settings(folder, port)
    letter = folder / "templates" / f"{NAME}.md"
    letter.parent.mkdir(parents=True)
    letter.write_text(f'---\nsubject: "{SUBJECT}"\nlanguage: en\n---\n{BODY}', encoding="utf-8")


def settings(folder: Path, port: int) -> None:
    """Write mailer's settings for a server on a port."""
    (folder / "mailer.toml").write_text(MAILER_TOML.format(sender=SENDER, port=port), encoding="utf-8")


def sign(folder: Path) -> None:
    """Have the messages of a campaign folder signed, by an RSA key of 2048 bits."""
    private = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = folder / "dkim.pem"
    key.write_bytes(private)
    key.chmod(0o600)
    with (folder / "mailer.toml").open("a", encoding="utf-8") as settings:
        settings.write('dkim_domain = "example.org"\ndkim_selector = "bench"\ndkim_key_file = "dkim.pem"\n')


def for_mailmerge(folder: Path, port: int) -> None:
    """Write mailmerge's template and settings under the names that it looks for."""
    head = f"TO: {{{{ email }}}}\nSUBJECT: {SUBJECT}\nFROM: Ana Berg <{SENDER}>\nContent-Type: text/markdown\n"
    (folder / "mailmerge_template.txt").write_text(f"{head}\n{BODY}{FILLING}", encoding="utf-8")
    (folder / "mailmerge_server.conf").write_text(MAILMERGE_CONF.format(port=port), encoding="utf-8")


def for_redmail(folder: Path) -> Path:
    """Write subject, text and HTML as templates for the loop."""
    path = folder / "letter.json"
    parts = {"sender": SENDER, "subject": SUBJECT, "text": BODY + FILLING, "html": f"<html><body>{HTML}</body></html>"}
    path.write_text(json.dumps(parts), encoding="utf-8")
    return path


def constant(folder: Path) -> Path:
    """Write a message that is the same for everybody, of exactly SIZE bytes on the wire."""
    head = (
        f"From: Ana Berg <{SENDER}>\nTo: Comrade <comrade@example.org>\nSubject: Your branch can help\n"
        "Date: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-ID: <constant@example.org>\nMIME-Version: 1.0\n"
        'Content-Type: multipart/alternative; boundary="=_constant"\n'
    )
    text = f"\n--=_constant\nContent-Type: text/plain; charset=utf-8\n\n{BODY}"
    html = f"\n--=_constant\nContent-Type: text/html; charset=utf-8\n\n{HTML}{HTML}"
    end = "\n--=_constant--\n"
    whole, closing = (part.replace("\n", "\r\n").encode("ascii") for part in (head + text + html, end))
    content = whole[: SIZE - len(closing)]
    path = folder / "constant.eml"
    path.write_bytes(content + closing)
    return path
