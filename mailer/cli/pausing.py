"""`mailer pause`: have whoever sends a campaign pause, in whichever place."""

from __future__ import annotations

from mailer.cli import console
from mailer.cli.options import CampaignArgument, JsonOption, settings_here
from mailer.cli.standing import send_command, standing
from mailer.cli.unlocking import open_ledger


def pause(campaign: CampaignArgument, *, as_json: JsonOption = False) -> None:
    """Pause a campaign that is being sent, here or elsewhere.

    What is on its way is waited for and recorded. The send command continues; nobody loses their place.

    \b
    Example:
      mailer pause solidarity-appeal--branches
    """  # noqa: D301
    from mailer.campaign.pausing import pause as pause_it  # noqa: PLC0415

    with open_ledger(settings_here(), create=False) as ledger:
        found = ledger.find(campaign)
        said = SAID[pause_it(ledger, found).name]
        if as_json:
            console.emit(standing(ledger, found))
            return
        console.say(f"Campaign {found.name}: {said}", sentence=True)
        if ledger.tally(found).work_left:
            console.say(f"To continue:    {send_command(found, ledger)}")


SAID = {
    "WORKERS": "paused for all workers; they finish what is on its way.",
    "PROGRAM": "whoever sends it was asked to pause; that takes a moment.",
    "PAGE": "paused; its page (mailer web) does not go on with it by itself any more.",
    "NOBODY": "nobody is sending it just now.",
}
