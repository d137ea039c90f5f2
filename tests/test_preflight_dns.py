"""The sender's domain, as DNS has it: SPF, DKIM, DMARC and MX, asked of invented names and of a real server."""

import asyncio
import base64
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from named import Names
from real_servers import free_port, program, require, server_folder

from mailer.preflight import Check, DnsSilentError, Domains, NetworkResolver, NoSuchNameError, dmarc, domain, spf
from mailer.preflight.dkim_key import KeyUnreadableError, bits

SENDER = "union.example"
GOOD = {
    "union.example MX": ["10 mail.union.example."],
    "mail.union.example A": ["192.0.2.1"],
    "union.example TXT": ["v=spf1 include:spf.host.example ip4:192.0.2.0/24 ~all", "something else"],
    "spf.host.example TXT": ["v=spf1 a:mail.union.example -all"],
    "_dmarc.union.example TXT": ["v=DMARC1; p=none"],
}


def public(bits_of_key: int = 0) -> str:
    """The record of a new key; Ed25519 for no number of bits."""
    if not bits_of_key:
        raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
    key = rsa.generate_private_key(65537, bits_of_key).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def look(
    records: dict[str, list[str] | None],
    *,
    sender: str = SENDER,
    bounces: str = "",
    selector: str = "",
    own: str = "",
    signer: str = "",
    host: str = "mail.host.example",
) -> dict[str, Check]:
    name = f"{selector}._domainkey.{signer or sender}"
    # unless told otherwise, what is published is our own
    value = own or next(iter(records.get(f"{name} TXT") or ()), public())
    keys = ((name, value),) if selector else ()
    domains = Domains(sender=sender, bounces=bounces or sender, host=host, keys=keys, signer=signer or sender)
    found = asyncio.run(domain.checks(Names(records), domains))
    assert len({check.code for check in found}) == len(found)
    assert all(check.fix for check in found if check.level != "ok")
    return {check.code: check for check in found}


def levels(found: dict[str, Check]) -> dict[str, str]:
    return {code: check.level.value for code, check in found.items()}


def test_a_domain_in_order_is_all_ok() -> None:
    found = look(GOOD)
    assert levels(found) == dict.fromkeys(["mx", "spf", "dkim", "dmarc", "alignment"], "ok")
    assert "takes 2 look-ups of 10" in found["spf"].message


def test_a_domain_that_does_not_exist_is_named() -> None:
    found = look({"_dmarc.example TXT": []}, sender="unoin.test")
    assert levels(found) == {"domain": "fail"}
    assert "unoin.test, does not exist" in found["domain"].message


@pytest.mark.parametrize(
    ("records", "level"),
    [
        ({"union.example MX": ["0 ."]}, "fail"),
        ({"union.example MX": ["10 mail.union.example."]}, "ok"),
        ({"union.example A": ["192.0.2.1"]}, "warn"),
        ({"union.example AAAA": ["2001:db8::1"]}, "warn"),
        ({"union.example TXT": ["hello"]}, "fail"),
    ],
)
def test_answers_can_come_back_only_where_a_server_takes_mail(records: dict[str, list[str] | None], level: str) -> None:
    assert look(records)["mx"].level == level


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        ([], "warn", "has no record"),
        (["v=spf1 -all", "v=spf1 ~all"], "fail", "2 records"),
        (["v=spf1 -all"], "fail", "nobody sends mail for it"),
        (["v=spf1 +all"], "warn", "whole world"),
        (["v=spf1 all"], "warn", "whole world"),
        (["v=spf1 inculde:spf.host.example ~all"], "fail", "'inculde:spf.host.example' in it cannot be read"),
        (["v=spf1 include: ~all"], "fail", "cannot be read"),
        (["v=spf1 ip4:192.0.2.1, ~all"], "fail", "cannot be read"),
        (["v=spf1 ip4:2001:db8::1 ~all"], "fail", "cannot be read"),
        (["v=spf1 exp=a/b exists:%{l1r-/}.union.example ~all"], "ok", "takes 1 look-ups"),
        (["v=spf1 include:gone.host.example ~all"], "fail", "has no SPF record"),
        (["v=spf1 a mx ip4:192.0.2.1 ip6:2001:db8::/32 -all"], "ok", "takes 2 look-ups"),
        (["V=SPF1 A/24//64 MX:mail.union.example/24 ?ALL"], "ok", "takes 2 look-ups"),
        (["v=spf1 redirect=spf.host.example"], "ok", "takes 2 look-ups"),
        (["v=spf1 exp=why.union.example unknown=x ~all"], "ok", "takes 0 look-ups"),
        (["v=spf1 ~all include:gone.host.example"], "ok", "takes 0 look-ups"),
        (["v=spf10 -all"], "warn", "has no record"),
        (["v=spf1 a:a.gone.example a:b.gone.example ~all"], "ok", "takes 2 look-ups"),
        (["v=spf1 a:a.gone.example a:b.gone.example mx:c.gone.example ~all"], "fail", "do not exist"),
        ([f"v=spf1 {' '.join(['a'] * 10)} ~all"], "ok", "takes 10 look-ups"),
        ([f"v=spf1 {' '.join(['a'] * 11)} ~all"], "fail", "more than 10 times"),
        (["v=spf1 include:union.example ~all"], "fail", "more than 10 times"),
        (["v=spf1 exists:%{i}.union.example ~all"], "ok", "takes 1 look-ups"),
    ],
)
def test_an_spf_record_is_followed_as_a_receiver_would(texts: list[str], level: str, words: str) -> None:
    found = look(GOOD | {"union.example TXT": texts})["spf"]
    assert (found.level, words in found.message) == (level, True), found


