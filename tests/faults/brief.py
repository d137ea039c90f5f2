"""The tables in short, for the README: made from the page that the long run wrote, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

BEGIN, END = "<!-- made by: make faults-long -->\n", "<!-- until here -->\n"


def brief(page: str) -> str:
    """Five rows from a page of results. Raises KeyError if the run left a table out."""
    tables = _tables(page)
    faults, cuts = tables["fault"], tables["the power fails"]["ledger as it is: synchronous=FULL"]
    inputs = tables["bad input"]["all"]
    killed = _sums(cells for name, cells in faults.items() if name.startswith("kill -9"))
    rest = [whole - part for whole, part in zip(_sums([faults["all"]]), killed, strict=True)]
    baseline = _sums([faults["for comparison: noting after the 250, killed"]])
    lines = [
        ("what was done to it", "times", "mailed twice", "missed", "wrongly called sent"),
        ("---", "--:", "--:", "--:", "--:"),
        ("killed, at every step and at random", *map(_shown, killed)),
        ("servers that lie, stall, hang up; full disks; clock jumps; two senders; Ctrl-C", *map(_shown, rest)),
        ("the power failed (simulated)", cuts[0], cuts[4], cuts[2], cuts[6]),
        ("for comparison: a sender that notes who has it *after* the reply, killed", *map(_shown, baseline)),
    ]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"{text}\n\nBad lists, letters and cells tried: {inputs[0]}. Crashes: {inputs[3]}. Hangs: {inputs[4]}. Headers or "
        f"recipients that got in: {inputs[5]}.\n"
    )


def put_into(readme: Path, page: str) -> None:
    """Bring the README up to date."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    readme.write_text(f"{before}{begin}\n{brief(page)}\n{end}{after}", encoding="utf-8", newline="\n")


def _tables(page: str) -> dict[str, dict[str, list[str]]]:
    """Cells by the name of the row, by the head of the table's first column."""
    tables: dict[str, dict[str, list[str]]] = {}
    before = ""
    for line in page.splitlines():
        cells = _cells(line)
        if cells and not before:
            table = tables[cells[0]] = {}
        elif len(cells) > 1 and not cells[0].startswith("-"):
            table[cells[0]] = cells[1:]
        before = line
    return tables


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []


def _sums(rows: Iterable[list[str]]) -> list[int]:
    """Strikes, duplicated, missed, false sent."""
    numbers = [[int(cell.replace(",", "")) for cell in row[1:5]] for row in rows]
    return [sum(column) for column in zip(*numbers, strict=True)]


def _shown(number: int) -> str:
    return f"{number:,}"
