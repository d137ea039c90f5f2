"""Signing as an organiser meets it: what the settings ask for, what arrives, and what a seal and a continued campaign hold to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dkim_judge import ed25519_pem, rsa_pem, settings, signer, verdicts
from journey import Journey, beginning, people

DOMAIN = "example.org"
RECORDS = dict(signer(DOMAIN).dns_records)
SIGNATURE = re.compile(rb"\ADKIM-Signature:[^\r]*(?:\r\n [^\r]*)*\r\n")
DATE = re.compile(rb"\r\nDate: [^\r]*")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    with beginning(tmp_path / "my campaign", rows=people(6)) as journey:
        yield journey


@pytest.fixture
def keys(journey: Journey) -> dict[str, str]:
    """The settings of both keys, by paths as people write them: relative to the campaign folder."""
    given = settings(journey.folder, DOMAIN)
    return {name: Path(value).name if name.endswith("_FILE") else value for name, value in given.items()}


def contents(journey: Journey) -> list[bytes]:
    assert journey.server is not None
    return [message.content for message in journey.server.accepted]


def bare(content: bytes) -> bytes:
    """A message without its signatures and its Date."""
    while SIGNATURE.match(content):
        content = SIGNATURE.sub(b"", content)
    return DATE.sub(b"", content, count=1)


def tokenless(content: bytes) -> bytes:
    """The same without the signature in its unsubscribe links, which a preview does not give away."""
    content = bare(content)
    name = re.search(rb"Message-ID: <(\w+)@", content)
    assert name
    return re.sub(name[1] + rb"[0-9a-f]{20}", name[1], content.replace(b"=\r\n", b""))


def one_key(keys: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in keys.items() if "ED25519" not in name}


@pytest.mark.parametrize("how", [(), ("--connections", "2", "--processes", "2")], ids=["one process", "two processes"])
def test_every_message_arrives_with_signatures_that_hold(
    journey: Journey, keys: dict[str, str], how: tuple[str, ...]
) -> None:
    ran = journey.call("send", *journey.campaign, "--yes", *how, settings=keys)
    assert ran.code == 0, ran
    assert journey.settled() == {"sent": 6}
    assert [verdicts(content, RECORDS) for content in contents(journey)] == [[True, True]] * 6


def test_without_settings_nothing_is_signed(journey: Journey) -> None:
    assert journey.call("send", *journey.campaign, "--yes").code == 0
    assert not any(b"DKIM-Signature" in content for content in contents(journey))


def test_a_test_message_is_signed_as_well(journey: Journey, keys: dict[str, str]) -> None:
    ran = journey.call("test", *journey.campaign, "--to", "me@example.net", settings=keys)
    assert ran.code == 0, ran
    (content,) = contents(journey)
    assert b"Subject: [TEST]" in content
    assert verdicts(content, RECORDS) == [True, True]


def test_a_preview_is_not_signed_and_says_so_and_its_seal_holds(journey: Journey, keys: dict[str, str]) -> None:
    previewed = journey.call("preview", *journey.campaign, "--json", settings=keys).data
    assert previewed["warnings"] == []
    out = journey.folder / previewed["out"]
    assert "as each message leaves, by example.org" in (out / "index.html").read_text("utf-8")
    drafts = [path.read_bytes() for path in sorted((out / "eml").glob("*.eml"))]
    assert not any(b"DKIM-Signature" in draft for draft in drafts)
    ran = journey.call("send", *journey.campaign, "--yes", "--seal", previewed["seal"], settings=keys)
    assert ran.code == 0, ran
    assert sorted(map(tokenless, contents(journey))) == sorted(map(tokenless, drafts))


def test_what_was_previewed_unsigned_or_with_another_key_is_not_sent(journey: Journey, keys: dict[str, str]) -> None:
    unsigned = journey.call("preview", *journey.campaign, "--json").data["seal"]
    signed = journey.call("preview", *journey.campaign, "--json", settings=keys).data["seal"]
    assert unsigned != signed
    ran = journey.call("send", *journey.campaign, "--yes", "--seal", unsigned, settings=keys)
    assert ran.code == 2
    assert "DKIM was '', is now 'example.org, selector mail2026, key " in ran.err
    ran = journey.call("send", *journey.campaign, "--yes", "--seal", signed, settings=one_key(keys))
    assert ran.code == 2
    assert journey.nothing_sent()


def test_a_campaign_goes_on_with_its_key_and_with_another_only_on_request(
    journey: Journey, keys: dict[str, str]
) -> None:
    given = one_key(keys)
    assert journey.call("send", *journey.campaign, "--yes", "--limit", "2", settings=given).code == 3
    assert journey.call("send", *journey.campaign, "--yes", "--limit", "1", settings=given).code == 3
    (journey.folder / "dkim.pem").write_bytes(rsa_pem("another"))
    for changed in (
        given,
        {},
        given | {"MAILER_DKIM_SELECTOR": "mail2027"},
        given | {"MAILER_DKIM_DOMAIN": "m.example.org"},
    ):
        ran = journey.call("send", *journey.campaign, "--yes", settings=changed)
        assert ran.code == 2
        assert "The settings changed: DKIM was 'example.org, selector mail2026, key " in ran.err
        assert "--update" in ran.err
    assert len(contents(journey)) == 3
    rotated = given | {"MAILER_DKIM_SELECTOR": "mail2027"}
    assert journey.call("send", *journey.campaign, "--yes", "--update", settings=rotated).code == 0
    assert journey.settled() == {"sent": 6}
    selectors = [re.search(rb"\r\n s=(\w+);", content)[1] for content in contents(journey)]
    assert selectors == [b"mail2026"] * 3 + [b"mail2027"] * 3


def test_who_was_in_doubt_gets_the_old_letter_signed_with_the_key_of_today(
    journey: Journey, keys: dict[str, str]
) -> None:
    assert journey.server is not None
    journey.server.on("dot", nth=1, drop=True)
    assert journey.call("send", *journey.campaign, "--yes", "--limit", "1", settings=one_key(keys)).code == 3
    assert journey.status()["uncertain"] == 1
    rotated = one_key(keys) | {"MAILER_DKIM_SELECTOR": "mail2027"}
    assert journey.call("send", *journey.campaign, "--yes", "--update", settings=rotated).code == 1
    assert journey.call("resolve", journey.name, "--as", "queued").code == 0
    assert journey.call("send", *journey.campaign, "--yes", settings=rotated).code == 0
    assert journey.settled() == {"sent": 6}
    records = {"mail2027._domainkey.example.org": RECORDS["mail2026._domainkey.example.org"]}
    assert [verdicts(content, records) for content in contents(journey)] == [[True]] * 6


def test_the_private_key_is_in_no_other_file_of_the_folder(journey: Journey, keys: dict[str, str]) -> None:
    journey.call("preview", *journey.campaign, settings=keys)
    journey.call("send", *journey.campaign, "--yes", settings=keys)
    lines = [line for pem in (rsa_pem(), ed25519_pem()) for line in pem.split(b"\n")[1:-2]]
    found = {
        path.name for path in journey.folder.rglob("*") if path.is_file() for line in lines if line in path.read_bytes()
    }
    assert found == {"dkim.pem", "dkim_ed25519.pem"}
    signer_of_ours = signer(DOMAIN)
    raw = [private[-60:-20] for _, _, private in signer_of_ours.packed]
    assert not [
        path for path in journey.folder.rglob("*") if path.is_file() for part in raw if part in path.read_bytes()
    ]


# -- what is wrong with the settings


def refused(journey: Journey, given: dict[str, str], *command: str) -> str:
    ran = journey.call(*(command or ("send", *journey.campaign, "--yes")), settings=given)
    assert ran.code == 2, ran
    assert journey.nothing_sent()
    assert not [line for line in rsa_pem().decode().split("\n")[1:-2] if line in ran.said]
    return " ".join(ran.err.split())


@pytest.mark.parametrize("command", ["send", "preview", "test"])
def test_settings_in_part_name_what_is_missing(journey: Journey, keys: dict[str, str], command: str) -> None:
    words = [command, *journey.campaign, *(["--to", "me@example.net"] if command == "test" else [])]
    for missing in keys:
        said = refused(journey, {name: value for name, value in keys.items() if name != missing}, *words)
        assert f"{missing} is not set; in mailer.toml write for example {missing[7:].lower()} = " in said


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("absent.pem", None, "the file cannot be read: "),
        ("public.txt", "v=DKIM1; k=rsa; p=MIIB", "it holds something else, but no private key"),
        ("dkim_ed25519.pem", "", "it is an Ed25519 key, which many receivers cannot use yet"),
    ],
)
def test_a_key_file_that_is_none_is_named_with_the_reason(
    journey: Journey, keys: dict[str, str], name: str, text: str | None, words: str
) -> None:
    if text:
        journey.write(name, text)
    said = refused(journey, one_key(keys) | {"MAILER_DKIM_KEY_FILE": name})
    assert f"MAILER_DKIM_KEY_FILE (from the environment): {words}" in said
    assert "most providers sign for you" in said


def test_all_that_is_wrong_with_the_keys_is_told_at_once(journey: Journey, keys: dict[str, str]) -> None:
    (journey.folder / "dkim.pem").unlink()
    said = refused(journey, keys | {"MAILER_DKIM_ED25519_KEY_FILE": "list.csv"})
    assert "MAILER_DKIM_KEY_FILE" in said
    assert "MAILER_DKIM_ED25519_KEY_FILE" in said


def test_two_keys_cannot_share_a_selector(journey: Journey, keys: dict[str, str]) -> None:
    said = refused(journey, keys | {"MAILER_DKIM_ED25519_SELECTOR": "Mail2026"})
    assert "each key has a selector of its own" in said


def test_an_rsa_key_is_no_ed25519_key(journey: Journey, keys: dict[str, str]) -> None:
    said = refused(journey, keys | {"MAILER_DKIM_ED25519_KEY_FILE": "dkim.pem"})
    assert "it is an RSA key; it belongs into dkim_key_file" in said


def test_a_short_key_is_warned_of_once(journey: Journey, keys: dict[str, str]) -> None:
    (journey.folder / "dkim.pem").write_bytes(rsa_pem("short", 1024))
    ran = journey.call("send", *journey.campaign, "--yes", settings=one_key(keys))
    assert ran.code == 0
    assert ran.err.count("the key has 1024 bits only") == 1
    listed = journey.call("preview", *journey.campaign, "--json", settings=one_key(keys)).data["warnings"]
    assert [warning["code"] for warning in listed] == ["dkim"]


@pytest.mark.skipif(os.name != "posix", reason="Windows does not tell who may read a file by its mode")
def test_a_key_that_everybody_can_read_is_warned_of_with_the_command_that_closes_it(
    journey: Journey, keys: dict[str, str]
) -> None:
    (journey.folder / "dkim.pem").chmod(0o644)
    ran = journey.call("send", *journey.campaign, "--yes", settings=keys)
    assert ran.code == 0
    assert ran.err.count("everybody on this computer can read the private key; close it: chmod 600 dkim.pem") == 1


@pytest.mark.parametrize(
    ("domain", "warned"),
    [("example.org", False), ("mail.example.org", False), ("example.net", True), ("other-example.org", True)],
)
def test_a_signature_that_does_not_vouch_for_the_sender_is_warned_of(
    journey: Journey, keys: dict[str, str], domain: str, warned: bool
) -> None:
    ran = journey.call("send", *journey.campaign, "--yes", settings=keys | {"MAILER_DKIM_DOMAIN": domain})
    assert ran.code == 0
    assert (f"messages are from example.org, but signed by {domain}" in " ".join(ran.err.split())) is warned


def test_who_only_looks_is_not_asked_for_a_key(journey: Journey, keys: dict[str, str]) -> None:
    journey.call("send", *journey.campaign, "--yes", settings=keys)
    (journey.folder / "dkim.pem").unlink()
    for command in (["status"], ["report", journey.name], ["suppress", "list"], ["check", journey.list]):
        assert journey.call(*command, settings=keys).code == 0, command
