"""A language that nobody speaks: every text of the catalogue in Hebrew letters, so that whatever is left in English can be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import catalogue

from mailer.web.journey import words

KEPT = re.compile(r"%\(\w+\)s|\{\{.*?\}\}|\{%.*?%\}|\{\w+(?:![rs])?(?::[^{}]*)?\}|%%|\bmailer [a-z]+")
"""What is put into a text, and commands, which the page makes links of."""

HEBREW = dict(zip(map(ord, "abcdefghijklmnopqrstuvwxyz"), "אבגדהוזחטיכלמנסעפצקרשתםןףץ", strict=True))


def mirrored(text: str) -> str:
    """A text in Hebrew letters, without meaning; what is put into it stays."""
    parts = KEPT.split(text)
    kept = [*KEPT.findall(text), ""]
    return "".join(part.lower().translate(HEBREW) + hold for part, hold in zip(parts, kept, strict=True))


@cache
def content() -> bytes:
    """A whole catalogue that nobody ships."""
    made = catalogue.extracted()
    made.locale = "he"
    for one in made:
        if one.id:
            whole = one.id if isinstance(one.id, (list, tuple)) else [one.id]
            many = [mirrored(whole[0]), *[mirrored(whole[-1])] * (made.num_plurals - 1)]
            one.string = tuple(many) if len(whole) > 1 else many[0]
    return catalogue.written(made)


@contextmanager
def spoken(folder: Path) -> Iterator[None]:
    """The pages speak English and this, and nothing else."""
    folder.mkdir()
    (folder / "he.po").write_bytes(content())
    before, words.PLACE = words.PLACE, folder
    try:
        for known in (words.catalogue, words.plural_rule):
            known.cache_clear()
        yield
    finally:
        words.PLACE = before
        for known in (words.catalogue, words.plural_rule):
            known.cache_clear()
