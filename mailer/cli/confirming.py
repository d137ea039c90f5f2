"""Before the first message leaves: a person says yes, and nobody is mailed twice by a mere --yes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mailer.cli import console
from mailer.cli.recipients import messages
from mailer.errors import CampaignError, Paused, UsageError, quoted

if TYPE_CHECKING:
    from mailer.campaign.send import Prepared


def confirm(count: int) -> None:
    """Have the number of messages typed. Raises UsageError without a terminal or with any other answer."""
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            f"Nobody is there to confirm {messages(count)}. Nothing was sent.",
            hint="run it in a terminal, or add --yes if you are sure",
        )
    try:
        console.err().print(f"Type {count} to send {messages(count)}; anything else stops: ", end="")
        answer = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        console.note()
        raise Paused("Nothing was sent.", hint="run the same command again when you are ready") from None
    if answer.replace(",", "") != str(count):
        raise UsageError("Not confirmed, so nothing was sent.", hint="run the same command again when you are ready")


def refuse_to_repeat(prepared: Prepared, command: str) -> None:
    """Raise CampaignError if people would get a letter twice and nobody is asked: perhaps the list was only renamed.

    `command` is the same without --yes.
    """
    # of a campaign that has not begun nothing differs, but that others had its letter already
    if prepared.campaign or not prepared.differences:
        return
    raise CampaignError(
        f"Nothing was sent. {' '.join(prepared.differences)}",
        hint=f"if they are to get it again: add --campaign {quoted(prepared.name)}\n"
        f"      to look at it first, and be asked: {command}",
    )
