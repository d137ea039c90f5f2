"""Signatures (RFC 6376): whatever was written, dkimpy finds them right; whatever is changed afterwards, it finds them wrong."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from dkim.canonicalization import Relaxed
from dkim_judge import DOMAIN, as_pem, ed25519_pem, rsa_pem, signer, verdicts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailer.mime import compose, message_id
from mailer.mime.dkim import Signer, canonical_body, canonical_head
from mailer.mime.keys import Algorithm, BadKeyError, Key, dns_record, read_key
from mailer.model import Attachment, Contact, Envelope, Identity, Letter, Mailbox, Message

NOW = datetime(2026, 11, 23, 9, 5, 7, tzinfo=UTC)
PAT = Contact(address="pat@branch.example", key="pat@branch.example", row=7)
MESSAGE_ID = message_id(b"secret", "appeal", PAT.key, DOMAIN)
SIGNER = signer()
RECORDS = dict(SIGNER.dns_records)

words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=80)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200) | st.lists(
    st.sampled_from(["\n", "\r\n", " ", "  ", "\t", " \n", "=", "é", "a" * 75, "From ", ".", "--"]), max_size=40
).map("".join)
identities = st.builds(
    Identity,
    sender=words.map(lambda name: Mailbox(address=f"office@{DOMAIN}", name=name)),
    reply_to=st.none() | words.map(lambda name: Mailbox(address="answers@branch.example", name=name)),
    list_id=st.none() | st.just("Appeals <appeals.union.example>"),
    unsubscribe_url=st.none() | st.integers(0, 800).map(lambda n: "https://union.example/leave?" + "x" * n),
    unsubscribe_mailto=st.none() | st.just("leave@union.example?subject=leave"),
)
files = st.builds(
    Attachment, filename=st.just("Motion modèle.pdf"), content_type=st.just("application/pdf"), content=st.binary()
)
letters = st.builds(
    Letter,
    subject=words,
    text=texts,
    html=texts,
    language=st.just("en"),
    identity=identities,
    to=words.map(lambda name: Mailbox(address=PAT.address, name=name)),
    attachments=st.lists(files, max_size=2).map(tuple),
)
FULL = Letter(
    subject="Freedom for our comrades",
    text="Dear Pat,  \n\nan injury to one.\n\n\n",
    html="<p>Dear Pat,</p>\n  <p>an injury to one.</p>\n",
    language="en",
    identity=Identity(
        sender=Mailbox(address=f"office@{DOMAIN}", name="Union of Dockers"),
        list_id="appeals.union.example",
        unsubscribe_url="https://union.example/leave?" + "x" * 300,
        unsubscribe_mailto="leave@union.example",
    ),
    to=Mailbox(address=PAT.address, name="Pat"),
)


def composed(letter: Letter = FULL) -> Message:
    return compose(letter, contact=PAT, message_id=MESSAGE_ID, date=NOW)


def signed(letter: Letter = FULL) -> bytes:
    return SIGNER.sign(composed(letter), NOW).content


def split(content: bytes) -> tuple[list[bytes], bytes]:
    """The header fields as they are written, and the body."""
    head, _, body = content.partition(b"\r\n\r\n")
    return re.split(rb"\r\n(?![ \t])", head), body


def tags(field: bytes) -> dict[str, str]:
    """The tags of a signature without the white space in them."""
    text = "".join(field.decode().partition(":")[2].split())
    return dict(part.split("=", 1) for part in text.split(";"))


@settings(deadline=None)
@given(letters)
@example(FULL)
@example(FULL._replace(subject="", text="", html=""))
def test_whatever_the_letter_both_signatures_hold_and_nothing_else_of_the_message_differs(letter: Letter) -> None:
    unsigned = composed(letter)
    message = SIGNER.sign(unsigned, NOW)
    assert message.content.endswith(b"\r\n" + unsigned.content)
    assert message._replace(content=b"") == unsigned._replace(content=b"")
    assert verdicts(message.content, RECORDS) == [True, True]


def test_a_signature_has_these_tags_and_no_others() -> None:
    for field, algorithm in zip(split(signed())[0], Algorithm, strict=False):
        found = tags(field)
        assert list(found) == ["v", "a", "c", "d", "s", "t", "h", "bh", "b"]  # no x=, i=, l=
        assert (found["v"], found["a"], found["c"], found["d"]) == ("1", algorithm, "relaxed/relaxed", DOMAIN)
        assert max(map(len, field.split(b"\r\n"))) <= 78


def test_the_time_of_signing_is_that_in_the_date_whatever_the_time_zone() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    message = SIGNER.sign(compose(FULL, contact=PAT, message_id=MESSAGE_ID, date=there), there)
    fields, _ = split(message.content)
    (date,) = (field for field in fields if field.startswith(b"Date:"))
    assert int(tags(fields[0])["t"]) == parsedate_to_datetime(date[6:].decode()).timestamp() == NOW.timestamp()


def test_every_header_is_signed_and_what_a_reader_relies_on_once_more() -> None:
    fields, _ = split(signed())
    named = tags(fields[0])["h"].split(":")
    written = [field.partition(b":")[0].decode().lower() for field in fields[2:]]
    assert {"list-unsubscribe", "list-unsubscribe-post", "message-id", "content-type"} < set(written)
    assert sorted(named) == sorted([*written, "from", "reply-to", "to", "subject", "date"])


@settings(deadline=None)
@given(st.data())
def test_one_changed_octet_of_header_or_body_breaks_both(data: st.DataObject) -> None:
    content = signed()
    start = len(content) - len(composed().content)
    at = data.draw(st.integers(start, len(content) - 1).filter(lambda at: content[at : at + 1].isalnum()))
    other = data.draw(
        st.sampled_from(b"abcXYZ019").filter(lambda octet: bytes([octet]).lower() != content[at : at + 1].lower())
    )
    assert verdicts(content[:at] + bytes([other]) + content[at + 1 :], RECORDS) == [False, False]


@pytest.mark.parametrize(
    "header",
    [
        b"From: Somebody Else <office@union.example>",
        b"Reply-To: catcher@attacker.example",
        b"To: other@branch.example",
        b"Subject: Another one",
        b"Date: Mon, 23 Nov 2026 10:00:00 +0000",
    ],
)
@pytest.mark.parametrize("place", ["above", "below"])
def test_nobody_who_sends_it_on_can_add_a_second_of_what_a_reader_relies_on(header: bytes, place: str) -> None:
    fields, body = split(signed())
    at = 2 if place == "above" else len(fields)
    fields.insert(at, header)
    assert verdicts(b"\r\n".join([*fields, b"", body]), RECORDS) == [False, False]


@pytest.mark.parametrize("name", [b"List-Unsubscribe", b"List-Unsubscribe-Post", b"Message-ID", b"Content-Type"])
def test_no_header_can_be_taken_away(name: bytes) -> None:
    fields, body = split(signed())
    left = [field for field in fields if not field.startswith(name + b":")]
    assert len(left) == len(fields) - 1
    assert verdicts(b"\r\n".join([*left, b"", body]), RECORDS) == [False, False]


def test_what_servers_do_on_the_way_breaks_neither() -> None:
    fields, body = split(signed())
    trace = [b"Return-Path: <office@union.example>", b"Received: from relay.test\r\n\tby mx.branch.example; today"]
    folded = [field.replace(b" <https:", b"\r\n\t <https:").replace(b"Subject:", b"SUBJECT:  ") for field in fields]
    spaced = body.replace(b"an injury", b"an \t injury").replace(b",\r\n", b",  \r\n") + b"\r\n \r\n"
    changed = b"\r\n".join([*trace, *folded, b"", spaced])
    assert len(changed) > len(signed()) + 100
    assert verdicts(changed, RECORDS) == [True, True]


def test_of_headers_with_one_name_the_last_is_signed_first() -> None:
    content = (
        b"From: office@union.example\r\nX-Branch: one\r\nX-Branch: two\r\nTo: pat@branch.example\r\n\r\nDear Pat\r\n"
    )
    message = SIGNER.sign(Message(Envelope("", ""), MESSAGE_ID, content), NOW)
    assert verdicts(message.content, RECORDS) == [True, True]
    swapped = message.content.replace(b"one", b"x").replace(b"two", b"one").replace(b"x\r\n", b"two\r\n")
    assert verdicts(swapped, RECORDS) == [False, False]
    # what stands above the signed ones is nobody's concern
    fields, body = split(message.content)
    assert verdicts(b"\r\n".join([b"X-Branch: zero", *fields, b"", body]), RECORDS) == [True, True]


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n", b" \r\n\t\r\n", b"x", b"\r\n\r\nx \r\n\r\n"])
def test_bodies_of_nearly_nothing_are_signed_as_well(body: bytes) -> None:
    content = b"From: office@union.example\r\nSubject:\r\n\r\n" + body
    message = SIGNER.sign(Message(Envelope("", ""), MESSAGE_ID, content), NOW)
    assert verdicts(message.content, RECORDS) == [True, True]


@given(st.lists(st.text(" \tab", max_size=6).map(str.encode), max_size=8))
def test_the_relaxed_body_is_the_one_of_dkimpy(lines: list[bytes]) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    assert canonical_body(body) == Relaxed.canonicalize_body(body)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"X", b"List-Id", b"y \t"]),
            st.lists(st.text(" \t:ab", max_size=4), min_size=1, max_size=3),
        ),
        min_size=1,
    )
)
def test_the_relaxed_header_is_the_one_of_dkimpy(fields: list[tuple[bytes, list[str]]]) -> None:
    found = [(name, b"\r\n ".join(line.encode() for line in lines)) for name, lines in fields]
    head = b"\r\n".join(b"%b:%b" % field for field in found)
    theirs = Relaxed.canonicalize_headers([(name, value + b"\r\n") for name, value in found])
    assert canonical_head(head) == [b"%b:%b" % (name, value.removesuffix(b"\r\n")) for name, value in theirs]


def test_a_long_domain_and_selector_and_non_ascii_addresses_are_signed() -> None:
    domain = ".".join(["x" * 60] * 4)
    long = Signer([read_key(rsa_pem(), domain=domain, selector="s" * 60)])
    letter = FULL._replace(to=Mailbox(address="zoë@branch.example", name="Zoë"))
    contact = Contact(address="zoë@branch.example", key="zoë@branch.example", row=2)
    message = compose(letter, contact=contact, message_id=MESSAGE_ID, date=NOW)
    assert message.needs_smtputf8
    assert verdicts(long.sign(message, NOW).content, dict(long.dns_records)) == [True]


def test_a_key_goes_to_another_process_and_comes_back_the_same() -> None:
    again = Signer.unpacked(SIGNER.packed)
    assert again.signatures == SIGNER.signatures
    assert again.sign(composed(), NOW) == SIGNER.sign(composed(), NOW)


def test_a_key_shows_nothing_private() -> None:
    key = read_key(rsa_pem(), domain=DOMAIN, selector="mail2026")
    shown = repr(key) + repr(key.signature) + repr(dns_record(key)) + repr(SIGNER)
    assert "private" not in shown.lower()
    assert not any(line and line in shown for line in rsa_pem().decode().split("\n")[1:-2])


def test_the_records_hold_the_public_keys_as_others_read_them() -> None:
    (name, value), (second, bare) = SIGNER.dns_records
    assert (name, second) == ("mail2026._domainkey.union.example", "mail2026e._domainkey.union.example")
    assert value.startswith("v=DKIM1; k=rsa; p=")
    assert bare.startswith("v=DKIM1; k=ed25519; p=")
    public = serialization.load_der_public_key(base64.b64decode(value.partition("p=")[2], validate=True))
    assert isinstance(public, rsa.RSAPublicKey)
    assert len(base64.b64decode(bare.partition("p=")[2], validate=True)) == 32


@pytest.mark.parametrize("kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_keys_are_read_in_each_form_that_the_usual_programs_write(kind: serialization.PrivateFormat) -> None:
    private = serialization.load_pem_private_key(rsa_pem(), None)
    text = private.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    windows = b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")
    for written in (text, windows, b"a note\n" + text):
        assert read_key(written, domain=DOMAIN, selector="x").signature.key == SIGNER.signatures[0].key


def public_pem() -> bytes:
    private = serialization.load_pem_private_key(rsa_pem(), None)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def ssh_pem() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def curve_pem() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


SHORT = b"""-----BEGIN PRIVATE KEY-----
MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAshort
-----END PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "something else"),
        (b"v=DKIM1; k=rsa; p=MIIB", "something else"),
        (public_pem(), "a public key or a certificate"),
        (ssh_pem(), "for SSH"),
        (curve_pem(), "neither an RSA nor an Ed25519 key"),
        (as_pem(serialization.load_pem_private_key(rsa_pem(), None), b"secret"), "encrypted with a passphrase"),
        (SHORT, "damaged"),
        (rsa_pem()[:800], "damaged"),
    ],
)
def test_what_is_no_key_to_sign_with_is_refused_with_the_reason(text: bytes, words: str) -> None:
    with pytest.raises(BadKeyError, match=words):
        read_key(text, domain=DOMAIN, selector="mail2026")


def pem_of(p: int, q: int) -> bytes:
    """A key of two given primes, of a length that nobody makes any more or yet."""
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return as_pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))


@pytest.mark.parametrize(
    ("p", "q", "bits"),
    [
        pytest.param(2**256 - 189, 2**255 - 19, 511, id="short"),
        pytest.param(2**2281 - 1, 2**2203 - 1, 4484, id="long"),
    ],
)
def test_an_rsa_key_of_a_length_that_receivers_do_not_take_is_refused(p: int, q: int, bits: int) -> None:
    with pytest.raises(BadKeyError, match=f"it has {bits} bits"):
        read_key(pem_of(p, q), domain=DOMAIN, selector="mail2026")


def test_a_key_of_1024_bits_is_read_and_called_short() -> None:
    assert read_key(rsa_pem("", 1024), domain=DOMAIN, selector="x").is_short
    assert not read_key(rsa_pem(), domain=DOMAIN, selector="x").is_short
    assert not read_key(ed25519_pem(), domain=DOMAIN, selector="x").is_short
    assert isinstance(read_key(ed25519_pem(), domain=DOMAIN, selector="x"), Key)
