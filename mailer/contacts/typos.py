"""Likely typing mistakes in the domains of the big mail providers: gmial.com, hotmail.con."""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import cache


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PROVIDERS = _words(
    "gmail.com googlemail.com yahoo.com yahoo.co.uk yahoo.fr yahoo.de yahoo.es yahoo.it yahoo.co.in yahoo.com.br "
    "ymail.com rocketmail.com hotmail.com hotmail.co.uk hotmail.fr hotmail.de hotmail.es hotmail.it outlook.com "
    "outlook.de outlook.fr outlook.es live.com live.co.uk live.fr live.nl msn.com icloud.com me.com mac.com aol.com "
    "proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de tuta.io riseup.net posteo.de posteo.net "
    "mailbox.org gmx.de gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de arcor.de mail.com email.com "
    "orange.fr wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it tiscali.it alice.it tin.it bluewin.ch "
    "comcast.net verizon.net btinternet.com sky.com talktalk.net ntlworld.com yandex.ru yandex.com mail.ru rambler.ru "
    "ziggo.nl xs4all.nl telenet.be skynet.be wp.pl onet.pl interia.pl seznam.cz uol.com.br bol.com.br terra.com.br "
    "rediffmail.com qq.com fastmail.com fastmail.fm zoho.com hushmail.com inbox.com inbox.lv email.de mail.de"
)
GOOD = frozenset(PROVIDERS).union(
    _words(
        "gmail.org mail.org mail.ch email.ch gmx.fr gmx.es gmx.it gmx.eu gmx.us gmx.li gmx.info yahoo.ca yahoo.cn yahoo.gr "
        "yahoo.ie yahoo.in yahoo.pl yahoo.ro yahoo.se yahoo.no yahoo.dk yahoo.cz yahoo.be yahoo.nl yahoo.at yahoo.ch "
        "hotmail.be hotmail.ca hotmail.ch hotmail.nl hotmail.se hotmail.no hotmail.dk hotmail.at hotmail.gr outlook.at "
        "outlook.be outlook.it outlook.pt outlook.dk outlook.ie outlook.in outlook.cz outlook.sk outlook.hu outlook.ch "
        "proton.ch fastmail.net fastmail.us fastmail.to inbox.ru inbox.eu free.net orange.com orange.es orange.pl "
        "orange.be posteo.at posteo.ch posteo.eu posteo.us libero.com riseup.com seznam.com interia.eu alice.de hotmail.co "
        "cmail.com hmail.com fmail.com vmail.com zmail.com umail.com tmail.com xmail.com qmail.com imail.com omail.com "
        "email.it outlook.fi mailbox.com mailbox.de"
    )
)
"""Domains that exist and look like another: never called a mistake."""

RUINED_ENDINGS = {
    "com": ("con", "cmo", "ocm", "vom", "xom", "comm", "coom", "cpm", "clm", "om"),
    "net": ("ent", "nte", "ner", "bet", "nett"),
    "de": ("ed", "dee", "dde"),
    "fr": ("rf", "frr"),
}
LIKELY_TYPO = "likely-typo"
"""The code of the warning about one."""

SHORTEST_NAME = 5
"""A provider's name shorter than this has too many honest neighbours (web.de, wep.de)."""


def suggestion(domain: str) -> str | None:
    """The provider's domain that was probably meant, one slip away (Damerau-Levenshtein 1); None if all is well."""
    return None if domain in GOOD else _slips().get(domain)


@cache
def _slips() -> dict[str, str]:
    slips: dict[str, str] = {}
    for provider in reversed(PROVIDERS):  # the more common come first in the list, hence win
        name, _, ending = provider.partition(".")
        if len(name) >= SHORTEST_NAME:
            slips.update(dict.fromkeys(_edits(provider), provider))
    for provider in reversed(PROVIDERS):
        name, _, ending = provider.partition(".")
        slips.update({f"{name}.{ruined}": provider for ruined in RUINED_ENDINGS.get(ending, ())})
        if len(name) >= SHORTEST_NAME:
            slips[name + ending] = provider
    return slips


def _edits(word: str) -> Iterator[str]:
    letters = string.ascii_lowercase + string.digits + "-."
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in letters)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        yield from (before + letter + after for letter in letters)
