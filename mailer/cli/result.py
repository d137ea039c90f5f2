"""What a run of `mailer send` came to, and the commands to go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailer.cli import console
from mailer.cli.office import office_hours, told_hours
from mailer.cli.recipients import each
from mailer.cli.standing import command, counts, show_tally
from mailer.times import iso, local_time

if TYPE_CHECKING:
    from mailer.campaign.send import Result
    from mailer.model import Tally


def show_result(
    result: Result,
    *,
    command: str,
    anew: str,
    as_json: bool,
    held: int | None = None,
    idle: bool = False,
    elsewhere: str | None = None,
) -> None:
    """What a run came to, and what to do next: `command` continues, `elsewhere` does so over another account, `anew` and a name
    start another campaign. `idle`: nobody was due.
    """
    campaign, tally, reason = result.campaign, result.tally, result.reason
    if as_json:
        console.emit(
            {
                "campaign": campaign.name,
                **counts(tally),
                "seal": campaign.manifest.seal,
                "state": result.state,
                "next_attempt_at": iso(result.next_due),
                **office_hours(campaign, result.out_of_hours),
                "reason": reason.message if reason else None,
                "hint": reason.hint if reason else None,
            }
        )
        return
    if reason:
        console.note(reason.message, style="yellow")
    if result.state == "finished" and campaign.finished_at:
        console.say(f"Campaign {campaign.name}: finished on {local_time(campaign.finished_at)}.")
    else:
        console.say(f"Campaign {campaign.name}: {result.state}, {tally.work_left:,} left.", sentence=True)
    if idle and not reason:
        console.say(f"Nothing was sent now: {why_idle(tally)}", sentence=True)
    show_tally(tally, campaign.manifest)
    if held:
        console.say(
            f"Held after the first {held}, as you asked. Look how they fared, then run the same command again.",
            sentence=True,
        )
    steps = next_steps(result, command, anew)
    if elsewhere and tally.work_left:
        steps.append(f"Or over another relay: {elsewhere}")
    for step in steps:
        console.say(step)
    if reason and reason.hint and not any(step.endswith(reason.hint) for step in steps):
        console.show_hints([reason.hint])


def why_idle(tally: Tally) -> str:
    """Why nobody was due."""
    if tally.work_left:
        return "nobody is due yet."
    if tally.sent == tally.total:
        return (
            f"all {tally.total:,} have it already." if tally.total > 1 else "the one person on the list has it already."
        )
    if not tally.sent:
        return "nobody on the list is to be mailed."
    return f"{each(tally.sent, 'has', 'have')} it already, and nobody else is to be mailed."


def next_steps(result: Result, again: str, anew: str) -> list[str]:
    """Commands to paste, each with what it is for."""
    campaign, tally = result.campaign, result.tally
    steps = []
    if tally.deferred:
        when = f" from {local_time(result.next_due)}" if result.next_due else ""
        steps.append(f"To be tried again{when}: {tally.deferred:,}")
    if result.out_of_hours:
        steps.append(told_hours(campaign, result.out_of_hours))
    if tally.work_left:
        steps.append(f"To continue:    {again}")
    if tally.uncertain:
        steps.append(f"To decide:      {command('resolve', campaign)}")
    if tally.failed:
        steps.append(f"Who failed:     {command('report', campaign)}")
    elif not tally.work_left:
        steps.append(f"The report:     {command('report', campaign)}")
    if not tally.work_left:
        steps.append("To send to this list again, start another campaign:")
        steps.append(f"  {anew} --campaign NEW-NAME")
    return steps
