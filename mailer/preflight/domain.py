"""The sender's domain: what DNS says of who may send for it, and whether answers can come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailer.model import Said, as_said, joined, said
from mailer.preflight import dkim_key, dmarc, presets, spf
from mailer.preflight.check import Area, Check, Reporter
from mailer.preflight.resolver import DnsSilentError, NoSuchNameError, Resolver

SHORTEST, SHORT = 1024, 2048
"""Bits of an RSA key: receivers ignore shorter ones (RFC 8301, 3.2), and advise against those in between."""

RESERVED = {"example", "test", "invalid", "localhost", "local"}
RESERVED_DOMAINS = {"example.com", "example.net", "example.org"}
"""Nobody has mail there (RFC 2606, RFC 6762)."""

SIGNATURE = said("DKIM, a signature that proves who sent a message")

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
    text = said("DNS, the internet's directory of names, does not answer: nothing is known.")
    if what:
        text = said("DNS, the internet's directory of names, does not answer ({what}): nothing is known.", what=what)
    return report.warn("dns-silent", text, "Is this computer online? Then run this again.")


def unseen_keys(domains: Domains) -> list[Check]:
    """The records to publish, where nobody can tell whether they are there: they need no DNS to be known."""
    text = said("Whether the key for {signature}, is published is not known.", signature=SIGNATURE)
    return [report.warn("dkim", text, _publish(name, value)) for name, value in domains.keys]


def _publish(name: str, value: str) -> str:
    return said("Have this published as the TXT record {name} (in one line): {value}", name=name, value=value)


async def _mx(resolver: Resolver, domains: Domains) -> list[Check]:
    domain = domains.sender
    try:
        found = await resolver.ask(domain, "MX")
        if not found:
            found = await resolver.ask(domain, "A") or await resolver.ask(domain, "AAAA")
            return [_without_mx(domain, reachable=bool(found))]
    except NoSuchNameError:
        text = said("The domain of the sender's address, {domain}, does not exist.", domain=domain)
        return [report.fail("domain", text, "Correct the setting sender.")]
    # a null MX: `0 .` and nothing else (RFC 7505, 3)
    if all(record.split()[-1] == "." for record in found):
        text = said(
            "{domain} says that it takes no mail at all (a null MX): answers cannot come back, and "
            "many refuse such mail.",
            domain=domain,
        )
        return [report.fail("mx", text, "Send from a domain that has mailboxes.")]
    return [
        report.ok(
            "mx", said("{domain} can take answers (it has an MX record, the name of its mail server).", domain=domain)
        )
    ]


def _without_mx(domain: str, *, reachable: bool) -> Check:
    text = said("{domain} has no MX record, which names the server that takes its mail", domain=domain)
    fix = said("Ask whoever manages {domain} to set one.", domain=domain)
    if reachable:  # RFC 5321, 5.1: the host itself is tried then
        return report.warn("mx", said("{text}; some receivers refuse mail from such a domain.", text=text), fix)
    return report.fail("mx", said("{text}, nor a server at all: answers cannot come back.", text=text), fix)


async def _spf(resolver: Resolver, domains: Domains) -> list[Check]:  # noqa: PLR0911  # one for each verdict
    domain = domains.bounces
    what = said("SPF, the list of servers that may send for a domain")
    walked = await spf.walk(resolver, domain)
    preset = presets.for_host(domains.host)
    wanted = preset.spf if preset else ()
    include = f"include:{wanted[0]}" if wanted else "include:PROVIDER"
    own = domain in wanted or presets.is_freemail(domain)
    if not walked.records:
        text = said("{domain} has no record for {what}.", domain=domain, what=what)
        return [report.warn("spf", text, _first_spf(domain, include, known=bool(wanted)))]
    if len(walked.records) > 1:
        text = said(
            "{domain} has {count} records for {what}: receivers then ignore all of them.",
            domain=domain,
            count=len(walked.records),
            what=what,
        )
        return [report.fail("spf", text, said("Ask whoever manages {domain} to make one of them.", domain=domain))]
    if walked.error:
        text = said(
            "The record of {domain} for {what}, is broken: {error}.",
            domain=domain,
            what=what,
            error=as_said(walked.error),
        )
        return [report.fail("spf", text, said("Ask whoever manages {domain} to correct or shorten it.", domain=domain))]
    if walked.forbids_all:
        text = said("{domain} says that nobody sends mail for it (its SPF record is v=spf1 -all).", domain=domain)
        return [report.fail("spf", text, "Send from another domain, or have the record changed.")]
    if walked.default == "+":
        text = said(
            "The SPF record of {domain} lets the whole world send for it (+all), so it proves nothing.", domain=domain
        )
        return [report.warn("spf", text, said("Ask whoever manages {domain} to end it with ~all.", domain=domain))]
    if wanted and preset and not own and not walked.includes & set(wanted):
        text = said(
            "The SPF record of {domain}, the list of servers that may send for it, does not name {title}.",
            domain=domain,
            title=preset.title,
        )
        fix = said("Ask whoever manages {domain} to add {include} to it.", domain=domain, include=include)
        return [report.warn("spf", text, fix)]
    return [
        report.ok(
            "spf",
            said(
                "{domain} has one record for {what}; it takes {lookups} look-ups of 10.",
                domain=domain,
                what=what,
                lookups=walked.lookups,
            ),
        )
    ]


def _first_spf(domain: str, include: str, *, known: bool) -> Said:
    ask = said(
        'Ask whoever manages {domain} for a TXT record: "v=spf1 {include} ~all".', domain=domain, include=include
    )
    return ask if known else joined(" ", [ask, said("Your mail provider says what to put for PROVIDER.")])


async def _dkim(resolver: Resolver, domains: Domains) -> list[Check]:
    if not domains.keys:
        return [
            report.ok(
                "dkim", said("mailer does not add {signature}; most providers do it themselves.", signature=SIGNATURE)
            )
        ]
    return list(await asyncio.gather(*(_key(resolver, domains.signer, name, value) for name, value in domains.keys)))


async def _key(resolver: Resolver, signer: str, name: str, value: str) -> Check:
    """What receivers find where they look for the key of our signatures."""
    publish = _publish(name, value)
    try:
        records = await resolver.ask(name, "TXT")
    except NoSuchNameError:
        records = []
    if not records:
        return report.fail(
            "dkim", said("There is no key for {signature}, at {name}.", signature=SIGNATURE, name=name), publish
        )
    if len(records) > 1:
        return report.fail(
            "dkim",
            said("There are {count} records at {name}; there may be one.", count=len(records), name=name),
            publish,
        )
    try:
        bits = dkim_key.bits(records[0])
    except dkim_key.KeyUnreadableError as error:
        return report.fail(
            "dkim", said("The key for {signature}, cannot be used: {error}.", signature=SIGNATURE, error=error), publish
        )
    if dkim_key.key(records[0]) != dkim_key.key(value):
        text = said(
            "The key at {name} is another than the one that mailer signs with: every signature would fail.", name=name
        )
        return report.fail("dkim", text, publish)
    return _length(signer, bits)


def _length(signer: str, bits: int | None) -> Check:
    if bits is not None and bits < SHORTEST:
        text = said(
            "The key for {signature}, has {bits} bits: receivers ignore one of less than {shortest}.",
            signature=SIGNATURE,
            bits=bits,
            shortest=SHORTEST,
        )
        return report.fail("dkim", text, said("Make a key of {short} bits, and publish it.", short=SHORT))
    if bits is not None and bits < SHORT:
        text = said(
            "The key for {signature}, has {bits} bits; {short} are usual today.",
            signature=SIGNATURE,
            bits=bits,
            short=SHORT,
        )
        return report.warn(
            "dkim", text, said("Make a key of {short} bits, and publish it under a new selector.", short=SHORT)
        )
    kind = said("an Ed25519 key") if bits is None else said("a key of {bits} bits", bits=bits)
    return report.ok(
        "dkim", said("{signer} has {kind} for {signature}.", signer=signer, kind=kind, signature=SIGNATURE)
    )


async def _dmarc(resolver: Resolver, domains: Domains) -> list[Check]:
    domain = domains.sender
    own, bounces, signer = await asyncio.gather(
        *(dmarc.find(resolver, name or domain) for name in (domain, domains.bounces, domains.signer))
    )
    return [_policy(domain, own), _alignment(domains, own, bounces.organisation, signer.organisation)]


def _policy(domain: str, found: dmarc.Policy) -> Check:
    what = said("DMARC, which says what becomes of mail that only claims to come from a domain")
    if found.several:
        text = said(
            "{domain} has more than one record for {what}: receivers ignore all of them.", domain=domain, what=what
        )
        return report.warn("dmarc", text, "Have all but one removed.")
    if not found.found_at:
        fix = said(
            'Ask whoever manages the domain for a TXT record at _dmarc.{organisation}: "v=DMARC1; p=none"',
            organisation=found.organisation,
        )
        return report.warn(
            "dmarc", said("{domain} has no record for {what}. Gmail and Yahoo want one.", domain=domain, what=what), fix
        )
    policy = found.policy or "none"
    if found.found_at == domain:
        text = said("{domain} has a record for {what}: {policy}.", domain=domain, what=what, policy=policy)
    else:
        text = said(
            "{domain} has a record for {what} by {parent}: {policy}.",
            domain=domain,
            what=what,
            parent=found.found_at,
            policy=policy,
        )
    return report.ok("dmarc", text)


def _alignment(domains: Domains, own: dmarc.Policy, bounces: str, signer: str) -> Check:
    """RFC 9989, 4.4: DKIM or SPF counts for DMARC only if it is about the domain that the reader sees."""
    by_bounces = _aligned(domains.sender, domains.bounces, own.organisation, bounces, strict=own.strict_spf)
    by_signature = bool(domains.keys) and _aligned(
        domains.sender, domains.signer, own.organisation, signer, strict=own.strict_dkim
    )
    if by_bounces or by_signature:
        if by_signature:
            return report.ok(
                "alignment", "The sender's domain and that of the signature belong together, as DMARC wants it."
            )
        return report.ok(
            "alignment", "The sender's domain and that of the address for bounces belong together, as DMARC wants it."
        )
    text = said(
        "Neither a signature nor the address for bounces (at {bounces}) belongs to {sender}, as DMARC wants.",
        bounces=domains.bounces,
        sender=domains.sender,
    )
    fix = said("Set bounce_address to an address at {sender}, or leave it out.", sender=domains.sender)
    if domains.keys:
        fix = said(
            "Set bounce_address to an address at {sender}, or leave it out, or sign as that domain (dkim_domain).",
            sender=domains.sender,
        )
    say = report.fail if own.enforced else report.warn
    return say("alignment", text, fix)


def _aligned(sender: str, other: str, organisation: str, others: str, *, strict: bool) -> bool:
    sender, other = sender.lower(), other.lower()
    if strict or sender == other:
        return sender == other
    # without a record nobody walks up; then one below the other is the best guess
    return organisation == others or sender.endswith(f".{other}") or other.endswith(f".{sender}")
