"""What leaves the computer tells nothing of it: whole dialogues are captured and searched, messages and documents taken apart.

Names of this computer and its user are replaced by canaries, which nobody uses for anything else.
"""

from __future__ import annotations

import email
import email.policy
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from line_server import imap
from PIL import Image
from program import Program
from returned_mails import mail
from smtp_server import ScriptedServer
from socks_proxy import SocksProxy

HOST = "smtp.union.example"
CANARIES = (b"kingfisher-host", b"kingfisher.lan", b"kingfisher-login", b"kingfisher-home", b"kingfisher campaign")
OFFSETS = (b"+0530", b"+05:30", b"+05'30", b" IST", b"(IST", b"Kolkata")
SOFTWARE = (
    *(b"python", b"mailer", b"aiosmtp", b"jinja", b"pandas", b"fpdf", b"docxtpl", b"pydantic", b"pillow", b"reportlab"),
    *(
        b"markdown-it",
        b"css-inline",
        b"css_inline",
        b"openpyxl",
        b"lxml",
        b"dkimpy",
        b"linux",
        b"===============",
        b"imap_tools",
    ),
)
PRETEND = """
import getpass, os, platform, socket
socket.gethostname = platform.node = lambda: "kingfisher-host"
socket.getfqdn = lambda name="": "kingfisher-host.kingfisher.lan"
getpass.getuser = os.getlogin = lambda: "kingfisher-login"
"""
LETTER = """\
---
subject: News for {{ name }}
attachments:
  - leaflet.jpg
  - cards/{{ card }}.jpg
  - {document: motion, name: motion.docx}
  - {document: motion, name: motion.pdf}
  - {document: motion, name: motion.html}
  - {document: filled.docx, name: filled.docx}
---

Dear {{ name }},

please **support** us.

![A banner](banner.png)
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    folder, pretend = tmp_path / "kingfisher campaign", tmp_path / "pretend"
    (folder / "cards").mkdir(parents=True)
    pretend.mkdir()
    (pretend / "sitecustomize.py").write_text(PRETEND, encoding="utf-8")
    (folder / "appeal.md").write_text(LETTER, encoding="utf-8")
    (folder / "motion.md").write_text("---\nsubject: Motion\n---\n# Motion\n\nMoved by {{ name }}.\n", encoding="utf-8")
    (folder / "list.csv").write_text(
        "name,email,card\n" + "".join(f"Pat {n},pat{n}@branch.example,{n}\n" for n in range(3)), encoding="utf-8"
    )
    for number, path in enumerate(("leaflet.jpg", "cards/0.jpg", "cards/1.jpg", "cards/2.jpg", "banner.png")):
        Image.new("RGB", (40, 40), (number, 90, 90)).save(folder / path)
    key = rsa.generate_private_key(65537, 2048)
    (folder / "dkim.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    word_template(folder / "filled.docx")
    canary = "kingfisher-login"
    return Program(
        folder=folder,
        settings={
            "PYTHONPATH": str(pretend),
            "TZ": "Asia/Kolkata",
            "HOME": str(tmp_path / "kingfisher-home"),
            "USER": canary,
            "LOGNAME": canary,
            "USERNAME": canary,
            "HOSTNAME": "kingfisher-host",
            "MAILER_SMTP_HOST": HOST,
            "MAILER_SMTP_SECURITY": "none",
            "MAILER_SMTP_ALLOW_UNENCRYPTED_I_UNDERSTAND_THE_RISK": "true",
            "MAILER_SENDER": "Union Office <office@union.example>",
            "MAILER_BOUNCE_ADDRESS": "bounces+{token}@union.example",
            "MAILER_LIST_ID": "appeals.union.example",
            "MAILER_POSTAL_ADDRESS": "Union Office, 1 Example Street",
            "MAILER_UNSUBSCRIBE_MAILTO": "leave@union.example",
            "MAILER_UNSUBSCRIBE_URL": "https://union.example/leave",
            "MAILER_DKIM_DOMAIN": "union.example",
            "MAILER_DKIM_SELECTOR": "s2026",
            "MAILER_DKIM_KEY_FILE": "dkim.pem",
            "MAILER_RATE": "1000/minute",
        },
    )


def word_template(path: Path) -> None:
    """As a word processor saves one: it names who wrote it, and with what."""
    import docx

    document = docx.Document()
    document.add_paragraph("Dear {{ name }}")
    document.core_properties.author = "kingfisher-login"
    document.core_properties.last_modified_by = "kingfisher-login"
    document.save(str(path))


@pytest.mark.parametrize(
    "pipelining",
    ["auto", pytest.param("message", marks=pytest.mark.thorough), pytest.param("off", marks=pytest.mark.thorough)],
)
@pytest.mark.thorough
def test_a_captured_dialogue_tells_nothing_of_this_computer(program: Program, pipelining: str) -> None:
    with ScriptedServer() as server, SocksProxy({(HOST, 25): server.port}) as proxy:
        program.settings["MAILER_PROXY"] = proxy.url
        options = ("--yes", "--pipelining", pipelining)
        done = program.run("send", "appeal.md", "list.csv", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.accepted) == 3
    assert not server.violations
    said = b"".join(proxy.carried)
    assert said.startswith(b"EHLO [127.0.0.1]\r\n")
    assert found_in(said) == []
    for message in server.accepted:
        assert list(traces(message.content)) == []
        head = message.content.partition(b"\r\n\r\n")[0]
        assert re.search(rb"(?m)^Date: \w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r?$", head)
        assert re.search(rb"(?m)^Message-ID: <[A-Za-z0-9.]+@union\.example>\r?$", head)
        names = re.findall(rb"(?m)^([A-Za-z-]+):", head)
        assert not {b"X-Mailer", b"User-Agent", b"Received", b"Sender", b"X-Originating-IP"} & {*names}


def test_tests_and_mailboxes_tell_nothing_either(program: Program) -> None:
    mails = mail("Hello")
    with ScriptedServer() as server, imap(mails) as (port, heard), SocksProxy() as proxy:
        proxy.ports = {(HOST, 25): server.port, ("imap.union.example", 143): port}
        program.settings |= {
            "MAILER_PROXY": proxy.url,
            "MAILER_IMAP_HOST": "imap.union.example",
            "MAILER_IMAP_SECURITY": "none",
            "MAILER_IMAP_PORT": "143",
            "MAILER_IMAP_USERNAME": "ana",
            "MAILER_IMAP_PASSWORD": "secret",
        }
        assert program.run("test", "appeal.md", "list.csv", "--to", "office@union.example").returncode == 0
        assert program.run("inbox").returncode == 0
    [tested] = server.accepted
    assert found_in(b"".join(proxy.carried)) == []
    assert list(traces(tested.content)) == []
    # ID (RFC 2971) would name the program
    assert [line for line in heard if " ID " in f"{line} "] == []
    assert any("LOGIN" in line for line in heard)


def test_the_search_finds_what_is_hidden() -> None:
    """A search that finds nothing anywhere would pass every test."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docProps/core.xml", "<dc:creator>kingfisher-login</dc:creator>")
    pdf = b"%PDF-1.3\nstream\n" + zlib.compress(b"/Producer (fpdf2)") + b"\nendstream"
    for content in (packed.getvalue(), pdf, b"written on Kingfisher-Host", b"Date: +0530"):
        message = email.message.EmailMessage()
        message["Subject"] = "x"
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename="x")
        assert list(traces(message.as_bytes())), content[:30]


def found_in(content: bytes) -> list[bytes]:
    """Whatever of this computer, its user, its clock or the program is named in it."""
    lower = content.lower()
    words = [word for word in (*CANARIES, *SOFTWARE) if word in lower]
    return words + [word for word in OFFSETS if word in content]


def traces(message: bytes) -> Iterator[tuple[str, bytes]]:
    """The same for a message, each of its parts decoded, and what is packed within them."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    for part in parsed.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        yield from ((f"{part.get_filename()}", word) for word in found_in(content))
        yield from (
            (f"{part.get_filename()}/{name}", word) for name, inner in unpacked(content) for word in found_in(inner)
        )


def unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                yield "its time", (b"" if entry.date_time == (1980, 1, 1, 0, 0, 0) else b"+0530")
                yield entry.filename, archive.read(entry)
    if content.startswith(b"%PDF"):
        for number, stream in enumerate(re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)):
            yield f"stream {number}", zlib.decompressobj().decompress(stream)
        yield "dates", b"".join(re.findall(rb"/\w*Date ?\([^)]*\)", content))
