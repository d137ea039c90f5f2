"""Word documents (.docx) from paragraphs, without a word about who made them (ECMA-376, WordprocessingML)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from itertools import groupby

from mailer.merge.documents import EPOCH, HEADINGS, Paragraph, Run, make_nameless, without_traces

NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 cannot hold."""

BODY, CORE = "word/document.xml", "docProps/core.xml"
TITLE = "title of this document"
OPENING = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
)
CLOSING = (
    '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/>'
    '<w:pgMar w:top="1304" w:right="1304" w:bottom="1304" w:left="1304" w:header="709" w:footer="709" w:gutter="0"/>'
    "</w:sectPr></w:body></w:document>"
)
INDENT = 454
"""0.8 cm in twentieths of a point."""


def write_word(content: Sequence[Paragraph], *, language: str, rtl: bool, title: str) -> bytes:
    """Only the text is written for each row; styles and the rest are packed once (python-docx needs 25 ms a document)."""
    frame, core = _frame(language)
    target = io.BytesIO()
    target.write(frame)
    body = "".join(
        _table(list(group), rtl=rtl) if is_table else "".join(_paragraph(part, rtl=rtl) for part in group)
        for is_table, group in groupby(content, key=lambda part: part.kind == "row")
    )
    with zipfile.ZipFile(target, "a") as archive:
        _add(archive, CORE, core.replace(TITLE, _text(title[:255])).encode())
        _add(archive, BODY, f"{OPENING}{body}{CLOSING}".encode())
    return target.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 0
    archive.writestr(info, content)


@lru_cache(maxsize=32)
def _frame(language: str) -> tuple[bytes, str]:
    """A packed document without its text, and the properties with a mark where the title goes."""
    import docx  # noqa: PLC0415  # slow to import, and used once

    document = docx.Document()
    properties = document.core_properties
    make_nameless(properties)
    properties.title, properties.language = TITLE, language
    saved, target, core = io.BytesIO(), io.BytesIO(), ""
    document.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            data = without_traces(name, source.read(name))
            if name == CORE and data is not None:
                core = data.decode()
            elif name != BODY and data is not None:
                _add(archive, name, data)
    return target.getvalue(), core


def _text(text: str) -> str:
    return escape(NO_XML.sub("", text), quote=False)


def _paragraph(part: Paragraph, *, rtl: bool) -> str:
    level = HEADINGS.get(part.kind)
    style = f'<w:pStyle w:val="Heading{level}"/>' if level else ""
    bidi = "<w:bidi/>" if rtl else ""
    spacing = '<w:spacing w:after="60"/>' if part.kind == "li" else ""
    indent = ""
    if part.kind in {"li", "quote", "pre"}:
        hanging = ' w:hanging="340"' if part.mark else ""
        indent = f'<w:ind w:left="{INDENT * (part.depth + 1)}"{hanging}/>'
    runs = [Run(text="―" * 20)] if part.kind == "hr" else part.runs
    mark = [Run(text=f"{part.mark} ")] if part.mark else []
    written = "".join(_run(run, rtl=rtl, italic=part.kind == "quote") for run in [*mark, *runs])
    return f"<w:p><w:pPr>{style}{bidi}{spacing}{indent}</w:pPr>{written}</w:p>"


def _run(run: Run, *, rtl: bool, italic: bool = False) -> str:
    looks = ("<w:b/>" if run.bold else "") + ("<w:i/>" if run.italic or italic else "") + ("<w:rtl/>" if rtl else "")
    lines = (f'<w:t xml:space="preserve">{_text(line)}</w:t>' for line in run.text.split("\n"))
    return f"<w:r><w:rPr>{looks}</w:rPr>{'<w:br/>'.join(lines)}</w:r>"


def _table(rows: Sequence[Paragraph], *, rtl: bool) -> str:
    columns = max(len(row.cells) for row in rows)
    if not columns:
        return ""
    bidi = "<w:bidiVisual/>" if rtl else ""
    grid = f'<w:gridCol w:w="{9298 // columns}"/>' * columns
    look = f'<w:tblPr><w:tblStyle w:val="TableGrid"/>{bidi}<w:tblW w:w="0" w:type="auto"/></w:tblPr>'
    lines = "".join(
        "<w:tr>"
        + "".join(_cell(text, rtl=rtl) for text in [*row.cells, *[""] * (columns - len(row.cells))])
        + "</w:tr>"
        for row in rows
    )
    return f"<w:tbl>{look}<w:tblGrid>{grid}</w:tblGrid>{lines}</w:tbl><w:p/>"


def _cell(text: str, *, rtl: bool) -> str:
    bidi = "<w:pPr><w:bidi/></w:pPr>" if rtl else ""
    return f'<w:tc><w:tcPr><w:tcW w:w="0" w:type="auto"/></w:tcPr><w:p>{bidi}{_run(Run(text=text.strip()), rtl=rtl)}</w:p></w:tc>'
