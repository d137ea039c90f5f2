"""A gallery of very many messages: hundreds of them share a file, in which a line that they have in common stands once.

A folder of a hundred thousand pages and as many .eml files takes minutes to write, to copy and to delete, and gigabytes. A
browser that opens a page from the disk may load scripts from beside it, and nothing else: so packs are scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from mailer.markup import script_json
from mailer.preview.model import Rendered

TOGETHER = 200
"""Messages in a pack: few enough to open at once, enough to have most of their lines in common."""

ROWS = 1000
"""Lines of the list in a file."""

KEPT = 100_000
"""Octets of a message up to which its .eml is kept; what is larger has attachments, which are kept once for all."""


class Packs:
    """Takes messages one after the other and writes a pack when it is full."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rows: list[Sequence[str | int]] = []
        self._lines: dict[str, int] = {}
        self._pages: list[list[int]] = []
        self._mails: list[list[int] | None] = []
        self._written = {"packs": 0, "rows": 0}
        for folder in self._written:
            (root / folder).mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush_pack()
            self._flush_rows()

    def add(self, page: str, item: Rendered, row: Sequence[str | int]) -> None:
        """The page of the next message, and its line in the list."""
        self._pages.append(self._runs(pieces(page)))
        content = item.message.content
        # Latin-1 is one character an octet, so that the browser gives back the same octets
        small = len(content) <= KEPT
        self._mails.append(self._runs(content.decode("latin-1").split("\r\n")) if small else None)
        self._rows.append(row)
        if len(self._pages) == TOGETHER:
            self._flush_pack()
        if len(self._rows) == ROWS:
            self._flush_rows()

    def _runs(self, lines: Sequence[str]) -> list[int]:
        """The lines as places in the pack's own list: where each run of neighbours begins, and how many they are."""
        runs: list[int] = []
        after = -1
        for line in lines:
            place = self._lines.setdefault(line, len(self._lines))
            if place == after:
                runs[-1] += 1
            else:
                runs += (place, 1)
            after = place + 1
        return runs

    def _flush_pack(self) -> None:
        if self._pages:
            self._write("packs", "mailerPack", {"lines": list(self._lines), "pages": self._pages, "mails": self._mails})
        self._lines, self._pages, self._mails = {}, [], []

    def _flush_rows(self) -> None:
        if self._rows:
            self._write("rows", "mailerRows", self._rows)
        self._rows = []

    def _write(self, folder: str, function: str, content: Any) -> None:
        number = self._written[folder]
        script = f"{function}({number}, {script_json(content)});\n"
        (self._root / folder / f"{number:05d}.js").write_text(script, encoding="utf-8", newline="\n")
        self._written[folder] = number + 1


def pieces(page: str) -> list[str]:
    """A page cut after its lines, and after the tags of the letter in it, which is one long attribute."""
    cut = page.replace("\0", "").replace("&gt;", "&gt;\0").replace("&gt;\0\n", "&gt;\n").replace("\n", "\n\0")
    return cut.split("\0")
