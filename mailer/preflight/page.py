"""What a reader of the letter's HTML would meet: words, links, pictures, and colours that somebody set by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from mailer.preflight.colours import BLACK, WHITE, Colour, colours_of, contrast

LEAST_CONTRAST, LEAST_FOR_LARGE = 4.5, 3.0
"""WCAG 2.2, 1.4.3."""

LARGE = 24.0
"""Pixels from which a text counts as large."""

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
UNSEEN = frozenset({"head", "style", "script", "title", "template"})
BLOCKS = frozenset({"p", "div", "br", "td", "tr", "li", "h1", "h2", "h3", "h4", "table", "hr", "footer", "blockquote"})


@dataclass(kw_only=True, slots=True)
class Link:
    """Where a link leads, and what its words are."""

    target: str
    words: str = ""


@dataclass(kw_only=True, slots=True)
class Page:
    """`faint` has for each pair of colours that is hard to read the first words in it; `language` is that of `<html>`."""

    language: str = ""
    words: str = ""
    links: list[Link] = field(default_factory=list)
    pictures_without_alt: int = 0
    faint: dict[tuple[Colour, Colour], str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Open:
    tag: str
    colour: Colour
    background: Colour
    size: float
    seen: bool


def look_at(html: str) -> Page:
    """Read a page as a mail program would, as far as these things go."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.page.words = " ".join("".join(reader.said).split())
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.said: list[str] = []
        self._stack = [_Open(tag="", colour=BLACK, background=WHITE, size=16.0, seen=True)]
        self._link: Link | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.page.language = given.get("lang", "").strip()
        elif tag == "img" and "alt" not in given:
            self.page.pictures_without_alt += 1
        elif tag == "a" and given.get("href"):
            self._link = Link(target=given["href"].strip())
            self.page.links.append(self._link)
        if tag in BLOCKS:
            self.said.append(" ")
        if tag not in VOID:
            self._stack.append(self._opened(tag, given))

    def _opened(self, tag: str, given: dict[str, str]) -> _Open:
        above = self._stack[-1]
        style = given.get("style", "")
        colour, background = colours_of(style, given)
        size = re.search(r"(?i)font-size\s*:\s*([\d.]+)px", style)
        hidden = re.search(
            r"(?i)display\s*:\s*none|visibility\s*:\s*hidden|max-height\s*:\s*0|font-size\s*:\s*0", style
        )
        return _Open(
            tag=tag,
            colour=colour or above.colour,
            background=background or above.background,
            size=float(size[1]) if size and size[1].count(".") < 2 and size[1] != "." else above.size,
            seen=above.seen and not hidden and tag not in UNSEEN,
        )

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = None
        if tag in BLOCKS:
            self.said.append(" ")
        for at in range(len(self._stack) - 1, 0, -1):
            if self._stack[at].tag == tag:
                del self._stack[at:]
                break

    def handle_data(self, data: str) -> None:
        here = self._stack[-1]
        if not here.seen:
            return
        self.said.append(data)
        if self._link is not None:
            self._link.words += data
        if data.strip():
            least = LEAST_FOR_LARGE if here.size >= LARGE else LEAST_CONTRAST
            if contrast(here.colour, here.background) < least:
                self.page.faint.setdefault((here.colour, here.background), " ".join(data.split())[:40])
