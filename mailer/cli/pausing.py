"""`mailer pause`: have whoever sends a campaign pause, in whichever place."""

from __future__ import annotations

from mailer.cli import console
from mailer.cli.options import CampaignArgument, JsonOption, settings_here
from mailer.cli.standing import send_command, standing
from mailer.cli.stopping import interrupted
from mailer.cli.unlocking import open_ledger


def pause(campaign: CampaignArgument, *, as_json: JsonOption = False) -> None:
    """Pause a campaign that is being sent, here or elsewhere.

    What is on its way is waited for and recorded. The send command continues; nobody loses their place.

    \b
    Example:
      mailer pause solidarity-appeal--branches
    """  # noqa: D301
    from mailer.ledger import SenderLock  # noqa: PLC0415

    with open_ledger(settings_here(), create=False) as ledger:
        found = ledger.find(campaign)
        go_on = send_command(found, ledger)
        left = ledger.shared.standing(found) if ledger.is_shared else None
        if left:
            ledger.shared.halt(found, interrupted())
            said = "Paused for all workers; they finish what is on its way."
        elif SenderLock(ledger, found.name).is_held():
            ledger.ask_to_pause(found.name)
            said = "Asked whoever sends it to pause; that takes a moment."
        else:
            said = "Nobody is sending it just now."
        if as_json:
            console.emit(standing(ledger, found))
            return
        console.say(f"Campaign {found.name}: {said[:1].lower()}{said[1:]}", sentence=True)
        if ledger.tally(found).work_left:
            console.say(f"To continue:    {go_on}")