def test_an_spf_record_that_leaves_out_the_provider_is_pointed_out() -> None:
    found = look(GOOD, host="smtp.office365.com")["spf"]
    assert found.level == "warn"
    assert "include:spf.protection.outlook.com" in found.fix
    whole = GOOD | {
        "union.example TXT": ["v=spf1 include:SPF.Protection.Outlook.com -all"],
        "spf.protection.outlook.com TXT": ["v=spf1 ip4:192.0.2.0/24 -all"],
    }
    assert look(whole, host="smtp.office365.com")["spf"].level == "ok"


@given(
    st.lists(
        st.text(alphabet="aclmx:/=.%{}0-+~?", max_size=20)
        | st.sampled_from(["include:union.example", "redirect=union.example", "a", "mx", "all", "ptr", "exists:x.y"]),
        max_size=30,
    )
)
def test_no_spf_record_makes_us_ask_without_end(terms: list[str]) -> None:
    names = Names({"union.example TXT": ["v=spf1 " + " ".join(terms)]})
    walked = asyncio.run(spf.walk(names, "union.example"))
    assert walked.lookups <= spf.MAX_LOOKUPS + 1
    assert len(names.asked) <= 3 * (spf.MAX_LOOKUPS + 1)


@pytest.mark.parametrize(("size", "level"), [(1024, "warn"), (2048, "ok"), (0, "ok")])
def test_a_dkim_key_is_judged_by_its_length(size: int, level: str) -> None:
    record = {"mail._domainkey.union.example TXT": [public(size)]}
    found = look(GOOD | record, selector="mail")
    assert found["dkim"].level == level
    assert found["alignment"].level == "ok"


@pytest.mark.parametrize(
    "text",
    [
        "v=DKIM1; p=",
        "v=DKIM1; p=AAAA",
        "v=DKIM1; p=not base64!",
        "v=DKIM1; k=ed25519; p=AAAA",
        "v=DKIM2; p=AAAA",
        "hello",
    ],
)
def test_a_dkim_record_that_is_no_key_fails(text: str) -> None:
    assert look(GOOD | {"mail._domainkey.union.example TXT": [text]}, selector="mail")["dkim"].level == "fail"


def test_a_missing_or_doubled_dkim_key_fails() -> None:
    assert look(GOOD, selector="mail")["dkim"].level == "fail"
    assert look(GOOD | {"mail._domainkey.union.example TXT": [public()] * 2}, selector="mail")["dkim"].level == "fail"


def test_another_key_than_ours_fails_with_ours_to_publish() -> None:
    ours, theirs = public(), public()
    found = look(GOOD | {"mail._domainkey.union.example TXT": [theirs]}, selector="mail", own=ours)["dkim"]
    assert (found.level, "another" in found.message, ours in found.fix) == ("fail", True, True)
    assert ours in look(GOOD, selector="mail", own=ours)["dkim"].fix


SHORT = rsa.RSAPublicNumbers(65537, (1 << 767) + 1)


