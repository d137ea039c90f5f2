"""Before the first message leaves: a person says yes, and nobody is mailed twice by a mere --yes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mailer.cli import console
from mailer.cli.again import again
from mailer.cli.recipients import messages
from mailer.errors import CampaignError, Paused, UsageError, as_word

if TYPE_CHECKING:
    from mailer.campaign.compare import Exodus
    from mailer.campaign.send import Prepared

ALONE = "run it in a terminal, or add --yes if you are sure"


def confirm(count: int) -> None:
    """Have the number of messages typed. Raises UsageError without a terminal or with any other answer."""
    have_typed(
        str(count),
        f"Type {count} to send {messages(count)}",
        nobody=f"Nobody is there to confirm {messages(count)}.",
        otherwise="Nothing was sent.",
    )


def confirm_exodus(exodus: Exodus, *, confirmed: bool, gone: int | None) -> None:
    """Have the number of those typed who would be left without a letter: probably it is not the list that was meant.

    `gone` is that number, if it was given on the command line. Raises CampaignError where --yes was to be enough, UsageError without
    a terminal or with any other answer.
    """
    if gone == exodus.people:
        return
    elsewhere = (
        "if it is another list or sheet, give the right one; --campaign NAME starts another campaign with this one"
    )
    if confirmed:
        raise CampaignError(
            f"Nothing was sent. {exodus.sentence}",
            hint=f"{elsewhere}\n      if the others are to get no letter: the same with --gone {exodus.people}",
        )
    have_typed(
        str(exodus.people),
        f"{exodus.sentence}\nType {exodus.people} if that is right",
        nobody=f"{exodus.sentence} Nobody is there to confirm that.",
        otherwise="Nothing was sent.",
        alone=f"run it in a terminal; {elsewhere}",
    )


def have_typed(word: str, question: str, *, nobody: str, otherwise: str, alone: str = ALONE) -> None:
    """Ask, and come back if the word was typed. `otherwise` is what is then still as it was, `alone` what to do where nobody sits.

    Raises UsageError without a terminal or with any other answer, Paused at Ctrl-C.
    """
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(f"{nobody} {otherwise}", hint=alone)
    again = "run the same command again when you are ready"
    try:
        console.err().print(f"{question}; anything else stops: ", end="")
        answer = sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        console.note()
        raise Paused(otherwise, hint=again) from None
    if answer.replace(",", "") != word:
        raise UsageError(f"Not confirmed, so {otherwise[:1].lower()}{otherwise[1:]}", hint=again)


def refuse_to_repeat(prepared: Prepared) -> None:
    """Raise CampaignError if people would get a letter twice and nobody is asked: perhaps the list, or the letter, was only renamed."""
    repeat = prepared.repeat
    if repeat is None:
        return
    continued = (f"--campaign={as_word(repeat.campaign)}", *["--update"] * (not repeat.is_same))
    raise CampaignError(
        f"Nothing was sent. {repeat.sentence}",
        hint=f"if the list or the letter was only renamed or corrected: {again((), besides=continued)}\n"
        f"      if they are to get it again: {again((), besides=(f'--campaign={as_word(prepared.name)}',))}",
    )
