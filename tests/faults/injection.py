"""Attempts to get a header, a recipient or a second message in through every field; the server's own files are the judge."""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from email import policy
from email.parser import BytesParser
from email.utils import getaddresses
from pathlib import Path

from .oracle import Oracle

SPY = "spy@evil.test"
FIELDS = ("name", "email", "city", "note", "file")

LETTER = """---
subject: "News for {{ name }} {{ note }}"
to_name: "{{ name }}"
preheader: "{{ note }} {{ city }}"
attachments: [{document: motion, name: "motion {{ file }}.pdf"}]
---
Dear {{ name }} of {{ city }},

{{ note }} [{{ note }}](https://example.org/{{ file }}) {{ mailto("office@example.org", note, name) }}
"""

PLAIN_LETTER = "".join(line for line in LETTER.splitlines(keepends=True) if not line.startswith("attachments"))
MOTION = "# Motion of {{ city }}\n\n{{ note }} {{ name }}\n"

ENDS = ("\r\n", "\n", "\r", "\n\n", "\r\n\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\0", "\\r\\n", "%0d%0a", "&#13;&#10;", "\r\n ", "\n\t", "\u010d\u010a", "\u560d\u560a", "\ud83d")  # fmt: skip
TAILS = (
    f"Bcc: {SPY}", f"Cc: {SPY}", f"To: {SPY}", "X-Injected: yes", "Subject: another", f"RCPT TO:<{SPY}>", f"From: {SPY}",
    f".\r\nMAIL FROM:<office@example.org>\r\nRCPT TO:<{SPY}>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.", ".\r\nQUIT", f"Reply-To: {SPY}",
    "Content-Type: text/html\r\n\r\n<b>x</b>", "--=_boundary\r\nContent-Type: text/plain\r\n\r\nx",
)  # fmt: skip
TRICKS = (
    "O'Brien, Pat", f"a, {SPY}", f"a; {SPY}", f"a>, <{SPY}", f'a", <{SPY}>, "b', f"<{SPY}>", f"({SPY})", f"a ({SPY}) b", f"group: {SPY};",
    f"=?utf-8?q?a=0D=0ABcc:_{SPY}?=", f"=?utf-8?q?a=2C_=3C{SPY}=3E?=", "=?utf-8?b?DQpCY2M6IHNweUBldmlsLnRlc3Q=?=", "a\\", 'a"', 'a\\",',
    "{{ 7 * 7 }}", "{% raw %}", "<script>", "](x)", f"](mailto:{SPY})", "../../etc/passwd", "..\\..\\x", "a/b", ".", "..", "x" * 2000, " ",
    f"?bcc={SPY}", f"&bcc={SPY}&", "%", "\u202e", "\u202emoc", "＠", f"a\u2028Bcc: {SPY}", "é" * 300, "🙂" * 80,
)  # fmt: skip


def rows(chance: random.Random, count: int) -> list[dict[str, str]]:
    """People with a payload in one field each. The first one is harmless: what their message has, all may have."""
    people = [{"name": "Pat", "email": "p0@example.org", "city": "Leeds", "note": "today", "file": "0"}]
    for number in range(1, count):
        one = {
            "name": f"Pat {number}",
            "email": f"p{number}@example.org",
            "city": "Leeds",
            "note": "today",
            "file": str(number),
        }
        payload = chance.choice(TRICKS) if chance.random() < 0.35 else chance.choice(ENDS) + chance.choice(TAILS)
        where = chance.choice(FIELDS)
        before = chance.random() < 0.15
        one[where] = payload + one[where] if before else one[where] + payload
        people.append(one)
    return people


def write(folder: Path, chance: random.Random, count: int, *, attachments: bool) -> set[str]:
    """Letter and list; a list in JSON, since there every character stands as it is. Returns whom one may write to."""
    (folder / "templates").mkdir(exist_ok=True)
    letter = LETTER if attachments else PLAIN_LETTER
    (folder / "templates" / "appeal.md").write_text(letter, encoding="utf-8", newline="\n")
    (folder / "templates" / "motion.md").write_text(MOTION, encoding="utf-8", newline="\n")
    people = rows(chance, count)
    (folder / "people.json").write_text(json.dumps(people, ensure_ascii=True), encoding="utf-8", newline="\n")
    return {address(one["email"]) for one in people}


def address(cell: str) -> str:
    """The one address that a cell may stand for: as it is, without invisible characters, spaces, quotes and a full stop around it."""
    visible = "".join(char for char in cell if unicodedata.category(char) not in {"Cf", "Cs"})
    return visible.strip().strip("\"'<>").rstrip(".").lower()


def judge(oracle: Oracle, messages: Path, people: set[str]) -> tuple[int, list[str]]:
    """How many messages were accepted, and everything in them that should not be there."""
    taken = oracle.accepted()
    found = [
        f"sent to {message.recipients}"
        for message in taken
        if len(message.recipients) != 1 or message.recipients[0] not in people
    ]
    for address, times in Counter(one for message in taken for one in message.recipients).items():
        if times > 1:
            found.append(f"{times} messages to {address}")
    contents = [path.read_bytes() for path in sorted(messages.glob("*.eml"))]
    usual = heads(contents[0]) if contents else []
    for content, message in zip(contents, taken, strict=True):
        if heads(content) != usual:
            found.append(f"headers {sorted(set(heads(content)) ^ set(usual))} in the message to {message.recipients}")
        found += addressed(content, message.recipients[0])
    return len(taken), found


def heads(content: bytes) -> list[str]:
    """The names of all headers, also those of the parts, read plainly: a line that looks like a header is one."""
    parsed = BytesParser(policy=policy.compat32).parsebytes(content)
    names = [name.lower() for part in parsed.walk() for name in part.keys()]  # noqa: SIM118 - a header may come twice
    top = content.split(b"\r\n\r\n", 1)[0].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    names += ["top " + line.partition(b":")[0].decode("latin-1").lower() for line in top if line[:1] not in b" \t"]
    return sorted(names)


def addressed(content: bytes, recipient: str) -> list[str]:
    """Everybody a mail program would answer or write to, as two parsers understand it."""
    found = []
    strict = BytesParser(policy=policy.default).parsebytes(content)
    plain = BytesParser(policy=policy.compat32).parsebytes(content)
    for name, wanted in (("from", "office@example.org"), ("to", recipient)):
        try:
            one = [address.addr_spec for address in strict[name].addresses]
        except ValueError as error:  # what the parser decodes has a line break in it
            one = [str(error)]
        other = [address for _, address in getaddresses(plain.get_all(name, []))]
        if one != [wanted] or other != [wanted]:
            found.append(f"{name} is understood as {one} and {other}, not as {wanted}")
    return found
