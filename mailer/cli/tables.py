"""Tables of results in any room: no number and no word is broken, and what names a row stays whole to be copied."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

GAP = 2
"""Characters between two columns."""

INDENT = 2
"""Characters before a row's figures where its name has a line of its own."""


def show_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows side by side; where the room is too narrow for that, each name on a line of its own above its figures."""
    right = [bool(rows) and all(is_number(row[index]) for row in rows) for index in range(len(columns))]
    fitting = widths(columns, rows, console.width, named=True)
    if fitting:
        console.print(_grid(fitting, right, columns, rows))
        return
    fitting = widths(columns[1:], [row[1:] for row in rows], console.width - INDENT, named=False)
    console.print(columns[0], style="bold", soft_wrap=True)
    if fitting:
        console.print(_set_in(_grid(fitting, right[1:], columns[1:], [])))
    for row in rows:
        console.print(row[0], soft_wrap=True)
        if fitting:
            console.print(_set_in(_grid(fitting, right[1:], None, [row[1:]])))
        else:
            for name, cell in zip(columns[1:], row[1:], strict=True):
                console.print(f"{' ' * INDENT}{name}: {cell}", soft_wrap=True)


def is_number(cell: str) -> bool:
    return cell.replace(" ", "").isdigit()


def widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int, *, named: bool) -> list[int] | None:
    """The widths of columns in this room, or None if a word would have to be broken, or the first of a row if it is its name."""
    room -= GAP * (len(columns) - 1)
    cells = [[row[index] for row in rows] for index in range(len(columns))]
    wanted = [max(map(cell_len, [name, *column])) for name, column in zip(columns, cells, strict=True)]
    least = [max(map(_unbreakable, [name, *column])) for name, column in zip(columns, cells, strict=True)]
    if named:
        least[0] = max(least[0], *map(cell_len, cells[0]), 0)
    if sum(least) > room:
        return None
    while sum(wanted) > room:
        wanted[max(range(len(wanted)), key=lambda index: (wanted[index] > least[index], wanted[index]))] -= 1
    return wanted


def _unbreakable(cell: str) -> int:
    """How long the longest word is; a number is one word."""
    return cell_len(cell) if is_number(cell) else max(map(cell_len, cell.split()), default=0)


def _grid(
    widths: Sequence[int], right: Sequence[bool], columns: Sequence[str] | None, rows: Sequence[Sequence[str]]
) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold", show_header=columns is not None)
    names = columns if columns is not None else [""] * len(widths)
    for name, width, number in zip(names, widths, right, strict=True):
        grid.add_column(name, width=width, justify="right" if number else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _set_in(grid: Table) -> Padding:
    return Padding(grid, (0, 0, 0, INDENT))
