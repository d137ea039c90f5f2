"""The account: what its server says of itself, what its provider allows, and whether it may speak for the sender."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from mailer.loopback import is_loopback
from mailer.model import Outcome, Phase, Quota, RelayFacts
from mailer.outcome import explain
from mailer.preflight import presets
from mailer.preflight.check import Area, Check, Reporter
from mailer.proxy import BY_PROXY

EXPIRES_SOON = 14 * 86400
"""Seconds before a certificate's end in which something is wrong with its renewal."""

report = Reporter(Area.ACCOUNT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What is set. `auth` is `password` or `xoauth2`; `rate_is_chosen` is false for the careful rate that mailer has by itself."""

    host: str
    port: int
    sender_domains: tuple[str, ...]
    auth: str = "password"
    logs_in: bool = True
    rate: tuple[Quota, ...] = ()
    rate_is_chosen: bool = True


def settings(account: Account, today: date) -> Iterator[Check]:
    """What can be said without asking anybody."""
    yield from _freemail(account)
    preset = presets.for_host(account.host)
    if preset is None:
        if not account.rate_is_chosen and not is_loopback(account.host):
            text = "How much this provider lets an account send is not known to mailer."
            fix = 'Ask the provider for the limit, and set a little less in mailer.toml, e.g. rate = "150/hour".'
            yield report.warn("limit-unknown", text, fix)
        return
    yield from _login(preset, account, today)
    yield from _rate(preset, account)


def _freemail(account: Account) -> Iterator[Check]:
    for domain in account.sender_domains:
        if not presets.may_send_for(account.host, domain):
            text = f"The sender's address is at {domain}, but {account.host} is not a server of {domain}: "
            text += "receivers take such mail for forged."
            fix = f"Send through {domain}'s own server, or from an address of your organisation's own domain."
            yield report.fail("freemail", text, fix)


def _login(preset: presets.Preset, account: Account, today: date) -> Iterator[Check]:
    if not account.logs_in or account.auth != "password":
        return
    if preset.password is presets.Password.NONE:
        yield report.warn(
            "login-password",
            f"{preset.title} takes no passwords from programs.",
            f"{_big(preset.login)}. For this: mailer setup --auth xoauth2",
        )
    elif preset.passwords_end:
        over = today > preset.passwords_end
        month = f"{preset.passwords_end:%B %Y}"
        text = (
            f"{preset.title} has turned off SMTP passwords by default since the end of {month}."
            if over
            else f"{preset.title} turns off SMTP passwords by default at the end of {month}."
        )
        yield report.warn(
            "login-password",
            text,
            "Ask the administrator to keep SMTP AUTH on, or sign in without a password: mailer setup --auth xoauth2",
        )


def _rate(preset: presets.Preset, account: Account) -> Iterator[Check]:
    if not preset.limits:
        if not preset.captures:
            text = f"{preset.title} publishes no limit that holds for every account. {preset.note}".rstrip()
            yield report.ok("limit-unknown", text)
        return
    limits = ", ".join(map(str, preset.limits))
    above = [
        quota
        for quota in preset.limits
        if (allowed := presets.at_most(account.rate, quota.seconds)) is None or allowed > quota.count
    ]
    known = f"{preset.title} lets an account send {limits} (as of {preset.checked_on}). {preset.note}".rstrip()
    if above:
        rate = ", ".join(map(str, account.rate)) or "none"
        text = f"The rate is above the provider's limit: {rate}. {known}"
        yield report.warn("rate", text, f'Write into mailer.toml: rate = "{preset.rate}" (80 % of the limit).')
    else:
        yield report.ok("rate", f"The rate keeps to the limit. {known}")


def relay(account: Account, facts: RelayFacts | Outcome, *, now: float, largest: int = 0) -> Iterator[Check]:
    """What came of connecting and signing in. `now` is in seconds since 1970, `largest` the longest message in octets."""
    where = f"{account.host} port {account.port}"
    if isinstance(facts, Outcome):
        yield _refusal(account, where, facts)
        return
    login = "and takes the login" if facts.logged_in else "without a login"
    yield report.ok("relay", f"{where} answers {login}. Nobody was mailed.")
    yield from _encryption(facts, now, stays_here=is_loopback(account.host))
    yield from _size(facts.size, largest)
    if facts.pipelining:
        yield report.ok("pipelining", "It takes commands together (PIPELINING), which makes sending fast.")
    else:
        yield report.ok("pipelining", "It takes one command at a time (no PIPELINING): sending works, but is slower.")
    if facts.smtputf8:
        yield report.ok("smtputf8", "It can send to addresses with any letters before the @ (SMTPUTF8).")
    else:
        text = "It cannot send to addresses with letters outside a-z before the @ (no SMTPUTF8); few people have one."
        yield report.ok("smtputf8", text)


def _refusal(account: Account, where: str, outcome: Outcome) -> Check:
    preset = presets.for_host(account.host)
    code = {Phase.CONNECT: "relay", Phase.TLS: "tls", Phase.AUTH: "login"}.get(outcome.phase, "relay")
    hint = f" With {preset.title}: {preset.login}." if preset and code == "login" and account.auth == "password" else ""
    if code == "login":
        return report.fail(
            code, f"{where} refused the login.", f"{explain(outcome)}{hint} To enter it anew: mailer setup"
        )
    if outcome.reply:
        return report.fail(code, f"{where} turned us away.", explain(outcome))
    text = outcome.text[:1].upper() + outcome.text[1:] + ("" if outcome.text.endswith("?") else ".")
    if outcome.text.startswith(BY_PROXY):
        return report.fail("proxy", text, explain(outcome))
    ask = "Check smtp_host and smtp_port" + (" and smtp_security" if code == "tls" else "")
    online = "." if is_loopback(account.host) else ", and whether this computer is online."
    return report.fail(code, text, f"{ask} in mailer.toml{online}")


def _encryption(facts: RelayFacts, now: float, *, stays_here: bool) -> Iterator[Check]:
    if not facts.tls:
        if stays_here:
            yield report.ok("tls", "The connection is not encrypted, nor need it be: it does not leave this computer.")
        else:
            text = "The connection is not encrypted: everybody on the way can read the letters."
            yield report.warn("tls", text, "Take smtp_allow_unencrypted_i_understand_the_risk out of the settings.")
        return
    if facts.certificate_ends is not None and facts.certificate_ends - now < EXPIRES_SOON:
        days = max(0, int((facts.certificate_ends - now) // 86400))
        text = f"The server's certificate, which proves that it is the right server, ends in {days} days."
        fix = "Tell the provider; from that day on nothing can be sent."
        yield report.warn("certificate", text, fix)
    else:
        yield report.ok("tls", f"The connection is encrypted ({facts.tls}), and the certificate is valid.")


def _size(limit: int | None, largest: int) -> Iterator[Check]:
    if limit and largest > limit:
        text = f"The largest message has {megabytes(largest)}; this server takes at most {megabytes(limit)}."
        yield report.fail("size", text, "Make the attachments or images smaller, or put a link in their place.")
    elif limit:
        say = f"; the largest here has {megabytes(largest)}" if largest else ""
        yield report.ok("size", f"It takes messages of up to {megabytes(limit)}{say}.")


def megabytes(octets: int) -> str:
    """A size for people."""
    return f"{octets / 1e6:.1f} MB" if octets >= 100_000 else f"{octets / 1e3:.0f} KB"


def _big(text: str) -> str:
    return text[:1].upper() + text[1:]
