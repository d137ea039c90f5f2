"""SPF: which servers may send for a domain (RFC 7208), walked as a receiver would, to see whether it keeps its limits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mailer.preflight.resolver import NoSuchNameError, Resolver

MAX_LOOKUPS = 10
"""RFC 7208, 4.6.4: a receiver that needs more gives the record up as an error."""

MAX_VOIDS = 2
"""Likewise for questions that are answered with nothing."""

TERM = re.compile(r"([-+?~]?)([a-z][a-z0-9_.-]*)(?:([:=])([^/\s]*))?((?:/\d{1,3}){0,1}(?://\d{1,3})?)", re.IGNORECASE)
ASKS = {"include", "a", "mx", "ptr", "exists", "redirect"}
"""Terms that make a receiver ask DNS, each of which counts (RFC 7208, 4.6.4)."""

NEEDS_A_NAME = {"include", "exists", "redirect", "ip4", "ip6"}
KNOWN = ASKS | {"all", "ip4", "ip6"}
MODIFIERS = {"redirect", "exp"}


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
        match = TERM.fullmatch(term)
        name = match[2].lower() if match else ""
        if not match or (match[3] != "=" and name not in KNOWN) or (name in NEEDS_A_NAME and not match[4]):
            walked.error = walked.error or f"the term {term[:40]!r} in it cannot be read"
            return
        if name == "all" and match[3] is None:
            if top:
                walked.default = match[1] or "+"
            return  # whatever comes after it is never looked at (RFC 7208, 5.1)
        if match[3] == "=":
            redirect = match[4] if name == "redirect" else redirect
            continue
        if name in ASKS:
            await _ask(resolver, walked, name, match[4] or "", top=False)
        if walked.error:
            return
    if redirect:
        await _ask(resolver, walked, "redirect", redirect, top=top)


async def _ask(resolver: Resolver, walked: Walk, name: str, target: str, *, top: bool) -> None:
    walked.lookups += 1
    if walked.lookups > MAX_LOOKUPS:
        walked.error = f"it makes a receiver ask DNS more than {MAX_LOOKUPS} times"
        return
    if "%" in target or not target:
        return  # macros depend on the message (RFC 7208, 7); no name is the domain itself, which was asked
    if name in {"include", "redirect"}:
        walked.includes.add(target.lower().rstrip("."))
        found = await _records(resolver, target)
        if len(found) != 1:
            walked.error = f"it refers to {target}, which has {'no' if not found else 'more than one'} SPF record"
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
            walked.error = f"more than {MAX_VOIDS} of the names in it do not exist"
