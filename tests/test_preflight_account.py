"""The account: what providers allow, whether the rate keeps to it, who may speak for whom, and what a relay says of itself."""

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_server import Certificate, ScriptedServer

from mailer.model import Outcome, Phase, Quota, RelayFacts, Security
from mailer.preflight import Account, Check, account, presets
from mailer.smtp import Relay, survey

TODAY = date(2026, 11, 23)


def look(
    host: str = "smtp.gmail.com", domain: str = "union.example", today: date = TODAY, **other: object
) -> dict[str, Check]:
    given = {"host": host, "port": 587, "sender_domains": (domain,), **other}
    found = list(account.settings(Account(**given), today))
    assert all(check.fix for check in found if check.level != "ok")
    return {check.code: check for check in found}


# --- the table of providers


@pytest.mark.parametrize("preset", presets.all(), ids=lambda preset: preset.name)
def test_every_provider_has_what_a_reader_and_a_program_need(preset: presets.Preset) -> None:
    assert preset.title
    assert preset.source
    assert preset.login
    assert preset.checked_on <= datetime.now(UTC).date()
    assert (preset.port, preset.security) in {(587, Security.STARTTLS), (465, Security.TLS), (2525, Security.STARTTLS)}
    assert preset.name == "cpanel" or preset.hosts
    # a limit is a number, or the reader learns why there is none
    assert preset.limits or preset.note


def test_the_providers_that_were_asked_for_are_there() -> None:
    wanted = "gmail workspace microsoft365 outlook yahoo ses zoho ionos infomaniak mailbox.org gmx web.de posteo mailtrap cpanel"
    assert {*wanted.split()} <= {preset.name for preset in presets.all()}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("smtp.gmail.com", "gmail"),
        ("SMTP.Office365.com.", "microsoft365"),
        ("email-smtp.eu-central-1.amazonaws.com", "ses"),
        ("smtp.zoho.eu", "zoho"),
        ("mail.union.example", None),
        ("smtp.gmail.com.evil.example", None),
    ],
)
def test_a_provider_is_known_by_its_server(host: str, name: str | None) -> None:
    preset = presets.for_host(host)
    assert (preset.name if preset else None) == name


