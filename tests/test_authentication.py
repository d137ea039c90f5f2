"""Authentication-Results (RFC 8601): taken apart whatever stands in it, and believed of the receiving server only."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from mailer.inbox import authentication
from mailer.inbox.authentication import Results, Signed, Verdict

WORDS = st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True)
METHODS = st.sampled_from(["spf", "dkim", "dmarc", "auth", "iprev"])
RESULTS = st.sampled_from(["pass", "fail", "none", "neutral", "softfail", "temperror"])
NAMES = st.sampled_from(["smtp.mailfrom", "header.d", "header.i", "header.from", "reason"])
VALUES = WORDS | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)
VERDICTS = st.builds(
    Verdict,
    method=METHODS,
    result=RESULTS,
    properties=st.lists(st.tuples(NAMES, VALUES), max_size=3).map(tuple),
)
COMMENTS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)


@st.composite
def gaps(draw: st.DrawFn) -> str:
    """What may stand between any two words: nothing but blanks, a folded line, or comments, nested ones too."""
    kind = draw(st.sampled_from([" ", "\r\n\t", "comment"]))
    if kind != "comment":
        return kind
    inner = "".join(f"\\{char}" if char in "()\\" else char for char in draw(COMMENTS))
    return f' ({inner}(dkim=fail;) spf=fail; ")\r\n '


@st.composite
def written(draw: st.DrawFn) -> tuple[Results, str]:
    results = Results(server=draw(WORDS).rstrip("."), verdicts=tuple(draw(st.lists(VERDICTS, max_size=4))))
    text = draw(gaps()) + results.server
    for verdict in results.verdicts:
        text += f"{draw(gaps())};{draw(gaps())}{verdict.method}{draw(gaps())}={draw(gaps())}{verdict.result}"
        for name, value in verdict.properties:
            quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += f"{draw(gaps())}{name}={quoted}"
    return results, text + ("" if results.verdicts else "; none")


SIGN = Verdict(method="spf", result="pass", properties=(("smtp.mailfrom", "="), ("header.d", "a")))


@example((Results(server="a", verdicts=(SIGN,)), 'a; spf=pass smtp.mailfrom="=" header.d="a"'))
@given(written())
def test_what_a_server_writes_is_what_is_read(case: tuple[Results, str]) -> None:
    results, text = case
    assert authentication.parse(text) == results


@given(st.text(max_size=200))
def test_nothing_that_stands_there_breaks_the_reader(text: str) -> None:
    authentication.parse(text)
    authentication.of_receiver([("Received", text), ("Authentication-Results", text)])
    authentication.signatures([("DKIM-Signature", text)])


def test_headers_as_large_providers_write_them() -> None:
    google = authentication.parse(
        "mx.google.com;\r\n       dkim=pass header.i=@union.example header.s=s1 header.b=abc=;\r\n"
        "       spf=pass (google.com: domain of ana@union.example designates 192.0.2.1 as permitted sender)"
        " smtp.mailfrom=ana@union.example;\r\n       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=union.example"
    )
    assert google.server == "mx.google.com"
    assert [(one.method, one.result) for one in google.verdicts] == [
        ("dkim", "pass"),
        ("spf", "pass"),
        ("dmarc", "pass"),
    ]
    assert google.of("dkim")[0].property("header.i") == "@union.example"
    microsoft = authentication.parse(
        "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=union.example; dkim=none; dmarc=fail"
    )
    assert (microsoft.server, [one.result for one in microsoft.verdicts]) == ("", ["pass", "none", "fail"])


OWN = ("Received", "from relay.test (relay.test [192.0.2.1])\r\n\tby mx.union.example with ESMTPS; a date")
RELAY = ("Received", "from [127.0.0.1] by relay.test with ESMTPSA; a date")


def results(server: str, *verdicts: str) -> tuple[str, str]:
    return "Authentication-Results", "; ".join([server, *verdicts])


def test_only_the_receiving_server_is_believed() -> None:
    forged = results("mx.union.example", "dkim=pass header.d=union.example")
    own = results("mx.union.example", "dkim=fail")
    for order in ([own, OWN, RELAY, forged], [OWN, own, RELAY, forged]):
        found = authentication.of_receiver(order)
        assert found
        assert [one.result for one in found.verdicts] == ["fail"]
    # what the relay wrote is not the receiver's word, with a name or, as Microsoft's, without
    assert authentication.of_receiver([OWN, results("other.test", "spf=pass"), RELAY]) is None
    assert authentication.of_receiver([OWN, ("Authentication-Results", "spf=pass"), RELAY]) is None
    assert authentication.of_receiver([OWN, RELAY]) is None


def test_results_of_one_server_in_several_headers_belong_together() -> None:
    found = authentication.of_receiver(
        [
            OWN,
            results("union.example", "spf=pass"),
            results("evil.test", "dkim=pass"),
            results("union.example", "dkim=none"),
            RELAY,
        ]
    )
    assert found
    assert [(one.method, one.result) for one in found.verdicts] == [("spf", "pass"), ("dkim", "none")]


def test_a_signature_counts_only_as_the_receiver_confirmed_it() -> None:
    text = (
        "v=1; a=rsa-sha256; d=Union.example; s=s1;\r\n h=From : To:List-Unsubscribe:\r\n List-Unsubscribe-Post; b=x=="
    )
    [signature] = authentication.signatures([("DKIM-Signature", text)])
    covers = frozenset({"from", "to", "list-unsubscribe", "list-unsubscribe-post"})
    assert signature == Signed(domain="union.example", selector="s1", covers=covers)
    for said, expected in [
        ("dkim=pass header.d=union.example", True),
        ("dkim=pass header.i=@union.example header.s=s1", True),
        ("dkim=pass header.d=union.example header.s=s2", False),
        ("dkim=pass header.d=relay.test", False),
        ("dkim=fail header.d=union.example", False),
    ]:
        assert authentication.confirmed(signature, authentication.parse(f"mx.test; {said}")) is expected


def test_the_order_of_headers_at_large_providers_is_understood() -> None:
    google = [
        ("Received", "by 2002:a05:7300:1 with SMTP id a1; a date"),
        ("ARC-Authentication-Results", "i=1; mx.google.com; dkim=fail"),
        ("Received", "from relay.test (relay.test. [192.0.2.1]) by mx.google.com with ESMTPS id b2; a date"),
        results("mx.google.com", "dkim=pass header.i=@union.example"),
        RELAY,
    ]
    microsoft = [
        ("Received", "from A.eurprd01.prod.outlook.com by B.eurprd01.prod.outlook.com with HTTPS; a date"),
        ("Authentication-Results", "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=union.example; dkim=pass"),
        ("Received", "from relay.test (192.0.2.1) by C.mail.protection.outlook.com (10.0.0.1); a date"),
        RELAY,
    ]
    for fields in (google, microsoft):
        found = authentication.of_receiver(fields)
        assert found
        assert found.of("dkim")[0].result == "pass"


def test_names_are_aligned_only_up_and_down_one_line() -> None:
    assert authentication.in_line("mail.union.example", "Union.example.")
    assert not authentication.in_line("union.example", "other.example")
    assert not authentication.in_line("notunion.example", "union.example")
    assert not authentication.in_line("", "union.example")
    assert authentication.related("mx1.union.example", "mx2.union.example")
    assert not authentication.related("union.example", "other.example")
