"""The tables, and the page that they make: Markdown for people, which the README's short form is read from again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Row = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One case. `measured` says how; `failures` what went wrong, one sentence each."""

    title: str
    measured: str
    heads: Row = ()
    rows: Sequence[Row] = ()
    failures: Sequence[str] = ()

    def markdown(self) -> str:
        broken = "\n".join(f"- FAILED: {failure}" for failure in self.failures)
        rows = markdown(self.heads, self.rows) if self.heads else ""
        parts = (f"## {self.title}", self.measured, rows, broken)
        return "\n\n".join(part for part in parts if part) + "\n"


def markdown(heads: Row, rows: Sequence[Row]) -> str:
    """A table, its first column to the left and all others to the right. A row may be shorter: it only says why."""
    whole = [line for line in (heads, *rows) if len(line) == len(heads)]
    widths = [max(len(line[column]) for line in whole) for column in range(len(heads))]
    widths[0] = max(widths[0], *(len(line[0]) for line in (heads, *rows)))
    rule = "|" + "|".join("-" * (width + 1) + "-:"[column > 0] for column, width in enumerate(widths)) + "|"
    return "\n".join([_line(heads, widths), rule, *(_line(line, widths) for line in rows)])


def _line(cells: Row, widths: Sequence[int]) -> str:
    first, *others = cells
    if len(cells) < len(widths):
        return f"| {first:<{widths[0]}} | {' '.join(others)} |" + " |" * (len(widths) - 2)
    padded = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
    return "| " + " | ".join([f"{first:<{widths[0]}}", *padded]) + " |"


def cells(section: str) -> dict[str, dict[str, str]]:
    """The table of a section again: by the name of the row, by the head of the column."""
    lines = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]
    if not lines:
        return {}
    heads, _, *rows = lines
    return {row[0]: dict(zip(heads[1:], row[1:], strict=False)) for row in rows}


def sections(page: str) -> dict[str, str]:
    """The sections of a page by title."""
    _, *parts = page.split("\n## ")
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}


def page(machine: str, parts: Mapping[str, str]) -> str:
    """All sections as a page of their own."""
    head = "# How fast mailer is\n\nWritten by `make bench`; what each figure means is above its table.\n"
    return "\n".join(
        (head, f"## {MACHINE}\n\n{machine}\n", *(part for title, part in parts.items() if title != MACHINE))
    )


MACHINE = "The machine"


def number(value: float) -> str:
    """As many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def span(low: float, high: float) -> str:
    return number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"


def megabytes(size: float, *, small: bool = False) -> str:
    """A `small` process held this much or less."""
    return f"{'below ' if small else ''}{size / 1e6:,.0f}"
