"""The account: what its server says of itself, what its provider allows, and whether it may speak for the sender."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from mailer.loopback import is_loopback
from mailer.model import Outcome, Phase, Quota, RelayFacts, Said, as_said, counted, joined, said
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
            text = said(
                "The sender's address is at {domain}, but {host} is not a server of {domain}: "
                "receivers take such mail for forged.",
                domain=domain,
                host=account.host,
            )
            fix = said(
                "Send through {domain}'s own server, or from an address of your organisation's own domain.",
                domain=domain,
            )
            yield report.fail("freemail", text, fix)


def _login(preset: presets.Preset, account: Account, today: date) -> Iterator[Check]:
    if not account.logs_in or account.auth != "password":
        return
    if preset.password is presets.Password.NONE:
        yield report.warn(
            "login-password",
            said("{title} takes no passwords from programs.", title=preset.title),
            said("{login:A}. For this: mailer setup --auth xoauth2", login=as_said(preset.login)),
        )
    elif preset.passwords_end:
        over = today > preset.passwords_end
        text = (
            said(
                "{title} has turned off SMTP passwords by default since the end of {month:%B %Y}.",
                title=preset.title,
                month=preset.passwords_end,
            )
            if over
            else said(
                "{title} turns off SMTP passwords by default at the end of {month:%B %Y}.",
                title=preset.title,
                month=preset.passwords_end,
            )
        )
        yield report.warn(
            "login-password",
            text,
            "Ask the administrator to keep SMTP AUTH on, or sign in without a password: mailer setup --auth xoauth2",
        )


def _rate(preset: presets.Preset, account: Account) -> Iterator[Check]:
    if not preset.limits:
        if not preset.captures:
            unknown = said("{title} publishes no limit that holds for every account.", title=preset.title)
            yield report.ok("limit-unknown", _noted(unknown, preset.note))
        return
    above = [
        quota
        for quota in preset.limits
        if (allowed := presets.at_most(account.rate, quota.seconds)) is None or allowed > quota.count
    ]
    limits = said(
        "{title} lets an account send {limits} (as of {day:%Y-%m-%d}).",
        title=preset.title,
        limits=joined(", ", map(in_words, preset.limits)),
        day=preset.checked_on,
    )
    known = _noted(limits, preset.note)
    if above:
        rate = joined(", ", map(in_words, account.rate)) or said("none")
        text = said("The rate is above the provider's limit: {rate}. {known}", rate=rate, known=known)
        yield report.warn(
            "rate", text, said('Write into mailer.toml: rate = "{rate}" (80 % of the limit).', rate=preset.rate)
        )
    else:
        yield report.ok("rate", said("The rate keeps to the limit. {known}", known=known))


def relay(account: Account, facts: RelayFacts | Outcome, *, now: float, largest: int = 0) -> Iterator[Check]:
    """What came of connecting and signing in. `now` is in seconds since 1970, `largest` the longest message in octets."""
    where = said("{host} port {port}", host=account.host, port=account.port)
    if isinstance(facts, Outcome):
        yield _refusal(account, where, facts)
        return
    if facts.logged_in:
        yield report.ok("relay", said("{where} answers and takes the login. Nobody was mailed.", where=where))
    else:
        yield report.ok(
            "relay",
            said(
                "{where} answers. No user name is set, so mailer does not sign in there. Nobody was mailed.",
                where=where,
            ),
        )
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
    if code == "login":
        fixes = [explain(outcome)]
        if preset and account.auth == "password":
            fixes.append(said("With {provider}: {login}.", provider=preset.title, login=as_said(preset.login)))
        return report.fail(
            code,
            said("{where} refused the login.", where=where),
            joined(" ", [*fixes, said("To enter it anew: mailer setup")]),
        )
    if outcome.reply:
        return report.fail(code, said("{where} turned us away.", where=where), explain(outcome))
    text = said("{text:A.}", text=as_said(outcome.text))
    if outcome.text.startswith(BY_PROXY):
        return report.fail("proxy", text, explain(outcome))
    names = said("smtp_host, smtp_port and smtp_security") if code == "tls" else said("smtp_host and smtp_port")
    if is_loopback(account.host):
        return report.fail(code, text, said("Check {names} in mailer.toml.", names=names))
    return report.fail(
        code, text, said("Check {names} in mailer.toml, and whether this computer is online.", names=names)
    )


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
        text = counted(
            "The server's certificate, which proves that it is the right server, ends in {number} day.",
            "The server's certificate, which proves that it is the right server, ends in {number} days.",
            days,
        )
        fix = "Tell the provider; from that day on nothing can be sent."
        yield report.warn("certificate", text, fix)
    else:
        yield report.ok(
            "tls", said("The connection is encrypted ({tls}), and the certificate is valid.", tls=facts.tls)
        )


def _size(limit: int | None, largest: int) -> Iterator[Check]:
    if limit and largest > limit:
        text = said(
            "The largest message has {largest}; this server takes at most {limit}.",
            largest=megabytes(largest),
            limit=megabytes(limit),
        )
        yield report.fail("size", text, "Make the attachments or images smaller, or put a link in their place.")
    elif limit:
        sentence = said("It takes messages of up to {limit}.", limit=megabytes(limit))
        if largest:
            sentence = said(
                "It takes messages of up to {limit}; the largest here has {largest}.",
                limit=megabytes(limit),
                largest=megabytes(largest),
            )
        yield report.ok("size", sentence)


def megabytes(octets: int) -> Said:
    """A size for people."""
    if octets >= 100_000:
        return said("{size:.1f} MB", size=octets / 1e6)
    return said("{size:.0f} KB", size=octets / 1e3)


def in_words(quota: Quota) -> Said:
    """A quota in a sentence, in English as in the settings."""
    if quota.seconds == 60:
        return said("{count}/minute", count=quota.count)
    if quota.seconds == 3600:
        return said("{count}/hour", count=quota.count)
    return said("{count}/day", count=quota.count) if quota.seconds == 86400 else Said(str(quota))


def _noted(sentence: Said, note: str) -> Said:
    return joined(" ", filter(None, [sentence, note]))
