"""Dates written out in the language of a letter, the same on every computer."""

from __future__ import annotations

import re
from datetime import date

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "ur": "جنوری فروری مارچ اپریل مئی جون جولائی اگست ستمبر اکتوبر نومبر دسمبر",
}
PATTERNS = {"de": "{day}. {month} {year}", "es": "{day} de {month} de {year}"}


class BadDate(ValueError):
    """A text that is not a date of the form 2026-05-14."""


@pass_context
def written_date(context: Context, value: object) -> str:
    """`2026-05-14` as `14 May 2026`, `14. Mai 2026`... by the letter's language."""
    if isinstance(value, Undefined):
        str(value)
    text = str(value).strip()
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise BadDate("the date filter reads dates of the form 2026-05-14 only")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise BadDate("this day is not in the calendar") from error
    language = str(context.parent.get("language", "en")).partition("-")[0]
    months = MONTHS.get(language, MONTHS["en"]).split()
    pattern = PATTERNS.get(language, "{day} {month} {year}")
    return pattern.format(day=day.day, month=months[day.month - 1], year=day.year)
