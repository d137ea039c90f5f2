"""Bounces as two programs understand them: ours, and Sisimai, which has read other people's bounces for years."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import real_servers
import returned_mails as samples
from returned_mails import mail
from test_inbox_mail import EVE, JURG, PAT, TO

from mailer.inbox import Kind, understand
from mailer.inbox.classify import classify
from mailer.model import BounceClass

JUDGE = """
use Sisimai; use JSON;
my $found = Sisimai->make($ARGV[0], delivered => 1) || [];
print encode_json([map { {
    recipient => $_->recipient->address, status => $_->deliverystatus, reason => $_->reason, permanent => $_->softbounce == 0
        ? JSON::true : JSON::false,
} } @$found]);
"""

VALUES = {
    "to": TO,
    "address": PAT.key,
    "action": "failed",
    "status": "5.1.1",
    "words": f"550 5.1.1 <{PAT.key}>: User unknown",
    "id": PAT.message_id,
    "one": PAT.key,
    "two": EVE.key,
    "three": JURG.key,
}

ANSWERS = [
    ("5.1.1", "550 5.1.1 User unknown"),
    ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
    ("5.2.2", "552 5.2.2 Mailbox full"),
    ("4.2.2", "452 4.2.2 Over quota"),
    ("4.4.7", ""),
    ("4.7.1", "450 4.7.1 Greylisted"),
    ("5.7.1", "550 5.7.1 blocked, see the list"),
    ("5.0.0", "554 5.7.1 Message rejected as spam"),
    ("5.7.26", "550 5.7.26 unauthenticated"),
    ("5.3.4", "552 5.3.4 message too big"),
    ("5.4.5", "550 5.4.5 daily sending quota exceeded"),
    ("5.0.0", "550 relaying denied"),
]

DISAGREED = {
    ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"): (
        "Sisimai of Debian's version does not know the words of Microsoft, and 5.1.10 is younger than its table (RFC 7505)"
    ),
    ("5.2.1", "550 5.2.1 mailbox disabled"): (
        "Sisimai calls it filtered, and would try again; for us a mailbox that its own server has closed is dead (RFC 3463, 3.3)"
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """Somebody whom a mail says it did not reach, and whether that is for good."""

    recipient: str
    permanent: bool


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not shutil.which("perl") or subprocess.run(["perl", "-MSisimai", "-e", "1"], capture_output=True).returncode:
        real_servers.missing("Sisimai for Perl is not installed")


def theirs(content: bytes, folder: Path) -> set[Failed]:
    """What Sisimai reads in a mail."""
    path, program = folder / "returned.eml", folder / "judge.pl"
    path.write_bytes(content.replace(b"\r\n", b"\n"))
    program.write_text(JUDGE, "ascii")
    said = subprocess.run(["perl", str(program), str(path)], capture_output=True, check=True, timeout=60).stdout
    told = [one for one in json.loads(said) if one["reason"] != "delivered"]
    return {Failed(recipient=one["recipient"], permanent=one["permanent"]) for one in told}


def ours(content: bytes) -> set[Failed]:
    """What we read in it. What is not the recipient's doing is never for good."""
    found = understand(content)
    return {
        Failed(recipient=address, permanent=classify(failure) is BounceClass.HARD)
        for failure in found.failures
        for address in failure.addresses
        if failure.action != "delivered"
    }


@pytest.mark.parametrize("name", ["POSTFIX", "SEVERAL", "QMAIL", "EXIM"])
def test_both_read_the_same_people_and_agree_who_is_gone_for_good(name: str, tmp_path: Path) -> None:
    content = mail(getattr(samples, name), **VALUES)
    assert ours(content) == theirs(content, tmp_path) != set()


@pytest.mark.parametrize(("status", "words"), ANSWERS)
def test_both_judge_an_answer_alike(status: str, words: str, tmp_path: Path) -> None:
    content = mail(samples.POSTFIX, **VALUES | {"status": status, "words": words})
    assert ours(content) == theirs(content, tmp_path) != set()


@pytest.mark.parametrize(("status", "words"), DISAGREED)
def test_where_they_differ_it_is_known_why(status: str, words: str, tmp_path: Path) -> None:
    content = mail(samples.POSTFIX, **VALUES | {"status": status, "words": words})
    assert ours(content) != theirs(content, tmp_path)


def test_what_the_other_makes_nothing_of_is_read_as_the_standards_have_it(tmp_path: Path) -> None:
    """Headers alone with codes in any case, and RFC 6533: Sisimai of Debian's version leaves them out."""
    for name, who in (("HEADERS_ONLY", PAT.key), ("INTERNATIONAL", JURG.key)):
        content = mail(getattr(samples, name), **VALUES)
        assert theirs(content, tmp_path) == set()
        assert Failed(recipient=who, permanent=True) in ours(content)


def test_what_the_other_guesses_is_left_to_a_person(tmp_path: Path) -> None:
    content = mail(samples.PUZZLING, **VALUES)
    assert theirs(content, tmp_path) != set()
    assert understand(content).kind is Kind.PUZZLE
    assert ours(content) == set()


def test_a_delay_is_no_failure_for_good_to_either(tmp_path: Path) -> None:
    content = mail(samples.EXIM_DELAY, **VALUES)
    assert understand(content).kind is Kind.DELAY
    assert not any(one.permanent for one in theirs(content, tmp_path))
