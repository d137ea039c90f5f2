"""The sender's domain: what DNS says of who may send for it, and whether answers can come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailer.preflight import dkim_key, dmarc, presets, spf
from mailer.preflight.check import Area, Check, Reporter
from mailer.preflight.resolver import DnsSilentError, NoSuchNameError, Resolver

SHORTEST, SHORT = 1024, 2048
"""Bits of an RSA key: receivers ignore shorter ones (RFC 8301, 3.2), and advise against those in between."""

RESERVED = {"example", "test", "invalid", "localhost", "local"}
RESERVED_DOMAINS = {"example.com", "example.net", "example.org"}
"""Nobody has mail there (RFC 2606, RFC 6762)."""

SIGNATURE = "DKIM, a signature that proves who sent a message"

report = Reporter(Area.DNS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Domains:
    """The domains of a message. `bounces` is that of the Return-Path.

    `keys` are the TXT records of the keys that mailer signs with, by name and value; none if it does not sign.
    """

    sender: str
    bounces: str
    host: str
    keys: tuple[tuple[str, str], ...] = ()
    signer: str = ""


def is_reserved(domain: str) -> bool:
    """Whether a domain is for examples and private networks only, so that public DNS need not be asked."""
    name = domain.lower().rstrip(".")
    return name.rpartition(".")[2] in RESERVED or any(f".{name}".endswith(f".{one}") for one in RESERVED_DOMAINS)


async def checks(resolver: Resolver, domains: Domains) -> list[Check]:
    """All checks at once. Where DNS is silent, one of them says so, for all that could not be asked."""
    asked: dict[str, Callable[[Resolver, Domains], Awaitable[list[Check]]]] = {
        "MX": _mx,
        "SPF": _spf,
        "DKIM": _dkim,
        "DMARC": _dmarc,
    }
    cut_off, *results = await asyncio.gather(
        _is_cut_off(resolver), *(ask(resolver, domains) for ask in asked.values()), return_exceptions=True
    )
    if cut_off is True:
        return [silence(), *unseen_keys(domains)]
    found: list[Check] = []
    silent: list[str] = []
    for name, result in zip(asked, results, strict=True):
        if isinstance(result, DnsSilentError):
            silent.append(name)
        elif isinstance(result, list):
            found += result
        elif isinstance(result, BaseException):
            raise result
    if missing := [check for check in found if check.code == "domain"]:
        return missing
    unseen = unseen_keys(domains) if "DKIM" in silent else []
    return [*found, silence(", ".join(silent)), *unseen] if silent else found


async def _is_cut_off(resolver: Resolver) -> bool:
    """Whether whoever answers knows nothing of the world: the sign-on page of a café, or a network of its own.

    It would call every domain unknown. The root of all names is known wherever DNS is (RFC 1035).
    """
    try:
        return not await resolver.ask(".", "NS")
    except NoSuchNameError:
        return True


def silence(what: str = "") -> Check:
    """DNS gave no answer."""
    text = f"DNS, the internet's directory of names, does not answer{f' ({what})' if what else ''}: nothing is known."
    return report.warn("dns-silent", text, "Is this computer online? Then run this again.")


def unseen_keys(domains: Domains) -> list[Check]:
    """The records to publish, where nobody can tell whether they are there: they need no DNS to be known."""
    text = f"Whether the key for {SIGNATURE}, is published is not known."
    return [report.warn("dkim", text, _publish(name, value)) for name, value in domains.keys]


def _publish(name: str, value: str) -> str:
    return f"Have this published as the TXT record {name} (in one line): {value}"


async def _mx(resolver: Resolver, domains: Domains) -> list[Check]:
    domain = domains.sender
    try:
        found = await resolver.ask(domain, "MX")
        if not found:
            found = await resolver.ask(domain, "A") or await resolver.ask(domain, "AAAA")
            return [_without_mx(domain, reachable=bool(found))]
    except NoSuchNameError:
        text = f"The domain of the sender's address, {domain}, does not exist."
        return [report.fail("domain", text, "Correct the setting sender.")]
    # a null MX: `0 .` and nothing else (RFC 7505, 3)
    if all(record.split()[-1] == "." for record in found):
        text = f"{domain} says that it takes no mail at all (a null MX): answers cannot come back, and many refuse such mail."
        return [report.fail("mx", text, "Send from a domain that has mailboxes.")]
    return [report.ok("mx", f"{domain} can take answers (it has an MX record, the name of its mail server).")]


def _without_mx(domain: str, *, reachable: bool) -> Check:
    text = f"{domain} has no MX record, which names the server that takes its mail"
    fix = f"Ask whoever manages {domain} to set one."
    if reachable:  # RFC 5321, 5.1: the host itself is tried then
        return report.warn("mx", f"{text}; some receivers refuse mail from such a domain.", fix)
    return report.fail("mx", f"{text}, nor a server at all: answers cannot come back.", fix)


async def _spf(resolver: Resolver, domains: Domains) -> list[Check]:  # noqa: PLR0911  # one for each verdict
    domain = domains.bounces
    what = "SPF, the list of servers that may send for a domain"
    walked = await spf.walk(resolver, domain)
    preset = presets.for_host(domains.host)
    wanted = preset.spf if preset else ()
    include = f"include:{wanted[0]}" if wanted else "include:PROVIDER"
    ask = "" if wanted else " Your mail provider says what to put for PROVIDER."
    own = domain in wanted or presets.is_freemail(domain)
    if not walked.records:
        fix = f'Ask whoever manages {domain} for a TXT record: "v=spf1 {include} ~all".{ask}'
        return [report.warn("spf", f"{domain} has no record for {what}.", fix)]
    if len(walked.records) > 1:
        text = f"{domain} has {len(walked.records)} records for {what}: receivers then ignore all of them."
        return [report.fail("spf", text, f"Ask whoever manages {domain} to make one of them.")]
    if walked.error:
        text = f"The record of {domain} for {what}, is broken: {walked.error}."
        return [report.fail("spf", text, f"Ask whoever manages {domain} to correct or shorten it.")]
    if walked.forbids_all:
        text = f"{domain} says that nobody sends mail for it (its SPF record is v=spf1 -all)."
        return [report.fail("spf", text, "Send from another domain, or have the record changed.")]
    if walked.default == "+":
        text = f"The SPF record of {domain} lets the whole world send for it (+all), so it proves nothing."
        return [report.warn("spf", text, f"Ask whoever manages {domain} to end it with ~all.")]
    if wanted and preset and not own and not walked.includes & set(wanted):
        text = f"The SPF record of {domain}, the list of servers that may send for it, does not name {preset.title}."
        return [report.warn("spf", text, f"Ask whoever manages {domain} to add {include} to it.")]
    return [report.ok("spf", f"{domain} has one record for {what}; it takes {walked.lookups} look-ups of 10.")]


async def _dkim(resolver: Resolver, domains: Domains) -> list[Check]:
    if not domains.keys:
        return [report.ok("dkim", f"mailer does not add {SIGNATURE}; most providers do it themselves.")]
    return list(await asyncio.gather(*(_key(resolver, domains.signer, name, value) for name, value in domains.keys)))


async def _key(resolver: Resolver, signer: str, name: str, value: str) -> Check:
    """What receivers find where they look for the key of our signatures."""
    publish = _publish(name, value)
    try:
        records = await resolver.ask(name, "TXT")
    except NoSuchNameError:
        records = []
    if not records:
        return report.fail("dkim", f"There is no key for {SIGNATURE}, at {name}.", publish)
    if len(records) > 1:
        return report.fail("dkim", f"There are {len(records)} records at {name}; there may be one.", publish)
    try:
        bits = dkim_key.bits(records[0])
    except dkim_key.KeyUnreadableError as error:
        return report.fail("dkim", f"The key for {SIGNATURE}, cannot be used: {error}.", publish)
    if dkim_key.key(records[0]) != dkim_key.key(value):
        text = f"The key at {name} is another than the one that mailer signs with: every signature would fail."
        return report.fail("dkim", text, publish)
    return _length(signer, bits)


def _length(signer: str, bits: int | None) -> Check:
    if bits is not None and bits < SHORTEST:
        text = f"The key for {SIGNATURE}, has {bits} bits: receivers ignore one of less than {SHORTEST}."
        return report.fail("dkim", text, f"Make a key of {SHORT} bits, and publish it.")
    if bits is not None and bits < SHORT:
        text = f"The key for {SIGNATURE}, has {bits} bits; {SHORT} are usual today."
        return report.warn("dkim", text, f"Make a key of {SHORT} bits, and publish it under a new selector.")
    kind = "an Ed25519 key" if bits is None else f"a key of {bits} bits"
    return report.ok("dkim", f"{signer} has {kind} for {SIGNATURE}.")


async def _dmarc(resolver: Resolver, domains: Domains) -> list[Check]:
    domain = domains.sender
    own, bounces, signer = await asyncio.gather(
        *(dmarc.find(resolver, name or domain) for name in (domain, domains.bounces, domains.signer))
    )
    return [_policy(domain, own), _alignment(domains, own, bounces.organisation, signer.organisation)]


def _policy(domain: str, found: dmarc.Policy) -> Check:
    what = "DMARC, which says what becomes of mail that only claims to come from a domain"
    if found.several:
        text = f"{domain} has more than one record for {what}: receivers ignore all of them."
        return report.warn("dmarc", text, "Have all but one removed.")
    if not found.found_at:
        fix = f'Ask whoever manages the domain for a TXT record at _dmarc.{found.organisation}: "v=DMARC1; p=none"'
        return report.warn("dmarc", f"{domain} has no record for {what}. Gmail and Yahoo want one.", fix)
    where = "" if found.found_at == domain else f" by {found.found_at}"
    return report.ok("dmarc", f"{domain} has a record for {what}{where}: {found.policy or 'none'}.")


def _alignment(domains: Domains, own: dmarc.Policy, bounces: str, signer: str) -> Check:
    """RFC 9989, 4.4: DKIM or SPF counts for DMARC only if it is about the domain that the reader sees."""
    by_bounces = _aligned(domains.sender, domains.bounces, own.organisation, bounces, strict=own.strict_spf)
    by_signature = bool(domains.keys) and _aligned(
        domains.sender, domains.signer, own.organisation, signer, strict=own.strict_dkim
    )
    if by_bounces or by_signature:
        what = "the signature" if by_signature else "the address for bounces"
        return report.ok("alignment", f"The sender's domain and that of {what} belong together, as DMARC wants it.")
    text = f"Neither a signature nor the address for bounces (at {domains.bounces}) belongs to {domains.sender}, as DMARC wants."
    fix = f"Set bounce_address to an address at {domains.sender}, or leave it out"
    say = report.fail if own.enforced else report.warn
    return say("alignment", text, fix + (", or sign as that domain (dkim_domain)." if domains.keys else "."))


def _aligned(sender: str, other: str, organisation: str, others: str, *, strict: bool) -> bool:
    sender, other = sender.lower(), other.lower()
    if strict or sender == other:
        return sender == other
    # without a record nobody walks up; then one below the other is the best guess
    return organisation == others or sender.endswith(f".{other}") or other.endswith(f".{sender}")
