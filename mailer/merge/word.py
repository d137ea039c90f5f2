"""Word documents (.docx) from paragraphs, without a word about who made them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import datetime

import docx
from docx.document import Document
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt
from docx.text.paragraph import Paragraph as WordParagraph

from mailer.merge.documents import HEADINGS, Paragraph, repacked

NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 cannot hold."""


def write_word(content: Sequence[Paragraph], *, language: str, rtl: bool, title: str) -> bytes:
    document = docx.Document()
    _anonymise(document, language, title)
    position = 0
    while position < len(content):
        if content[position].kind == "row":
            end = position
            while end < len(content) and content[end].kind == "row":
                end += 1
            _table(document, content[position:end], rtl=rtl)
            position = end
            continue
        _paragraph(document, content[position], rtl=rtl)
        position += 1
    target = io.BytesIO()
    document.save(target)
    return repacked(target.getvalue())


def _anonymise(document: Document, language: str, title: str) -> None:
    core = document.core_properties
    for name in ("author", "last_modified_by", "comments", "keywords", "subject", "category", "content_status"):
        setattr(core, name, "")
    core.title = NO_XML.sub("", title)[:255]
    core.language = language
    core.revision = 1
    core.created = core.modified = datetime(2000, 1, 1)  # noqa: DTZ001  # python-docx wants naive UTC


def _paragraph(document: Document, content: Paragraph, *, rtl: bool) -> None:
    level = HEADINGS.get(content.kind)
    paragraph = document.add_heading(level=level) if level else document.add_paragraph()
    if content.kind == "hr":
        paragraph.add_run("―" * 20)
    if content.kind in {"li", "quote", "pre"}:
        paragraph.paragraph_format.left_indent = Cm(0.8 * (content.depth + 1))
    if content.kind == "li":
        paragraph.paragraph_format.space_after = Pt(3)
        if content.mark:
            paragraph.paragraph_format.first_line_indent = Cm(-0.6)
            paragraph.add_run(f"{content.mark} ")
    for run in content.runs:
        written = paragraph.add_run(NO_XML.sub("", run.text))
        written.bold = run.bold or None
        written.italic = run.italic or content.kind == "quote" or None
        if rtl:
            written._r.get_or_add_rPr().append(OxmlElement("w:rtl"))  # noqa: SLF001  # no public way in python-docx
    if rtl:
        _right_to_left(paragraph)


def _right_to_left(paragraph: WordParagraph) -> None:
    properties = paragraph._p.get_or_add_pPr()  # noqa: SLF001  # no public way in python-docx
    bidi = OxmlElement("w:bidi")
    bidi.set(qn("w:val"), "1")
    properties.append(bidi)


def _table(document: Document, rows: Sequence[Paragraph], *, rtl: bool) -> None:
    columns = max(len(row.cells) for row in rows)
    if not columns:
        return
    table = document.add_table(rows=len(rows), cols=columns)
    table.style = "Table Grid"
    for index, row in enumerate(rows):
        for column, text in enumerate(row.cells):
            cell = table.cell(index, columns - 1 - column if rtl else column)
            cell.text = NO_XML.sub("", text.strip())
    document.add_paragraph()