def test_a_dkim_key_of_768_bits_fails_whichever_way_it_is_written() -> None:
    # the library makes no such key any more, so it is written by hand: SEQUENCE(INTEGER n, INTEGER e)
    number = b"\x02\x61\x00" + SHORT.n.to_bytes(96) + b"\x02\x03\x01\x00\x01"
    bare = b"\x30" + bytes([len(number)]) + number
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    string = b"\x03\x81" + bytes([len(bare) + 1]) + b"\x00" + bare
    whole = b"\x30\x81" + bytes([len(algorithm) + len(string)]) + algorithm + string
    for der in (bare, whole):
        record = f"p={base64.b64encode(der).decode()}"
        assert bits(record) == 768
        found = look(GOOD | {"mail._domainkey.union.example TXT": [record]}, selector="mail")["dkim"]
        assert (found.level, "768 bits" in found.message) == ("fail", True)


@given(st.binary(max_size=80))
def test_no_bytes_in_place_of_a_key_are_more_than_unreadable(content: bytes) -> None:
    with contextlib.suppress(KeyUnreadableError):
        assert bits(f"v=DKIM1; p={base64.b64encode(content).decode()}") is not None


@pytest.mark.parametrize(
    ("records", "at", "policy", "organisation"),
    [
        ({}, "", "", "a.mail.union.example"),
        ({"_dmarc.union.example TXT": ["v=DMARC1; p=reject; sp=quarantine"]}, "union.example", "quarantine", "union.example"),
        ({"_dmarc.union.example TXT": ["v=DMARC1;p=reject"]}, "union.example", "reject", "union.example"),
        (
            {"_dmarc.a.mail.union.example TXT": ["v=DMARC1; p=none"], "_dmarc.union.example TXT": ["v=DMARC1; p=reject"]},
            "a.mail.union.example",
            "none",
            "union.example",
        ),
        (
            {"_dmarc.mail.union.example TXT": ["v=DMARC1; p=none; psd=n"], "_dmarc.union.example TXT": ["v=DMARC1; p=reject"]},
            "mail.union.example",
            "none",
            "mail.union.example",
        ),
        (
            {"_dmarc.union.example TXT": ["v=DMARC1; p=none"], "_dmarc.example TXT": ["v=DMARC1; p=reject; psd=y"]},
            "union.example",
            "none",
            "union.example",
        ),
        ({"_dmarc.union.example TXT": ["v=DMARC10; p=reject", "V=dmarc1"]}, "", "", "a.mail.union.example"),
    ],
)  # fmt: skip
def test_a_dmarc_policy_is_found_by_walking_up_the_tree(
    records: dict[str, list[str] | None], at: str, policy: str, organisation: str
) -> None:
    found = asyncio.run(dmarc.find(Names({"union.example A": []} | records), "a.mail.union.example"))
    assert (found.found_at, found.policy, found.organisation) == (at, policy, organisation)


@given(st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1, max_size=30))
def test_a_receiver_asks_for_eight_names_at_most(labels: list[str]) -> None:
    names = dmarc.names_upwards(".".join(labels))
    assert len(names) == min(len(labels), 8)
    assert names[0] == ".".join(labels)
    assert names[-1] == labels[-1]


def test_a_domain_without_dmarc_or_with_two_of_them_is_told_what_to_publish() -> None:
    without = {key: value for key, value in GOOD.items() if not key.startswith("_dmarc")}
    assert '_dmarc.union.example: "v=DMARC1; p=none"' in look(without)["dmarc"].fix
    assert look(GOOD | {"_dmarc.union.example TXT": ["v=DMARC1; p=none"] * 2})["dmarc"].level == "warn"


@pytest.mark.parametrize(
    ("policy", "bounces", "selector", "signer", "level"),
    [
        ("p=reject", "union.example", "", "", "ok"),
        ("p=reject", "bounces.union.example", "", "", "ok"),
        ("p=reject; aspf=s", "bounces.union.example", "", "", "fail"),
        ("p=reject", "host.example", "", "", "fail"),
        ("p=none", "host.example", "", "", "warn"),
        ("p=reject", "host.example", "mail", "union.example", "ok"),
        ("p=reject", "host.example", "mail", "mail.union.example", "ok"),
        ("p=reject; adkim=s", "host.example", "mail", "mail.union.example", "fail"),
        ("p=quarantine", "host.example", "mail", "host.example", "fail"),
    ],
)
def test_what_proves_the_sender_must_be_about_the_domain_that_readers_see(
    policy: str, bounces: str, selector: str, signer: str, level: str
) -> None:
    records = GOOD | {"_dmarc.union.example TXT": [f"v=DMARC1; {policy}"], "host.example A": ["192.0.2.2"]}
    assert look(records, bounces=bounces, selector=selector, signer=signer)["alignment"].level == level


