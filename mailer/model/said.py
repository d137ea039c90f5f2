"""Sentences that can be said in another language: English as it is, and what they were made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Self

from mailer.model.contacts import Problem

BEGINNING = re.compile(r"\{(\w+)")


class Said(str):
    """An English sentence that remembers the text it was made from and what was put into it.

    To everything that knows nothing of this it is the sentence: a terminal, JSON, the ledger, an exception. `many` is the
    text for another number than one, where the sentence counts something.
    """

    __slots__ = ("many", "text", "values")

    text: str
    many: str
    values: Mapping[str, object]

    def __new__(cls, text: str, many: str = "", values: Mapping[str, object] | None = None) -> Self:
        values = {name: _kept(value) for name, value in (values or {}).items()}
        template = text if not many or values.get("number") == 1 else many
        # as in a gettext catalogue, a text into which nothing is put may hold any braces
        made = super().__new__(cls, template.format(**values) if values else template)
        made.text, made.many, made.values = text, many, values
        return made

    def __getnewargs__(self) -> tuple[str, str, Mapping[str, object]]:  # type: ignore[override]
        # it is pickled between the processes that render a long list
        return self.text, self.many, self.values

    def __format__(self, how: str) -> str:
        """As a part of another sentence: `A` for a capital at its beginning, `.` for a full stop at its end.

        The name of a file or a field at its beginning stays as it is written.
        """
        text = str(self)
        if "A" in how and not begins_with_value(self):
            text = text[:1].upper() + text[1:]
        return f"{text}." if "." in how and not text.endswith((".", "!", "?")) else text

    def replaced(self, old: str, new: object) -> Said:
        """The same sentence with another value in place of one that it was made with."""
        values = {
            name: value.replaced(old, new) if isinstance(value, Said) else new if value == old else value
            for name, value in self.values.items()
        }
        return Said(self.text, self.many, values)


def _kept(value: object) -> object:
    """What is kept of a value: numbers and dates as they are, since a language may write them in its own way."""
    if isinstance(value, BaseException):  # which would keep its whole traceback
        return words_of(value)
    return value if isinstance(value, int | float | Said | date) else str(value)


def said(text: str, /, **values: object) -> Said:
    """A sentence for people: `said("There is no sheet {name}.", name=name)`.

    The text stands where it is said, so that the catalogue of translations finds it (tests/catalogue.py). A value is
    somebody's own, and stays as it is; one that is a sentence of ours is made by `said` as well, and is translated.
    """
    return Said(text, values=values)


def counted(one: str, many: str, number: int, /, **values: object) -> Said:
    """The same with a number: `counted("{number} row", "{number} rows", 3)`."""
    return Said(one, many, {"number": number, **values})


def as_said(text: str) -> Said:
    """A sentence of ours that another one is made of."""
    return text if isinstance(text, Said) else Said(text)


def own(text: str) -> Said:
    """Somebody's own words, such as the name of a file, that a sentence is made of."""
    return Said("{own}", values={"own": text})


def begins_with_value(text: str) -> bool:
    """Whether a sentence begins with what somebody else wrote."""
    first = BEGINNING.match(text.text) if isinstance(text, Said) else None
    value = text.values.get(first[1]) if first and isinstance(text, Said) else None
    return begins_with_value(value) if isinstance(value, Said) else isinstance(value, str)


def words_of(error: BaseException) -> Said:
    """What an exception says."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, Said) else Said(str(error))


def joined(separator: str, parts: Iterable[str]) -> Said:
    """Sentences one after the other."""
    values = {f"part_{number}": as_said(part) for number, part in enumerate(parts)}
    return Said(separator.join(f"{{{name}}}" for name in values), values=values)


class _Figure:
    """A number as it is written in a language."""

    def __init__(self, value: float, write: Callable[[float, str], str]) -> None:
        self._value, self._write = value, write

    def __format__(self, how: str) -> str:
        return self._write(self._value, how)


def told(
    text: str,
    say: Callable[[str], str],
    many: Callable[[str, str, int], str],
    write: Callable[[float, str], str] = format,
) -> str:
    """The sentence in another language.

    `say` knows a text in it, `many` the form of a text that goes with a number, `write` how a number is written.
    """
    if not isinstance(text, Said):
        return say(text)
    template = many(text.text, text.many, _number(text)) if text.many else say(text.text)
    if not text.values:
        return template

    def spoken(value: object) -> object:
        if isinstance(value, Said):
            words = told(value, say, many, write)
            return own(words) if begins_with_value(value) else Said(words)  # which can still be given a capital
        return _Figure(value, write) if isinstance(value, int | float) else value

    return template.format(**{name: spoken(value) for name, value in text.values.items()})


def _number(text: Said) -> int:
    number = text.values.get("number")
    return number if isinstance(number, int) else 0


def parted(data: object) -> dict[str, Any]:
    """What the sentences in some data were made of, by the sentence, as JSON can carry it to another program."""
    return {str(one): _parts(one) for one in _sentences(data) if one.values}


def revived(data: Any, made_of: Mapping[str, Any]) -> Any:
    """The data of another program, with its sentences as they were made there. What cannot be understood stays a text."""
    if isinstance(data, str):
        try:
            return _made(made_of[data]) if data in made_of else data
        except (AttributeError, LookupError, TypeError, ValueError):
            return data
    if isinstance(data, dict):
        return {name: revived(one, made_of) for name, one in data.items()}
    return [revived(one, made_of) for one in data] if isinstance(data, list) else data


def _parts(sentence: Said) -> dict[str, Any]:
    values = {name: _parts(one) if isinstance(one, Said) else _plain(one) for name, one in sentence.values.items()}
    return {"text": sentence.text, "many": sentence.many, "values": values}


def _plain(value: object) -> object:
    return {"date": value.isoformat()} if isinstance(value, date) else value


def _made(parts: Mapping[str, Any]) -> Said:
    return Said(parts["text"], parts["many"], {name: _value(one) for name, one in parts["values"].items()})


def _value(one: Any) -> object:
    if not isinstance(one, dict):
        return one
    return date.fromisoformat(one["date"][:10]) if "date" in one else _made(one)


def _sentences(data: object) -> Iterator[Said]:
    if isinstance(data, Said):
        yield data
    elif isinstance(data, Problem):
        yield from _sentences((data.message, data.hint))
    elif isinstance(data, Mapping):
        for one in data.values():
            yield from _sentences(one)
    elif isinstance(data, list | tuple):
        for one in data:
            yield from _sentences(one)
