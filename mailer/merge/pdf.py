"""PDF documents from paragraphs; scripts outside Latin-1 need a font that the campaign brings along."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.errors import FPDFException

from mailer.merge.documents import HEADINGS, DocumentError, Paragraph
from mailer.model import said

SIZES = {1: 18, 2: 15, 3: 13, 4: 12}
SHAPED = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0E00, 0x109F), (0x1780, 0x17FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFF))
"""Scripts whose letters join or re-order: drawing them one by one would give nonsense."""

HINT = "Name the document .docx instead, or put a TrueType font for this script into templates/fonts."


def write_pdf(
    content: Sequence[Paragraph], *, language: str, rtl: bool, title: str, fonts: Mapping[str, bytes]
) -> bytes:
    texts = [title, *(text for part in content for text in (part.text, part.mark, *part.cells))]
    if rtl or any(first <= ord(char) <= last for text in texts for char in text for first, last in SHAPED):
        raise DocumentError("a PDF cannot hold this script", "Name the document .docx instead.")
    page = FPDF(format="A4")
    # The built-in fonts know Windows' additions to Latin-1: dashes, quotes, the euro.
    page.core_fonts_encoding = "cp1252"
    page.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    page.set_producer("")
    page.set_title(title)
    page.set_lang(language)
    page.set_margins(22, 22)
    page.set_auto_page_break(auto=True, margin=22)
    family = _family(page, texts, fonts)
    try:
        page.add_page()
        for part in content:
            _write(page, part, family)
        return bytes(page.output())
    except FPDFException as error:
        raise DocumentError("a PDF cannot hold this text", HINT) from error


def _family(page: FPDF, texts: Sequence[str], fonts: Mapping[str, bytes]) -> str:
    try:
        for text in texts:
            text.encode("cp1252")
    except UnicodeEncodeError as error:
        if not fonts:
            raise DocumentError("a PDF can only be made of Western European letters", HINT) from error
        return _own_family(page, texts, fonts)
    return "Helvetica"


def _own_family(page: FPDF, texts: Sequence[str], fonts: Mapping[str, bytes]) -> str:
    regular = next((name for name in sorted(fonts) if "bold" not in name.lower()), min(fonts))
    bold = next((name for name in sorted(fonts) if "bold" in name.lower() and "oblique" not in name.lower()), regular)
    with tempfile.TemporaryDirectory() as folder:
        for style, name in (("", regular), ("B", bold), ("I", regular), ("BI", bold)):
            path = Path(folder) / "font.ttf"
            path.write_bytes(fonts[name])
            try:
                page.add_font("letter", style, path)
            except Exception as error:  # a broken font can fail in any way
                raise DocumentError(said("the font {name} cannot be read", name=name), HINT) from error
    known: Any = getattr(page.fonts["letter"], "cmap", {})
    if any(ord(char) not in known for text in texts for char in text if not char.isspace()):
        raise DocumentError(said("the font {regular} has no letters for some of this text", regular=regular), HINT)
    return "letter"


def _write(page: FPDF, part: Paragraph, family: str) -> None:
    left = page.l_margin
    if part.kind == "hr":
        page.ln(3)
        page.line(left, page.get_y(), page.w - page.r_margin, page.get_y())
        page.ln(5)
        return
    level = HEADINGS.get(part.kind)
    size = SIZES[level] if level else 11
    height = size * 0.5
    if part.kind == "row":
        page.set_font(family, "", 10)
        page.multi_cell(0, 6, "   |   ".join(part.cells), border="B", new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")
        return
    if part.kind in {"li", "quote", "pre"}:
        page.set_left_margin(left + 6 * (part.depth + 1))
        page.set_x(page.l_margin - (5 if part.mark else 0))
    if part.mark:
        page.set_font(family, "", size)
        page.write(height, part.mark + " ")
    for run in part.runs:
        style = ("B" if run.bold or level else "") + ("I" if run.italic or part.kind == "quote" else "")
        page.set_font(family, style, size)
        page.write(height, run.text)
    page.set_left_margin(left)
    page.ln(height + (1.5 if part.kind == "li" else 3.5))
