"""Numbers in cells: all cells are text, and what a point or a comma in it means depends on who wrote it."""

from __future__ import annotations

import re
from typing import Any, Self
from unicodedata import category

from jinja2 import pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context, Undefined

COMMA = {
    ".": "ca da de el es hr id is it nl pt ro sl sr tr vi",
    "\u00a0": "be bg cs et fi fr hu hy ka kk lt lv nb nn no pl ru sk sq sv uk",
}
"""Languages that write a decimal comma, by what they put between thousands. All others write 1,200.50."""

COMMA_LANGUAGES = {language: group for group, languages in COMMA.items() for language in languages.split()}
POINT_AGAIN = {"de-ch": "\u2019", "de-li": "\u2019", "it-ch": "\u2019", "es-mx": ",", "es-us": ",", "es-gt": ","}
"""Places that write a decimal point though their language elsewhere does not."""

READ = frozenset({"number", "int", "float"})
"""Filters that make a number of a text."""

GROUPED = r"\d{{1,3}}(?:{0}\d{{2,3}})*{0}\d{{3}}"
SPACED = re.compile(GROUPED.format("[ '\u2019\u00a0\u2009\u202f]") + r"(?:[.,]\d*)?")
SIGN = re.compile(r"([+\-\u2212]?)\s*(.*)", re.DOTALL)
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
LONGEST = 15
"""Digits that a number keeps exactly."""

MISSING: Any = object()


class BadNumber(ValueError):
    """A text of which no number can be made; `text` is the whole cell, `filter` what was asked for it."""

    def __init__(self, text: str, filter_: str) -> None:
        super().__init__("this is no number")
        self.text = text
        self.filter = filter_


class TextReckonedError(TypeError):
    """A text of digits times a number: Python would write it that many times."""


class Number(float):
    """A number that is written as the letter's language writes it."""

    __slots__ = ("decimals", "language")

    decimals: int | None
    language: str

    def __new__(cls, value: float, language: str = "en", decimals: int | None = None) -> Self:
        made = super().__new__(cls, value)
        made.language, made.decimals = language, decimals
        return made

    def __getnewargs__(self) -> tuple[float, str, int | None]:  # type: ignore[override]
        return float(self), self.language, self.decimals

    def __str__(self) -> str:
        point, group = _signs(self.language)
        if self.decimals is None:  # as it was written: it may be a year
            return (f"{self:.15g}" if abs(self) < 10**LONGEST else f"{self:.0f}").replace(".", point)
        whole, _, rest = f"{self:,.{self.decimals}f}".partition(".")
        return whole.replace(",", group) + (point + rest if rest else "")


def _signs(language: str) -> tuple[str, str]:
    """The decimal sign of a language, and what it puts between thousands."""
    if language in POINT_AGAIN:
        return ".", POINT_AGAIN[language]
    group = COMMA_LANGUAGES.get(language.partition("-")[0])
    return (",", group) if group else (".", ",")


def parsed(text: str, language: str) -> float | None:
    """The number that a text is, or None. `1.200` and `1,200` are read by the language, all else speaks for itself."""
    text = text.strip()
    for end in (text[:1], text[-1:]):
        if end and category(end) == "Sc":  # 23,50 €
            text = text.strip(end).strip()
    match = SIGN.fullmatch(text)
    digits = _digits(match[2].strip(), language) if match else None
    if digits is None or sum(map(str.isdigit, digits)) > LONGEST:
        return None
    return -float(digits) if match and match[1] in {"-", "\u2212"} else float(digits)


def _digits(text: str, language: str) -> str | None:
    """With a point as decimal sign and nothing between thousands."""
    if SPACED.fullmatch(text):
        text = re.sub(r"[^\d.,]", "", text)
        return text.replace(",", ".")
    found = [*dict.fromkeys(re.findall(r"[.,]", text))]
    if not found:
        return text if re.fullmatch(r"\d+", text) else None
    if len(found) == 2:  # the thousands come first
        group, point = found
        whole, _, rest = text.partition(point)
        grouped = re.fullmatch(GROUPED.format(re.escape(group)), whole)
        return f"{whole.replace(group, '')}.{rest}" if grouped and re.fullmatch(r"\d+", rest) else None
    (sign,) = found
    groups = re.fullmatch(GROUPED.format(re.escape(sign)), text)
    if groups and (text.count(sign) > 1 or (_is_ambiguous(text) and sign != _signs(language)[0])):
        return text.replace(sign, "")
    return text.replace(sign, ".") if re.fullmatch(r"\d*[.,]\d+", text) else None


def _is_ambiguous(text: str) -> bool:
    """Whether it is twelve hundred to some and one and a fifth to others."""
    return re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", text) is not None


@pass_context
def number(context: Context, value: object, decimals: int | None = None, default: object = MISSING) -> object:
    """A cell as a number to compare, to reckon with and to write. Raises BadNumber for what is none."""
    if isinstance(value, Undefined):
        str(value)
    language = str(context.parent.get("language", "en")).lower()
    read = value if isinstance(value, int | float) else parsed(str(value), language)
    if read is None:
        if default is MISSING:
            raise BadNumber(str(value), "number")
        return default
    return Number(read, language, None if decimals is None else max(0, min(int(decimals), LONGEST)))


@pass_context
def whole(context: Context, value: object, default: object = MISSING, base: int = 10) -> object:
    """Jinja's `int`, which never makes 0 of a text that it does not understand."""
    return _strictly(context, "int", value, default, base)


@pass_context
def fraction(context: Context, value: object, default: object = MISSING) -> object:
    """Jinja's `float`, which never makes 0.0 of a text that it does not understand."""
    return _strictly(context, "float", value, default)


def _strictly(context: Context, name: str, value: object, default: object, *others: int) -> object:
    language = str(context.parent.get("language", "en")).lower()
    if isinstance(value, str) and others in {(), (10,)} and not _speaks_for_itself(value.strip(), language):
        if default is MISSING:
            raise BadNumber(str(value), name)
        return default
    result: object = FILTERS[name](value, 0 if default is MISSING else default, *others)
    return result


def _speaks_for_itself(text: str, language: str) -> bool:
    """Whether Python and everybody else read the same number in it."""
    other = _signs(language)[0] == "," and _is_ambiguous(text.lstrip("+-"))
    return PLAIN.fullmatch(text) is not None and not other
