"""SPF: which servers may send for a domain (RFC 7208), walked as a receiver would, to see whether it keeps its limits."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from mailer.model import said
from mailer.preflight.resolver import NoSuchNameError, Resolver

MAX_LOOKUPS = 10
"""RFC 7208, 4.6.4: a receiver that needs more gives the record up as an error."""

MAX_VOIDS = 2
"""Likewise for questions that are answered with nothing."""

MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
MECHANISM = re.compile(r"([-+?~]?)([a-z0-9]+)(?::(\S*?))?((?:/\d{1,3})?(?://\d{1,3})?)", re.IGNORECASE)
ASKS = frozenset({"include", "a", "mx", "ptr", "exists"})
"""What makes a receiver ask DNS, each of which counts (RFC 7208, 4.6.4); so does the modifier `redirect`."""

ADDRESSES = frozenset({"ip4", "ip6"})
NEEDS_A_NAME = ADDRESSES | {"include", "exists"}
KNOWN = ASKS | ADDRESSES | {"all"}


@dataclass(kw_only=True, slots=True)
class Walk:
    """What was met on the way. `error` is what makes a receiver give up, in a few plain words; empty if nothing does."""

    records: list[str] = field(default_factory=list)
    """The records of the domain itself."""

    lookups: int = 0
    voids: int = 0
    includes: set[str] = field(default_factory=set)
    error: str = ""
    default: str = ""
    """What holds for all other servers: `-`, `~`, `?` or `+`; blank if the record does not say."""

    @property
    def forbids_all(self) -> bool:
        """Whether the domain says that it sends no mail at all."""
        return self.default == "-" and self.lookups == 0 and self.records[0].lower().split() == ["v=spf1", "-all"]


async def walk(resolver: Resolver, domain: str) -> Walk:
    """Follow a domain's record to its end. Raises DnsSilentError."""
    walked = Walk()
    walked.records = await _records(resolver, domain)
    if len(walked.records) == 1:
        await _follow(resolver, walked, walked.records[0], top=True)
    return walked


async def _records(resolver: Resolver, domain: str) -> list[str]:
    try:
        texts = await resolver.ask(domain, "TXT")
    except NoSuchNameError:
        return []
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


async def _follow(resolver: Resolver, walked: Walk, record: str, *, top: bool) -> None:
    redirect = ""
    for term in record.split()[1:]:
        if modifier := MODIFIER.fullmatch(term):
            redirect = modifier[2] if modifier[1].lower() == "redirect" else redirect
            continue
        match = MECHANISM.fullmatch(term)
        if not match or not _is_known(match[2].lower(), match[3] or "", match[4]):
            walked.error = said("the term {term!r} in it cannot be read", term=term[:40])
            return
        name, target = match[2].lower(), match[3] or ""
        if name == "all":
            if top:
                walked.default = match[1] or "+"
            return  # whatever comes after it is never looked at (RFC 7208, 5.1)
        if name in ASKS:
            await _ask(resolver, walked, name, target, top=False)
        if walked.error:
            return
    if redirect:
        await _ask(resolver, walked, "redirect", redirect, top=top)


def _is_known(name: str, target: str, prefix: str) -> bool:
    if name in ADDRESSES:
        try:
            return ipaddress.ip_network(target + prefix, strict=False).version == int(name[-1])
        except ValueError:
            return False
    return name in KNOWN and (bool(target) or name not in NEEDS_A_NAME)


async def _ask(resolver: Resolver, walked: Walk, name: str, target: str, *, top: bool) -> None:
    walked.lookups += 1
    if walked.lookups > MAX_LOOKUPS:
        walked.error = said("it makes a receiver ask DNS more than {most} times", most=MAX_LOOKUPS)
        return
    if "%" in target or not target:
        return  # macros depend on the message (RFC 7208, 7); no name is the domain itself, which was asked
    if name in {"include", "redirect"}:
        walked.includes.add(target.lower().rstrip("."))
        found = await _records(resolver, target)
        if len(found) != 1:
            walked.error = (
                said("it refers to {target}, which has more than one SPF record", target=target)
                if found
                else said("it refers to {target}, which has no SPF record", target=target)
            )
            return
        await _follow(resolver, walked, found[0], top=top)
    else:
        await _count_void(resolver, walked, target, "MX" if name == "mx" else "A")


async def _count_void(resolver: Resolver, walked: Walk, target: str, kind: str) -> None:
    try:
        found = await resolver.ask(target, kind)
        # which of A and AAAA a receiver asks depends on the connection
        found = found or (await resolver.ask(target, "AAAA") if kind == "A" else [])
    except NoSuchNameError:
        found = []
    if not found:
        walked.voids += 1
        if walked.voids > MAX_VOIDS:
            walked.error = said("more than {most} of the names in it do not exist", most=MAX_VOIDS)
