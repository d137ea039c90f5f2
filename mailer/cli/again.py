"""The command as it was typed, to be run again, perhaps over another account."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mailer.errors import as_word

if TYPE_CHECKING:
    from mailer.settings import Settings

# What was meant for one run only, and what also for this campaign only. Each run is to be confirmed by itself.
ONE_RUN = ("--limit",)
FLAGS = ("--json", "--yes")
NOT_ANEW = (*ONE_RUN, "--campaign", "--seal")


def again(without: tuple[str, ...] = ONE_RUN, *, besides: tuple[str, ...] = ()) -> str:
    """The command as it was typed, to be pasted, without some options and their values, and with others besides, each once."""
    words, arguments = ["mailer"], iter(sys.argv[1:])
    besides = tuple(word for word in besides if word not in sys.argv[1:])
    for word in arguments:
        if word == "--":  # from here on all are names, whatever they begin with
            return " ".join([*words, *besides, word, *map(as_word, arguments)])
        if word in without:
            next(arguments, None)
        elif word not in FLAGS and not word.startswith(tuple(f"{option}=" for option in without)):
            words.append(as_word(word))
    return " ".join([*words, *besides])


def over_another(settings: Settings, account: Settings) -> str | None:
    """The command that continues over the next account, if there is one."""
    names = [name for name in settings.accounts if name != account.relay]
    return f"{again((*ONE_RUN, '--relay'))} --relay {names[0]}" if names else None
