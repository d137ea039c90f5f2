"""The pages' words in the language of whoever reads them: one catalogue a language (gettext), read at the start."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from gettext import c2py
from operator import eq
from pathlib import Path

from babel import Locale
from babel.messages.pofile import read_po

from mailer.markup import Voice
from mailer.model.said import Said, told

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
    """A text of the pages, or a sentence from below, in the language of this request's answer."""
    return told(text, _text, ngettext, figure)


def _text(text: str) -> str:
    translated = catalogue(_speaking.get()).get(text)
    if isinstance(translated, str) and translated:
        return translated
    # what came by the ledger or a server's way is the English alone
    return text if speaking() == "en" or not text else recalled(speaking(), text)


def voice() -> Voice:
    """How pages that are made elsewhere speak in this request's answer."""
    language = speaking()
    return Voice(language=language, direction=direction(language), say=gettext, figure=figure)


@cache
def _signs(language: str) -> dict[int, str]:
    symbols = Locale.parse(language).number_symbols["latn"]
    return {ord(","): symbols["group"], ord("."): symbols["decimal"]}


def figure(number: float, how: str = ",") -> str:
    """A number as the language writes it, 1,234.5 in English."""
    return format(number, how).translate(_signs(speaking()))


def ngettext(one: str, many: str, number: int) -> str:
    translated = catalogue(_speaking.get()).get((one, many))
    if isinstance(translated, tuple) and all(translated):
        return translated[plural_rule(_speaking.get())(number)]
    return one if number == 1 else many


def later(text: str) -> str:
    """Mark a text that is translated where it is shown."""
    return text


@lru_cache(maxsize=4096)
def recalled(language: str, text: str) -> str:
    """A sentence that lost what it was made of, as in the ledger, which keeps English: known by its text."""
    if len(text) > LONGEST:
        return text
    parts = re.split(r"(?<=[.!?]) (?=[A-Z])", text)
    told = [gettext(part) for part in parts] if len(parts) > 1 else []
    if told and not any(map(eq, parts, told)):
        return " ".join(told)
    for pattern, template in _patterns(language):
        if len(text) > SHORT and len(template.names) >= MANY:
            continue  # for each value more the search takes a power more of time, and a server may have made the text
        if found := pattern.fullmatch(text):
            named = zip(template.names, found.groups(), strict=True)
            values = {name: _value(name, how, one) for (name, how), one in named}
            return gettext(Said(template.one, template.many, values or {"number": 1}))
    return " ".join(told) or text


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A text of the catalogue, and what is put into it, in order: names, and how they are written."""

    one: str
    many: str
    names: tuple[tuple[str, str], ...]


PLACED = re.compile(r"\{(\w+)((?:!r)?(?::[,.\df]+)?)\}")


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], Template]]:
    """Every text with something in it, those that say most by themselves first."""
    found = []
    for key in catalogue(language):
        one, many = (key, "") if isinstance(key, str) else (key[0], key[-1])
        for text in {one, many} - {""}:
            names, literal = PLACED.findall(text), PLACED.sub("", text)
            if (names or many) and len(set(names)) == len(names) and len(literal) >= LEAST and "{" not in literal:
                parts = map(re.escape, PLACED.split(text)[::3])
                pattern = re.compile("(.+?)".join(parts), re.DOTALL)
                found.append((len(literal), pattern, Template(one=one, many=many, names=tuple(names))))
    return [(pattern, template) for _length, pattern, template in sorted(found, key=lambda one: -one[0])]


def _value(name: str, how: str, text: str) -> object:
    """What was put in, from how it stands there."""
    if "r" in how:
        return text[1:-1]
    if ":" in how or name == "number":
        with suppress(ValueError):
            digits = text.replace(",", "")
            return float(digits) if "." in digits else int(digits)
    return Said(gettext(text))


LEAST, LONGEST = 12, 1000
"""Characters that a text has of its own, by which it can be known; and of a sentence that is looked at."""

SHORT, MANY = 300, 4
"""Characters of a sentence in which values are looked for, however many they are; and how many are not in a longer one."""


FROM_BELOW = (
    # where the password is kept: mailer.account
    later("This computer has no keyring that could keep the password."),
    later("Keep it in the file smtp-password.txt here, which only you can read?"),
    # a message: mailer.preview.page
    later("From"),
    later("To"),
    later("Reply-To"),
    later("Date"),
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
    later("paused"),
    later("stopped"),
    later("finished"),
    # why somebody is suppressed: model.Reason
    later("unsubscribed"),
    later("complaint"),
    later("bounce"),
    later("manual"),
    later("imported"),
    # what is noted beside it: mailer.reaction, mailer.web.journey.care
    later("asked not to be mailed"),
    later("the address does not exist"),
    later("the address does not exist ({status})"),
    later("could not be reached in {count} campaigns"),
    # how a connection broke: mailer.smtp.dialogue
    later("the server closed the connection"),
    later("the connection was closed"),
    later("the connection broke"),
    later("the server took no more data within {timeout} seconds"),
    later("the server did not answer within {timeout} seconds"),
    later("the server sent something that is not an SMTP reply"),
    later("does not speak TLS from the start"),
    later("the server does not offer STARTTLS"),
    # what became of a message without a mail server's answer: mailer.ledger
    later("this computer ended between the message and the server's answer"),
    later("the program ended between the message and the server's answer"),
    later("a worker ended between the message and the server's answer"),
    later("the ledger was put back from a back-up: nobody knows whether it was sent after that was made"),
    later("queued again by hand"),
    later("no longer in the list"),
    # a date in a picture: mailer.report.charts
    later("{day} {month}"),
    later("{day} {month} {year}"),
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
