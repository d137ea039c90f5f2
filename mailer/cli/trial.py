"""`mailer test`: real renderings, to one's own address only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.options import (
    CampaignOption,
    EmailColumnOption,
    JsonOption,
    ListArgument,
    ProblemsOption,
    RelayOption,
    SheetOption,
    SkipProblemsOption,
    TemplateArgument,
    limits_of,
    relay_of,
    settings_here,
    signer_of,
    source_of,
)
from mailer.cli.progress import counted
from mailer.cli.saving import save_problems
from mailer.cli.send import loop_factory
from mailer.cli.unlocking import keep_outside, open_ledger, warn_of_readable_ledger
from mailer.errors import ListError, UsageError

if TYPE_CHECKING:
    from mailer.campaign.plan import Plan


def trial(
    template: TemplateArgument,
    contact_list: ListArgument,
    *,
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Your own address.", show_default=False)],
    row: Annotated[
        list[int] | None, typer.Option("--row", metavar="N", help="The row to show, as a spreadsheet counts.")
    ] = None,
    relay: RelayOption = None,
    campaign: CampaignOption = None,
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    problems: ProblemsOption = None,
    skip_problems: SkipProblemsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a few messages to your own address only.

    The subject begins with [TEST]. Nobody on the list gets anything, and the campaign does not begin.

    \b
    Example:
      mailer test solidarity-appeal contacts/branches.csv --to me@example.org --row 2 --row 7
    """  # noqa: D301
    from mailer.campaign.plan import make_plan  # noqa: PLC0415
    from mailer.campaign.trial import pick, send_test  # noqa: PLC0415
    from mailer.model import Verdict  # noqa: PLC0415
    from mailer.outcome import explain  # noqa: PLC0415

    settings = settings_here(to_send=True)
    account = settings.over(relay)
    over, signer = relay_of(account), signer_of(account)
    address = own_address(to)
    source = source_of(settings, template, contact_list, campaign=campaign, email_column=email_column, sheet=sheet)
    keep_outside(problems, settings)
    warn_of_readable_ledger(settings, contact_list)
    with open_ledger(settings) as ledger:
        with counted("Checking every message") as progress:
            plan = make_plan(source, settings.identity(), ledger.secret, on_progress=progress)
        save_problems(problems, plan.contacts, plan.unrendered.values())
        refuse_problems(plan, skip_problems=skip_problems)
        people = pick(plan, row or [])
        limits = limits_of(account)
        sending = send_test(plan, people, address, ledger=ledger, relay=over, limits=limits, signer=signer)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            outcomes = runner.run(sending)
    sent = sum(outcome.verdict is Verdict.SENT for outcome in outcomes)
    if as_json:
        console.emit({"campaign": plan.name, "to": to, "sent": sent, "refused": len(outcomes) - sent})
    else:
        for contact, outcome in zip(people, outcomes, strict=True):
            accepted = outcome.verdict is Verdict.SENT
            became = "sent to you" if accepted else explain(outcome)
            console.say(f"Row {contact.row}: {became} ({outcome.text.splitlines()[0]})", sentence=True)
        console.say("The list was not mailed.")
    raise typer.Exit(0 if sent == len(outcomes) else 1)


def refuse_problems(plan: Plan, *, skip_problems: bool) -> None:
    """Raise ListError unless the problems may be passed over, as `mailer send` would."""
    if plan.unsendable:
        raise ListError("Not one message can be made, so no test was sent.", problems=plan.problems)
    if plan.problems and not skip_problems:
        raise ListError(
            "The list has rows that cannot be mailed. No test was sent.",
            problems=plan.problems,
            hint="mend the rows, or add --skip-problems to go on without them; --problems FILE writes them out",
        )


def own_address(text: str) -> str:
    """One address, nothing else. Raises UsageError."""
    from mailer.model import said  # noqa: PLC0415
    from mailer.settings import values  # noqa: PLC0415

    try:
        return values.address(text)
    except ValueError as error:
        raise UsageError(
            said("--to is to be your own address: {error}.", error=error), hint="for example --to me@example.org"
        ) from error
