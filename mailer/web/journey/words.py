"""The pages' words in the language of whoever reads them: one catalogue a language (gettext), read at the start."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from gettext import c2py
from pathlib import Path

from babel import Locale
from babel.messages.pofile import read_po

from mailer.markup import Voice

PLACE = Path(__file__).parent / "languages"
_speaking: ContextVar[str] = ContextVar("language of the page", default="en")


def languages() -> tuple[str, ...]:
    """English, and what there is a catalogue for."""
    return ("en", *sorted(path.stem for path in PLACE.glob("*.po")))


def speak(accepted: str) -> str:
    """Choose by Accept-Language (RFC 9110, 12.5.4), for the rest of this request."""
    wanted = []
    for number, part in enumerate(accepted.split(",")):
        name, _, rest = part.strip().partition(";")
        weight = re.search(r"q=([01](?:\.\d{1,3})?)", rest)
        wanted.append((-float(weight[1]) if weight else -1.0, number, name.partition("-")[0].lower()))
    known = languages()
    language = next((name for weight, _, name in sorted(wanted) if weight and name in known), "en")
    _speaking.set(language)
    return language


def speaking() -> str:
    """The language of this request's answer."""
    return _speaking.get()


@cache
def direction(language: str) -> str:
    """Which way the language is written: `ltr` or `rtl`, as in HTML."""
    return "rtl" if Locale.parse(language).character_order == "right-to-left" else "ltr"


@cache
def plural_rule(language: str) -> Callable[[int], int]:
    """Which of a language's plural forms a number takes."""
    path = PLACE / f"{language}.po"
    with path.open("rb") as file:
        return c2py(read_po(file, locale=language).plural_expr)


@cache
def catalogue(language: str) -> dict[str | tuple[str, ...], str | tuple[str, ...]]:
    """Translated texts by the English ones; a pair for what has a plural."""
    path = PLACE / f"{language}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        found = read_po(file, locale=language)
    return {
        _whole(message.id): _whole(message.string)
        for message in found
        if message.id and message.string and not message.fuzzy
    }


def _whole(text: str | list[str] | tuple[str, ...]) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(text)


def gettext(text: str) -> str:
    translated = catalogue(_speaking.get()).get(text)
    return translated if isinstance(translated, str) and translated else text


def voice() -> Voice:
    """How pages that are made elsewhere speak in this request's answer."""
    language = speaking()
    return Voice(language=language, direction=direction(language), say=gettext)


def ngettext(one: str, many: str, number: int) -> str:
    translated = catalogue(_speaking.get()).get((one, many))
    if isinstance(translated, tuple) and all(translated):
        return translated[plural_rule(_speaking.get())(number)]
    return one if number == 1 else many


def later(text: str) -> str:
    """Mark a text that is translated where it is shown."""
    return text


FROM_BELOW = (
    # where the password is kept: mailer.account
    later("This computer has no keyring that could keep the password."),
    later("Keep it in the file smtp-password.txt here, which only you can read?"),
    # a message: mailer.preview.page
    later("Parts of the message"),
    later("How the letter is shown"),
    later("Desktop"),
    later("Phone"),
    later("Dark"),
    later("(no subject)"),
    later("Download .eml"),
    later("The letter as HTML"),
    later("This message has no text part."),
    later("Text"),
    later("Headers"),
    later("Attachments"),
    later("Header"),
    later("Value"),
    later("As it travels"),
    later("Name"),
    later("Type"),
    later("Size"),
    # the states of a campaign
    later("starting"),
    later("sending"),
    later("waiting"),
    later("paused"),
    later("finished"),
    later("refused"),
    # why somebody is suppressed: model.Reason
    later("unsubscribed"),
    later("complaint"),
    later("bounce"),
    later("manual"),
    later("imported"),
    # why a message is worth a look: preview.telling
    later("first"),
    later("last"),
    later("longest name"),
    later("name in another script"),
    later("most empty fields"),
    later("has a warning"),
    later("longest subject"),
    later("largest message"),
)
"""Texts of modules that know no language, as the pages show them."""
