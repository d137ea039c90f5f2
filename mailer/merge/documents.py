"""Documents made from a letter's Markdown or a Word template; the same row always gives the same bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from html.parser import HTMLParser
from typing import Any

from mailer.merge.sandbox import BUDGET, Budget, LetterEnvironment, UnknownName
from mailer.model import said

FORMATS = frozenset({"docx", "pdf", "txt", "html"})
EPOCH = (1980, 1, 1, 0, 0, 0)
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 4, "h6": 4}


class DocumentError(Exception):
    """A document cannot be made for this row."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    text: str
    bold: bool = False
    italic: bool = False


@dataclass(kw_only=True, slots=True)
class Paragraph:
    """A block of a document; `kind` is p, h1..h6, li, pre, quote, hr or row, `mark` what stands before a list item."""

    kind: str
    runs: list[Run] = field(default_factory=list)
    depth: int = 0
    mark: str = ""
    cells: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(run.text for run in self.runs)


class _Reader(HTMLParser):
    """Reads the HTML that this package wrote into paragraphs."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[Paragraph] = []
        self._current: Paragraph | None = None
        self._lists: list[int | None] = []
        self._bold = self._italic = self._quote = 0
        self._mark = ""
        self._target: list[tuple[str, str]] = []
        self._cells: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: C901  # one case per element
        values = {name: value or "" for name, value in attrs}
        match tag:
            case "p" | "pre" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                self._open("quote" if tag == "p" and self._quote else tag)
            case "ul":
                self._lists.append(None)
                self._current = None
            case "ol":
                self._lists.append(int(values.get("start", "1")))
                self._current = None
            case "li":
                number = self._lists[-1]
                self._mark = "•" if number is None else f"{number}."
                self._lists[-1] = None if number is None else number + 1
                self._current = None
            case "blockquote":
                self._quote += 1
            case "strong" | "th":
                self._bold += tag == "strong"
                self._cell(tag)
            case "td":
                self._cell(tag)
            case "tr":
                self._cells = []
            case "em":
                self._italic += 1
            case "br":
                self.handle_data("\n")
            case "hr":
                self.paragraphs.append(Paragraph(kind="hr"))
                self._current = None
            case "a":
                self._target.append((values.get("href", ""), self._current.text if self._current else ""))

    def _cell(self, tag: str) -> None:
        if self._cells is not None and tag in {"td", "th"}:
            self._cells.append("")

    def _open(self, kind: str) -> Paragraph:
        kind = "li" if self._lists and kind == "p" else kind
        self._current = Paragraph(kind=kind, depth=max(0, len(self._lists) - 1), mark=self._mark)
        self._mark = ""
        self.paragraphs.append(self._current)
        return self._current

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "p" | "pre" | "li" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                self._current = None
            case "ul" | "ol":
                self._lists.pop()
                self._current = None
            case "blockquote":
                self._quote -= 1
            case "strong":
                self._bold -= 1
            case "em":
                self._italic -= 1
            case "tr":
                self.paragraphs.append(Paragraph(kind="row", cells=self._cells or []))
                self._cells = None
            case "a":
                self._close_link()

    def _close_link(self) -> None:
        target, before = self._target.pop()
        label = (self._current.text if self._current else "")[len(before) :]
        shown = target.removeprefix("mailto:").partition("?")[0] if target.startswith("mailto:") else target
        if shown and shown not in label:
            self.handle_data(f" ({shown})")

    def handle_data(self, data: str) -> None:
        if self._cells is not None:
            if self._cells:
                self._cells[-1] += data
            return
        if self._current is None:
            if not data.strip():
                return
            self._open("p")
        assert self._current is not None
        if self._current.kind != "pre" and data != "\n":
            data = data.replace("\n", " ")
        self._current.runs.append(Run(text=data, bold=self._bold > 0, italic=self._italic > 0))


def paragraphs(html: str) -> list[Paragraph]:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.paragraphs


def build(kind: str, content: str, *, language: str, rtl: bool, title: str, fonts: Mapping[str, bytes]) -> bytes:
    """The document's bytes; `content` is plain text for txt and a fragment of HTML otherwise. Raises DocumentError."""
    if kind == "txt":
        return content.replace("\n", "\r\n").encode()
    if kind == "html":
        direction = "rtl" if rtl else "ltr"
        page = (
            f'<!DOCTYPE html>\n<html lang="{language}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
            f"</head>\n<body>\n{content}</body>\n</html>\n"
        )
        return page.encode()
    if kind == "docx":
        from mailer.merge.word import write_word  # noqa: PLC0415  # python-docx is slow to import

        return write_word(paragraphs(content), language=language, rtl=rtl, title=title)
    from mailer.merge.pdf import write_pdf  # noqa: PLC0415  # fpdf2 is slow to import

    return write_pdf(paragraphs(content), language=language, rtl=rtl, title=title, fonts=fonts)


def word_template(content: bytes, values: dict[str, Any], env: LetterEnvironment) -> bytes:
    """Merge a Word file that holds Jinja tags. Raises DocumentError."""
    from docxtpl import DocxTemplate  # noqa: PLC0415  # slow to import
    from jinja2 import TemplateError  # noqa: PLC0415

    values[BUDGET] = Budget()
    target = io.BytesIO()
    try:
        document = DocxTemplate(io.BytesIO(content))
        document.render(values, jinja_env=env, autoescape=True)
        make_nameless(document.docx.core_properties)
        document.save(target)
    except UnknownName as error:
        raise DocumentError(said("the field {name} is not known", name=error.name)) from error
    except TemplateError as error:
        raise DocumentError(said("a tag in it cannot be worked out ({name})", name=type(error).__name__)) from error
    except Exception as error:  # a broken Word file can fail in any way
        raise DocumentError(
            said("it is not a Word document that can be filled in ({name})", name=type(error).__name__)
        ) from error
    return repacked(target.getvalue())


TELLING = re.compile(r"docProps/(app\.xml|custom\.xml|thumbnail\.\w+)")
"""Parts that say with which program, in which company and from which template a document was made."""

LISTED = re.compile(
    rb"""<Relationship\b[^>]*\bTarget=["']/?docProps/(?:app\.xml|custom\.xml|thumbnail\.\w+)["'][^>]*/>"""
    rb"""|<Override\b[^>]*\bPartName=["']/docProps/(?:app\.xml|custom\.xml)["'][^>]*/>"""
)


def make_nameless(properties: Any) -> None:
    """Take everybody's name and the hours of work out of a document's properties; title and language stay."""
    for name in ("author", "last_modified_by", "comments", "keywords", "subject", "category", "content_status"):
        setattr(properties, name, "")
    properties.revision = 1
    properties.created = properties.modified = datetime(2000, 1, 1)  # noqa: DTZ001  # python-docx wants naive UTC
    for moment in properties._element.xpath("cp:lastPrinted"):  # noqa: SLF001  # python-docx can set it, not remove it
        moment.getparent().remove(moment)


def without_traces(name: str, content: bytes) -> bytes | None:
    """A part of a Word file (ECMA-376, part 2) without what tells of its making; None if nothing is left of it."""
    if TELLING.fullmatch(name):
        return None
    return LISTED.sub(b"", content) if name in {"_rels/.rels", "[Content_Types].xml"} else content


def repacked(content: bytes) -> bytes:
    """The same Word file without what tells of its making, and without times, which would change the seal every time."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as result:
        for entry in source.infolist():
            info = zipfile.ZipInfo(entry.filename, date_time=EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 0
            part = without_traces(entry.filename, source.read(entry))
            if part is not None:
                result.writestr(info, part)
    return target.getvalue()