def test_a_silent_dns_is_one_calm_warning_and_hides_nothing_that_was_answered() -> None:
    found = look(GOOD | {"_dmarc.union.example TXT": None})
    assert levels(found) == {"mx": "ok", "spf": "ok", "dkim": "ok", "dns-silent": "warn"}
    assert "DMARC" in found["dns-silent"].message
    assert levels(look({"union.example ANY": None, "_dmarc.union.example ANY": None})) == {
        "dkim": "ok",
        "dns-silent": "warn",
    }


def test_a_network_that_knows_no_domain_at_all_counts_as_silent() -> None:
    assert levels(look({" NS": []})) == {"dns-silent": "warn"}


@pytest.mark.parametrize("silent", [{" NS": []}, GOOD | {"mail._domainkey.union.example TXT": None}])
def test_the_record_of_our_key_is_given_without_dns_too(silent: dict[str, list[str] | None]) -> None:
    record = public()
    found = look(silent, selector="mail", own=record)
    assert (found["dkim"].level, found["dns-silent"].level) == ("warn", "warn")
    assert f"mail._domainkey.union.example (in one line): {record}" in found["dkim"].fix


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("example.org", True),
        ("mail.EXAMPLE.com", True),
        ("a.test", True),
        ("myexample.org", False),
        ("gmail.com", False),
    ],
)
def test_domains_for_examples_are_known(name: str, reserved: bool) -> None:
    assert domain.is_reserved(name) is reserved


UNBOUND = """\
server:
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  verbosity: 1
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "example." static
  local-data: 'union.example. MX 10 mail.union.example.'
  local-data: 'union.example. TXT "v=spf1 include:spf.union" ".example ~all"'
  local-data: 'spf.union.example. TXT "v=spf1 ip4:192.0.2.0/24 -all"'
  local-data: '_dmarc.union.example. TXT "v=DMARC1; p=quarantine"'
  local-data: 'blank.union.example. TXT "nothing"'
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{dead}
"""


@pytest.fixture(scope="module")
def unbound() -> Iterator[int]:
    """A real DNS server that knows one domain, and forwards everything else to a port where nobody is."""
    require("unbound")
    with server_folder() as folder:
        port = free_port()
        config = Path(folder) / "unbound.conf"
        config.write_text(UNBOUND.format(port=port, folder=folder, dead=free_port()), encoding="ascii")
        command = [program("unbound"), "-d", "-c", str(config)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "start of service" in line:
                    break
            try:
                yield port
            finally:
                process.terminate()
                process.communicate(timeout=20)


def test_a_real_dns_server_is_asked_over_the_network(unbound: int) -> None:
    resolver = NetworkResolver(server=("127.0.0.1", unbound), patience=1.0)
    domains = Domains(sender=SENDER, bounces=SENDER, host="mail.host.example", signer=SENDER)
    found = {check.code: check for check in asyncio.run(domain.checks(resolver, domains))}
    assert levels(found) == dict.fromkeys(["mx", "spf", "dkim", "dmarc", "alignment"], "ok")
    assert found["dmarc"].message.endswith("quarantine.")
    # a TXT record in two strings is one text (RFC 7208, 3.3)
    assert "takes 1 look-ups" in found["spf"].message


def test_a_real_dns_server_tells_no_such_name_from_no_such_record_and_from_silence(unbound: int) -> None:
    async def ask(name: str, kind: str) -> list[str]:
        return await NetworkResolver(server=("127.0.0.1", unbound), patience=0.5).ask(name, kind)

    assert asyncio.run(ask("blank.union.example", "MX")) == []
    with pytest.raises(NoSuchNameError):
        asyncio.run(ask("gone.union.example", "TXT"))
    with pytest.raises(NoSuchNameError):
        asyncio.run(ask("x" * 64 + ".union.example", "TXT"))
    with pytest.raises(DnsSilentError):
        asyncio.run(ask("elsewhere.example.org", "TXT"))


def test_where_no_dns_server_is_it_is_silent() -> None:
    resolver = NetworkResolver(server=("127.0.0.1", free_port()), patience=0.2)
    with pytest.raises(DnsSilentError):
        asyncio.run(resolver.ask("union.example", "TXT"))
