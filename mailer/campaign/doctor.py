"""What could keep a campaign's mail from arriving: the relay, the sender's domain and the letter are asked at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from mailer import merge, preflight
from mailer.address import domain_of
from mailer.campaign.frozen import Recorded
from mailer.campaign.notes import MAY_BE_BLANK
from mailer.campaign.plan import MANY, WAY_OUT, Plan
from mailer.campaign.source import Source
from mailer.errors import LetterError, SettingsError
from mailer.model import Identity, Letter, Manifest, Outcome, Problem, RelayFacts, Severity, as_said, counted, said
from mailer.preflight import Account, Area, Check, Domains, Level
from mailer.preflight.check import Reporter
from mailer.smtp import Relay, survey

LOOKED_AT = 10_000
"""Rows in which a letter of each language is looked for, and for how many an institution is counted: that takes no second."""

account, names, letters = (Reporter(area) for area in (Area.ACCOUNT, Area.DNS, Area.LETTER))


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What is to be asked. Without a relay or a resolver that part is left out; `patience` in seconds for all of it.

    `largest` is the longest message in octets, 0 if there is none.
    """

    account: Account
    relay: Relay | None = None
    resolver: preflight.Resolver | None = None
    domains: Sequence[Domains] = ()
    largest: int = 0
    patience: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What came of it. `relay` is the relay's refusal, if it refused."""

    checks: list[Check]
    relay: Outcome | None = None


async def examine(what: Examination) -> Found:
    """Ask relay and DNS at the same time. Mails nobody; whatever does not answer is a check that says so."""
    asked = asyncio.gather(_relay(what), _dns(what))
    facts, named = await asked
    found = list(preflight.account.settings(what.account, datetime.now(UTC).date()))
    if facts is not None:
        found += preflight.account.relay(what.account, facts, now=time.time(), largest=what.largest)
    return Found(checks=[*found, *named], relay=facts if isinstance(facts, Outcome) else None)


async def _relay(what: Examination) -> RelayFacts | Outcome | None:
    if what.relay is None:
        return None
    with suppress(TimeoutError):
        async with asyncio.timeout(what.patience):
            return await survey(what.relay)
    return None


async def _dns(what: Examination) -> list[Check]:
    if what.resolver is None:
        return []
    found: list[Check] = []
    try:
        async with asyncio.timeout(what.patience):
            for domains in what.domains:
                found += await preflight.domain.checks(what.resolver, domains)
    except TimeoutError:
        found.append(preflight.domain.silence())
        found += [check for domains in what.domains for check in preflight.domain.unseen_keys(domains)]
    return found


def without_relay(what: Examination) -> Examination:
    """The same, but for the relay."""
    return replace(what, relay=None)


def sender_domains(manifest: Manifest) -> list[str]:
    """The domains that a campaign's messages are from, each once."""
    return list(dict.fromkeys(map(domain_of, manifest.senders)))


def unset(error: SettingsError) -> list[Check]:
    """What keeps from sending at all, as checks; the way out stands below the last."""
    if not error.problems:
        return [account.fail("setting", error.message, error.hint or "")]
    found = [
        account.fail(item.code, said("{sentence:.}", sentence=as_said(item.message)), item.hint or "")
        for item in error.problems
    ]
    return [*found[:-1], replace(found[-1], fix=found[-1].fix or error.hint or "")]


def unasked(senders: Iterable[str], *, hidden: bool) -> Iterator[Check]:
    """What was not asked, and why. `hidden`: behind a proxy, with no DNS server set that may be asked."""
    public = [domain for domain in senders if not preflight.domain.is_reserved(domain)]
    for domain in senders:
        if domain not in public:
            text = said(
                "{domain} is a domain for examples: nobody can answer you there, so DNS was not asked.", domain=domain
            )
            yield names.warn("domain-example", text, "Set sender to your own address.")
    if public and hidden:
        because = "A proxy is set, so DNS was not asked: this computer's DNS would show where you are."
        fix = "Set dns_server to the address of a DNS server that you trust; mailer asks it through the proxy."
        yield names.warn("proxy", because, fix)


def look_at_place(odd: Iterable[Problem]) -> list[Check]:
    """What is odd about where the ledger lies."""
    return [account.warn(one.code, as_said(one.message), one.hint or "") for one in odd]


def look_at_letter(reference: str, identity: Identity) -> list[Check]:
    """The letter without a list, fields named in place of their values. Raises LetterError if it cannot be read."""
    source = Source(template=reference, list_path=Path())  # no list is read
    template = merge.load(source.template, Recorded(source.folder))
    told = [flaw for flaw in template.check(template.fields) if flaw.code != MAY_BE_BLANK]
    found = [_as_check(flaw) for flaw in told]
    try:
        made = list(template.specimens(identity))
    except LetterError:
        text = "Some of the letter can be judged only with a list: it needs more than the names of its fields."
        found.append(letters.warn("needs-list", text, "Name the list, too: mailer doctor TEMPLATE LIST"))
        return found
    return combined(found, made)


def look_at_plan(plan: Plan) -> list[Check]:
    """The letters that the list's people get, one in each language; whether many of one institution get the same."""
    found = [_as_check(flaw) for flaw in (*plan.problems.without_row(), *plan.warnings.without_row())]
    if rows := len(plan.contacts.bad_rows) + len(plan.unrendered):
        text = counted("{number} row of the list gets no message.", "{number} rows of the list get no message.", rows)
        found.append(letters.warn("list", text, "To see them: mailer check LIST"))
    same = preflight.letter.same_for_all(plan.template.fields, islice(plan.contacts.keys(), LOOKED_AT))
    return combined([*found, *same], _examples(plan))


def as_a_send_to_all(plan: Plan, checks: Iterable[Check]) -> list[Check]:
    """The checks of a plan; what a send to its whole list is refused for is to be mended."""
    refused = {WAY_OUT} if plan.without_way_out and len(plan.contacts) > MANY else set()
    return [replace(check, level=Level.FAIL) if check.code in refused else check for check in checks]


def _examples(plan: Plan) -> Iterator[Letter]:
    if plan.unsendable:
        return
    seen: set[str | None] = set()
    for contact in islice(plan.ready(), LOOKED_AT):
        if contact.language not in seen:
            seen.add(contact.language)
            yield plan.template.merge(contact, plan.identity)


def combined(known: Iterable[Check], made: Iterable[Letter]) -> list[Check]:
    """What is known with what the letters show, each once; what holds for one language only is not called ok for all."""
    found = list(known)
    told = {check.code for check in found}
    for letter in made:
        found += [check for check in preflight.letter.lint(letter) if check.code not in told]
    wrong = {check.code for check in found if check.level is not Level.OK}
    once: dict[tuple[str, str], Check] = {}
    for check in found:
        if check.level is not Level.OK:
            once.setdefault((check.code, check.message), check)
        elif check.code not in wrong:
            once.setdefault((check.code, ""), check)
    return list(once.values())


def _as_check(flaw: Problem) -> Check:
    message = as_said(flaw.message)
    if flaw.file and flaw.row:
        sentence = said("{file}, line {line}: {sentence}", file=flaw.file, line=flaw.row, sentence=message)
    elif flaw.file:
        sentence = said("{file}: {sentence}", file=flaw.file, sentence=message)
    else:
        sentence = said("{sentence:A.}", sentence=message)
    say = letters.warn if flaw.severity is Severity.WARNING else letters.fail
    return say(flaw.code, sentence, flaw.hint or "")
