"""`mailer preview`: the dry run."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mailer.cli import console, recipients
from mailer.cli.glance import show_letter_doubts
from mailer.cli.options import (
    CampaignOption,
    EmailColumnOption,
    JsonOption,
    ListArgument,
    ProblemsOption,
    SheetOption,
    SkipProblemsOption,
    TemplateArgument,
    odd_about_keys,
    settings_here,
    source_of,
)
from mailer.cli.progress import counted
from mailer.cli.saving import save_problems
from mailer.cli.unlocking import is_encrypted, keep_outside, open_ledger, warn_of_readable_ledger
from mailer.errors import ListError, quoted, typed
from mailer.model import Findings

if TYPE_CHECKING:
    from mailer.campaign.plan import Plan
    from mailer.campaign.source import Source
    from mailer.ledger import Ledger
    from mailer.model import Problem

SKIP = "mend the rows, or add --skip-problems to go on without them"


def preview(
    template: TemplateArgument,
    contact_list: ListArgument,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder for the gallery (preview).")
    ] = None,
    files: Annotated[
        int,
        typer.Option("--files", min=0, metavar="N", help="Up to N messages are files of their own; more share files."),
    ] = 10_000,
    open_it: Annotated[bool, typer.Option("--open", help="Open the gallery in the browser.")] = False,
    campaign: CampaignOption = None,
    email_column: EmailColumnOption = None,
    sheet: SheetOption = None,
    problems: ProblemsOption = None,
    skip_problems: SkipProblemsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show every message as it would be sent. Sends nothing.

    Writes a gallery to open in a browser and the messages as .eml files, and prints the seal: with it, send refuses
    if anything has changed since. Of more than 10,000 messages the gallery shows each as well, and gives its .eml, but
    they share files. Beside an encrypted ledger no gallery is written, unless --out names a place outside of the folder.

    \b
    Example:
      mailer preview solidarity-appeal contacts/branches.csv --open
    """  # noqa: D301
    from mailer.campaign.plan import make_plan  # noqa: PLC0415
    from mailer.campaign.preview import write_preview  # noqa: PLC0415

    settings = settings_here(to_look=True)
    odd = odd_about_keys(settings)
    console.show_warnings(odd)
    source = source_of(settings, template, contact_list, campaign=campaign, email_column=email_column, sheet=sheet)
    keep_outside(out, settings)
    keep_outside(problems, settings)
    if out is None and not is_encrypted(settings):
        out = Path("preview")
    warn_of_readable_ledger(settings, contact_list)
    with open_ledger(settings) as ledger:
        with counted("Checking every message") as progress:
            plan = make_plan(source, settings.identity(), ledger.secret, on_progress=progress)
        save_problems(problems, plan.contacts, plan.unrendered.values())
        if plan.unsendable:
            raise ListError("Not one message can be made.", problems=plan.problems)
        with counted("Writing the preview") as progress:
            index, messages = write_preview(plan, ledger, out, own_files=files, on_progress=progress)
        begun = standing_of(plan, ledger)
    if as_json:
        console.emit(as_data(plan, messages, index, (*settings.warnings, *odd)))
    else:
        held_up = bool(plan.problems) and not skip_problems
        show(plan, messages, index, hint=SKIP if held_up else None)
        if not held_up:
            if begun:
                console.say(f"The campaign has begun: {begun.told}", sentence=True)
            command = send_command(source, plan.seal, skip_problems=skip_problems, update=begun and begun.changed)
            console.say(f"To send:       {command}")
    if open_it and index:
        webbrowser.open(index.resolve().as_uri())
    if plan.problems and not skip_problems:
        raise typer.Exit(ListError.exit_code)


def as_data(plan: Plan, messages: int, index: Path | None, warnings: Iterable[Problem]) -> dict[str, object]:
    """What was previewed, for --json; `warnings` of the settings come first."""
    settings_first = Findings(warnings)
    settings_first.extend(plan.warnings)
    return {
        "campaign": plan.name,
        "messages": messages,
        "seal": plan.seal,
        "senders": list(plan.manifest.senders),
        "out": str(index.parent) if index else None,
        "warnings": settings_first,
        "problems": plan.problems,
        "index": str(index) if index else None,
    }


def show(plan: Plan, messages: int, index: Path | None, hint: str | None) -> None:
    """What was previewed, for people."""
    from mailer.campaign.sealing import written  # noqa: PLC0415

    console.say("PREVIEW, nothing sent", style="bold")
    console.say(
        f"Campaign {plan.name}: {recipients.messages(messages)} from {', '.join(plan.manifest.senders)}", sentence=True
    )
    for relay, who in plan.speakers().items():
        console.say(f"Over relay {relay} they are from {written(who.sender)}", sentence=True)
    console.say(accounted(plan, messages), sentence=True)
    console.show_warnings(plan.warnings, rest="; all of them stand in the gallery")
    show_letter_doubts(plan)
    if index:
        console.say(f"Look at them:  {index}")
    else:
        console.say("No gallery was written, since the ledger is encrypted and a gallery is not. For one elsewhere:")
        console.say(f"               --out {quoted(Path('..') / 'preview')}")
    console.say(f"Seal:          {plan.seal}")
    if plan.problems:
        console.note("\nThese rows get no message:", style="red")
        console.show_problems(plan.problems, rest="; all of them: --problems FILE", hints=[hint])


class Begun(NamedTuple):
    """What a campaign of this name has come to; `changed` if what was previewed is not what it was frozen with."""

    changed: bool
    told: str


def standing_of(plan: Plan, ledger: Ledger) -> Begun | None:
    """How many have the letter already; None if the campaign has not begun."""
    campaign = ledger.campaign(plan.name)
    if campaign is None or not ledger.tried(campaign):
        return None
    if ledger.is_purged(campaign):
        return Begun(changed=False, told="everybody in it was erased, so it takes no more people: --campaign NAME.")
    have = len(ledger.reached(campaign).intersection(plan.mailed_keys(plan.held_back(ledger))))
    changed = campaign.manifest.parts != plan.manifest.parts
    rest = "the rest gets it as it is now, with --update" if changed else "they get no second one"
    return Begun(changed, f"{recipients.each(have, 'has', 'have') or 'nobody has'} the letter already; {rest}.")


def accounted(plan: Plan, messages: int) -> str:
    """What became of every row of the list, in numbers that add up."""
    people = plan.contacts
    bad = len(people.bad_rows) + len(plan.unrendered)
    suppressed = people.rows - people.duplicates - bad - messages
    parts = [f"{messages:,} with a message"]
    parts += [f"{people.duplicates:,} for an address that the list has already"] if people.duplicates else []
    parts += [f"{bad:,} with problems"] if bad else []
    parts += [f"{suppressed:,} not to be mailed"] if suppressed else []
    return f"Rows in the list: {people.rows:,} ({', '.join(parts)})"


def send_command(source: Source, seal: str, *, skip_problems: bool, update: bool | None) -> str:
    """The command that sends what was previewed, to be pasted."""
    from mailer.campaign.source import SKIP as SKIPPING  # noqa: PLC0415

    words = ["mailer", "send", quoted(source.template), quoted(source.list_path)]
    named = {"--campaign": source.campaign} if source.campaign else {}
    updating = {"--update": ""} if update else {}
    skipping = {SKIPPING: ""} if skip_problems else {}
    return " ".join(words) + typed({**named, **source.options, **updating, **skipping, "--seal": seal})
