"""The sample campaign through a real Postfix, read back from a real Dovecot; and Postfix's own misbehaving server."""

from __future__ import annotations

import email
import email.policy
import getpass
import io
import re
import socket
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import real_servers
from program import Program, copy_samples

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Postfix and Dovecot are not for Windows")

CAMPAIGNS = (("solidarity-appeal", "contacts/branches.csv", 14), ("embassy-letter", "contacts/supporters.csv", 16))
EVERYBODY = 30

# Postfix and its delivery agent put these above what they were given.
TRACE = re.compile(
    rb"(?:(?:Return-Path|X-Original-To|Delivered-To|Received):[^\n]*\n(?:[ \t][^\n]*\n)*)+", re.IGNORECASE
)
DATE = re.compile(rb"^Date: ([^\r\n]*)\r\n", re.MULTILINE)

SETTINGS = {
    "MAILER_SMTP_HOST": "127.0.0.1",
    "MAILER_SENDER": "Büro für Solidarität <campaign@solidarity.example>",
    "MAILER_REPLY_TO": "office@solidarity.example",
    "MAILER_BOUNCE_ADDRESS": "bounces@solidarity.example",
    "MAILER_POSTAL_ADDRESS": "Solidarity Campaign, 1 Example Street, Exampletown",
    "MAILER_UNSUBSCRIBE_MAILTO": "unsubscribe@solidarity.example",
    # longer than any line that a mail program would fold, and it must not be folded
    "MAILER_UNSUBSCRIBE_URL": f"https://solidarity.example/unsubscribe?list={'appeal-' * 20}end",
    "MAILER_LIST_ID": "appeals.solidarity.example",
    "TZ": "Asia/Karachi",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """What went in and what came out. `previewed` and `read_back` are by Message-ID, without trace headers."""

    previewed: dict[str, bytes]
    read_back: dict[str, bytes]
    raw: list[bytes]
    commands: list[str]
    began: datetime


def message_id(content: bytes) -> str:
    found = re.findall(rb"^Message-ID: (<[^>\r\n]+>)\r\n", head_of(content), re.MULTILINE)
    assert len(found) == 1
    return found[0].decode()


def head_of(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[0] + b"\r\n"


def dateless(content: bytes) -> bytes:
    head, _, body = content.partition(b"\r\n\r\n")
    changed, dates = DATE.subn(b"", head + b"\r\n")
    assert dates == 1
    return changed + b"\r\n" + body


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    real_servers.require("postfix", "dovecot")
    began = datetime.now(UTC)
    folder = copy_samples(tmp_path_factory.mktemp("real"))
    with (
        real_servers.server_folder() as servers,
        real_servers.postfix(servers) as relay,
        real_servers.dovecot(servers, relay.maildir) as mailbox,
    ):
        program = Program(folder=folder, settings=SETTINGS | {"MAILER_SMTP_PORT": str(relay.port)})
        previewed = {}
        for template, people, count in CAMPAIGNS:
            preview = program.json("preview", template, people, "--out", template)
            assert preview["messages"] == count
            for path in (folder / preview["out"] / "eml").glob("*.eml"):
                content = path.read_bytes()
                previewed[message_id(content)] = content
            sent = program.json(
                "send", template, people, "--seal", preview["seal"], "--yes", "--rate", "100/second", "--batch-size", "6",
                "--connections", "2",
            )  # fmt: skip
            assert (sent["total"], sent["sent"], sent["state"]) == (count, count, "finished")
        raw = mailbox.messages(EVERYBODY)
        bare = [TRACE.sub(b"", content, count=1) for content in raw]
        return Arrived(
            previewed=previewed,
            read_back={message_id(content): content for content in bare},
            raw=raw,
            commands=relay.commands(),
            began=began,
        )


def test_everybody_got_one_message_and_it_is_addressed_to_them_alone(arrived: Arrived) -> None:
    assert len(arrived.raw) == len(arrived.read_back) == EVERYBODY
    messages = [parsed(content) for content in arrived.raw]
    envelopes = Counter(message["X-Original-To"] for message in messages)
    assert set(envelopes.values()) == {1}
    for message in messages:
        (to,) = message["To"].addresses
        assert to.addr_spec == message["X-Original-To"]
        assert message["Return-Path"] == "<bounces@solidarity.example>"
        assert not message["Cc"]
        assert not message["Bcc"]


def test_what_was_previewed_is_what_is_read_back_byte_for_byte(arrived: Arrived) -> None:
    assert set(arrived.read_back) == set(arrived.previewed)
    for identifier, content in arrived.read_back.items():
        name = identifier.strip("<>").partition("@")[0].encode()
        assert tokenless(dateless(content), name) == tokenless(dateless(arrived.previewed[identifier]), name)


def tokenless(content: bytes, name: bytes) -> bytes:
    """Without the signatures in unsubscribe links, which a preview does not give away, nor the breaks of lines through them."""
    return re.sub(name + rb"[0-9a-f]{20}", name, content.replace(b"=\r\n", b""))


def test_the_date_is_that_of_sending_and_tells_no_time_zone(arrived: Arrived) -> None:
    for content in arrived.read_back.values():
        (text,) = DATE.findall(head_of(content))
        assert text.endswith(b" +0000")
        date = parsedate_to_datetime(text.decode())
        assert arrived.began - timedelta(seconds=1) <= date <= datetime.now(UTC)


def test_no_header_comes_twice_or_says_what_program_wrote_it(arrived: Arrived) -> None:
    for content in arrived.read_back.values():
        names = Counter(name.lower() for name in parsed(content).keys())  # noqa: SIM118 - not a mapping: keys may repeat
        assert set(names.values()) == {1}
        assert not {"x-mailer", "user-agent", "x-original-to", "received", "x-originating-ip"} & set(names)
        assert {"list-unsubscribe", "list-unsubscribe-post", "list-id", "reply-to", "mime-version"} <= set(names)


def test_the_greeting_and_the_messages_do_not_name_this_machine_or_its_user(arrived: Arrived) -> None:
    greetings = [command for command in arrived.commands if command.lower().startswith(("ehlo", "helo"))]
    assert {greeting.lower() for greeting in greetings} == {"ehlo [127.0.0.1]"}
    names = {socket.gethostname(), socket.gethostname().partition(".")[0], socket.getfqdn(), getpass.getuser()}
    names.add(str(Path.home()))
    names -= {"localhost", ""}
    telling = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names), re.IGNORECASE)
    assert not telling.search("\n".join(arrived.commands))
    for content in arrived.read_back.values():
        for text in readable(content):
            found = telling.search(text)
            assert not found, text[max(0, found.start() - 60) : found.end() + 60]
            assert "+0500" not in text


