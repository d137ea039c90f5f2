"""`mailer doctor`: what could keep mail from arriving."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.glance import examination
from mailer.cli.options import EmailColumnOption, JsonOption, SheetOption, settings_here, source_of
from mailer.cli.progress import counted
from mailer.errors import Refused, SettingsError

if TYPE_CHECKING:
    from mailer.preflight import Check
    from mailer.settings import Settings

PATIENCE = 45.0
"""Seconds for all that is asked; longer than one try to connect may take, so that its own words are heard."""

DNS_PATIENCE = 5.0

HEADINGS = {
    "account": "Account",
    "dns": "DNS (what the sender's domain says of itself)",
    "letter": "Letter",
    "arrival": "Arrival (what the receiving server made of it)",
}
STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    template: Annotated[
        str | None, typer.Argument(metavar="TEMPLATE", help="A letter to look at, too.", show_default=False)
    ] = None,
    contact_list: Annotated[
        Path | None, typer.Argument(metavar="LIST", help="The list that it goes to.", show_default=False)
    ] = None,
    *,
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what could keep your mail from arriving. Mails nobody.

    Signs in to the mail server, asks DNS about the sender's domain, and reads the letter as its readers and their spam
    filters would. Ends with exit code 2 if something must be mended.

    \b
    Example:
      mailer doctor solidarity-appeal contacts/branches.csv
    """  # noqa: D301
    from mailer.campaign.doctor import look_at_place  # noqa: PLC0415
    from mailer.ledger import odd_places  # noqa: PLC0415

    settings = settings_here()  # what makes sending impossible is among the checks
    sender = settings.identity().sender.domain
    checks: list[Check] = []
    largest, senders = 0, [sender]
    if template is not None:
        checks, largest, senders = letter_checks(settings, template, contact_list, email_column, sheet)
    with counted("Asking the mail server and DNS"):
        checks = [*asked_of_all(settings, senders or [sender], largest), *checks]
    checks = [*look_at_place(odd_places(settings.ledger_place, Path())), *checks]
    if as_json:
        console.emit(as_data(checks))
    else:
        show(checks, "Nobody was mailed.")
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(Refused.exit_code)


def letter_checks(
    settings: Settings, template: str, contact_list: Path | None, email_column: str | None, sheet: str | None
) -> tuple[list[Check], int, list[str]]:
    """The letter's checks, the length of its largest message in octets (0 without a list), and the domains it is from."""
    from mailer.campaign import doctor as steps  # noqa: PLC0415
    from mailer.campaign.plan import make_plan  # noqa: PLC0415

    identity = settings.identity()
    if contact_list is None:
        return steps.look_at_letter(template, identity), 0, []
    source = source_of(settings, template, contact_list, email_column=email_column, sheet=sheet)
    with counted("Checking every message") as progress:
        # the secret shapes only the Message-IDs, which nobody will see: no ledger is made for a look
        plan = make_plan(source, identity, b"mailer doctor", on_progress=progress)
    checks = steps.as_a_send_to_all(plan, steps.look_at_plan(plan))
    return checks, plan.largest, steps.sender_domains(plan.manifest)


def asked_of_all(settings: Settings, senders: Sequence[str], largest: int) -> list[Check]:
    """What there is to say of each account; of several each is asked for mail from its own sender, and named."""
    accounts = settings.accounts
    if len(accounts) == 1:
        return asked(settings.over(), senders, largest)
    return [
        replace(check, message=f"Relay {name}: {check.message}")
        for name, one in accounts.items()
        for check in asked(one, [one.face().sender.domain], largest)
    ]


def asked(settings: Settings, senders: Sequence[str], largest: int) -> list[Check]:
    """What the settings, the relay and DNS say."""
    from mailer.campaign import doctor as steps  # noqa: PLC0415

    unset = []
    try:
        settings.require_sending()
    except SettingsError as error:
        unset = steps.unset(error)
    what = examination(settings, senders, largest=largest, patience=PATIENCE, dns_patience=DNS_PATIENCE)
    if unset:
        # with an example's host, or without a password, there is nobody to ask
        what = steps.without_relay(what)
    found = asyncio.run(steps.examine(what)).checks
    if settings.smtp_host is None:
        found = [check for check in found if check.area != "account"]
    return [*unset, *found, *steps.unasked(senders, hidden=settings.proxy is not None and settings.dns_server is None)]


def as_data(checks: Sequence[Check]) -> dict[str, object]:
    """The report for --json."""
    parts = [
        {"area": one.area, "code": one.code, "level": one.level, "message": one.message, "fix": one.fix}
        for one in ordered(checks)
    ]
    return {"checks": parts, **counts(checks)}


def counts(checks: Sequence[Check]) -> dict[str, int]:
    return {level: sum(check.level == level for check in checks) for level in ("ok", "warn", "fail")}


def ordered(checks: Sequence[Check]) -> list[Check]:
    """By area; within one as they came."""
    areas = list(HEADINGS)
    return sorted(checks, key=lambda check: areas.index(check.area))


def show(checks: Sequence[Check], end: str) -> None:
    """The report for people; its last words are who was mailed."""
    for area, heading in HEADINGS.items():
        here = [check for check in checks if check.area == area]
        if not here:
            continue
        console.say(heading, style="bold")
        for check in here:
            # broken between words first, so that what follows stands below the sentence and not below the level
            sentence = console.fitting(console.out(), f"{'':8}{check.message}")
            console.say(f"  {check.level:<6}{sentence[8:]}", style=STYLES[check.level])
            if check.fix:
                console.say(f"{'':8}{check.fix}", sentence=True)
        console.say()
    number = counts(checks)
    console.say(f"{number['ok']} ok, {number['warn']} to look at, {number['fail']} to mend. {end}")