@pytest.mark.parametrize("preset", presets.all(), ids=lambda preset: preset.name)
def test_the_suggested_rate_can_be_pasted_and_keeps_to_the_limit(preset: presets.Preset) -> None:
    suggested = Quota.parse_all(preset.rate)
    assert suggested == preset.suggested
    for limit, quota in zip(preset.limits, suggested, strict=True):
        assert (quota.seconds, quota.count) == (limit.seconds, max(1, limit.count * 8 // 10))


# --- the rate


@pytest.mark.parametrize(
    ("host", "rate", "level"),
    [
        ("smtp.gmail.com", "400/day", "ok"),
        ("smtp.gmail.com", "501/day", "warn"),
        ("smtp.gmail.com", "500/hour", "warn"),
        ("smtp.gmail.com", "20/hour", "ok"),
        ("smtp.gmail.com", "", "warn"),
        ("smtp.office365.com", "30/minute, 10000/day", "ok"),
        ("smtp.office365.com", "2000/day", "warn"),
        ("smtp.office365.com", "1/second", "warn"),
    ],
)
def test_a_rate_above_the_providers_limit_is_pointed_out(host: str, rate: str, level: str) -> None:
    found = look(host, rate=Quota.parse_all(rate))["rate"]
    assert found.level == level
    preset = presets.for_host(host)
    assert level == "ok" or (preset and f'rate = "{preset.rate}"' in found.fix)


quotas = st.builds(Quota, seconds=st.integers(1, 100_000), count=st.integers(1, 10_000))


@given(st.lists(quotas, min_size=1, max_size=4), st.integers(1, 100_000))
def test_no_more_is_let_through_than_the_strictest_quota_lets(rate: list[Quota], seconds: int) -> None:
    bound = presets.at_most(rate, seconds)
    assert bound is not None
    assert all(bound <= quota.count for quota in rate if quota.seconds >= seconds)
    assert presets.at_most([], seconds) is None


# --- who may speak for whom


@pytest.mark.parametrize(
    ("host", "domain", "refused"),
    [
        ("smtp.gmail.com", "gmail.com", False),
        ("mail.union.example", "gmail.com", True),
        ("mail.union.example", "GMAIL.com", True),
        ("smtp.office365.com", "yahoo.com", True),
        ("smtp.mail.yahoo.com", "yahoo.de", False),
        ("mail.gmx.net", "gmx.de", False),
        ("smtp-mail.outlook.com", "hotmail.com", False),
        ("sandbox.smtp.mailtrap.io", "gmail.com", False),
        ("mail.union.example", "union.example", False),
    ],
)
def test_a_freemail_sender_goes_through_its_own_server_only(host: str, domain: str, refused: bool) -> None:
    found = look(host, domain)
    assert ("freemail" in found) is refused
    assert not refused or found["freemail"].level == "fail"


@pytest.mark.parametrize(
    ("today", "words"), [(date(2026, 12, 31), "turns off SMTP passwords"), (date(2027, 1, 1), "has turned off")]
)
def test_microsoft_365_is_said_to_turn_passwords_off(today: date, words: str) -> None:
    found = look("smtp.office365.com", today=today)["login-password"]
    assert (found.level, words in found.message, "December 2026" in found.message) == ("warn", True, True)
    assert "login-password" not in look("smtp.office365.com", auth="xoauth2")
    assert "login-password" not in look("smtp.office365.com", logs_in=False)


def test_outlook_com_takes_no_passwords() -> None:
    assert "XOAUTH2" in look("smtp-mail.outlook.com")["login-password"].fix


def test_an_unknown_provider_without_a_rate_is_to_be_asked() -> None:
    assert look("mail.union.example", rate_is_chosen=False)["limit-unknown"].level == "warn"
    assert look("mail.union.example") == {}


# --- what a relay says of itself


async def asked(server: ScriptedServer, **other: object) -> RelayFacts | Outcome:
    given = {"host": server.host, "port": server.port, "security": Security.NONE, "timeout": 5.0, **other}
    return await survey(Relay(**given))


def judged(facts: RelayFacts | Outcome, **other: object) -> dict[str, Check]:
    of = Account(host="127.0.0.1", port=2525, sender_domains=("union.example",))
    found = list(account.relay(of, facts, now=time.time(), **other))
    assert all(check.fix for check in found if check.level != "ok")
    return {check.code: check for check in found}


async def test_a_look_at_the_relay_logs_in_and_mails_nobody(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path, valid_days=90)
    with ScriptedServer(
        security="starttls", context=certificate.server_context(), users={"ana": "secret"}, size=20_000_000
    ) as server:
        facts = await asked(
            server,
            security=Security.STARTTLS,
            tls_context=certificate.client_context(),
            username="ana",
            password="secret",
        )
    assert isinstance(facts, RelayFacts)
    assert (facts.logged_in, facts.size, facts.pipelining, facts.smtputf8) == (True, 20_000_000, True, True)
    assert facts.tls.startswith("TLS")
    assert facts.certificate_ends is not None
    assert abs(facts.certificate_ends - time.time() - 90 * 86400) < 3600
    [said] = server.transcripts
    assert not [line for line in said if line.upper().startswith(("C: MAIL", "C: RCPT", "C: DATA"))]
    assert any("QUIT" in line for line in said)
    found = judged(facts, largest=1_000_000)
    assert {check.level for check in found.values()} == {"ok"}


async def test_a_certificate_that_ends_soon_is_pointed_out(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path, valid_days=3)
    with ScriptedServer(security="tls", context=certificate.server_context()) as server:
        facts = await asked(server, security=Security.TLS, tls_context=certificate.client_context())
    found = judged(facts)["certificate"]
    assert (found.level, "ends in 2 days" in found.message) == ("warn", True)


async def test_an_expired_certificate_fails(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path, valid_days=-1)
    with ScriptedServer(security="tls", context=certificate.server_context()) as server:
        facts = await asked(server, security=Security.TLS, tls_context=certificate.client_context())
    found = judged(facts)
    assert (found["tls"].level, "certificate" in found["tls"].message) == ("fail", True)


async def test_a_refused_login_fails_and_says_what_to_try() -> None:
    with ScriptedServer(users={"ana": "secret"}) as server:
        facts = await asked(server, username="ana", password="wrong")
    assert isinstance(facts, Outcome)
    assert facts.phase is Phase.AUTH
    assert "app password" in judged(facts)["login"].fix
    assert "wrong" not in str(judged(facts))


async def test_nobody_at_the_port_fails_calmly() -> None:
    with ScriptedServer() as server:
        pass
    assert judged(await asked(server))["relay"].level == "fail"


async def test_a_server_that_takes_less_than_the_largest_message_fails() -> None:
    with ScriptedServer(size=100_000, pipelining=False, smtputf8=False) as server:
        facts = await asked(server)
    found = judged(facts, largest=100_001)
    assert found["size"].level == "fail"
    assert judged(facts, largest=100_000)["size"].level == "ok"
    assert "slower" in found["pipelining"].message
    assert "few people" in found["smtputf8"].message
