"""HTML built so that no text can become markup: everything is escaped unless it is `Html` already.

For the pages of the program itself (gallery, report, mailbox); letters are merged in `merge`. Standard library only.
`base.css` beside this file holds the colours and type that all pages share.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """The language of a page: its code, which way it is written, how an English text is said in it, and a number written."""

    language: str = "en"
    direction: str = "ltr"
    say: Callable[[str], str] = str
    figure: Callable[[float, str], str] = format


ENGLISH = Voice()


class Html(str):
    """Text that is markup by construction. Only `escape`, `tag`, `join` and `fill` may make it from data."""

    __slots__ = ()

    def __add__(self, other: str) -> Html:
        return Html(str.__add__(self, escape(other)))


def escape(value: object) -> Html:
    """The value as text inside an element or a quoted attribute."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(parts: Iterable[object], separator: str = "") -> Html:
    return Html(separator.join(escape(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element. `class_` is written `class`, `aria_label` as `aria-label`; None and False leave an attribute out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    opened = f"<{name}{written}>"
    return Html(opened if name in VOID else f"{opened}{join(children)}</{name}>")


def fill(template: str, **values: object) -> Html:
    """Put escaped values in place of `$name`. Raises KeyError for a name without a value: a fault of ours."""
    return Html(Template(template).substitute({name: escape(value) for name, value in values.items()}))


def script_json(value: Any) -> Html:
    """JSON that may stand inside a script element and inside a JavaScript file.

    `</script` would end the element and `<!--` change how it is read; U+2028 and U+2029 end a line of JavaScript.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(text)


@cache
def asset(package: str, name: str) -> str:
    """The text of a file that is shipped inside a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")
