"""The checks of `mailer doctor` in brief: what can be asked in a few seconds, before a preview and before every send."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mailer.cli import console
from mailer.cli.options import described_relay
from mailer.errors import Refused, RelayStopped, quoted, typed

if TYPE_CHECKING:
    from mailer.campaign.doctor import Examination
    from mailer.campaign.plan import Plan
    from mailer.campaign.send import Prepared
    from mailer.model import Problem
    from mailer.preflight import Check, Domains
    from mailer.settings import Settings

PATIENCE = 5.0
"""Seconds for everything that is asked before a send, all at once."""

DNS_PATIENCE = 2.0
"""Seconds for one question to DNS before a send: an answer that takes longer does not hold it up."""

SHOWN = 2
"""Warnings that are told in full; the rest is for `mailer doctor`."""

READ_BY = ("--email-column", "--sheet")
"""What `mailer doctor` takes of the options of a list."""


def look_before_sending(settings: Settings, prepared: Prepared) -> None:
    """Say in a line or two what may keep mail from arriving. Raises Refused for what surely does, RelayStopped for a refused login.

    On this computer nothing is asked: a mail server here is for trying things out, or knows better than we do.
    """
    from mailer.loopback import is_loopback  # noqa: PLC0415

    if is_loopback(settings.smtp_host):
        return
    from mailer import preflight  # noqa: PLC0415
    from mailer.campaign import doctor  # noqa: PLC0415
    from mailer.campaign.sealing import has_faces  # noqa: PLC0415
    from mailer.model import Action, Phase  # noqa: PLC0415
    from mailer.outcome import explain  # noqa: PLC0415

    plan = prepared.plan
    # of several identities that of this account only: for another one's domain its own server answers
    several = has_faces(prepared.manifest)
    senders = [settings.face().sender.domain] if several else doctor.sender_domains(prepared.manifest)
    what = examination(settings, senders, largest=plan.largest if plan else 0, patience=PATIENCE)
    found = asyncio.run(doctor.examine(what))
    if found.relay and found.relay.phase is Phase.AUTH and found.relay.action in {Action.STOP, Action.PAUSE}:
        raise RelayStopped(f"Nothing was sent. {explain(found.relay)}", hint=f"what happened: {found.relay.text}")
    checks = found.checks
    if found.relay:
        # a server that is out of reach for a moment is what the run itself waits for
        checks = [check for check in checks if check.code not in {"relay", "tls", "login"}]
    checks = [*checks, *(doctor.look_at_plan(plan) if plan else ())]
    if wrong := preflight.of_level(checks, preflight.Level.FAIL):
        raise Refused(
            "This would not arrive as it is. Nothing was sent.",
            hint=f"to see everything: {_doctor(plan)}",
            problems=[_as_problem(check) for check in wrong],
        )
    # that no rate is set has just been said
    known = _warned(plan) | {"limit-unknown"}
    tell(preflight.of_level(checks, preflight.Level.WARN), known=known, more=_doctor(plan))


def _as_problem(check: Check) -> Problem:
    from mailer.model import Problem  # noqa: PLC0415

    return Problem(code=check.code, message=check.message, hint=check.fix or None)


def show_letter_doubts(plan: Plan) -> None:
    """In a line or two what readers and filters may mind in the letter."""
    from mailer import preflight  # noqa: PLC0415
    from mailer.campaign import doctor  # noqa: PLC0415

    checks = doctor.look_at_plan(plan)
    doubts = preflight.of_level(checks, preflight.Level.FAIL) + preflight.of_level(checks, preflight.Level.WARN)
    tell(doubts, known=_warned(plan), more=_doctor(plan))


def _doctor(plan: Plan | None) -> str:
    """The command that tells everything."""
    if plan is None:
        return "mailer doctor"
    options = {name: value for name, value in plan.manifest.options.items() if name in READ_BY}
    return f"mailer doctor {quoted(plan.manifest.template)} {quoted(plan.contacts.path)}{typed(options)}"


def _warned(plan: Plan | None) -> set[str]:
    """What the plan's own warnings and problems have said."""
    return {item.code for item in (*plan.warnings.said, *plan.problems.said)} | {"list"} if plan else set()


def tell(checks: Sequence[Check], *, known: Iterable[str], more: str) -> None:
    """The first doubts in a line each, on standard error, and where the rest is to be read."""
    said = set(known)
    new = [check for check in checks if check.code not in said]
    for check in new[:SHOWN]:
        console.warn(check.message)
    if new:
        rest = f", and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
        console.note(f"  What to do about it{rest}: {more}")


def examination(
    settings: Settings, senders: Iterable[str], *, largest: int = 0, patience: float, dns_patience: float = DNS_PATIENCE
) -> Examination:
    """What is to be asked for mail from these domains, by what the settings say.

    Behind a proxy DNS is asked only if a server for that is set: this computer's own would show where we are.
    """
    from mailer import preflight  # noqa: PLC0415
    from mailer.campaign.doctor import Examination  # noqa: PLC0415

    found = tuple(dict.fromkeys(senders))
    public = [domain for domain in found if not preflight.domain.is_reserved(domain)]
    asks = settings.proxy is None or settings.dns_server is not None
    return Examination(
        account=preflight.Account(
            host=settings.smtp_host or "",
            port=settings.smtp_port,
            sender_domains=found,
            auth=settings.smtp_auth.value,
            logs_in=settings.smtp_username is not None,
            rate=settings.rate,
            rate_is_chosen=not settings.rate_is_default,
        ),
        relay=described_relay(settings) if settings.smtp_host else None,
        resolver=(
            preflight.NetworkResolver(patience=dns_patience, server=settings.dns_server, proxy=settings.way)
            if asks and public
            else None
        ),
        domains=[_domains(settings, domain) for domain in public],
        largest=largest,
        patience=patience,
    )


def _domains(settings: Settings, sender: str) -> Domains:
    from mailer.preflight import Domains  # noqa: PLC0415

    bounces = (settings.bounce_address or "").rpartition("@")[2]
    signer = settings.signing.signer
    return Domains(
        sender=sender,
        bounces=bounces or sender,
        host=settings.smtp_host or "",
        keys=tuple(signer.dns_records) if signer else (),
        signer=settings.dkim_domain or sender,
    )