def readable(content: bytes) -> Iterator[str]:
    """Everything in a message that a curious reader can get at: headers, texts, the insides of documents."""
    message = parsed(content)
    yield "\n".join(f"{name}: {value}" for name, value in message.items())
    for part in message.walk():
        yield "\n".join(f"{name}: {value}" for name, value in part.items())
        if part.get_content_maintype() == "text":
            yield part.get_content()
        elif not part.is_multipart():
            data = part.get_payload(decode=True)
            assert zipfile.is_zipfile(io.BytesIO(data))
            with zipfile.ZipFile(io.BytesIO(data)) as document:
                for entry in document.infolist():
                    yield entry.filename + entry.comment.decode() + document.read(entry).decode("utf-8", "replace")


# -- Postfix's smtp-sink, which misbehaves on demand

SINK = ("--yes", "--rate", "100/second")
NAME = "embassy-letter--supporters"
FIRST_THREE = ["aoife.brennan@example.org", "joseph.mwangi@example.net", "priya.raman@supporters.example"]


@pytest.fixture
def sink_campaign(tmp_path: Path) -> Program:
    real_servers.require("smtp-sink")
    return Program(folder=copy_samples(tmp_path), settings=dict(SETTINGS))


def send_to_sink(program: Program, *options: str, code: int) -> dict[str, Any]:
    with real_servers.smtp_sink(*options) as port:
        program.settings["MAILER_SMTP_PORT"] = str(port)
        result = program.json("send", *CAMPAIGNS[1][:2], *SINK, code=code)
    kinds = ("queued", "sending", "sent", "deferred", "failed", "uncertain", "suppressed", "skipped")
    assert sum(result[kind] for kind in kinds) == result["total"] == 16
    return result


@pytest.mark.thorough
def test_people_refused_for_now_are_tried_again_in_minutes(sink_campaign: Program) -> None:
    before = datetime.now(UTC)
    result = send_to_sink(sink_campaign, "-r", "RCPT", code=3)
    assert (result["deferred"], result["state"]) == (16, "paused")
    assert timedelta(minutes=3) < datetime.fromisoformat(result["next_attempt_at"]) - before < timedelta(minutes=12)


def test_a_list_of_which_everybody_is_refused_is_stopped_after_five(sink_campaign: Program) -> None:
    result = send_to_sink(sink_campaign, "-f", "RCPT", code=4)
    assert (result["failed"], result["queued"], result["state"]) == (5, 11, "stopped")


def test_a_server_that_hangs_up_at_the_dot_gets_three_messages_and_they_are_a_persons_to_decide(
    sink_campaign: Program,
) -> None:
    result = send_to_sink(sink_campaign, "-q", ".", code=3)
    assert (result["uncertain"], result["queued"]) == (3, 13)
    shown = sink_campaign.run("resolve", NAME)
    assert shown.returncode == 1
    assert [address for address in FIRST_THREE if address in shown.stdout] == FIRST_THREE
    assert shown.stdout.count("Message-ID <") == 3

    again = send_to_sink(sink_campaign, code=1)
    assert (again["sent"], again["uncertain"], again["state"]) == (13, 3, "finished")
    decided = sink_campaign.json("resolve", NAME, "--as", "sent")
    assert (decided["sent"], decided["uncertain"], decided["resolved"]) == (16, 0, 3)
