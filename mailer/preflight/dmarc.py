"""DMARC: what a domain wants done with mail that only claims to come from it (RFC 9989, which replaced RFC 7489)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from mailer.preflight.resolver import NoSuchNameError, Resolver

MOST_QUESTIONS = 8
"""RFC 9989, 4.10: how far a receiver walks up from a name with many parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What was found for a domain.

    `organisation` is the domain that its owner is known by (`example.org` for `mail.example.org`); `found_at` where the
    record that counts stands, blank if there is none; `several` whether a name has more than one, which counts as none.
    """

    organisation: str
    found_at: str = ""
    policy: str = ""
    strict_dkim: bool = False
    strict_spf: bool = False
    several: bool = False

    @property
    def enforced(self) -> bool:
        """Whether mail that fails is to be refused or put among the spam."""
        return self.policy in {"quarantine", "reject"}


def names_upwards(domain: str) -> list[str]:
    """The domain and the domains above it, as a receiver asks for them (RFC 9989, 4.10)."""
    labels = domain.lower().rstrip(".").split(".")
    above = [labels[at:] for at in range(1, len(labels))]
    return [".".join(labels), *(".".join(rest) for rest in above[-(MOST_QUESTIONS - 1) :])]


async def find(resolver: Resolver, domain: str) -> Policy:
    """Walk up the tree from a domain. Raises DnsSilentError."""
    names = names_upwards(domain)
    found = dict(zip(names, await asyncio.gather(*(_records(resolver, name) for name in names)), strict=True))
    tags = {name: parse(records[0]) for name, records in found.items() if len(records) == 1}
    organisation = _organisation(names, tags)
    at = next((name for name in (names[0], organisation) if name in tags), "")
    several = len(found[names[0]]) > 1
    if not at or several:
        return Policy(organisation=organisation, several=several)
    own = tags[at]
    policy = own.get("p", "none").lower()
    if at != names[0]:
        policy = own.get("sp", policy).lower()
    return Policy(
        organisation=organisation,
        found_at=at,
        policy=policy,
        strict_dkim=own.get("adkim", "r").lower() == "s",
        strict_spf=own.get("aspf", "r").lower() == "s",
    )


def _organisation(names: list[str], tags: dict[str, dict[str, str]]) -> str:
    """RFC 9989, 4.10.2: the shortest name with a record, unless a record says that it is a boundary (`psd`)."""
    organisation = names[0]
    for at, name in enumerate(names):
        said = tags.get(name, {}).get("psd", "u").lower()
        if said == "y" and at:
            return names[at - 1]
        if name in tags:
            organisation = name
        if said == "n":
            break
    return organisation


async def _records(resolver: Resolver, domain: str) -> list[str]:
    try:
        texts = await resolver.ask(f"_dmarc.{domain}", "TXT")
    except NoSuchNameError:
        return []
    return [text for text in texts if re.match(r"v\s*=\s*DMARC1\s*(?:;|$)", text)]


def parse(record: str) -> dict[str, str]:
    """The tags of a record of the form `name=value; name=value` (RFC 6376, 3.2), as DMARC and DKIM have it."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}
